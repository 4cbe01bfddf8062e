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
}
