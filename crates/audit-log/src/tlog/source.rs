//! Reading a log's records in order, checking each one's place in the chain: what is signed for was read so.

use std::sync::Arc;

use super::error::PublishError;
use crate::checkpoint::{Chain, Checkpoint, LogId, link};
use crate::files::Directory;
use crate::format::{self, Seed};
use crate::log::Durable;
use crate::scan::{SEGMENT_HEADER_END, SegmentReader, Step};

/// Records with their sequences.
pub(crate) type Batch = Vec<(u64, Vec<u8>)>;

/// After which record, and where in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) sequence: u64,
    pub(crate) chain: Chain,
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

impl Place {
    /// Before the first record.
    pub(crate) fn start(log: LogId) -> Self {
        let chain = *Checkpoint::genesis(log).chain();
        Self { sequence: 0, chain, segment: 1, offset: SEGMENT_HEADER_END }
    }
}

pub(crate) struct Source {
    directory: Arc<dyn Directory>,
    log: LogId,
    place: Place,
    open: Option<SegmentReader>,
}

impl Source {
    pub(crate) const fn new(directory: Arc<dyn Directory>, log: LogId, place: Place) -> Self {
        Self { directory, log, place, open: None }
    }

    pub(crate) const fn place(&self) -> Place {
        self.place
    }

    /// The sequences and entries of the next batch that lies within what is durable; `None` at its end.
    pub(crate) fn next_batch(&mut self, durable: &Durable) -> Result<Option<Batch>, PublishError> {
        loop {
            let Place { sequence, segment, offset, chain } = self.place;
            if sequence >= durable.checkpoint.sequence() {
                return Ok(None);
            }
            let damaged = || PublishError::Damaged { file: format::segment_name(segment).into(), offset };
            let mut reader = match self.open.take() {
                Some(reader) => reader,
                None => self.enter()?,
            };
            let end = if segment == durable.segment { durable.end } else { u64::MAX };
            let seed = Seed::new(self.log, segment);
            if !matches!(reader.step(&seed, offset, end)?, Step::Batch(..)) {
                // What was read ahead may be older than what was written since.
                reader.refresh();
            }
            match reader.step(&seed, offset, end)? {
                Step::Batch(header, bytes) => {
                    let records = format::records(&header, bytes, &seed).ok_or_else(damaged)?;
                    let mut at = chain;
                    let mut read = Vec::with_capacity(records.len());
                    for record in records {
                        let is_next =
                            record.sequence == sequence.saturating_add(1).saturating_add(count(&read));
                        if !record.intact || !is_next {
                            return Err(damaged());
                        }
                        at = link(&at, record.sequence, record.entry);
                        if at != record.chain {
                            return Err(PublishError::Forked { at: record.sequence.saturating_sub(1) });
                        }
                        read.push((record.sequence, record.entry.to_vec()));
                    }
                    let length = u64::from(header.length);
                    self.place = Place {
                        sequence: sequence.saturating_add(count(&read)),
                        chain: at,
                        segment,
                        offset: offset.saturating_add(length),
                    };
                    self.open = Some(reader);
                    return Ok(Some(read));
                }
                Step::End if segment < durable.segment => {
                    self.place = Place {
                        segment: segment.saturating_add(1),
                        offset: SEGMENT_HEADER_END,
                        ..self.place
                    };
                }
                Step::End | Step::Bad => return Err(damaged()),
            }
        }
    }

    /// Opens the segment of the present place.
    fn enter(&self) -> Result<SegmentReader, PublishError> {
        let Place { sequence, segment, offset, chain } = self.place;
        let damaged = || PublishError::Damaged { file: format::segment_name(segment).into(), offset: 0 };
        let mut reader = SegmentReader::open(&*self.directory, segment)?.ok_or_else(damaged)?;
        let header = reader.header()?.map_err(|_| damaged())?;
        if header.log != self.log {
            return Err(PublishError::OtherLog);
        }
        let is_start = offset == SEGMENT_HEADER_END;
        if header.number != segment || (is_start && header.first != sequence.saturating_add(1)) {
            return Err(damaged());
        }
        if is_start && header.chain != chain {
            return Err(PublishError::Forked { at: sequence });
        }
        Ok(reader)
    }
}

fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}
