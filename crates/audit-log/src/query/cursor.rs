use std::fmt;
use std::str::FromStr;

use core_types::ParseError;

use crate::hex;

/// Where a page begins, and in which direction it goes.
///
/// The text form is `newest`, `before-SEQUENCE`, or `after-SEQUENCE`; `after-0` is the beginning. A cursor
/// stays good for ever: entries have their place by sequence, and what is added comes behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(super) position: Position,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// Oldest first, from the record after this one.
    After(u64),
    /// Newest first, from the record before this one, or from the last.
    Before(Option<u64>),
}

impl Cursor {
    /// From the oldest entry on.
    #[must_use]
    pub const fn oldest_first() -> Self {
        Self::after(0)
    }

    /// From the newest entry back.
    #[must_use]
    pub const fn newest_first() -> Self {
        Self { position: Position::Before(None) }
    }

    /// Oldest first, from the entry after this sequence.
    #[must_use]
    pub const fn after(sequence: u64) -> Self {
        Self { position: Position::After(sequence) }
    }

    /// Newest first, from the entry before this sequence.
    #[must_use]
    pub const fn before(sequence: u64) -> Self {
        Self { position: Position::Before(Some(sequence)) }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Position::After(sequence) => write!(f, "{AFTER}{sequence}"),
            Position::Before(Some(sequence)) => write!(f, "{BEFORE}{sequence}"),
            Position::Before(None) => f.write_str(NEWEST),
        }
    }
}

impl FromStr for Cursor {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let position = if text == NEWEST {
            Some(Position::Before(None))
        } else if let Some(sequence) = text.strip_prefix(AFTER) {
            hex::parse_decimal(sequence).map(Position::After)
        } else if let Some(sequence) = text.strip_prefix(BEFORE) {
            hex::parse_decimal(sequence).map(|sequence| Position::Before(Some(sequence)))
        } else {
            None
        };
        position
            .map(|position| Self { position })
            .ok_or(ParseError::Form { form: "newest, before-SEQUENCE or after-SEQUENCE" })
    }
}

const NEWEST: &str = "newest";
const AFTER: &str = "after-";
const BEFORE: &str = "before-";
