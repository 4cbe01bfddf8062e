use std::collections::BTreeSet;

use core_types::{Id, Limit, Scope, SecureRandom};

use super::draft::readable;
use super::guard::{Bond, Given};
use super::policies::denies;
use super::{MAX_POLICIES_PER_ROLE, Planned, Planner};
use crate::directory::Kept;
use crate::error::WriteError;
use crate::holder::{PolicyId, RoleId};
use crate::key::{Place, Stamped};
use crate::name::Name;
use crate::pattern_set::PatternSet;
use crate::record::RoleRecord;

impl Planner<'_> {
    /// Plans a role that can be bound at `home` and below; the caller must hold all of it there.
    ///
    /// # Errors
    /// [`WriteError::Escalation`], or about the caller.
    pub fn create_role(
        &self,
        name: Name,
        home: Scope,
        permissions: PatternSet,
        rng: &dyn SecureRandom,
    ) -> Result<Planned<RoleId>, WriteError> {
        let id = Id::generate(self.now, rng)?;
        let mut draft = self.begin()?;
        for pattern in permissions.iter() {
            self.guard(&mut draft, Given::always(pattern, &home))?;
        }
        let policies = BTreeSet::new();
        draft.create(Place::Role(id), &RoleRecord { id, name, home, permissions, policies })?;
        Ok(draft.finish(id))
    }

    /// Plans that the role permit this from now on; the caller must hold, at the home of the role and without
    /// end, all of it that is new. (The role can be bound nowhere else, so this holds for every binding of
    /// it, those included that are made at the same time.)
    ///
    /// # Errors
    /// [`WriteError::Escalation`], [`WriteError::UnknownRole`], [`WriteError::Unreadable`],
    /// [`WriteError::Unchanged`], or about the caller.
    pub fn update_role(&self, role: RoleId, permissions: PatternSet) -> Result<Planned<()>, WriteError> {
        let kept = self.known_role(role)?;
        let mut draft = self.begin()?;
        if kept.record.permissions == permissions {
            return Err(WriteError::Unchanged);
        }
        for pattern in permissions.iter().filter(|pattern| !kept.record.permissions.contains(pattern)) {
            self.guard(&mut draft, Given::always(pattern, &kept.record.home))?;
        }
        let record = RoleRecord { permissions, ..kept.record.clone() };
        draft.replace(Place::Role(role), kept.revision, &record)?;
        Ok(draft.finish(()))
    }

    /// Plans that the policy come with the role, wherever that is bound; the caller must hold, at the home of
    /// the role and without end, all that the policy allows.
    ///
    /// # Errors
    /// [`WriteError::Escalation`], [`WriteError::UnknownRole`], [`WriteError::UnknownPolicy`],
    /// [`WriteError::Unreadable`], [`WriteError::OutsideHome`] when the policy is not for all of the role's
    /// home, [`WriteError::TooMany`], [`WriteError::Unchanged`], or about the caller.
    pub fn attach_policy(&self, role: RoleId, policy: PolicyId) -> Result<Planned<()>, WriteError> {
        let kept = self.known_role(role)?;
        let attached = self.known_policy(policy)?;
        let mut draft = self.begin()?;
        let mut record = kept.record.clone();
        if !attached.record.home.contains(&record.home) {
            return Err(WriteError::OutsideHome);
        }
        if record.policies.len() >= MAX_POLICIES_PER_ROLE {
            return Err(WriteError::TooMany { what: "policies of one role", limit: MAX_POLICIES_PER_ROLE });
        }
        if !record.policies.insert(policy) {
            return Err(WriteError::Unchanged);
        }
        self.use_policy(&mut draft, attached)?;
        if let Some(number) = self.directory.number(policy.into()) {
            let everywhere = Bond { scope: &record.home, until: Limit::Unlimited };
            self.guard_bound(&mut draft, number, everywhere)?;
        }
        if denies(&attached.record.document) {
            draft.stamp(Stamped::Forbidding)?;
        }
        draft.replace(Place::Role(role), kept.revision, &record)?;
        Ok(draft.finish(()))
    }

    /// Plans that the policy come with the role no more; the caller must hold, at the home of the role and
    /// without end, all that the policy denies.
    ///
    /// # Errors
    /// [`WriteError::Escalation`], [`WriteError::UnknownRole`], [`WriteError::Unreadable`],
    /// [`WriteError::Unchanged`], or about the caller.
    pub fn detach_policy(&self, role: RoleId, policy: PolicyId) -> Result<Planned<()>, WriteError> {
        let kept = self.known_role(role)?;
        let mut draft = self.begin()?;
        let mut record = kept.record.clone();
        if !record.policies.remove(&policy) {
            return Err(WriteError::Unchanged);
        }
        if let Some(number) = self.directory.number(policy.into()) {
            let everywhere = Bond { scope: &record.home, until: Limit::Unlimited };
            self.guard_unbound(&mut draft, number, everywhere)?;
        }
        draft.replace(Place::Role(role), kept.revision, &record)?;
        Ok(draft.finish(()))
    }

    /// Plans that the role be no more.
    ///
    /// # Errors
    /// [`WriteError::InUse`] while it is bound, [`WriteError::UnknownRole`], [`WriteError::Unreadable`], or
    /// about the caller.
    pub fn delete_role(&self, role: RoleId) -> Result<Planned<()>, WriteError> {
        let kept = self.known_role(role)?;
        let mut draft = self.begin()?;
        let by = self.directory.roles.get(&role).map_or(0, |node| node.bindings);
        if by > 0 {
            return Err(WriteError::InUse { by });
        }
        draft.remove(Place::Role(role), kept.revision)?;
        draft.rest_on_stamp(Stamped::Role(role), self)?;
        Ok(draft.finish(()))
    }

    pub(super) fn known_role(&self, role: RoleId) -> Result<&Kept<RoleRecord>, WriteError> {
        let slot = self.directory.roles.get(&role).map(|node| &node.record);
        readable(slot, "role", WriteError::UnknownRole(role))
    }
}
