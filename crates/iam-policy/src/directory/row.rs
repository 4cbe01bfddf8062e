//! What a subject's bindings come to, worked out when it is first asked for: a few words a scope instead of a walk
//! through bindings, groups and roles.
//!
//! A row says what roles permit by their own patterns, and which binding decides that. What else is spoken of
//! (policies, bindings with an end, what is unreadable) it only marks: that is looked at in full.

use core::fmt;
use core::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwapOption, Guard};
use core_types::Scope;

use super::history::Touched;
use super::index::{Bound, Entry};
use super::live::{Live, Source};
use super::numbers::{NumberSet, PermissionNumbers, WORDS};
use super::reach::lies_within;
use super::step::step;
use super::{Directory, GroupNode, RoleNumber};
use crate::handle::Chain;

/// The row of one subject, if anybody asked.
///
/// Belongs to the entry it lies in: whatever changes the entry empties it. What lies elsewhere and is looked at for a row is
/// in the directory's history.
#[derive(Default)]
pub(super) struct RowCell {
    // Written once, so that to read it writes nothing that readers share.
    first: OnceLock<Arc<Row>>,
}

/// What the bindings of one subject and its groups come to.
///
/// In one piece of memory: a decision reads it once and soon again another one.
pub(crate) struct Row<W: ?Sized = [u64]> {
    // Up to which state of groups, roles and policies it is known to hold.
    epoch: AtomicU64,
    // The row that was made when this one did not hold any more.
    later: OnceLock<Box<ArcSwapOption<Arc<Row>>>>,
    /// How many places there are; none, and it is opaque, when everything is to be looked at in full.
    places: usize,
    is_opaque: bool,
    /// How many words a set has.
    width: usize,
    /// Where the ranks begin.
    ranks: usize,
    // Bindings: those that permit something, in the order in which bindings decide, then some for their scopes.
    bounds: [Option<Arc<Bound>>; INLINE],
    more_bounds: Option<Box<[Arc<Bound>]>>,
    // The places; for each the set of what is permitted or otherwise spoken of; for each number in each set, in order and
    // eight to a word, the rank.
    words: W,
}

/// A scope at which something is bound: its number, where its ranks begin, and one of the bindings there.
#[derive(Clone, Copy)]
struct Place {
    number: u32,
    start: u32,
    bound: u8,
}

impl Place {
    /// `None` when there is more than fits.
    fn to_word(self) -> Option<u64> {
        let start = Some(self.start).filter(|start| start >> 24 == 0)?;
        Some(u64::from(self.number) << 32 | u64::from(start) << 8 | u64::from(self.bound))
    }

    #[inline]
    fn of_word(word: u64) -> Self {
        let part = |word: u64| u32::try_from(word & 0xffff_ffff).unwrap_or_default();
        let bound = u8::try_from(word & 0xff).unwrap_or_default();
        Self { number: part(word >> 32), start: part(word) >> 8, bound }
    }
}

/// What a row says of a permission at a place.
pub(crate) enum Found<'r> {
    /// Nothing speaks of it.
    Nothing,
    /// This permits it, and nothing else speaks of it.
    Plain(&'r Bound),
    /// It is to be looked at in full.
    Opaque,
}

impl Row {
    #[inline]
    pub(crate) fn find(
        &self,
        numbers: &PermissionNumbers,
        (resource, chain): (&str, Option<&Chain>),
    ) -> Found<'_> {
        // The lowest rank decides, and that of what is to be looked at in full is the lowest.
        let mut first = if self.is_opaque { OPAQUE } else { NOTHING };
        for (place, set) in self.around(resource, chain) {
            for number in numbers {
                if has(set, *number) {
                    first = first.min(self.rank(place, set, *number));
                }
            }
        }
        match first {
            NOTHING => Found::Nothing,
            OPAQUE => Found::Opaque,
            rank => self.bound(rank.wrapping_sub(1)).map_or(Found::Opaque, Found::Plain),
        }
    }

    /// All numbers that are spoken of at a place, and whether plainly; `None` when that may be any.
    pub(crate) fn for_each(
        &self,
        (resource, chain): (&str, Option<&Chain>),
        mut told: impl FnMut(u32, bool),
    ) -> Option<()> {
        for (place, set) in self.around(resource, chain) {
            let mut at = place.start;
            for number in numbers_of(set) {
                told(number, self.rank_at(at) != OPAQUE);
                at = at.saturating_add(1);
            }
        }
        (!self.is_opaque).then_some(())
    }

    /// The places that contain the resource, and what is spoken of there.
    #[inline]
    fn around<'a>(
        &'a self,
        resource: &'a str,
        chain: Option<&'a Chain>,
    ) -> impl Iterator<Item = (Place, &'a [u64])> + use<'a> {
        let mut start = self.places;
        let places = self.words.get(..self.places).unwrap_or_default();
        places.iter().filter_map(move |word| {
            let place = Place::of_word(*word);
            let end = start.wrapping_add(self.width);
            let set = self.words.get(start..end)?;
            start = end;
            let contains = match chain {
                // All of them: a branch for each would be foreseen by nobody.
                Some(chain) => chain.iter().fold(false, |is_in, number| is_in | (*number == place.number)),
                None => self.bound(place.bound).is_some_and(|bound| {
                    bound.depth == 0 || lies_within(resource, bound.record.scope.as_path())
                }),
            };
            contains.then_some((place, set))
        })
    }

    #[inline]
    fn bound(&self, at: u8) -> Option<&Bound> {
        let at = usize::from(at);
        match self.bounds.get(at) {
            Some(bound) => bound.as_deref(),
            None => self.more_bounds.as_ref()?.get(at.wrapping_sub(INLINE)).map(AsRef::as_ref),
        }
    }

    /// The rank of a number that is in the set.
    #[inline]
    fn rank(&self, place: Place, set: &[u64], number: u32) -> u8 {
        let (word, bit) = split(number);
        let before = set.iter().take(word).fold(0_u32, |all, word| all.wrapping_add(word.count_ones()));
        let below = set.get(word).map_or(0, |word| (word & (1_u64 << bit).wrapping_sub(1)).count_ones());
        self.rank_at(place.start.wrapping_add(before).wrapping_add(below))
    }

    #[inline]
    fn rank_at(&self, at: u32) -> u8 {
        let (word, byte) = (usize::try_from(at >> 3).unwrap_or(usize::MAX), at & 7);
        let word = self.words.get(self.ranks.wrapping_add(word)).copied().unwrap_or(u64::from(OPAQUE));
        u8::try_from(word >> (byte << 3) & 0xff).unwrap_or(OPAQUE)
    }
}

#[inline]
fn has(set: &[u64], number: u32) -> bool {
    let (word, bit) = split(number);
    set.get(word).is_some_and(|word| word >> bit & 1 == 1)
}

#[inline]
fn split(number: u32) -> (usize, u32) {
    (usize::try_from(number >> 6).unwrap_or(usize::MAX), number & 63)
}

fn numbers_of(set: &[u64]) -> impl Iterator<Item = u32> {
    (0_u32..).step_by(64).zip(set).flat_map(|(base, word)| {
        let mut rest = *word;
        core::iter::from_fn(move || {
            let bit = Some(rest.trailing_zeros()).filter(|bit| *bit < 64)?;
            rest &= rest.wrapping_sub(1);
            Some(base.wrapping_add(bit))
        })
    })
}

/// A row for as long as it is looked at.
pub(crate) enum RowRef<'a> {
    First(&'a Row),
    Later(Guard<Option<Arc<Arc<Row>>>>),
}

impl Deref for RowRef<'_> {
    type Target = Row;

    #[inline]
    fn deref(&self) -> &Row {
        match self {
            Self::First(row) => row,
            Self::Later(guard) => guard.as_ref().map_or(no_row(), |row| row),
        }
    }
}

impl<'a> Live<'a> {
    /// What its bindings come to, found or made.
    #[inline]
    pub(crate) fn row(&self) -> RowRef<'a> {
        let epoch = self.directory.history.epoch();
        step();
        match self.node.row.first.get() {
            Some(row) if row.epoch.load(Ordering::Relaxed) == epoch => RowRef::First(row),
            first => self.row_anew(first),
        }
    }

    #[cold]
    fn row_anew(&self, first: Option<&'a Arc<Row>>) -> RowRef<'a> {
        let cell = &self.node.row.first;
        // Another thread may have been quicker, by another state too.
        let Some(first) = first.or_else(|| {
            let row = self.make_row();
            step();
            let _ = cell.set(row);
            step();
            cell.get()
        }) else {
            return RowRef::First(no_row());
        };
        if self.is_valid(first) {
            return RowRef::First(first);
        }
        step();
        let later = first.later.get_or_init(Box::default);
        let held = later.load();
        if held.as_ref().is_some_and(|row| self.is_valid(row)) {
            return RowRef::Later(held);
        }
        let row = self.make_row();
        step();
        later.store(Some(Arc::new(row)));
        step();
        let held = later.load();
        if held.as_ref().is_some_and(|row| self.is_valid(row)) {
            RowRef::Later(held)
        } else {
            RowRef::First(no_row())
        }
    }

    /// Whether the row holds by this state: nothing that it rests on was changed since it last did.
    fn is_valid(&self, row: &Row) -> bool {
        let (history, known) = (&self.directory.history, row.epoch.load(Ordering::Relaxed));
        if known == history.epoch() {
            return true;
        }
        let holds =
            history.since(known).is_some_and(|mut changes| !changes.any(|touched| self.rests_on(touched)));
        step();
        if holds {
            row.epoch.store(history.epoch(), Ordering::Relaxed);
        }
        holds
    }

    /// Whether a row of this subject looks at what was touched. Asked of what stands now, which is what stood then, unless it
    /// is among what was touched itself.
    fn rests_on(&self, touched: Touched) -> bool {
        let directory = self.directory;
        let direct = || self.node.groups.iter().map(|membership| membership.number);
        let groups = direct().chain(direct().flat_map(|number| directory.above(number)));
        let nodes = groups.clone().filter_map(|number| directory.groups.at(number));
        let carried =
            core::iter::once(&self.node.carried).chain(nodes.map(|group: &GroupNode| &group.carried));
        let mut roles = carried.flat_map(|carried| carried.bindings.entries().map(|entry| entry.role));
        match touched {
            Touched::Group(number) => groups.clone().any(|group| group == number),
            Touched::Role(number) => roles.any(|role| role == RoleNumber::Custom(number)),
            Touched::Policy(number) => roles.any(|role| match role {
                RoleNumber::BuiltIn(_) => false,
                RoleNumber::Policy(policy) => policy == number,
                RoleNumber::Custom(role) => {
                    let policies = directory.roles.at(role).into_iter().flat_map(|node| node.policies.iter());
                    policies.into_iter().any(|(_, policy)| *policy == number)
                }
            }),
        }
    }

    fn make_row(&self) -> Arc<Row> {
        let epoch = self.directory.history.epoch();
        let mut draft = Draft::default();
        let is_whole = self.sources().all(|source| draft.add_source(self.directory, source));
        let row = is_whole.then(|| draft.finish(epoch)).flatten();
        row.unwrap_or_else(|| Arc::new(Row { epoch: AtomicU64::new(epoch), ..Row::opaque() }))
    }
}

impl Row<[u64; 0]> {
    /// By which everything is looked at in full.
    const fn opaque() -> Self {
        Self {
            epoch: AtomicU64::new(u64::MAX),
            later: OnceLock::new(),
            places: 0,
            is_opaque: true,
            width: 0,
            ranks: 0,
            bounds: [const { None }; INLINE],
            more_bounds: None,
            words: [],
        }
    }
}

/// A row that is being made.
#[derive(Default)]
struct Draft {
    places: Vec<Level>,
    origins: Vec<Arc<Bound>>,
}

/// What is said at one scope.
struct Level {
    number: u32,
    // One that is bound there.
    bound: Arc<Bound>,
    other: [u64; WORDS],
    plain: [u64; WORDS],
    // Of what is plain, by number: the place among the origins.
    origins: Vec<(u32, u8)>,
}

impl Level {
    fn of(entry: &Entry) -> Self {
        let bound = Arc::clone(&entry.bound);
        Self { number: entry.place(), bound, other: [0; WORDS], plain: [0; WORDS], origins: Vec::new() }
    }
}

impl Draft {
    /// Whether all of it can be said in a row.
    fn add_source<'a>(&mut self, directory: &'a Directory, source: Source<'a>) -> bool {
        let carried = source.carried();
        !source.may_deny_anything()
            && carried.bindings.entries().all(|entry| self.add(directory, &source, entry).is_some())
    }

    fn add(&mut self, directory: &Directory, source: &Source<'_>, entry: &Entry) -> Option<()> {
        let scope: &Scope = &entry.bound.record.scope;
        if !source.reaches(scope) {
            return Some(());
        }
        let (mut plain, mut other) = (NumberSet::default(), NumberSet::default());
        if directory.join_spoken(entry.role, &mut plain, &mut other) {
            return None;
        }
        if entry.has_end() || matches!(entry.role, RoleNumber::Policy(_)) {
            other.join(&plain);
            plain = NumberSet::default();
        }
        let at = match self.places.iter().position(|level| level.number == entry.place()) {
            Some(at) => at,
            None => {
                self.places.push(Level::of(entry));
                self.places.len().checked_sub(1)?
            }
        };
        let level = self.places.get_mut(at)?;
        for (word, more) in level.other.iter_mut().zip(other.words()?) {
            *word |= more;
        }
        let own = plain.words()?;
        if source.grants() && source.is_at_home(entry) {
            let origin = u8::try_from(self.origins.len()).ok().filter(|origin| *origin < MAX_BOUNDS)?;
            let known = level.plain;
            let new = numbers_of(own).filter(|number| !has(&known, *number));
            level.origins.extend(new.map(|number| (number, origin)));
            level.plain.iter_mut().zip(own).for_each(|(word, more)| *word |= more);
            self.origins.push(Arc::clone(&entry.bound));
        }
        Some(())
    }

    /// `None` when that is more than a row can say.
    fn finish(self, epoch: u64) -> Option<Arc<Row>> {
        let Self { mut places, origins: mut bounds } = self;
        let spoken = |level: &Level| -> [u64; WORDS] {
            core::array::from_fn(|at| {
                let word = |set: &[u64; WORDS]| set.get(at).copied().unwrap_or_default();
                word(&level.plain) | word(&level.other)
            })
        };
        let used = |level: &Level| {
            spoken(level).iter().rposition(|word| *word != 0).map_or(0, |at| at.wrapping_add(1))
        };
        let width = places.iter().map(used).max().unwrap_or(0);
        let (mut heads, mut sets, mut ranks) = (Vec::new(), Vec::new(), Vec::new());
        for level in &mut places {
            let bound = match bounds.iter().position(|bound| bound.record.scope == level.bound.record.scope) {
                Some(at) => at,
                None => {
                    bounds.push(Arc::clone(&level.bound));
                    bounds.len().checked_sub(1)?
                }
            };
            let bound = u8::try_from(bound).ok().filter(|bound| *bound < MAX_BOUNDS)?;
            let place = Place { number: level.number, start: u32::try_from(ranks.len()).ok()?, bound };
            heads.push(place.to_word()?);
            let set = spoken(level);
            sets.extend(set.iter().take(width));
            level.origins.sort_unstable();
            for number in numbers_of(&set) {
                let origin = level.origins.binary_search_by_key(&number, |(number, _)| *number).ok();
                let plain = origin.filter(|_| !has(&level.other, number));
                let rank =
                    plain.and_then(|at| level.origins.get(at)).map(|(_, origin)| origin.wrapping_add(1));
                ranks.push(rank.unwrap_or(OPAQUE));
            }
        }
        let ranks_at = heads.len().checked_add(sets.len())?;
        let packed = ranks
            .chunks(8)
            .map(|eight| eight.iter().rev().fold(0_u64, |word, rank| word << 8 | u64::from(*rank)));
        let words: Vec<u64> = heads.iter().copied().chain(sets).chain(packed).collect();
        let more_bounds = bounds.get(INLINE..).filter(|more| !more.is_empty()).map(Box::from);
        let mut bounds = bounds.into_iter();
        let row = Row {
            epoch: AtomicU64::new(epoch),
            places: heads.len(),
            is_opaque: false,
            width,
            ranks: ranks_at,
            bounds: core::array::from_fn(|_| bounds.next()),
            more_bounds,
            ..Row::opaque()
        };
        row.with(&words)
    }
}

impl Row<[u64; 0]> {
    /// The same with these words, and some for nothing: of so many lengths as are compiled in.
    fn with(self, words: &[u64]) -> Option<Arc<Row>> {
        macro_rules! sized {
            ($($len:literal)*) => {
                match words.len() {
                    $(0..=$len => {
                        let mut all = [0_u64; $len];
                        all.iter_mut().zip(words).for_each(|(word, known)| *word = *known);
                        let Self { epoch, later, places, is_opaque, width, ranks, bounds, more_bounds, .. } = self;
                        Some(Arc::new(Row {
                            epoch, later, places, is_opaque, width, ranks, bounds, more_bounds, words: all,
                        }))
                    })*
                    _ => None,
                }
            };
        }
        sized!(4 8 10 12 14 16 20 24 32 48 64 96 128 192 256 384 512 1024 2048)
    }
}

// What nobody has asked for yet is no difference.
impl Clone for RowCell {
    fn clone(&self) -> Self {
        let Some(first) = self.first.get() else { return Self::default() };
        let later = first.later.get().and_then(|later| later.load().as_deref().cloned());
        let epoch = |row: &Arc<Row>| row.epoch.load(Ordering::Relaxed);
        let newest = later.filter(|later| epoch(later) > epoch(first));
        Self { first: OnceLock::from(newest.unwrap_or_else(|| Arc::clone(first))) }
    }
}

impl fmt::Debug for RowCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowCell")
    }
}

fn no_row() -> &'static Row {
    static NONE: Row<[u64; 0]> = Row::opaque();
    &NONE
}

/// How many bindings lie in the row itself; few subjects have more.
const INLINE: usize = 6;

/// The rank of what is to be looked at in full, and of what nothing speaks of; between them are those of the bindings.
const OPAQUE: u8 = 0;
const NOTHING: u8 = u8::MAX;
const MAX_BOUNDS: u8 = NOTHING - 1;
