//! Where a log stands: its id, the sequence of its last record, and the chain hash there.

use std::fmt;
use std::str::FromStr;

use core_types::{ParseError, RandomError, SecureRandom};
use ring::digest;
use serde::{Serialize, Serializer};

use crate::hex;

/// A hash of the chain.
pub(crate) type Chain = [u8; 32];

/// Which log this is: 16 random bytes chosen when it was created.
///
/// The text form is 32 characters of lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    bytes: [u8; 16],
}

impl LogId {
    /// A new id.
    ///
    /// # Errors
    /// [`RandomError`] when `rng` fails.
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, RandomError> {
        let mut bytes = [0; 16];
        rng.fill(&mut bytes)?;
        Ok(Self { bytes })
    }

    /// The id that is these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self { bytes }
    }

    /// The bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.bytes
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(f, &self.bytes)
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for LogId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for LogId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bytes = hex::parse(text).ok_or(ParseError::Form { form: "32 characters of [0-9a-f]" })?;
        Ok(Self { bytes })
    }
}

/// How far a log had come: whoever keeps one elsewhere can tell later whether the log still contains it.
///
/// The text form is one line: `palisade-audit-1:`, the log's id, the sequence in decimal, and the chain hash,
/// separated by `:`. It names no one and may be kept anywhere its integrity is safe.
///
/// ```
/// use audit_log::Checkpoint;
/// let text = format!("palisade-audit-1:{}:17:{}", "0f".repeat(16), "a0".repeat(32));
/// let checkpoint: Checkpoint = text.parse()?;
/// assert_eq!((checkpoint.sequence(), checkpoint.to_string()), (17, text));
/// # Ok::<(), core_types::ParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    log: LogId,
    sequence: u64,
    chain: Chain,
}

impl Checkpoint {
    /// The checkpoint of a log that has no record yet.
    #[must_use]
    pub fn genesis(log: LogId) -> Self {
        Self { log, sequence: 0, chain: sha256(&[GENESIS_DOMAIN, &log.bytes]) }
    }

    /// The checkpoint at this position.
    #[must_use]
    pub const fn new(log: LogId, sequence: u64, chain: [u8; 32]) -> Self {
        Self { log, sequence, chain }
    }

    /// Which log.
    #[must_use]
    pub const fn log(&self) -> LogId {
        self.log
    }

    /// The sequence of the last record; 0 when there is none.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The chain hash of that record, which commits to everything before it.
    #[must_use]
    pub const fn chain(&self) -> &[u8; 32] {
        &self.chain
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}:{}:{}:", self.log, self.sequence)?;
        hex::write(f, &self.chain)
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Checkpoint {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > MAX_CHECKPOINT_BYTES {
            return Err(ParseError::TooLong { limit: MAX_CHECKPOINT_BYTES });
        }
        let form = ParseError::Form { form: "palisade-audit-1:LOG:SEQUENCE:CHAIN" };
        let mut parts = text.split(':');
        let (Some(PREFIX), Some(log), Some(sequence), Some(chain), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(form);
        };
        let sequence = hex::parse_decimal(sequence).ok_or(form)?;
        Ok(Self { log: log.parse()?, sequence, chain: hex::parse(chain).ok_or(form)? })
    }
}

impl Serialize for Checkpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The chain hash of a record: commits to the one before, the record's place and its bytes.
pub(crate) fn link(previous: &Chain, sequence: u64, entry: &[u8]) -> Chain {
    let sequence = sequence.to_be_bytes();
    let parts: [&[u8]; 4] = [RECORD_DOMAIN, previous, &sequence, entry];
    // In one piece it takes less time, where that is short.
    let (mut piece, mut end) = ([0; SHORT_BYTES], 0_usize);
    let is_short = parts.iter().all(|part| {
        let Some(to) = piece.get_mut(end..).and_then(|rest| rest.get_mut(..part.len())) else { return false };
        to.copy_from_slice(part);
        end = end.saturating_add(part.len());
        true
    });
    match piece.get(..end) {
        Some(input) if is_short => to_chain(digest::digest(&digest::SHA256, input)),
        _ => sha256(&parts),
    }
}

fn sha256(parts: &[&[u8]]) -> Chain {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    to_chain(context.finish())
}

fn to_chain(digest: digest::Digest) -> Chain {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

const SHORT_BYTES: usize = 1024;

/// The most bytes the text of a checkpoint may have.
const MAX_CHECKPOINT_BYTES: usize = 135;
const PREFIX: &str = "palisade-audit-1";
const GENESIS_DOMAIN: &[u8] = b"palisade audit-log genesis 1\n";
const RECORD_DOMAIN: &[u8] = b"palisade audit-log record 1\n";
