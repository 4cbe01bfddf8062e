//! The files being written: batches, segments, `head`.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::queue::Durable;
use super::spare::Spares;
use crate::checkpoint::{Chain, Checkpoint, LogId};
use crate::error::FileError;
use crate::files::{self, Directory, LogFile, OpenFile};
use crate::format::{self, Seed, SegmentHeader};
use crate::head::{HEAD, Head};
use crate::scan::{SEGMENT_HEADER_END, to_u64};

/// The one who writes. After an error it must not be used again.
pub(super) struct Writer {
    directory: Arc<dyn Directory>,
    // Held as long as this lives.
    _fence: Box<dyn Send>,
    log: LogId,
    segment_bytes: u64,
    spares: Arc<Spares>,
    segment: OpenSegment,
    sequence: u64,
    chain: Chain,
    open: BTreeSet<u64>,
    // The sequence at which `head` was written last.
    head_at: u64,
    buffer: Vec<u8>,
    // Batches in the present segment.
    batches: u64,
}

/// The segment that is being written.
pub(super) struct OpenSegment {
    pub(super) number: u64,
    pub(super) file: Box<dyn LogFile>,
    /// Where the next batch begins.
    pub(super) offset: u64,
    /// The size of the file; zeros from `offset` on.
    pub(super) size: u64,
    /// Where the next segment begins.
    pub(super) limit: u64,
}

/// What a record does to the set of calls under way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Effect {
    Begins,
    Completes(u64),
    Neither,
}

/// Where a log stands when a writer takes it over.
pub(super) struct Standing {
    pub(super) checkpoint: Checkpoint,
    pub(super) segment: OpenSegment,
    pub(super) open: BTreeSet<u64>,
}

impl Writer {
    pub(super) fn new(
        directory: Arc<dyn Directory>,
        fence: Box<dyn Send>,
        segment_bytes: u64,
        standing: Standing,
    ) -> Self {
        let Standing { checkpoint, segment, open } = standing;
        Self {
            spares: Spares::new(Arc::clone(&directory), segment_bytes),
            directory,
            _fence: fence,
            log: checkpoint.log(),
            segment_bytes,
            segment,
            sequence: checkpoint.sequence(),
            chain: *checkpoint.chain(),
            open,
            head_at: checkpoint.sequence(),
            buffer: Vec::new(),
            batches: 0,
        }
    }

    /// Segments made ahead.
    pub(super) const fn spares(&self) -> &Arc<Spares> {
        &self.spares
    }

    /// Whether a batch of so many bytes may only be written if it is what the reserve is for.
    pub(super) fn is_reserved(&self, batch_bytes: u64) -> bool {
        self.spares.is_reserved(self.needs_segment(batch_bytes))
    }

    fn needs_segment(&self, batch_bytes: u64) -> bool {
        let is_empty = self.segment.offset <= SEGMENT_HEADER_END;
        !is_empty && self.segment.offset.saturating_add(batch_bytes) > self.segment.limit
    }

    /// Makes these records durable as one batch and returns the checkpoint of each.
    pub(super) fn append(&mut self, records: &[(&[u8], Effect)]) -> Result<Vec<Checkpoint>, FileError> {
        let bytes = batch_bytes(records.iter().map(|(entry, _)| entry.len()));
        self.make_room(bytes)?;
        if self.needs_segment(bytes) {
            self.rotate()?;
        }
        let first = self.sequence.saturating_add(1);
        let seed = Seed::new(self.log, self.segment.number);
        let entries = records.iter().map(|(entry, _)| *entry);
        self.buffer.clear();
        let mut chain = self.chain;
        let chains = format::encode_batch(&seed, first, &mut chain, entries, &mut self.buffer)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
            .map_err(FileError::new("encode a batch for", self.segment_name()))?;
        self.write_buffer()?;
        self.batches = self.batches.saturating_add(1);
        let checkpoints: Vec<Checkpoint> = (first..)
            .zip(chains)
            .map(|(sequence, chain)| Checkpoint::new(self.log, sequence, chain))
            .collect();
        for (sequence, (_, effect)) in (first..).zip(records) {
            match effect {
                Effect::Begins => _ = self.open.insert(sequence),
                Effect::Completes(begun) => _ = self.open.remove(begun),
                Effect::Neither => {}
            }
        }
        self.chain = chain;
        self.sequence = self.sequence.saturating_add(to_u64(checkpoints.len()));
        if self.sequence.saturating_sub(self.head_at) >= HEAD_INTERVAL {
            self.write_head()?;
        }
        Ok(checkpoints)
    }

    /// Where the log stands.
    pub(super) const fn checkpoint(&self) -> Checkpoint {
        Checkpoint::new(self.log, self.sequence, self.chain)
    }

    /// How far it is durable.
    pub(super) const fn durable(&self) -> Durable {
        Durable { checkpoint: self.checkpoint(), segment: self.segment.number, end: self.segment.offset }
    }

    /// Leaves everything as it is to be found: no unused space, `head` exact.
    pub(super) fn close(&mut self) -> Result<Checkpoint, FileError> {
        self.seal()?;
        self.write_head()?;
        Ok(self.checkpoint())
    }

    pub(super) fn write_head(&mut self) -> Result<(), FileError> {
        let next = self.sequence.saturating_add(1);
        let open_from = self.open.first().copied().unwrap_or(next);
        let head = Head { reached: self.checkpoint(), open_from };
        match head.write(&*self.directory) {
            // The old one is a lower bound as well.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            written => written.map_err(FileError::new("replace", HEAD))?,
        }
        self.head_at = self.sequence;
        Ok(())
    }

    /// Extends a segment that was not made ahead, by room for the next batches too. On a full disk it ends where its
    /// zeros end.
    pub(super) fn make_room(&mut self, batch_bytes: u64) -> Result<(), FileError> {
        let OpenSegment { file, offset, size, limit, .. } = &mut self.segment;
        let end = offset.saturating_add(batch_bytes);
        if end <= *size || end > *limit {
            return Ok(());
        }
        // Zeros that are there already cost the next writes no change of the file's size.
        let room = (*limit).clamp(1, ROOM);
        let wanted = end.checked_next_multiple_of(room).unwrap_or(end).min(*limit);
        let zeros = vec![0; usize::try_from(wanted.saturating_sub(*size)).unwrap_or_default()];
        match files::write_all(&**file, &zeros, *size) {
            Ok(()) => {
                *size = wanted;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::StorageFull && *offset > SEGMENT_HEADER_END => {
                // What was added is zeros, and may stay.
                *limit = *size;
                Ok(())
            }
            Err(error) => Err(FileError::new("extend", self.segment_name())(error)),
        }
    }

    /// One write and one sync.
    fn write_buffer(&mut self) -> Result<(), FileError> {
        let end = self.segment.offset.saturating_add(to_u64(self.buffer.len()));
        files::write_all(&*self.segment.file, &self.buffer, self.segment.offset)
            .map_err(FileError::new("write", self.segment_name()))?;
        self.segment.file.sync().map_err(FileError::new("sync", self.segment_name()))?;
        self.segment.offset = end;
        self.segment.size = self.segment.size.max(end);
        Ok(())
    }

    /// Cuts off the unused space of the present segment.
    fn seal(&mut self) -> Result<(), FileError> {
        if self.segment.size > self.segment.offset {
            self.segment
                .file
                .set_size(self.segment.offset)
                .and_then(|()| self.segment.file.sync())
                .map_err(FileError::new("cut", self.segment_name()))?;
            self.segment.size = self.segment.offset;
        }
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), FileError> {
        let (full, end) = (self.segment.number, self.segment.offset);
        let header = SegmentHeader {
            log: self.log,
            number: full.saturating_add(1),
            first: self.sequence.saturating_add(1),
            chain: self.chain,
        };
        let has_room = self.segment.size > end;
        self.segment = match self.spares.adopt(&header)? {
            Some(size) => OpenSegment::adopted(&*self.directory, header.number, size)?,
            None => OpenSegment::create(&*self.directory, &header, self.segment_bytes)?,
        };
        self.write_head()?;
        if has_room {
            self.spares.cut(full, end);
        }
        let batches = std::mem::take(&mut self.batches);
        self.spares.set_bulk(end.checked_div(batches).is_some_and(|average| average >= BULK_BATCH_BYTES));
        self.spares.prepare();
        Ok(())
    }

    fn segment_name(&self) -> String {
        format::segment_name(self.segment.number)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // While the fence is still held.
        self.spares.stop();
    }
}

impl OpenSegment {
    /// Makes a new segment, durably.
    pub(super) fn create(
        directory: &dyn Directory,
        header: &SegmentHeader,
        limit: u64,
    ) -> Result<Self, FileError> {
        let name = format::segment_name(header.number);
        let make = || {
            let file = directory.open(&name, OpenFile::Create)?;
            files::write_all(&*file, &header.encode(), 0)?;
            file.sync()?;
            directory.sync()?;
            Ok(file)
        };
        let file = make().map_err(FileError::new("create", &*name))?;
        Ok(Self { number: header.number, file, offset: SEGMENT_HEADER_END, size: SEGMENT_HEADER_END, limit })
    }

    /// A segment that was made ahead, and is one now.
    fn adopted(directory: &dyn Directory, number: u64, size: u64) -> Result<Self, FileError> {
        let name = format::segment_name(number);
        let file = directory.open(&name, OpenFile::Write).map_err(FileError::new("open", &*name))?;
        Ok(Self { number, file, offset: SEGMENT_HEADER_END, size, limit: size })
    }
}

/// The bytes of a batch of entries of these lengths.
pub(super) fn batch_bytes(lengths: impl Iterator<Item = usize>) -> u64 {
    to_u64(lengths.fold(format::BATCH_OVERHEAD, |sum, length| {
        sum.saturating_add(format::RECORD_OVERHEAD).saturating_add(length)
    }))
}

/// `head` is written again after this many records at the latest.
const HEAD_INTERVAL: u64 = 1 << 14;
/// From batches of this many bytes on, on the average, it is the disk's rate that counts.
const BULK_BATCH_BYTES: u64 = 128 << 10;
/// How much room a file is given at a time.
const ROOM: u64 = 1 << 20;
