use core::time::Duration;

use core_types::{Limit, Principal, TokenId, UnixTime};
use state_store::{Batch, BatchError, Commit, Key, Revision, StateStore, Write, record};

use super::Vault;
use super::revoke::Many;
use crate::error::RevokeError;
use crate::record::{HEARTBEAT, HeartbeatRecord, RevocationReason, TokenRecord, TokenState, token_key};

/// How often a revocation is planned anew when others change the same records at the same time.
pub const MAX_REVOKE_ATTEMPTS: u32 = 16;

/// Proof that a revocation is in the store, and where in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use]
pub struct Receipt {
    revision: Revision,
}

impl Receipt {
    /// The receipt of a commit.
    pub const fn new(revision: Revision) -> Self {
        Self { revision }
    }

    /// A replica that has applied this revision knows of the revocation.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }
}

/// For what waits for a revision.
impl From<Receipt> for Revision {
    fn from(receipt: Receipt) -> Self {
        receipt.revision
    }
}

/// What one vault of the fleet last said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its name.
    pub name: Box<str>,
    /// What it had applied by then.
    pub applied: Revision,
    /// When it said so, by its clock.
    pub at: UnixTime,
    /// Whether it is known to have applied the receipt's revision.
    pub standing: Applied,
}

/// Whether a vault has applied a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a fourth answer must break whoever asks")]
pub enum Applied {
    /// It has.
    Yes,
    /// It was heard of within the lease, and had not by then.
    NotYet,
    /// It was not heard of within the lease. If its own staleness bound is no longer than that, it refuses.
    Silent,
}

impl Vault {
    /// Waits until this process has applied a receipt: from then on every verify here knows.
    pub async fn await_applied(&self, receipt: Receipt) {
        self.shared.replica.applied(receipt.revision).await;
    }

    /// What each vault that sends heartbeats is known to have applied, in order of their names, as far as
    /// this one has heard. `lease` is how long a heartbeat counts.
    #[must_use]
    pub fn fleet(&self, receipt: Receipt, lease: Duration, now: UnixTime) -> Vec<Member> {
        let snapshot = self.snapshot();
        let members = snapshot.view().heartbeats().map(|(name, beat)| {
            let standing = if beat.applied >= receipt.revision {
                Applied::Yes
            } else if now.saturating_since(beat.at) <= lease {
                Applied::NotYet
            } else {
                Applied::Silent
            };
            Member { name: name.into(), applied: beat.applied, at: beat.at, standing }
        });
        members.collect()
    }

    /// Says under `name` (1 to 64 characters of `[a-z0-9-]`) what this vault has applied. Commit it every
    /// second or so, once the replica has been confirmed.
    ///
    /// # Errors
    /// [`RevokeError::Plan`] when the name is none.
    pub fn plan_heartbeat(&self, name: &str, now: UnixTime) -> Result<Batch, RevokeError> {
        let applied = self.snapshot().revision();
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=MAX_VAULT_NAME).contains(&name.len()) || !name.bytes().all(allowed) {
            return Err(RevokeError::Plan(crate::PlanError::NotApplicable));
        }
        let key = Key::new(format!("{HEARTBEAT}{name}")).map_err(BatchError::from)?;
        let value = record::encode(&HeartbeatRecord { applied, at: now })?;
        let mut batch = Batch::new();
        batch.write(key, Write::Put(value))?;
        Ok(batch)
    }

    /// Revokes a token in the store itself, whatever the replica knows, and returns the proof.
    ///
    /// # Errors
    /// [`RevokeError`]. After [`RevokeError::Unavailable`] it is not known whether the token is revoked: call
    /// again, which is harmless.
    pub async fn revoke<S: StateStore>(
        &self,
        store: &S,
        id: TokenId,
        by: Principal,
        reason: RevocationReason,
        now: UnixTime,
    ) -> Result<Receipt, RevokeError> {
        let key = token_key(id).map_err(BatchError::from)?;
        for _ in 0..MAX_REVOKE_ATTEMPTS {
            let entry = store.get(&key).await.map_err(|_| RevokeError::Unavailable)?;
            let entry = entry.ok_or(RevokeError::Plan(crate::PlanError::NotFound))?;
            let mut record = TokenRecord::decode(&entry.value)?;
            if matches!(record.extra.state, TokenState::Revoked(_)) {
                return Ok(Receipt::new(entry.revision));
            }
            record.extra.state = TokenState::Revoked(crate::record::Cause { at: now, by, reason });
            let mut batch = Batch::new();
            batch.replace(key.clone(), entry.revision, record.encode()?)?;
            match store.commit(batch).await {
                Ok(Commit::Committed(revision)) => return Ok(Receipt::new(revision)),
                Ok(Commit::Conflict(_)) => {}
                Err(_) => return Err(RevokeError::Unavailable),
            }
        }
        Err(RevokeError::Unavailable)
    }

    /// Commits [`plan_revoke_many`](Self::plan_revoke_many), anew as often as others come before it, and
    /// returns the proof. The replica's driver must be running.
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke).
    pub async fn revoke_many<S: StateStore>(
        &self,
        store: &S,
        many: &Many,
        issued_before: Limit<UnixTime>,
        by: Principal,
        reason: RevocationReason,
        now: UnixTime,
    ) -> Result<Receipt, RevokeError> {
        for _ in 0..MAX_REVOKE_ATTEMPTS {
            let plan =
                self.plan_revoke_many(many, issued_before, by, reason, now).map_err(RevokeError::Plan)?;
            match store.commit(plan.batch).await {
                Ok(Commit::Committed(revision)) => return Ok(Receipt::new(revision)),
                Ok(Commit::Conflict(_)) => {
                    let page = store.scan(&state_store::Prefix::all(), None, 0).await;
                    let head = page.map_err(|_| RevokeError::Unavailable)?.revision;
                    self.shared.replica.applied(head).await;
                }
                Err(_) => return Err(RevokeError::Unavailable),
            }
        }
        Err(RevokeError::Unavailable)
    }
}

const MAX_VAULT_NAME: usize = 64;
