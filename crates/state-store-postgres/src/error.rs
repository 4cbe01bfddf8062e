use std::fmt::Display;
use std::io;

use core_types::RandomError;
use state_store::{CommitError, ReadError, Revision, StoreId};
use thiserror::Error;

/// Why a URL does not name a store.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Not a URL of PostgreSQL's, or with parameters that are not known.
    #[error("not a URL of a PostgreSQL database: {detail}")]
    Url {
        /// What is off; never the password.
        detail: Box<str>,
    },
    /// A parameter has a value that it cannot have.
    #[error("`{parameter}`: {what}")]
    Parameter {
        /// Which.
        parameter: &'static str,
        /// What it must be.
        what: &'static str,
    },
    /// The connection would leave this machine without TLS.
    #[error("`{host}` is another machine: use sslmode=verify-full")]
    Unencrypted {
        /// Where it would lead.
        host: Box<str>,
    },
    /// A file that was named cannot be used.
    #[error("cannot read the file of `{parameter}`: {kind}")]
    File {
        /// Which parameter named it.
        parameter: &'static str,
        /// The system's word.
        kind: io::ErrorKind,
    },
}

/// Why a store was not opened. Do not serve.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server does not answer; it may later.
    #[error("the database is unavailable: {detail}")]
    Unavailable {
        /// For the operator.
        detail: Box<str>,
    },
    /// The server answers, and refuses: the password, the rights, the database's name.
    #[error("the database refuses: {detail}")]
    Refused {
        /// The server's word, for the operator.
        detail: Box<str>,
    },
    /// The server may forget what it has acknowledged.
    #[error("the server has {setting}: what it acknowledges may be lost")]
    NotDurable {
        /// The setting that is in the way.
        setting: &'static str,
    },
    /// Written by a later version of this crate.
    #[error("the store has format version {found}, this program reads version {known}")]
    Version {
        /// The version in the database.
        found: i64,
        /// The version this program reads and writes.
        known: i64,
    },
    /// Another store lies where this one was expected.
    #[error("expected store {expected}, found {found}")]
    OtherStore {
        /// The store that was expected.
        expected: StoreId,
        /// The store that was found.
        found: StoreId,
    },
    /// The store is older than what is known of it: it was restored, or a standby that lacked commits took
    /// over. Whatever was revoked since would be good again.
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
        /// For the operator.
        detail: Box<str>,
    },
    /// No thread, or no memory, for the work in the background.
    #[error("cannot start the store's thread: {kind}")]
    Thread {
        /// The system's word.
        kind: io::ErrorKind,
    },
    /// No randomness for the store's id.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// A text is no commit id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("a commit id is 64 lower-case hexadecimal digits")]
pub struct CommitIdError;

/// What can go wrong with a session, as far as it matters here.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The server answered with an error: what was asked for did not happen.
    Answered { detail: Box<str>, is_retryable: bool },
    /// The connection ended or was given up: whatever was asked for may have happened.
    Lost(Box<str>),
    /// What was found is not this store, or not any more.
    Foreign(OpenError),
    /// What is stored is not what was written.
    Damaged(Box<str>),
}

impl Failure {
    pub(crate) fn timed_out(what: &str) -> Self {
        Self::Lost(format!("no answer in time to {what}").into())
    }

    pub(crate) fn damaged(what: impl Into<Box<str>>) -> Self {
        Self::Damaged(what.into())
    }

    pub(crate) fn into_detail(self) -> Box<str> {
        match self {
            Self::Answered { detail, .. } | Self::Lost(detail) | Self::Damaged(detail) => detail,
            Self::Foreign(error) => error.to_string().into(),
        }
    }

    /// Nothing was written.
    pub(crate) fn before_commit(self) -> CommitError {
        match self {
            Self::Damaged(detail) => CommitError::Damaged { detail },
            Self::Foreign(error) => CommitError::Damaged { detail: error.to_string().into() },
            other => CommitError::Unavailable { detail: other.into_detail() },
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(said) => {
                let code = said.code().code();
                // Serialization failures, deadlocks, a server that starts or stops, too many connections.
                let is_retryable = ["40", "57P", "53", "25006"].iter().any(|class| code.starts_with(class));
                Self::Answered { detail: bounded(format!("{} ({code})", said.message())), is_retryable }
            }
            None => Self::Lost(bounded(with_cause(&error))),
        }
    }
}

impl From<Failure> for ReadError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Damaged(detail) => Self::Damaged { detail },
            Failure::Foreign(error) => Self::Damaged { detail: error.to_string().into() },
            other => Self::Unavailable { detail: other.into_detail() },
        }
    }
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Answered { detail, is_retryable: false } => Self::Refused { detail },
            Failure::Answered { detail, is_retryable: true } | Failure::Lost(detail) => {
                Self::Unavailable { detail }
            }
            Failure::Foreign(error) => error,
            Failure::Damaged(detail) => Self::Damaged { detail },
        }
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// What a server says is of its own length.
fn bounded(said: impl Display) -> Box<str> {
    said.to_string().chars().take(MAX_DETAIL_CHARS).collect()
}

const MAX_DETAIL_CHARS: usize = 300;
