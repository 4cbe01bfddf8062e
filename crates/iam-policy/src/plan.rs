//! Changes of the directory, planned and not yet made.
//!
//! A [`Planner`] looks at one state of the directory and either refuses, or answers with a batch for
//! [`StateStore::commit`](state_store::StateStore::commit). The batch expects of every record it rests on that
//! it is still as it was seen: what it refers to is there, the caller is not disabled meanwhile, and holds
//! still what it gives away. A batch that is committed could have been planned by the very state it met. On a
//! conflict plan again, by a newer one.
//!
//! Whether the caller may use the route at all (`iam:write` at the home of what is changed, say) is for the
//! embedder to ask [`authorize`](crate::Authorizer::authorize) before. The planner sees to one thing that no
//! permission string can say: **nobody gives what it does not hold.**

mod accounts;
mod bindings;
mod boundaries;
mod break_glass;
mod draft;
mod groups;
mod guard;
mod nestings;
mod policies;
mod repair;
mod roles;
mod trusts;

use core_types::{Principal, Restriction, UnixTime};
use state_store::Batch;

pub use self::accounts::FirstAdministrator;
pub use self::break_glass::MAX_BREAK_GLASS_MILLIS;
use crate::directory::Directory;

/// The most bindings of one subject or group.
pub const MAX_BINDINGS_PER_HOLDER: usize = 1024;

/// The most policies that come with one role.
pub const MAX_POLICIES_PER_ROLE: usize = 16;

/// The most groups of which one subject is a member itself.
pub const MAX_GROUPS_PER_SUBJECT: usize = 64;

/// The most members of one group, without those of groups in it.
pub const MAX_MEMBERS_PER_GROUP: usize = 100_000;

/// The most levels of groups in groups: a member of a group is in no other one by more than so many nestings.
pub const MAX_NESTING_DEPTH: usize = 8;

/// The most groups that one group is in, directly or by others.
pub const MAX_GROUPS_ABOVE: usize = 64;

/// The most groups in one group, directly or by others.
pub const MAX_GROUPS_WITHIN: usize = 1024;

/// The most trusts by which one tenant lets in one other.
pub const MAX_TRUSTS_BETWEEN: usize = 16;

/// By whose authority a change is made.
#[derive(Debug, Clone, Copy)]
pub struct Grantor<'a> {
    by: By<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum By<'a> {
    Caller { principal: &'a Principal, restriction: &'a Restriction },
    Unguarded,
}

impl<'a> Grantor<'a> {
    /// The caller of a request, as its credential was verified: it can give what it holds and its credential
    /// may use, or anything where it may use `iam:escalate`.
    #[must_use]
    pub const fn caller(principal: &'a Principal, restriction: &'a Restriction) -> Self {
        Self { by: By::Caller { principal, restriction } }
    }

    /// Nobody: the change is made by who runs the program, and guarded by nothing.
    ///
    /// For tools of an operator who has the store in hand anyway: repair after the last administrator is
    /// gone, fixtures, imports. Never for a request. Record each use.
    #[must_use]
    pub const fn dangerous_unguarded() -> Self {
        Self { by: By::Unguarded }
    }
}

/// Plans changes by one state of the directory; see the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Planner<'a> {
    directory: &'a Directory,
    by: By<'a>,
    now: UnixTime,
}

impl Directory {
    /// Plans changes by this state, by this authority.
    #[must_use]
    pub const fn plan<'a>(&'a self, by: Grantor<'a>, now: UnixTime) -> Planner<'a> {
        Planner { directory: self, by: by.by, now }
    }
}

/// A change that was found in order: commit the batch to make it.
#[derive(Debug, Clone)]
#[must_use = "a planned change is not made"]
pub struct Planned<T> {
    value: T,
    batch: Batch,
}

impl<T> Planned<T> {
    /// What the change makes, once committed: the new id, mostly.
    #[must_use]
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The preconditions and writes.
    #[must_use]
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The same change, with another value made of its own.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Planned<U> {
        Planned { value: make(self.value), batch: self.batch }
    }

    /// Both.
    #[must_use]
    pub fn into_parts(self) -> (T, Batch) {
        (self.value, self.batch)
    }
}
