//! Why a proof, a note, a tile or a step of publishing was refused.

use std::io;

use thiserror::Error;

use crate::error::{AppendError, FileError};

/// Why a proof does not show what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProofError {
    /// There is no such leaf, or no such pair of trees.
    #[error("no such leaf or trees")]
    Range,
    /// It has too few hashes, or too many.
    #[error("the proof has not the right number of hashes")]
    Length,
    /// Its hashes do not lead to the root.
    #[error("the proof does not lead to the root")]
    Root,
}

/// Why bytes are no bundle of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It ends inside an entry.
    #[error("the bundle ends inside an entry")]
    CutOff,
    /// It has more or fewer entries than it should.
    #[error("the bundle has not the right number of entries")]
    Width,
}

/// Why a note, a tree head or a proof in text form was refused. The remote side may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Not in the format, or not in its one spelling.
    #[error("not a {what}")]
    Form {
        /// What it should be.
        what: &'static str,
    },
    /// Longer than its bound.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The bound.
        limit: usize,
    },
    /// The key has not signed it.
    #[error("not signed by the key")]
    Unsigned,
    /// A signature in the key's name does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// Of another log: its first line does not begin with the key's name.
    #[error("of another log")]
    Origin,
    /// Signed, but the proof does not fit.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The entry in it is no record of an audit log, or not of the tenant whose log this is.
    #[error("the entry is no record of this tenant's")]
    Entry,
}

/// What a signer could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the signer failed")]
#[non_exhaustive]
pub struct SignError;

/// Why a proof cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProveError {
    /// Nothing was published of this tenant, or not up to this record. Publish, then ask again.
    #[error("not published yet")]
    NotPublished,
    /// A published file is not what the signed tree head says. It can be made anew from the log.
    #[error("`{file}` is not what the tree head says")]
    Forged {
        /// Which file, within the directory of proofs.
        file: Box<str>,
    },
    /// A published file is gone.
    #[error("`{file}` is missing")]
    Missing {
        /// Which file.
        file: Box<str>,
    },
    /// The tree head is no note, or not signed by the key.
    #[error("the tree head is refused: {0}")]
    Head(#[from] NoteError),
    /// There is no such leaf, or no such pair of trees.
    #[error(transparent)]
    Range(#[from] ProofError),
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why a step of publishing failed. The log is not concerned: it goes on without proofs for what came since.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Another publisher of this log is at work in this process.
    #[error("the log has a publisher already")]
    Busy,
    /// The name of the signing key is too long for the origins that begin with it.
    #[error("the name of the signing key is longer than {limit} bytes")]
    KeyName {
        /// The bound.
        limit: usize,
    },
    /// What was published is of another log.
    #[error("the published proofs are of another log")]
    OtherLog,
    /// More was published than the log has: the log was put back to an older state. Nothing was signed.
    #[error("published up to record {published}, and the log ends with record {log}")]
    RolledBack {
        /// The last record that was published.
        published: u64,
        /// The last record of the log.
        log: u64,
    },
    /// What was published is of a log with other records. Nothing was signed.
    #[error("the log is not the one that was published, at record {at}")]
    Forked {
        /// The last record that was published.
        at: u64,
    },
    /// The log is damaged where it would be published from; [`verify`](crate::verify()) says more.
    #[error("the log is damaged at `{file}`, byte {offset}")]
    Damaged {
        /// The segment's file name.
        file: Box<str>,
        /// Where in it.
        offset: u64,
    },
    /// A published file is not what this key has signed for. Take the directory of proofs away, and all of it is
    /// made anew from the log.
    #[error("`{file}` is not what was published")]
    Forged {
        /// Which file, within the directory of proofs.
        file: Box<str>,
    },
    /// An entry is longer than fits in a bundle.
    #[error("record {sequence} is too long for a bundle")]
    TooLong {
        /// Which record.
        sequence: u64,
    },
    /// The signer failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The log took no record of the epoch.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why a store of tiles is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("cannot open the directory of proofs: {0}")]
#[non_exhaustive]
pub struct StoreError(pub io::ErrorKind);
