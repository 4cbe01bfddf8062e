//! Proofs that a leaf is in a tree, and that one tree is the beginning of another (RFC 6962 sections 2.1.1 and
//! 2.1.2; checked as in RFC 9162 sections 2.1.3.2 and 2.1.4.2). Iterative, total, and of at most 64 steps.

use super::error::ProofError;
use super::hash::Hash;

/// The most leaves of a tree.
pub const MAX_TREE_SIZE: u64 = 1 << 63;

/// The most hashes of a proof of inclusion.
pub(super) const MAX_PATH: usize = 63;

/// Checks that `leaf` is the hash of the leaf at `index` of the tree of `size` leaves with this root.
///
/// # Errors
/// [`ProofError`]: it is not, or not by this proof.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    let climb = Climb::leaf(index, size)?;
    if climb.clone().count() != proof.len() {
        return Err(ProofError::Length);
    }
    let reached = climb.zip(proof).fold(*leaf, |hash, (side, step)| match side {
        Side::Left(..) => Hash::of_node(step, &hash),
        Side::Right(..) => Hash::of_node(&hash, step),
    });
    if reached == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that the tree of `old_size` leaves with root `old` is the beginning of the tree of `size` leaves with
/// root `root`. The empty tree is the beginning of every tree, by an empty proof.
///
/// # Errors
/// [`ProofError`]: it is not, or not by this proof.
pub fn verify_consistency(
    old_size: u64,
    old: &Hash,
    size: u64,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old_size > size || size > MAX_TREE_SIZE {
        return Err(ProofError::Range);
    }
    if old_size == 0 || old_size == size {
        let expected = if old_size == 0 { Hash::of_empty_tree() } else { *root };
        // Of the empty tree there is one root only, on either side.
        let is_empty_root = size > 0 || *root == Hash::of_empty_tree();
        return match () {
            () if !proof.is_empty() => Err(ProofError::Length),
            () if *old != expected || !is_empty_root => Err(ProofError::Root),
            () => Ok(()),
        };
    }
    let (climb, start) = Climb::edge(old_size, size);
    // Where the old tree is one whole subtree of the new one, its root is where both begin.
    let (first, steps) = match (start, proof) {
        (Some(_), [first, steps @ ..]) => (*first, steps),
        (Some(_), []) => return Err(ProofError::Length),
        (None, steps) => (*old, steps),
    };
    if climb.clone().count() != steps.len() {
        return Err(ProofError::Length);
    }
    let (left, whole) = climb.zip(steps).fold((first, first), |(left, whole), (side, step)| match side {
        Side::Left(..) => (Hash::of_node(step, &left), Hash::of_node(step, &whole)),
        Side::Right(..) => (left, Hash::of_node(&whole, step)),
    });
    if left == *old && whole == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// The subtrees whose hashes are the inclusion proof of a leaf, from the leaf up.
///
/// # Errors
/// [`ProofError::Range`].
pub fn inclusion_path(index: u64, size: u64) -> Result<Vec<Subtree>, ProofError> {
    Ok(Climb::leaf(index, size)?.map(Side::subtree).collect())
}

/// The subtrees whose hashes are the consistency proof of two trees.
///
/// # Errors
/// [`ProofError::Range`].
pub fn consistency_path(old_size: u64, size: u64) -> Result<Vec<Subtree>, ProofError> {
    if old_size > size || size > MAX_TREE_SIZE {
        return Err(ProofError::Range);
    }
    if old_size == 0 || old_size == size {
        return Ok(Vec::new());
    }
    let (climb, start) = Climb::edge(old_size, size);
    Ok(start.into_iter().chain(climb.map(Side::subtree)).collect())
}

/// The leaves from `start` up to `end`, whose hash is part of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subtree {
    /// The first leaf.
    pub start: u64,
    /// The leaf after the last one.
    pub end: u64,
}

impl Subtree {
    /// The whole tree of this size.
    #[must_use]
    pub const fn of_tree(size: u64) -> Self {
        Self { start: 0, end: size }
    }

    /// The perfect subtrees it is made of, left to right: their heights, and their indices at that height.
    pub(crate) fn nodes(self) -> impl Iterator<Item = (u32, u64)> {
        let mut start = self.start;
        std::iter::from_fn(move || {
            let rest = self.end.checked_sub(start).filter(|rest| *rest > 0)?;
            let height = rest.ilog2();
            let index = start.checked_shr(height)?;
            start = start.checked_add(1_u64.checked_shl(height)?)?;
            Some((height, index))
        })
    }

    /// Its hash, by those of the perfect subtrees it is made of.
    pub(crate) fn hash<E>(self, mut node: impl FnMut(u32, u64) -> Result<Hash, E>) -> Result<Hash, E> {
        let nodes: Vec<(u32, u64)> = self.nodes().collect();
        let mut hash = None;
        for (height, index) in nodes.into_iter().rev() {
            let left = node(height, index)?;
            hash = Some(hash.map_or(left, |right| Hash::of_node(&left, &right)));
        }
        Ok(hash.unwrap_or_else(Hash::of_empty_tree))
    }
}

/// What stands beside a node on the way up.
enum Side {
    Left(Subtree),
    Right(Subtree),
}

impl Side {
    const fn subtree(self) -> Subtree {
        match self {
            Self::Left(subtree) | Self::Right(subtree) => subtree,
        }
    }
}

/// The way from a node up to the root; it yields what stands beside it.
#[derive(Clone)]
struct Climb {
    size: u64,
    // Of the node, at its height.
    index: u64,
    // Of the last node, at the same height.
    last: u64,
    height: u32,
}

impl Climb {
    fn leaf(index: u64, size: u64) -> Result<Self, ProofError> {
        match size.checked_sub(1) {
            Some(last) if index <= last && size <= MAX_TREE_SIZE => Ok(Self { size, index, last, height: 0 }),
            _ => Err(ProofError::Range),
        }
    }

    /// From the last perfect subtree of the old tree's right edge, with that subtree where it is not the whole
    /// old tree. `0 < old_size < size`.
    fn edge(old_size: u64, size: u64) -> (Self, Option<Subtree>) {
        let edge = old_size.saturating_sub(1);
        let height = edge.trailing_ones();
        let (index, last) = (shift(edge, height), shift(size.saturating_sub(1), height));
        let climb = Self { size, index, last, height };
        let start = (index > 0).then(|| climb.subtree(index));
        (climb, start)
    }

    /// The subtree of this index at the present height, cut at the end of the tree.
    fn subtree(&self, index: u64) -> Subtree {
        let at = |index: u64| {
            index.checked_shl(self.height).filter(|at| shift(*at, self.height) == index).unwrap_or(self.size)
        };
        let start = at(index);
        Subtree { start, end: at(index.saturating_add(1)).min(self.size) }
    }
}

impl Iterator for Climb {
    type Item = Side;

    fn next(&mut self) -> Option<Side> {
        while self.last > 0 {
            let side = if self.index % 2 == 1 {
                Some(Side::Left(self.subtree(self.index.saturating_sub(1))))
            } else if self.index < self.last {
                Some(Side::Right(self.subtree(self.index.saturating_add(1))))
            } else {
                None
            };
            self.index >>= 1;
            self.last >>= 1;
            self.height = self.height.saturating_add(1);
            if side.is_some() {
                return side;
            }
        }
        None
    }
}

fn shift(value: u64, by: u32) -> u64 {
    value.checked_shr(by).unwrap_or(0)
}
