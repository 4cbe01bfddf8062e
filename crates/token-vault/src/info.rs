use core_types::{Limit, Principal, Restriction, Scope, Subject, TokenId, UnixTime};
use serde::Serialize;

use crate::entry::Entry;
use crate::format::{Prefix, Redacted};
use crate::network::Network;
use crate::record::{TokenRecord, TokenState};

/// Everything about a token but its secret and the digest of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TokenInfo {
    /// Its public id.
    pub id: TokenId,
    /// What its owner calls it.
    pub name: Box<str>,
    /// Its kind.
    pub kind: Prefix,
    /// Whose rights it uses, as far as they are live.
    pub owner: Subject,
    /// Where it belongs: it is listed and revoked with this scope.
    pub home: Scope,
    /// Who issued it.
    pub creator: Principal,
    /// The upper bound on what it allows, and its end.
    pub restriction: Restriction,
    /// Where it may be used from.
    pub networks: Limit<Vec<Network>>,
    /// After how many milliseconds without use it ends.
    pub idle_millis: Limit<u64>,
    /// How often it may be used.
    pub use_limit: Limit<u64>,
    /// When it was issued.
    pub created_at: UnixTime,
    /// Whether it is good, as far as it alone is concerned.
    pub state: TokenState,
    /// How often its secret was rotated.
    pub generation: u32,
    /// Until when a rotated-away secret is still accepted.
    pub overlap_until: Option<UnixTime>,
    /// The token that issued it.
    pub parent: Option<TokenId>,
    /// When its secret should have been rotated.
    pub rotate_by: Option<UnixTime>,
    /// When it was last used, as of the last batch of usage.
    pub last_used_at: Option<UnixTime>,
    /// How often it was used, as of the last batch of usage.
    pub uses: u64,
    /// How often its id came with a wrong secret, as of the last batch of usage.
    pub failures: u64,
}

impl TokenInfo {
    pub(crate) fn new(id: TokenId, entry: &Entry) -> Self {
        Self::of_record(&entry.to_record(id))
    }

    pub(crate) fn of_record(record: &TokenRecord) -> Self {
        Self {
            id: record.id,
            name: record.name.clone(),
            kind: record.kind.clone(),
            owner: record.owner,
            home: record.home.clone(),
            creator: record.extra.creator,
            restriction: record.restriction.clone(),
            networks: record.extra.networks.clone(),
            idle_millis: record.extra.idle_millis,
            use_limit: record.extra.uses,
            created_at: record.created_at,
            state: record.extra.state,
            generation: record.generation,
            overlap_until: record.extra.retired.iter().map(|retired| retired.valid_until).max(),
            parent: record.extra.parent.map(|parent| parent.id),
            rotate_by: record.extra.rotate_by,
            last_used_at: None,
            uses: 0,
            failures: 0,
        }
    }

    /// A name for the token that is safe to show: its prefix and the end of its public id.
    #[must_use]
    pub fn redacted(&self) -> Redacted {
        Redacted::new(&self.kind, self.id)
    }
}
