use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use core_types::ParseError;
use serde::{Deserialize, Serialize};

use super::details::Details;
use super::field::Field;
use super::text::{Escaped, bounded};
use crate::error::EventError;

/// The most bytes of a reason.
pub const MAX_REASON_BYTES: usize = 1024;

/// How a call ended.
///
/// The text form is the name in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// It was allowed, and it took effect.
    Allowed,
    /// It was refused for want of a right.
    Denied,
    /// It was allowed, and did not take effect.
    Failed,
    /// It was refused because nobody knows who asked.
    Unauthenticated,
    /// Its handling ended without saying how: a dropped [`Guard`](crate::Guard).
    Abandoned,
    /// Nobody knows whether it took effect: the process ended in between, or the store could not say.
    Unknown,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] =
        [Self::Allowed, Self::Denied, Self::Failed, Self::Unauthenticated, Self::Abandoned, Self::Unknown];

    /// The text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Unauthenticated => "unauthenticated",
            Self::Abandoned => "abandoned",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Outcome {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text).ok_or(ParseError::Form {
            form: "allowed, denied, failed, unauthenticated, abandoned or unknown",
        })
    }
}

/// What is known of a call after it: its outcome, how long it took, why.
///
/// ```
/// # use std::time::Duration;
/// let refused = audit_log::Completion::denied(Duration::from_micros(80)).with_reason("no role grants it")?;
/// assert_eq!(refused.outcome().as_str(), "denied");
/// # Ok::<(), audit_log::EventError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    outcome: Outcome,
    duration_us: Option<u64>,
    reason: Option<Box<str>>,
    details: Details,
}

impl Completion {
    /// It took effect.
    #[must_use]
    pub fn allowed(duration: Duration) -> Self {
        Self::new(Outcome::Allowed, Some(duration))
    }

    /// A right was missing.
    #[must_use]
    pub fn denied(duration: Duration) -> Self {
        Self::new(Outcome::Denied, Some(duration))
    }

    /// It was allowed and did not take effect.
    #[must_use]
    pub fn failed(duration: Duration) -> Self {
        Self::new(Outcome::Failed, Some(duration))
    }

    /// No credential, or none that holds.
    #[must_use]
    pub fn unauthenticated(duration: Duration) -> Self {
        Self::new(Outcome::Unauthenticated, Some(duration))
    }

    /// The store could not say whether it took effect.
    #[must_use]
    pub fn unknown(duration: Duration) -> Self {
        Self::new(Outcome::Unknown, Some(duration))
    }

    pub(crate) fn new(outcome: Outcome, duration: Option<Duration>) -> Self {
        let duration_us = duration.map(|duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        Self { outcome, duration_us, reason: None, details: Details::new() }
    }

    pub(super) fn from_parts(
        outcome: Outcome,
        duration_us: Option<u64>,
        reason: Option<Box<str>>,
        details: Details,
    ) -> Result<Self, EventError> {
        let reason = reason.map(|reason| bounded(reason, "reason", MAX_REASON_BYTES)).transpose()?;
        Ok(Self { outcome, duration_us, reason, details })
    }

    /// Why, for the reader of the log.
    ///
    /// # Errors
    /// [`EventError::TooLong`] past [`MAX_REASON_BYTES`].
    pub fn with_reason(self, reason: impl Into<Box<str>>) -> Result<Self, EventError> {
        Ok(Self { reason: Some(bounded(reason.into(), "reason", MAX_REASON_BYTES)?), ..self })
    }

    /// Adds a detail.
    ///
    /// # Errors
    /// As [`Details::insert`].
    pub fn with_detail(mut self, name: &str, value: impl Into<Field>) -> Result<Self, EventError> {
        self.details.insert(name, value)?;
        Ok(self)
    }

    /// How it ended.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// How long it took, in whole microseconds; nobody knows of a call that a crash cut off.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.duration_us.map(Duration::from_micros)
    }

    /// Why, as it was given.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Further values.
    #[must_use]
    pub const fn details(&self) -> &Details {
        &self.details
    }

    pub(super) const fn duration_us(&self) -> Option<u64> {
        self.duration_us
    }
}

/// One line; what strangers wrote is escaped.
impl fmt::Display for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outcome.fmt(f)?;
        if let Some(duration_us) = self.duration_us {
            write!(f, " after {duration_us} us")?;
        }
        self.reason.as_deref().map_or(Ok(()), |reason| write!(f, ": {}", Escaped::new(reason)))
    }
}
