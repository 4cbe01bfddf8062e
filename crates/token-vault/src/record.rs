//! What is stored, and where.
//!
//! ```text
//! token-vault/token/tok_…              StoredToken    one per token; revoking writes, never deletes
//! token-vault/usage/tok_…              UsageRecord    written in batches, long after the use
//! token-vault/revoked/all              MarkerRecord   all tokens up to an epoch
//! token-vault/revoked/owner/usr_…      MarkerRecord   an owner's tokens up to an epoch
//! token-vault/revoked/scope/project/x  MarkerRecord   the tokens at home in a scope up to an epoch
//! token-vault/epoch                    EpochRecord    the last epoch that was used
//! token-vault/vault/…                  HeartbeatRecord  what each vault has applied
//! token-vault/service/token/…          ServiceRevocationRecord  a signed token that was revoked, by its jti
//! token-vault/service/key/…            ServiceRevocationRecord  a key that was revoked, by its kid
//! ```
//!
//! Epochs count the revocations of many. A token carries the epoch its issuer knew of; a marker kills what
//! carries a lower one than its own. So a token whose issue was under way while all of its owner's were
//! revoked is dead on arrival, whatever the clocks say.

use core_types::{Grant, Limit, Principal, Restriction, Scope, Subject, TokenId, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use state_store::{Key, LimitError, Record, RecordError, Revision, Value, record};

use crate::entry::{Extra, Profile};
use crate::format::Prefix;
use crate::pepper::{Digest, PepperVersion};

/// What everything in the store begins with.
pub const KEY_PREFIX: &str = "token-vault/";

pub(crate) const TOKEN: &str = "token-vault/token/";
pub(crate) const USAGE: &str = "token-vault/usage/";
pub(crate) const MARKER_ALL: &str = "token-vault/revoked/all";
pub(crate) const MARKER_OWNER: &str = "token-vault/revoked/owner/";
pub(crate) const MARKER_SCOPE: &str = "token-vault/revoked/scope/";
pub(crate) const EPOCH: &str = "token-vault/epoch";
pub(crate) const SERVICE_TOKEN: &str = "token-vault/service/token/";
pub(crate) const SERVICE_KEY: &str = "token-vault/service/key/";
pub(crate) const HEARTBEAT: &str = "token-vault/vault/";

pub(crate) fn token_key(id: TokenId) -> Result<Key, LimitError> {
    Key::new(format!("{TOKEN}{id}"))
}

/// A token as it is known: everything but its secret.
#[derive(Debug, Clone)]
pub(crate) struct TokenRecord {
    pub(crate) id: TokenId,
    pub(crate) name: Box<str>,
    pub(crate) kind: Prefix,
    pub(crate) owner: Subject,
    pub(crate) home: Scope,
    pub(crate) restriction: Restriction,
    pub(crate) created_at: UnixTime,
    pub(crate) epoch: u64,
    pub(crate) generation: u32,
    pub(crate) secret: StoredSecret,
    pub(crate) extra: Extra,
}

impl TokenRecord {
    /// The value that holds it.
    pub(crate) fn encode(&self) -> Result<Value, RecordError> {
        let profile = StoredProfile {
            kind: self.kind.clone(),
            home: self.home.clone(),
            grants: match self.restriction.grants() {
                Limit::Unlimited => Limit::Unlimited,
                Limit::Only(grants) => Limit::Only(grants.to_vec()),
            },
        };
        record::encode(&StoredToken {
            id: self.id,
            name: self.name.clone(),
            owner: self.owner,
            profile: to_raw_value(&profile).map_err(|_| inconsistent("its profile cannot be written"))?,
            expires_at: self.restriction.expires_at(),
            created_at: self.created_at,
            epoch: self.epoch,
            generation: self.generation,
            secret: self.secret,
            more: (!self.extra.is_plain(self.owner)).then(|| Box::new(self.extra.clone())),
        })
    }

    /// The record that `value` holds.
    pub(crate) fn decode(value: &Value) -> Result<Self, RecordError> {
        let stored: StoredToken = record::decode(value)?;
        let profile = StoredProfile::read(stored.profile.get())?;
        let restriction = match stored.expires_at {
            Limit::Unlimited => profile.restriction,
            Limit::Only(at) => profile.restriction.expiring(at),
        };
        Ok(Self {
            id: stored.id,
            name: stored.name,
            kind: profile.kind,
            owner: stored.owner,
            home: profile.home,
            restriction,
            created_at: stored.created_at,
            epoch: stored.epoch,
            generation: stored.generation,
            secret: stored.secret,
            extra: stored.more.map_or_else(|| Extra::plain(stored.owner), |extra| *extra),
        })
    }
}

/// A token as it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredToken {
    pub(crate) id: TokenId,
    pub(crate) name: Box<str>,
    pub(crate) owner: Subject,
    // A `StoredProfile`. Unread: a million tokens have a few thousand profiles, each is read once.
    pub(crate) profile: Box<RawValue>,
    pub(crate) expires_at: Limit<UnixTime>,
    pub(crate) created_at: UnixTime,
    pub(crate) epoch: u64,
    pub(crate) generation: u32,
    pub(crate) secret: StoredSecret,
    // What only few tokens have.
    pub(crate) more: Option<Box<Extra>>,
}

impl Record for StoredToken {
    const KIND: &'static str = "token-vault/token";
    const VERSION: u32 = 1;
}

/// The part of a stored token that many have in common.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredProfile {
    kind: Prefix,
    home: Scope,
    grants: Limit<Vec<Grant>>,
}

impl StoredProfile {
    /// The profile of this text.
    pub(crate) fn read(text: &str) -> Result<Profile, RecordError> {
        let unreadable = || inconsistent("its profile cannot be read");
        let stored: Self = crate::json::read(text.as_bytes()).ok_or_else(unreadable)?;
        let restriction = match stored.grants {
            Limit::Unlimited => Restriction::unrestricted(),
            Limit::Only(grants) => Restriction::only(grants).map_err(|_| unreadable())?,
        };
        Ok(Profile { kind: stored.kind, home: stored.home, restriction })
    }
}

fn inconsistent(what: &'static str) -> RecordError {
    RecordError::Inconsistent { kind: StoredToken::KIND, what }
}

/// Whether a token is good, as far as it alone is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenState {
    /// It may be used.
    Active,
    /// It may not be used until it is released.
    Quarantined(Cause),
    /// It can never be used again.
    Revoked(Cause),
}

/// Who did something to a token, when, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "a value callers build")]
pub struct Cause {
    /// When.
    pub at: UnixTime,
    /// Who.
    pub by: Principal,
    /// Why.
    pub reason: RevocationReason,
}

/// Why tokens are revoked or held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RevocationReason {
    /// No longer needed.
    Unneeded,
    /// Found where it should not be.
    Leaked,
    /// Replaced by another.
    Superseded,
    /// The owner left, or was disabled.
    OwnerGone,
    /// The project, or another scope, was closed.
    ScopeClosed,
    /// An administrator's decision.
    Administrative,
}

/// The keyed digest of a secret, and how it was made.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredSecret {
    pub(crate) scheme: Scheme,
    pub(crate) pepper: PepperVersion,
    pub(crate) digest: Digest,
}

/// How a digest is made of what is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Scheme {
    /// A token of ours.
    #[serde(rename = "hmac-sha256:1")]
    Own,
    /// A key of another system, imported by its SHA-256.
    #[serde(rename = "hmac-sha256:1:sha256")]
    Foreign,
}

/// A secret that was rotated away.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetiredSecret {
    pub(crate) secret: StoredSecret,
    pub(crate) root: Option<Digest>,
    pub(crate) generation: u32,
    // The first instant at which it is no longer accepted.
    pub(crate) valid_until: UnixTime,
}

/// The token that issued this one, as it was then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParentLink {
    pub(crate) id: TokenId,
    pub(crate) lineage_epoch: u64,
    pub(crate) narrowed: u32,
    // How many tokens stand above this one.
    pub(crate) depth: u8,
}

/// How often and when a token was last used, as of the last batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageRecord {
    pub(crate) last_used_at: Option<UnixTime>,
    pub(crate) uses: u64,
    pub(crate) failures: u64,
}

impl Record for UsageRecord {
    const KIND: &'static str = "token-vault/usage";
    const VERSION: u32 = 1;
}

/// Kills all tokens it covers whose epoch is lower than a cut's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarkerRecord {
    pub(crate) cuts: Vec<Cut>,
}

impl Record for MarkerRecord {
    const KIND: &'static str = "token-vault/marker";
    const VERSION: u32 = 1;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cut {
    pub(crate) epoch: u64,
    // Tokens issued from this instant on are spared.
    pub(crate) issued_before: Limit<UnixTime>,
    pub(crate) cause: Cause,
}

/// The most cuts a marker holds before they are made one.
pub(crate) const MAX_CUTS: usize = 16;

/// The last epoch that was used.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EpochRecord {
    pub(crate) epoch: u64,
}

impl Record for EpochRecord {
    const KIND: &'static str = "token-vault/epoch";
    const VERSION: u32 = 1;
}

/// What a vault has applied.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeartbeatRecord {
    pub(crate) applied: Revision,
    pub(crate) at: UnixTime,
}

impl Record for HeartbeatRecord {
    const KIND: &'static str = "token-vault/vault";
    const VERSION: u32 = 1;
}

/// A signed token, or a key, that is no longer accepted.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceRevocationRecord {
    // The end of the token; a key has none.
    pub(crate) until: Option<UnixTime>,
    pub(crate) cause: Cause,
}

impl Record for ServiceRevocationRecord {
    const KIND: &'static str = "token-vault/service-revocation";
    const VERSION: u32 = 1;
}
