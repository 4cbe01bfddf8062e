use core::time::Duration;

use core_types::{Limit, UnixTime};
use state_store::{Batch, BatchError, Commit, Expect, Key, MAX_BATCH_WRITES, StateStore, Write, record};

use super::{Vault, VerifyContext};
use crate::error::{CountError, FlushError, Refusal, RefusalReason as Reason};
use crate::record::{USAGE, UsageRecord};
use crate::usage::Pending;
use crate::verified::VerifiedToken;

/// How often a counted use is tried when others count the same token at the same time.
pub const MAX_COUNT_ATTEMPTS: u32 = 16;

/// What a flush did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flushed {
    /// Tokens whose usage was written.
    pub written: usize,
    /// Tokens whose usage waits for the next flush.
    pub pending: usize,
    /// Uses and failures, since the vault was made, for which there was no room: raise the pace of flushes.
    pub lost: u64,
}

impl Vault {
    /// Writes one batch of usage: at most one write for each token used, and none sooner than `interval` after
    /// the last one for a token. A first use is written at once.
    ///
    /// Call it every few seconds, from one task, and again at the end. Nothing waits for it.
    ///
    /// # Errors
    /// [`FlushError`]; what was not written is kept for the next time. When it is not known whether it was
    /// written, it is kept too: counts may then be too high, never too low.
    pub async fn flush_usage<S: StateStore>(
        &self,
        store: &S,
        interval: Duration,
        now: UnixTime,
    ) -> Result<Flushed, FlushError> {
        let snapshot = self.snapshot();
        let view = snapshot.view();
        let ready = |id| {
            let written = view.usage(id).and_then(|(usage, _)| usage.last_used_at);
            written.is_none_or(|at| now.saturating_since(at) >= interval)
        };
        self.shared.usage.collect();
        let taken = self.shared.usage.take(MAX_BATCH_WRITES, ready);
        let mut batch = Batch::new();
        let mut outcome = Ok(());
        for (id, pending) in &taken {
            // Purged since: there is nothing to write it to.
            if view.token(*id).is_none() {
                continue;
            }
            let key = Key::new(format!("{USAGE}{id}")).map_err(BatchError::from);
            outcome = key
                .map_err(FlushError::from)
                .and_then(|key| add_usage(&mut batch, key, view.usage(*id), pending));
            if outcome.is_err() {
                break;
            }
        }
        let written = batch.writes().count();
        if outcome.is_ok() && written > 0 {
            outcome = match store.commit(batch).await {
                Ok(Commit::Committed(_)) => Ok(()),
                // Another vault wrote usage of the same token: the replica will have it at the next flush.
                Ok(Commit::Conflict(_)) => Err(FlushError::Conflict),
                Err(error) => Err(FlushError::Commit(error)),
            };
        }
        if let Err(error) = outcome {
            for (id, pending) in taken {
                self.shared.usage.add(id, pending);
            }
            return Err(error);
        }
        Ok(Flushed { written, pending: self.shared.usage.len(), lost: self.shared.usage.lost() })
    }

    /// As [`verify`](Self::verify), for any token: the use of one that is limited in uses is counted in the
    /// store before it is granted, so that no number of vaults together grants one too many. Other tokens
    /// take the way of [`verify_current`](Self::verify_current), without waiting where the replica is fresh.
    ///
    /// # Errors
    /// [`CountError::Refused`] as for `verify`; [`CountError::Store`] when the use could not be counted:
    /// refuse then.
    pub async fn verify_counted<S: StateStore>(
        &self,
        store: &S,
        presented: &str,
        context: &VerifyContext,
    ) -> Result<VerifiedToken, CountError> {
        let verified = self.verify_current_uncounted(presented, context).await?;
        let Some(Limit::Only(limit)) = verified.entry().extra().map(|extra| extra.uses) else {
            return Ok(verified);
        };
        let id = verified.id();
        let key = Key::new(format!("{USAGE}{id}")).map_err(|_| CountError::Store)?;
        for _ in 0..MAX_COUNT_ATTEMPTS {
            let entry = store.get(&key).await.map_err(|_| CountError::Store)?;
            let (mut usage, expect) = match &entry {
                None => (UsageRecord::default(), Expect::Absent),
                Some(entry) => (
                    record::decode(&entry.value).map_err(|_| CountError::Store)?,
                    Expect::Revision(entry.revision),
                ),
            };
            if usage.uses >= limit {
                return Err(Refusal::of(Reason::UsedUp, id).into());
            }
            usage.uses = usage.uses.saturating_add(1);
            usage.last_used_at = usage.last_used_at.max(Some(context.now()));
            let value = record::encode(&usage).map_err(|_| CountError::Store)?;
            let mut batch = Batch::new();
            batch.require(key.clone(), expect).map_err(|_| CountError::Store)?;
            batch.write(key.clone(), Write::Put(value)).map_err(|_| CountError::Store)?;
            match store.commit(batch).await {
                Ok(Commit::Committed(_)) => return Ok(verified),
                Ok(Commit::Conflict(_)) => {}
                Err(_) => return Err(CountError::Store),
            }
        }
        Err(CountError::Store)
    }
}

fn add_usage(
    batch: &mut Batch,
    key: Key,
    known: Option<&(UsageRecord, state_store::Revision)>,
    pending: &Pending,
) -> Result<(), FlushError> {
    let (known, expect) = match known {
        Some((usage, revision)) => (*usage, Expect::Revision(*revision)),
        None => (UsageRecord::default(), Expect::Absent),
    };
    let usage = UsageRecord {
        last_used_at: known.last_used_at.max(pending.last_used_at),
        uses: known.uses.saturating_add(pending.uses),
        failures: known.failures.saturating_add(pending.failures),
    };
    batch.require(key.clone(), expect)?;
    batch.write(key, Write::Put(record::encode(&usage)?))?;
    Ok(())
}
