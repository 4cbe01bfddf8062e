//! Reading a segment batch by batch, and telling a torn tail from damage.

use std::io;

use crate::error::FileError;
use crate::files::{self, Directory, LogFile, OpenFile};
use crate::format::{
    self, BATCH_HEADER_LEN, BatchHeader, HeaderFlaw, MAX_BATCH_BYTES, SEGMENT_HEADER_LEN, Seed, SegmentHeader,
};

/// The numbers of the segments in a directory, in order.
pub(crate) fn segment_numbers(directory: &dyn Directory) -> Result<Vec<u64>, FileError> {
    let names = directory.names().map_err(FileError::new("list", "."))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| format::segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// A segment that is read from front to back.
pub(crate) struct SegmentReader {
    pub(crate) number: u64,
    pub(crate) name: String,
    file: Box<dyn LogFile>,
    window: Window,
}

/// What stands at an offset.
pub(crate) enum Step<'a> {
    /// A batch whose header is right and whose bytes are all there; its records are still to be checked.
    Batch(BatchHeader, &'a [u8]),
    /// Nothing more: the end of the file, or zeros up to there.
    End,
    /// Something that is no whole batch.
    Bad,
}

/// What the end of the last segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing but zeros.
    Empty,
    /// A batch that was being written when the system stopped: parts of it never came to be. It was never
    /// acknowledged.
    Torn,
    /// Anything else.
    Damage,
}

impl SegmentReader {
    /// Opens a segment; `None` when there is none of this number.
    pub(crate) fn open(directory: &dyn Directory, number: u64) -> Result<Option<Self>, FileError> {
        let name = format::segment_name(number);
        match directory.open(&name, OpenFile::Read) {
            Ok(file) => Ok(Some(Self { number, name, file, window: Window::default() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::new("open", name)(error)),
        }
    }

    /// The header, or what is wrong with it.
    pub(crate) fn header(&mut self) -> Result<Result<SegmentHeader, HeaderFlaw>, FileError> {
        let bytes = self.bytes(0, SEGMENT_HEADER_LEN)?;
        Ok(bytes.first_chunk().map_or(Err(HeaderFlaw::NotASegment), SegmentHeader::decode))
    }

    /// Whether the file holds less than a header could be told from: its creation was cut off.
    pub(crate) fn is_unborn(&mut self) -> Result<bool, FileError> {
        Ok(self.used_end(0)? < SEGMENT_HEADER_END)
    }

    /// What stands at `offset`. Sees nothing from `end` on.
    pub(crate) fn step(&mut self, seed: &Seed, offset: u64, end: u64) -> Result<Step<'_>, FileError> {
        let visible =
            |bytes: usize| usize::try_from(end.saturating_sub(offset)).map_or(bytes, |e| bytes.min(e));
        let bytes = self.bytes(offset, visible(BATCH_HEADER_LEN))?;
        if let Some(header) = BatchHeader::decode(bytes, seed) {
            let length = usize::try_from(header.length).unwrap_or(usize::MAX);
            let bytes = self.bytes(offset, visible(length))?;
            return Ok(if bytes.len() == length { Step::Batch(header, bytes) } else { Step::Bad });
        }
        let is_zero = bytes.iter().all(|byte| *byte == 0);
        let is_end = is_zero && self.used_end(offset)?.min(end) <= offset;
        Ok(if is_end { Step::End } else { Step::Bad })
    }

    /// Drops what was read ahead, so that the next step sees the file as it is now.
    pub(crate) fn refresh(&mut self) {
        self.window.forget();
    }

    /// The offset of the next batch header at or after `offset`, and the header.
    pub(crate) fn next_batch(
        &mut self,
        seed: &Seed,
        mut offset: u64,
    ) -> Result<Option<(u64, BatchHeader)>, FileError> {
        loop {
            let bytes = self.bytes(offset, READ_AHEAD)?;
            if bytes.len() < BATCH_HEADER_LEN {
                return Ok(None);
            }
            // The last bytes of this piece are the first of the next: a header may straddle them.
            let starts = bytes.len().saturating_sub(BATCH_HEADER_LEN);
            let found = bytes
                .windows(BATCH_HEADER_LEN)
                .enumerate()
                .filter(|(_, window)| format::begins_like_batch(window))
                .find_map(|(at, window)| Some((at, BatchHeader::decode(window, seed)?)));
            if let Some((at, header)) = found {
                return Ok(Some((offset.saturating_add(to_u64(at)), header)));
            }
            offset = offset.saturating_add(to_u64(starts)).saturating_add(1);
        }
    }

    /// What the bytes from `offset` on are, in the last segment, where a batch that begins with `first` would
    /// stand.
    ///
    /// Bytes are missing when the file ends early, or when a sector of 512 bytes was never written and reads
    /// as zeros. A batch without a missing byte is not torn: what is wrong with it happened to it later.
    pub(crate) fn tail(&mut self, seed: &Seed, offset: u64, first: u64) -> Result<Tail, FileError> {
        let used_end = self.used_end(offset)?;
        if used_end <= offset {
            return Ok(Tail::Empty);
        }
        let used = used_end.saturating_sub(offset);
        let torn = |is_torn: bool| if is_torn { Tail::Torn } else { Tail::Damage };
        let bytes = self.bytes(offset, BATCH_HEADER_LEN)?;
        if let Some(header) = BatchHeader::decode(bytes, seed) {
            let length = u64::from(header.length);
            if header.first != first || used > length {
                return Ok(Tail::Damage);
            }
            return Ok(torn(used < length || self.has_missing_sector(offset, used_end)?));
        }
        if used > to_u64(MAX_BATCH_BYTES) {
            return Ok(Tail::Damage);
        }
        if used < to_u64(BATCH_HEADER_LEN) {
            let expected = BatchHeader::expected_start(first);
            let present = usize::try_from(used).unwrap_or(usize::MAX).min(expected.len());
            return Ok(torn(bytes.get(..present) == expected.get(..present)));
        }
        if self.next_batch(seed, offset.saturating_add(1))?.is_some() {
            return Ok(Tail::Damage);
        }
        let header_end = offset.saturating_add(to_u64(BATCH_HEADER_LEN));
        let sectors_end = header_end.next_multiple_of(SECTOR).min(used_end);
        Ok(torn(self.has_missing_sector(offset, sectors_end)?))
    }

    /// Up to `length` bytes from `offset`: fewer at the end of the file only.
    fn bytes(&mut self, offset: u64, length: usize) -> Result<&[u8], FileError> {
        self.window.read(&*self.file, offset, length).map_err(FileError::new("read", &*self.name))
    }

    /// Where the last byte that is not zero ends, from `offset` on; `offset` when there is none.
    fn used_end(&mut self, offset: u64) -> Result<u64, FileError> {
        let (mut at, mut end) = (offset, offset);
        loop {
            let bytes = self.bytes(at, READ_AHEAD)?;
            if bytes.is_empty() {
                return Ok(end);
            }
            match used_len(bytes) {
                0 => {}
                used => end = at.saturating_add(to_u64(used)),
            }
            at = at.saturating_add(to_u64(bytes.len()));
        }
    }

    /// Whether the part of any sector that lies between `from` and `to` is all zeros.
    fn has_missing_sector(&mut self, from: u64, to: u64) -> Result<bool, FileError> {
        let mut at = from;
        while at < to {
            let sector_end = at.saturating_add(1).next_multiple_of(SECTOR).min(to);
            let length = usize::try_from(sector_end.saturating_sub(at)).unwrap_or(usize::MAX);
            if self.bytes(at, length)?.iter().all(|byte| *byte == 0) {
                return Ok(true);
            }
            at = sector_end;
        }
        Ok(false)
    }
}

/// A piece of a file, read ahead.
#[derive(Default)]
struct Window {
    start: u64,
    filled: usize,
    buffer: Vec<u8>,
}

impl Window {
    fn read(&mut self, file: &dyn LogFile, offset: u64, length: usize) -> io::Result<&[u8]> {
        let held = |window: &Self| {
            let from = usize::try_from(offset.checked_sub(window.start)?).ok()?;
            Some((from, from.checked_add(length).filter(|to| *to <= window.filled)?))
        };
        if held(self).is_none() {
            let rest = usize::try_from(file.size()?.saturating_sub(offset)).unwrap_or(usize::MAX);
            let wanted = length.max(rest.min(READ_AHEAD));
            if self.buffer.len() < wanted {
                self.buffer = vec![0; wanted];
            }
            (self.start, self.filled) = (offset, 0);
            self.filled = files::read_up_to(file, &mut self.buffer, offset)?.len();
        }
        let (from, to) = held(self).unwrap_or((0, self.filled));
        Ok(self.buffer.get(from..to).unwrap_or_default())
    }

    fn forget(&mut self) {
        self.filled = 0;
    }
}

/// Where the last byte that is not zero ends.
fn used_len(bytes: &[u8]) -> usize {
    let mut used = bytes;
    // Piece by piece first: most of what this sees is zeros.
    while let Some(rest) = used.strip_suffix(&ZEROS) {
        used = rest;
    }
    used.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1))
}

pub(crate) fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Where the first batch of a segment begins.
pub(crate) const SEGMENT_HEADER_END: u64 = 80;
const READ_AHEAD: usize = 256 << 10;
// The unit in which disks write or do not write.
const SECTOR: u64 = 512;
const ZEROS: [u8; 4096] = [0; 4096];
