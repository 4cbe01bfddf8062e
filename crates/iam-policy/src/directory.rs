//! All there is to decide by, indexed for decisions.

mod apply;
mod clause;
mod history;
mod index;
mod live;
mod nesting;
mod numbers;
#[cfg(test)]
mod orders;
mod reach;
mod row;
mod signature;
mod slab;
mod step;
mod table;
mod trust;
mod way;

use core::fmt;
use std::sync::Arc;

use core_types::Subject;
use rpds::{HashTrieMapSync, HashTrieSetSync};
use state_store::{Key, Revision};

pub(crate) use self::clause::{Clause, Said};
use self::history::History;
pub(crate) use self::index::{
    Bound, Carried, GroupNode, Kept, PolicyNode, RoleNode, RoleNumber, Slot, SubjectEntry, SubjectNode,
};
pub(crate) use self::live::{Asked, Held, Lifeless, Live, Source};
pub(crate) use self::nesting::TangleKind;
pub(crate) use self::numbers::{MAX_IN_ROW, NumberSet, Patterns, PermissionNumbers, Places};
use self::reach::Tenants;
pub(crate) use self::reach::{reaches, share_tenant};
pub(crate) use self::row::Found;
use self::slab::Slab;
use self::table::Table;
pub(crate) use self::trust::{Entrance, Trusts};
pub(crate) use self::way::Trail;
use crate::authorizer::Authorizer;
use crate::builtin::BuiltInRole;
use crate::holder::{BindingId, BreakGlassId, GroupId, Holder, PolicyId, RoleId, RoleRef, TrustId};
use crate::key::{NoPlace, Place, Stamped};
use crate::pattern_set::PatternSet;
use crate::record::{
    BindingRecord, BoundaryRecord, BreakGlassRecord, GroupRecord, NestingRecord, PolicyRecord, RoleRecord,
    SubjectRecord, TrustRecord,
};

/// Subjects, groups, roles and bindings of one instant; a [`View`](state_store::View) for a replica of the
/// prefix [`PREFIX`](crate::PREFIX).
///
/// A clone shares its structure with the original. What a directory answers depends on the records in it
/// alone, not on the order in which they came.
#[derive(Clone)]
pub struct Directory {
    pub(crate) subjects: Table<Subject, SubjectEntry>,
    pub(crate) groups: Slab<GroupId, GroupNode>,
    pub(crate) roles: Slab<RoleId, RoleNode>,
    pub(crate) policies: Slab<PolicyId, PolicyNode>,
    pub(crate) bindings: HashTrieMapSync<BindingId, Arc<[Arc<Bound>]>>,
    glass: HashTrieMapSync<BreakGlassId, Slot<BreakGlassRecord>>,
    built_in: Arc<[(BuiltInRole, PatternSet, NumberSet)]>,
    pub(crate) patterns: Patterns,
    pub(crate) places: Places,
    // What rows rest on beside their subject's own node.
    history: History,
    tenants: Tenants,
    pub(crate) trusts: Trusts,
    // Keys of families that this version does not know.
    unknown: HashTrieSetSync<Key>,
    pub(crate) started: bool,
    forbidding: Option<Revision>,
    nesting: Option<Revision>,
}

/// What is known of a role or policy without a look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// It says nothing of the permission.
    Not,
    /// The role's own patterns permit it, and nothing else of it speaks of it.
    Plainly,
    /// A policy speaks of it, or nobody knows.
    Somehow,
}

impl Directory {
    /// A directory with nobody in it, which denies everything.
    #[must_use]
    pub fn new() -> Self {
        let mut patterns = Patterns::new();
        Self {
            subjects: Table::new(),
            groups: Slab::new(),
            roles: Slab::new(),
            policies: Slab::new(),
            bindings: HashTrieMapSync::new_sync(),
            glass: HashTrieMapSync::new_sync(),
            built_in: BuiltInRole::ALL.iter().map(|role| built_in(*role, &mut patterns)).collect(),
            patterns,
            places: Places::new(),
            history: History::new(),
            tenants: Tenants::new(),
            trusts: Trusts::new(),
            unknown: HashTrieSetSync::new_sync(),
            started: false,
            forbidding: None,
            nesting: None,
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

    /// The policy.
    #[must_use]
    pub fn policy(&self, id: PolicyId) -> Option<&PolicyRecord> {
        self.policies.get(&id)?.record.present()
    }

    /// The boundary of the subject; `None` when it has none, or it is unreadable.
    #[must_use]
    pub fn boundary(&self, subject: Subject) -> Option<&BoundaryRecord> {
        self.subjects.get(&subject)?.boundary.present()
    }

    /// The binding.
    #[must_use]
    pub fn binding(&self, id: BindingId) -> Option<&BindingRecord> {
        self.bound(id).map(|bound| &bound.record)
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

    /// All policies, in no order.
    pub fn policies(&self) -> impl Iterator<Item = &PolicyRecord> {
        self.policies.values().filter_map(|node| node.record.present())
    }

    /// All bindings, in no order.
    pub fn bindings(&self) -> impl Iterator<Item = &BindingRecord> {
        self.bindings.values().flat_map(|same| same.iter().map(|bound| &bound.record))
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

    /// The members of the group itself, not of groups in it, in no order. Looks at every subject there is.
    pub fn members(&self, group: GroupId) -> impl Iterator<Item = Subject> {
        let members = self.subjects.iter().filter(move |(_, node)| node.membership(group).is_some());
        members.map(|(subject, _)| *subject)
    }

    /// The groups that are directly in this one, by id; such as exist no more are left out.
    pub fn groups_in(&self, group: GroupId) -> impl Iterator<Item = &GroupRecord> {
        let nest = self.groups.get(&group).map(|node| &node.nest);
        nest.into_iter().flat_map(|nest| nest.inners.iter()).filter_map(|(inner, _)| self.group(*inner))
    }

    /// The groups the subject is a member of, not those it is in by another group, by id; such as exist no more are
    /// left out.
    pub fn groups_of(&self, subject: Subject) -> impl Iterator<Item = &GroupRecord> {
        let node = self.subjects.get(&subject).into_iter();
        node.flat_map(|node| node.groups.iter()).filter_map(|membership| self.group(membership.group))
    }

    /// Every nesting that is readable, in no order.
    pub fn nestings(&self) -> impl Iterator<Item = NestingRecord> {
        self.groups.iter().flat_map(|(inner, node)| {
            let readable = node.nest.outers.iter().filter(|outer| outer.since.is_some());
            readable.map(|outer| NestingRecord { group: outer.group, inner: *inner })
        })
    }

    /// The emergencies that nobody has closed, in no order.
    pub fn broken_glass(&self) -> impl Iterator<Item = &BreakGlassRecord> {
        self.glass.values().filter_map(Slot::present)
    }

    /// The trust.
    #[must_use]
    pub fn trust(&self, id: TrustId) -> Option<&TrustRecord> {
        self.trusts.get(id)?.present()
    }

    /// All trusts, in no order.
    pub fn trusts(&self) -> impl Iterator<Item = &TrustRecord> {
        self.trusts.iter().filter_map(|(_, slot)| slot.present())
    }

    /// The patterns of the role, without the policies that come with it; `None` when it does not exist or is
    /// unreadable, and of a policy.
    #[must_use]
    pub fn permissions(&self, role: RoleRef) -> Option<&PatternSet> {
        match role {
            RoleRef::Custom(id) => self.role(id).map(|role| &role.permissions),
            RoleRef::BuiltIn(role) => self.built_in(role),
            RoleRef::Policy(_) => None,
        }
    }

    pub(crate) fn bound(&self, id: BindingId) -> Option<&Bound> {
        self.bindings.get(&id)?.first().map(AsRef::as_ref)
    }

    /// Where the role or policy is found without a search; `None` when nothing is known of it.
    pub(crate) fn number(&self, role: RoleRef) -> Option<RoleNumber> {
        match role {
            RoleRef::BuiltIn(role) => Some(RoleNumber::BuiltIn(role)),
            RoleRef::Custom(role) => self.roles.number(&role).map(RoleNumber::Custom),
            RoleRef::Policy(policy) => self.policies.number(&policy).map(RoleNumber::Policy),
        }
    }

    /// Whether nobody could read what stands under this key.
    pub(crate) fn is_unreadable(&self, key: &Key) -> bool {
        let subject = |id| self.subjects.get(&id);
        match Place::of(key) {
            Ok(Place::Subject(id)) => subject(id).is_some_and(|node| node.record.is_unreadable()),
            Ok(Place::Boundary(id)) => subject(id).is_some_and(|node| node.boundary.is_unreadable()),
            Ok(Place::Group(id)) => self.groups.get(&id).is_some_and(|node| node.record.is_unreadable()),
            Ok(Place::Role(id)) => self.roles.get(&id).is_some_and(|node| node.record.is_unreadable()),
            Ok(Place::Policy(id)) => self.policies.get(&id).is_some_and(|node| node.record.is_unreadable()),
            Ok(Place::Member(group, id)) => subject(id)
                .and_then(|node| node.membership(group))
                .is_some_and(|membership| membership.joined.is_none()),
            Ok(Place::Nested(outer, inner)) => {
                let nest = self.groups.get(&inner).map(|node| &node.nest);
                nest.and_then(|nest| nest.outer(outer)).is_some_and(|outer| outer.since.is_none())
            }
            Ok(Place::Binding(holder, id)) => {
                let carried = match holder {
                    Holder::Subject(id) => subject(id).map(|node| &node.carried),
                    Holder::Group(id) => self.groups.get(&id).map(|node| &node.carried),
                };
                carried.is_some_and(|carried| carried.unreadable.contains(&id))
            }
            Ok(Place::Trust(id)) => self.trusts.get(id).is_some_and(Slot::is_unreadable),
            Ok(Place::BreakGlass(id)) => self.glass.get(&id).is_some_and(Slot::is_unreadable),
            Ok(Place::Stamp(_) | Place::Started) => false,
            Err(NoPlace::Nameless) => true,
            Err(NoPlace::Unknown) => self.unknown.contains(key),
        }
    }

    /// What the role or policy says of this permission, as far as that is known without a look at it.
    #[inline]
    pub(crate) fn speaks(&self, role: RoleNumber, numbers: &PermissionNumbers) -> Speaks {
        match role {
            RoleNumber::Custom(number) => {
                let Some(node) = self.roles.at(number) else { return Speaks::Not };
                if node.record.is_unreadable()
                    || node.policies.iter().any(|(_, policy)| self.policy_speaks(*policy, numbers))
                {
                    return Speaks::Somehow;
                }
                if node.own.has_any(numbers) { Speaks::Plainly } else { Speaks::Not }
            }
            RoleNumber::BuiltIn(name) => {
                let built_in = self.built_in.iter().find(|(role, ..)| *role == name);
                let permits = built_in.is_some_and(|(.., own)| own.has_any(numbers));
                if permits { Speaks::Plainly } else { Speaks::Not }
            }
            RoleNumber::Policy(number) => {
                if self.policy_speaks(number, numbers) {
                    Speaks::Somehow
                } else {
                    Speaks::Not
                }
            }
        }
    }

    /// Adds to `plain` what the role permits by its own patterns, and to `other` what else is spoken of; whether anything
    /// at all may be said of what is in neither.
    pub(crate) fn join_spoken(&self, role: RoleNumber, plain: &mut NumberSet, other: &mut NumberSet) -> bool {
        let mut is_unreadable = false;
        let mut join_policy = |number| {
            let node: Option<&PolicyNode> = self.policies.at(number);
            is_unreadable |= node.is_some_and(|node| node.record.is_unreadable());
            if let Some(node) = node {
                other.join(&node.spoken_of);
            }
        };
        match role {
            RoleNumber::BuiltIn(name) => {
                let built_in = self.built_in.iter().find(|(role, ..)| *role == name);
                built_in.into_iter().for_each(|(.., own)| plain.join(own));
            }
            RoleNumber::Policy(number) => join_policy(number),
            RoleNumber::Custom(number) => {
                let Some(node) = self.roles.at(number) else { return false };
                plain.join(&node.own);
                node.policies.iter().for_each(|(_, policy)| join_policy(*policy));
                is_unreadable |= node.record.is_unreadable();
            }
        }
        is_unreadable
    }

    #[inline]
    fn policy_speaks(&self, number: u32, numbers: &PermissionNumbers) -> bool {
        let node: Option<&PolicyNode> = self.policies.at(number);
        node.is_some_and(|node| node.spoken_of.has_any(numbers) || node.record.is_unreadable())
    }

    fn built_in(&self, name: BuiltInRole) -> Option<&PatternSet> {
        self.built_in.iter().find(|(role, ..)| *role == name).map(|(_, patterns, _)| patterns)
    }

    /// The record of broken glass, where it is readable.
    pub(crate) fn glass(&self, id: BreakGlassId) -> Option<&Kept<BreakGlassRecord>> {
        self.glass.get(&id)?.kept()
    }

    /// All records of broken glass, readable or not.
    pub(crate) fn all_glass(&self) -> impl Iterator<Item = (BreakGlassId, bool)> {
        self.glass.iter().map(|(id, slot)| (*id, slot.is_unreadable()))
    }

    /// Every membership that is readable, in no order.
    pub(crate) fn memberships(&self) -> impl Iterator<Item = (GroupId, Subject)> {
        self.subjects.iter().flat_map(|(subject, node)| {
            let joined = node.groups.iter().filter(|membership| membership.joined.is_some());
            joined.map(|membership| (membership.group, *subject))
        })
    }

    /// Every boundary that is readable, in no order.
    pub(crate) fn boundaries(&self) -> impl Iterator<Item = &BoundaryRecord> {
        self.subjects.values().filter_map(|node| node.boundary.present())
    }

    /// Whether any record is unreadable, or of an unknown family.
    pub(crate) fn has_unreadable(&self) -> bool {
        self.has_unknown()
            || self.subjects.values().any(|node| {
                node.record.is_unreadable()
                    || node.boundary.is_unreadable()
                    || !node.carried.unreadable.is_empty()
                    || node.groups.iter().any(|membership| membership.joined.is_none())
            })
            || self.groups.values().any(|node| {
                node.record.is_unreadable()
                    || !node.carried.unreadable.is_empty()
                    || node.nest.outers.iter().any(|outer| outer.since.is_none())
            })
            || self.roles.values().any(|node| node.record.is_unreadable())
            || self.policies.values().any(|node| node.record.is_unreadable())
            || self.trusts.iter().any(|(_, slot)| slot.is_unreadable())
    }

    /// Whether a record of a family that this version does not know is there.
    pub(crate) fn has_unknown(&self) -> bool {
        !self.unknown.is_empty()
    }

    pub(crate) fn unknown_keys(&self) -> impl Iterator<Item = &Key> {
        self.unknown.iter()
    }

    /// Of the records of unknown families, the first.
    pub(crate) fn first_unknown(&self) -> Option<&Key> {
        self.unknown.iter().min()
    }

    pub(crate) fn stamp(&self, of: Stamped) -> Option<Revision> {
        match of {
            Stamped::Holder(Holder::Subject(subject)) => self.subjects.get(&subject)?.carried.stamp,
            Stamped::Holder(Holder::Group(group)) => self.groups.get(&group)?.carried.stamp,
            Stamped::Role(role) => self.roles.get(&role)?.stamp,
            Stamped::Members(group) => self.groups.get(&group)?.joined,
            Stamped::Policy(policy) => self.policies.get(&policy)?.stamp,
            Stamped::Forbidding => self.forbidding,
            Stamped::Nesting => self.nesting,
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("subjects", &self.subjects)
            .field("groups", &self.groups)
            .field("roles", &self.roles)
            .field("policies", &self.policies)
            .field("bindings", &self.bindings)
            .field("glass", &self.glass)
            .field("patterns", &self.patterns)
            .field("places", &self.places)
            .field("tenants", &self.tenants)
            .field("trusts", &self.trusts)
            .field("unknown", &self.unknown)
            .field("started", &self.started)
            .field("forbidding", &self.forbidding)
            .field("nesting", &self.nesting)
            .finish_non_exhaustive()
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self::new()
    }
}

fn built_in(role: BuiltInRole, numbers: &mut Patterns) -> (BuiltInRole, PatternSet, NumberSet) {
    let patterns = role.patterns();
    // Never left: they are there in every state.
    let own = NumberSet::of(patterns.iter().map(|pattern| numbers.enter(pattern)));
    (role, patterns, own)
}
