use core::cmp::Ordering;
use core::fmt;
use core::ops::Deref;
use std::sync::Arc;

use core_types::{Limit, Scope, UnixTime};
use state_store::Revision;

use super::nesting::Nest;
use super::numbers::{NONE, NumberSet};
use super::reach::Reach;
use super::row::RowCell;
use super::signature::ScopeSignature;
use super::slab::Node;
use crate::builtin::BuiltInRole;
use crate::handle::Chain;
use crate::holder::{BindingId, GroupId, Holder, PolicyId};
use crate::record::{
    BindingRecord, BoundaryRecord, GroupRecord, PolicyRecord, RoleRecord, SubjectRecord, SubjectState,
};

/// A record, and the commit that wrote it.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    pub(crate) record: T,
    pub(crate) revision: Revision,
}

/// A binding, and the commit that wrote it.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) record: BindingRecord,
    pub(crate) revision: Revision,
    /// How many levels its scope has.
    pub(crate) depth: usize,
}

impl Bound {
    pub(super) fn new(record: BindingRecord, revision: Revision) -> Self {
        Self { depth: record.scope.depth(), record, revision }
    }

    /// The group it is bound to; `None` when it is a subject's own.
    #[inline]
    pub(crate) const fn via(&self) -> Option<GroupId> {
        match self.record.holder {
            Holder::Subject(_) => None,
            Holder::Group(group) => Some(group),
        }
    }
}

/// What is known of a record that others refer to.
#[derive(Debug, Default)]
pub(crate) enum Slot<T> {
    #[default]
    Absent,
    Unreadable,
    Present(Arc<Kept<T>>),
}

impl<T> Slot<T> {
    pub(crate) fn present(&self) -> Option<&T> {
        self.kept().map(|kept| &kept.record)
    }

    pub(crate) fn kept(&self) -> Option<&Kept<T>> {
        match self {
            Self::Present(kept) => Some(kept),
            Self::Absent | Self::Unreadable => None,
        }
    }

    pub(crate) const fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable)
    }

    pub(crate) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Absent => Self::Absent,
            Self::Unreadable => Self::Unreadable,
            Self::Present(kept) => Self::Present(Arc::clone(kept)),
        }
    }
}

/// What a subject or a group holds by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Carried {
    pub(crate) bindings: Bindings,
    /// Bindings of which nobody knows what they say, by id.
    pub(crate) unreadable: Arc<[BindingId]>,
    pub(crate) stamp: Option<Revision>,
}

impl Carried {
    fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.unreadable.is_empty() && self.stamp.is_none()
    }

    pub(super) fn set_unreadable(&mut self, id: BindingId, unreadable: bool) {
        if self.unreadable.contains(&id) != unreadable {
            let others = self.unreadable.iter().copied().filter(|other| *other != id);
            let mut all: Vec<BindingId> = others.chain(unreadable.then_some(id)).collect();
            all.sort_unstable();
            self.unreadable = all.into();
        }
    }
}

/// Bindings: the nearest scopes of a resource first, those of one scope by id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bindings {
    sorted: Arc<[Entry]>,
}

/// A binding, and what is needed to pass it over quickly.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    scope: ScopeSignature,
    /// The number of the scope; valid as long as the directory counts it.
    place: u32,
    has_end: bool,
    pub(crate) role: RoleNumber,
    pub(crate) bound: Arc<Bound>,
}

impl Entry {
    pub(super) const fn place(&self) -> u32 {
        self.place
    }

    pub(super) const fn has_end(&self) -> bool {
        self.has_end
    }

    /// Whether the binding's scope contains the resource.
    #[inline]
    fn contains(&self, resource: &Scope, chain: Option<&[u32]>) -> bool {
        match chain {
            Some(chain) => chain.contains(&self.place),
            None => self.scope.may_contain(resource) && self.bound.record.scope.contains(resource),
        }
    }

    #[inline]
    pub(super) fn has_ended(&self, now: UnixTime) -> bool {
        self.has_end && self.bound.record.is_expired(now)
    }
}

/// Where the role of a binding is found without a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoleNumber {
    BuiltIn(BuiltInRole),
    Custom(u32),
    Policy(u32),
}

impl Bindings {
    pub(crate) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.sorted.iter()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RoleNumber, &Bound)> {
        self.sorted.iter().map(|entry| (entry.role, entry.bound.as_ref()))
    }

    /// Those whose scope contains `resource`, in order; with the numbers of all scopes that do, if they were looked up.
    #[inline]
    pub(super) fn around<'a, 'r>(
        &'a self,
        resource: &'r Scope,
        chain: Option<&'r [u32]>,
    ) -> impl Iterator<Item = &'a Entry> + use<'a, 'r> {
        self.sorted.iter().filter(move |entry| entry.contains(resource, chain))
    }

    pub(super) fn insert(&mut self, role: RoleNumber, place: u32, bound: Arc<Bound>) {
        let at = self.sorted.partition_point(|other| order(&other.bound.record, &bound.record).is_lt());
        let (before, after) = self.sorted.split_at_checked(at).unwrap_or_default();
        let record = &bound.record;
        let has_end = matches!(record.expires_at, Limit::Only(_));
        let entry = Entry { scope: ScopeSignature::of(&record.scope), place, has_end, role, bound };
        self.sorted = before.iter().cloned().chain([entry]).chain(after.iter().cloned()).collect();
    }

    pub(super) fn remove(&mut self, id: BindingId) {
        self.sorted = self.sorted.iter().filter(|entry| entry.bound.record.id != id).cloned().collect();
    }
}

/// The texts of scopes backwards: of two that contain a resource, the one below comes first.
fn order(a: &BindingRecord, b: &BindingRecord) -> Ordering {
    b.scope.as_path().cmp(a.scope.as_path()).then(a.id.cmp(&b.id))
}

/// A subject as the table has it: what every decision looks at, and where the rest is.
#[derive(Clone, Default)]
pub(crate) struct SubjectEntry {
    // INVARIANT: changed by `edit`, which makes the others anew of it.
    node: Arc<SubjectNode>,
    is_bounded: bool,
    is_enabled: bool,
    /// The number of its tenant's scope, [`EVERYWHERE`], or that of nothing.
    tenant: TenantNumber,
    pub(super) row: RowCell,
}

/// The number of nothing, unless it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TenantNumber(u32);

impl Default for TenantNumber {
    fn default() -> Self {
        Self(NONE)
    }
}

impl SubjectEntry {
    /// Changes what is known of the subject, and forgets what was worked out of it.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut SubjectNode)) {
        let node = Arc::make_mut(&mut self.node);
        change(node);
        self.is_bounded = !node.boundary.is_absent();
        self.is_enabled = node.record.present().is_some_and(|subject| subject.state == SubjectState::Enabled);
        self.tenant = TenantNumber(match &node.reach {
            Reach::Nowhere => NONE,
            Reach::Everywhere => EVERYWHERE,
            Reach::Within(tenant) => tenant.number(),
        });
        self.row = RowCell::default();
    }

    /// Whether it is known, readable and enabled; without a look at the record, which lies elsewhere.
    #[inline]
    pub(super) const fn is_live(&self) -> bool {
        self.is_enabled
    }

    #[inline]
    pub(super) fn boundary(&self) -> &Slot<BoundaryRecord> {
        const ABSENT: &Slot<BoundaryRecord> = &Slot::Absent;
        if self.is_bounded { &self.node.boundary } else { ABSENT }
    }

    /// Whether what it has can count at `scope`; with the numbers of all scopes that contain it, if they were looked up.
    #[inline]
    pub(super) fn is_at_home(&self, scope: &str, chain: Option<&Chain>) -> bool {
        match chain {
            _ if self.tenant.0 == EVERYWHERE => true,
            Some(chain) if self.tenant.0 != NONE => chain.contains(&self.tenant.0),
            _ => self.node.reach.includes_path(scope),
        }
    }
}

impl Deref for SubjectEntry {
    type Target = SubjectNode;

    fn deref(&self) -> &SubjectNode {
        &self.node
    }
}

// The number of its tenant tells nothing.
impl fmt::Debug for SubjectEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt(f)
    }
}

/// The number of all tenants: no scope's.
const EVERYWHERE: u32 = NONE - 1;

/// A subject, or that something refers to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SubjectNode {
    // INVARIANT: set with `set_record`, which keeps the next one true.
    pub(crate) record: Slot<SubjectRecord>,
    reach: Reach,
    pub(crate) boundary: Slot<BoundaryRecord>,
    pub(crate) carried: Carried,
    /// Sorted by group.
    pub(crate) groups: Arc<[Membership]>,
}

/// That a subject is a member of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Membership {
    pub(crate) group: GroupId,
    /// Where the group is found without a search; valid because the group counts its members.
    pub(crate) number: u32,
    /// The commit that made it a member; `None` when the record is unreadable.
    pub(crate) joined: Option<Revision>,
}

impl SubjectNode {
    pub(super) fn is_empty(&self) -> bool {
        self.record.is_absent()
            && self.boundary.is_absent()
            && self.carried.is_empty()
            && self.groups.is_empty()
    }

    pub(super) fn set_record(&mut self, record: Slot<SubjectRecord>, reach: Reach) {
        self.record = record;
        self.reach = reach;
    }

    /// Whether what it has can count at `scope`; without a look at the record.
    pub(super) fn reaches(&self, scope: &Scope) -> bool {
        self.reach.includes(scope)
    }

    pub(super) const fn reach(&self) -> &Reach {
        &self.reach
    }

    pub(crate) fn membership(&self, group: GroupId) -> Option<&Membership> {
        self.groups.iter().find(|membership| membership.group == group)
    }

    pub(super) fn join(&mut self, membership: Membership) {
        self.leave(membership.group);
        let place = self.groups.partition_point(|other| other.group < membership.group);
        let (before, after) = self.groups.split_at_checked(place).unwrap_or_default();
        self.groups = before.iter().chain([&membership]).chain(after).copied().collect();
    }

    pub(super) fn leave(&mut self, group: GroupId) {
        if self.membership(group).is_some() {
            self.groups = self.groups.iter().filter(|other| other.group != group).copied().collect();
        }
    }
}

/// A group, or that something refers to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct GroupNode {
    // INVARIANT: set with `set_record`, which keeps the next one true.
    pub(crate) record: Slot<GroupRecord>,
    pub(super) reach: Reach,
    pub(crate) carried: Carried,
    /// How many subjects are members.
    pub(crate) members: usize,
    pub(crate) joined: Option<Revision>,
    pub(crate) nest: Nest,
}

impl GroupNode {
    /// What is unreadable may be at home anywhere.
    pub(super) fn set_record(&mut self, record: Slot<GroupRecord>) {
        self.reach = record.present().map_or(Reach::Everywhere, |group| Reach::of(&group.home));
        self.record = record;
    }
}

impl Node for GroupNode {
    fn is_empty(&self) -> bool {
        self.record.is_absent()
            && self.carried.is_empty()
            && self.members == 0
            && self.joined.is_none()
            && self.nest.is_empty()
    }
}

/// A role of the embedder's own, or that something refers to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoleNode {
    pub(crate) record: Slot<RoleRecord>,
    /// What it permits by its own patterns.
    pub(crate) own: NumberSet,
    /// The policies that come with it, by id, and where they are found without a search.
    pub(crate) policies: Arc<[(PolicyId, u32)]>,
    /// How many bindings bind it.
    pub(crate) bindings: usize,
    pub(crate) stamp: Option<Revision>,
}

impl Node for RoleNode {
    fn is_empty(&self) -> bool {
        self.record.is_absent() && self.bindings == 0 && self.stamp.is_none()
    }
}

/// A policy, or that something refers to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct PolicyNode {
    pub(crate) record: Slot<PolicyRecord>,
    /// Of what any of its statements speaks.
    pub(crate) spoken_of: NumberSet,
    /// How many bindings bind it, and roles bring it.
    pub(crate) uses: usize,
    pub(crate) stamp: Option<Revision>,
}

impl Node for PolicyNode {
    fn is_empty(&self) -> bool {
        self.record.is_absent() && self.uses == 0 && self.stamp.is_none()
    }
}
