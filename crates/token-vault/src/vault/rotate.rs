use core::time::Duration;

use core_types::{Principal, SecureRandom, Subject, TokenId, UnixTime};
use serde::Serialize;
use state_store::{Batch, BatchError};

use super::revoke::Change;
use super::{MAX_LIST, Vault};
use crate::error::PlanError;
use crate::event::TokenEvent;
use crate::info::TokenInfo;
use crate::record::{RetiredSecret, TokenRecord, TokenState, token_key};
use crate::secret::{IssuedToken, TokenSecret};

/// The longest overlap: a rotated-away secret that lives longer was not rotated away.
pub const MAX_OVERLAP: Duration = Duration::from_secs(90 * 24 * 3600);
/// How many rotated-away secrets are remembered, to tell their reuse from a guess.
pub const MAX_RETIRED: usize = 4;

/// A new secret that takes effect once its batch is committed.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct Rotated {
    /// The plaintext: to be shown after the commit, once.
    pub token: IssuedToken,
    /// The token as it will be.
    pub info: TokenInfo,
    /// What to commit.
    pub batch: Batch,
    /// What to tell the audit log.
    pub event: TokenEvent,
}

impl Vault {
    /// Gives a token a new secret. The one before is accepted for `overlap` from `now`, then dead; for a leaked
    /// one, say zero. The id stays, and with it everything that refers to the token and all it issued.
    ///
    /// An overlap that runs already keeps its own end: rotating again lengthens nothing.
    ///
    /// # Errors
    /// [`PlanError::Revoked`]; [`PlanError::NotApplicable`] for an expired token or an overlap past
    /// [`MAX_OVERLAP`]; [`PlanError::NotFound`].
    pub fn plan_rotate(
        &self,
        id: TokenId,
        overlap: Duration,
        by: Principal,
        now: UnixTime,
        rng: &dyn SecureRandom,
    ) -> Result<Rotated, PlanError> {
        let snapshot = self.snapshot();
        let entry = snapshot.view().token(id).ok_or(PlanError::NotFound)?;
        let mut record = entry.to_record(id);
        if matches!(record.extra.state, TokenState::Revoked(_)) {
            return Err(PlanError::Revoked);
        }
        if record.restriction.is_expired(now) || overlap > MAX_OVERLAP || !self.format().knows(&record.kind) {
            return Err(PlanError::NotApplicable);
        }
        let secret = TokenSecret::generate(rng)?;
        retire(&mut record, now.saturating_add(overlap));
        record.secret = self.stored_secret(id, &secret);
        record.generation = record.generation.checked_add(1).ok_or(PlanError::NotApplicable)?;
        record.extra.root = record.extra.root.map(|_| self.sealed_root(id, record.generation, &secret));
        record.extra.rotate_by = None;
        let mut batch = Batch::new();
        let key = token_key(id).map_err(BatchError::from)?;
        batch.replace(key, entry.revision(), record.encode()?)?;
        let event = TokenEvent::Rotated { token: id, generation: record.generation, by, at: now };
        let token = IssuedToken::new(&record.kind, id, &secret);
        Ok(Rotated { token, info: TokenInfo::of_record(&record), batch, event })
    }

    /// Ends all overlaps of a token: only its newest secret is accepted from now on.
    ///
    /// # Errors
    /// [`PlanError::NotFound`]; [`PlanError::Unchanged`] when no overlap runs.
    pub fn plan_end_overlap(&self, id: TokenId, by: Principal, now: UnixTime) -> Result<Change, PlanError> {
        let event = TokenEvent::OverlapEnded { token: id, by, at: now };
        self.plan_change(id, event, |record| {
            let mut any = false;
            for retired in &mut record.extra.retired {
                any |= retired.valid_until > now;
                retired.valid_until = retired.valid_until.min(now);
            }
            if any { Ok(()) } else { Err(PlanError::Unchanged) }
        })
    }

    /// When a token's secret should have been rotated; nothing but reminders depends on it.
    ///
    /// # Errors
    /// [`PlanError::NotFound`], [`PlanError::Revoked`].
    pub fn plan_rotate_by(
        &self,
        id: TokenId,
        rotate_by: UnixTime,
        by: Principal,
        now: UnixTime,
    ) -> Result<Change, PlanError> {
        let event = TokenEvent::RotationDue { token: id, rotate_by, by, at: now };
        self.plan_change(id, event, |record| {
            if matches!(record.extra.state, TokenState::Revoked(_)) {
                return Err(PlanError::Revoked);
            }
            record.extra.rotate_by = Some(rotate_by);
            Ok(())
        })
    }

    /// The living tokens that want something of their owners before `now + within`, the most urgent first,
    /// [`MAX_LIST`] at most.
    #[must_use]
    pub fn reminders(&self, now: UnixTime, within: Duration) -> Vec<Reminder> {
        let horizon = now.saturating_add(within);
        let snapshot = self.snapshot();
        let mut reminders = Vec::new();
        for (id, entry) in snapshot.view().tokens() {
            if entry.state() != TokenState::Active || entry.is_expired(now) {
                continue;
            }
            let mut remind = |due, at: UnixTime| {
                if at <= horizon {
                    reminders.push(Reminder { at, due, token: id, owner: entry.owner() });
                }
            };
            if let core_types::Limit::Only(at) = entry.expires_at() {
                remind(Due::Expiry, at);
            }
            if let Some(at) = entry.extra().and_then(|extra| extra.rotate_by) {
                remind(Due::Rotation, at);
            }
            let retired = entry.extra().map_or(&[][..], |extra| &extra.retired);
            if let Some(at) = retired.iter().map(|retired| retired.valid_until).filter(|at| *at > now).max() {
                remind(Due::OverlapEnd, at);
            }
        }
        reminders.sort_unstable();
        reminders.truncate(MAX_LIST);
        reminders
    }
}

/// Something an owner should know of in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Reminder {
    /// When it happens or should have happened.
    pub at: UnixTime,
    /// What.
    pub due: Due,
    /// To which token.
    pub token: TokenId,
    /// Whose.
    pub owner: Subject,
}

/// What a reminder is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Due {
    /// A rotated-away secret stops working.
    OverlapEnd,
    /// The token ends.
    Expiry,
    /// The secret should be rotated.
    Rotation,
}

/// Moves the current secret to those that are accepted until `until`.
fn retire(record: &mut TokenRecord, until: UnixTime) {
    let retired = RetiredSecret {
        secret: record.secret,
        root: record.extra.root,
        generation: record.generation,
        valid_until: until,
    };
    record.extra.retired.push(retired);
    let excess = record.extra.retired.len().saturating_sub(MAX_RETIRED);
    record.extra.retired.drain(..excess);
}
