//! Leaves: a record of the log with its sequence, as JSON.

use core_types::Scope;

use super::hash::Hash;
use super::tile::MAX_LEAF_BYTES;
use crate::event::{Entry, Record};
use crate::hex;

/// A record in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaf<'a> {
    /// The record's sequence in the log.
    pub(crate) sequence: u64,
    /// The record's bytes as they lie in the log.
    pub(crate) record: &'a [u8],
}

impl<'a> Leaf<'a> {
    /// The leaf's bytes; `None` when there would be too many.
    pub(crate) fn encode(sequence: u64, record: &[u8]) -> Option<Vec<u8>> {
        let mut leaf = format!("{PREFIX}{sequence}{MIDDLE}").into_bytes();
        leaf.extend_from_slice(record);
        leaf.extend_from_slice(SUFFIX);
        (leaf.len() <= MAX_LEAF_BYTES).then_some(leaf)
    }

    /// The hash of the leaf that [`encode`](Self::encode) makes.
    pub(crate) fn hash(sequence: u64, record: &[u8]) -> Option<Hash> {
        let start = format!("{PREFIX}{sequence}{MIDDLE}");
        let length = start.len().checked_add(record.len())?.checked_add(SUFFIX.len())?;
        (length <= MAX_LEAF_BYTES).then(|| Hash::of_leaf_parts(&[start.as_bytes(), record, SUFFIX]))
    }

    pub(crate) fn decode(leaf: &'a [u8]) -> Option<Self> {
        let rest = leaf.strip_prefix(PREFIX.as_bytes())?.strip_suffix(SUFFIX)?;
        let end = rest.iter().position(|byte| *byte == b',')?;
        let (sequence, rest) = rest.split_at_checked(end)?;
        let sequence = hex::parse_decimal(str::from_utf8(sequence).ok()?)?;
        Some(Self { sequence, record: rest.strip_prefix(MIDDLE.as_bytes())? })
    }

    /// Whose record it is; `None` for what is no record of a tenant's.
    pub(crate) fn tenant(&self) -> Option<Scope> {
        Record::decode(self.record).map(|record| record.intent.tenant().clone())
    }

    /// The entry, where the record completes one.
    pub(crate) fn entry(&self) -> Option<Entry> {
        Record::decode(self.record)?.into_entry(self.sequence)
    }
}

const PREFIX: &str = "{\"sequence\":";
const MIDDLE: &str = ",\"record\":";
const SUFFIX: &[u8] = b"}";
