use std::io;
use std::path::Path;
use std::sync::Arc;

use core_types::Scope;

use super::cursor::{Cursor, Position};
use super::filter::Filter;
use crate::error::{FileError, QueryError};
use crate::event::{Entry, Kind, Record};
use crate::files::{Directory, SystemDirectory};
use crate::format::{self, BatchHeader, RawRecord, Seed, SegmentHeader};
use crate::log::Shared;
use crate::scan::{self, SEGMENT_HEADER_END, SegmentReader, Step, Tail};

/// The most entries of one page.
pub const MAX_PAGE_ENTRIES: usize = 1000;

/// The most bytes of entries on one page, of which the last may begin before the bound.
pub const MAX_PAGE_BYTES: usize = 4 << 20;

/// The most records that are looked at for one page.
pub const MAX_SCANNED_RECORDS: usize = 100_000;

/// Reads the entries whose tenant lies in one scope, and no others.
///
/// An entry appears when its call has ended; its place is that of the record that completed it. What a page
/// shows does not change any more, and what is added comes behind the last entry.
///
/// A query checks the checksums of what it reads. Whether the log is true, [`verify`](crate::verify()) tells.
#[derive(Clone)]
pub struct Reader {
    directory: Arc<dyn Directory>,
    // Beside a writer: how far the log is durable.
    shared: Option<Arc<Shared>>,
    scope: Scope,
}

/// Some entries, and how to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The entries, in the cursor's order. There may be fewer than asked for, even none, before the end: the
    /// work for one page is bounded.
    pub entries: Vec<Entry>,
    /// The cursor of the next page.
    pub next: Cursor,
    /// Whether this page reached the end. Oldest first, the next page has what will have been added then.
    pub is_end: bool,
}

impl Reader {
    /// A reader of the log in a directory, for the entries whose tenant lies in `scope`.
    ///
    /// A writer may be at work meanwhile. Then the last entries may be written and not yet synced, and a power
    /// cut may take them back; [`AuditLog::reader`](crate::AuditLog::reader) shows what is durable only.
    ///
    /// # Errors
    /// [`QueryError::NoLog`], [`QueryError::File`].
    pub fn open(path: &Path, scope: Scope) -> Result<Self, QueryError> {
        let directory = SystemDirectory::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => QueryError::NoLog,
            _ => FileError::new("open", ".")(error).into(),
        })?;
        Ok(Self { directory: Arc::new(directory), shared: None, scope })
    }

    pub(crate) fn beside(directory: Arc<dyn Directory>, shared: Arc<Shared>, scope: Scope) -> Self {
        Self { directory, shared: Some(shared), scope }
    }

    /// The scope whose entries it reads.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Up to `limit` entries that meet the filter, from the cursor on.
    ///
    /// This reads files and may take some milliseconds; do not call it on an executor's thread.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn query(&self, filter: &Filter, cursor: Cursor, limit: usize) -> Result<Page, QueryError> {
        if !(1..=MAX_PAGE_ENTRIES).contains(&limit) {
            return Err(QueryError::Limit { most: MAX_PAGE_ENTRIES });
        }
        let bound = self.bound()?;
        let page = Page { entries: Vec::new(), next: cursor, is_end: false };
        let wanted = Wanted { scope: &self.scope, filter, limit, page, bytes: 0, scanned: 0 };
        match cursor.position {
            Position::After(after) => self.forwards(bound, after, wanted),
            Position::Before(before) => self.backwards(bound, before.unwrap_or(u64::MAX), wanted),
        }
    }

    /// How far this query sees.
    fn bound(&self) -> Result<Bound, QueryError> {
        if let Some(shared) = &self.shared {
            let durable = shared.durable();
            return Ok(Bound { segment: durable.segment, end: durable.end, is_exact: true });
        }
        let numbers = scan::segment_numbers(&*self.directory)?;
        let segment = numbers.last().copied().ok_or(QueryError::NoLog)?;
        Ok(Bound { segment, end: u64::MAX, is_exact: false })
    }

    fn forwards(&self, bound: Bound, after: u64, mut wanted: Wanted<'_>) -> Result<Page, QueryError> {
        let mut number = self.segment_of(bound, after.saturating_add(1))?;
        let mut last = after;
        while number <= bound.segment {
            let Some(mut open) = self.open_segment(bound, number)? else { break };
            let mut offset = SEGMENT_HEADER_END;
            // What lies before is passed over by its headers alone.
            while let Some(header) = open.header(offset)?
                && header.next() <= after.saturating_add(1)
            {
                offset = offset.saturating_add(u64::from(header.length));
                open.next = header.next();
            }
            while let Some((length, records)) = open.batch(&*self.directory, offset)? {
                for record in records.iter().filter(|record| record.sequence > after) {
                    if wanted.is_full() {
                        return Ok(Page { next: Cursor::after(last), ..wanted.page });
                    }
                    wanted.take(record).ok_or_else(|| damaged(number, offset))?;
                    last = record.sequence;
                }
                offset = offset.saturating_add(length);
            }
            number = number.saturating_add(1);
        }
        Ok(Page { next: Cursor::after(last), is_end: true, ..wanted.page })
    }

    fn backwards(&self, bound: Bound, before: u64, mut wanted: Wanted<'_>) -> Result<Page, QueryError> {
        let mut number = self.segment_of(bound, before.saturating_sub(1))?;
        let mut last = before;
        while number >= 1 {
            let Some(mut open) = self.open_segment(bound, number)? else {
                number = number.saturating_sub(1);
                continue;
            };
            let mut offsets = Vec::new();
            let mut offset = SEGMENT_HEADER_END;
            while let Some(header) = open.header(offset)?
                && header.first < before
            {
                offsets.push((offset, header.first));
                offset = offset.saturating_add(u64::from(header.length));
                open.next = header.next();
            }
            // Where the headers end, it is the end of the log, or of this segment, or damage.
            if open.next < before {
                open.batch(&*self.directory, offset)?;
            }
            for (offset, first) in offsets.into_iter().rev() {
                open.next = first;
                let Some((_, records)) = open.batch(&*self.directory, offset)? else { continue };
                for record in records.iter().rev().filter(|record| record.sequence < before) {
                    if wanted.is_full() {
                        return Ok(Page { next: Cursor::before(last), ..wanted.page });
                    }
                    wanted.take(record).ok_or_else(|| damaged(number, offset))?;
                    last = record.sequence;
                }
            }
            number = number.saturating_sub(1);
        }
        Ok(Page { next: Cursor::before(last), is_end: true, ..wanted.page })
    }

    /// The last segment that begins at or before this record.
    fn segment_of(&self, bound: Bound, sequence: u64) -> Result<u64, QueryError> {
        let (mut low, mut high) = (1_u64, bound.segment);
        while low < high {
            let middle = high.saturating_sub(high.saturating_sub(low) / 2);
            match self.open_segment(bound, middle)? {
                Some(open) if open.header.first > sequence => high = middle.saturating_sub(1),
                Some(_) => low = middle,
                // The last segment is just being made.
                None => high = middle.saturating_sub(1),
            }
        }
        Ok(low)
    }

    /// Opens a segment; none where the last one is not whole yet.
    fn open_segment(&self, bound: Bound, number: u64) -> Result<Option<Open>, QueryError> {
        let mut segment = SegmentReader::open(&*self.directory, number)?.ok_or_else(|| damaged(number, 0))?;
        let is_last = number == bound.segment;
        if segment.header()?.is_err() {
            if is_last && segment.is_unborn()? {
                return Ok(None);
            }
            // It may have been written just now.
            segment.refresh();
        }
        match segment.header()? {
            Ok(header) if header.number == number => {
                let seed = Seed::new(header.log, number);
                let end = if is_last { bound.end } else { u64::MAX };
                let may_be_torn = is_last && !bound.is_exact;
                Ok(Some(Open { segment, header, seed, end, may_be_torn, next: header.first }))
            }
            _ => Err(damaged(number, 0)),
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("scope", &self.scope).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy)]
struct Bound {
    segment: u64,
    end: u64,
    is_exact: bool,
}

/// A segment that is read.
struct Open {
    segment: SegmentReader,
    header: SegmentHeader,
    seed: Seed,
    end: u64,
    may_be_torn: bool,
    // The sequence that the next batch going forward begins with, for telling a torn one.
    next: u64,
}

impl Open {
    /// The length and the records of the batch at `offset`; none at the end.
    fn batch(
        &mut self,
        directory: &dyn Directory,
        offset: u64,
    ) -> Result<Option<(u64, Vec<RawRecord<'_>>)>, QueryError> {
        let number = self.header.number;
        if !self.is_whole(offset)? {
            // What was read ahead may be older than what was written since.
            self.segment.refresh();
            if !self.is_whole(offset)? {
                return if self.is_end(directory, offset)? { Ok(None) } else { Err(damaged(number, offset)) };
            }
        }
        let Step::Batch(header, bytes) = self.segment.step(&self.seed, offset, self.end)? else {
            return Err(damaged(number, offset));
        };
        self.next = header.next();
        let records = format::records(&header, bytes, &self.seed).ok_or_else(|| damaged(number, offset))?;
        Ok(Some((u64::from(header.length), records)))
    }

    /// The header of a batch whose bytes are all there.
    fn header(&mut self, offset: u64) -> Result<Option<BatchHeader>, QueryError> {
        Ok(match self.segment.step(&self.seed, offset, self.end)? {
            Step::Batch(header, _) => Some(header),
            Step::End | Step::Bad => None,
        })
    }

    fn is_whole(&mut self, offset: u64) -> Result<bool, QueryError> {
        Ok(match self.segment.step(&self.seed, offset, self.end)? {
            Step::Batch(header, bytes) => format::records(&header, bytes, &self.seed)
                .is_some_and(|records| records.iter().all(|record| record.intact)),
            Step::End | Step::Bad => false,
        })
    }

    fn is_end(&mut self, directory: &dyn Directory, offset: u64) -> Result<bool, QueryError> {
        if matches!(self.segment.step(&self.seed, offset, self.end)?, Step::End) {
            return Ok(true);
        }
        if !self.may_be_torn {
            return Ok(false);
        }
        let is_fenced = directory.is_fenced().map_err(FileError::new("look for a writer of", "."))?;
        Ok(is_fenced || self.segment.tail(&self.seed, offset, self.next)? != Tail::Damage)
    }
}

/// What a query wants, and what it has.
struct Wanted<'a> {
    scope: &'a Scope,
    filter: &'a Filter,
    limit: usize,
    page: Page,
    bytes: usize,
    scanned: usize,
}

impl Wanted<'_> {
    fn is_full(&self) -> bool {
        self.page.entries.len() >= self.limit
            || self.bytes >= MAX_PAGE_BYTES
            || self.scanned >= MAX_SCANNED_RECORDS
    }

    /// Looks at a record; `None` when it cannot be read.
    fn take(&mut self, raw: &RawRecord<'_>) -> Option<()> {
        self.scanned = self.scanned.saturating_add(1);
        if matches!(Kind::guess(raw.entry), Some(Kind::Intent | Kind::Epoch)) {
            return Some(());
        }
        let entry = Record::decode(raw.entry)?.into_entry(raw.sequence);
        if let Some(entry) = entry.filter(|entry| self.scope.contains(entry.intent().tenant()))
            && self.filter.matches(&entry)
        {
            self.bytes = self.bytes.saturating_add(raw.entry.len());
            self.page.entries.push(entry);
        }
        Some(())
    }
}

fn damaged(number: u64, offset: u64) -> QueryError {
    QueryError::Damaged { file: format::segment_name(number).into(), offset }
}
