//! How a row is made.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use core_types::Scope;

use super::super::index::{Bound, Entry};
use super::super::live::Source;
use super::super::numbers::{NumberSet, WORDS};
use super::super::{Directory, RoleNumber};
use super::{INLINE, MAX_BOUNDS, OPAQUE, Place, Row, Shape, count_at, has, numbers_of};

/// A row that is being made.
#[derive(Default)]
pub(super) struct Draft {
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
    pub(super) fn add_source<'a>(&mut self, directory: &'a Directory, source: Source<'a>) -> bool {
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
    pub(super) fn finish(self, epoch: u64) -> Option<Arc<Row>> {
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
            let (mut before, mut counts) = (0_u32, 0_u64);
            for (at, word) in set.iter().enumerate() {
                counts |= u64::from(before) << count_at(at);
                before = before.saturating_add(word.count_ones());
            }
            sets.extend(set.iter().take(width).copied().chain([counts]));
            level.origins.sort_unstable();
            for number in numbers_of(&set) {
                let origin = level.origins.binary_search_by_key(&number, |(number, _)| *number).ok();
                let plain = origin.filter(|_| !has(&level.other, number));
                let rank =
                    plain.and_then(|at| level.origins.get(at)).map(|(_, origin)| origin.wrapping_add(1));
                ranks.push(rank.unwrap_or(OPAQUE));
            }
        }
        let places = u16::try_from(heads.len()).ok()?;
        let shape = Shape { places, width: u8::try_from(width).ok()?, is_opaque: false };
        let packed = ranks
            .chunks(8)
            .map(|eight| eight.iter().rev().fold(0_u64, |word, rank| word << 8 | u64::from(*rank)));
        let words: Vec<u64> = heads.iter().copied().chain(sets).chain(packed).collect();
        let more_bounds = bounds.get(INLINE..).filter(|more| !more.is_empty()).map(Box::from);
        let mut bounds = bounds.into_iter();
        let row = Row {
            epoch: AtomicU64::new(epoch),
            shape,
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
                        let Self { later, more_bounds, bounds, shape, epoch, .. } = self;
                        Some(Arc::new(Row { later, more_bounds, bounds, shape, epoch, words: all }))
                    })*
                    _ => None,
                }
            };
        }
        sized!(4 8 10 12 14 16 20 24 32 48 64 96 128 192 256 384 512 1024 2048)
    }
}
