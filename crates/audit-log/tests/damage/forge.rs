//! A second implementation of the format, written from its description: what someone with a good editor has.

use crc32fast::Hasher;
use ring::digest::{Context, SHA256};

/// A segment taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) header: Vec<u8>,
    pub(crate) batches: Vec<Vec<Record>>,
}

/// A record, with the chain hash that is stored with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) sequence: u64,
    pub(crate) chain: [u8; 32],
    pub(crate) entry: Vec<u8>,
    /// Where its bytes lie in the segment, checksum and chain hash included.
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl Segment {
    /// Takes a whole segment apart.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut segment = Self { header: bytes[..80].to_vec(), batches: Vec::new() };
        let mut at = 80;
        while at < bytes.len() && bytes[at] != 0 {
            let first = number(&bytes[at + 8..at + 16]);
            let count = number(&bytes[at + 16..at + 20]);
            let table = at + 28;
            let mut from = table + 4 * count + 4;
            let mut batch = Vec::new();
            for index in 0..count {
                let length = number(&bytes[table + 4 * index..table + 4 * index + 4]);
                let to = from + 36 + length;
                batch.push(Record {
                    sequence: (first + index) as u64,
                    chain: bytes[from + 4..from + 36].try_into().unwrap(),
                    entry: bytes[from + 36..to].to_vec(),
                    from,
                    to,
                });
                from = to;
            }
            assert_eq!(from - at, number(&bytes[at + 20..at + 24]), "the length of the batch");
            segment.batches.push(batch);
            at = from;
        }
        segment
    }

    /// Puts it together again with right lengths and checksums; chain hashes and sequences are as they are.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = self.header.clone();
        for batch in &self.batches {
            let table: Vec<u8> =
                batch.iter().flat_map(|record| (record.entry.len() as u32).to_be_bytes()).collect();
            let length: usize =
                28 + table.len() + 4 + batch.iter().map(|record| 36 + record.entry.len()).sum::<usize>();
            let mut header = b"\x1ePALBAT\n".to_vec();
            header.extend(batch[0].sequence.to_be_bytes());
            header.extend((batch.len() as u32).to_be_bytes());
            header.extend((length as u32).to_be_bytes());
            let crc = self.crc(&[&header]);
            out.extend([&header[..], &crc, &table, &self.crc(&[&table])].concat());
            for record in batch {
                out.extend(self.crc(&[&record.sequence.to_be_bytes(), &record.chain, &record.entry]));
                out.extend(record.chain);
                out.extend(&record.entry);
            }
        }
        out
    }

    /// Computes the chain anew from this record on.
    pub(crate) fn rechain(&mut self, from: u64) {
        let mut previous: [u8; 32] = self.header[44..76].try_into().unwrap();
        for record in self.batches.iter_mut().flatten() {
            if record.sequence >= from {
                record.chain = link(&previous, record.sequence, &record.entry);
            }
            previous = record.chain;
        }
    }

    /// All records, in the order in which they stand.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.batches.iter().flatten()
    }

    /// The record of this sequence.
    pub(crate) fn record(&mut self, sequence: u64) -> &mut Record {
        self.batches.iter_mut().flatten().find(|record| record.sequence == sequence).unwrap()
    }

    /// Changes one letter of a record's action.
    pub(crate) fn reword(&mut self, sequence: u64) {
        let entry = &mut self.record(sequence).entry;
        let at = entry.windows(5).position(|window| window == b"apps:").unwrap();
        entry[at] = b'o';
    }

    /// The checksum that begins with the log's id and the segment's number.
    fn crc(&self, parts: &[&[u8]]) -> [u8; 4] {
        let mut hasher = Hasher::new();
        hasher.update(&self.header[12..36]);
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finalize().to_be_bytes()
    }

    /// Makes the header's checksum right.
    pub(crate) fn seal_header(&mut self) {
        let crc = crc32fast::hash(&self.header[..76]).to_be_bytes();
        self.header[76..].copy_from_slice(&crc);
    }
}

fn link(previous: &[u8; 32], sequence: u64, entry: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(b"palisade audit-log record 1\n");
    context.update(previous);
    context.update(&sequence.to_be_bytes());
    context.update(entry);
    context.finish().as_ref().try_into().unwrap()
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number * 256 + usize::from(*byte))
}
