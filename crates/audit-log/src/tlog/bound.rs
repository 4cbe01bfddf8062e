//! Proofs that an epoch has bound a tenant's head: what a stranger needs besides a receipt, to see that everybody was
//! shown one history.

use std::fmt;
use std::str::FromStr;

use super::epoch::Epoch;
use super::error::NoteError;
use super::hash::Hash;
use super::head::TreeHead;
use super::leaf::Leaf;
use super::note::VerifierKey;
use super::proof::{self, MAX_PATH};
use super::receipt::{MAX_PROOF_BYTES, TlogProof};
use crate::hex;

/// The most bytes of an epoch proof in text form.
pub const MAX_EPOCH_PROOF_BYTES: usize = MAX_PROOF_BYTES + 64 * 45 + 128;

/// The proof that a tenant's head is one of those that an epoch binds, and that the epoch is in the log of epochs.
///
/// It says at which place the head stands among those of all tenants, and nothing of theirs. The text form is the one
/// spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochProof {
    pub(crate) slot: u64,
    pub(crate) path: Vec<Hash>,
    pub(crate) epoch: TlogProof,
}

impl EpochProof {
    /// The proof of the epoch itself. Not to be believed before [`verify`](Self::verify).
    #[must_use]
    pub const fn epoch(&self) -> &TlogProof {
        &self.epoch
    }

    /// The epoch that binds this head, if the key has signed for it. The head is that of a verified receipt:
    /// [`ProvenRecord::head`](super::ProvenRecord::head).
    ///
    /// # Errors
    /// [`NoteError`]: it proves nothing.
    pub fn verify(&self, key: &VerifierKey, head: &TreeHead) -> Result<ProvenEpoch, NoteError> {
        let record = self.epoch.verify(key)?;
        let tree = record.head().clone();
        if tree.origin.tenant().is_some() || tree.origin.log() != head.origin.log() {
            return Err(NoteError::Origin);
        }
        if head.origin.tenant().is_none() || head.origin.key_name() != key.name() {
            return Err(NoteError::Origin);
        }
        let leaf = self.epoch.extra().and_then(Leaf::decode).ok_or(NoteError::Entry)?;
        let epoch = Epoch::decode(leaf.record).ok_or(NoteError::Entry)?;
        let bound = Hash::of_leaf(head.to_string().as_bytes());
        proof::verify_inclusion(&bound, self.slot, epoch.tenants, &self.path, &epoch.heads)?;
        let Epoch { through, tenants, .. } = epoch;
        let (sequence, index) = (record.sequence(), record.index());
        Ok(ProvenEpoch { sequence, index, through, slot: self.slot, tenants, head: tree })
    }
}

/// An epoch for which a log's key has signed, and a tenant's place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProvenEpoch {
    /// The epoch's sequence in the log.
    pub sequence: u64,
    /// Its index among the epochs.
    pub index: u64,
    /// The record up to which the heads are.
    pub through: u64,
    /// The tenant's place among the tenants.
    pub slot: u64,
    /// How many tenants there were.
    pub tenants: u64,
    /// The head of the log of epochs: who compares it with others' has compared every tenant's history.
    pub head: TreeHead,
}

impl fmt::Display for EpochProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{TITLE}\n{SLOT}{}", self.slot)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.epoch)
    }
}

impl FromStr for EpochProof {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        if text.len() > MAX_EPOCH_PROOF_BYTES {
            return Err(NoteError::TooLong { limit: MAX_EPOCH_PROOF_BYTES });
        }
        let form = NoteError::Form { what: "epoch proof" };
        let rest = text.strip_prefix(TITLE).and_then(|rest| rest.strip_prefix('\n')).ok_or(form)?;
        let (slot, rest) = rest.strip_prefix(SLOT).and_then(|rest| rest.split_once('\n')).ok_or(form)?;
        let slot = hex::parse_decimal(slot).ok_or(form)?;
        let (path, rest) = read_path(rest).ok_or(form)?;
        Ok(Self { slot, path, epoch: rest.parse()? })
    }
}

/// The hashes of a proof, a line each, up to an empty line; and what follows.
pub(super) fn read_path(mut rest: &str) -> Option<(Vec<Hash>, &str)> {
    let mut path = Vec::new();
    loop {
        let (line, after) = rest.split_once('\n')?;
        rest = after;
        if line.is_empty() {
            return Some((path, rest));
        }
        if path.len() >= MAX_PATH {
            return None;
        }
        path.push(line.parse().ok()?);
    }
}

const TITLE: &str = "palisade audit-log epoch-proof 1";
const SLOT: &str = "slot ";
