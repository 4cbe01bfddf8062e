use std::fmt;
use std::io;

use thiserror::Error;

use crate::verify::Finding;

/// Why a value is no part of an event. The remote side may be shown it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EventError {
    /// A text that must not be empty is.
    #[error("`{field}` is empty")]
    Empty {
        /// Which one.
        field: &'static str,
    },
    /// Longer than its documented bound.
    #[error("`{field}` is longer than {limit} bytes")]
    TooLong {
        /// Which one.
        field: &'static str,
        /// The bound, in bytes.
        limit: usize,
    },
    /// The name of a detail is not 1 to 63 characters of `[a-z0-9_]` that begin with a letter.
    #[error("not the name of a detail")]
    DetailName,
    /// Two details of one name.
    #[error("two details of one name")]
    DetailTwice,
    /// More than [`MAX_DETAILS`](crate::event::MAX_DETAILS).
    #[error("more than {limit} details")]
    TooManyDetails {
        /// The bound.
        limit: usize,
    },
    /// The name of a sealing key is not 1 to 64 characters of `[A-Za-z0-9._-]`.
    #[error("not the name of a sealing key")]
    SealKey,
    /// Not lower-case hexadecimal of whole bytes.
    #[error("`{field}` is not hexadecimal")]
    Hex {
        /// Which one.
        field: &'static str,
    },
    /// The scope that is acted on does not lie in the tenant's.
    #[error("the scope lies outside the tenant")]
    OutsideTenant,
}

/// What the system said when a file of the log was used. For the operator, never for the remote side.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileError {
    /// What was tried: `read`, `write`, `sync`, …
    pub operation: &'static str,
    /// The name within the log's directory; `.` is the directory itself.
    pub file: Box<str>,
    /// What the system said.
    pub kind: io::ErrorKind,
    // The system's number for it.
    code: Option<i32>,
}

impl FileError {
    pub(crate) fn new(operation: &'static str, file: impl Into<Box<str>>) -> impl FnOnce(io::Error) -> Self {
        move |error| Self { operation, file: file.into(), kind: error.kind(), code: error.raw_os_error() }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} `{}`: ", self.operation, self.file)?;
        match self.code {
            Some(code) => io::Error::from_raw_os_error(code).fmt(f),
            None => self.kind.fmt(f),
        }
    }
}

impl std::error::Error for FileError {}

/// Why a log was not opened. Do not serve: without a log nothing may be changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another handle in this one, writes this log.
    #[error("another writer has the log open")]
    Locked,
    /// The directory belongs to someone else, or is open to others. It has to be the process's own, mode 0700.
    #[error("the log's directory is open to others, or not this user's")]
    NotPrivate,
    /// What is stored is not what was written, or less than what was. An operator has to look:
    /// [`verify`](crate::verify()) says more.
    #[error("the log is damaged: {0}")]
    Damaged(Box<Finding>),
    /// Written by a later version of this program.
    #[error("segment `{file}` has format version {found}, this program reads version 1")]
    Version {
        /// The segment's file name.
        file: Box<str>,
        /// Its version.
        found: u32,
    },
    /// An option outside its bounds.
    #[error("option `{option}` is not within {least} and {most}")]
    Option {
        /// Which one.
        option: &'static str,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// The source of randomness failed.
    #[error(transparent)]
    Random(#[from] core_types::RandomError),
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The thread that writes could not be started.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(io::ErrorKind),
}

/// Why a record is not known to be durable. Refuse the call (HTTP 503): its effect must not happen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A write failed. What was being written may be in the log or not; this handle takes nothing more, and
    /// only opening the log again tells. Stop the process, or at least stop changing things.
    #[error("the log has stopped: {0}")]
    Stopped(#[from] FileError),
    /// [`AuditLog::close`](crate::AuditLog::close) was called; nothing was written.
    #[error("the log is closed")]
    Closed,
    /// Too many calls are under way; nothing was written. Try again when some have ended.
    #[error("more than {limit} calls are under way")]
    Overloaded {
        /// The bound.
        limit: usize,
    },
    /// The disk is full but for what is kept for [`Class::Security`](crate::Class::Security); nothing was written.
    /// Make room; the log goes on by itself.
    #[error("the disk is full")]
    Full,
    /// The writing thread ended without a word, which is a defect of this crate; or an entry would be longer
    /// than [`MAX_ENTRY_BYTES`](crate::format::MAX_ENTRY_BYTES), which its parts' bounds rule out.
    #[error("the log's writer failed")]
    Defect,
}

/// Why there is no verdict on a log. Treat it as one that was not verified.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is nothing to check: no segment and no head.
    #[error("there is no log in this directory")]
    NoLog,
    /// Written by a later version of this program.
    #[error("segment `{file}` has format version {found}, this program reads version 1")]
    Version {
        /// The segment's file name.
        file: Box<str>,
        /// Its version.
        found: u32,
    },
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// A limit of 0, or more than [`MAX_PAGE_ENTRIES`](crate::query::MAX_PAGE_ENTRIES).
    #[error("the limit is not within 1 and {most}")]
    Limit {
        /// The most it may be.
        most: usize,
    },
    /// The log is damaged where the answer would come from; [`verify`](crate::verify()) says more.
    #[error("the log is damaged at `{file}`, byte {offset}")]
    Damaged {
        /// The segment's file name.
        file: Box<str>,
        /// Where in it.
        offset: u64,
    },
    /// There is no log.
    #[error("there is no log in this directory")]
    NoLog,
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
}
