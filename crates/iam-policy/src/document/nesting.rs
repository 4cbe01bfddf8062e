use std::collections::{BTreeMap, BTreeSet};

use crate::error::DocumentError;
use crate::holder::GroupId;
use crate::plan::{MAX_GROUPS_ABOVE, MAX_GROUPS_WITHIN, MAX_NESTING_DEPTH};
use crate::record::NestingRecord;

/// What is known of a group.
#[derive(Default)]
struct Node<'n> {
    inners: Vec<&'n NestingRecord>,
    // How many of its outer groups are still to be looked at.
    outers: usize,
    above: BTreeSet<GroupId>,
    depth: usize,
    within: usize,
}

/// The nestings, those of a group before those of the groups in it; refused where one is in itself, or past a bound. The
/// time is in proportion to their number.
pub(super) fn from_the_top(nestings: &[NestingRecord]) -> Result<Vec<NestingRecord>, DocumentError> {
    let mut nodes: BTreeMap<GroupId, Node<'_>> = BTreeMap::new();
    for nesting in nestings {
        nodes.entry(nesting.group).or_default().inners.push(nesting);
        let inner = nodes.entry(nesting.inner).or_default();
        inner.outers = inner.outers.saturating_add(1);
        if inner.outers > MAX_GROUPS_ABOVE {
            return Err(too_many_above());
        }
    }
    let tops = nodes.iter().filter(|(_, node)| node.outers == 0).map(|(group, _)| *group);
    let mut ready: Vec<GroupId> = tops.collect();
    let mut ordered = Vec::with_capacity(nestings.len());
    while let Some(group) = ready.pop() {
        let Some(node) = nodes.get_mut(&group) else { continue };
        let (inners, mut above) = (core::mem::take(&mut node.inners), node.above.clone());
        let depth = node.depth.saturating_add(1);
        above.insert(group);
        for nesting in inners {
            let Some(inner) = nodes.get_mut(&nesting.inner) else { continue };
            inner.above.extend(above.iter().copied());
            inner.depth = inner.depth.max(depth);
            if inner.depth > MAX_NESTING_DEPTH {
                let what = "levels of groups in groups";
                return Err(DocumentError::TooMany { what, limit: MAX_NESTING_DEPTH });
            }
            if inner.above.len() > MAX_GROUPS_ABOVE {
                return Err(too_many_above());
            }
            inner.outers = inner.outers.saturating_sub(1);
            if inner.outers == 0 {
                ready.push(nesting.inner);
            }
            ordered.push(*nesting);
        }
    }
    if ordered.len() < nestings.len() {
        return Err(DocumentError::Circle { groups: circle(nestings, &nodes) });
    }
    let all: Vec<BTreeSet<GroupId>> =
        nodes.values_mut().map(|node| core::mem::take(&mut node.above)).collect();
    for outer in all.into_iter().flatten() {
        let Some(node) = nodes.get_mut(&outer) else { continue };
        node.within = node.within.saturating_add(1);
        if node.within > MAX_GROUPS_WITHIN {
            return Err(DocumentError::TooMany { what: "groups in one group", limit: MAX_GROUPS_WITHIN });
        }
    }
    Ok(ordered)
}

const fn too_many_above() -> DocumentError {
    DocumentError::TooMany { what: "groups that one group is in", limit: MAX_GROUPS_ABOVE }
}

/// A circle among what is left: every group that was not looked at is in another one that was not.
fn circle(nestings: &[NestingRecord], nodes: &BTreeMap<GroupId, Node<'_>>) -> Vec<GroupId> {
    let is_left = |group: GroupId| nodes.get(&group).is_some_and(|node| node.outers > 0);
    let left = nestings.iter().filter(|it| is_left(it.group) && is_left(it.inner));
    let outers: BTreeMap<GroupId, GroupId> = left.map(|nesting| (nesting.inner, nesting.group)).collect();
    let mut places: BTreeMap<GroupId, usize> = BTreeMap::new();
    let mut walk = Vec::new();
    let mut here = outers.keys().next().copied();
    while let Some(group) = here {
        if let Some(first) = places.get(&group) {
            return walk.into_iter().skip(*first).take(MAX_GROUPS_ABOVE).collect();
        }
        places.insert(group, walk.len());
        walk.push(group);
        here = outers.get(&group).copied();
    }
    walk
}
