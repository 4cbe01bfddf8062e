use core_types::{Grant, Id, Limit, PermissionPattern, Restriction, Scope, SecureRandom};

use super::draft::{Draft, readable};
use super::guard::Given;
use super::{MAX_TRUSTS_BETWEEN, Planned, Planner};
use crate::directory::Kept;
use crate::error::WriteError;
use crate::holder::TrustId;
use crate::key::Place;
use crate::record::{TrustRecord, TrustState};

impl Planner<'_> {
    /// Plans that the tenant `truster` offer to let in the subjects that are at home in the tenant `trusted`: what is
    /// bound to them there counts then, as far as the limit lists it. The caller must hold all that the limit lists,
    /// for as long. Nobody is let in before the other side accepts.
    ///
    /// # Errors
    /// [`WriteError::NoTenants`], [`WriteError::AlreadyExpired`], [`WriteError::Escalation`],
    /// [`WriteError::TooMany`], or about the caller.
    pub fn offer_trust(
        &self,
        (truster, trusted): (Scope, Scope),
        limit: Restriction,
        rng: &dyn SecureRandom,
    ) -> Result<Planned<TrustId>, WriteError> {
        let id = Id::generate(self.now, rng)?;
        if truster.depth() != 1 || trusted.depth() != 1 || truster == trusted {
            return Err(WriteError::NoTenants);
        }
        if limit.is_expired(self.now) {
            return Err(WriteError::AlreadyExpired);
        }
        let everything = [Grant::new(PermissionPattern::all(), truster.clone())];
        let listed = match limit.grants() {
            Limit::Unlimited => &everything[..],
            Limit::Only(grants) => grants,
        };
        if !listed.iter().all(|grant| truster.contains(&grant.scope)) {
            return Err(WriteError::NoTenants);
        }
        let mut draft = self.begin()?;
        for grant in listed {
            let given = Given::always(&grant.permissions, &grant.scope);
            self.guard(&mut draft, Given { until: limit.expires_at(), ..given })?;
        }
        let others = self.directory.trusts.between(truster.as_path(), trusted.as_path());
        if others.count() >= MAX_TRUSTS_BETWEEN {
            return Err(WriteError::TooMany { what: "trusts of two tenants", limit: MAX_TRUSTS_BETWEEN });
        }
        draft.create(Place::Trust(id), &TrustRecord::new(id, truster, trusted, limit))?;
        Ok(draft.finish(id))
    }

    /// Plans that the trusted side accept; the caller must hold everything in the trusted tenant.
    ///
    /// # Errors
    /// [`WriteError::Escalation`], [`WriteError::UnknownTrust`], [`WriteError::Unreadable`],
    /// [`WriteError::Unchanged`], or about the caller.
    pub fn accept_trust(&self, trust: TrustId) -> Result<Planned<()>, WriteError> {
        let kept = self.known_trust(trust)?;
        let mut draft = self.begin()?;
        if kept.record.state == TrustState::Accepted {
            return Err(WriteError::Unchanged);
        }
        self.guard(&mut draft, Given::always(&PermissionPattern::all(), &kept.record.trusted))?;
        let record = TrustRecord { state: TrustState::Accepted, ..kept.record.clone() };
        draft.replace(Place::Trust(trust), kept.revision, &record)?;
        Ok(draft.finish(()))
    }

    /// Plans that the trust be no more: either side may say so, and nobody comes to be allowed anything by it.
    ///
    /// # Errors
    /// [`WriteError::UnknownTrust`], [`WriteError::Unreadable`], or about the caller.
    pub fn withdraw_trust(&self, trust: TrustId) -> Result<Planned<()>, WriteError> {
        let kept = self.known_trust(trust)?;
        let mut draft: Draft = self.begin()?;
        draft.remove(Place::Trust(trust), kept.revision)?;
        Ok(draft.finish(()))
    }

    fn known_trust(&self, trust: TrustId) -> Result<&Kept<TrustRecord>, WriteError> {
        readable(self.directory.trusts.get(trust), "trust", WriteError::UnknownTrust(trust))
    }
}
