use core::fmt;
use core::str::FromStr;

use core_types::{Id, IdKind, ParseError, Subject};

use crate::builtin::BuiltInRole;

core_types::id_kind! {
    /// A group of subjects.
    pub Group = "grp";
    /// A role of the embedder's own.
    pub Role = "rol";
    /// A policy: a document of statements that allow or deny.
    pub Policy = "pol";
    /// A binding of a role or a policy to a holder at a scope.
    pub Binding = "bnd";
    /// A record of broken glass.
    pub BreakGlass = "brk";
    /// That one tenant lets in another one's subjects.
    pub Trust = "trs";
}

/// The id of a group.
pub type GroupId = Id<Group>;
/// The id of a role of the embedder's own.
pub type RoleId = Id<Role>;
/// The id of a policy.
pub type PolicyId = Id<Policy>;
/// The id of a record of broken glass.
pub type BreakGlassId = Id<BreakGlass>;
/// The id of a trust.
pub type TrustId = Id<Trust>;
/// The id of a binding.
pub type BindingId = Id<Binding>;

/// What a role can be bound to: a subject, or a group for all its members.
///
/// The text form is that of the id: `usr_…`, `svc_…`, `mch_…` or `grp_…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Holder {
    /// One subject.
    Subject(Subject),
    /// The members of a group.
    Group(GroupId),
}

impl From<Subject> for Holder {
    fn from(subject: Subject) -> Self {
        Self::Subject(subject)
    }
}

impl From<GroupId> for Holder {
    fn from(group: GroupId) -> Self {
        Self::Group(group)
    }
}

impl FromStr for Holder {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if has_prefix::<Group>(text) {
            text.parse().map(Self::Group)
        } else {
            text.parse().map(Self::Subject)
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => subject.fmt(f),
            Self::Group(group) => group.fmt(f),
        }
    }
}

/// What is bound: a role that is built in, one of the embedder's own, or a policy.
///
/// The text form is the name of the first (`compute-full`), the id of the others (`rol_…`, `pol_…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RoleRef {
    /// Defined by this crate, the same everywhere.
    BuiltIn(BuiltInRole),
    /// Stored in the directory.
    Custom(RoleId),
    /// A policy, bound by itself.
    Policy(PolicyId),
}

impl From<BuiltInRole> for RoleRef {
    fn from(role: BuiltInRole) -> Self {
        Self::BuiltIn(role)
    }
}

impl From<RoleId> for RoleRef {
    fn from(role: RoleId) -> Self {
        Self::Custom(role)
    }
}

impl From<PolicyId> for RoleRef {
    fn from(policy: PolicyId) -> Self {
        Self::Policy(policy)
    }
}

impl FromStr for RoleRef {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if has_prefix::<Role>(text) {
            text.parse().map(Self::Custom)
        } else if has_prefix::<Policy>(text) {
            text.parse().map(Self::Policy)
        } else {
            text.parse().map(Self::BuiltIn)
        }
    }
}

impl fmt::Display for RoleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(role) => role.fmt(f),
            Self::Custom(role) => role.fmt(f),
            Self::Policy(policy) => policy.fmt(f),
        }
    }
}

fn has_prefix<K: IdKind>(text: &str) -> bool {
    text.strip_prefix(K::PREFIX).is_some_and(|rest| rest.starts_with('_'))
}
