use core_types::{Principal, Subject, TokenId, UnixTime};

use super::revoke::Change;
use super::verify::{Secret, check_root, check_secret};
use super::{ManyRevoked, TokenInfo, Vault};
use crate::attenuated::Parsed;
use crate::error::PlanError;
use crate::record::{RevocationReason, TokenState};
use crate::service::{KeySet, Name, recognize};
use crate::view::TokenView;

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

/// What the report of a signed token comes to.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum SignedLeakOutcome {
    /// None of these keys signed it.
    NotOurs,
    /// One of them did. Tell whoever is responsible for its subject.
    Ours {
        /// Its own name.
        jti: Name,
        /// The name of the key that signed it.
        kid: Name,
        /// Whose rights it uses.
        subject: Subject,
        /// Its end.
        expires_at: UnixTime,
        /// What to commit; `None` when it asks for nothing, or the token is dead already.
        change: Option<Box<ManyRevoked>>,
    },
}

impl Vault {
    /// What to do about a text that was found in the open: a token, one its holder narrowed, or an imported key.
    /// Only whoever shows the secret is heard. A narrowed token leads to the one it was made of, and what is done
    /// is done to that.
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
        let snapshot = self.snapshot();
        let Some((id, secret)) = self.recognize(snapshot.view(), found, now) else {
            return Ok(LeakOutcome::NotOurs);
        };
        let Some(entry) = snapshot.view().token(id) else { return Ok(LeakOutcome::NotOurs) };
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

    /// What to do about a signed token that was found in the open. Only one that one of `keys` signed is heard,
    /// whatever its times and whomever it is for. There is no holding back of signed tokens: where the policy says
    /// so, it is revoked.
    ///
    /// # Errors
    /// [`PlanError`] when the revocation cannot be planned.
    pub fn plan_signed_leak(
        &self,
        keys: &KeySet,
        found: &str,
        policy: LeakPolicy,
        by: Principal,
        now: UnixTime,
    ) -> Result<SignedLeakOutcome, PlanError> {
        let Some(token) = recognize(keys, found, now) else { return Ok(SignedLeakOutcome::NotOurs) };
        let snapshot = self.snapshot();
        let view = snapshot.view();
        let is_dead = now >= token.expires_at
            || token.is_retired
            || view.is_service_token_revoked(token.id.as_str())
            || view.is_service_key_revoked(token.key.as_str())
            || view.markers().kills_signed(token.subject, token.issued_at);
        let change = if is_dead || policy == LeakPolicy::Notify {
            None
        } else {
            let reason = RevocationReason::Leaked;
            Some(Box::new(self.plan_revoke_service_token(&token.id, token.expires_at, by, reason, now)?))
        };
        Ok(SignedLeakOutcome::Ours {
            jti: token.id,
            kid: token.key,
            subject: token.subject,
            expires_at: token.expires_at,
            change,
        })
    }

    /// Of which token a text is or was a secret.
    fn recognize(&self, view: &TokenView, found: &str, now: UnixTime) -> Option<(TokenId, Secret)> {
        let peppers = self.shared.peppers.load();
        let (id, secret) = match self.read(found) {
            Some(presented) => {
                let message = presented.message()?;
                let entry = view.token(presented.id)?;
                (presented.id, check_secret(&peppers, Some(&entry), &message, now))
            }
            None => {
                let parsed = Parsed::of(&self.shared.format, found)?;
                parsed.restrictions()?;
                let entry = view.token(parsed.id)?;
                (parsed.id, check_root(&peppers, parsed.id, Some(&entry), &parsed, now))
            }
        };
        matches!(secret, Secret::Current | Secret::Overlapping | Secret::RotatedAway).then_some((id, secret))
    }
}
