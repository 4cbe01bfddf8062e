//! How records come and go: each in any order, references before what they refer to.

use std::sync::Arc;

use core_types::Subject;
use state_store::{Key, Record, RecordError, Revision, Value, View, record};

use super::index::{Bound, Carried, Kept, Membership, RoleNumber, Signatures, Slot};
use super::{Directory, RoleNode, SubjectNode};
use crate::holder::{BindingId, GroupId, Holder, RoleId, RoleRef};
use crate::key::{NoPlace, Place, Stamped};
use crate::record::{BindingRecord, GroupRecord, MembershipRecord, RoleRecord, SubjectRecord};

impl View for Directory {
    fn put(&mut self, key: &Key, value: &Value, revision: Revision) -> Result<(), RecordError> {
        match Place::of(key) {
            Ok(Place::Subject(id)) => {
                let kept = read::<SubjectRecord>(value, revision, |record| record.id == id)?;
                self.edit_subject(id, |node| node.record = Slot::Present(Arc::new(kept)));
            }
            Ok(Place::Group(id)) => {
                let kept = read::<GroupRecord>(value, revision, |record| record.id == id)?;
                self.set_group(id, Slot::Present(Arc::new(kept)));
            }
            Ok(Place::Role(id)) => {
                let kept = read::<RoleRecord>(value, revision, |record| record.id == id)?;
                self.set_role(id, Slot::Present(Arc::new(kept)));
            }
            Ok(Place::Member(group, subject)) => {
                let fits = |record: &MembershipRecord| record.group == group && record.subject == subject;
                read(value, revision, fits)?;
                self.join(group, subject, revision);
            }
            Ok(Place::Binding(id)) => {
                let kept = read::<BindingRecord>(value, revision, |record| record.id == id)?;
                self.unbind(id);
                self.bind(Arc::new(kept));
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
            Ok(Place::Subject(id)) => self.edit_subject(id, |node| node.record = Slot::Absent),
            Ok(Place::Group(id)) => self.set_group(id, Slot::Absent),
            Ok(Place::Role(id)) => self.set_role(id, Slot::Absent),
            Ok(Place::Member(group, subject)) => self.leave(group, subject),
            Ok(Place::Binding(id)) => self.unbind(id),
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
            Ok(Place::Subject(id)) => self.edit_subject(id, |node| node.record = Slot::Unreadable),
            Ok(Place::Group(id)) => self.set_group(id, Slot::Unreadable),
            Ok(Place::Role(id)) => self.set_role(id, Slot::Unreadable),
            // These only ever grant, so without them less is granted.
            Ok(Place::Member(..) | Place::Binding(_)) => self.delete(key),
            // `put` accepts every value of these.
            Ok(Place::Stamp(_) | Place::Started) | Err(NoPlace::Nameless) => {}
            Err(NoPlace::Unknown) => self.unknown.insert_mut(key.clone()),
        }
    }
}

impl Directory {
    fn join(&mut self, group: GroupId, subject: Subject, joined: Revision) {
        let is_new = self.subjects.get(&subject).is_none_or(|node| node.membership(group).is_none());
        let more = usize::from(is_new);
        let number = self.groups.edit(group, |node| node.members = node.members.saturating_add(more));
        // Without a number the group could not be found: it grants nothing then.
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
        };
        if let Some(number) = number {
            self.edit_carried(bound.record.holder, |carried| {
                carried.bindings.insert(number, Arc::clone(&bound))
            });
            self.bindings.insert_mut(bound.record.id, bound);
        }
    }

    fn unbind(&mut self, id: BindingId) {
        let Some(bound) = self.bindings.get(&id).cloned() else { return };
        self.edit_carried(bound.record.holder, |carried| carried.bindings.remove(id));
        if let RoleRef::Custom(role) = bound.record.role {
            self.roles.edit(role, |node| node.bindings = node.bindings.saturating_sub(1));
        }
        self.bindings.remove_mut(&id);
    }

    fn set_stamp(&mut self, of: Stamped, revision: Option<Revision>) {
        match of {
            Stamped::Holder(holder) => self.edit_carried(holder, |carried| carried.stamp = revision),
            Stamped::Role(role) => {
                self.roles.edit(role, |node| node.stamp = revision);
            }
            Stamped::Members(group) => {
                self.groups.edit(group, |node| node.joined = revision);
            }
        }
    }

    fn set_group(&mut self, id: GroupId, record: Slot<GroupRecord>) {
        self.groups.edit(id, |node| node.record = record);
    }

    fn set_role(&mut self, id: RoleId, record: Slot<RoleRecord>) {
        let signatures = record.present().map(|role| Signatures::of(&role.permissions)).unwrap_or_default();
        self.roles.edit(id, |node| (node.record, node.signatures) = (record, signatures));
    }

    fn edit_carried(&mut self, holder: Holder, change: impl FnOnce(&mut Carried)) {
        match holder {
            Holder::Subject(subject) => self.edit_subject(subject, |node| change(&mut node.carried)),
            Holder::Group(group) => {
                self.groups.edit(group, |node| change(&mut node.carried));
            }
        }
    }

    fn edit_subject(&mut self, subject: Subject, change: impl FnOnce(&mut SubjectNode)) {
        self.subjects.edit(subject, change, |node| !node.is_empty());
    }
}

fn read<R: Record>(
    value: &Value,
    revision: Revision,
    fits_key: impl FnOnce(&R) -> bool,
) -> Result<Kept<R>, RecordError> {
    let record: R = record::decode(value)?;
    if fits_key(&record) {
        Ok(Kept { record, revision })
    } else {
        Err(RecordError::Inconsistent { kind: R::KIND, what: "it stands under another record's key" })
    }
}
