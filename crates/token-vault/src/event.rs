use core::net::IpAddr;

use core_types::{Principal, Scope, Subject, TokenId, UnixTime};
use serde::Serialize;

use crate::record::RevocationReason;

/// A transition of a token, for the audit log: ids, never secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[non_exhaustive]
pub enum TokenEvent {
    /// A token came to be.
    Issued {
        /// The token.
        token: TokenId,
        /// Whose rights it uses.
        owner: Subject,
        /// Who issued it.
        by: Principal,
        /// The token that issued it.
        parent: Option<TokenId>,
        /// When.
        at: UnixTime,
    },
    /// A token was revoked.
    Revoked {
        /// The token.
        token: TokenId,
        /// Who revoked it.
        by: Principal,
        /// Why.
        reason: RevocationReason,
        /// When.
        at: UnixTime,
    },
    /// Many tokens were revoked with one marker: an owner's, a scope's, or all.
    RevokedMany {
        /// Whose; anybody's where absent.
        owner: Option<Subject>,
        /// At home where; anywhere where absent.
        home: Option<Scope>,
        /// Issued before when; any time where absent.
        issued_before: Option<UnixTime>,
        /// Who revoked them.
        by: Principal,
        /// Why.
        reason: RevocationReason,
        /// When.
        at: UnixTime,
    },
    /// A token got a new secret.
    Rotated {
        /// The token.
        token: TokenId,
        /// How often it was rotated by now.
        generation: u32,
        /// Who did it.
        by: Principal,
        /// When.
        at: UnixTime,
    },
    /// A token's rotated-away secrets were cut off before their time.
    OverlapEnded {
        /// The token.
        token: TokenId,
        /// Who did it.
        by: Principal,
        /// When.
        at: UnixTime,
    },
    /// A token got another date by which to rotate it.
    RotationDue {
        /// The token.
        token: TokenId,
        /// The date.
        rotate_by: UnixTime,
        /// Who did it.
        by: Principal,
        /// When.
        at: UnixTime,
    },
    /// A secret that was rotated away and is dead was used: by a forgotten deployment, or by a thief.
    RotatedAwayUsed {
        /// The token.
        token: TokenId,
        /// From where, if known.
        client: Option<IpAddr>,
        /// When.
        at: UnixTime,
    },
    /// A token is held back.
    Quarantined {
        /// The token.
        token: TokenId,
        /// Who did it.
        by: Principal,
        /// Why.
        reason: RevocationReason,
        /// When.
        at: UnixTime,
    },
    /// A token is no longer held back.
    Released {
        /// The token.
        token: TokenId,
        /// Who did it.
        by: Principal,
        /// When.
        at: UnixTime,
    },
    /// A token allows less than before.
    Narrowed {
        /// The token.
        token: TokenId,
        /// Who did it.
        by: Principal,
        /// When.
        at: UnixTime,
    },
    /// All that a token issued was revoked.
    DescendantsRevoked {
        /// The token.
        token: TokenId,
        /// Who did it.
        by: Principal,
        /// Why.
        reason: RevocationReason,
        /// When.
        at: UnixTime,
    },
    /// A key of another system became a token.
    Imported {
        /// The token.
        token: TokenId,
        /// Whose rights it uses.
        owner: Subject,
        /// Who did it.
        by: Principal,
        /// When.
        at: UnixTime,
    },
    /// A signed token was revoked.
    ServiceTokenRevoked {
        /// Its `jti`.
        jti: Box<str>,
        /// Who did it.
        by: Principal,
        /// Why.
        reason: RevocationReason,
        /// When.
        at: UnixTime,
    },
    /// A key was revoked, and with it all it signed.
    ServiceKeyRevoked {
        /// Its `kid`.
        kid: Box<str>,
        /// Who did it.
        by: Principal,
        /// Why.
        reason: RevocationReason,
        /// When.
        at: UnixTime,
    },
}
