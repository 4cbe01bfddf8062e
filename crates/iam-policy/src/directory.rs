//! All there is to decide by, indexed for decisions.

mod apply;
mod index;
mod live;
mod signature;
mod slab;
mod table;

use std::sync::Arc;

use core_types::{Scope, Subject};
use rpds::{HashTrieMapSync, HashTrieSetSync};
use state_store::{Key, Revision};

use self::index::Signatures;
pub(crate) use self::index::{Bound, Carried, GroupNode, Kept, RoleNode, RoleNumber, Slot, SubjectNode};
pub(crate) use self::live::{Held, Live, reaches, share_tenant};
pub(crate) use self::signature::PermissionSignature;
use self::slab::Slab;
use self::table::Table;
use crate::authorizer::Authorizer;
use crate::builtin::BuiltInRole;
use crate::holder::{BindingId, GroupId, Holder, RoleId, RoleRef};
use crate::key::Stamped;
use crate::pattern_set::PatternSet;
use crate::record::{BindingRecord, GroupRecord, RoleRecord, SubjectRecord};

/// Subjects, groups, roles and bindings of one instant; a [`View`](state_store::View) for a replica of the
/// prefix [`PREFIX`](crate::PREFIX).
///
/// A clone shares its structure with the original. What a directory answers depends on the records in it
/// alone, not on the order in which they came.
#[derive(Debug, Clone)]
pub struct Directory {
    pub(crate) subjects: Table<Subject, SubjectNode>,
    pub(crate) groups: Slab<GroupId, GroupNode>,
    pub(crate) roles: Slab<RoleId, RoleNode>,
    pub(crate) bindings: HashTrieMapSync<BindingId, Arc<Bound>>,
    built_in: Arc<[(BuiltInRole, PatternSet, Signatures)]>,
    // Keys of families that this version does not know.
    unknown: HashTrieSetSync<Key>,
    pub(crate) started: bool,
}

impl Directory {
    /// A directory with nobody in it, which denies everything.
    #[must_use]
    pub fn new() -> Self {
        Self {
            subjects: Table::new(),
            groups: Slab::new(),
            roles: Slab::new(),
            bindings: HashTrieMapSync::new_sync(),
            built_in: BuiltInRole::ALL.iter().map(|role| built_in(*role)).collect(),
            unknown: HashTrieSetSync::new_sync(),
            started: false,
        }
    }

    /// Whether a first administrator was made, ever.
    #[must_use]
    pub const fn is_started(&self) -> bool {
        self.started
    }

    /// Answers by this directory; `revision` is where the store stood, and goes into each answer.
    #[must_use]
    pub const fn at(&self, revision: Revision) -> Authorizer<'_> {
        Authorizer::at(self, revision)
    }

    /// The subject.
    #[must_use]
    pub fn subject(&self, id: Subject) -> Option<&SubjectRecord> {
        self.subjects.get(&id)?.record.present()
    }

    /// The group.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<&GroupRecord> {
        self.groups.get(&id)?.record.present()
    }

    /// The role.
    #[must_use]
    pub fn role(&self, id: RoleId) -> Option<&RoleRecord> {
        self.roles.get(&id)?.record.present()
    }

    /// The binding.
    #[must_use]
    pub fn binding(&self, id: BindingId) -> Option<&BindingRecord> {
        self.bindings.get(&id).map(|bound| &bound.record)
    }

    /// All subjects, in no order.
    pub fn subjects(&self) -> impl Iterator<Item = &SubjectRecord> {
        self.subjects.values().filter_map(|node| node.record.present())
    }

    /// All groups, in no order.
    pub fn groups(&self) -> impl Iterator<Item = &GroupRecord> {
        self.groups.values().filter_map(|node| node.record.present())
    }

    /// All stored roles, in no order; [`BuiltInRole::ALL`] are beside them.
    pub fn roles(&self) -> impl Iterator<Item = &RoleRecord> {
        self.roles.values().filter_map(|node| node.record.present())
    }

    /// All bindings, in no order.
    pub fn bindings(&self) -> impl Iterator<Item = &BindingRecord> {
        self.bindings.values().map(|bound| &bound.record)
    }

    /// The bindings of the holder, not those a subject has through groups; by scope, the last in the order of
    /// texts first, and by id.
    pub fn bindings_of(&self, holder: Holder) -> impl Iterator<Item = &BindingRecord> {
        let carried = match holder {
            Holder::Subject(subject) => self.subjects.get(&subject).map(|node| &node.carried),
            Holder::Group(group) => self.groups.get(&group).map(|node| &node.carried),
        };
        carried.into_iter().flat_map(|carried| carried.bindings.iter().map(|(_, bound)| &bound.record))
    }

    /// The members of the group, in no order. Looks at every subject there is.
    pub fn members(&self, group: GroupId) -> impl Iterator<Item = Subject> {
        let members = self.subjects.iter().filter(move |(_, node)| node.membership(group).is_some());
        members.map(|(subject, _)| *subject)
    }

    /// The groups the subject is a member of, by id; such as exist no more are left out.
    pub fn groups_of(&self, subject: Subject) -> impl Iterator<Item = &GroupRecord> {
        let node = self.subjects.get(&subject).into_iter();
        node.flat_map(|node| node.groups.iter()).filter_map(|membership| self.group(membership.group))
    }

    /// What the role permits; `None` when it does not exist or is unreadable.
    #[must_use]
    pub fn permissions(&self, role: RoleRef) -> Option<&PatternSet> {
        match role {
            RoleRef::Custom(id) => self.role(id).map(|role| &role.permissions),
            RoleRef::BuiltIn(role) => self.built_in(role),
        }
    }

    /// What the role permits where it is bound at `scope`; `None` also when its home is elsewhere.
    pub(crate) fn permissions_at(&self, role: RoleNumber, scope: &Scope) -> Option<&PatternSet> {
        match role {
            RoleNumber::Custom(number) => {
                let role = self.roles.at(number)?.record.present()?;
                role.home.contains(scope).then_some(&role.permissions)
            }
            RoleNumber::BuiltIn(role) => self.built_in(role),
        }
    }

    /// Whether the role may permit it: no when it certainly does not.
    #[inline]
    pub(crate) fn may_permit(&self, role: RoleNumber, permission: PermissionSignature) -> bool {
        let signatures = match role {
            RoleNumber::Custom(number) => self.roles.at(number).map(|node| &node.signatures),
            RoleNumber::BuiltIn(name) => {
                self.built_in.iter().find(|(role, ..)| *role == name).map(|(.., signatures)| signatures)
            }
        };
        signatures.is_some_and(|signatures| signatures.may_match(permission))
    }

    fn built_in(&self, name: BuiltInRole) -> Option<&PatternSet> {
        self.built_in.iter().find(|(role, ..)| *role == name).map(|(_, patterns, _)| patterns)
    }

    /// Whether a record of a family that this version does not know is there.
    pub(crate) fn has_unknown(&self) -> bool {
        !self.unknown.is_empty()
    }

    pub(crate) fn stamp(&self, of: Stamped) -> Option<Revision> {
        match of {
            Stamped::Holder(Holder::Subject(subject)) => self.subjects.get(&subject)?.carried.stamp,
            Stamped::Holder(Holder::Group(group)) => self.groups.get(&group)?.carried.stamp,
            Stamped::Role(role) => self.roles.get(&role)?.stamp,
            Stamped::Members(group) => self.groups.get(&group)?.joined,
        }
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self::new()
    }
}

fn built_in(role: BuiltInRole) -> (BuiltInRole, PatternSet, Signatures) {
    let patterns = role.patterns();
    let signatures = Signatures::of(&patterns);
    (role, patterns, signatures)
}
