use core::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use core_types::Subject;

/// A map whose clones share all but what was changed since, and whose look-ups touch three cache lines, one of them the
/// entry's own: buckets of entries, each with an index by hash.
///
/// A change copies one bucket and the list of buckets, where a clone still uses them.
pub(crate) struct Table<K, V> {
    // INVARIANT: 2^bits buckets; an entry's bucket is what the first bits of its hash say.
    buckets: Arc<Vec<Arc<Bucket<K, V>>>>,
    bits: u32,
    len: usize,
    // Random per table, so that nobody can choose keys that fall into one bucket.
    seed: Seed,
}

/// What nobody can foresee of a table's hashes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(u64, u64);

/// Entries in no order. Aligned, so that a look-up does not read the line in which a change counts references.
#[derive(Clone)]
#[repr(align(64))]
struct Bucket<K, V> {
    // Where the entries stand, counted from 1, each at or after the place that the last bits of its hash say; 0 where none
    // is. INVARIANT: a power of two of places, at least twice as many as entries.
    index: Box<[u16]>,
    entries: Vec<Entry<K, V>>,
}

#[derive(Clone)]
struct Entry<K, V> {
    key: K,
    value: V,
}

/// A key that a table can spread over its buckets, or what says which key is sought.
pub(crate) trait Spread<K: ?Sized = Self> {
    /// 64 bits that cannot be foreseen without the seed; of what says the same key, the same.
    fn spread(&self, seed: Seed) -> u64;

    /// Whether this is the key.
    fn is(&self, key: &K) -> bool;
}

impl<K: Spread + Clone, V: Clone> Table<K, V> {
    pub(crate) fn new() -> Self {
        let state = RandomState::new();
        let seed = Seed(state.hash_one(0_u64), state.hash_one(1_u64));
        Self { buckets: Arc::new(vec![Arc::new(Bucket::new())]), bits: 0, len: 0, seed }
    }

    #[inline(always)]
    pub(crate) fn get<Q: Spread<K>>(&self, key: &Q) -> Option<&V> {
        let hash = key.spread(self.seed);
        let bucket = self.buckets.get(first_bits(hash, self.bits))?;
        bucket.find(hash, key).map(|(_, entry)| &entry.value)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub(super) const fn seed(&self) -> Seed {
        self.seed
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.buckets.iter().flat_map(|bucket| bucket.entries.iter().map(|entry| (&entry.key, &entry.value)))
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
        // One bucket per value of the first bits: the index is always there.
        let mut nowhere = Arc::new(Bucket::new());
        let buckets = Arc::make_mut(&mut self.buckets);
        let bucket = Arc::make_mut(buckets.get_mut(first_bits(hash, self.bits)).unwrap_or(&mut nowhere));
        let answer = match bucket.find(hash, &key).map(|(at, _)| at) {
            Some(at) => {
                let mut empty = V::default();
                let value = bucket.entries.get_mut(at).map_or(&mut empty, |entry| &mut entry.value);
                let answer = change(value);
                if !keep(value) {
                    bucket.entries.swap_remove(at);
                    bucket.index_anew(self.seed);
                    self.len = self.len.saturating_sub(1);
                }
                answer
            }
            None => {
                let mut value = V::default();
                let answer = change(&mut value);
                if keep(&value) {
                    bucket.push(Entry { key, value }, hash, self.seed);
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

    /// Twice as many buckets; each becomes two.
    fn double(&mut self) {
        let bits = self.bits.saturating_add(1);
        let mut doubled = Vec::with_capacity(self.buckets.len().saturating_mul(2));
        for bucket in self.buckets.iter() {
            let (mut low, mut high) = (Bucket::new(), Bucket::new());
            for entry in &bucket.entries {
                let is_low = first_bits(entry.key.spread(self.seed), bits).is_multiple_of(2);
                (if is_low { &mut low } else { &mut high }).entries.push(entry.clone());
            }
            doubled.extend([low, high].map(|mut bucket| {
                bucket.index_anew(self.seed);
                Arc::new(bucket)
            }));
        }
        self.buckets = Arc::new(doubled);
        self.bits = bits;
    }
}

impl<K: Spread, V> Bucket<K, V> {
    fn new() -> Self {
        Self { index: Box::from([0; 2]), entries: Vec::new() }
    }

    #[inline(always)]
    fn find<Q: Spread<K>>(&self, hash: u64, key: &Q) -> Option<(usize, &Entry<K, V>)> {
        let mask = self.index.len().checked_sub(1)?;
        let mut place = last_bits(hash, mask);
        loop {
            // Half of the places are empty, so that this comes to an end.
            let at = usize::from(*self.index.get(place)?).checked_sub(1)?;
            let entry = self.entries.get(at)?;
            if key.is(&entry.key) {
                return Some((at, entry));
            }
            place = place.wrapping_add(1) & mask;
        }
    }

    fn push(&mut self, entry: Entry<K, V>, hash: u64, seed: Seed) {
        self.entries.push(entry);
        if self.entries.len().saturating_mul(2) > self.index.len() {
            self.index_anew(seed);
        } else {
            self.point_at(self.entries.len(), hash);
        }
    }

    fn index_anew(&mut self, seed: Seed) {
        let places = self.entries.len().saturating_mul(2).next_power_of_two().max(2);
        self.index = vec![0; places].into();
        let hashes: Vec<u64> = self.entries.iter().map(|entry| entry.key.spread(seed)).collect();
        for (number, hash) in (1..).zip(hashes) {
            self.point_at(number, hash);
        }
    }

    fn point_at(&mut self, number: usize, hash: u64) {
        let mask = self.index.len().saturating_sub(1);
        let mut place = last_bits(hash, mask);
        while self.index.get(place).is_some_and(|taken| *taken != 0) {
            place = place.wrapping_add(1) & mask;
        }
        // INVARIANT of `MAX_BITS`: no bucket comes to have as many as that.
        if let (Some(free), Ok(number)) = (self.index.get_mut(place), u16::try_from(number)) {
            *free = number;
        }
    }
}

impl Spread for Subject {
    #[inline]
    fn spread(&self, seed: Seed) -> u64 {
        let (kind, bytes) = match self {
            Self::User(id) => (1, id.to_bytes()),
            Self::ServiceAccount(id) => (2, id.to_bytes()),
            Self::Machine(id) => (3, id.to_bytes()),
            _ => (0, [0; 16]),
        };
        let whole = u128::from_le_bytes(bytes);
        let high = u64::try_from(whole >> 64).unwrap_or_default();
        let low = u64::try_from(whole & u128::from(u64::MAX)).unwrap_or_default();
        spread_pair([high, low], kind, seed)
    }

    #[inline]
    fn is(&self, key: &Self) -> bool {
        self == key
    }
}

impl Spread for Box<str> {
    #[inline]
    fn spread(&self, seed: Seed) -> u64 {
        spread_text(self, seed)
    }

    #[inline]
    fn is(&self, key: &Self) -> bool {
        self == key
    }
}

impl Spread<Box<str>> for &str {
    #[inline]
    fn spread(&self, seed: Seed) -> u64 {
        spread_text(self, seed)
    }

    #[inline]
    fn is(&self, key: &Box<str>) -> bool {
        is_same(self, key)
    }
}

/// 64 bits of the text that cannot be foreseen without the seed.
#[inline]
pub(super) fn spread_text(text: &str, seed: Seed) -> u64 {
    let bytes = text.as_bytes();
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    // Up to two words the ends overlap.
    if let Some(ends) = ends(bytes) {
        return spread_pair(ends, len, seed);
    }
    let (words, _) = bytes.as_chunks::<8>();
    let all = words.iter().fold(seed.1, |all, bytes| fold(all ^ word(bytes), seed.0));
    spread_pair([all, bytes.last_chunk().map_or(0, word)], len, seed)
}

/// Two words that differ where two texts of one length do, of at most two words each.
#[inline]
fn ends(bytes: &[u8]) -> Option<[u64; 2]> {
    if bytes.len() > 16 {
        return None;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return Some([first, last].map(|chunk| u64::from_le_bytes(*chunk)));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return Some([first, last].map(|chunk| u64::from(u32::from_le_bytes(*chunk))));
    }
    Some([bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)), 0])
}

/// Whether they are equal; for short texts without a call.
#[inline]
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    one.len() == other.len()
        && match (ends(one), ends(other)) {
            (Some(one), Some(other)) => one == other,
            _ => one == other,
        }
}

/// 64 bits of both that cannot be foreseen without the seed; `salt` is known to all.
#[inline]
pub(super) fn spread_pair([one, other]: [u64; 2], salt: u64, seed: Seed) -> u64 {
    fold(fold(one ^ seed.0, other ^ seed.1), seed.0.wrapping_add(salt))
}

/// Multiplies into 128 bits, and folds these.
#[inline]
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one).wrapping_mul(u128::from(other));
    u64::try_from(((product >> 64) ^ product) & u128::from(u64::MAX)).unwrap_or_default()
}

/// The number that the first `bits` bits are.
#[inline]
fn first_bits(hash: u64, bits: u32) -> usize {
    let shift = u64::BITS.saturating_sub(bits);
    usize::try_from(hash.checked_shr(shift).unwrap_or(0)).unwrap_or(usize::MAX)
}

#[inline]
fn last_bits(hash: u64, mask: usize) -> usize {
    // Of a machine whose words are shorter, what fits.
    usize::try_from(hash & u64::try_from(mask).unwrap_or(u64::MAX)).unwrap_or(0)
}

// By hand, because `derive` would ask `Clone` of the key and value.
impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self { buckets: Arc::clone(&self.buckets), bits: self.bits, len: self.len, seed: self.seed }
    }
}

impl<K: Spread + Clone + fmt::Debug, V: Clone + fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// How many entries a bucket has before the number of buckets is doubled: a change copies half of that and
/// half as many as there are buckets, which for 100,000 entries is about the same.
const MEAN_BUCKET: usize = 128;

/// The most buckets: 2^24, for two thousand million entries; hashes that are spread evenly do not bring a bucket of these to
/// 65,535, which is as many as its index can count.
const MAX_BITS: u32 = 24;

/// How many bytes an entry takes.
#[cfg(test)]
pub(super) const fn entry_len<K, V>() -> usize {
    size_of::<Entry<K, V>>()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Hashes that collide often, and crowd the ends.
    impl Spread for u16 {
        fn spread(&self, _: Seed) -> u64 {
            match self % 4 {
                0 => u64::from(self / 4),
                1 => u64::MAX.saturating_sub(u64::from(self / 8)),
                _ => fold(u64::from(self / 2), 0xff51_afd7_ed55_8ccd),
            }
        }

        fn is(&self, key: &Self) -> bool {
            self == key
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
