//! What is stored, and under which keys.
//!
//! All keys begin with [`PREFIX`](crate::PREFIX). `SUBJECT` is `usr_…`, `svc_…` or `mch_…`.
//!
//! | Key after the prefix | Holds |
//! |---|---|
//! | `subject/SUBJECT` | [`SubjectRecord`] |
//! | `group/grp_…` | [`GroupRecord`] |
//! | `role/rol_…` | [`RoleRecord`] |
//! | `policy/pol_…` | [`PolicyRecord`] |
//! | `boundary/SUBJECT` | [`BoundaryRecord`] |
//! | `member/grp_…/SUBJECT` | [`MembershipRecord`] |
//! | `nesting/grp_…/grp_…`, the group that the other one is in first | [`NestingRecord`] |
//! | `binding/HOLDER/bnd_…`, the holder a `SUBJECT` or `grp_…` | [`BindingRecord`] |
//! | `break-glass/brk_…` | [`BreakGlassRecord`] |
//! | `trust/trs_…` | [`TrustRecord`] |
//! | `stamp/ID` | written anew whenever more is bound to the subject or group of this id, the subject or group joins a group, the role is bound, or the policy is bound or attached: a plan that depends on there being no more than it saw expects the stamp it saw. Only its revision matters |
//! | `joined/grp_…` | likewise, whenever the group comes to have more members |
//! | `forbidding` | likewise, whenever something comes to be forbidden to anyone |
//! | `nested` | likewise, whenever any group comes to be in another one |
//! | `started` | written once, with the first administrator |
//!
//! A record repeats the ids in its key; one that stands under another key is unreadable. Every record is
//! JSON in the envelope of [`state_store::record`]; unknown fields and versions are refused.
//!
//! # What an unreadable record means
//! Whatever the worst thing is that it could have said. A subject is as if disabled. A boundary allows nothing.
//! A binding may have denied anything to its holder: it denies everything to it, or to all its members. A role
//! or a policy may have denied anything where it is bound: there it denies everything. Of a membership, a nesting
//! and a group what is denied counts, and what is allowed does not. A trust lets nobody in. A key of no known family may hold what a later
//! version denies by: while there is one, every decision is to deny. A record of broken glass decides nothing.

use std::collections::BTreeSet;

use core_types::{Limit, Restriction, Scope, Subject, UnixTime};
use serde::{Deserialize, Serialize};
use state_store::Record;

use crate::context::Text;
use crate::holder::{BindingId, BreakGlassId, GroupId, Holder, PolicyId, RoleId, RoleRef, TrustId};
use crate::name::Name;
use crate::pattern_set::PatternSet;
use crate::policy::PolicyDocument;

/// Someone or something that can hold rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SubjectRecord {
    /// Who.
    pub id: Subject,
    /// The label.
    pub name: Name,
    /// Where it is administered, and with it how far its rights can reach: the root's subjects everywhere,
    /// others nowhere outside the first level of their home.
    pub home: Scope,
    /// Whether it may do anything at all.
    pub state: SubjectState,
}

/// Whether a subject may use its rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SubjectState {
    /// It may.
    Enabled,
    /// It may not, whatever it holds.
    Disabled,
}

/// A group of subjects, and of groups; what is bound to it, its members hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GroupRecord {
    /// Which.
    pub id: GroupId,
    /// The label.
    pub name: Name,
    /// Where it is administered; as for [`SubjectRecord::home`].
    pub home: Scope,
}

/// A role of the embedder's own: a named set of permission patterns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RoleRecord {
    /// Which.
    pub id: RoleId,
    /// The label.
    pub name: Name,
    /// Where it is administered; it grants nothing outside.
    pub home: Scope,
    /// What it permits.
    pub permissions: PatternSet,
    /// The policies that come with it.
    pub policies: BTreeSet<PolicyId>,
}

/// A policy: statements that allow or deny.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PolicyRecord {
    /// Which.
    pub id: PolicyId,
    /// The label.
    pub name: Name,
    /// Where it is administered; it says nothing about what is outside.
    pub home: Scope,
    /// What it says.
    pub document: PolicyDocument,
}

/// The most a subject may do, whatever it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BoundaryRecord {
    /// Whose.
    pub subject: Subject,
    /// What it may do at most.
    pub limit: Restriction,
}

/// That a subject was let do everything for a while, and what was taken away for it. A decision never looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BreakGlassRecord {
    /// Which.
    pub id: BreakGlassId,
    /// Who.
    pub subject: Subject,
    /// Why.
    pub reason: Text,
    /// Since when.
    pub at: UnixTime,
    /// The first instant at which it is over.
    pub until: UnixTime,
    /// The binding by which it may.
    pub binding: BindingId,
    /// Whether it was disabled.
    pub was_disabled: bool,
    /// Its boundary, which was taken away.
    pub boundary: Limit<Restriction>,
    /// Its bindings that denied something, which were ended.
    pub ended: BTreeSet<BindingId>,
    /// The groups that denied it something, which it had to leave.
    pub left: BTreeSet<GroupId>,
}

/// That a tenant (a first level of scope) lets in the subjects of another one: what is bound to these there counts,
/// as far as the limit lists it. Both sides have to say so: the one offers, the other accepts.
///
/// It lets in the subjects that are at home in the trusted tenant, and nobody whom that tenant trusts in turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TrustRecord {
    /// Which.
    pub id: TrustId,
    /// The tenant that lets in.
    pub truster: Scope,
    /// The tenant whose subjects are let in.
    pub trusted: Scope,
    /// For what at most, where in the truster, and until when.
    pub limit: Restriction,
    /// Whether both sides have said so.
    pub state: TrustState,
}

/// How far a trust has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TrustState {
    /// The truster has said so; nobody is let in yet.
    Offered,
    /// Both have.
    Accepted,
}

impl TrustRecord {
    /// A trust that is offered.
    #[must_use]
    pub const fn new(id: TrustId, truster: Scope, trusted: Scope, limit: Restriction) -> Self {
        Self { id, truster, trusted, limit, state: TrustState::Offered }
    }

    /// Whether it lets anybody in: both sides have said so, and it has not ended.
    #[must_use]
    pub fn is_in_force(&self, now: UnixTime) -> bool {
        self.state == TrustState::Accepted && !self.limit.is_expired(now)
    }

    /// Whether it lists anything at the scope, below or above.
    pub(crate) fn overlaps(&self, scope: &Scope) -> bool {
        match self.limit.grants() {
            Limit::Unlimited => true,
            Limit::Only(grants) => grants.iter().any(|grant| grant.scope.intersect(scope).is_some()),
        }
    }
}

impl Record for TrustRecord {
    const KIND: &'static str = "iam-policy/trust";
    const VERSION: u32 = 1;
}

/// A subject's membership of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MembershipRecord {
    /// The group.
    pub group: GroupId,
    /// The member.
    pub subject: Subject,
}

/// That a group is in another one: its members are in that one too. Both are of one tenant, or both of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NestingRecord {
    /// The group.
    pub group: GroupId,
    /// The one that is in it.
    pub inner: GroupId,
}

/// A role or a policy, given to a holder, at a scope and below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BindingRecord {
    /// Which.
    pub id: BindingId,
    /// What is given.
    #[serde(with = "crate::text")]
    pub role: RoleRef,
    /// To whom.
    #[serde(with = "crate::text")]
    pub holder: Holder,
    /// Where: here and below.
    pub scope: Scope,
    /// The first instant at which it no longer holds.
    pub expires_at: Limit<UnixTime>,
}

impl BindingRecord {
    /// A binding without an end.
    #[must_use]
    pub const fn new(id: BindingId, role: RoleRef, holder: Holder, scope: Scope) -> Self {
        Self { id, role, holder, scope, expires_at: Limit::Unlimited }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_expired(&self, now: UnixTime) -> bool {
        matches!(self.expires_at, Limit::Only(at) if now >= at)
    }
}

/// A value whose revision is all that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stamp {}

impl SubjectRecord {
    /// An enabled subject.
    #[must_use]
    pub const fn new(id: Subject, name: Name, home: Scope) -> Self {
        Self { id, name, home, state: SubjectState::Enabled }
    }
}

impl Record for SubjectRecord {
    const KIND: &'static str = "iam-policy/subject";
    const VERSION: u32 = 1;
}

impl GroupRecord {
    /// A group.
    #[must_use]
    pub const fn new(id: GroupId, name: Name, home: Scope) -> Self {
        Self { id, name, home }
    }
}

impl Record for GroupRecord {
    const KIND: &'static str = "iam-policy/group";
    const VERSION: u32 = 1;
}

impl RoleRecord {
    /// A role without policies.
    #[must_use]
    pub const fn new(id: RoleId, name: Name, home: Scope, permissions: PatternSet) -> Self {
        Self { id, name, home, permissions, policies: BTreeSet::new() }
    }
}

impl Record for RoleRecord {
    const KIND: &'static str = "iam-policy/role";
    const VERSION: u32 = 1;
}

impl PolicyRecord {
    /// A policy.
    #[must_use]
    pub const fn new(id: PolicyId, name: Name, home: Scope, document: PolicyDocument) -> Self {
        Self { id, name, home, document }
    }
}

impl Record for PolicyRecord {
    const KIND: &'static str = "iam-policy/policy";
    const VERSION: u32 = 1;
}

impl BoundaryRecord {
    /// A boundary.
    #[must_use]
    pub const fn new(subject: Subject, limit: Restriction) -> Self {
        Self { subject, limit }
    }
}

impl Record for BoundaryRecord {
    const KIND: &'static str = "iam-policy/boundary";
    const VERSION: u32 = 1;
}

impl MembershipRecord {
    /// A membership.
    #[must_use]
    pub const fn new(group: GroupId, subject: Subject) -> Self {
        Self { group, subject }
    }
}

impl Record for MembershipRecord {
    const KIND: &'static str = "iam-policy/membership";
    const VERSION: u32 = 1;
}

impl NestingRecord {
    /// A nesting.
    #[must_use]
    pub const fn new(group: GroupId, inner: GroupId) -> Self {
        Self { group, inner }
    }
}

impl Record for NestingRecord {
    const KIND: &'static str = "iam-policy/nesting";
    const VERSION: u32 = 1;
}

impl Record for BindingRecord {
    const KIND: &'static str = "iam-policy/binding";
    const VERSION: u32 = 1;
}

impl Record for BreakGlassRecord {
    const KIND: &'static str = "iam-policy/break-glass";
    const VERSION: u32 = 1;
}

impl Record for Stamp {
    const KIND: &'static str = "iam-policy/stamp";
    const VERSION: u32 = 1;
}
