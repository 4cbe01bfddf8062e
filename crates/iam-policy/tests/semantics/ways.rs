//! How a subject comes to its groups, for the slow evaluator: every way by itself.

use std::collections::BTreeSet;

use core_types::Scope;
use iam_policy::GroupId;
use iam_policy::plan::{MAX_GROUPS_ABOVE, MAX_NESTING_DEPTH};

use crate::reference::tenant;
use crate::world::{Fate, GroupFact, World};

/// The first level of a home; that of the root is nothing, and nobody knows that of what is unreadable.
pub(crate) type Tenant = Option<Option<String>>;

/// A way from a subject to a group: the group it is a member of, one that this is in, and so on.
#[derive(Clone)]
pub(crate) struct Way<'w> {
    pub(crate) groups: Vec<&'w GroupFact>,
    pub(crate) is_readable: bool,
}

impl<'w> Way<'w> {
    pub(crate) fn last(&self) -> &'w GroupFact {
        self.groups.last().copied().unwrap()
    }

    /// That of its groups, as far as it is known.
    pub(crate) fn tenant(&self) -> Tenant {
        self.home().map(tenant)
    }

    pub(crate) fn home(&self) -> Option<&Scope> {
        let known = self.groups.iter().find(|group| group.fate == Fate::Readable);
        known.map(|group| &group.home)
    }
}

pub(crate) fn group_of(world: &World, id: GroupId) -> Option<&GroupFact> {
    world.groups.iter().find(|group| group.id == id && group.fate != Fate::Gone)
}

/// Every way that goes on from this one; `None` where one comes back to where it was, or they are too long or too many.
pub(crate) fn ways_above<'w>(world: &'w World, start: &Way<'w>) -> Option<Vec<Way<'w>>> {
    let (mut all, mut ends) = (Vec::new(), vec![start.clone()]);
    while let Some(way) = ends.pop() {
        let last = way.last();
        for nesting in world.nestings.iter().filter(|it| it.inner == last.id && it.fate != Fate::Gone) {
            let Some(outer) = group_of(world, nesting.outer) else { continue };
            let is_apart = outer.fate == Fate::Readable
                && way.home().is_some_and(|home| tenant(home) != tenant(&outer.home));
            if is_apart {
                continue;
            }
            if way.groups.iter().any(|group| group.id == outer.id) {
                return None;
            }
            let mut longer = way.clone();
            longer.groups.push(outer);
            longer.is_readable &= nesting.fate == Fate::Readable;
            if longer.groups.len() > MAX_NESTING_DEPTH + 1 {
                return None;
            }
            all.push(longer.clone());
            ends.push(longer);
        }
    }
    let above: BTreeSet<(GroupId, Tenant)> = all.iter().map(|way| (way.last().id, way.tenant())).collect();
    (above.len() <= MAX_GROUPS_ABOVE).then_some(all)
}
