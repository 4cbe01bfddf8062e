use core::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use core_types::Subject;

/// A map whose clones share all but what was changed since, and whose look-ups touch two or three cache lines:
/// buckets of entries in the order of their hashes.
///
/// A change copies one bucket and the list of buckets, where a clone still uses them.
pub(crate) struct Table<K, V> {
    // INVARIANT: 2^bits buckets; an entry's bucket is what the first bits of its hash say.
    buckets: Arc<Vec<Arc<Bucket<K, V>>>>,
    bits: u32,
    len: usize,
    // Random per table, so that nobody can choose keys that fall into one bucket.
    seed: u64,
}

struct Bucket<K, V> {
    // INVARIANT: as long as `entries`, ascending; the hash of the entry at the same place.
    hashes: Vec<u64>,
    entries: Vec<(K, V)>,
}

/// A key that a table can spread over its buckets.
pub(crate) trait Spread: Copy + Eq {
    /// 64 bits that differ in all places where keys differ, and cannot be foreseen without the seed.
    fn spread(&self, seed: u64) -> u64;
}

impl<K: Spread, V: Clone> Table<K, V> {
    pub(crate) fn new() -> Self {
        let seed = RandomState::new().hash_one(0_u64);
        Self { buckets: Arc::new(vec![Arc::new(Bucket::new())]), bits: 0, len: 0, seed }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let hash = key.spread(self.seed);
        let bucket = self.buckets.get(first_bits(hash, self.bits))?;
        let place = bucket.find(hash, self.bits, key).ok()?;
        bucket.entries.get(place).map(|(_, value)| value)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.buckets.iter().flat_map(|bucket| bucket.entries.iter().map(|(key, value)| (key, value)))
    }

    /// Changes the value of `key`, or what stands for none; where `keep` then says no, it is removed.
    pub(crate) fn edit<R>(
        &mut self,
        key: K,
        change: impl FnOnce(&mut V) -> R,
        keep: impl FnOnce(&V) -> bool,
    ) -> R
    where
        V: Default,
    {
        let hash = key.spread(self.seed);
        let bits = self.bits;
        // One bucket per value of the first bits: the index is always there.
        let mut nowhere = Arc::new(Bucket::new());
        let buckets = Arc::make_mut(&mut self.buckets);
        let bucket = Arc::make_mut(buckets.get_mut(first_bits(hash, bits)).unwrap_or(&mut nowhere));
        let answer = match bucket.find(hash, bits, &key) {
            Ok(place) => {
                let mut empty = V::default();
                let value = bucket.entries.get_mut(place).map_or(&mut empty, |(_, value)| value);
                let answer = change(value);
                if !keep(value) {
                    bucket.hashes.remove(place);
                    bucket.entries.remove(place);
                    self.len = self.len.saturating_sub(1);
                }
                answer
            }
            Err(place) => {
                let mut value = V::default();
                let answer = change(&mut value);
                if keep(&value) {
                    bucket.hashes.insert(place, hash);
                    bucket.entries.insert(place, (key, value));
                    self.len = self.len.saturating_add(1);
                }
                answer
            }
        };
        if self.len > self.buckets.len().saturating_mul(MEAN_BUCKET) && self.bits < MAX_BITS {
            self.double();
        }
        answer
    }

    /// Twice as many buckets; each becomes two, its entries in the order they had.
    fn double(&mut self) {
        let bits = self.bits.saturating_add(1);
        let mut doubled = Vec::with_capacity(self.buckets.len().saturating_mul(2));
        for bucket in self.buckets.iter() {
            let (mut low, mut high) = (Bucket::new(), Bucket::new());
            for (hash, entry) in bucket.hashes.iter().zip(&bucket.entries) {
                let half = if first_bits(*hash, bits).is_multiple_of(2) { &mut low } else { &mut high };
                half.hashes.push(*hash);
                half.entries.push(entry.clone());
            }
            doubled.extend([Arc::new(low), Arc::new(high)]);
        }
        self.buckets = Arc::new(doubled);
        self.bits = bits;
    }
}

impl<K: Spread, V> Bucket<K, V> {
    const fn new() -> Self {
        Self { hashes: Vec::new(), entries: Vec::new() }
    }

    /// Where the entry is, or where it would be.
    fn find(&self, hash: u64, bits: u32, key: &K) -> Result<usize, usize> {
        let hash_at = |place: usize| self.hashes.get(place).copied();
        // The hashes are spread evenly, so the place follows from the hash, but for a few steps.
        let mut place = share_of(hash.checked_shl(bits).unwrap_or(0), self.hashes.len());
        while place.checked_sub(1).and_then(hash_at).is_some_and(|before| before >= hash) {
            place = place.saturating_sub(1);
        }
        while hash_at(place).is_some_and(|here| here < hash) {
            place = place.saturating_add(1);
        }
        while hash_at(place) == Some(hash) {
            if self.entries.get(place).is_some_and(|(other, _)| other == key) {
                return Ok(place);
            }
            place = place.saturating_add(1);
        }
        Err(place)
    }
}

impl Spread for Subject {
    fn spread(&self, seed: u64) -> u64 {
        let (kind, bytes) = match self {
            Self::User(id) => (1, id.to_bytes()),
            Self::ServiceAccount(id) => (2, id.to_bytes()),
            Self::Machine(id) => (3, id.to_bytes()),
            _ => (0, [0; 16]),
        };
        let whole = u128::from_be_bytes(bytes);
        let high = u64::try_from(whole >> 64).unwrap_or_default();
        let low = u64::try_from(whole & u128::from(u64::MAX)).unwrap_or_default();
        mix(mix(high ^ seed) ^ low ^ kind)
    }
}

/// A permutation of the 64-bit numbers in which every bit depends on every other (the finalizer of
/// MurmurHash3).
const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let number = (number ^ (number >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

/// The number that the first `bits` bits are.
fn first_bits(hash: u64, bits: u32) -> usize {
    let shift = u64::BITS.saturating_sub(bits);
    usize::try_from(hash.checked_shr(shift).unwrap_or(0)).unwrap_or(usize::MAX)
}

/// The part of `len` that `hash` is of 2^64.
fn share_of(hash: u64, len: usize) -> usize {
    let len = u64::try_from(len).unwrap_or(u64::MAX);
    let share = (u128::from(hash).wrapping_mul(u128::from(len))) >> 64;
    usize::try_from(share).unwrap_or(0)
}

// By hand, because `derive` would ask `Clone` of the key and value.
impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self { buckets: Arc::clone(&self.buckets), bits: self.bits, len: self.len, seed: self.seed }
    }
}

impl<K: Clone, V: Clone> Clone for Bucket<K, V> {
    fn clone(&self) -> Self {
        Self { hashes: self.hashes.clone(), entries: self.entries.clone() }
    }
}

impl<K: Spread + fmt::Debug, V: Clone + fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// How many entries a bucket has before the number of buckets is doubled: a change copies half of that and
/// half as many as there are buckets, which for 100,000 entries is about the same.
const MEAN_BUCKET: usize = 128;

/// The most buckets: 2^24, for two thousand million entries.
const MAX_BITS: u32 = 24;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Hashes that collide often, and crowd the ends.
    impl Spread for u16 {
        fn spread(&self, _: u64) -> u64 {
            match self % 4 {
                0 => u64::from(self / 4),
                1 => u64::MAX.saturating_sub(u64::from(self / 8)),
                _ => mix(u64::from(self / 2)),
            }
        }
    }

    proptest! {
        #[test]
        fn a_table_does_what_a_tree_does(steps in vec((0_u16..1200, 0_u8..4), 0..4000)) {
            let mut table: Table<u16, u8> = Table::new();
            let mut tree: BTreeMap<u16, u8> = BTreeMap::new();
            let mut former = None;
            for (at, (key, value)) in steps.into_iter().enumerate() {
                if at == 1000 {
                    former = Some((table.clone(), tree.clone()));
                }
                // Zero stands for nothing.
                let before = table.edit(key, |held| core::mem::replace(held, value), |held| *held != 0);
                prop_assert_eq!(before, tree.get(&key).copied().unwrap_or(0));
                if value == 0 { tree.remove(&key); } else { tree.insert(key, value); }
            }
            for (table, tree) in former.into_iter().chain([(table, tree)]) {
                let entries: BTreeMap<u16, u8> = table.iter().map(|(key, value)| (*key, *value)).collect();
                prop_assert_eq!(&entries, &tree);
                prop_assert_eq!(table.len, tree.len());
                for key in 0..1200 {
                    prop_assert_eq!(table.get(&key), tree.get(&key));
                }
            }
        }
    }

    #[test]
    fn many_users_are_spread_over_buckets_of_like_size() {
        let mut table: Table<Subject, bool> = Table::new();
        for number in 0..20_000_u128 {
            // Ids of one millisecond differ in their low bits only.
            let user = Subject::User(core_types::Id::from_bytes((7 << 80 | number).to_be_bytes()));
            table.edit(user, |held| *held = true, |_| true);
        }
        let longest = table.buckets.iter().map(|bucket| bucket.entries.len()).max().unwrap();
        assert!(table.buckets.len() >= 128 && longest < 3 * MEAN_BUCKET, "{} {longest}", table.buckets.len());
    }
}
