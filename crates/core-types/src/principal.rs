//! Who acts: a user, a service account, a machine, or a token acting for one of them.

use core::fmt;
use core::str::FromStr;

use crate::error::ParseError;
use crate::id::{MachineId, ServiceAccountId, TokenId, UserId};

/// Someone or something that holds rights of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// A person.
    User(UserId),
    /// A program.
    ServiceAccount(ServiceAccountId),
    /// A machine of the fleet.
    Machine(MachineId),
}

impl FromStr for Subject {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.split_once('_').map(|(prefix, _)| prefix) {
            Some("usr") => text.parse().map(Self::User),
            Some("svc") => text.parse().map(Self::ServiceAccount),
            Some("mch") => text.parse().map(Self::Machine),
            _ => Err(ParseError::Form { form: "usr_…, svc_… or mch_…" }),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::ServiceAccount(id) => id.fmt(f),
            Self::Machine(id) => id.fmt(f),
        }
    }
}

/// The actor of a request: a subject, and the token it acts through where there is one.
///
/// The text form is the subject's, or `tok_…@usr_…` for a token acting for a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Principal {
    /// The subject itself, by a session or a certificate of its own.
    Subject(Subject),
    /// A token that acts for the subject, and never beyond it.
    Token {
        /// The token.
        token: TokenId,
        /// Whose rights it uses.
        subject: Subject,
    },
}

impl Principal {
    /// The subject itself.
    #[must_use]
    pub const fn subject(subject: Subject) -> Self {
        Self::Subject(subject)
    }

    /// `token` acting for `subject`.
    #[must_use]
    pub const fn token(token: TokenId, subject: Subject) -> Self {
        Self::Token { token, subject }
    }

    /// Whose rights are used.
    #[must_use]
    pub const fn rights_of(&self) -> Subject {
        match self {
            Self::Subject(subject) | Self::Token { subject, .. } => *subject,
        }
    }

    /// The token, where one is used.
    #[must_use]
    pub const fn token_id(&self) -> Option<TokenId> {
        match self {
            Self::Subject(_) => None,
            Self::Token { token, .. } => Some(*token),
        }
    }
}

impl FromStr for Principal {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.split_once('@') {
            Some((token, subject)) => Ok(Self::token(token.parse()?, subject.parse()?)),
            None => text.parse().map(Self::Subject),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => subject.fmt(f),
            Self::Token { token, subject } => write!(f, "{token}@{subject}"),
        }
    }
}

#[cfg(feature = "serde")]
crate::serde_text::impl_text!(impl[] Subject);
#[cfg(feature = "serde")]
crate::serde_text::impl_text!(impl[] Principal);
