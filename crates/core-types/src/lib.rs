#![doc = include_str!("../README.md")]

mod error;
pub mod fingerprint;
pub mod id;
#[cfg(feature = "serde")]
mod objects;
pub mod permission;
pub mod principal;
pub mod random;
pub mod restriction;
pub mod scope;
pub mod secret;
#[cfg(feature = "serde")]
mod serde_text;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;

pub use error::{ParseError, RandomError, RestrictionError};
pub use fingerprint::Fingerprint;
pub use id::{Id, IdKind, MachineId, RequestId, ServiceAccountId, TokenId, UserId};
#[cfg(feature = "serde")]
pub use objects::Objects;
pub use permission::{Permission, PermissionPattern, PermissionRef};
pub use principal::{Principal, Subject};
pub use random::SecureRandom;
#[cfg(feature = "ring")]
pub use random::SystemRandom;
pub use restriction::{Grant, Limit, Restriction};
pub use scope::{Scope, ScopeRef};
pub use secret::SecretBytes;
pub use time::{Clock, SystemClock, UnixTime};
