#![doc = include_str!("../README.md")]

mod batch;
mod error;
pub mod feed;
pub mod fleet;
mod id;
mod key;
mod memory;
pub mod record;
pub mod replica;
mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use batch::{Batch, Expect, MAX_BATCH_WRITES, Write};
pub use error::{BatchError, CommitError, FleetError, LimitError, ReadError, RecordError};
pub use id::StoreId;
pub use key::{Key, MAX_KEY_BYTES, MAX_VALUE_BYTES, Prefix, Value};
pub use memory::MemoryStore;
pub use record::Record;
pub use replica::{Replica, View};
pub use store::{
    Change, Commit, Entry, MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, Page, Revision, StateStore, Watch, WatchEvent,
};
