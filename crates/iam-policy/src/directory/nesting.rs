//! Groups in groups: in which groups somebody is by being in one.
//!
//! What is above a group is worked out when a nesting or a group changes, without recursion and within bounds, and
//! depends on what is stored alone. Where it is in a circle or past a bound, the group is *tangled*: what is above it
//! is not cut off somewhere, but taken to deny anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use state_store::Revision;

use super::reach::Reach;
use super::{Directory, GroupNode, Slot};
use crate::holder::GroupId;
use crate::plan::{MAX_GROUPS_ABOVE, MAX_NESTING_DEPTH};

/// What a group has to do with others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nest {
    /// The groups it is directly in, by id.
    pub(crate) outers: Arc<[Outer]>,
    /// The groups directly in it, by id, and where they are found without a search.
    pub(crate) inners: Arc<[(GroupId, u32)]>,
    // INVARIANT: what `Directory::climb` says of the two and of what lies above.
    above: Arc<[Above]>,
    is_tangled: bool,
}

/// A group that another one is directly in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outer {
    pub(crate) group: GroupId,
    // Valid because the outer one lists its inner ones.
    pub(super) number: u32,
    /// The commit that nested it; `None` when the record is unreadable.
    pub(crate) since: Option<Revision>,
}

/// A group that the members of another one are in, by groups between or none.
#[derive(Debug, Clone)]
pub(crate) struct Above {
    pub(crate) group: GroupId,
    pub(super) number: u32,
    /// The tenant of all groups on the way that are readable; empty for the root, `None` where none is.
    pub(super) tenant: Option<Arc<str>>,
    /// Where all groups on the way can count.
    pub(super) reach: Reach,
    /// Whether what it allows counts: by one of the ways every record is readable.
    pub(super) grants: bool,
}

/// Why a group is tangled.
#[derive(Debug, Clone)]
pub(crate) struct Tangle {
    pub(crate) kind: TangleKind,
    /// Nestings, outer and inner, that make it so; none of them can be left out.
    pub(crate) nestings: Vec<(GroupId, GroupId)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TangleKind {
    /// A group is in itself.
    Circle,
    /// More than [`MAX_NESTING_DEPTH`] levels.
    Deep,
    /// More than [`MAX_GROUPS_ABOVE`] groups.
    Many,
}

impl Nest {
    pub(super) fn is_empty(&self) -> bool {
        self.outers.is_empty() && self.inners.is_empty()
    }

    /// Whether it has nothing to do with others, and had not.
    fn is_plain(&self) -> bool {
        self.is_empty() && self.above.is_empty() && !self.is_tangled
    }

    /// Sorted by group; empty where it is tangled.
    pub(crate) fn above(&self) -> &[Above] {
        &self.above
    }

    pub(crate) const fn is_tangled(&self) -> bool {
        self.is_tangled
    }

    pub(crate) fn outer(&self, group: GroupId) -> Option<&Outer> {
        self.outers.iter().find(|outer| outer.group == group)
    }
}

/// A group as a way comes to it.
struct State {
    group: GroupId,
    number: u32,
    tenant: Option<Arc<str>>,
    grants: bool,
    depth: usize,
    // By which state it was found first, and by which the way is longest.
    found_by: Option<usize>,
    deepest_by: Option<usize>,
    // Where the ways go on, and whether the nesting is readable.
    outers: Vec<(usize, bool)>,
    // How many ways come here.
    ways_in: usize,
}

/// What is above a group, or why nobody is to rely on it.
struct Climb {
    states: Vec<State>,
    tangle: Option<Tangle>,
}

impl Directory {
    pub(super) fn nest(&mut self, outer: GroupId, inner: GroupId, since: Option<Revision>) {
        let join = |node: &mut GroupNode, number| {
            let others = node.nest.outers.iter().filter(|other| other.group != outer);
            let mut all: Vec<_> = others.copied().chain([Outer { group: outer, number, since }]).collect();
            all.sort_unstable_by_key(|outer| outer.group);
            node.nest.outers = all.into();
        };
        // Each is kept by being in the other one's list, so that the first look at the inner one knows no number yet.
        let Some(inner_number) = self.edit_group(inner, |node| join(node, u32::MAX)) else { return };
        let number = self.edit_group(outer, |node| {
            let others = node.nest.inners.iter().filter(|(other, _)| *other != inner);
            let mut all: Vec<_> = others.copied().chain([(inner, inner_number)]).collect();
            all.sort_unstable();
            node.nest.inners = all.into();
        });
        if let Some(number) = number {
            self.edit_group(inner, |node| join(node, number));
        }
        self.climb_from(inner);
    }

    pub(super) fn unnest(&mut self, outer: GroupId, inner: GroupId) {
        if self.groups.get(&inner).is_none_or(|node| node.nest.outer(outer).is_none()) {
            return;
        }
        self.edit_group(outer, |node| {
            let others = node.nest.inners.iter().filter(|(other, _)| *other != inner);
            node.nest.inners = others.copied().collect();
        });
        self.edit_group(inner, |node| {
            let others = node.nest.outers.iter().filter(|other| other.group != outer);
            node.nest.outers = others.copied().collect();
        });
        self.climb_from(inner);
    }

    /// Works out anew what is above the group and above those below it.
    pub(super) fn climb_from(&mut self, group: GroupId) {
        if self.groups.get(&group).is_none_or(|node| node.nest.is_plain()) {
            return;
        }
        let mut below = vec![(group, 0_usize)];
        let mut seen = BTreeSet::from([group]);
        let mut at = 0;
        while let Some((group, depth)) = below.get(at).copied() {
            at = at.saturating_add(1);
            // What is further below is too deep, whatever becomes of this one.
            let Some(node) = self.groups.get(&group).filter(|_| depth <= MAX_NESTING_DEPTH) else { continue };
            let new = node.nest.inners.iter().filter(|(inner, _)| seen.insert(*inner));
            below.extend(new.map(|(inner, _)| (*inner, depth.saturating_add(1))));
        }
        for (group, _) in below {
            let Some(number) = self.groups.number(&group) else { continue };
            let Climb { states, tangle } = self.climb(group, number);
            let mut above: Vec<Above> = Vec::new();
            if tangle.is_none() {
                above.extend(states.into_iter().skip(1).map(|state| Above {
                    reach: reach_of(state.tenant.as_ref()),
                    group: state.group,
                    number: state.number,
                    tenant: state.tenant,
                    grants: state.grants,
                }));
                above.sort_unstable_by(|a, b| (a.group, &a.tenant).cmp(&(b.group, &b.tenant)));
            }
            self.edit_group(group, |node| {
                node.nest.above = above.into();
                node.nest.is_tangled = tangle.is_some();
            });
        }
    }

    /// The numbers of the groups above that of this number, some more than once.
    pub(super) fn above(&self, number: u32) -> impl Iterator<Item = u32> + Clone {
        let node: Option<&GroupNode> = self.groups.at(number);
        node.into_iter().flat_map(|node| node.nest.above().iter().map(|above| above.number))
    }

    /// All groups in the group, directly or not, each once; no more than a few past `limit`.
    pub(crate) fn groups_within(&self, group: GroupId, limit: usize) -> Vec<GroupId> {
        let (mut all, mut seen, mut at) = (vec![group], BTreeSet::from([group]), 0);
        while let Some(here) = all.get(at).filter(|_| all.len() <= limit.saturating_add(1)) {
            let nest = self.groups.get(here).map(|node| Arc::clone(&node.nest.inners));
            let inners = nest.iter().flat_map(|inners| inners.iter());
            all.extend(inners.map(|(inner, _)| *inner).filter(|inner| seen.insert(*inner)));
            at = at.saturating_add(1);
        }
        all.remove(0);
        all
    }

    /// The group, and all that it is in, each once; `None` where it is tangled.
    pub(crate) fn group_and_above(&self, group: GroupId) -> Option<Vec<GroupId>> {
        let nest = self.groups.get(&group).map(|node| &node.nest);
        if nest.is_some_and(Nest::is_tangled) {
            return None;
        }
        let above = nest.into_iter().flat_map(|nest| nest.above().iter().map(|above| above.group));
        let mut all: Vec<GroupId> = core::iter::once(group).chain(above).collect();
        all.sort_unstable();
        all.dedup();
        Some(all)
    }

    /// Why the group is tangled, if it is.
    pub(crate) fn tangle_of(&self, group: GroupId) -> Option<Tangle> {
        self.climb(group, self.groups.number(&group)?).tangle
    }

    /// The tenant of the group, if it is readable; `None` inside where nobody knows it.
    fn tenant_at(node: &GroupNode) -> Option<Option<Arc<str>>> {
        match &node.record {
            Slot::Absent => None,
            Slot::Unreadable => Some(None),
            Slot::Present(kept) => Some(Some(kept.record.home.first_level().into())),
        }
    }

    fn climb(&self, group: GroupId, number: u32) -> Climb {
        let node: Option<&GroupNode> = self.groups.at(number);
        let Some(tenant) = node.and_then(Self::tenant_at) else {
            return Climb { states: Vec::new(), tangle: None };
        };
        let mut states = vec![State::new(group, number, tenant, None)];
        let mut at = 0;
        while let Some(state) = states.get(at) {
            let tenant = state.tenant.clone();
            let nest = self.groups.at(state.number).map(|node: &GroupNode| Arc::clone(&node.nest.outers));
            for outer in nest.iter().flat_map(|outers| outers.iter()) {
                let known = self.groups.at(outer.number).and_then(Self::tenant_at);
                let Some(tenant) = known.and_then(|known| common(tenant.as_ref(), known)) else { continue };
                let found = states.iter().position(|it| it.number == outer.number && it.tenant == tenant);
                let target = found.unwrap_or(states.len());
                if found.is_none() {
                    states.push(State::new(outer.group, outer.number, tenant, Some(at)));
                    if target > MAX_GROUPS_ABOVE {
                        let found = (0..states.len()).filter_map(|at| edge(&states, at, |it| it.found_by));
                        let nestings = found.collect();
                        let tangle = Some(Tangle { kind: TangleKind::Many, nestings });
                        return Climb { states, tangle };
                    }
                }
                if let Some(target) = states.get_mut(target) {
                    target.ways_in = target.ways_in.saturating_add(1);
                }
                if let Some(state) = states.get_mut(at) {
                    state.outers.push((target, outer.since.is_some()));
                }
            }
            at = at.saturating_add(1);
        }
        let tangle = self.follow(&mut states);
        Climb { states, tangle }
    }

    /// Follows all ways at once, each group after all by which one comes to it; says what is in a circle, or too deep.
    fn follow(&self, states: &mut [State]) -> Option<Tangle> {
        let is_readable =
            |state: &State| self.groups.at(state.number).is_some_and(|node| node.record.present().is_some());
        let mut ready = Vec::new();
        if let Some(start) = states.first_mut().filter(|start| start.ways_in == 0) {
            start.grants = is_readable(start);
            ready.push(0);
        }
        let mut done = 0_usize;
        while let Some(at) = ready.pop() {
            done = done.saturating_add(1);
            let Some(state) = states.get_mut(at) else { continue };
            let (grants, depth) = (state.grants, state.depth.saturating_add(1));
            let outers = core::mem::take(&mut state.outers);
            for (target, is_edge_readable) in &outers {
                let Some(outer) = states.get_mut(*target) else { continue };
                outer.grants |= grants && *is_edge_readable && is_readable(outer);
                if outer.depth < depth {
                    (outer.depth, outer.deepest_by) = (depth, Some(at));
                }
                outer.ways_in = outer.ways_in.saturating_sub(1);
                if outer.ways_in == 0 {
                    ready.push(*target);
                }
            }
            if let Some(state) = states.get_mut(at) {
                state.outers = outers;
            }
        }
        if done < states.len() {
            return Some(Tangle { kind: TangleKind::Circle, nestings: circle(states) });
        }
        let deep = states.iter().position(|state| state.depth == MAX_NESTING_DEPTH.saturating_add(1))?;
        let nestings = trail(states, deep, |state| state.deepest_by);
        Some(Tangle { kind: TangleKind::Deep, nestings })
    }
}

impl State {
    const fn new(group: GroupId, number: u32, tenant: Option<Arc<str>>, found_by: Option<usize>) -> Self {
        Self {
            group,
            number,
            tenant,
            grants: false,
            depth: 0,
            found_by,
            deepest_by: None,
            outers: Vec::new(),
            ways_in: 0,
        }
    }
}

/// The tenant of a way that goes on to a group of this one; `None` where it does not.
fn common(way: Option<&Arc<str>>, next: Option<Arc<str>>) -> Option<Option<Arc<str>>> {
    match (way, next) {
        (Some(way), Some(next)) => (**way == *next).then_some(Some(next)),
        (Some(way), None) => Some(Some(Arc::clone(way))),
        (None, next) => Some(next),
    }
}

fn reach_of(tenant: Option<&Arc<str>>) -> Reach {
    match tenant {
        Some(tenant) if !tenant.is_empty() => Reach::within(tenant),
        Some(_) | None => Reach::Everywhere,
    }
}

/// The nesting by which one came to the state.
fn edge(states: &[State], at: usize, by: impl Fn(&State) -> Option<usize>) -> Option<(GroupId, GroupId)> {
    let state = states.get(at)?;
    Some((state.group, states.get(by(state)?)?.group))
}

/// The nestings by which one came to the state, back to the start.
fn trail(states: &[State], from: usize, by: impl Fn(&State) -> Option<usize>) -> Vec<(GroupId, GroupId)> {
    let (mut at, mut all) = (Some(from), Vec::new());
    while let Some(here) = at {
        all.extend(edge(states, here, &by));
        at = states.get(here).and_then(&by);
    }
    all
}

/// A circle, and the shortest way to it; of states that were followed as far as there was none.
fn circle(states: &[State]) -> Vec<(GroupId, GroupId)> {
    let is_left = |at: usize| states.get(at).is_some_and(|state| state.ways_in > 0);
    // Every one that is left has one before it that is left: going back, one comes round.
    let before = |at: usize| {
        let leads_here = |other: &State| other.outers.iter().any(|(target, _)| *target == at);
        states.iter().enumerate().position(|(other, state)| is_left(other) && leads_here(state))
    };
    let mut walk: Vec<usize> = (0..states.len()).find(|at| is_left(*at)).into_iter().collect();
    let round = loop {
        let Some(last) = walk.last().and_then(|last| before(*last)) else { break walk.as_slice() };
        if let Some(first) = walk.iter().position(|at| *at == last) {
            break walk.get(first..).unwrap_or_default();
        }
        walk.push(last);
    };
    let group = |at: &usize| states.get(*at).map(|state| state.group);
    let nexts = round.iter().cycle().skip(1).take(round.len());
    // Backwards: the next one in the list is directly in the one before it.
    let mut all: Vec<_> =
        round.iter().zip(nexts).filter_map(|(outer, inner)| Some((group(outer)?, group(inner)?))).collect();
    let ways = round.iter().map(|at| trail(states, *at, |state| state.found_by));
    let nearest = ways.min_by_key(Vec::len).unwrap_or_default();
    let new: Vec<_> = nearest.into_iter().filter(|edge| !all.contains(edge)).collect();
    all.extend(new);
    all
}
