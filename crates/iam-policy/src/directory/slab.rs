use core::fmt;
use core::hash::Hash;
use std::sync::Arc;

use rpds::HashTrieMapSync;

/// A map whose entries have short numbers, by which others refer to them without a search; clones share all
/// but what was changed since.
///
/// A number is valid as long as its entry is there: whoever keeps one must be what keeps the entry.
#[derive(Clone)]
pub(crate) struct Slab<K: Eq + Hash, N> {
    numbers: HashTrieMapSync<K, u32>,
    // INVARIANT: each inner list has CHUNK nodes; the nodes of free numbers are default.
    chunks: Arc<Vec<Arc<Vec<N>>>>,
    free: Arc<Vec<u32>>,
}

/// Something that is there as long as anything is known of it or refers to it.
pub(crate) trait Node: Clone + Default {
    fn is_empty(&self) -> bool;
}

impl<K: Copy + Eq + Hash, N: Node> Slab<K, N> {
    pub(crate) fn new() -> Self {
        Self { numbers: HashTrieMapSync::new_sync(), chunks: Arc::default(), free: Arc::default() }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&N> {
        self.at(*self.numbers.get(key)?)
    }

    /// The number of this entry.
    pub(crate) fn number(&self, key: &K) -> Option<u32> {
        self.numbers.get(key).copied()
    }

    /// The node of this number.
    pub(crate) fn at(&self, number: u32) -> Option<&N> {
        let number = usize::try_from(number).ok()?;
        self.chunks.get(number / CHUNK)?.get(number % CHUNK)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &N)> {
        self.numbers.iter().filter_map(|(key, number)| Some((key, self.at(*number)?)))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &N> {
        self.numbers.values().filter_map(|number| self.at(*number))
    }

    /// Changes the node of `key`, which is made where there is none, and taken away where it is empty then.
    /// What the change answers does not matter. `None` when it is taken away, else its number.
    pub(crate) fn edit<R>(&mut self, key: K, change: impl FnOnce(&mut N) -> R) -> Option<u32> {
        let known = self.numbers.get(&key).copied();
        let number = match known {
            Some(number) => number,
            None => self.allocate()?,
        };
        let at = usize::try_from(number).ok()?;
        let chunk = Arc::make_mut(&mut self.chunks).get_mut(at / CHUNK)?;
        let node = Arc::make_mut(chunk).get_mut(at % CHUNK)?;
        change(node);
        if node.is_empty() {
            *node = N::default();
            self.numbers.remove_mut(&key);
            Arc::make_mut(&mut self.free).push(number);
            return None;
        }
        if known.is_none() {
            self.numbers.insert_mut(key, number);
        }
        Some(number)
    }

    fn allocate(&mut self) -> Option<u32> {
        if self.free.is_empty() {
            let first = self.chunks.len().checked_mul(CHUNK)?;
            let numbers = first..first.checked_add(CHUNK)?;
            let numbers: Option<Vec<u32>> = numbers.rev().map(|number| u32::try_from(number).ok()).collect();
            self.free = Arc::new(numbers?);
            let nodes = core::iter::repeat_with(N::default).take(CHUNK).collect();
            Arc::make_mut(&mut self.chunks).push(Arc::new(nodes));
        }
        Arc::make_mut(&mut self.free).pop()
    }
}

impl<K: Copy + Eq + Hash + fmt::Debug, N: Node + fmt::Debug> fmt::Debug for Slab<K, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.numbers.iter().map(|(key, number)| (key, self.at(*number)));
        f.debug_map().entries(entries).finish()
    }
}

/// How many nodes a change copies.
const CHUNK: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    impl Node for u8 {
        fn is_empty(&self) -> bool {
            *self == 0
        }
    }

    proptest! {
        #[test]
        fn a_slab_does_what_a_tree_does(steps in vec((0_u16..200, 0_u8..4), 0..800)) {
            let mut slab: Slab<u16, u8> = Slab::new();
            let mut tree: BTreeMap<u16, u8> = BTreeMap::new();
            let mut former = None;
            for (at, (key, value)) in steps.into_iter().enumerate() {
                if at == 200 {
                    former = Some((slab.clone(), tree.clone()));
                }
                let number = slab.edit(key, |held| *held = value);
                prop_assert_eq!(number.and_then(|number| slab.at(number)).copied(), Some(value).filter(|it| *it != 0));
                if value == 0 { tree.remove(&key); } else { tree.insert(key, value); }
            }
            for (slab, tree) in former.into_iter().chain([(slab, tree)]) {
                for key in 0..200 {
                    prop_assert_eq!(slab.get(&key), tree.get(&key));
                }
                prop_assert_eq!(slab.values().count(), tree.len());
                // Numbers are used again, so there are no more chunks than were once needed.
                prop_assert!(slab.chunks.len() <= 4);
            }
        }
    }
}
