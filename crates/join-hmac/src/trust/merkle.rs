//! The Merkle tree over members and tombstones (RFC 6962 2.1, with SHA-256).

use super::store::Root;
use crate::mac::{Digest, sha256};

/// Proof that a leaf is in the tree of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    index: usize,
    size: usize,
    path: Vec<Digest>,
}

impl InclusionProof {
    /// The path to leaf `index`; `None` when there is none.
    pub(super) fn new(leaves: &[Vec<u8>], index: usize) -> Option<Self> {
        let hashes: Vec<Digest> = leaves.iter().map(|bytes| leaf(bytes)).collect();
        let mut path = Vec::new();
        descend(&hashes, index, &mut path)?;
        Some(Self { index, size: leaves.len(), path })
    }

    /// Whether `bytes` is the leaf it says, in the tree of `root`.
    pub(super) fn leads(&self, bytes: &[u8], root: &Root) -> bool {
        let climbed = climb(leaf(bytes), self.index, self.size, &mut self.path.iter());
        climbed.is_some_and(|(hash, all)| all && hash == *root.as_bytes())
    }
}

/// The root of these leaves; of none, the digest of nothing.
pub(super) fn root(leaves: &[Vec<u8>]) -> Digest {
    let hashes: Vec<Digest> = leaves.iter().map(|bytes| leaf(bytes)).collect();
    subtree(&hashes)
}

fn subtree(hashes: &[Digest]) -> Digest {
    match hashes {
        [] => sha256(&[]),
        [only] => *only,
        _ => {
            let (left, right) = hashes.split_at(split(hashes.len()));
            node(&subtree(left), &subtree(right))
        }
    }
}

fn descend(hashes: &[Digest], index: usize, path: &mut Vec<Digest>) -> Option<()> {
    if hashes.len() <= 1 {
        return (index < hashes.len()).then_some(());
    }
    let middle = split(hashes.len());
    let (left, right) = hashes.split_at(middle);
    match index.checked_sub(middle) {
        None => {
            descend(left, index, path)?;
            path.push(subtree(right));
        }
        Some(index) => {
            descend(right, index, path)?;
            path.push(subtree(left));
        }
    }
    Some(())
}

/// The hash of a subtree from one of its leaves and the path; and whether the path is used up.
fn climb(
    leaf: Digest,
    index: usize,
    size: usize,
    path: &mut core::slice::Iter<'_, Digest>,
) -> Option<(Digest, bool)> {
    if size <= 1 {
        return (index < size).then_some((leaf, path.as_slice().is_empty()));
    }
    let middle = split(size);
    let (below, left) = match index.checked_sub(middle) {
        None => (climb(leaf, index, middle, path)?, true),
        Some(index) => (climb(leaf, index, size.checked_sub(middle)?, path)?, false),
    };
    let sibling = path.next()?;
    let hash = if left { node(&below.0, sibling) } else { node(sibling, &below.0) };
    Some((hash, path.as_slice().is_empty()))
}

/// The greatest power of two under `len`.
fn split(len: usize) -> usize {
    let half = len.next_power_of_two() >> 1;
    half.max(1)
}

fn leaf(bytes: &[u8]) -> Digest {
    sha256(&[&[0], bytes].concat())
}

fn node(left: &Digest, right: &Digest) -> Digest {
    sha256(&[&[1], left.as_slice(), right].concat())
}
