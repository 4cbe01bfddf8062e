use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::block_list::{HASH, RECORD, digest_of};
use super::{Known, KnownKeys};
use crate::error::BlockListError;
use crate::key::PublicKey;

/// A list in the form of [`BlockList`](super::BlockList), in a file.
///
/// Opening reads the file once, and keeps the first record of every 256. A look-up reads 4 KiB, which lie in the system's
/// cache as those of a file mapped into memory do. Replace the file by renaming another one over it, and open it again:
/// what is open goes on with the old one. A file that is changed in place is noticed where it matters, and cannot say
/// anything then ([`Known::Unavailable`]).
#[derive(Debug)]
pub struct BlockListFile {
    file: File,
    /// The first hash of each block, in ascending order.
    firsts: Vec<[u8; HASH]>,
    byte_len: u64,
}

impl BlockListFile {
    /// Opens the list at `path`, and looks at every record once.
    ///
    /// # Errors
    /// [`BlockListError`]. Do not go on without the list: fetch it again.
    pub fn open(path: &Path) -> Result<Self, BlockListError> {
        let read = |error: std::io::Error| BlockListError::Read(error.kind());
        let mut file = File::open(path).map_err(read)?;
        let mut firsts = Vec::new();
        let mut byte_len = 0_u64;
        let mut last = [0; RECORD];
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        loop {
            block.clear();
            let len = (&mut file).take(BLOCK_LEN).read_to_end(&mut block).map_err(read)?;
            let (records, rest) = block.as_chunks::<RECORD>();
            if !rest.is_empty() {
                return Err(BlockListError::Length);
            }
            let Some(first) = records.first().and_then(|first| first.first_chunk()) else { break };
            if records.first().is_some_and(|first| *first < last) || !records.is_sorted() {
                return Err(BlockListError::Order);
            }
            firsts.push(*first);
            last = records.last().copied().unwrap_or(last);
            byte_len = byte_len.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        }
        if firsts.is_empty() { Err(BlockListError::Empty) } else { Ok(Self { file, firsts, byte_len }) }
    }

    /// How many records there are.
    #[must_use]
    pub const fn record_count(&self) -> u64 {
        self.byte_len >> RECORD_SHIFT
    }

    /// Whether the hash is listed; `None` when the file is not what it was.
    fn contains(&self, sought: &[u8; HASH]) -> Option<bool> {
        let Some(at) = self.firsts.partition_point(|first| first <= sought).checked_sub(1) else {
            return Some(false);
        };
        let offset = u64::try_from(at).ok()?.checked_mul(BLOCK_LEN)?;
        let len = self.byte_len.checked_sub(offset)?.min(BLOCK_LEN);
        let mut buffer = [0; BLOCK_BYTES];
        let block = buffer.get_mut(..usize::try_from(len).ok()?)?;
        self.file.read_exact_at(block, offset).ok()?;
        let records = block.as_chunks::<RECORD>().0;
        let is_same = records.first().and_then(|first| first.first_chunk()) == self.firsts.get(at);
        let is_before = |record: &[u8; RECORD]| record.first_chunk::<HASH>().cmp(&Some(sought));
        (is_same && records.is_sorted()).then(|| records.binary_search_by(is_before).is_ok())
    }
}

impl KnownKeys for BlockListFile {
    fn look_up(&self, key: &PublicKey) -> Known {
        match digest_of(key).first_chunk().and_then(|sought| self.contains(sought)) {
            Some(true) => Known::Compromised,
            Some(false) => Known::NotListed,
            None => Known::Unavailable,
        }
    }
}

const BLOCK_BYTES: usize = 4096;
const BLOCK_LEN: u64 = 4096;
/// A record has 16 bytes.
const RECORD_SHIFT: u32 = 4;
