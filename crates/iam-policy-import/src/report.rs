use core::fmt;

use serde::Serialize;

/// How much of a statement, rule or row was taken over. Never more than it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a fourth answer must break whoever acts on it")]
pub enum Fidelity {
    /// It decides every request as the original does.
    Exact,
    /// It allows less than the original, or denies more.
    Narrowed,
    /// It allows nothing.
    Refused,
}

/// What became of one statement, rule or row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// Which: its file, and its place in it.
    pub place: String,
    /// How much of it was taken over.
    pub fidelity: Fidelity,
    /// Why not all of it, or what was assumed.
    pub reasons: Vec<String>,
}

/// What became of a source, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Report {
    entries: Vec<Entry>,
}

impl Report {
    pub(crate) fn push(&mut self, place: impl Into<String>, fidelity: Fidelity, reasons: Vec<String>) {
        self.entries.push(Entry { place: place.into(), fidelity, reasons });
    }

    /// What of it was not taken over as it is.
    pub(crate) fn lacking(&self) -> Self {
        let lacking = self.entries.iter().filter(|entry| entry.fidelity != Fidelity::Exact);
        Self { entries: lacking.cloned().collect() }
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether everything was taken over as it is.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.entries.iter().all(|entry| entry.fidelity == Fidelity::Exact)
    }

    /// How many entries are of this fidelity.
    #[must_use]
    pub fn count(&self, fidelity: Fidelity) -> usize {
        self.entries.iter().filter(|entry| entry.fidelity == fidelity).count()
    }
}

impl fmt::Display for Fidelity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Narrowed => "narrowed",
            Self::Refused => "refused",
        })
    }
}

/// `place: fidelity (reason; reason)`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.fidelity)?;
        if self.reasons.is_empty() { Ok(()) } else { write!(f, " ({})", self.reasons.join("; ")) }
    }
}
