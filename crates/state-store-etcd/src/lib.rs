#![doc = include_str!("../README.md")]

mod client;
mod commit;
mod error;
mod follow;
mod layout;
mod options;
mod proto;
mod read;
mod slots;
mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::{OpenError, SettingsError};
pub use options::Options;
pub use store::{EtcdStore, EtcdWatch, Stats};
