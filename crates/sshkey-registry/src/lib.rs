#![doc = include_str!("../README.md")]

pub mod admission;
mod error;
pub mod key;
mod name;
pub mod registry;

pub use admission::{AdmissionPolicy, AdmittedKey};
pub use error::{AddError, BlockListError, KeyError, NameError, PolicyError, Refusal, RemoveError};
pub use key::{KeyLine, KeyType, PublicKey};
pub use name::{Comment, KeyName, LineComment};
pub use registry::{RegistryView, SshKey, SshKeyId};
