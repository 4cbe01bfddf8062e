use core_types::{Id, Scope, SecureRandom, Subject};

use super::draft::readable;
use super::{MAX_GROUPS_PER_SUBJECT, MAX_MEMBERS_PER_GROUP, Planned, Planner};
use crate::directory::{Kept, share_tenant};
use crate::error::WriteError;
use crate::holder::{GroupId, Holder};
use crate::key::{Place, Stamped};
use crate::name::Name;
use crate::record::{GroupRecord, MembershipRecord};

impl Planner<'_> {
    /// Plans a group, without members and holding nothing.
    ///
    /// # Errors
    /// [`WriteError`] about the caller.
    pub fn create_group(
        &self,
        name: Name,
        home: Scope,
        rng: &dyn SecureRandom,
    ) -> Result<Planned<GroupId>, WriteError> {
        let id = Id::generate(self.now, rng)?;
        let mut draft = self.begin()?;
        draft.create(Place::Group(id), &GroupRecord { id, name, home })?;
        Ok(draft.finish(id))
    }

    /// Plans that the group be no more.
    ///
    /// # Errors
    /// [`WriteError::InUse`] while it has members or bindings, or is in another group or has one in it, [`WriteError::UnknownGroup`],
    /// [`WriteError::Unreadable`], or about the caller.
    pub fn delete_group(&self, group: GroupId) -> Result<Planned<()>, WriteError> {
        let kept = self.known_group(group)?;
        let mut draft = self.begin()?;
        if let Some(node) = self.directory.groups.get(&group) {
            let groups = node.nest.inners.len().saturating_add(node.nest.outers.len());
            let by = node.members.saturating_add(node.carried.bindings.len()).saturating_add(groups);
            if by > 0 {
                return Err(WriteError::InUse { by });
            }
        }
        draft.remove(Place::Group(group), kept.revision)?;
        draft.rest_on_stamp(Stamped::Holder(group.into()), self)?;
        draft.rest_on_stamp(Stamped::Members(group), self)?;
        Ok(draft.finish(()))
    }

    /// Plans that the subject be a member; the caller must hold everything the group holds, by itself and by those it is
    /// in.
    ///
    /// # Errors
    /// [`WriteError::Escalation`], [`WriteError::Tangled`], [`WriteError::UnknownGroup`], [`WriteError::UnknownSubject`],
    /// [`WriteError::Unreadable`], [`WriteError::OtherTenant`], [`WriteError::TooMany`],
    /// [`WriteError::Unchanged`], or about the caller.
    pub fn add_member(&self, group: GroupId, subject: Subject) -> Result<Planned<()>, WriteError> {
        let kept_group = self.known_group(group)?;
        let kept_subject = self.known_subject(subject)?;
        let mut draft = self.begin()?;
        if !share_tenant(&kept_group.record.home, &kept_subject.record.home) {
            return Err(WriteError::OtherTenant);
        }
        draft.rest_on(Place::Group(group), kept_group.revision)?;
        draft.rest_on(Place::Subject(subject), kept_subject.revision)?;
        let node = self.directory.subjects.get(&subject);
        if node.is_some_and(|node| node.membership(group).is_some()) {
            return Err(WriteError::Unchanged);
        }
        if node.is_some_and(|node| node.groups.len() >= MAX_GROUPS_PER_SUBJECT) {
            return Err(WriteError::TooMany { what: "groups of one subject", limit: MAX_GROUPS_PER_SUBJECT });
        }
        let members = self.directory.groups.get(&group).map_or(0, |node| node.members);
        if members >= MAX_MEMBERS_PER_GROUP {
            return Err(WriteError::TooMany { what: "members of one group", limit: MAX_MEMBERS_PER_GROUP });
        }
        let groups = self.group_and_above(group)?;
        if self.guard_groups(&mut draft, &groups, &kept_group.record.home)? {
            draft.stamp(Stamped::Forbidding)?;
        }
        draft.create(Place::Member(group, subject), &MembershipRecord { group, subject })?;
        draft.stamp(Stamped::Holder(Holder::Subject(subject)))?;
        draft.stamp(Stamped::Members(group))?;
        Ok(draft.finish(()))
    }

    /// Plans that the subject be no member any more; the caller must hold all that the group's bindings deny, and those of
    /// the groups it is in.
    ///
    /// # Errors
    /// [`WriteError::NotMember`], [`WriteError::Escalation`], [`WriteError::Unreadable`], or about the caller.
    pub fn remove_member(&self, group: GroupId, subject: Subject) -> Result<Planned<()>, WriteError> {
        let node = self.directory.subjects.get(&subject);
        let membership = node.and_then(|node| node.membership(group));
        let joined = membership.ok_or(WriteError::NotMember(subject, group))?.joined;
        let joined = joined.ok_or(WriteError::Unreadable { what: "membership" })?;
        let mut draft = self.begin()?;
        self.guard_left(&mut draft, group)?;
        draft.remove(Place::Member(group, subject), joined)?;
        Ok(draft.finish(()))
    }

    pub(super) fn known_group(&self, group: GroupId) -> Result<&Kept<GroupRecord>, WriteError> {
        let slot = self.directory.groups.get(&group).map(|node| &node.record);
        readable(slot, "group", WriteError::UnknownGroup(group))
    }
}
