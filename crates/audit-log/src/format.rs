#![doc = include_str!("../FORMAT.md")]

use crate::checkpoint::{Chain, LogId, link};

/// The most bytes of one entry.
pub const MAX_ENTRY_BYTES: usize = 64 << 10;

/// The most records of one batch.
pub const MAX_BATCH_RECORDS: usize = 4096;

/// The most bytes of one batch, its header included.
pub const MAX_BATCH_BYTES: usize = 1 << 20;

/// The bytes of a segment's header.
pub(crate) const SEGMENT_HEADER_LEN: usize = 80;

/// The bytes of a batch's header, before its table of lengths.
pub(crate) const BATCH_HEADER_LEN: usize = 28;

/// The bytes before each entry.
pub(crate) const RECORD_HEADER_LEN: usize = 36;

/// What a batch adds to one entry besides the batch's own header and table check.
pub(crate) const RECORD_OVERHEAD: usize = RECORD_HEADER_LEN + LENGTH_LEN;

/// What a batch adds once.
pub(crate) const BATCH_OVERHEAD: usize = BATCH_HEADER_LEN + CRC_LEN;

/// The first bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) log: LogId,
    pub(crate) number: u64,
    /// The sequence of the segment's first record.
    pub(crate) first: u64,
    /// The chain hash before that record.
    pub(crate) chain: Chain,
}

/// Why bytes are not a segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderFlaw {
    NotASegment,
    Version(u32),
    Checksum,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_LEN);
        out.extend_from_slice(SEGMENT_MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&self.log.to_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.first.to_be_bytes());
        out.extend_from_slice(&self.chain);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER_LEN]) -> Result<Self, HeaderFlaw> {
        let mut fields = Fields(bytes);
        let header = (|| {
            let magic = fields.take::<8>()?;
            let version = u32::from_be_bytes(fields.take()?);
            let log = LogId::from_bytes(fields.take()?);
            let number = u64::from_be_bytes(fields.take()?);
            let first = u64::from_be_bytes(fields.take()?);
            Some((magic, version, Self { log, number, first, chain: fields.take()? }))
        })();
        let Some((magic, version, header)) = header else { return Err(HeaderFlaw::NotASegment) };
        let Some((covered, crc)) = bytes.split_last_chunk() else { return Err(HeaderFlaw::NotASegment) };
        match () {
            () if magic != *SEGMENT_MAGIC => Err(HeaderFlaw::NotASegment),
            () if u32::from_be_bytes(*crc) != crc32fast::hash(covered) => Err(HeaderFlaw::Checksum),
            () if version != VERSION => Err(HeaderFlaw::Version(version)),
            () => Ok(header),
        }
    }
}

/// What every checksum of a segment's batches begins with, so that bytes of another log or segment do not fit.
#[derive(Debug, Clone)]
pub(crate) struct Seed {
    hasher: crc32fast::Hasher,
}

impl Seed {
    pub(crate) fn new(log: LogId, segment: u64) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&log.to_bytes());
        hasher.update(&segment.to_be_bytes());
        Self { hasher }
    }

    fn checksum(&self, parts: &[&[u8]]) -> u32 {
        let mut hasher = self.hasher.clone();
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finalize()
    }
}

/// The first bytes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// The sequence of the first record.
    pub(crate) first: u64,
    /// How many records there are; at least one.
    pub(crate) count: u32,
    /// The bytes of the whole batch.
    pub(crate) length: u32,
}

impl BatchHeader {
    /// The first 16 bytes of the header of a batch that begins with this sequence.
    pub(crate) fn expected_start(first: u64) -> [u8; 16] {
        let mut start = [0; 16];
        let known = BATCH_MAGIC.iter().copied().chain(first.to_be_bytes());
        start.iter_mut().zip(known).for_each(|(to, from)| *to = from);
        start
    }

    fn encode(&self, seed: &Seed, out: &mut Vec<u8>) {
        let start = Self::expected_start(self.first);
        let (count, length) = (self.count.to_be_bytes(), self.length.to_be_bytes());
        let crc = seed.checksum(&[&start, &count, &length]);
        for part in [&start[..], &count, &length, &crc.to_be_bytes()] {
            out.extend_from_slice(part);
        }
    }

    /// The header in these bytes, where it is one: right checksum, and within the limits.
    pub(crate) fn decode(bytes: &[u8], seed: &Seed) -> Option<Self> {
        let bytes: &[u8; BATCH_HEADER_LEN] = bytes.first_chunk()?;
        let mut fields = Fields(bytes);
        if fields.take::<8>()? != *BATCH_MAGIC {
            return None;
        }
        let first = u64::from_be_bytes(fields.take()?);
        let count = u32::from_be_bytes(fields.take()?);
        let length = u32::from_be_bytes(fields.take()?);
        let crc = u32::from_be_bytes(fields.take()?);
        let (covered, _) = bytes.split_last_chunk::<CRC_LEN>()?;
        let header = Self { first, count, length };
        (crc == seed.checksum(&[covered]) && header.is_within_limits()).then_some(header)
    }

    /// The sequence after the last record.
    pub(crate) fn next(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }

    fn is_within_limits(&self) -> bool {
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        let least = RECORD_OVERHEAD.saturating_mul(count).saturating_add(BATCH_OVERHEAD);
        self.first >= 1
            && self.first.checked_add(u64::from(self.count)).is_some()
            && (1..=MAX_BATCH_RECORDS).contains(&count)
            && (least..=MAX_BATCH_BYTES).contains(&length)
    }
}

/// A record as it lies in a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawRecord<'a> {
    pub(crate) sequence: u64,
    /// Where it begins, counted from the batch's first byte.
    pub(crate) offset: u64,
    /// Whether the checksum fits.
    pub(crate) intact: bool,
    /// The chain hash that is stored with it.
    pub(crate) chain: Chain,
    pub(crate) entry: &'a [u8],
}

/// Appends a batch of `entries` to `out`, moves `chain` on, and returns the chain hash of each record.
///
/// `None`, with `out` as it was, when the entries do not fit in one batch.
pub(crate) fn encode_batch<'a>(
    seed: &Seed,
    first: u64,
    chain: &mut Chain,
    entries: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    out: &mut Vec<u8>,
) -> Option<Vec<Chain>> {
    let bytes = entries.clone().try_fold(0_usize, |sum, entry| {
        (entry.len() <= MAX_ENTRY_BYTES).then(|| sum.saturating_add(entry.len()))
    })?;
    let length =
        RECORD_OVERHEAD.checked_mul(entries.len())?.checked_add(BATCH_OVERHEAD)?.checked_add(bytes)?;
    let header =
        BatchHeader { first, count: entries.len().try_into().ok()?, length: length.try_into().ok()? };
    if !header.is_within_limits() {
        return None;
    }
    header.encode(seed, out);
    let mut table = Vec::with_capacity(entries.len().saturating_mul(LENGTH_LEN));
    for entry in entries.clone() {
        table.extend_from_slice(&u32::try_from(entry.len()).ok()?.to_be_bytes());
    }
    out.extend_from_slice(&table);
    out.extend_from_slice(&seed.checksum(&[&table]).to_be_bytes());
    let mut chains = Vec::with_capacity(entries.len());
    for (sequence, entry) in (first..).zip(entries) {
        *chain = link(chain, sequence, entry);
        out.extend_from_slice(&seed.checksum(&[&sequence.to_be_bytes(), chain, entry]).to_be_bytes());
        out.extend_from_slice(chain);
        out.extend_from_slice(entry);
        chains.push(*chain);
    }
    Some(chains)
}

/// The records of a batch whose header was decoded from the same bytes; `None` when the table of lengths is
/// damaged.
pub(crate) fn records<'a>(header: &BatchHeader, batch: &'a [u8], seed: &Seed) -> Option<Vec<RawRecord<'a>>> {
    let count = usize::try_from(header.count).ok()?;
    let (_, rest) = batch.split_at_checked(BATCH_HEADER_LEN)?;
    let (table, rest) = rest.split_at_checked(count.checked_mul(LENGTH_LEN)?)?;
    let (crc, mut rest) = rest.split_first_chunk::<CRC_LEN>()?;
    if u32::from_be_bytes(*crc) != seed.checksum(&[table]) {
        return None;
    }
    let mut records = Vec::with_capacity(count);
    for (sequence, length) in (header.first..).zip(table.as_chunks::<LENGTH_LEN>().0) {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        if length > MAX_ENTRY_BYTES {
            return None;
        }
        let offset = u64::try_from(batch.len().checked_sub(rest.len())?).ok()?;
        let (crc, after) = rest.split_first_chunk::<CRC_LEN>()?;
        let (chain, after) = after.split_first_chunk::<32>()?;
        let (entry, after) = after.split_at_checked(length)?;
        rest = after;
        let intact =
            u32::from_be_bytes(*crc) == seed.checksum(&[&sequence.to_be_bytes(), chain.as_slice(), entry]);
        records.push(RawRecord { sequence, offset, intact, chain: *chain, entry });
    }
    rest.is_empty().then_some(records)
}

/// Whether these bytes begin like a batch.
pub(crate) fn begins_like_batch(bytes: &[u8]) -> bool {
    bytes.starts_with(BATCH_MAGIC)
}

/// The file name of a segment.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:08}{SEGMENT_SUFFIX}")
}

/// The number of a segment from its file name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())??;
    (number >= 1 && segment_name(number) == name).then_some(number)
}

/// Reads fixed-size fields from the front of a slice.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }
}

const SEGMENT_SUFFIX: &str = ".log";
const SEGMENT_MAGIC: &[u8; 8] = b"PALAUDIT";
const VERSION: u32 = 1;
// The record separator and the line feed never stand unescaped in an entry, so no entry can hold a header.
const BATCH_MAGIC: &[u8; 8] = b"\x1ePALBAT\n";
const LENGTH_LEN: usize = 4;
const CRC_LEN: usize = 4;
