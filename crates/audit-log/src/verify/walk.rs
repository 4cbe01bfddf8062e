//! One pass over the segments.

mod records;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::thread;

use super::Mode;
use super::finding::{Finding, FindingKind};
use super::published::Published;
use super::report::Report;
use super::trees::Trees;
use crate::checkpoint::{Chain, Checkpoint, LogId};
use crate::error::{FileError, VerifyError};
use crate::files::Directory;
use crate::format::{self, HeaderFlaw, Seed, SegmentHeader};
use crate::head::{Found, HEAD};
use crate::scan::{self, SEGMENT_HEADER_END, SegmentReader, Step, Tail};
use crate::tlog;

/// The state of one pass.
pub(crate) struct Walk<'a> {
    directory: &'a dyn Directory,
    log: LogId,
    mode: Mode,
    // Those of this log, by sequence; the head's is among them.
    known: BTreeMap<u64, Vec<Known>>,
    report: Report,
    position: Position,
    // The sequence of the first record of the first segment that is read.
    floor: u64,
    // The end of the log cannot be read. What it held, a checkpoint may tell.
    unreadable_end: Option<Finding>,
    // The last segment there was when the pass began.
    last_listed: u64,
    // Nothing that comes later belongs to this pass: it was not there when the end was seen.
    is_over: bool,
    // Here it had the record that something knows of which is not the log's own.
    matched_to: u64,
    // How many may work at a batch.
    threads: usize,
    // The trees of published proofs, as the records make them.
    trees: Option<Trees>,
    end: End,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    chain: Chain,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The file `head`.
    Head,
    /// A published epoch, signed by the key that lies beside it.
    Epoch,
    /// Kept elsewhere, or signed by a key that was.
    Given,
}

/// Where in the chain the pass is.
#[derive(Debug, Clone, Copy)]
struct Position {
    /// The sequence of the last record, there or not.
    sequence: u64,
    /// The chain hash that is stored with it; none when it was not seen.
    stored: Option<Chain>,
    /// The chain hash that its bytes have, of a record whose checksum does not fit: either may be right.
    computed: Option<Chain>,
}

/// How the log ends, for the writer that goes on from there.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// The last segment with a header; 0 when there is none.
    pub(crate) segment: u64,
    /// Where its last batch ends.
    pub(crate) offset: u64,
    /// Where its last batch begins, where it has one.
    pub(crate) last_batch: Option<u64>,
    /// Whether something unfinished follows.
    pub(crate) is_torn: bool,
    /// A segment whose creation was cut off.
    pub(crate) unborn: Option<u64>,
    /// The sequence and the chain hash of the last record.
    pub(crate) tip: (u64, Chain),
    /// The calls that were begun and not completed.
    pub(crate) open: BTreeMap<u64, OpenCall>,
}

/// An intent that no record completes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenCall {
    pub(crate) segment: u64,
    /// Where its batch begins.
    pub(crate) offset: u64,
    // SHA-256 of the intent's bytes, which its completion repeats.
    intent: Chain,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        directory: &'a dyn Directory,
        log: LogId,
        head: Found,
        known: &[Checkpoint],
        mode: Mode,
    ) -> Self {
        let genesis = Checkpoint::genesis(log);
        let mut walk = Self {
            directory,
            log,
            mode,
            known: BTreeMap::new(),
            report: Report::new(Some(log)),
            position: Position { sequence: 0, stored: Some(*genesis.chain()), computed: None },
            floor: 1,
            unreadable_end: None,
            last_listed: 0,
            is_over: false,
            matched_to: 0,
            threads: thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_THREADS),
            trees: None,
            end: End::default(),
        };
        match head {
            Found::Head(head) => walk.know(&head.reached, Source::Head),
            Found::Missing => walk.report.add(Finding::new(FindingKind::HeadMissing, 0, 0)),
            Found::Malformed => {
                walk.report.add(Finding::new(FindingKind::HeadDamaged, 0, 0).at(HEAD, 0));
            }
        }
        known.iter().for_each(|checkpoint| walk.know(checkpoint, Source::Given));
        walk
    }

    /// Compares the records with what was published of them.
    pub(super) fn with_published(mut self, mut published: Published, is_trusted: bool) -> Self {
        published.findings.drain(..).for_each(|finding| self.report.add(finding));
        let newest = published.known.last().map(Checkpoint::sequence);
        let source = if is_trusted { Source::Given } else { Source::Epoch };
        published.known.drain(..).for_each(|checkpoint| self.know(&checkpoint, source));
        self.report.published_to = newest;
        self.trees = Some(Trees::new(published, self.log));
        self
    }

    fn know(&mut self, checkpoint: &Checkpoint, source: Source) {
        if checkpoint.log() == self.log {
            let known = Known { chain: *checkpoint.chain(), source };
            self.known.entry(checkpoint.sequence()).or_default().push(known);
        } else {
            let sequence = checkpoint.sequence();
            self.report.add(Finding::new(FindingKind::OtherLog, sequence, sequence));
        }
    }

    pub(crate) fn run(&mut self, numbers: &[u64]) -> Result<(), VerifyError> {
        let first = match self.mode {
            Mode::Beside => 1,
            Mode::Fenced { from } => from,
        };
        self.last_listed = numbers.last().copied().unwrap_or(0);
        if first <= 1 {
            self.compare_known();
        }
        for number in first.. {
            if let Some(segment) = SegmentReader::open(self.directory, number)? {
                self.segment(segment, number == first)?;
            } else if number <= self.last_listed {
                let next = self.position.sequence.saturating_add(1);
                let finding = Finding::new(FindingKind::MissingSegment, next, next);
                self.report.add(finding.at(format::segment_name(number), 0));
                self.position.stored = None;
            } else {
                break;
            }
            if self.is_over {
                break;
            }
        }
        Ok(())
    }

    /// Whether no segment follows. What was read before asking is all there was of this one; what is read
    /// afterwards may not be.
    fn is_last(&self, number: u64) -> Result<bool, FileError> {
        let next = number.saturating_add(1);
        Ok(number >= self.last_listed && SegmentReader::open(self.directory, next)?.is_none())
    }

    /// The report, and where the log ends.
    pub(crate) fn finish(mut self) -> (Report, End) {
        let tip = self.position.sequence;
        let known: Vec<(u64, Vec<Known>)> = self
            .known
            .range(tip.saturating_add(1)..)
            .map(|(sequence, known)| (*sequence, known.clone()))
            .collect();
        for (sequence, known) in known {
            let from_head = known.iter().any(|known| known.source == Source::Head);
            let kind = if from_head { FindingKind::Truncated } else { FindingKind::RolledBack };
            match &mut self.unreadable_end {
                // They were in what cannot be read.
                Some(unreadable) if unreadable.first() > tip => unreadable.reaches(sequence),
                _ => self.report.add(Finding::new(kind, tip.saturating_add(1), sequence)),
            }
        }
        if let Some(unreadable) = self.unreadable_end.take() {
            self.report.add(unreadable);
        }
        self.compare_trees(tip);
        self.report.open_calls = scan::to_u64(self.end.open.len());
        let damaged = self.report.findings().iter().filter(|finding| finding.kind().is_damage());
        let first_bad = damaged.map(Finding::first).filter(|first| *first > 0).min();
        self.report.proven_to = first_bad.map_or(tip, |first| first.saturating_sub(1).min(tip));
        if let Position { stored: Some(chain), computed: None, .. } = self.position {
            self.report.head = Some(Checkpoint::new(self.log, tip, chain));
            self.end.tip = (tip, chain);
        }
        (self.report, self.end)
    }

    /// What signed heads say beyond the checkpoints. Where the records are damaged, the trees lead nowhere.
    fn compare_trees(&mut self, tip: u64) {
        let Some(trees) = self.trees.take().filter(|_| self.report.is_log_intact()) else { return };
        let verdict = trees.finish();
        for slot in verdict.misplaced {
            let file = format!("{}/{}/{}", tlog::PROOFS, tlog::tenant_folder(slot), tlog::CHECKPOINT);
            self.report.add(Finding::new(FindingKind::DerivedEdited, 0, 0).at(file, 0));
        }
        if let Some(mismatch) = verdict.forked {
            let first = self.matched_to.saturating_add(1).min(mismatch.at);
            self.report.add(Finding::new(FindingKind::Forked, first, mismatch.at));
        } else if verdict.is_short {
            let next = tip.saturating_add(1);
            self.report.add(Finding::new(FindingKind::RolledBack, next, next));
        }
    }

    fn segment(&mut self, mut segment: SegmentReader, is_first: bool) -> Result<(), VerifyError> {
        let next = self.position.sequence.saturating_add(1);
        if segment.header()?.is_err() {
            if self.is_last(segment.number)? && segment.is_unborn()? {
                return self.unborn(&segment);
            }
            // It may have been written just now.
            segment.refresh();
        }
        let header = match segment.header()? {
            Ok(header) if header.log == self.log => header,
            Ok(_) => {
                self.report.add(Finding::new(FindingKind::OtherLog, next, next).at(&*segment.name, 0));
                self.position.stored = None;
                return Ok(());
            }
            Err(HeaderFlaw::Version(found)) => {
                return Err(VerifyError::Version { file: segment.name.into(), found });
            }
            Err(_) => {
                self.report.add(Finding::new(FindingKind::Edited, next, next).at(&*segment.name, 0));
                // What the header should say; batches of another segment or place will not fit.
                let chain = self.position.stored.unwrap_or_default();
                SegmentHeader { log: self.log, number: segment.number, first: next, chain }
            }
        };
        self.enter(&segment, &header, is_first);
        self.report.segments = self.report.segments.saturating_add(1);
        self.end.segment = segment.number;
        self.end.last_batch = None;
        let seed = Seed::new(self.log, header.number);
        let offset = self.batches(&mut segment, &seed)?;
        self.end.offset = offset;
        self.report.bytes = self.report.bytes.saturating_add(offset);
        Ok(())
    }

    /// A segment file without a whole header: the writer was cut off while it made it, or is making it.
    fn unborn(&mut self, segment: &SegmentReader) -> Result<(), VerifyError> {
        self.is_over = true;
        if self.is_being_written()? {
            self.report.being_written = true;
        } else {
            let next = self.position.sequence.saturating_add(1);
            self.report.add(Finding::new(FindingKind::TornTail, next, next).at(&*segment.name, 0));
            self.end.unborn = Some(segment.number);
        }
        Ok(())
    }

    /// Compares what a header says with where the pass is.
    fn enter(&mut self, segment: &SegmentReader, header: &SegmentHeader, is_first: bool) {
        let before = header.first.saturating_sub(1);
        let here = Position { sequence: before, stored: Some(header.chain), computed: None };
        if is_first && segment.number > 1 {
            self.position = here;
            self.floor = header.first;
            self.compare_known();
            return;
        }
        let next = self.position.sequence.saturating_add(1);
        let at_header = |kind, first, last| Finding::new(kind, first, last).at(&*segment.name, 0);
        if header.number != segment.number {
            self.report.add(at_header(FindingKind::Misplaced, next.min(header.first), header.first));
        } else if header.first > next {
            let finding = match self.unreadable_end.take() {
                // They were in what cannot be read at the end of the segment before.
                Some(mut unreadable) if unreadable.first() == next => {
                    unreadable.reaches(before);
                    unreadable
                }
                _ => at_header(FindingKind::Missing, next, before),
            };
            self.report.add(finding);
            self.position = here;
        } else if header.first < next {
            self.report.add(at_header(FindingKind::Inserted, header.first, next));
        } else if let Position { stored: Some(stored), computed: None, .. } = self.position {
            if stored != header.chain {
                self.report.add(at_header(FindingKind::BrokenChain, before.max(1), header.first));
            }
        } else {
            // The record before is lost or damaged, which was reported: the header knows its chain hash.
            self.position = here;
        }
    }

    /// Goes through the batches of a segment and returns where they end.
    fn batches(&mut self, segment: &mut SegmentReader, seed: &Seed) -> Result<u64, VerifyError> {
        let mut offset = SEGMENT_HEADER_END;
        let mut was_refreshed = false;
        loop {
            let next = self.position.sequence.saturating_add(1);
            let name = segment.name.clone();
            let number = segment.number;
            let is_bad = match segment.step(seed, offset, u64::MAX)? {
                Step::Batch(header, bytes) => match format::records(&header, bytes, seed) {
                    Some(records) if records.iter().all(|record| record.intact) => {
                        self.batch(&name, number, offset, &header, &records);
                        offset = offset.saturating_add(u64::from(header.length));
                        was_refreshed = false;
                        continue;
                    }
                    _ => true,
                },
                Step::End => false,
                Step::Bad => true,
            };
            // What was read ahead may be older than what the writer has done since.
            if !was_refreshed {
                segment.refresh();
                was_refreshed = true;
                continue;
            }
            self.is_over = self.is_last(number)?;
            if !self.is_over {
                // Sealed only now: once more, the writer's last words may have come in between.
                segment.refresh();
            }
            if !is_bad && (self.is_over || matches!(segment.step(seed, offset, u64::MAX)?, Step::End)) {
                return Ok(offset);
            }
            if self.is_over
                && let Some(end) = self.tail(segment, seed, offset, next)?
            {
                return Ok(end);
            }
            match self.damaged(segment, seed, offset)? {
                Some(after) => offset = after,
                None => return Ok(offset),
            }
            was_refreshed = false;
        }
    }

    /// Whether what stands at the end of the last segment is unfinished; then the log ends before it.
    fn tail(
        &mut self,
        segment: &mut SegmentReader,
        seed: &Seed,
        offset: u64,
        next: u64,
    ) -> Result<Option<u64>, VerifyError> {
        let is_written_to = self.is_being_written()?;
        segment.refresh();
        if is_written_to && segment.next_batch(seed, offset.saturating_add(1))?.is_none() {
            self.report.being_written = true;
            return Ok(Some(offset));
        }
        match segment.tail(seed, offset, next)? {
            Tail::Empty => Ok(Some(offset)),
            Tail::Torn => {
                self.report.add(Finding::new(FindingKind::TornTail, next, next).at(&*segment.name, offset));
                self.end.is_torn = true;
                Ok(Some(offset))
            }
            Tail::Damage => Ok(None),
        }
    }

    fn is_being_written(&self) -> Result<bool, FileError> {
        match self.mode {
            Mode::Beside => self.directory.is_fenced().map_err(FileError::new("look for a writer of", ".")),
            Mode::Fenced { .. } => Ok(false),
        }
    }

    /// Reports what is at `offset` and returns where to go on.
    fn damaged(
        &mut self,
        segment: &mut SegmentReader,
        seed: &Seed,
        offset: u64,
    ) -> Result<Option<u64>, VerifyError> {
        let next = self.position.sequence.saturating_add(1);
        let name = segment.name.clone();
        let number = segment.number;
        // What was read while the writer was still at it may be whole by now.
        segment.refresh();
        match segment.step(seed, offset, u64::MAX)? {
            Step::Batch(header, bytes) => {
                match format::records(&header, bytes, seed) {
                    Some(records) => self.batch(&name, number, offset, &header, &records),
                    // It says that it is what was read before.
                    None if header.first < next => {
                        let last = header.next().saturating_sub(1);
                        let finding = Finding::new(FindingKind::Inserted, header.first, last);
                        self.report.add(finding.at(name, offset));
                    }
                    None => {
                        self.missing_before(&name, offset, header.first);
                        self.unreadable(&name, offset, header.first, header.next().saturating_sub(1));
                    }
                }
                return Ok(Some(offset.saturating_add(u64::from(header.length))));
            }
            Step::End => return Ok(None),
            Step::Bad => {}
        }
        let Some((at, header)) = segment.next_batch(seed, offset.saturating_add(1))? else {
            // How many records this was, only a checkpoint can tell.
            let finding = Finding::new(FindingKind::Edited, next, next).at(name, offset);
            if let Some(earlier) = self.unreadable_end.replace(finding) {
                self.report.add(earlier);
            }
            self.position.stored = None;
            self.position.computed = None;
            return Ok(None);
        };
        if header.first > next {
            self.unreadable(&name, offset, next, header.first.saturating_sub(1));
        } else {
            self.report.add(Finding::new(FindingKind::Inserted, next, next).at(name, offset));
        }
        Ok(Some(at))
    }

    /// These records cannot be read.
    fn unreadable(&mut self, name: &str, offset: u64, first: u64, last: u64) {
        self.report.add(Finding::new(FindingKind::Edited, first, last).at(name, offset));
        self.position = Position { sequence: last, stored: None, computed: None };
    }
}

const MAX_THREADS: usize = 8;
