//! Short numbers for the patterns and scopes that records name, so that a decision compares numbers, not texts.
//!
//! A permission is matched by four patterns at most: itself, its service, its verb, everything. Whatever else is
//! asked for has no number, and nothing names it. Every number is counted, and free again when nothing names it.

use core::fmt;
use core::hash::{BuildHasher, Hasher};
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use core_types::{Permission, PermissionPattern, Scope};
use rpds::HashTrieMapSync;

use crate::handle::{MAX_CHAIN, PermissionHandle, ScopeHandle};

/// The numbers of the patterns that may match a permission; [`NONE`] where no record names the pattern.
pub(crate) type PermissionNumbers = [u32; 4];

/// A set of as many numbers as most directories have.
pub(crate) type Words = [u64; WORDS];

/// The number of nothing.
pub(crate) const NONE: u32 = u32::MAX;

/// Texts by number, counted.
#[derive(Clone)]
struct Texts {
    known: HashTrieMapSync<Arc<str>, Counted, Seeded>,
}

#[derive(Clone, Copy, Default)]
struct Counted {
    number: u32,
    uses: usize,
}

/// Which numbers are given.
#[derive(Clone, Default)]
struct Supply {
    next: u32,
    free: Arc<Vec<u32>>,
}

/// The numbers of patterns.
#[derive(Clone)]
pub(crate) struct Patterns {
    // The patterns of one service, by service; `*` is a service of its own.
    services: HashTrieMapSync<Arc<str>, Texts, Seeded>,
    of_all: Texts,
    supply: Supply,
    seed: Seeded,
    // INVARIANT: another one whenever a number is given or freed, in this process never the same again.
    generation: u64,
}

/// The numbers of the scopes at which something is bound.
#[derive(Clone)]
pub(crate) struct Places {
    texts: Texts,
    supply: Supply,
    generation: u64,
}

impl Supply {
    fn take(&mut self) -> u32 {
        Arc::make_mut(&mut self.free).pop().unwrap_or_else(|| {
            let number = self.next;
            // There are fewer than that, or there would be no memory left.
            self.next = number.saturating_add(1);
            number
        })
    }

    fn give_back(&mut self, number: u32) {
        Arc::make_mut(&mut self.free).push(number);
    }
}

impl Texts {
    fn new(seed: Seeded) -> Self {
        Self { known: HashTrieMapSync::new_with_hasher_and_ptr_kind(seed) }
    }

    #[inline]
    fn number(&self, text: &str) -> u32 {
        self.known.get(text).map_or(NONE, |counted| counted.number)
    }

    /// One more use; the number, and whether it is new.
    fn enter(&mut self, text: &str, supply: &mut Supply) -> (u32, bool) {
        let (former, is_new) = match self.known.get(text) {
            Some(counted) => (*counted, false),
            None => (Counted { number: supply.take(), uses: 0 }, true),
        };
        let uses = former.uses.saturating_add(1);
        self.known.insert_mut(text.into(), Counted { uses, ..former });
        (former.number, is_new)
    }

    /// One use less; whether it was the last.
    fn leave(&mut self, text: &str, supply: &mut Supply) -> bool {
        let Some(former) = self.known.get(text).copied() else { return false };
        if former.uses > 1 {
            self.known.insert_mut(text.into(), Counted { uses: former.uses.saturating_sub(1), ..former });
            return false;
        }
        self.known.remove_mut(text);
        supply.give_back(former.number);
        true
    }
}

impl Patterns {
    pub(super) fn new() -> Self {
        let seed = Seeded::new();
        Self {
            services: HashTrieMapSync::new_with_hasher_and_ptr_kind(seed),
            of_all: Texts::new(seed),
            supply: Supply::default(),
            seed,
            generation: generation(),
        }
    }

    #[inline]
    pub(crate) fn of(&self, permission: &Permission) -> PermissionNumbers {
        let verb = permission.verb();
        let [any, of_verb] = [EVERY, verb].map(|verb| self.of_all.number(verb));
        match self.services.get(permission.service()) {
            Some(service) => [service.number(verb), service.number(EVERY), of_verb, any],
            None => [NONE, NONE, of_verb, any],
        }
    }

    /// What the handle has found, if it found that here.
    #[inline]
    pub(crate) const fn of_handle(&self, handle: &PermissionHandle<'_>) -> Option<PermissionNumbers> {
        if handle.generation == self.generation { Some(handle.numbers) } else { None }
    }

    pub(crate) fn handle<'p>(&self, permission: &'p Permission) -> PermissionHandle<'p> {
        PermissionHandle { permission, numbers: self.of(permission), generation: self.generation }
    }

    pub(super) fn enter(&mut self, pattern: &PermissionPattern) -> u32 {
        let verb = pattern.verb().unwrap_or(EVERY);
        let (number, is_new) = match pattern.service() {
            None => self.of_all.enter(verb, &mut self.supply),
            Some(service) => {
                let mut texts = self.services.get(service).cloned().unwrap_or_else(|| Texts::new(self.seed));
                let entered = texts.enter(verb, &mut self.supply);
                self.services.insert_mut(service.into(), texts);
                entered
            }
        };
        if is_new {
            self.generation = generation();
        }
        number
    }

    pub(super) fn leave(&mut self, pattern: &PermissionPattern) {
        let verb = pattern.verb().unwrap_or(EVERY);
        let was_last = match pattern.service() {
            None => self.of_all.leave(verb, &mut self.supply),
            Some(service) => {
                let Some(mut texts) = self.services.get(service).cloned() else { return };
                let was_last = texts.leave(verb, &mut self.supply);
                if texts.known.is_empty() {
                    self.services.remove_mut(service);
                } else {
                    self.services.insert_mut(service.into(), texts);
                }
                was_last
            }
        };
        if was_last {
            self.generation = generation();
        }
    }
}

impl Places {
    pub(super) fn new() -> Self {
        Self { texts: Texts::new(Seeded::new()), supply: Supply::default(), generation: generation() }
    }

    pub(super) fn enter(&mut self, scope: &Scope) -> u32 {
        let (number, is_new) = self.texts.enter(scope.as_path(), &mut self.supply);
        if is_new {
            self.generation = generation();
        }
        number
    }

    pub(super) fn leave(&mut self, scope: &Scope) {
        if self.texts.leave(scope.as_path(), &mut self.supply) {
            self.generation = generation();
        }
    }

    /// What the handle has found, if it found that here.
    #[inline]
    pub(crate) fn of_handle<'h>(&self, handle: &'h ScopeHandle<'_>) -> Option<&'h [u32]> {
        (handle.generation == self.generation).then(|| handle.chain())
    }

    pub(crate) fn handle<'s>(&self, scope: &'s Scope) -> ScopeHandle<'s> {
        let mut chain = [NONE; MAX_CHAIN];
        let mut len = 0_usize;
        // What is bound nowhere is left out.
        let known = scope.ancestor_paths().map(|path| self.texts.number(path)).filter(|it| *it != NONE);
        for (place, number) in chain.iter_mut().zip(known) {
            *place = number;
            len = len.saturating_add(1);
        }
        ScopeHandle { scope, chain, len, generation: self.generation }
    }
}

// What is named and how often; the numbers themselves tell nothing.
impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uses: BTreeMap<_, _> = self.known.iter().map(|(text, counted)| (text, counted.uses)).collect();
        uses.fmt(f)
    }
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: BTreeMap<_, _> = self.services.iter().collect();
        f.debug_struct("Patterns")
            .field("services", &services)
            .field("of_all", &self.of_all)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.texts.fmt(f)
    }
}

/// A number that no other state of any directory of this process has.
pub(super) fn generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A set of numbers of patterns.
#[derive(Clone, Debug, Default)]
pub(crate) struct NumberSet {
    words: [u64; WORDS],
    // Those beyond the words, sorted.
    more: Option<Arc<[u32]>>,
}

impl NumberSet {
    pub(super) fn of(numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut words = [0; WORDS];
        let mut more = Vec::new();
        for number in numbers {
            match word_mut(&mut words, number) {
                Some((word, mask)) => *word |= mask,
                None => more.push(number),
            }
        }
        more.sort_unstable();
        Self { words, more: (!more.is_empty()).then(|| more.into()) }
    }

    /// Whether one of the numbers is in it.
    #[inline]
    pub(crate) fn has_any(&self, numbers: &PermissionNumbers) -> bool {
        numbers.iter().any(|number| self.has(*number))
    }

    /// All numbers, where there are few enough.
    pub(super) const fn words(&self) -> Option<&[u64; WORDS]> {
        if self.more.is_none() { Some(&self.words) } else { None }
    }

    /// Adds the other's.
    pub(crate) fn join(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
        if let Some(more) = &other.more {
            let own = self.more.iter().flat_map(|own| own.iter());
            let mut all: Vec<u32> = own.chain(more.iter()).copied().collect();
            all.sort_unstable();
            all.dedup();
            self.more = Some(all.into());
        }
    }

    #[inline]
    fn has(&self, number: u32) -> bool {
        let at = usize::try_from(number >> 6).unwrap_or(WORDS);
        match self.words.get(at) {
            Some(word) => word >> (number & 63) & 1 == 1,
            None => self.more.as_ref().is_some_and(|more| more.binary_search(&number).is_ok()),
        }
    }
}

fn word_mut(words: &mut [u64; WORDS], number: u32) -> Option<(&mut u64, u64)> {
    let at = usize::try_from(number >> 6).ok()?;
    Some((words.get_mut(at)?, 1 << (number & 63)))
}

/// A hash that nobody can foresee, for short texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(super) fn new() -> Self {
        Self(RandomState::new().hash_one(0_u64))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(self.0)
    }
}

pub(crate) struct Mixer(u64);

impl Mixer {
    /// Multiplies into 128 bits, and folds these.
    #[inline]
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word).wrapping_mul(u128::from(MULTIPLIER));
        let folded = (product >> 64) ^ product;
        self.0 = u64::try_from(folded & u128::from(u64::MAX)).unwrap_or_default().wrapping_add(INCREMENT);
    }
}

impl Hasher for Mixer {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let chunk: [u8; 8] = chunk.try_into().unwrap_or_default();
            self.mix(u64::from_le_bytes(chunk));
        }
        let rest = chunks.remainder().iter().fold(0, |all: u64, byte| all << 8 | u64::from(*byte));
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.mix(rest ^ len.rotate_right(8));
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.0 ^= u64::from(byte);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// Not a name: names have no `*`.
const EVERY: &str = "*";

/// For 512 numbers: more patterns than most embedders have permissions.
pub(super) const WORDS: usize = 8;

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const INCREMENT: u64 = 0xd1b5_4a32_d192_ed03;

#[cfg(test)]
mod tests {
    use core_types::testing::{arb_pattern, arb_permission, arb_scope};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_permission_has_the_numbers_of_just_the_patterns_that_match_it(
            steps in vec((arb_pattern(), any::<bool>()), 0..60), permission in arb_permission()
        ) {
            let mut patterns = Patterns::new();
            let mut held: BTreeMap<PermissionPattern, (u32, usize)> = BTreeMap::new();
            for (pattern, is_more) in steps {
                if is_more {
                    let number = patterns.enter(&pattern);
                    let (known, uses) = held.entry(pattern).or_insert((number, 0));
                    prop_assert_eq!(*known, number);
                    *uses = uses.saturating_add(1);
                } else if let Some((number, uses)) = held.get(&pattern).copied() {
                    patterns.leave(&pattern);
                    if uses == 1 { held.remove(&pattern); } else { held.insert(pattern, (number, uses.saturating_sub(1))); }
                }
                let distinct: std::collections::BTreeSet<u32> = held.values().map(|(number, _)| *number).collect();
                prop_assert_eq!(distinct.len(), held.len());
                let mut found: Vec<u32> =
                    patterns.of(&permission).into_iter().filter(|number| *number != NONE).collect();
                found.sort_unstable();
                let mut matching: Vec<u32> = held
                    .iter()
                    .filter(|(pattern, _)| pattern.matches(&permission))
                    .map(|(_, (number, _))| *number)
                    .collect();
                matching.sort_unstable();
                prop_assert_eq!(found, matching);
            }
        }

        #[test]
        fn a_set_has_what_was_put_in_and_what_was_joined(
            one in vec(0_u32..1200, 0..20), other in vec(0_u32..1200, 0..20), asked in vec(0_u32..1200, 4)
        ) {
            let mut set = NumberSet::of(one.iter().copied());
            set.join(&NumberSet::of(other.iter().copied()));
            let asked = [asked[0], asked[1], asked[2], NONE];
            let is_in = asked.iter().any(|number| one.contains(number) || other.contains(number));
            prop_assert_eq!(set.has_any(&asked), is_in);
            for number in one.iter().chain(&other) {
                prop_assert!(set.has_any(&[NONE, NONE, NONE, *number]));
            }
        }

        #[test]
        fn a_handle_of_a_scope_has_the_numbers_of_just_those_that_contain_it(
            bound in vec(arb_scope(), 0..20), gone in vec(any::<bool>(), 20), asked in arb_scope()
        ) {
            let mut places = Places::new();
            let numbers: Vec<u32> = bound.iter().map(|scope| places.enter(scope)).collect();
            let mut kept = Vec::new();
            for ((scope, number), gone) in bound.iter().zip(&numbers).zip(gone) {
                if gone { places.leave(scope) } else { kept.push((scope, number)) }
            }
            let handle = places.handle(&asked);
            let chain = places.of_handle(&handle).unwrap();
            for (scope, number) in &kept {
                prop_assert_eq!(chain.contains(number), scope.contains(&asked));
            }
            let mut other = places.clone();
            let new: Scope = "new/one".parse().unwrap();
            other.enter(&new);
            prop_assert!(other.of_handle(&handle).is_none() || kept.iter().any(|(scope, _)| **scope == new));
        }
    }
}
