//! Receipts: what somebody needs to see offline that a record is in a log (c2sp.org/tlog-proof).

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding as _};
use core_types::Scope;

use super::bound::read_path;
use super::error::NoteError;
use super::hash::{Hash, decode_base64};
use super::head::TreeHead;
use super::leaf::Leaf;
use super::note::{MAX_NOTE_BYTES, SignedNote, VerifierKey};
use super::proof;
use super::tile::MAX_LEAF_BYTES;
use crate::event::Entry;
use crate::hex;

/// The most bytes of a proof in text form.
pub const MAX_PROOF_BYTES: usize = MAX_NOTE_BYTES + MAX_LEAF_BYTES * 4 / 3 + 64 * 45 + 256;

/// The most bytes of data beside a proof.
pub const MAX_EXTRA_BYTES: usize = MAX_LEAF_BYTES;

/// A record's proof of inclusion, in the format `c2sp.org/tlog-proof@v1`, with the record itself as its extra data.
///
/// It is checked offline, with nothing but the log's verifier key. The text form is the one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    pub(crate) extra: Option<Vec<u8>>,
    pub(crate) index: u64,
    pub(crate) path: Vec<Hash>,
    pub(crate) checkpoint: SignedNote,
}

impl TlogProof {
    /// What is beside the proof: the leaf, in proofs of this crate. Not to be believed before
    /// [`verify`](Self::verify).
    #[must_use]
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// The leaf's index in its tree.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The checkpoint.
    #[must_use]
    pub const fn checkpoint(&self) -> &SignedNote {
        &self.checkpoint
    }

    /// The record, if the key has signed for it: as the `index`-th of its tenant in this log.
    ///
    /// # Errors
    /// [`NoteError`]: it proves nothing.
    pub fn verify(&self, key: &VerifierKey) -> Result<ProvenRecord, NoteError> {
        let leaf = self.extra.as_deref().ok_or(NoteError::Entry)?;
        let head = self.verify_leaf(key, &Hash::of_leaf(leaf))?;
        let read = Leaf::decode(leaf).ok_or(NoteError::Entry)?;
        if let Some(tenant) = head.origin.tenant()
            && read.tenant().as_ref() != Some(tenant)
        {
            return Err(NoteError::Entry);
        }
        Ok(ProvenRecord { leaf: leaf.into(), index: self.index, sequence: read.sequence, head })
    }

    /// The tree in which this leaf is, if the key has signed for it. The extra data are not looked at.
    ///
    /// # Errors
    /// [`NoteError`]: it proves nothing.
    pub fn verify_leaf(&self, key: &VerifierKey, leaf: &Hash) -> Result<TreeHead, NoteError> {
        let head = TreeHead::verify(&self.checkpoint, key)?;
        proof::verify_inclusion(leaf, self.index, head.size, &self.path, &head.root)?;
        Ok(head)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{TITLE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "{EXTRA}{}", Base64::encode_string(extra))?;
        }
        writeln!(f, "{INDEX}{}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        if text.len() > MAX_PROOF_BYTES {
            return Err(NoteError::TooLong { limit: MAX_PROOF_BYTES });
        }
        let form = NoteError::Form { what: "tlog-proof" };
        let rest = text.strip_prefix(TITLE).and_then(|rest| rest.strip_prefix('\n')).ok_or(form)?;
        let (extra, rest) = match rest.strip_prefix(EXTRA) {
            Some(rest) => {
                let (extra, rest) = rest.split_once('\n').ok_or(form)?;
                let extra =
                    decode_base64(extra).filter(|extra| extra.len() <= MAX_EXTRA_BYTES).ok_or(form)?;
                (Some(extra), rest)
            }
            None => (None, rest),
        };
        let (index, rest) = rest.strip_prefix(INDEX).and_then(|rest| rest.split_once('\n')).ok_or(form)?;
        let index = hex::parse_decimal(index).ok_or(form)?;
        let (path, rest) = read_path(rest).ok_or(form)?;
        Ok(Self { extra, index, path, checkpoint: rest.parse()? })
    }
}

/// A record for which a log's key has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRecord {
    leaf: Box<[u8]>,
    index: u64,
    sequence: u64,
    head: TreeHead,
}

impl ProvenRecord {
    /// Its sequence in the log.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Its index among its tenant's records.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The tree in which it is.
    #[must_use]
    pub const fn head(&self) -> &TreeHead {
        &self.head
    }

    /// Whose record it is; none of a record of the log's own.
    #[must_use]
    pub const fn tenant(&self) -> Option<&Scope> {
        self.head.origin.tenant()
    }

    /// The record as it lies in the log: JSON.
    #[must_use]
    pub fn record(&self) -> &str {
        let record = Leaf::decode(&self.leaf).map(|leaf| leaf.record).unwrap_or_default();
        str::from_utf8(record).unwrap_or_default()
    }

    /// The entry, where the record completes one; none of an intent.
    #[must_use]
    pub fn entry(&self) -> Option<Entry> {
        Leaf::decode(&self.leaf)?.entry()
    }
}

const TITLE: &str = "c2sp.org/tlog-proof@v1";
const EXTRA: &str = "extra ";
const INDEX: &str = "index ";
