#![doc = include_str!("../README.md")]

mod error;
mod file;
mod sentinel;
mod store;

pub use error::OpenError;
pub use sentinel::StoreId;
pub use store::{Expected, RedbStore};
