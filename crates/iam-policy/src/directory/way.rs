//! How a subject comes to its groups.

use state_store::Revision;

use super::index::Membership;
use super::live::{Live, Via};
use super::reach::Reach;
use super::{Directory, GroupNode, Slot};
use crate::holder::GroupId;

/// A group that a subject is in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) group: GroupId,
    pub(super) number: u32,
    /// The tenant of all groups on the way that are readable; empty for the root, `None` where none is.
    pub(super) tenant: Option<&'a str>,
    /// Where all groups on the way can count.
    pub(super) reach: &'a Reach,
    /// Whether what it allows counts.
    pub(super) grants: bool,
    /// Whether nobody knows what is above it.
    pub(super) is_tangled: bool,
}

/// The records by which a subject is in a group: its membership, and each nesting from there on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail {
    /// The group it is a member of, and each further one.
    pub(crate) groups: Vec<GroupId>,
    /// The commits that wrote the records between, the membership first; `None` where it is unreadable.
    pub(crate) since: Vec<Option<Revision>>,
}

impl Directory {
    /// The group it says, unless that is gone; of what is unreadable only the denials count.
    pub(super) fn direct<'a>(&'a self, membership: &Membership) -> Option<Way<'a>> {
        let node: &GroupNode = self.groups.at(membership.number)?;
        let tenant = match &node.record {
            Slot::Absent => return None,
            Slot::Unreadable => None,
            Slot::Present(kept) => Some(kept.record.home.first_level()),
        };
        Some(Way {
            group: membership.group,
            number: membership.number,
            tenant,
            reach: &node.reach,
            grants: tenant.is_some() && membership.joined.is_some(),
            is_tangled: node.nest.is_tangled(),
        })
    }
}

impl<'a> Live<'a> {
    /// Whether any of its groups is in another one.
    pub(super) fn is_nested(&self) -> bool {
        let mut groups = self.node.groups.iter().filter_map(|it| self.directory.groups.at(it.number));
        groups.any(|group: &GroupNode| !group.nest.above().is_empty())
    }

    /// All groups it is in, by id.
    pub(super) fn comes_to(&self) -> Vec<Way<'a>> {
        let directory = self.directory;
        let mut all: Vec<Way<'a>> = Vec::new();
        for membership in self.node.groups.iter() {
            let Some(direct) = directory.direct(membership) else { continue };
            let above = directory.groups.at(membership.number).map_or(&[][..], |node| node.nest.above());
            let is_member = membership.joined.is_some();
            all.push(direct);
            all.extend(above.iter().map(|above| Way {
                group: above.group,
                number: above.number,
                tenant: above.tenant.as_deref(),
                reach: &above.reach,
                grants: is_member && above.grants,
                is_tangled: false,
            }));
        }
        // By several ways to one group, what any of them gives.
        all.sort_by_key(|way| (way.group, way.tenant));
        all.dedup_by(|next, way| {
            let is_same = next.group == way.group && next.tenant == way.tenant;
            if is_same {
                way.grants |= next.grants;
                way.is_tangled |= next.is_tangled;
            }
            is_same
        });
        all
    }

    /// The shortest way to the group, of the lowest ids; where what it allows counts, one by which it does.
    pub(crate) fn trail_to(&self, via: &Via<'a>, grants: bool) -> Trail {
        let mut seen: Vec<Reached<'a>> = Vec::new();
        for membership in self.node.groups.iter() {
            let Some(direct) = self.directory.direct(membership) else { continue };
            if direct.grants || !grants {
                let Way { group, number, tenant, .. } = direct;
                seen.push(Reached { group, number, tenant, since: membership.joined, by: None });
            }
        }
        let mut at = 0;
        while let Some(here) = seen.get(at).copied() {
            if here.group == via.id && here.tenant == via.tenant {
                return trail(&seen, at);
            }
            let node = self.directory.groups.at(here.number);
            for outer in node.into_iter().flat_map(|node: &'a GroupNode| node.nest.outers.iter()) {
                let Some(next) = self.directory.groups.at(outer.number) else { continue };
                let known = match &next.record {
                    Slot::Absent => continue,
                    Slot::Unreadable => None,
                    Slot::Present(kept) => Some(kept.record.home.first_level()),
                };
                let is_apart = matches!((here.tenant, known), (Some(way), Some(next)) if way != next);
                if is_apart || (grants && (known.is_none() || outer.since.is_none())) {
                    continue;
                }
                let tenant = known.or(here.tenant);
                if !seen.iter().any(|it| it.number == outer.number && it.tenant == tenant) {
                    let (group, number, since) = (outer.group, outer.number, outer.since);
                    seen.push(Reached { group, number, tenant, since, by: Some(at) });
                }
            }
            at = at.saturating_add(1);
        }
        Trail::default()
    }
}

/// A group on the way to another one.
#[derive(Clone, Copy)]
struct Reached<'a> {
    group: GroupId,
    number: u32,
    tenant: Option<&'a str>,
    since: Option<Revision>,
    by: Option<usize>,
}

fn trail(seen: &[Reached<'_>], to: usize) -> Trail {
    let (mut at, mut trail) = (Some(to), Trail::default());
    while let Some(here) = at.and_then(|at| seen.get(at)) {
        trail.groups.push(here.group);
        trail.since.push(here.since);
        at = here.by;
    }
    trail.groups.reverse();
    trail.since.reverse();
    trail
}
