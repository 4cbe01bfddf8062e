#![doc = include_str!("../README.md")]

mod checkpoint;
mod error;
pub mod event;
pub mod export;
pub mod files;
pub mod format;
mod head;
mod hex;
mod log;
pub mod query;
mod scan;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tlog;
pub mod verify;

pub use checkpoint::{Checkpoint, LogId};
pub use error::{AppendError, EventError, FileError, OpenError, QueryError, VerifyError};
pub use event::{Action, Actor, Client, Completion, Entry, Intent, Outcome, Public, ResourceId, UserAgent};
pub use log::{
    AuditLog, Class, Guard, MAX_OPEN_CALLS, MAX_SOURCES, Options, Policies, Reads, Receipt, Recorded, Space,
};
pub use query::{Cursor, Filter, Page, Reader};
pub use verify::{Finding, FindingKind, Report, verify};
