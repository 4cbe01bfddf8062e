use core_types::{PermissionPattern, Scope};
use state_store::Revision;

use super::draft::Draft;
use super::guard::{Given, tenant_of};
use super::{MAX_GROUPS_ABOVE, MAX_GROUPS_WITHIN, MAX_NESTING_DEPTH, Planned, Planner};
use crate::directory::TangleKind;
use crate::error::WriteError;
use crate::holder::{GroupId, Holder};
use crate::key::{Place, Stamped};
use crate::record::NestingRecord;

impl Planner<'_> {
    /// Plans that a group be in another one, so that its members have what that one holds; the caller must hold all of
    /// it, what that one has by further groups too.
    ///
    /// # Errors
    /// [`WriteError::Escalation`], [`WriteError::Circle`], [`WriteError::TooMany`] past a bound of
    /// [`plan`](crate::plan), [`WriteError::Tangled`], [`WriteError::UnknownGroup`], [`WriteError::Unreadable`],
    /// [`WriteError::OtherTenant`] unless both are of one tenant or both of the root, [`WriteError::Unchanged`], or about
    /// the caller.
    pub fn add_group(&self, group: GroupId, inner: GroupId) -> Result<Planned<()>, WriteError> {
        let (kept, kept_inner) = (self.known_group(group)?, self.known_group(inner)?);
        let mut draft = self.begin()?;
        if kept.record.home.first_level() != kept_inner.record.home.first_level() {
            return Err(WriteError::OtherTenant);
        }
        let nest = self.directory.groups.get(&inner).map(|node| &node.nest);
        if nest.is_some_and(|nest| nest.outer(group).is_some()) {
            return Err(WriteError::Unchanged);
        }
        let above = self.group_and_above(group)?;
        self.group_and_above(inner)?;
        if above.contains(&inner) {
            return Err(WriteError::Circle { groups: self.way_up(group, inner) });
        }
        self.check_bounds(NestingRecord { group, inner }, &above)?;
        draft.rest_on(Place::Group(group), kept.revision)?;
        draft.rest_on(Place::Group(inner), kept_inner.revision)?;
        // Whoever nests other groups at the same time may close a circle with this.
        draft.rest_on_stamp(Stamped::Nesting, self)?;
        draft.stamp(Stamped::Nesting)?;
        if self.guard_groups(&mut draft, &above, &kept.record.home)? {
            draft.stamp(Stamped::Forbidding)?;
        }
        draft.create(Place::Nested(group, inner), &NestingRecord { group, inner })?;
        draft.stamp(Stamped::Holder(Holder::Group(inner)))?;
        draft.stamp(Stamped::Members(group))?;
        Ok(draft.finish(()))
    }

    /// Plans that a group be in the other one no more; the caller must hold all that the other one denies, what that has
    /// by further groups too.
    ///
    /// # Errors
    /// [`WriteError::NotNested`], [`WriteError::Escalation`], [`WriteError::Unreadable`] also where one of the groups is,
    /// or about the caller.
    pub fn remove_group(&self, group: GroupId, inner: GroupId) -> Result<Planned<()>, WriteError> {
        let nest = self.directory.groups.get(&inner).map(|node| &node.nest);
        let outer = nest.and_then(|nest| nest.outer(group)).ok_or(WriteError::NotNested(inner, group))?;
        let since = outer.since.ok_or(WriteError::Unreadable { what: "nesting" })?;
        let slots = [group, inner].map(|id| self.directory.groups.get(&id).map(|node| &node.record));
        // Nobody knows whose it is to change.
        if slots.into_iter().flatten().any(|slot| slot.is_unreadable()) {
            return Err(WriteError::Unreadable { what: "group" });
        }
        let mut draft = self.begin()?;
        self.guard_left(&mut draft, group)?;
        draft.remove(Place::Nested(group, inner), since)?;
        Ok(draft.finish(()))
    }

    /// The group, and those it is in.
    pub(super) fn group_and_above(&self, group: GroupId) -> Result<Vec<GroupId>, WriteError> {
        self.directory.group_and_above(group).ok_or(WriteError::Tangled(group))
    }

    /// Refuses unless the caller may give everything that these groups carry, and expects that it does not become more;
    /// whether they deny anything.
    pub(super) fn guard_groups(
        &self,
        draft: &mut Draft,
        groups: &[GroupId],
        home: &Scope,
    ) -> Result<bool, WriteError> {
        let mut is_forbidding = false;
        for group in groups {
            draft.rest_on_stamp(Stamped::Holder(Holder::Group(*group)), self)?;
            if let Some(node) = self.directory.groups.get(group) {
                self.guard_carried(draft, &node.carried, home)?;
                is_forbidding |= self.is_forbidding(&node.carried);
            }
        }
        Ok(is_forbidding)
    }

    /// Refuses unless the caller may lift everything that the group denies to who is in it, by further groups too.
    pub(super) fn guard_left(&self, draft: &mut Draft, group: GroupId) -> Result<(), WriteError> {
        let Some(groups) = self.directory.group_and_above(group) else {
            // It may have denied anything to its members, wherever it reaches.
            let home = self.directory.group(group).map(|group| tenant_of(&group.home));
            let (everything, scope) = (PermissionPattern::all(), home.unwrap_or_else(Scope::root));
            return self.guard(draft, Given::always(&everything, &scope));
        };
        for group in groups {
            if let Some(node) = self.directory.groups.get(&group) {
                self.guard_released(draft, &node.carried)?;
            }
        }
        Ok(())
    }

    /// Whether the group denies anything to who is in it, by further groups too, or may.
    pub(super) fn is_group_forbidding(&self, group: GroupId) -> bool {
        self.directory.group_and_above(group).is_none_or(|groups| {
            let mut nodes = groups.iter().filter_map(|group| self.directory.groups.get(group));
            nodes.any(|node| self.is_forbidding(&node.carried))
        })
    }

    fn check_bounds(&self, nesting: NestingRecord, above: &[GroupId]) -> Result<(), WriteError> {
        let mut after = self.directory.clone();
        after.set_nesting(nesting, Revision::ZERO);
        let within = after.groups_within(nesting.group, MAX_GROUPS_WITHIN);
        for group in above {
            if after.groups_within(*group, MAX_GROUPS_WITHIN).len() > MAX_GROUPS_WITHIN {
                return Err(WriteError::TooMany { what: "groups in one group", limit: MAX_GROUPS_WITHIN });
            }
        }
        let tangled = |group: &GroupId| after.groups.get(group).is_some_and(|node| node.nest.is_tangled());
        let Some(group) = within.iter().find(|group| tangled(group)) else { return Ok(()) };
        Err(match after.tangle_of(*group).map(|tangle| tangle.kind) {
            Some(TangleKind::Deep) => {
                WriteError::TooMany { what: "levels of groups in groups", limit: MAX_NESTING_DEPTH }
            }
            Some(TangleKind::Many) => {
                WriteError::TooMany { what: "groups that one group is in", limit: MAX_GROUPS_ABOVE }
            }
            Some(TangleKind::Circle) | None => WriteError::Tangled(*group),
        })
    }

    /// The groups by which the one is in the other, both included: each is in the next.
    fn way_up(&self, from: GroupId, to: GroupId) -> Vec<GroupId> {
        let mut seen: Vec<(GroupId, Option<usize>)> = vec![(from, None)];
        let mut at = 0;
        while let Some((group, _)) = seen.get(at).copied() {
            if group == to {
                break;
            }
            let outers = self.directory.groups.get(&group).map(|node| &node.nest.outers);
            for outer in outers.into_iter().flat_map(|outers| outers.iter()) {
                if !seen.iter().any(|(group, _)| *group == outer.group) {
                    seen.push((outer.group, Some(at)));
                }
            }
            at = at.saturating_add(1);
        }
        let (mut here, mut way) = (Some(at), Vec::new());
        while let Some((group, by)) = here.and_then(|at| seen.get(at)) {
            way.push(*group);
            here = *by;
        }
        way.reverse();
        way
    }
}
