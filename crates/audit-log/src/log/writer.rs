//! The files being written: batches, segments, `head`.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::queue::Durable;
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
    segment: OpenSegment,
    sequence: u64,
    chain: Chain,
    open: BTreeSet<u64>,
    // The sequence at which `head` was written last.
    head_at: u64,
    buffer: Vec<u8>,
}

/// The segment that is being written.
pub(super) struct OpenSegment {
    pub(super) number: u64,
    pub(super) file: Box<dyn LogFile>,
    /// Where the next batch begins.
    pub(super) offset: u64,
    /// The size of the file; zeros from `offset` on.
    pub(super) size: u64,
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
        }
    }

    /// Makes these records durable as one batch and returns the checkpoint of each.
    pub(super) fn append(&mut self, records: &[(&[u8], Effect)]) -> Result<Vec<Checkpoint>, FileError> {
        let bytes = records.iter().fold(format::BATCH_OVERHEAD, |sum, (entry, _)| {
            sum.saturating_add(format::RECORD_OVERHEAD).saturating_add(entry.len())
        });
        let is_empty = self.segment.offset <= SEGMENT_HEADER_END;
        if !is_empty && self.segment.offset.saturating_add(to_u64(bytes)) > self.segment_bytes {
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
        head.write(&*self.directory).map_err(FileError::new("replace", HEAD))?;
        self.head_at = self.sequence;
        Ok(())
    }

    /// One write, which takes more room for the next ones where it must extend the file, and one sync.
    fn write_buffer(&mut self) -> Result<(), FileError> {
        let end = self.segment.offset.saturating_add(to_u64(self.buffer.len()));
        let mut size = self.segment.size;
        if end > size {
            // Zeros that are there already cost the next writes no change of the file's size.
            let room = self.segment_bytes.min(ROOM);
            size = end.checked_next_multiple_of(room).unwrap_or(end).min(self.segment_bytes.max(end));
            self.buffer.extend_from_slice(&vec![0; usize::try_from(size.saturating_sub(end)).unwrap_or(0)]);
        }
        files::write_all(&*self.segment.file, &self.buffer, self.segment.offset)
            .map_err(FileError::new("write", self.segment_name()))?;
        self.segment.file.sync().map_err(FileError::new("sync", self.segment_name()))?;
        self.segment.offset = end;
        self.segment.size = size;
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
        self.seal()?;
        let header = SegmentHeader {
            log: self.log,
            number: self.segment.number.saturating_add(1),
            first: self.sequence.saturating_add(1),
            chain: self.chain,
        };
        self.segment = OpenSegment::create(&*self.directory, &header)?;
        self.write_head()
    }

    fn segment_name(&self) -> String {
        format::segment_name(self.segment.number)
    }
}

impl OpenSegment {
    /// Makes a new segment, durably.
    pub(super) fn create(directory: &dyn Directory, header: &SegmentHeader) -> Result<Self, FileError> {
        let name = format::segment_name(header.number);
        let make = || {
            let file = directory.open(&name, OpenFile::Create)?;
            files::write_all(&*file, &header.encode(), 0)?;
            file.sync()?;
            directory.sync()?;
            Ok(file)
        };
        let file = make().map_err(FileError::new("create", &*name))?;
        Ok(Self { number: header.number, file, offset: SEGMENT_HEADER_END, size: SEGMENT_HEADER_END })
    }
}

/// `head` is written again after this many records at the latest.
const HEAD_INTERVAL: u64 = 1 << 14;
/// How much room a file is given at a time.
const ROOM: u64 = 1 << 20;
