//! All pairs of a pattern and a scope at which one subject's decisions are compared.

use std::collections::{BTreeMap, BTreeSet};

use core_types::{Permission, PermissionPattern, Scope};

use super::Direction;
use crate::region::PermissionCells;

/// What changes at each pair, and how much of what lies within changes with it.
pub(super) struct Grid<'g> {
    patterns: Vec<(&'g PermissionPattern, &'g Permission)>,
    rows: Vec<Row<'g>>,
    /// Where the scope of this path stands.
    places: BTreeMap<&'g str, usize>,
}

struct Row<'g> {
    scope: &'g Scope,
    changed: Vec<Option<Direction>>,
    /// How many rows there are at this scope and below.
    below: usize,
    /// In how many of these the pattern and all narrower ones are gained, and lost.
    whole_below: Vec<[usize; 2]>,
}

/// A change that no whole one contains.
pub(super) struct Told<'g> {
    pub(super) direction: Direction,
    pub(super) pattern: &'g PermissionPattern,
    pub(super) permission: &'g Permission,
    pub(super) scope: &'g Scope,
    pub(super) is_whole: bool,
}

impl<'g> Grid<'g> {
    pub(super) fn new(
        cells: &'g PermissionCells,
        scopes: &'g BTreeSet<Scope>,
        change: impl Fn(&Permission, &Scope) -> Option<Direction>,
    ) -> Self {
        let patterns: Vec<_> = cells.iter().collect();
        let row = |scope| {
            let changed = patterns.iter().map(|(_, permission)| change(permission, scope)).collect();
            Row { scope, changed, below: 0, whole_below: vec![[0; 2]; patterns.len()] }
        };
        let rows: Vec<Row<'g>> = scopes.iter().map(row).collect();
        let places = rows.iter().enumerate().map(|(at, row)| (row.scope.as_path(), at)).collect();
        let mut grid = Self { patterns, rows, places };
        grid.count();
        grid
    }

    /// The changes, by scope and by pattern; of what lies in one that is whole, nothing.
    pub(super) fn told(&self) -> impl Iterator<Item = Told<'g>> {
        let pairs = self.rows.iter().flat_map(|row| {
            let changed = row.changed.iter().zip(&self.patterns).enumerate();
            changed.filter_map(move |(at, (direction, cell))| Some((row, at, (*direction)?, *cell)))
        });
        pairs.filter_map(|(row, at, direction, (pattern, permission))| {
            let is_said = self.wider(pattern, row.scope).any(|(outer, wider)| {
                let is_itself = wider == at && outer.scope == row.scope;
                !is_itself && is_whole(outer, wider, direction)
            });
            let is_whole = is_whole(row, at, direction);
            (!is_said).then_some(Told { direction, pattern, permission, scope: row.scope, is_whole })
        })
    }

    /// All pairs that contain this one, itself included.
    fn wider<'s>(
        &'s self,
        pattern: &'s PermissionPattern,
        scope: &'s Scope,
    ) -> impl Iterator<Item = (&'s Row<'g>, usize)> {
        let rows = scope.ancestor_paths().filter_map(|path| self.rows.get(*self.places.get(path)?));
        rows.flat_map(move |row| self.wider_patterns(pattern).into_iter().flatten().map(move |at| (row, at)))
    }

    /// The pattern, those of its service and of its verb alone, and all.
    fn wider_patterns(&self, pattern: &PermissionPattern) -> [Option<usize>; 4] {
        let find = |service: Option<&str>, verb: Option<&str>| {
            self.patterns
                .binary_search_by(|(other, _)| (other.service(), other.verb()).cmp(&(service, verb)))
                .ok()
        };
        let (service, verb) = (pattern.service(), pattern.verb());
        let found = [find(service, verb), find(service, None), find(None, verb), find(None, None)];
        // Each once.
        let mut seen = BTreeSet::new();
        found.map(|at| at.filter(|at| seen.insert(*at)))
    }

    fn count(&mut self) {
        let wholes: Vec<(&Scope, Vec<Option<Direction>>)> =
            self.rows.iter().map(|row| (row.scope, self.wholes(row))).collect();
        for (scope, wholes) in wholes {
            for place in scope.ancestor_paths().filter_map(|path| self.places.get(path)) {
                let Some(row) = self.rows.get_mut(*place) else { continue };
                row.below = row.below.saturating_add(1);
                for ([gains, loses], whole) in row.whole_below.iter_mut().zip(&wholes) {
                    *gains = gains.saturating_add(usize::from(*whole == Some(Direction::Gains)));
                    *loses = loses.saturating_add(usize::from(*whole == Some(Direction::Loses)));
                }
            }
        }
    }

    /// Of each pattern, which way it and all narrower ones change.
    fn wholes(&self, row: &Row<'_>) -> Vec<Option<Direction>> {
        type Sides<'s> = (Option<&'s str>, Option<&'s str>);
        let mut counts: BTreeMap<Sides<'_>, (usize, [usize; 2])> = BTreeMap::new();
        let changed = || self.patterns.iter().zip(&row.changed);
        for ((pattern, _), direction) in changed() {
            let (service, verb) = (pattern.service(), pattern.verb());
            let wider: BTreeSet<Sides<'_>> =
                [(service, verb), (service, None), (None, verb), (None, None)].into();
            for sides in wider {
                let (all, [gains, loses]) = counts.entry(sides).or_default();
                *all = all.saturating_add(1);
                *gains = gains.saturating_add(usize::from(*direction == Some(Direction::Gains)));
                *loses = loses.saturating_add(usize::from(*direction == Some(Direction::Loses)));
            }
        }
        let whole = |((pattern, _), direction): (&(&PermissionPattern, _), &Option<Direction>)| {
            let (all, [gains, loses]) = counts.get(&(pattern.service(), pattern.verb()))?;
            let same = match (*direction)? {
                Direction::Gains => gains,
                Direction::Loses => loses,
            };
            direction.filter(|_| all == same)
        };
        changed().map(whole).collect()
    }
}

fn is_whole(row: &Row<'_>, pattern: usize, direction: Direction) -> bool {
    row.whole_below.get(pattern).is_some_and(|[gains, loses]| {
        row.below
            == match direction {
                Direction::Gains => *gains,
                Direction::Loses => *loses,
            }
    })
}
