//! Short numbers for the patterns and scopes that records name, so that a decision compares numbers, not texts.
//!
//! A permission is matched by four patterns at most: itself, its service, its verb, everything. Whatever else is
//! asked for has no number, and nothing names it. Every number is counted, and free again when nothing names it.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use core_types::{Permission, PermissionPattern, Scope};

use super::table::{Seed, Spread, Table, is_same, spread_pair, spread_text};
use crate::handle::{Chain, MAX_CHAIN, PermissionHandle, ScopeHandle};

/// The numbers of the patterns that may match a permission; [`NONE`] where no record names the pattern.
pub(crate) type PermissionNumbers = [u32; 4];

/// The number of nothing.
pub(crate) const NONE: u32 = u32::MAX;

/// Texts by number, counted: `apps:read` or `apps:*` of patterns, the path of a scope.
#[derive(Clone)]
struct Texts {
    known: Table<Box<str>, Counted>,
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
    known: Table<Sides<Box<str>>, Counted>,
    /// That of everything.
    all: u32,
    supply: Supply,
    // INVARIANT: another one whenever a number is given or freed, in this process never the same again.
    generation: u64,
}

/// A service and a verb, each a name or `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Sides<T> {
    service: T,
    verb: T,
}

/// The same, with what each is spread by.
#[derive(Clone, Copy)]
struct Sought<'t> {
    service: (&'t str, u64),
    verb: (&'t str, u64),
}

impl Spread for Sides<Box<str>> {
    fn spread(&self, seed: Seed) -> u64 {
        let [service, verb] = [&self.service, &self.verb].map(|side| (&**side, spread_text(side, seed)));
        Sought { service, verb }.spread(seed)
    }

    fn is(&self, key: &Self) -> bool {
        self == key
    }
}

impl Spread<Sides<Box<str>>> for Sought<'_> {
    #[inline]
    fn spread(&self, seed: Seed) -> u64 {
        spread_pair([self.service.1, self.verb.1], 0, seed)
    }

    #[inline]
    fn is(&self, key: &Sides<Box<str>>) -> bool {
        is_same(self.service.0, &key.service) && is_same(self.verb.0, &key.verb)
    }
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

impl Counted {
    /// One more use; whether it is the first.
    fn enter(&mut self, supply: &mut Supply) -> bool {
        let is_new = self.uses == 0;
        if is_new {
            self.number = supply.take();
        }
        self.uses = self.uses.saturating_add(1);
        is_new
    }

    /// One use less; whether it was the last.
    fn leave(&mut self, supply: &mut Supply) -> bool {
        let was_last = self.uses == 1;
        if was_last {
            supply.give_back(self.number);
        }
        self.uses = self.uses.saturating_sub(1);
        was_last
    }

    const fn is_used(&self) -> bool {
        self.uses != 0
    }
}

impl Texts {
    fn new() -> Self {
        Self { known: Table::new() }
    }

    #[inline]
    fn number(&self, text: &str) -> u32 {
        self.known.get(&text).map_or(NONE, |counted| counted.number)
    }

    /// One more use; the number, and whether it is new.
    fn enter(&mut self, text: &str, supply: &mut Supply) -> (u32, bool) {
        let enter = |counted: &mut Counted| {
            let is_new = counted.enter(supply);
            (counted.number, is_new)
        };
        self.known.edit(text.into(), enter, Counted::is_used)
    }

    /// One use less; whether it was the last.
    fn leave(&mut self, text: &str, supply: &mut Supply) -> bool {
        self.known.edit(text.into(), |counted| counted.leave(supply), Counted::is_used)
    }
}

impl Patterns {
    pub(super) fn new() -> Self {
        Self { known: Table::new(), all: NONE, supply: Supply::default(), generation: generation() }
    }

    #[inline]
    pub(crate) fn of(&self, permission: &Permission) -> PermissionNumbers {
        self.of_sides(permission.service(), permission.verb())
    }

    /// Of a service and a verb that are names.
    #[inline]
    pub(crate) fn of_sides(&self, service: &str, verb: &str) -> PermissionNumbers {
        let seed = self.known.seed();
        let [service, verb, every] = [service, verb, EVERY].map(|side| (side, spread_text(side, seed)));
        let number = |service, verb| {
            let counted = self.known.get(&Sought { service, verb });
            counted.map_or(NONE, |counted| counted.number)
        };
        [number(service, verb), number(service, every), number(every, verb), self.all]
    }

    /// What the handle has found, if it found that here.
    #[inline]
    pub(crate) const fn of_handle(&self, handle: &PermissionHandle<'_>) -> Option<PermissionNumbers> {
        if handle.generation == self.generation { Some(handle.numbers) } else { None }
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn handle<'p>(&self, permission: &'p Permission) -> PermissionHandle<'p> {
        PermissionHandle { permission, numbers: self.of(permission), generation: self.generation }
    }

    pub(super) fn enter(&mut self, pattern: &PermissionPattern) -> u32 {
        let supply = &mut self.supply;
        let enter = |counted: &mut Counted| {
            let is_new = counted.enter(supply);
            (counted.number, is_new)
        };
        let (number, is_new) = self.known.edit(sides(pattern), enter, Counted::is_used);
        if is_new {
            self.know_anew();
        }
        number
    }

    pub(super) fn leave(&mut self, pattern: &PermissionPattern) {
        let supply = &mut self.supply;
        if self.known.edit(sides(pattern), |counted| counted.leave(supply), Counted::is_used) {
            self.know_anew();
        }
    }

    fn know_anew(&mut self) {
        self.all = self.known.get(&sides(&PermissionPattern::all())).map_or(NONE, |counted| counted.number);
        self.generation = generation();
    }
}

fn sides(pattern: &PermissionPattern) -> Sides<Box<str>> {
    let [service, verb] = [pattern.service(), pattern.verb()].map(|side| side.unwrap_or(EVERY).into());
    Sides { service, verb }
}

impl Places {
    pub(super) fn new() -> Self {
        Self { texts: Texts::new(), supply: Supply::default(), generation: generation() }
    }

    /// The number of the scope with this path, used once more.
    pub(super) fn enter(&mut self, path: &str) -> u32 {
        let (number, is_new) = self.texts.enter(path, &mut self.supply);
        if is_new {
            self.generation = generation();
        }
        number
    }

    pub(super) fn leave(&mut self, path: &str) {
        if self.texts.leave(path, &mut self.supply) {
            self.generation = generation();
        }
    }

    /// What the handle has found, if it found that here.
    #[inline]
    pub(crate) fn of_handle<'h>(&self, handle: &'h ScopeHandle<'_>) -> Option<&'h Chain> {
        (handle.generation == self.generation).then_some(&handle.chain)
    }

    pub(crate) fn handle<'s>(&self, scope: &'s Scope) -> ScopeHandle<'s> {
        let mut chain = [NONE; MAX_CHAIN];
        // What is bound nowhere is left out.
        let known = scope.ancestor_paths().map(|path| self.texts.number(path)).filter(|it| *it != NONE);
        for (place, number) in chain.iter_mut().zip(known) {
            *place = number;
        }
        ScopeHandle { scope, chain, generation: self.generation }
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
        let uses: BTreeMap<_, _> = self.known.iter().map(|(sides, counted)| (sides, counted.uses)).collect();
        uses.fmt(f)
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

/// Not a name: names have no `*`.
const EVERY: &str = "*";

/// For 512 numbers: more patterns than most embedders have permissions.
pub(super) const WORDS: usize = 8;

/// Rows speak of lower numbers alone.
pub(crate) const MAX_IN_ROW: usize = WORDS * 64;

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
            let numbers: Vec<u32> = bound.iter().map(|scope| places.enter(scope.as_path())).collect();
            let mut kept = Vec::new();
            for ((scope, number), gone) in bound.iter().zip(&numbers).zip(gone) {
                if gone { places.leave(scope.as_path()) } else { kept.push((scope, number)) }
            }
            let handle = places.handle(&asked);
            let chain = places.of_handle(&handle).unwrap();
            for (scope, number) in &kept {
                prop_assert_eq!(chain.contains(number), scope.contains(&asked));
            }
            let mut other = places.clone();
            let new: Scope = "new/one".parse().unwrap();
            other.enter(new.as_path());
            prop_assert!(other.of_handle(&handle).is_none() || kept.iter().any(|(scope, _)| **scope == new));
        }
    }
}
