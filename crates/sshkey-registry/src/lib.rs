#![doc = include_str!("../README.md")]

pub mod admission;
pub mod authorized_keys;
pub mod bundle;
pub mod cloud_init;
mod error;
pub mod key;
mod name;
pub mod registry;

pub use admission::{AdmissionPolicy, AdmittedKey};
pub use authorized_keys::{AuthorizedKey, AuthorizedLine, Options};
pub use error::{
    AddError, BlockListError, BundleError, FileError, KeyError, LineError, NameError, OptionsError,
    PolicyError, PortError, Refusal, RemoveError, RevokeError, RotateError, TrustError, UserDataError,
    VmError,
};
pub use key::{KeyLine, KeyType, PublicKey};
pub use name::{AccountName, Comment, KeyName, LineComment};
pub use registry::{RegistryView, SshKey, SshKeyId};
