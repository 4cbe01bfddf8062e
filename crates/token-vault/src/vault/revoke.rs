use core_types::{Limit, Principal, Scope, Subject, TokenId, UnixTime};
use state_store::{Batch, BatchError, Expect, Key, Revision, Value, Write, record};

use super::Vault;
use crate::error::PlanError;
use crate::event::TokenEvent;
use crate::info::TokenInfo;
use crate::record::{
    Cause, Cut, EPOCH, EpochRecord, MAX_CUTS, MarkerRecord, RevocationReason, TokenRecord, TokenState,
    token_key,
};
use crate::view::MarkerPlace;

/// A change of a token that takes effect once its batch is committed.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct Change {
    /// What to commit.
    pub batch: Batch,
    /// What to tell the audit log.
    pub event: TokenEvent,
    /// The token as it will be.
    pub info: TokenInfo,
}

/// Which tokens to revoke together. Those issued later are not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Many {
    /// All there are.
    All,
    /// All of an owner.
    OwnedBy(Subject),
    /// All at home in a scope or below it: a project's.
    AtHomeIn(Scope),
}

/// A revocation of many that takes effect once its batch is committed.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct ManyRevoked {
    /// What to commit: two records, however many tokens there are.
    pub batch: Batch,
    /// What to tell the audit log.
    pub event: TokenEvent,
}

impl Vault {
    /// Revokes one token, and with it all that it issued. Its record stays, as a tombstone.
    ///
    /// # Errors
    /// [`PlanError::NotFound`]; [`PlanError::Unchanged`] when it is revoked already.
    pub fn plan_revoke(
        &self,
        id: TokenId,
        by: Principal,
        reason: RevocationReason,
        now: UnixTime,
    ) -> Result<Change, PlanError> {
        let event = TokenEvent::Revoked { token: id, by, reason, at: now };
        self.plan_change(id, event, |record| match record.extra.state {
            TokenState::Revoked(_) => Err(PlanError::Unchanged),
            TokenState::Active | TokenState::Quarantined(_) => {
                record.extra.state = TokenState::Revoked(Cause { at: now, by, reason });
                Ok(())
            }
        })
    }

    /// Revokes all tokens of an owner, of a scope, or all there are, with one marker.
    ///
    /// It covers every token whose commit comes before this one's, and those whose issue was under way: a
    /// token carries the epoch its issuer knew, so no clock decides. With `issued_before` tokens that carry a
    /// later time of issue, by their issuer's clock, are spared.
    ///
    /// # Errors
    /// [`PlanError::Record`], [`PlanError::Batch`].
    pub fn plan_revoke_many(
        &self,
        many: &Many,
        issued_before: Limit<UnixTime>,
        by: Principal,
        reason: RevocationReason,
        now: UnixTime,
    ) -> Result<ManyRevoked, PlanError> {
        let snapshot = self.snapshot();
        let markers = snapshot.view().markers();
        let epoch = markers.epoch.checked_add(1).ok_or(PlanError::NotApplicable)?;
        let place = MarkerPlace::of(many);
        let known = markers.get(&place);
        let cut = Cut { epoch, issued_before, cause: Cause { at: now, by, reason } };
        let cuts = known.map_or(&[][..], |marker| &marker.cuts);
        let marker = MarkerRecord { cuts: with_cut(cuts, cut) };

        let mut batch = Batch::new();
        let epoch_key = Key::new(EPOCH).map_err(BatchError::from)?;
        let epoch_value = record::encode(&EpochRecord { epoch })?;
        put(&mut batch, epoch_key, markers.epoch_revision, epoch_value)?;
        let marker_key = place.key().map_err(BatchError::from)?;
        put(&mut batch, marker_key, known.map(|marker| marker.revision), record::encode(&marker)?)?;
        let (owner, home) = match many {
            Many::All => (None, None),
            Many::OwnedBy(owner) => (Some(*owner), None),
            Many::AtHomeIn(scope) => (None, Some(scope.clone())),
        };
        let issued_before = match issued_before {
            Limit::Unlimited => None,
            Limit::Only(instant) => Some(instant),
        };
        let event = TokenEvent::RevokedMany { owner, home, issued_before, by, reason, at: now };
        Ok(ManyRevoked { batch, event })
    }

    /// Changes a token's record as it is in the latest snapshot; the commit conflicts if it was another.
    pub(super) fn plan_change(
        &self,
        id: TokenId,
        event: TokenEvent,
        change: impl FnOnce(&mut TokenRecord) -> Result<(), PlanError>,
    ) -> Result<Change, PlanError> {
        let snapshot = self.snapshot();
        let entry = snapshot.view().token(id).ok_or(PlanError::NotFound)?;
        let mut record = entry.to_record(id);
        change(&mut record)?;
        let mut batch = Batch::new();
        let key = token_key(id).map_err(BatchError::from)?;
        batch.replace(key, entry.revision(), record.encode()?)?;
        Ok(Change { batch, event, info: TokenInfo::of_record(&record) })
    }
}

impl MarkerPlace {
    fn of(many: &Many) -> Self {
        match many {
            Many::All => Self::All,
            Many::OwnedBy(owner) => Self::Owner(*owner),
            Many::AtHomeIn(scope) => Self::Scope(scope.clone()),
        }
    }
}

/// Adds a cut; those it covers are dropped. Past the bound all become one that covers them all: stricter.
fn with_cut(cuts: &[Cut], new: Cut) -> Vec<Cut> {
    let mut all: Vec<Cut> = cuts.iter().filter(|cut| !covers(&new, cut)).copied().collect();
    if all.len() >= MAX_CUTS {
        let covering = all.iter().fold(new, |sum, cut| Cut {
            epoch: sum.epoch.max(cut.epoch),
            issued_before: later(sum.issued_before, cut.issued_before),
            cause: sum.cause,
        });
        return vec![covering];
    }
    all.push(new);
    all
}

/// Whether all that `other` kills `cut` kills.
fn covers(cut: &Cut, other: &Cut) -> bool {
    cut.epoch >= other.epoch && later(cut.issued_before, other.issued_before) == cut.issued_before
}

fn later(a: Limit<UnixTime>, b: Limit<UnixTime>) -> Limit<UnixTime> {
    match (a, b) {
        (Limit::Only(a), Limit::Only(b)) => Limit::Only(a.max(b)),
        _ => Limit::Unlimited,
    }
}

/// Writes over what was last seen there.
fn put(batch: &mut Batch, key: Key, seen: Option<Revision>, value: Value) -> Result<(), BatchError> {
    batch.require(key.clone(), seen.map_or(Expect::Absent, Expect::Revision))?;
    batch.write(key, Write::Put(value))
}
