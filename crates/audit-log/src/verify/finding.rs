use std::fmt;

use serde::{Serialize, Serializer};

/// What is wrong at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    kind: FindingKind,
    first: u64,
    last: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
}

/// The kinds of damage.
///
/// The text form is the name in kebab case, and stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// Bytes of these records, or of what frames them, are not those that were written.
    Edited,
    /// The records' checksums fit and their chain does not: one of them was replaced with care.
    BrokenChain,
    /// Records that must have been there are not.
    Missing,
    /// A segment between others is gone, and these records with it.
    MissingSegment,
    /// Records stand in another place than they were written to.
    Misplaced,
    /// Records stand twice, or something stands between records that does not belong there.
    Inserted,
    /// The checksum and the chain fit, and the contents are not those of a record.
    Malformed,
    /// A record contradicts an earlier one: it completes a call that was not begun, or another than was.
    Inconsistent,
    /// The end of the log is gone: the log's own `head` knows of more.
    Truncated,
    /// An older state of the log: a checkpoint kept elsewhere knows of more.
    RolledBack,
    /// The log had other records at this point once: it was rewritten, or continued twice.
    Forked,
    /// A segment or a checkpoint of another log.
    OtherLog,
    /// The file `head` is gone.
    HeadMissing,
    /// The file `head` is not what was written.
    HeadDamaged,
    /// A published proof is not what the log and the signed heads make it. The log itself is not concerned: proofs
    /// can be made anew from it.
    DerivedEdited,
    /// A published proof is gone.
    DerivedMissing,
    /// The last write was cut off by a crash. It was never acknowledged: this is no damage, and the next
    /// writer removes it.
    TornTail,
}

impl FindingKind {
    /// The text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::BrokenChain => "broken-chain",
            Self::Missing => "missing",
            Self::MissingSegment => "missing-segment",
            Self::Misplaced => "misplaced",
            Self::Inserted => "inserted",
            Self::Malformed => "malformed",
            Self::Inconsistent => "inconsistent",
            Self::Truncated => "truncated",
            Self::RolledBack => "rolled-back",
            Self::Forked => "forked",
            Self::OtherLog => "other-log",
            Self::HeadMissing => "head-missing",
            Self::HeadDamaged => "head-damaged",
            Self::DerivedEdited => "derived-edited",
            Self::DerivedMissing => "derived-missing",
            Self::TornTail => "torn-tail",
        }
    }

    /// Whether something that was acknowledged was changed or lost.
    #[must_use]
    pub const fn is_damage(self) -> bool {
        !matches!(self, Self::TornTail)
    }

    /// Whether it is about published proofs only, which can be made anew from the log.
    #[must_use]
    pub const fn is_derived(self) -> bool {
        matches!(self, Self::DerivedEdited | Self::DerivedMissing)
    }

    /// Whether the finding is about a file beside the segments, and not about records.
    const fn is_about_file(self) -> bool {
        matches!(self, Self::HeadMissing | Self::HeadDamaged) || self.is_derived()
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for FindingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Finding {
    pub(crate) const fn new(kind: FindingKind, first: u64, last: u64) -> Self {
        Self { kind, first, last, file: None, offset: None }
    }

    pub(crate) fn at(self, file: impl Into<Box<str>>, offset: u64) -> Self {
        Self { file: Some(file.into()), offset: Some(offset), ..self }
    }

    pub(crate) fn becomes(&mut self, kind: FindingKind) {
        self.kind = kind;
    }

    pub(crate) fn reaches(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    /// Takes in a finding that goes on where this one ends.
    pub(crate) fn absorb(&mut self, next: &Self) -> bool {
        let goes_on =
            self.kind == next.kind && self.file == next.file && self.last.checked_add(1) == Some(next.first);
        if goes_on {
            self.last = next.last;
        }
        goes_on
    }

    /// What kind of damage it is.
    #[must_use]
    pub const fn kind(&self) -> FindingKind {
        self.kind
    }

    /// The sequence of the first record it is about. Of a broken chain, the damage is at the first or the
    /// second of two; of inserted bytes and a segment's header it is the record that follows.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The sequence of the last record it is about.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The file it is in; none for what is not there.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Where in the file it begins, in bytes.
    #[must_use]
    pub const fn offset(&self) -> Option<u64> {
        self.offset
    }
}

/// One line for an operator.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if !self.kind.is_about_file() {
            let Self { first, last, .. } = self;
            if first == last {
                write!(f, ": record {first}")?
            } else {
                write!(f, ": records {first} to {last}")?
            }
        }
        match (&self.file, self.offset) {
            (Some(file), _) if self.kind.is_derived() => write!(f, ": `{file}`"),
            (Some(file), Some(offset)) => write!(f, " (`{file}`, byte {offset})"),
            _ => Ok(()),
        }
    }
}
