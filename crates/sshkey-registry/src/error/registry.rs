use state_store::BatchError;
use thiserror::Error;

/// Why a key was not added.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddError {
    /// Another key of the project has the name (upper and lower case are the same). The customer may be told.
    #[error("another key of this project has this name: choose another name")]
    NameTaken,
    /// An operator has revoked the key everywhere. The customer may be told.
    #[error("this key has been revoked because others know its private half: make a new one")]
    Compromised,
    /// The expiry is not after now. The customer may be told.
    #[error("the key would have expired already")]
    ExpiresInPast,
    /// A key belongs to a project; the root scope is none.
    #[error("a key is added to a project, not to the root scope")]
    RootScope,
    /// What is stored about this key or name cannot be read. Refuse, and let an operator look.
    #[error("what the registry holds for this key or name cannot be read")]
    Damaged,
    /// No id could be made.
    #[error(transparent)]
    Random(#[from] core_types::RandomError),
    /// The records do not fit the store: the project's scope is too long for a key.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The records do not fit the store.
    #[error(transparent)]
    Record(#[from] state_store::RecordError),
}

/// Why a key was not rotated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RotateError {
    /// The project has no such working key. The customer may be told.
    #[error("this project has no such working key")]
    NotFound,
    /// The new key is the old one. The customer may be told.
    #[error("the new key is the old one")]
    SameKey,
    /// The new key was not added.
    #[error(transparent)]
    Add(#[from] AddError),
    /// The options of the old key are none for the new one, which lies on a security key. The customer may be told.
    #[error(transparent)]
    Options(#[from] super::OptionsError),
    /// A machine was not changed.
    #[error(transparent)]
    Vm(#[from] VmError),
}

/// Why a machine, or the keys of a machine, were not changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VmError {
    /// The project has no such machine. The customer may be told.
    #[error("this project has no such machine")]
    NotFound,
    /// The project has a machine of this name. The customer may be told.
    #[error("another machine of this project has this name: choose another name")]
    NameTaken,
    /// A machine belongs to a project, at least one level above the deepest scope.
    #[error("this scope can have no machines")]
    NoProject,
    /// Every port of the pool is taken.
    #[error("every SSH port of the pool is taken")]
    PortsExhausted,
    /// The project has no such key, or it works no more. The customer may be told.
    #[error("this project has no such working key")]
    NoSuchKey,
    /// The key is not attached to this account of the machine. The customer may be told.
    #[error("the key is not attached to this account of the machine")]
    NotAttached,
    /// The key is attached to this account with other options or another expiry: detach it first. The customer may be
    /// told.
    #[error("the key is attached to this account in another way: detach it first")]
    AlreadyAttached,
    /// The machine would have no working key left. The customer may be told.
    #[error(
        "the machine `{vm}` would have no working key left: attach another one first, or say that this is meant"
    )]
    LastKey {
        /// The machine's name.
        vm: Box<str>,
    },
    /// More than [`MAX_ATTACHMENTS`](crate::registry::MAX_ATTACHMENTS). The customer may be told.
    #[error("a machine has at most {limit} keys")]
    TooManyKeys {
        /// The bound.
        limit: usize,
    },
    /// The options would make the key a certificate authority, which is no login. The customer may be told.
    #[error("`cert-authority` and `principals` are for certificate authorities, not for keys")]
    CertAuthority,
    /// The expiry is not after now. The customer may be told.
    #[error("the key would have expired already")]
    ExpiresInPast,
    /// What is stored about this machine cannot be read. Refuse, and let an operator look.
    #[error("what the registry holds for this machine cannot be read")]
    Damaged,
    /// No port could be drawn.
    #[error(transparent)]
    Random(#[from] core_types::RandomError),
    /// The records do not fit the store, or too many machines change at once.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The records do not fit the store.
    #[error(transparent)]
    Record(#[from] state_store::RecordError),
}

/// Why a number is not a machine's SSH port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PortError {
    /// Not within 30000 to 32767 or 61000 to 65535.
    #[error("an SSH port lies within 30000 to 32767 or 61000 to 65535")]
    OutOfRange,
}

/// Why a key was not revoked everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// It has been revoked before.
    #[error("the key has been revoked already")]
    AlreadyRevoked,
    /// The record does not fit the store.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The record does not fit the store.
    #[error(transparent)]
    Record(#[from] state_store::RecordError),
}

/// Why a key was not removed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// A machine would have no working key left. The customer may be told.
    #[error(
        "the machine `{vm}` would have no working key left: attach another one first, or say that this is meant"
    )]
    LastKey {
        /// The machine's name.
        vm: Box<str>,
    },
    /// The project has no such key; it may never have had it. The customer may be told.
    #[error("this project has no such key")]
    NotFound,
    /// What is stored about this key cannot be read. Refuse, and let an operator look.
    #[error("what the registry holds for this key cannot be read")]
    Damaged,
    /// The records do not fit the store.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The records do not fit the store.
    #[error(transparent)]
    Record(#[from] state_store::RecordError),
}
