//! What a subject's bindings come to, worked out when it is first asked for: a few words a scope instead of a walk
//! through bindings, groups and roles.
//!
//! A row says what roles permit by their own patterns, and which binding decides that. What else is spoken of
//! (policies, bindings with an end, what is unreadable) it only marks: that is looked at in full.

use core::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use core_types::Scope;

use super::index::{Bound, Entry};
use super::live::{Live, Source};
use super::numbers::{NumberSet, PermissionNumbers, WORDS};
use super::signature::ScopeSignature;
use super::{Directory, RoleNumber};
use crate::holder::GroupId;

/// The row of one subject, if anybody asked.
///
/// Belongs to the node it lies in: whatever changes the node empties it. What lies elsewhere and is looked at for a row
/// changes the directory's epoch.
#[derive(Default)]
pub(super) struct RowCell {
    row: ArcSwapOption<Row>,
}

/// What the bindings of one subject and its groups come to.
pub(crate) struct Row {
    epoch: u64,
    /// Whether everything is to be looked at in full.
    is_opaque: bool,
    /// How many words a set has.
    width: usize,
    places: Box<[Place]>,
    // Per place two sets: what is permitted, and what else is spoken of.
    words: Box<[u64]>,
    // Per place, for each number in the first set in order, which origin decides.
    ranks: Box<[u8]>,
    // Where the ranks of each place begin.
    starts: Box<[usize]>,
    origins: Box<[Origin]>,
}

/// A scope at which something is bound.
struct Place {
    number: u32,
    signature: ScopeSignature,
    // One that is bound there.
    bound: Arc<Bound>,
}

impl Place {
    fn of(entry: &Entry) -> Self {
        let signature = ScopeSignature::of(&entry.bound.record.scope);
        Self { number: entry.place(), signature, bound: Arc::clone(&entry.bound) }
    }

    /// Whether it contains the resource; with the numbers of all scopes that do, if they were looked up.
    #[inline]
    fn contains(&self, resource: &Scope, chain: Option<&[u32]>) -> bool {
        match chain {
            Some(chain) => chain.contains(&self.number),
            None => self.signature.may_contain(resource) && self.bound.record.scope.contains(resource),
        }
    }
}

/// A binding that permits something; in the order in which bindings decide.
pub(crate) struct Origin {
    pub(crate) bound: Arc<Bound>,
    pub(crate) via: Option<GroupId>,
}

/// What a row says of a permission at a place.
pub(crate) enum Found<'r> {
    /// Nothing speaks of it.
    Nothing,
    /// This permits it, and nothing else speaks of it.
    Plain(&'r Origin),
    /// It is to be looked at in full.
    Opaque,
}

impl Row {
    #[inline]
    pub(crate) fn find(
        &self,
        numbers: &PermissionNumbers,
        (resource, chain): (&Scope, Option<&[u32]>),
    ) -> Found<'_> {
        if self.is_opaque {
            return Found::Opaque;
        }
        let mut first: Option<u8> = None;
        let sets = self.words.chunks_exact(self.width.saturating_mul(2).max(1));
        for (at, (place, sets)) in self.places.iter().zip(sets).enumerate() {
            if !place.contains(resource, chain) {
                continue;
            }
            let (plain, other) = sets.split_at_checked(self.width).unwrap_or_default();
            for number in numbers {
                if has(other, *number) {
                    return Found::Opaque;
                }
                if has(plain, *number) {
                    let rank = self.rank(at, plain, *number);
                    first = Some(first.map_or(rank, |first| first.min(rank)));
                }
            }
        }
        match first {
            None => Found::Nothing,
            Some(rank) => self.origins.get(usize::from(rank)).map_or(Found::Opaque, Found::Plain),
        }
    }

    /// All that is permitted at a place, and all that is spoken of otherwise; `None` when that is everything.
    pub(crate) fn sets(&self, resource: &Scope, chain: Option<&[u32]>) -> Option<[[u64; WORDS]; 2]> {
        if self.is_opaque {
            return None;
        }
        let mut all = [[0; WORDS]; 2];
        let sets = self.words.chunks_exact(self.width.saturating_mul(2).max(1));
        for (_, sets) in self.places.iter().zip(sets).filter(|(place, _)| place.contains(resource, chain)) {
            for (all, set) in all.iter_mut().zip(sets.chunks_exact(self.width.max(1))) {
                all.iter_mut().zip(set).for_each(|(word, more)| *word |= more);
            }
        }
        Some(all)
    }

    /// Which origin decides: that of the number's place among those of the set.
    fn rank(&self, at: usize, plain: &[u64], number: u32) -> u8 {
        let (word, bit) = split(number);
        let before = plain.iter().take(word).map(|word| word.count_ones()).fold(0, u32::saturating_add);
        let below = plain.get(word).map_or(0, |word| (word & (1_u64 << bit).wrapping_sub(1)).count_ones());
        let index = usize::try_from(before.saturating_add(below)).unwrap_or(usize::MAX);
        let start = self.starts.get(at).copied().unwrap_or(usize::MAX);
        // Past the last origin is what cannot be: it is looked at in full.
        self.ranks.get(start.saturating_add(index)).copied().unwrap_or(u8::MAX)
    }
}

#[inline]
pub(crate) fn has(set: &[u64], number: u32) -> bool {
    let (word, bit) = split(number);
    set.get(word).is_some_and(|word| word >> bit & 1 == 1)
}

#[inline]
fn split(number: u32) -> (usize, u32) {
    (usize::try_from(number >> 6).unwrap_or(usize::MAX), number & 63)
}

impl<'a> Live<'a> {
    /// What its bindings come to, found or made.
    #[inline]
    pub(crate) fn row(&self) -> arc_swap::Guard<Option<Arc<Row>>> {
        let cell = &self.node.row.row;
        let row = cell.load();
        if row.as_ref().is_some_and(|row| row.epoch == self.directory.epoch) {
            return row;
        }
        drop(row);
        cell.store(Some(Arc::new(self.make_row())));
        let row = cell.load();
        // Another thread, by another state, may have been quicker.
        if row.as_ref().is_some_and(|row| row.epoch == self.directory.epoch) {
            return row;
        }
        arc_swap::Guard::from_inner(None)
    }

    #[cold]
    fn make_row(&self) -> Row {
        let mut draft = Draft::default();
        let is_whole = self.sources().all(|source| draft.add_source(self.directory, source)).then_some(());
        match is_whole {
            Some(()) => draft.finish(self.directory.epoch),
            None => Row { is_opaque: true, ..Draft::default().finish(self.directory.epoch) },
        }
    }
}

/// A row that is being made.
#[derive(Default)]
struct Draft {
    places: Vec<(Place, Level)>,
    origins: Vec<Origin>,
}

#[derive(Default)]
struct Level {
    plain: [u64; WORDS],
    other: [u64; WORDS],
    // By number.
    ranks: Vec<(u32, u8)>,
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
        let at = match self.places.iter().position(|(place, _)| place.number == entry.place()) {
            Some(at) => at,
            None => {
                self.places.push((Place::of(entry), Level::default()));
                self.places.len().checked_sub(1)?
            }
        };
        let (_, level) = self.places.get_mut(at)?;
        for (word, more) in level.other.iter_mut().zip(other.words()?) {
            *word |= more;
        }
        let own = plain.words()?;
        if source.grants() && source.is_at_home(entry) {
            let rank = u8::try_from(self.origins.len()).ok().filter(|rank| *rank < u8::MAX)?;
            for number in numbers_of(own) {
                if !has(&level.plain, number) {
                    level.ranks.push((number, rank));
                }
            }
            level.plain.iter_mut().zip(own).for_each(|(word, more)| *word |= more);
            self.origins.push(Origin { bound: Arc::clone(&entry.bound), via: source.group_id() });
        }
        Some(())
    }

    fn finish(mut self, epoch: u64) -> Row {
        let used =
            |set: &[u64; WORDS]| set.iter().rposition(|word| *word != 0).map_or(0, |at| at.saturating_add(1));
        let width = self.places.iter().map(|(_, level)| used(&level.plain).max(used(&level.other))).max();
        let width = width.unwrap_or(0);
        let (mut words, mut ranks, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        for (_, level) in &mut self.places {
            words.extend(level.plain.iter().take(width));
            words.extend(level.other.iter().take(width));
            starts.push(ranks.len());
            level.ranks.sort_unstable();
            ranks.extend(level.ranks.iter().map(|(_, rank)| *rank));
        }
        Row {
            epoch,
            is_opaque: false,
            width,
            places: self.places.into_iter().map(|(place, _)| place).collect(),
            words: words.into(),
            ranks: ranks.into(),
            starts: starts.into(),
            origins: self.origins.into(),
        }
    }
}

fn numbers_of(words: &[u64; WORDS]) -> impl Iterator<Item = u32> {
    let all = 0..u32::try_from(WORDS.saturating_mul(64)).unwrap_or(0);
    all.filter(move |number| has(words, *number))
}

// What nobody has asked for yet is no difference.
impl Clone for RowCell {
    fn clone(&self) -> Self {
        Self { row: ArcSwapOption::new(self.row.load_full()) }
    }
}

impl fmt::Debug for RowCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowCell")
    }
}
