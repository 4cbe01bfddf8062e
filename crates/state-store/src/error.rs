use std::time::Duration;

use thiserror::Error;

use crate::store::Revision;

/// Why bytes are not a key, a prefix or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LimitError {
    /// A key has at least one byte.
    #[error("the key is empty")]
    EmptyKey,
    /// Longer than [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES).
    #[error("the key is longer than {limit} bytes")]
    KeyTooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// Longer than [`MAX_VALUE_BYTES`](crate::MAX_VALUE_BYTES).
    #[error("the value is longer than {limit} bytes")]
    ValueTooLong {
        /// The bound, in bytes.
        limit: usize,
    },
}

/// Why a batch cannot hold one more step.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BatchError {
    /// A key, a prefix or a value outside its limits.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// More than [`MAX_BATCH_WRITES`](crate::MAX_BATCH_WRITES) writes, or as many preconditions.
    #[error("more than {limit} writes or preconditions")]
    TooMany {
        /// The bound.
        limit: usize,
    },
    /// Two writes of one key: the batch would not say which holds.
    #[error("the batch writes one key twice")]
    WrittenTwice,
    /// Two preconditions on one key that cannot both hold.
    #[error("the batch expects two different things of one key")]
    Contradiction,
}

/// Why a read, a scan or a watch has no answer. Refuse whatever depended on it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The backend did not answer; it may later.
    #[error("the store is unavailable: {detail}")]
    Unavailable {
        /// For the operator's log, never for the remote side.
        detail: Box<str>,
    },
    /// What is stored is not what was written: stop, and look at the backend.
    #[error("the store is damaged: {detail}")]
    Damaged {
        /// For the operator's log, never for the remote side.
        detail: Box<str>,
    },
}

/// Why a commit has no outcome. A conflict is an outcome ([`Commit::Conflict`](crate::Commit)).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Nothing was written; it may work later.
    #[error("the store is unavailable, nothing was written: {detail}")]
    Unavailable {
        /// For the operator's log, never for the remote side.
        detail: Box<str>,
    },
    /// Everything or nothing was written, and the backend cannot say which: read before trying again.
    #[error("it is unknown whether the commit took effect: {detail}")]
    OutcomeUnknown {
        /// For the operator's log, never for the remote side.
        detail: Box<str>,
    },
    /// What is stored is not what was written: stop, and look at the backend.
    #[error("the store is damaged, nothing was written: {detail}")]
    Damaged {
        /// For the operator's log, never for the remote side.
        detail: Box<str>,
    },
}

/// Why a value is not the record it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The value is no record, or its data are not of the kind's shape.
    #[error("not a `{kind}` record (line {line}, column {column})")]
    Malformed {
        /// The kind that was expected.
        kind: &'static str,
        /// Where, counted from 1.
        line: usize,
        /// Where, counted from 1.
        column: usize,
    },
    /// A record of another kind stands under this key.
    #[error("expected a `{expected}` record, found another kind")]
    Kind {
        /// The kind that was expected.
        expected: &'static str,
    },
    /// A version this program does not know: it was written by a later one.
    #[error("`{kind}` record of version {found}; this program reads version {known}")]
    Version {
        /// The kind.
        kind: &'static str,
        /// The version that was found.
        found: u32,
        /// The version this program reads.
        known: u32,
    },
    /// The record is larger than a value may be.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The record's contents contradict its key or each other.
    #[error("inconsistent `{kind}` record: {what}")]
    Inconsistent {
        /// The kind.
        kind: &'static str,
        /// What does not fit.
        what: &'static str,
    },
}

/// Why a replica could not follow its store. It keeps its last snapshot, which ages; call again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplicaError {
    /// A read of the store failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store is behind what this replica has already seen: it was restored from an older copy, or it is
    /// another store. The replica must not follow it; start anew once an operator has looked.
    #[error("the store went back from revision {seen} to {found}")]
    WentBack {
        /// The revision this replica has applied.
        seen: Revision,
        /// The revision the store answers with.
        found: Revision,
    },
    /// Commits came faster than everything could be read: each time, the store's history no longer held
    /// what was committed meanwhile.
    #[error("could not catch up with the store in {attempts} attempts")]
    Outrun {
        /// How often it was tried.
        attempts: u32,
    },
}

/// The replica cannot prove that its snapshot is recent enough. Refuse, or read the store itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("the replica at revision {applied} was not confirmed within its staleness bound")]
pub struct Stale {
    /// The revision the snapshot shows.
    pub applied: Revision,
}

/// There is nothing to decide by. Refuse.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CurrentError {
    /// The replica is too old, and its handle was not told to read the store then.
    #[error(transparent)]
    Stale(#[from] Stale),
    /// The replica is too old, and the store could not be read.
    #[error(transparent)]
    Store(#[from] ReplicaError),
    /// The replica is too old, and the store was not read in time.
    #[error("the store was not read within {within:?}")]
    TimedOut {
        /// The longest that it may take.
        within: Duration,
    },
}

/// Why a node's word was not written, or is no word.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FleetError {
    /// A node's name is 1 to 64 characters of `[a-z0-9-]`.
    #[error("a node's name is 1 to 64 characters of `[a-z0-9-]`")]
    Name,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store took nothing, or it is not known whether it did. The word is said again when it is due.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Within its bounds it cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Others kept asking at the same moment.
    #[error("others kept writing the same key")]
    Contended,
}

impl From<BatchError> for FleetError {
    fn from(error: BatchError) -> Self {
        let detail = error.to_string().into();
        Self::Commit(CommitError::Unavailable { detail })
    }
}

impl From<LimitError> for FleetError {
    fn from(error: LimitError) -> Self {
        Self::Record(error.into())
    }
}
