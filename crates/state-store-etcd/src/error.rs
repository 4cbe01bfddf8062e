use std::io;

use state_store::{CommitError, ReadError};
use thiserror::Error;
use tonic::{Code, Status};

/// Why a URL does not name a store.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Not `etcd://HOST:PORT,…/NAMESPACE`.
    #[error("a store on etcd is `etcd://HOST:PORT,HOST:PORT/NAMESPACE`: {what}")]
    Url {
        /// What is off; never the password.
        what: &'static str,
    },
    /// The connection would leave this machine without TLS.
    #[error("`{host}` is another machine: use tls=verify-full")]
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
    /// No member answers, or there is no quorum; it may come back.
    #[error("etcd is unavailable: {detail}")]
    Unavailable {
        /// For the operator.
        detail: Box<str>,
    },
    /// The cluster answers, and refuses: the password, the rights.
    #[error("etcd refuses: {detail}")]
    Refused {
        /// Its word, for the operator.
        detail: Box<str>,
    },
    /// No thread, or no memory, for the work in the background.
    #[error("cannot start the store's thread: {kind}")]
    Thread {
        /// The system's word.
        kind: io::ErrorKind,
    },
    /// No randomness for the ids of commits.
    #[error(transparent)]
    Random(#[from] core_types::RandomError),
}

/// What can go wrong with a call, as far as it matters here.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The member refused before anything was done.
    Refused(Box<str>),
    /// What was asked for is older than what the cluster remembers.
    Compacted,
    /// The member refused before anything was done: it does not know the lease.
    NoLease,
    /// There was no answer, or none that says whether it was done.
    Lost(Box<str>),
    /// What is stored is not what was written, or it is another cluster, or an older copy.
    Damaged(Box<str>),
}

impl Failure {
    pub(crate) fn into_detail(self) -> Box<str> {
        match self {
            Self::Refused(detail) | Self::Lost(detail) | Self::Damaged(detail) => detail,
            Self::Compacted => "the revision was compacted".into(),
            Self::NoLease => "the lease is gone".into(),
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

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let said: Box<str> = status.message().chars().take(MAX_DETAIL_CHARS).collect();
        match status.code() {
            Code::OutOfRange if said.contains("compacted") => Self::Compacted,
            Code::NotFound if said.contains("lease not found") => Self::NoLease,
            Code::InvalidArgument
            | Code::NotFound
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::Unimplemented
            | Code::ResourceExhausted
            | Code::OutOfRange => Self::Refused(said),
            // A member that lost its leader, or time, may have passed the request on before.
            _ => Self::Lost(said),
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

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(detail) => Self::Refused { detail },
            other => Self::Unavailable { detail: other.into_detail() },
        }
    }
}

const MAX_DETAIL_CHARS: usize = 300;
