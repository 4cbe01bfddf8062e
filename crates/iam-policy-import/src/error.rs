use thiserror::Error;

/// Why a source is refused as a whole. Nothing of it may be decided by: what was not understood may have denied.
///
/// Whoever brought the source may be shown the message. It repeats at most short parts of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// More bytes, values, levels or rows than a bound of this crate.
    #[error("{place}: more than {limit} {what}")]
    TooMany {
        /// Where.
        place: String,
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// No JSON, no YAML, no rows, not what the format asks for.
    #[error("{place}: {why}")]
    Malformed {
        /// Where.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// Understood, and of a kind that is not supported.
    #[error("{place}: {why}")]
    Unsupported {
        /// Where.
        place: String,
        /// What it is.
        why: String,
    },
}

impl ImportError {
    pub(crate) fn malformed(place: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Malformed { place: place.into(), why: why.into() }
    }

    pub(crate) fn unsupported(place: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unsupported { place: place.into(), why: why.into() }
    }
}

/// Why a request is none; the answer to it is to deny.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("no request: {why}")]
pub struct RequestError {
    /// What is wrong.
    pub why: String,
}

impl RequestError {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}
