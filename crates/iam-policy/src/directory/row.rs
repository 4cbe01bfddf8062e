//! What a subject's bindings come to, worked out when it is first asked for: a few words a scope instead of a walk
//! through bindings, groups and roles.
//!
//! A row says what roles permit by their own patterns, and which binding decides that. What else is spoken of
//! (policies, bindings with an end, what is unreadable) it only marks: that is looked at in full.

mod draft;

use core::fmt;
use core::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwapOption, Guard};

use self::draft::Draft;
use super::history::Touched;
use super::index::Bound;
use super::live::Live;
use super::numbers::{PermissionNumbers, WORDS};
use super::reach::lies_within;
use super::step::step;
use super::{GroupNode, RoleNumber};
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
/// In one piece of memory, what every decision looks at at its end: it reads a few lines of a row, and soon those of another.
#[repr(C)]
pub(crate) struct Row<W: ?Sized = [u64]> {
    // The row that was made when this one did not hold any more.
    later: OnceLock<Box<ArcSwapOption<Arc<Row>>>>,
    // Bindings: those that permit something, in the order in which bindings decide, then some for their scopes.
    more_bounds: Option<Box<[Arc<Bound>]>>,
    bounds: [Option<Arc<Bound>>; INLINE],
    shape: Shape,
    // Up to which state of groups, roles and policies it is known to hold.
    epoch: AtomicU64,
    // The places. Then for each the set of what is permitted there or otherwise spoken of, and how many numbers are before
    // each word of it. Then for each number in each set, in order and eight to a word, the rank.
    words: W,
}

#[derive(Clone, Copy)]
struct Shape {
    places: u16,
    /// How many words a set has.
    width: u8,
    /// Whether everything is to be looked at in full.
    is_opaque: bool,
}

impl Shape {
    const OPAQUE: Self = Self { places: 0, width: 0, is_opaque: true };

    #[inline]
    fn places(self) -> usize {
        usize::from(self.places)
    }

    /// How many words there are for each place after the places.
    #[inline]
    fn stride(self) -> usize {
        usize::from(self.width).wrapping_add(1)
    }

    /// Where the ranks begin.
    #[inline]
    fn ranks(self) -> usize {
        self.places().wrapping_mul(self.stride().wrapping_add(1))
    }
}

/// What is spoken of at one place.
#[derive(Clone, Copy)]
struct Spoken<'a> {
    place: Place,
    set: &'a [u64],
    /// How many numbers come before each word of the set.
    counts: u64,
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
    #[inline(always)]
    pub(crate) fn find(&self, numbers: &PermissionNumbers, at: (&str, Option<&Chain>)) -> Found<'_> {
        // The lowest rank decides, and that of what is to be looked at in full is the lowest.
        let mut first = if self.shape.is_opaque { OPAQUE } else { NOTHING };
        self.for_each_around(at, |spoken| {
            // First all four: which of them it is, nobody foresees.
            let [a, b, c, d] = numbers.map(|number| u32::from(has(spoken.set, number)));
            let mut hits = a | b << 1 | c << 2 | d << 3;
            while let Some(number) =
                usize::try_from(hits.trailing_zeros()).ok().and_then(|at| numbers.get(at))
            {
                first = first.min(self.rank(&spoken, *number));
                hits &= hits.wrapping_sub(1);
            }
        });
        match first {
            NOTHING => Found::Nothing,
            OPAQUE => Found::Opaque,
            rank => self.bound(rank.wrapping_sub(1)).map_or(Found::Opaque, Found::Plain),
        }
    }

    /// All numbers that are spoken of at a place, and whether plainly; `None` when that may be any.
    pub(crate) fn for_each(&self, at: (&str, Option<&Chain>), mut told: impl FnMut(u32, bool)) -> Option<()> {
        self.for_each_around(at, |spoken| {
            let mut at = spoken.place.start;
            for number in numbers_of(spoken.set) {
                told(number, self.rank_at(at) != OPAQUE);
                at = at.saturating_add(1);
            }
        });
        (!self.shape.is_opaque).then_some(())
    }

    /// What is spoken of at the places that contain the resource.
    #[inline(always)]
    fn for_each_around<'a>(
        &'a self,
        (resource, chain): (&str, Option<&Chain>),
        mut told: impl FnMut(Spoken<'a>),
    ) {
        let mut start = self.shape.places();
        for word in self.words.get(..start).unwrap_or_default() {
            let place = Place::of_word(*word);
            let end = start.wrapping_add(self.shape.stride());
            let both = self.words.get(start..end).and_then(<[u64]>::split_last);
            start = end;
            let contains = match chain {
                // All of them: a branch for each would be foreseen by nobody.
                Some(chain) => chain.iter().fold(false, |is_in, number| is_in | (*number == place.number)),
                None => self.bound(place.bound).is_some_and(|bound| {
                    bound.depth == 0 || lies_within(resource, bound.record.scope.as_path())
                }),
            };
            if let Some((counts, set)) = both.filter(|_| contains) {
                told(Spoken { place, set, counts: *counts });
            }
        }
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
    fn rank(&self, spoken: &Spoken<'_>, number: u32) -> u8 {
        let (word, bit) = split(number);
        let before = u32::try_from(spoken.counts >> count_at(word) & COUNT).unwrap_or_default();
        let below =
            spoken.set.get(word).map_or(0, |word| (word & (1_u64 << bit).wrapping_sub(1)).count_ones());
        self.rank_at(spoken.place.start.wrapping_add(before).wrapping_add(below))
    }

    #[inline]
    fn rank_at(&self, at: u32) -> u8 {
        let (word, byte) = (usize::try_from(at >> 3).unwrap_or(usize::MAX), at & 7);
        let word =
            self.words.get(self.shape.ranks().wrapping_add(word)).copied().unwrap_or(u64::from(OPAQUE));
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

/// Where the count of what comes before the word stands: that of the first, which is none, at the end.
#[inline]
fn count_at(word: usize) -> u32 {
    u32::try_from(word.wrapping_add(WORDS).wrapping_sub(1) % WORDS)
        .unwrap_or_default()
        .wrapping_mul(COUNT_BITS)
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
            later: OnceLock::new(),
            more_bounds: None,
            bounds: [const { None }; INLINE],
            shape: Shape::OPAQUE,
            epoch: AtomicU64::new(u64::MAX),
            words: [],
        }
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

/// Nine bits for each count but the first: of what comes before the last word there are at most 448.
const COUNT_BITS: u32 = 9;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// How many bindings lie in the row itself; few subjects have more.
const INLINE: usize = 6;

/// The rank of what is to be looked at in full, and of what nothing speaks of; between them are those of the bindings.
const OPAQUE: u8 = 0;
const NOTHING: u8 = u8::MAX;
const MAX_BOUNDS: u8 = NOTHING - 1;

#[cfg(test)]
mod tests;
