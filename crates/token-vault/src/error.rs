use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use core_types::{RandomError, TokenId, UnixTime};
use state_store::{BatchError, CommitError, RecordError};
use thiserror::Error;

use crate::event::TokenEvent;
use crate::format::{MAX_PREFIX_LEN, MIN_PREFIX_LEN};

/// Why a text is no prefix or no token, or prefixes are no format. The remote side may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Not a prefix.
    #[error("a prefix is {MIN_PREFIX_LEN} to {MAX_PREFIX_LEN} characters of [a-z0-9], a letter first")]
    Prefix,
    /// No kind of token, too many, or one twice.
    #[error("a format has 1 to {limit} different prefixes")]
    Kinds {
        /// The bound.
        limit: usize,
    },
    /// Not a token of a known kind, or a digit of it is wrong.
    #[error("not a token of a known kind")]
    NotAToken,
    /// Not what another system stores of a key.
    #[error("not 64 hexadecimal digits, or a part of the key is not alphanumeric")]
    ForeignHash,
    /// Not a realm.
    #[error("a realm is 1 to 64 visible ASCII characters without quotes and backslashes")]
    Realm,
    /// Not a network in its one spelling, such as `10.0.0.0/8` or `2001:db8::/32`.
    #[error("not a network in the form address/length with no bit set after the length")]
    Network,
}

/// Why a signed token, a key or a key set was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// Not a name.
    #[error("a name is 1 to 64 characters of [A-Za-z0-9._~-]")]
    Name,
    /// Not a key.
    #[error("not a key")]
    Key,
    /// Not a set of public keys, too many, or two of one name.
    #[error("not a set of at most 64 public keys of different names")]
    Keys,
    /// The token would live too long, allow nothing, or say too much.
    #[error("the claims are out of bounds")]
    Claims,
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Why a token was not narrowed by its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AttenuateError {
    /// Not a token of a known kind, narrowed or not.
    #[error("not a token of a known kind")]
    NotAToken,
    /// The caveat limits nothing, or allows nothing.
    #[error("a caveat limits something and allows something")]
    Caveat,
    /// Too many caveats, or too long ones.
    #[error("the narrowed token would be too long")]
    TooLong,
}

/// Why two peppers cannot be used together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PepperError {
    /// Both have the same version.
    #[error("two peppers of one version")]
    SameVersion,
}

/// Why a token was not issued. Nothing came to be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The restriction allows nothing, now or ever: say what the token is for.
    #[error("the restriction allows nothing")]
    Nothing,
    /// The token would allow what the issuing token does not.
    #[error("a token issues narrower tokens only")]
    Widens,
    /// The creator acts through a token, and that token was not shown, or it is another one.
    #[error("a token that issues must be the verified token of its creator")]
    Parent,
    /// The issuing token is limited in uses, or too many tokens issued one another.
    #[error("this token may not issue tokens")]
    ParentMayNotIssue,
    /// The vault issues no tokens of this kind.
    #[error("unknown kind of token")]
    Kind,
    /// The display name is empty, too long, or has control characters.
    #[error("a name is 1 to {limit} bytes without control characters")]
    Name {
        /// The bound, in bytes.
        limit: usize,
    },
    /// Too many networks, or none where only listed ones may use the token.
    #[error("1 to {limit} networks")]
    Networks {
        /// The bound.
        limit: usize,
    },
    /// An idle limit below the shortest that can be kept, or a limit of no uses.
    #[error("a limit is too small to be kept")]
    Limit,
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The record cannot be stored.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The batch cannot be made.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// Why a change of a token was not planned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// There is no such token here; it may have been issued elsewhere a moment ago.
    #[error("no such token")]
    NotFound,
    /// The token is revoked, and stays so.
    #[error("the token is revoked")]
    Revoked,
    /// The change would allow what the token does not allow now.
    #[error("a token can only be narrowed")]
    Widens,
    /// There is nothing to do: the token is in this state already.
    #[error("nothing to change")]
    Unchanged,
    /// The token has no secret of ours that could be replaced, or its end has come.
    #[error("this token cannot be changed so")]
    NotApplicable,
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The record cannot be stored.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The batch cannot be made.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// Why a revocation is not known to have happened. Try again: a second revocation is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// It cannot be planned.
    #[error(transparent)]
    Plan(PlanError),
    /// The store did not answer, or others came first each time.
    #[error("it is unknown whether the tokens are revoked")]
    Unavailable,
    /// The record cannot be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The batch cannot be made.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// Why usage was not written; it is kept for the next flush.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FlushError {
    /// Another vault wrote usage of the same token at the same time.
    #[error("usage was written by another vault meanwhile")]
    Conflict,
    /// The store refused.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A record cannot be stored.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The batch cannot be made.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// Why a use that must be counted is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CountError {
    /// The token was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store could not count it: refuse.
    #[error("the use could not be counted")]
    Store,
}

/// The token was refused. The remote side is told this and nothing else.
///
/// The reason is for the operator's log and the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Refusal {
    reason: RefusalReason,
    token: Option<TokenId>,
}

impl Refusal {
    pub(crate) const fn new(reason: RefusalReason) -> Self {
        Self { reason, token: None }
    }

    pub(crate) const fn of(reason: RefusalReason, token: TokenId) -> Self {
        Self { reason, token: Some(token) }
    }

    /// Why. Never for the remote side: it would learn which guesses were near.
    #[must_use]
    pub const fn reason(&self) -> RefusalReason {
        self.reason
    }

    /// What to tell the audit log beyond the refusal itself, where it is a sign of theft.
    #[must_use]
    pub fn event(&self, client: Option<IpAddr>, now: UnixTime) -> Option<TokenEvent> {
        match (self.reason, self.token) {
            (RefusalReason::RotatedAway, Some(token)) => {
                Some(TokenEvent::RotatedAwayUsed { token, client, at: now })
            }
            _ => None,
        }
    }

    /// The token that was named, where a known one was: by whoever presented it, rightly or not.
    #[must_use]
    pub const fn token(&self) -> Option<TokenId> {
        self.token
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the token was refused")
    }
}

impl core::error::Error for Refusal {}

/// Why a token was refused, for operators only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum RefusalReason {
    /// Not a token of a known kind, or a digit of it is wrong.
    #[error("not a token")]
    Malformed,
    /// The replica cannot prove that it is recent enough: look at the store and at who drives the replica.
    #[error("the replica is stale")]
    Stale,
    /// A record on which every answer depends cannot be read: look at the replica's poisoned records.
    #[error("a revocation record cannot be read")]
    Damaged,
    /// No token has this id.
    #[error("unknown token")]
    Unknown,
    /// The token exists, the secret is another one.
    #[error("wrong secret")]
    Secret,
    /// The right secret for this id, under another kind's prefix.
    #[error("wrong prefix")]
    Kind,
    /// The digest was made with a pepper this vault does not have.
    #[error("the pepper of this token is gone")]
    Pepper,
    /// A secret that was rotated away and whose overlap is over. Whoever uses it has an old copy: a forgotten
    /// deployment, or a thief.
    #[error("the secret was rotated away")]
    RotatedAway,
    /// Its end has come.
    #[error("expired")]
    Expired,
    /// Not used for longer than its idle limit.
    #[error("idle for too long")]
    Idle,
    /// Revoked.
    #[error("revoked")]
    Revoked,
    /// Held back until someone has looked.
    #[error("quarantined")]
    Quarantined,
    /// All tokens of its owner up to some point were revoked.
    #[error("all tokens of the owner were revoked")]
    OwnerRevoked,
    /// All tokens at or above its home up to some point were revoked.
    #[error("all tokens of the scope were revoked")]
    ScopeRevoked,
    /// The token that issued it, or one further up, is revoked, expired, gone, or has renounced its issue.
    #[error("the issuing token is dead")]
    Lineage,
    /// The owner is disabled or unknown.
    #[error("the owner is not active")]
    Owner,
    /// Used from outside its networks, or from nowhere known.
    #[error("not from an allowed network")]
    Network,
    /// Used as often as it may be.
    #[error("used up")]
    UsedUp,
    /// The token is limited in uses: verify it with the store, which counts them.
    #[error("a token limited in uses must be counted")]
    NotCounted,
    /// What its ancestors allow together cannot be said within the bounds of a restriction.
    #[error("the restrictions cannot be intersected")]
    Restriction,
    /// Signed by another, or for another.
    #[error("another issuer or audience")]
    Audience,
    /// Signed for a time to come.
    #[error("not valid yet")]
    NotYet,
    /// Narrowed by its holder, from a token that was not issued as delegable.
    #[error("the token is not delegable")]
    NotDelegable,
    /// Too many failures from this source.
    #[error("too many failures from this source; again in {retry_after:?}")]
    RateLimited {
        /// When the source may try again.
        retry_after: Duration,
    },
}
