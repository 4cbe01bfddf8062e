use std::fmt;

use serde::Serialize;

use super::finding::{Finding, FindingKind};
use crate::checkpoint::{Checkpoint, LogId};

/// The most findings a report lists; more are counted.
pub const MAX_FINDINGS: usize = 256;

/// What a check of a log has found.
///
/// `Display` is for people. It serializes as one object: `log`, `head`, `segments`, `bytes`, `records`,
/// `entries`, `open_calls`, `proven_to`, `confirmed_to`, `published_to`, `being_written`, `findings` (each with `kind`,
/// `first`, `last`, and where it has them `file` and `offset`), `findings_left_out`.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub(super) log: Option<LogId>,
    pub(super) head: Option<Checkpoint>,
    pub(super) segments: u64,
    pub(super) bytes: u64,
    pub(super) records: u64,
    pub(super) entries: u64,
    pub(super) open_calls: u64,
    pub(super) proven_to: u64,
    pub(super) confirmed_to: Option<u64>,
    pub(super) published_to: Option<u64>,
    pub(super) being_written: bool,
    findings: Vec<Finding>,
    findings_left_out: u64,
    #[serde(skip)]
    is_damaged: bool,
}

impl Report {
    pub(super) const fn new(log: Option<LogId>) -> Self {
        Self {
            log,
            head: None,
            segments: 0,
            bytes: 0,
            records: 0,
            entries: 0,
            open_calls: 0,
            proven_to: 0,
            confirmed_to: None,
            published_to: None,
            being_written: false,
            findings: Vec::new(),
            findings_left_out: 0,
            is_damaged: false,
        }
    }

    /// Whether all that was acknowledged is there and unchanged, as far as can be told from the log and the
    /// checkpoints that were given. `false` is an alarm.
    #[must_use]
    pub const fn is_intact(&self) -> bool {
        !self.is_damaged
    }

    /// Whether the log itself is intact, whatever may be wrong with the proofs that were published of it.
    #[must_use]
    pub fn is_log_intact(&self) -> bool {
        let is_harmless = |finding: &Finding| finding.kind().is_derived() || !finding.kind().is_damage();
        self.is_intact() || (self.findings_left_out == 0 && self.findings.iter().all(is_harmless))
    }

    /// Which log it is, where that can be told.
    #[must_use]
    pub const fn log(&self) -> Option<LogId> {
        self.log
    }

    /// Where the log stands: keep it elsewhere, for the next check. None where nothing could be read.
    #[must_use]
    pub const fn head(&self) -> Option<Checkpoint> {
        self.head
    }

    /// How many segments there are.
    #[must_use]
    pub const fn segments(&self) -> u64 {
        self.segments
    }

    /// How many bytes of headers and records were read.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many records there are: two for a call, one for an attempt without effect.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// How many calls and attempts there are, each counted once, those under way included.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// How many calls were begun and not completed.
    #[must_use]
    pub const fn open_calls(&self) -> u64 {
        self.open_calls
    }

    /// From the first record to this one, nothing is wrong: each is linked to the one before.
    #[must_use]
    pub const fn proven_to(&self) -> u64 {
        self.proven_to
    }

    /// The newest of the given checkpoints that the log still contains: up to there the records are those
    /// the checkpoint was made of, whoever may have had their hands on the files since.
    #[must_use]
    pub const fn confirmed_to(&self) -> Option<u64> {
        self.confirmed_to
    }

    /// Up to here, the newest signed epoch has the records; none where no proofs are published.
    #[must_use]
    pub const fn published_to(&self) -> Option<u64> {
        self.published_to
    }

    /// Whether a writer was at work, whose last write was left out.
    #[must_use]
    pub const fn is_being_written(&self) -> bool {
        self.being_written
    }

    /// What is wrong, in the order in which it was met; at most [`MAX_FINDINGS`].
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many findings are not listed.
    #[must_use]
    pub const fn findings_left_out(&self) -> u64 {
        self.findings_left_out
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.is_damaged |= finding.kind().is_damage();
        if self.findings.last_mut().is_some_and(|last| last.absorb(&finding)) {
            return;
        }
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.findings_left_out = self.findings_left_out.saturating_add(1);
        }
    }

    /// Turns the finding that exactly these records are missing into one that they stand elsewhere.
    pub(super) fn found_elsewhere(&mut self, first: u64, last: u64) -> bool {
        let missing = |finding: &&mut Finding| {
            matches!(finding.kind(), FindingKind::Missing | FindingKind::Misplaced)
                && finding.first() <= first
                && last <= finding.last()
        };
        self.findings
            .iter_mut()
            .find(missing)
            .map(|finding| finding.becomes(FindingKind::Misplaced))
            .is_some()
    }

    /// Whether a finding is about this record.
    pub(super) fn concerns(&self, sequence: u64) -> bool {
        self.findings_left_out > 0
            || self.findings.iter().any(|finding| (finding.first()..=finding.last()).contains(&sequence))
    }
}

/// A few lines for an operator.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", if self.is_intact() { "intact" } else { "DAMAGED" })?;
        if let Some(head) = &self.head {
            writeln!(f, "checkpoint: {head}")?;
        }
        let Self { segments, bytes, records, entries, open_calls, proven_to, .. } = self;
        writeln!(
            f,
            "{entries} entries ({open_calls} under way), {records} records, {bytes} bytes, {segments} segments"
        )?;
        writeln!(f, "records 1 to {proven_to} are linked without a gap")?;
        if let Some(sequence) = self.confirmed_to {
            writeln!(f, "records 1 to {sequence} are those of a checkpoint that was given")?;
        }
        if let Some(sequence) = self.published_to {
            writeln!(f, "records 1 to {sequence} are published, with signed tree heads")?;
        }
        if self.is_log_intact() && !self.is_intact() {
            writeln!(f, "the log itself is intact: its proofs can be made anew")?;
        }
        if self.being_written {
            writeln!(f, "a writer is at work; what it has not finished was left out")?;
        }
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
        match self.findings_left_out {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}
