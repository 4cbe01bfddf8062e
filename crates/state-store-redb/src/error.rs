use std::io;

use core_types::RandomError;
use state_store::{CommitError, ReadError, Revision, StoreId};
use thiserror::Error;

/// Why a store was not opened. Do not serve: an operator has to look.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A store was expected, and there is no file.
    #[error("there is no store")]
    Missing,
    /// No store was expected, and there is a file.
    #[error("there is a store already")]
    Exists,
    /// Another process, or another handle in this one, has the store open.
    #[error("the store is open elsewhere")]
    AlreadyOpen,
    /// A symbolic link, a folder, a device: whatever it is, it is not a file.
    #[error("the store's path leads to no regular file")]
    NotAFile,
    /// The file belongs to somebody else, who can put in it what he likes.
    #[error("the store's file belongs to user {owner}, this is user {user}")]
    Owner {
        /// The file's owner.
        owner: u32,
        /// This process's effective user.
        user: u32,
    },
    /// The file's mode lets others at it. Find out who was, before narrowing it to 0600.
    #[error("the store's file has mode {mode:04o}, and must not be open to others")]
    Mode {
        /// The file's permission bits.
        mode: u32,
    },
    /// The file is not a store of this crate: empty, foreign, or without its sentinel.
    #[error("the file is not a store: {detail}")]
    NotAStore {
        /// What is not as it should be.
        detail: Box<str>,
    },
    /// Written by a later version of this crate.
    #[error("the store has format version {found}, this program reads version {known}")]
    Version {
        /// The version in the file.
        found: u32,
        /// The version this program reads and writes.
        known: u32,
    },
    /// Another store lies where this one was expected.
    #[error("expected store {expected}, found {found}")]
    OtherStore {
        /// The store that was expected.
        expected: StoreId,
        /// The store that was found.
        found: StoreId,
    },
    /// The store is older than what is known of it: it was restored from a copy. Whatever was revoked since
    /// would be good again.
    #[error("the store is at revision {found}, but was at {expected} before")]
    WentBack {
        /// The revision it is known to have reached.
        expected: Revision,
        /// The revision it is at.
        found: Revision,
    },
    /// What is stored is not what was written.
    #[error("the store is damaged: {detail}")]
    Damaged {
        /// The engine's word, for the operator.
        detail: Box<str>,
    },
    /// The engine refused, for a reason that has no name here.
    #[error("the engine does not open the store: {detail}")]
    Engine {
        /// The engine's word, for the operator.
        detail: Box<str>,
    },
    /// The system refused.
    #[error("cannot {operation} the store's file: {kind}")]
    File {
        /// What was tried.
        operation: &'static str,
        /// The system's word.
        kind: io::ErrorKind,
    },
    /// No randomness for the id of a new store.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl OpenError {
    pub(crate) fn file(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::File { operation, kind: error.kind() }
    }
}

impl From<redb::DatabaseError> for OpenError {
    fn from(error: redb::DatabaseError) -> Self {
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen | redb::DatabaseError::LockProtocolMismatch => {
                Self::AlreadyOpen
            }
            redb::DatabaseError::Storage(error) => Self::from(Failure::from(error)),
            redb::DatabaseError::RepairAborted => Self::Damaged { detail: detail(&error) },
            other => Self::NotAStore { detail: detail(&other) },
        }
    }
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Damaged(detail) => Self::Damaged { detail },
            Failure::File(io::ErrorKind::InvalidData) => Self::NotAStore { detail: "not a redb file".into() },
            // The engine's pages say that there is more of the file than there is.
            Failure::File(io::ErrorKind::UnexpectedEof) => {
                Self::Damaged { detail: "the file is cut short".into() }
            }
            Failure::File(kind) => Self::File { operation: "read or write", kind },
            Failure::Other(detail) => Self::Engine { detail },
        }
    }
}

/// What can go wrong inside the engine, as far as it matters here.
#[derive(Debug)]
pub(crate) enum Failure {
    Damaged(Box<str>),
    File(io::ErrorKind),
    Other(Box<str>),
}

impl Failure {
    pub(crate) fn damaged(detail: &'static str) -> Self {
        Self::Damaged(detail.into())
    }

    pub(crate) fn other(detail: &'static str) -> Self {
        Self::Other(detail.into())
    }

    pub(crate) fn into_detail(self) -> Box<str> {
        match self {
            Self::Damaged(detail) | Self::Other(detail) => detail,
            Self::File(kind) => detail(&kind),
        }
    }

    /// Nothing was written.
    pub(crate) fn before_commit(self) -> CommitError {
        match self {
            Self::Damaged(detail) => CommitError::Damaged { detail },
            other => CommitError::Unavailable { detail: other.into_detail() },
        }
    }
}

impl From<Failure> for ReadError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Damaged(detail) => Self::Damaged { detail },
            other => Self::Unavailable { detail: other.into_detail() },
        }
    }
}

impl From<redb::StorageError> for Failure {
    fn from(error: redb::StorageError) -> Self {
        match error {
            redb::StorageError::Corrupted(said) => Self::Damaged(said.into()),
            redb::StorageError::Io(error) => Self::File(error.kind()),
            other => Self::Other(detail(&other)),
        }
    }
}

impl From<redb::TransactionError> for Failure {
    fn from(error: redb::TransactionError) -> Self {
        match error {
            redb::TransactionError::Storage(error) => error.into(),
            other => Self::Other(detail(&other)),
        }
    }
}

impl From<redb::TableError> for Failure {
    fn from(error: redb::TableError) -> Self {
        match error {
            redb::TableError::Storage(error) => error.into(),
            // A table that is gone or of other types is damage, and never «no entries».
            other => Self::Damaged(detail(&other)),
        }
    }
}

impl From<redb::CommitError> for Failure {
    fn from(error: redb::CommitError) -> Self {
        match error {
            redb::CommitError::Storage(error) => error.into(),
            other => Self::Other(detail(&other)),
        }
    }
}

fn detail(said: &dyn std::fmt::Display) -> Box<str> {
    said.to_string().into()
}
