//! How records come and go: each in any order, references before what they refer to.

use core::hash::Hash;
use std::sync::Arc;

use rpds::HashTrieMapSync;
use state_store::{Key, Record, RecordError, Revision, Value, View, record};

use super::index::{Bound, Carried, Kept, Slot};
use super::{Directory, GroupNode, RoleNode, SubjectNode};
use crate::holder::{BindingId, Holder, RoleRef};
use crate::key::{NoPlace, Place, Stamped};
use crate::record::{BindingRecord, GroupRecord, MembershipRecord, RoleRecord, SubjectRecord};

impl View for Directory {
    fn put(&mut self, key: &Key, value: &Value, revision: Revision) -> Result<(), RecordError> {
        match Place::of(key) {
            Ok(Place::Subject(id)) => {
                let kept = read::<SubjectRecord>(value, revision, |record| record.id == id)?;
                edit(&mut self.subjects, id, |node| node.record = Slot::Present(Arc::new(kept)));
            }
            Ok(Place::Group(id)) => {
                let kept = read::<GroupRecord>(value, revision, |record| record.id == id)?;
                edit(&mut self.groups, id, |node| node.record = Slot::Present(Arc::new(kept)));
            }
            Ok(Place::Role(id)) => {
                let kept = read::<RoleRecord>(value, revision, |record| record.id == id)?;
                edit(&mut self.roles, id, |node| node.record = Slot::Present(Arc::new(kept)));
            }
            Ok(Place::Member(group, subject)) => {
                let fits = |record: &MembershipRecord| record.group == group && record.subject == subject;
                read(value, revision, fits)?;
                edit(&mut self.groups, group, |node| node.members.insert_mut(subject, revision));
                edit(&mut self.subjects, subject, |node| node.groups.insert_mut(group, revision));
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
            Ok(Place::Subject(id)) => edit(&mut self.subjects, id, |node| node.record = Slot::Absent),
            Ok(Place::Group(id)) => edit(&mut self.groups, id, |node| node.record = Slot::Absent),
            Ok(Place::Role(id)) => edit(&mut self.roles, id, |node| node.record = Slot::Absent),
            Ok(Place::Member(group, subject)) => {
                edit(&mut self.groups, group, |node| node.members.remove_mut(&subject));
                edit(&mut self.subjects, subject, |node| node.groups.remove_mut(&group));
            }
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
            Ok(Place::Subject(id)) => edit(&mut self.subjects, id, |node| node.record = Slot::Unreadable),
            Ok(Place::Group(id)) => edit(&mut self.groups, id, |node| node.record = Slot::Unreadable),
            Ok(Place::Role(id)) => edit(&mut self.roles, id, |node| node.record = Slot::Unreadable),
            // These only ever grant, so without them less is granted.
            Ok(Place::Member(..) | Place::Binding(_)) => self.delete(key),
            // `put` accepts every value of these.
            Ok(Place::Stamp(_) | Place::Started) | Err(NoPlace::Nameless) => {}
            Err(NoPlace::Unknown) => self.unknown.insert_mut(key.clone()),
        }
    }
}

impl Directory {
    fn bind(&mut self, bound: Arc<Bound>) {
        self.edit_carried(bound.record.holder, |carried| carried.bindings.insert(Arc::clone(&bound)));
        let id = bound.record.id;
        if let RoleRef::Custom(role) = bound.record.role {
            edit(&mut self.roles, role, |node| node.bindings.insert_mut(id));
        }
        self.bindings.insert_mut(id, bound);
    }

    fn unbind(&mut self, id: BindingId) {
        let Some(bound) = self.bindings.get(&id).cloned() else { return };
        self.edit_carried(bound.record.holder, |carried| carried.bindings.remove(id));
        if let RoleRef::Custom(role) = bound.record.role {
            edit(&mut self.roles, role, |node| node.bindings.remove_mut(&id));
        }
        self.bindings.remove_mut(&id);
    }

    fn set_stamp(&mut self, of: Stamped, revision: Option<Revision>) {
        match of {
            Stamped::Holder(holder) => self.edit_carried(holder, |carried| carried.stamp = revision),
            Stamped::Role(role) => edit(&mut self.roles, role, |node| node.stamp = revision),
            Stamped::Members(group) => edit(&mut self.groups, group, |node| node.joined = revision),
        }
    }

    fn edit_carried(&mut self, holder: Holder, change: impl FnOnce(&mut Carried)) {
        match holder {
            Holder::Subject(subject) => edit(&mut self.subjects, subject, |node| change(&mut node.carried)),
            Holder::Group(group) => edit(&mut self.groups, group, |node| change(&mut node.carried)),
        }
    }
}

/// A node of the index, which is there as long as something is known of it or refers to it.
trait Node: Clone + Default {
    fn is_empty(&self) -> bool;
}

impl Node for SubjectNode {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl Node for GroupNode {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl Node for RoleNode {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

/// Changes the node of `key`; what the change answers does not matter.
fn edit<K, N, R>(nodes: &mut HashTrieMapSync<K, N>, key: K, change: impl FnOnce(&mut N) -> R)
where
    K: Copy + Eq + Hash,
    N: Node,
{
    if let Some(node) = nodes.get_mut(&key) {
        change(node);
        if node.is_empty() {
            nodes.remove_mut(&key);
        }
        return;
    }
    let mut node = N::default();
    change(&mut node);
    if !node.is_empty() {
        nodes.insert_mut(key, node);
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
