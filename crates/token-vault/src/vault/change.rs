use core::time::Duration;

use core_types::{Limit, Principal, Restriction, TokenId, UnixTime};
use state_store::{Batch, BatchError, Key, MAX_BATCH_WRITES, Write};

use super::Vault;
use super::issue::allows_nothing;
use super::revoke::Change;
use crate::error::PlanError;
use crate::event::TokenEvent;
use crate::record::{Cause, RevocationReason, SERVICE_TOKEN, TokenState, USAGE, token_key};

/// How long after a token's end its record is kept, so that no clock of the fleet takes it for good again.
pub const PURGE_AFTER: Duration = Duration::from_secs(24 * 3600);

impl Vault {
    /// Holds a token back until [`plan_release`](Self::plan_release).
    ///
    /// # Errors
    /// [`PlanError::NotFound`], [`PlanError::Revoked`]; [`PlanError::Unchanged`] when it is held already.
    pub fn plan_quarantine(
        &self,
        id: TokenId,
        by: Principal,
        reason: RevocationReason,
        now: UnixTime,
    ) -> Result<Change, PlanError> {
        let event = TokenEvent::Quarantined { token: id, by, reason, at: now };
        self.plan_change(id, event, |record| match record.extra.state {
            TokenState::Revoked(_) => Err(PlanError::Revoked),
            TokenState::Quarantined(_) => Err(PlanError::Unchanged),
            TokenState::Active => {
                record.extra.state = TokenState::Quarantined(Cause { at: now, by, reason });
                Ok(())
            }
        })
    }

    /// Lets a token that is held back be used again.
    ///
    /// # Errors
    /// [`PlanError::NotFound`], [`PlanError::Revoked`]; [`PlanError::Unchanged`] when it is not held back.
    pub fn plan_release(&self, id: TokenId, by: Principal, now: UnixTime) -> Result<Change, PlanError> {
        let event = TokenEvent::Released { token: id, by, at: now };
        self.plan_change(id, event, |record| match record.extra.state {
            TokenState::Revoked(_) => Err(PlanError::Revoked),
            TokenState::Active => Err(PlanError::Unchanged),
            TokenState::Quarantined(_) => {
                record.extra.state = TokenState::Active;
                Ok(())
            }
        })
    }

    /// Leaves a token what it allows now *and* `bound` allows; likewise all that it issued, at their next use.
    ///
    /// # Errors
    /// [`PlanError::Widens`] when `bound` allows what the token does not; [`PlanError::NotApplicable`] when
    /// nothing would be left (revoke it then); [`PlanError::Unchanged`], [`PlanError::Revoked`],
    /// [`PlanError::NotFound`].
    pub fn plan_narrow(
        &self,
        id: TokenId,
        bound: &Restriction,
        by: Principal,
        now: UnixTime,
    ) -> Result<Change, PlanError> {
        let event = TokenEvent::Narrowed { token: id, by, at: now };
        self.plan_change(id, event, |record| {
            if matches!(record.extra.state, TokenState::Revoked(_)) {
                return Err(PlanError::Revoked);
            }
            // The end stays where it is unless the bound's is earlier.
            let bound = match record.restriction.expires_at() {
                Limit::Unlimited => bound.clone(),
                Limit::Only(end) => bound.clone().expiring(end),
            };
            if !record.restriction.contains(&bound) {
                return Err(PlanError::Widens);
            }
            if bound == record.restriction {
                return Err(PlanError::Unchanged);
            }
            if allows_nothing(&bound, now) {
                return Err(PlanError::NotApplicable);
            }
            record.restriction = bound;
            record.extra.narrowed = record.extra.narrowed.checked_add(1).ok_or(PlanError::NotApplicable)?;
            Ok(())
        })
    }

    /// Kills all that a token issued, and what those issued, with one write; the token itself stays good.
    ///
    /// # Errors
    /// [`PlanError::NotFound`].
    pub fn plan_revoke_descendants(
        &self,
        id: TokenId,
        by: Principal,
        reason: RevocationReason,
        now: UnixTime,
    ) -> Result<Change, PlanError> {
        let event = TokenEvent::DescendantsRevoked { token: id, by, reason, at: now };
        self.plan_change(id, event, |record| {
            record.extra.lineage_epoch =
                record.extra.lineage_epoch.checked_add(1).ok_or(PlanError::NotApplicable)?;
            Ok(())
        })
    }

    /// Removes records of tokens that ended more than [`PURGE_AFTER`] ago, as many as a batch holds. What was
    /// revoked without an end of its own is kept for ever.
    ///
    /// # Errors
    /// [`PlanError::Unchanged`] when there is none.
    pub fn plan_purge(&self, now: UnixTime) -> Result<Purge, PlanError> {
        let snapshot = self.snapshot();
        let mut purge = Purge { batch: Batch::new(), tokens: Vec::new() };
        let ended = now.saturating_sub(PURGE_AFTER);
        let over = snapshot.view().tokens().filter(|(_, entry)| entry.is_expired(ended));
        for (id, entry) in over.take(MAX_BATCH_WRITES / 2) {
            purge.batch.remove(token_key(id).map_err(BatchError::from)?, entry.revision())?;
            let usage = Key::new(format!("{USAGE}{id}")).map_err(BatchError::from)?;
            purge.batch.write(usage, Write::Delete)?;
            purge.tokens.push(id);
        }
        let room = MAX_BATCH_WRITES.saturating_sub(purge.batch.writes().count());
        for jti in snapshot.view().over_service_tokens(ended).take(room) {
            let key = Key::new(format!("{SERVICE_TOKEN}{jti}")).map_err(BatchError::from)?;
            purge.batch.write(key, Write::Delete)?;
        }
        if purge.batch.is_read_only() { Err(PlanError::Unchanged) } else { Ok(purge) }
    }
}

/// Records that are no longer needed.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct Purge {
    /// What to commit.
    pub batch: Batch,
    /// Whose records go.
    pub tokens: Vec<TokenId>,
}
