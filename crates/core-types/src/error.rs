use thiserror::Error;

/// Why a text is not a value of the vocabulary.
///
/// No variant carries the text: it may be long or secret, and the caller has it. The remote side may be
/// shown the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ParseError {
    /// There is nothing to parse.
    #[error("the text is empty")]
    Empty,
    /// The text, or one part of it, is longer than its documented bound.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// A character outside the alphabet, or in a place where it may not stand.
    #[error("character not allowed at byte {at}")]
    Character {
        /// The offset, in bytes from the start of the text.
        at: usize,
    },
    /// The parts are not those the form asks for: too many, too few, or one is empty.
    #[error("not of the form `{form}`")]
    Form {
        /// The form that was expected.
        form: &'static str,
    },
    /// An id of another kind, or no id at all.
    #[error("expected an id that begins with `{expected}_`")]
    Prefix {
        /// The prefix of the kind that was asked for.
        expected: &'static str,
    },
    /// A second spelling of a value that has one spelling only.
    #[error("not in canonical form")]
    NotCanonical,
    /// A scope with more levels than [`MAX_LEVELS`](crate::scope::MAX_LEVELS).
    #[error("more than {limit} levels")]
    TooDeep {
        /// The bound.
        limit: usize,
    },
}

/// The source of randomness failed; nothing that depended on it may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
#[error("the source of randomness failed")]
pub struct RandomError;

impl RandomError {
    /// The error, for sources of one's own: what failed is for the source to report.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

/// Why a restriction was not built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum RestrictionError {
    /// More pairs than [`MAX_GRANTS`](crate::restriction::MAX_GRANTS). Refuse the request that asked for it.
    #[error("more than {limit} grants")]
    TooManyGrants {
        /// The bound.
        limit: usize,
    },
}
