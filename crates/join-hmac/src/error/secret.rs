use core_types::RandomError;

use super::{MemberError, WireError};

/// Why a ticket is none, or lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// The text is no ticket: cut off, mistyped, or something else.
    #[error("not a ticket, or mistyped")]
    NotATicket,
    /// Label, role, names, uses or end are outside their bounds.
    #[error("the ticket's policy is outside its bounds")]
    Policy,
    /// It is revoked, over, or used up.
    #[error("the ticket is revoked, over, or used up")]
    Unusable,
    /// A key could not be made.
    #[error(transparent)]
    Member(#[from] MemberError),
    /// The record is malformed.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Why what was typed is no pairing code. The hint is for the person who typed it, and for no log.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// It does not have two to four words.
    #[error("a code has two to four words")]
    Count,
    /// A word is not of the list.
    #[error("word {position} is not of the list")]
    Word {
        /// Which, counted from 1.
        position: usize,
        /// The word that was probably meant: part of a secret.
        meant: Option<&'static str>,
    },
    /// The random source failed.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl CodeError {
    /// The word that was probably meant, for the person who typed it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Word { meant, .. } => *meant,
            Self::Count | Self::Random(_) => None,
        }
    }
}

/// Without the hint.
impl core::fmt::Debug for CodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "CodeError({self})")
    }
}

/// Why words are no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FingerprintWordsError {
    /// There are not nine.
    #[error("a fingerprint has eight words and a check word")]
    Count,
    /// A word is not of the list.
    #[error("word {position} is not of the list")]
    Word {
        /// Which, counted from 1.
        position: usize,
        /// The word that was probably meant.
        meant: Option<&'static str>,
    },
    /// The check word does not fit: one of the words is another than was read out.
    #[error("the check word does not fit")]
    Check,
}
