//! What is stored, and where.
//!
//! ```text
//! token-vault/token/tok_…              TokenRecord    one per token; revoking writes, never deletes
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

use core_types::{Limit, Principal, Restriction, Scope, Subject, TokenId, UnixTime};
use serde::{Deserialize, Serialize};
use state_store::{Key, LimitError, Record, Revision};

use crate::format::Prefix;
use crate::network::Network;
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

/// A token as it is stored: everything but its secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRecord {
    pub(crate) id: TokenId,
    pub(crate) name: Box<str>,
    pub(crate) kind: Prefix,
    pub(crate) owner: Subject,
    pub(crate) home: Scope,
    pub(crate) creator: Principal,
    pub(crate) restriction: Restriction,
    pub(crate) networks: Limit<Vec<Network>>,
    pub(crate) idle_millis: Limit<u64>,
    pub(crate) uses: Limit<u64>,
    pub(crate) created_at: UnixTime,
    pub(crate) epoch: u64,
    pub(crate) state: TokenState,
    pub(crate) generation: u32,
    pub(crate) secret: StoredSecret,
    // The root of tokens narrowed by holders, sealed; `None` where they are not accepted.
    pub(crate) root: Option<Digest>,
    pub(crate) retired: Vec<RetiredSecret>,
    pub(crate) parent: Option<ParentLink>,
    pub(crate) lineage_epoch: u64,
    pub(crate) narrowed: u32,
    pub(crate) rotate_by: Option<UnixTime>,
}

impl Record for TokenRecord {
    const KIND: &'static str = "token-vault/token";
    const VERSION: u32 = 1;
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
