//! The tree of all tenants' heads, of which any leaf may change.

use super::hash::Hash;

/// A tree in memory: the hashes of each height.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heads {
    levels: Vec<Vec<Hash>>,
}

impl Heads {
    pub(crate) const fn new() -> Self {
        Self { levels: Vec::new() }
    }

    pub(crate) fn root(&self) -> Hash {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or_else(Hash::of_empty_tree)
    }

    /// How many leaves there are.
    pub(crate) fn len(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// The inclusion proof of a leaf (RFC 6962 section 2.1.1); `None` where there is none.
    pub(crate) fn path(&self, slot: usize) -> Option<Vec<Hash>> {
        if slot >= self.len() {
            return None;
        }
        // What has nobody beside it has moved up as it is.
        let beside = |(height, level): (u32, &Vec<Hash>)| {
            level.get(slot.checked_shr(height).unwrap_or(0) ^ 1).copied()
        };
        Some((0_u32..).zip(&self.levels).filter_map(beside).collect())
    }

    /// Sets a leaf: one that is there, or the one after the last.
    pub(crate) fn set(&mut self, slot: usize, leaf: Hash) {
        let (mut place, mut hash, mut height) = (slot, leaf, 0_usize);
        loop {
            if self.levels.len() <= height {
                self.levels.push(Vec::new());
            }
            let Some(level) = self.levels.get_mut(height) else { return };
            match level.get_mut(place) {
                Some(there) => *there = hash,
                None => level.push(hash),
            }
            if level.len() <= 1 {
                self.levels.truncate(height.saturating_add(1));
                return;
            }
            let left = level.get(place & !1).copied();
            let right = level.get(place | 1).copied();
            // One that has nobody beside it moves up as it is.
            hash = match (left, right) {
                (Some(left), Some(right)) => Hash::of_node(&left, &right),
                (Some(left), None) => left,
                _ => return,
            };
            place >>= 1;
            height = height.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::edge::Frontier;
    use super::super::proof::verify_inclusion;
    use super::*;
    use crate::scan::to_u64;

    #[test]
    fn it_is_the_tree_of_its_leaves_however_it_came_to_be() {
        let leaf = |n: usize, round: u8| Hash::of_leaf(&[n.to_le_bytes().as_slice(), &[round]].concat());
        let mut heads = Heads::new();
        assert_eq!(heads.root(), Hash::of_empty_tree());
        let mut leaves = Vec::new();
        for n in 0..70 {
            heads.set(n, leaf(n, 0));
            leaves.push(leaf(n, 0));
            let changed = n * 7 % (n + 1);
            heads.set(changed, leaf(changed, 1));
            leaves[changed] = leaf(changed, 1);
            let mut tree = Frontier::default();
            leaves.iter().for_each(|leaf| tree.push(*leaf, |_, _, _| {}));
            assert_eq!(heads.root(), tree.root(), "{n}");
            for (slot, leaf) in leaves.iter().enumerate() {
                let path = heads.path(slot).unwrap();
                let [slot, size] = [slot, leaves.len()].map(to_u64);
                assert_eq!(
                    verify_inclusion(leaf, slot, size, &path, &heads.root()),
                    Ok(()),
                    "{slot} of {size}"
                );
            }
            assert_eq!((heads.len(), heads.path(leaves.len())), (leaves.len(), None));
        }
    }
}
