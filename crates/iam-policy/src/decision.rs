use core_types::{Scope, UnixTime};
use state_store::Revision;

use crate::holder::{BindingId, GroupId, PolicyId, RoleRef, TrustId};

/// The answer to an [`AccessRequest`](crate::AccessRequest), and why.
///
/// Only `Allow` lets anything happen. A deny's reason is for logs and administrators; the one who was refused
/// is told that, and no more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a decision that is not looked at protects nothing"]
#[expect(clippy::exhaustive_enums, reason = "a third answer must break the caller")]
pub enum Decision {
    /// It may be done.
    Allow(Allow),
    /// It may not.
    Deny(Deny),
}

impl Decision {
    /// Whether it may be done.
    pub(crate) const fn is_allow(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// The state of the store that was decided by: everything up to this revision, nothing after it.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        match self {
            Self::Allow(allow) => allow.revision,
            Self::Deny(deny) => deny.revision,
        }
    }
}

/// What allowed it. Nothing else makes one: it can be asked for as a proof that a decision was taken.
///
/// Of several bindings that allow the same, the answer names one always the same way: the subject's own
/// before those of its groups (in the order of their ids, those it is in by other groups too), the nearest scope first, then the lowest id, then
/// the role's own patterns before its policies (in the order of their ids), then the first statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allow {
    pub(crate) binding: BindingId,
    pub(crate) role: RoleRef,
    pub(crate) via: Option<GroupId>,
    pub(crate) statement: Option<StatementRef>,
    pub(crate) trust: Option<TrustId>,
    pub(crate) depth: usize,
    pub(crate) revision: Revision,
}

impl Allow {
    /// The binding.
    #[must_use]
    pub const fn binding(&self) -> BindingId {
        self.binding
    }

    /// The role or policy it binds.
    #[must_use]
    pub const fn role(&self) -> RoleRef {
        self.role
    }

    /// The group it is bound to, which the subject is in by itself or by other groups (an
    /// [`Explanation`](crate::Explanation) says how); `None` when it is the subject's own.
    #[must_use]
    pub const fn via(&self) -> Option<GroupId> {
        self.via
    }

    /// The statement, where a policy says it; `None` when it is one of the role's own patterns.
    #[must_use]
    pub const fn statement(&self) -> Option<StatementRef> {
        self.statement
    }

    /// The trust that lets the subject into the resource's tenant; `None` when it is at home there.
    #[must_use]
    pub const fn trust(&self) -> Option<TrustId> {
        self.trust
    }

    /// The scope of the binding, given the resource of the request: the ancestor of it, or itself, at the
    /// depth of the binding. (Kept as a depth, because a decision must not allocate.)
    #[must_use]
    pub fn scope(&self, resource: &Scope) -> Scope {
        let mut scope = resource.clone();
        while scope.depth() > self.depth {
            let Some(parent) = scope.parent() else { break };
            scope = parent;
        }
        scope
    }

    /// The state of the store that was decided by.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }
}

/// A statement of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct StatementRef {
    /// The policy.
    pub policy: PolicyId,
    /// Which of its statements, counted from 0.
    pub index: usize,
}

/// What stood against it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deny {
    /// Why.
    pub reason: DenyReason,
    /// The state of the store that was decided by.
    pub revision: Revision,
}

/// Why something may not be done: the first of these that holds, in this order. Of several denials, the one
/// that comes first in the order of [`Allow`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DenyReason {
    /// The store holds records of a family this version does not know; one of them may forbid it.
    UnreadablePolicy,
    /// There is no such subject.
    UnknownSubject,
    /// The subject's record is unreadable; it is treated as disabled.
    UnreadableSubject,
    /// The subject is disabled.
    Disabled,
    /// The credential has ended.
    RestrictionExpired {
        /// When.
        at: UnixTime,
    },
    /// The resource lies outside the tenant of the subject's home, and no trust of the resource's tenant lets the
    /// subject in for this.
    TenantMismatch,
    /// The groups that a group of the subject's is in are in a circle, or more or deeper than
    /// [`plan`](crate::plan) lets them be; one of them may deny anything.
    TangledGroups {
        /// The group that the subject is a member of.
        group: GroupId,
    },
    /// A binding is unreadable; it may deny anything to its holder.
    UnreadableBinding {
        /// The binding.
        binding: BindingId,
        /// The group it is bound to; `None` when it is the subject's own.
        via: Option<GroupId>,
    },
    /// What is bound here is unreadable; it may deny anything here.
    UnreadableRole {
        /// The binding.
        binding: BindingId,
        /// The group it is bound to; `None` when it is the subject's own.
        via: Option<GroupId>,
        /// The policy that comes with the role; `None` when what is bound is itself unreadable.
        policy: Option<PolicyId>,
    },
    /// A statement denies it.
    ExplicitDeny {
        /// The binding of the policy, or of the role it comes with.
        binding: BindingId,
        /// The group it is bound to; `None` when it is the subject's own.
        via: Option<GroupId>,
        /// The statement.
        statement: StatementRef,
        /// Whether its conditions are known to hold; else one of them is unknown, and it applies all the same.
        is_certain: bool,
    },
    /// Nothing grants it. What comes near to granting it, an [`Explanation`](crate::Explanation) says.
    NoGrant,
    /// It is granted, and the subject's boundary is unreadable.
    UnreadableBoundary {
        /// What grants it to the subject.
        granted_by: BindingId,
    },
    /// It is granted, and lies outside the subject's boundary.
    LimitedByBoundary {
        /// What grants it to the subject.
        granted_by: BindingId,
    },
    /// The subject may, its credential may not.
    LimitedByRestriction {
        /// What grants it to the subject.
        granted_by: BindingId,
    },
}

impl DenyReason {
    /// The group by which it concerns the subject, of the reasons that name a binding.
    pub(crate) const fn via(&self) -> Option<GroupId> {
        match self {
            Self::UnreadableBinding { via, .. }
            | Self::UnreadableRole { via, .. }
            | Self::ExplicitDeny { via, .. } => *via,
            _ => None,
        }
    }

    /// A stable word for it, for logs and answers that programs read.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnreadablePolicy => "unreadable_policy",
            Self::UnknownSubject => "unknown_subject",
            Self::UnreadableSubject => "unreadable_subject",
            Self::Disabled => "disabled",
            Self::RestrictionExpired { .. } => "restriction_expired",
            Self::TenantMismatch => "tenant_mismatch",
            Self::TangledGroups { .. } => "tangled_groups",
            Self::UnreadableBinding { .. } => "unreadable_binding",
            Self::UnreadableRole { .. } => "unreadable_role",
            Self::ExplicitDeny { .. } => "explicit_deny",
            Self::UnreadableBoundary { .. } => "unreadable_boundary",
            Self::LimitedByBoundary { .. } => "limited_by_boundary",
            Self::NoGrant => "no_grant",
            Self::LimitedByRestriction { .. } => "limited_by_restriction",
        }
    }
}

/// A binding that would grant it if one thing were otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NearMiss {
    /// The binding.
    pub binding: BindingId,
    /// The role or policy it binds.
    pub role: RoleRef,
    /// The group it is bound to; `None` when it is the subject's own.
    pub via: Option<GroupId>,
    /// The statement that would grant it; `None` when it is one of the role's own patterns, or nothing in
    /// particular.
    pub statement: Option<StatementRef>,
    /// What is otherwise.
    pub missing: Missing,
}

/// The one thing that keeps a binding from granting; nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Missing {
    /// A condition does not hold, or is unknown.
    Condition,
    /// The binding has ended.
    Expired,
    /// The binding's scope lies out of reach of the subject's or the group's home.
    OutOfReach,
    /// The role or policy is deleted, or at home elsewhere.
    Role,
    /// The binding holds elsewhere.
    Scope,
    /// The role does not have the permission.
    Permission,
}

impl Missing {
    /// A stable word for it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Condition => "condition",
            Self::Expired => "expired",
            Self::OutOfReach => "out_of_reach",
            Self::Role => "role",
            Self::Scope => "scope",
            Self::Permission => "permission",
        }
    }
}
