//! How records come and go: each in any order, references before what they refer to.

use std::sync::Arc;

use core_types::{PermissionPattern, Subject};
use state_store::{Key, Record, RecordError, Revision, Value, View, record};

use super::history::Touched;
use super::index::{Bound, Carried, Kept, Membership, RoleNumber, Slot};
use super::numbers::{NumberSet, Patterns};
use super::reach::Reach;
use super::{Directory, GroupNode, PolicyNode, RoleNode, SubjectNode};
use crate::holder::{BindingId, GroupId, Holder, PolicyId, RoleId, RoleRef};
use crate::key::{NoPlace, Place, Stamped};
use crate::record::{
    BindingRecord, BoundaryRecord, BreakGlassRecord, GroupRecord, MembershipRecord, NestingRecord,
    PolicyRecord, RoleRecord, SubjectRecord, TrustRecord,
};

impl View for Directory {
    fn put(&mut self, key: &Key, value: &Value, revision: Revision) -> Result<(), RecordError> {
        match Place::of(key) {
            Ok(Place::Subject(id)) => {
                self.set_subject(read::<SubjectRecord>(value, |record| record.id == id)?, revision);
            }
            Ok(Place::Boundary(id)) => {
                self.set_boundary_record(
                    read(value, |record: &BoundaryRecord| record.subject == id)?,
                    revision,
                );
            }
            Ok(Place::Group(id)) => {
                self.set_group_record(read::<GroupRecord>(value, |record| record.id == id)?, revision);
            }
            Ok(Place::Role(id)) => {
                self.set_role_record(read::<RoleRecord>(value, |record| record.id == id)?, revision);
            }
            Ok(Place::Policy(id)) => {
                self.set_policy_record(read::<PolicyRecord>(value, |record| record.id == id)?, revision);
            }
            Ok(Place::Member(group, subject)) => {
                let fits = |record: &MembershipRecord| record.group == group && record.subject == subject;
                self.set_membership(read(value, fits)?, revision);
            }
            Ok(Place::Nested(outer, inner)) => {
                let fits = |record: &NestingRecord| record.group == outer && record.inner == inner;
                self.set_nesting(read(value, fits)?, revision);
            }
            Ok(Place::Binding(holder, id)) => {
                let fits = |record: &BindingRecord| record.id == id && record.holder == holder;
                self.set_binding(read(value, fits)?, revision);
            }
            Ok(Place::BreakGlass(id)) => {
                let record = read::<BreakGlassRecord>(value, |record| record.id == id)?;
                self.glass.insert_mut(id, present(record, revision));
            }
            Ok(Place::Trust(id)) => {
                self.set_trust(read::<TrustRecord>(value, |record| record.id == id)?, revision);
            }
            Ok(Place::Stamp(of)) => self.set_stamp(of, Some(revision)),
            Ok(Place::Started) => self.started = true,
            Err(NoPlace::Nameless) => {
                return Err(RecordError::Inconsistent { kind: "iam-policy", what: "the key holds no id" });
            }
            Err(NoPlace::Unknown) => {
                return Err(RecordError::Inconsistent { kind: "iam-policy", what: "unknown family of keys" });
            }
        }
        Ok(())
    }

    fn delete(&mut self, key: &Key) {
        match Place::of(key) {
            Ok(Place::Subject(id)) => self.set_subject_slot(id, Slot::Absent),
            Ok(Place::Boundary(id)) => self.edit_subject(id, |node| node.boundary = Slot::Absent),
            Ok(Place::Group(id)) => self.set_group(id, Slot::Absent),
            Ok(Place::Role(id)) => self.set_role(id, Slot::Absent),
            Ok(Place::Policy(id)) => self.set_policy(id, Slot::Absent),
            Ok(Place::Member(group, subject)) => self.leave(group, subject),
            Ok(Place::Nested(outer, inner)) => self.unnest(outer, inner),
            Ok(Place::Binding(holder, id)) => self.unbind(holder, id),
            Ok(Place::BreakGlass(id)) => {
                self.glass.remove_mut(&id);
            }
            Ok(Place::Trust(id)) => self.trusts.set(id, Slot::Absent),
            Ok(Place::Stamp(of)) => self.set_stamp(of, None),
            Ok(Place::Started) => self.started = false,
            Err(NoPlace::Nameless) => {}
            Err(NoPlace::Unknown) => {
                self.unknown.remove_mut(key);
            }
        }
    }

    fn poison(&mut self, key: &Key) {
        match Place::of(key) {
            Ok(Place::Subject(id)) => self.set_subject_slot(id, Slot::Unreadable),
            Ok(Place::Boundary(id)) => self.edit_subject(id, |node| node.boundary = Slot::Unreadable),
            Ok(Place::Group(id)) => self.set_group(id, Slot::Unreadable),
            Ok(Place::Role(id)) => self.set_role(id, Slot::Unreadable),
            Ok(Place::Policy(id)) => self.set_policy(id, Slot::Unreadable),
            Ok(Place::Member(group, subject)) => self.join(group, subject, None),
            Ok(Place::Nested(outer, inner)) => self.nest(outer, inner, None),
            Ok(Place::Binding(holder, id)) => {
                self.unbind(holder, id);
                self.edit_carried(holder, |carried| carried.set_unreadable(id, true));
            }
            // It decides nothing, and is to be looked at.
            Ok(Place::BreakGlass(id)) => self.glass.insert_mut(id, Slot::Unreadable),
            Ok(Place::Trust(id)) => self.trusts.set(id, Slot::Unreadable),
            // `put` accepts every value of these.
            Ok(Place::Stamp(_) | Place::Started) | Err(NoPlace::Nameless) => {}
            Err(NoPlace::Unknown) => self.unknown.insert_mut(key.clone()),
        }
    }
}

impl Directory {
    pub(crate) fn set_subject(&mut self, record: SubjectRecord, revision: Revision) {
        let (id, slot) = (record.id, present(record, revision));
        self.set_subject_slot(id, slot);
    }

    pub(crate) fn set_boundary_record(&mut self, record: BoundaryRecord, revision: Revision) {
        let (id, slot) = (record.subject, present(record, revision));
        self.edit_subject(id, |node| node.boundary = slot);
    }

    pub(crate) fn set_group_record(&mut self, record: GroupRecord, revision: Revision) {
        self.set_group(record.id, present(record, revision));
    }

    pub(crate) fn set_role_record(&mut self, record: RoleRecord, revision: Revision) {
        self.set_role(record.id, present(record, revision));
    }

    pub(crate) fn set_policy_record(&mut self, record: PolicyRecord, revision: Revision) {
        self.set_policy(record.id, present(record, revision));
    }

    pub(crate) fn set_trust(&mut self, record: TrustRecord, revision: Revision) {
        self.trusts.set(record.id, present(record, revision));
    }

    pub(crate) fn set_membership(&mut self, record: MembershipRecord, revision: Revision) {
        self.join(record.group, record.subject, Some(revision));
    }

    pub(crate) fn set_nesting(&mut self, record: NestingRecord, revision: Revision) {
        self.nest(record.group, record.inner, Some(revision));
    }

    pub(crate) fn set_binding(&mut self, record: BindingRecord, revision: Revision) {
        self.unbind(record.holder, record.id);
        self.bind(Arc::new(Bound::new(record, revision)));
    }

    fn join(&mut self, group: GroupId, subject: Subject, joined: Option<Revision>) {
        let is_new = self.subjects.get(&subject).is_none_or(|node| node.membership(group).is_none());
        let more = usize::from(is_new);
        let number = self.groups.edit(group, |node| node.members = node.members.saturating_add(more));
        // There are fewer groups than numbers, or there would be no memory left.
        if let Some(number) = number {
            self.edit_subject(subject, |node| node.join(Membership { group, number, joined }));
        }
    }

    fn leave(&mut self, group: GroupId, subject: Subject) {
        if self.subjects.get(&subject).is_some_and(|node| node.membership(group).is_some()) {
            self.edit_subject(subject, |node| node.leave(group));
            self.groups.edit(group, |node| node.members = node.members.saturating_sub(1));
        }
    }

    fn bind(&mut self, bound: Arc<Bound>) {
        let number = match bound.record.role {
            RoleRef::BuiltIn(role) => Some(RoleNumber::BuiltIn(role)),
            RoleRef::Custom(role) => {
                let more = |node: &mut RoleNode| node.bindings = node.bindings.saturating_add(1);
                self.roles.edit(role, more).map(RoleNumber::Custom)
            }
            RoleRef::Policy(policy) => self.use_policy(policy).map(RoleNumber::Policy),
        };
        if let Some(number) = number {
            let (holder, id) = (bound.record.holder, bound.record.id);
            let place = self.places.enter(bound.record.scope.as_path());
            self.edit_carried(holder, |carried| carried.bindings.insert(number, place, Arc::clone(&bound)));
            // One, unless ids were made by hand.
            let others = self.bindings.get(&id).into_iter().flat_map(|same| same.iter().cloned());
            let mut same: Vec<Arc<Bound>> = others.chain([bound]).collect();
            same.sort_unstable_by_key(|bound| bound.record.holder);
            self.bindings.insert_mut(id, same.into());
        }
    }

    /// Forgets the binding, readable or not.
    fn unbind(&mut self, holder: Holder, id: BindingId) {
        self.edit_carried(holder, |carried| carried.set_unreadable(id, false));
        let same = self.bindings.get(&id).cloned().unwrap_or_default();
        let Some(bound) = same.iter().find(|bound| bound.record.holder == holder) else { return };
        self.edit_carried(holder, |carried| carried.bindings.remove(id));
        self.places.leave(bound.record.scope.as_path());
        match bound.record.role {
            RoleRef::BuiltIn(_) => {}
            RoleRef::Custom(role) => {
                self.roles.edit(role, |node| node.bindings = node.bindings.saturating_sub(1));
            }
            RoleRef::Policy(policy) => self.release_policy(policy),
        }
        let rest: Arc<[Arc<Bound>]> =
            same.iter().filter(|bound| bound.record.holder != holder).cloned().collect();
        if rest.is_empty() {
            self.bindings.remove_mut(&id);
        } else {
            self.bindings.insert_mut(id, rest);
        }
    }

    fn set_stamp(&mut self, of: Stamped, revision: Option<Revision>) {
        match of {
            Stamped::Holder(holder) => self.edit_carried(holder, |carried| carried.stamp = revision),
            Stamped::Role(role) => {
                self.roles.edit(role, |node| node.stamp = revision);
            }
            Stamped::Policy(policy) => {
                self.policies.edit(policy, |node| node.stamp = revision);
            }
            Stamped::Members(group) => {
                self.groups.edit(group, |node| node.joined = revision);
            }
            Stamped::Forbidding => self.forbidding = revision,
            Stamped::Nesting => self.nesting = revision,
        }
    }

    fn set_group(&mut self, id: GroupId, record: Slot<GroupRecord>) {
        self.edit_group(id, |node| node.set_record(record));
        self.climb_from(id);
    }

    fn set_role(&mut self, id: RoleId, record: Slot<RoleRecord>) {
        let role = record.present();
        let own = enter(&mut self.patterns, role.iter().flat_map(|role| role.permissions.iter()));
        let wanted = role.into_iter().flat_map(|role| role.policies.iter().copied());
        let policies = wanted.filter_map(|policy| Some((policy, self.use_policy(policy)?))).collect();
        let mut former = (Arc::default(), Slot::Absent);
        self.edit_role(id, |node| {
            former = (
                core::mem::replace(&mut node.policies, policies),
                core::mem::replace(&mut node.record, record),
            );
            node.own = own;
        });
        for (policy, _) in former.0.iter() {
            self.release_policy(*policy);
        }
        for pattern in former.1.present().into_iter().flat_map(|role| role.permissions.iter()) {
            self.patterns.leave(pattern);
        }
    }

    fn set_policy(&mut self, id: PolicyId, record: Slot<PolicyRecord>) {
        let spoken_of = enter(&mut self.patterns, record.present().into_iter().flat_map(patterns_of));
        let mut former = Slot::Absent;
        self.edit_policy(id, |node| {
            former = core::mem::replace(&mut node.record, record);
            node.spoken_of = spoken_of;
        });
        for pattern in former.present().into_iter().flat_map(patterns_of) {
            self.patterns.leave(pattern);
        }
    }

    fn use_policy(&mut self, policy: PolicyId) -> Option<u32> {
        self.policies.edit(policy, |node| node.uses = node.uses.saturating_add(1))
    }

    fn release_policy(&mut self, policy: PolicyId) {
        self.policies.edit(policy, |node| node.uses = node.uses.saturating_sub(1));
    }

    fn edit_carried(&mut self, holder: Holder, change: impl FnOnce(&mut Carried)) {
        match holder {
            Holder::Subject(subject) => self.edit_subject(subject, |node| change(&mut node.carried)),
            Holder::Group(group) => {
                self.edit_group(group, |node| change(&mut node.carried));
            }
        }
    }

    fn set_subject_slot(&mut self, id: Subject, slot: Slot<SubjectRecord>) {
        let former = self.subjects.get(&id).map(|node| node.reach().clone());
        let reach = slot
            .present()
            .map_or(Reach::Nowhere, |subject| self.tenants.enter(&subject.home, &mut self.places));
        self.edit_subject(id, |node| node.set_record(slot, reach));
        self.tenants.leave(&former.unwrap_or_default(), &mut self.places);
    }

    // What a group carries, or a role or policy says, is in rows; how many refer to it is not. What is taken away altogether
    // has nothing left that refers to it, and is in no row.

    pub(super) fn edit_group<R>(
        &mut self,
        id: GroupId,
        change: impl FnOnce(&mut GroupNode) -> R,
    ) -> Option<u32> {
        let number = self.groups.edit(id, change);
        self.note(number.map(Touched::Group));
        number
    }

    fn edit_role<R>(&mut self, id: RoleId, change: impl FnOnce(&mut RoleNode) -> R) -> Option<u32> {
        let number = self.roles.edit(id, change);
        self.note(number.map(Touched::Role));
        number
    }

    fn edit_policy<R>(&mut self, id: PolicyId, change: impl FnOnce(&mut PolicyNode) -> R) -> Option<u32> {
        let number = self.policies.edit(id, change);
        self.note(number.map(Touched::Policy));
        number
    }

    fn note(&mut self, touched: Option<Touched>) {
        if let Some(touched) = touched {
            self.history.add(touched);
        }
    }

    fn edit_subject(&mut self, subject: Subject, change: impl FnOnce(&mut SubjectNode)) {
        self.subjects.edit(subject, |entry| entry.edit(change), |entry| !entry.is_empty());
    }
}

/// The numbers of these, each used once more.
fn enter<'p>(numbers: &mut Patterns, patterns: impl IntoIterator<Item = &'p PermissionPattern>) -> NumberSet {
    NumberSet::of(patterns.into_iter().map(|pattern| numbers.enter(pattern)))
}

/// Those of all statements.
fn patterns_of(policy: &PolicyRecord) -> impl Iterator<Item = &PermissionPattern> {
    policy.document.statements().iter().flat_map(|statement| statement.permissions().iter())
}

fn read<R: Record>(value: &Value, fits_key: impl FnOnce(&R) -> bool) -> Result<R, RecordError> {
    let record: R = record::decode(value)?;
    if fits_key(&record) {
        Ok(record)
    } else {
        Err(RecordError::Inconsistent { kind: R::KIND, what: "it stands under another record's key" })
    }
}

fn present<R>(record: R, revision: Revision) -> Slot<R> {
    Slot::Present(Arc::new(Kept { record, revision }))
}
