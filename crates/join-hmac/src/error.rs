//! The errors of the crate, one enum per family of operations.

#[cfg(feature = "microcloud")]
mod mac;

#[cfg(feature = "microcloud")]
pub use self::mac::{HeaderError, MacError, MacRefusal, PassphraseError};
