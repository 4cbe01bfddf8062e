use core_types::{Grant, RandomError, Subject};
use state_store::{BatchError, LimitError, RecordError, Revision};
use thiserror::Error;

use crate::holder::{BindingId, GroupId, PolicyId, RoleId, TrustId};

/// Why a text is no name. The remote side may be shown the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// A name has at least one character.
    #[error("the name is empty")]
    Empty,
    /// Longer than [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES).
    #[error("the name is longer than {limit} bytes")]
    TooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// A character that names do not have, or do not begin with.
    #[error("character not allowed at byte {at}")]
    Character {
        /// The offset, in bytes.
        at: usize,
    },
}

/// More patterns than [`MAX_PATTERNS`](crate::MAX_PATTERNS). Refuse the request that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("more than {limit} permission patterns")]
pub struct PatternSetError {
    /// The bound.
    pub limit: usize,
}

/// Why something is not part of a context. Refuse the request that brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ContextError {
    /// Longer than [`MAX_TEXT_BYTES`](crate::context::MAX_TEXT_BYTES).
    #[error("a text longer than {limit} bytes")]
    TextTooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// A bound of [`context`](crate::context).
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
}

/// Why something is no policy. Refuse the request that brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A bound of [`policy`](crate::policy) or [`condition`](crate::condition).
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
}

/// Why something is no document of [`document`](crate::document). The remote side may be shown the message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Longer than [`MAX_DOCUMENT_BYTES`](crate::document::MAX_DOCUMENT_BYTES) or
    /// [`MAX_REQUEST_BYTES`](crate::document::MAX_REQUEST_BYTES).
    #[error("longer than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// Not JSON, or not of this shape.
    #[error("{what}")]
    Malformed {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// What is wrong, where; at most 256 bytes.
        what: Box<str>,
    },
    /// Of a version that this library does not know.
    #[error("version {found}, where {known} is known")]
    Version {
        /// The one that was found.
        found: u32,
        /// The one that is known.
        known: u32,
    },
    /// Two records are about the same thing.
    #[error("{what} {id} is there twice")]
    Repeated {
        /// A record of this kind.
        what: &'static str,
        /// Which.
        id: Box<str>,
    },
    /// A bound of [`plan`](crate::plan) or [`document`](crate::document).
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A group is in itself.
    #[error("a group is in itself, by {}", listed(groups))]
    Circle {
        /// The groups of the circle, each in the next and the last in the first; of a long one the beginning.
        groups: Vec<GroupId>,
    },
    /// The circumstances are none.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The directory has records that nobody can read; a document cannot say that.
    #[error("the directory has unreadable records")]
    Unreadable,
}

/// Why the grants of a subject are not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GrantsError {
    /// More than [`MAX_EFFECTIVE_GRANTS`](crate::MAX_EFFECTIVE_GRANTS): ask about single permissions.
    #[error("more than {limit} grants")]
    TooMany {
        /// The bound.
        limit: usize,
    },
}

/// A cursor of another state of the directory. Begin the listing anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("the cursor is of revision {found}, the directory of revision {current}")]
pub struct CursorError {
    /// The state the cursor is of.
    pub found: Revision,
    /// The state that was asked.
    pub current: Revision,
}

/// Why a question about all there is has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReachError {
    /// The cursor is of another state. Begin anew.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// More to tell apart than the bound: ask about less.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
}

/// Why a change of the directory was not planned. Nothing was written.
///
/// The caller of an administrative route may be shown the message: it names only what the request named, and
/// what the caller lacks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The one who asks is not in the directory.
    #[error("the caller is unknown")]
    CallerUnknown,
    /// The one who asks is disabled, or its record is unreadable.
    #[error("the caller is disabled")]
    CallerDisabled,
    /// The credential of the one who asks has ended.
    #[error("the caller's credential has expired")]
    CallerExpired,
    /// The caller would give what it does not hold itself, for as long, and lacks `iam:escalate` there.
    #[error("the caller does not hold {missing}")]
    Escalation {
        /// The first grant, in order, that the caller does not hold.
        missing: Grant,
    },
    /// There is no such subject.
    #[error("there is no subject {0}")]
    UnknownSubject(Subject),
    /// There is no such group.
    #[error("there is no group {0}")]
    UnknownGroup(GroupId),
    /// There is no such role.
    #[error("there is no role {0}")]
    UnknownRole(RoleId),
    /// There is no such policy.
    #[error("there is no policy {0}")]
    UnknownPolicy(PolicyId),
    /// There is no such binding.
    #[error("there is no binding {0}")]
    UnknownBinding(BindingId),
    /// There is no such trust.
    #[error("there is no trust {0}")]
    UnknownTrust(TrustId),
    /// A trust is between two first levels of scope, and lists what lies in the one that trusts.
    #[error("a trust is between two tenants, and about the one that trusts")]
    NoTenants,
    /// The first group is not in the second.
    #[error("{0} is not in {1}")]
    NotNested(GroupId, GroupId),
    /// The group would be in itself.
    #[error("the group would be in itself, by {}", listed(groups))]
    Circle {
        /// The groups by which the outer one is in the inner one already, both included: each is in the next.
        groups: Vec<GroupId>,
    },
    /// The groups that this one is in are in a circle, or more or deeper than may be: an operator must look at them first.
    #[error("the groups above {0} are tangled")]
    Tangled(GroupId),
    /// The subject is no member of the group.
    #[error("{0} is no member of {1}")]
    NotMember(Subject, GroupId),
    /// What the change depends on is stored but unreadable; an operator must look at it first.
    #[error("the stored {what} is unreadable")]
    Unreadable {
        /// What kind of record.
        what: &'static str,
    },
    /// The scope lies outside the home of the role, so that the binding would grant nothing.
    #[error("the role belongs to another scope")]
    OutsideHome,
    /// The two belong to different tenants (first levels of scope), so that nothing would be granted.
    #[error("this would cross from one tenant to another")]
    OtherTenant,
    /// Something still refers to it; remove that first.
    #[error("still in use by {by} bindings, members or groups")]
    InUse {
        /// How many refer to it.
        by: usize,
    },
    /// The binding would have ended before it began.
    #[error("the end lies in the past")]
    AlreadyExpired,
    /// Everything is as it should become already.
    #[error("nothing would change")]
    Unchanged,
    /// There was a first administrator already.
    #[error("the directory has been started before")]
    AlreadyStarted,
    /// A bound of this crate.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// No randomness for an id.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The record cannot be stored.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The change depends on more records than one batch can name.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

impl From<LimitError> for WriteError {
    fn from(error: LimitError) -> Self {
        Self::Batch(BatchError::Limit(error))
    }
}

/// The ids, separated by commas.
fn listed(groups: &[GroupId]) -> String {
    let texts: Vec<String> = groups.iter().map(GroupId::to_string).collect();
    texts.join(", ")
}
