#![doc = include_str!("../README.md")]

mod engine;
mod error;
mod file;
mod group;
mod sentinel;
mod store;

pub use error::OpenError;
pub use store::{DEFAULT_CACHE_BYTES, Expected, Options, RedbStore};
