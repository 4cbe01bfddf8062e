use core_types::{Principal, UnixTime};

use super::revoke::Change;
use super::verify::{Secret, check_secret};
use super::{TokenInfo, Vault};
use crate::error::PlanError;
use crate::record::{RevocationReason, TokenState};

/// What to do about a token that was found where it should not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeakPolicy {
    /// Nothing but to tell its owner.
    Notify,
    /// Hold it back until someone has looked.
    Quarantine,
    /// Revoke it, and with it all it issued.
    Revoke,
}

/// What a leak report comes to.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum LeakOutcome {
    /// Not a secret of any token here: nobody's token dies because someone knows its id.
    NotOurs,
    /// The secret is or was a token's. Tell its owner.
    Ours {
        /// The token as it is.
        info: Box<TokenInfo>,
        /// What to commit; `None` when it asks for nothing, or that is the case already.
        change: Option<Box<Change>>,
    },
}

impl Vault {
    /// What to do about a text that was found in the open. Only whoever shows the secret is heard.
    ///
    /// A rotated-away secret that is dead asks for nothing but the telling.
    ///
    /// # Errors
    /// [`PlanError`] when the change cannot be planned.
    pub fn plan_leak(
        &self,
        found: &str,
        policy: LeakPolicy,
        by: Principal,
        now: UnixTime,
    ) -> Result<LeakOutcome, PlanError> {
        let Some(presented) = self.read(found) else { return Ok(LeakOutcome::NotOurs) };
        let Some(message) = presented.message() else { return Ok(LeakOutcome::NotOurs) };
        let id = presented.id;
        let snapshot = self.snapshot();
        let Some(entry) = snapshot.view().token(id) else { return Ok(LeakOutcome::NotOurs) };
        let peppers = self.shared.peppers.load();
        let secret = check_secret(&peppers, Some(&entry), &message, now);
        if matches!(secret, Secret::Wrong | Secret::NoPepper) {
            return Ok(LeakOutcome::NotOurs);
        }
        let info = Box::new(super::info(snapshot.view(), id, &entry));
        let is_dead = secret == Secret::RotatedAway || matches!(entry.state(), TokenState::Revoked(_));
        let reason = RevocationReason::Leaked;
        let change = match policy {
            _ if is_dead => None,
            LeakPolicy::Notify => None,
            LeakPolicy::Quarantine => match self.plan_quarantine(id, by, reason, now) {
                Ok(change) => Some(Box::new(change)),
                Err(PlanError::Unchanged) => None,
                Err(error) => return Err(error),
            },
            LeakPolicy::Revoke => Some(Box::new(self.plan_revoke(id, by, reason, now)?)),
        };
        Ok(LeakOutcome::Ours { info, change })
    }
}
