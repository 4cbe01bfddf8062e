use core_types::{Id, Limit, Scope, SecureRandom, UnixTime};

use super::guard::Bond;
use super::{MAX_BINDINGS_PER_HOLDER, Planned, Planner};
use crate::directory::reaches;
use crate::error::WriteError;
use crate::holder::{BindingId, Holder, RoleRef};
use crate::key::{Place, Stamped};
use crate::record::BindingRecord;

impl Planner<'_> {
    /// Plans that the holder have the role or policy, at the scope and below, until `expires_at`; the caller must hold
    /// there all that it allows, for as long.
    ///
    /// # Errors
    /// [`WriteError::Escalation`], [`WriteError::UnknownRole`], [`WriteError::UnknownPolicy`],
    /// [`WriteError::UnknownSubject`],
    /// [`WriteError::UnknownGroup`], [`WriteError::Unreadable`], [`WriteError::OutsideHome`],
    /// [`WriteError::OtherTenant`], [`WriteError::AlreadyExpired`], [`WriteError::TooMany`], or about the
    /// caller.
    pub fn bind(
        &self,
        role: RoleRef,
        holder: Holder,
        scope: Scope,
        expires_at: Limit<UnixTime>,
        rng: &dyn SecureRandom,
    ) -> Result<Planned<BindingId>, WriteError> {
        let id = Id::generate(self.now, rng)?;
        let record = BindingRecord { id, role, holder, scope, expires_at };
        if record.is_expired(self.now) {
            return Err(WriteError::AlreadyExpired);
        }
        let mut draft = self.begin()?;
        let home = match role {
            RoleRef::BuiltIn(_) => None,
            RoleRef::Custom(role) => {
                let kept = self.known_role(role)?;
                draft.stamp(Stamped::Role(role))?;
                Some(&kept.record.home)
            }
            RoleRef::Policy(policy) => {
                let kept = self.known_policy(policy)?;
                self.use_policy(&mut draft, kept)?;
                Some(&kept.record.home)
            }
        };
        if home.is_some_and(|home| !home.contains(&record.scope)) {
            return Err(WriteError::OutsideHome);
        }
        self.rest_on_role(&mut draft, role)?;
        let (place, revision, home) = match holder {
            Holder::Subject(subject) => {
                let kept = self.known_subject(subject)?;
                (Place::Subject(subject), kept.revision, &kept.record.home)
            }
            Holder::Group(group) => {
                let kept = self.known_group(group)?;
                (Place::Group(group), kept.revision, &kept.record.home)
            }
        };
        // A trust that is withdrawn meanwhile makes the binding say nothing.
        if !reaches(home, &record.scope) && !self.directory.is_let_in(home, &record.scope, self.now) {
            return Err(WriteError::OtherTenant);
        }
        if self.directory.bindings_of(holder).nth(MAX_BINDINGS_PER_HOLDER.saturating_sub(1)).is_some() {
            return Err(WriteError::TooMany {
                what: "bindings of one holder",
                limit: MAX_BINDINGS_PER_HOLDER,
            });
        }
        draft.rest_on(place, revision)?;
        if let Some(number) = self.directory.number(role) {
            self.guard_bound(&mut draft, number, Bond { scope: &record.scope, until: expires_at })?;
            if self.forbids(number, &record.scope) {
                draft.stamp(Stamped::Forbidding)?;
            }
        }
        draft.create(Place::Binding(holder, id), &record)?;
        draft.stamp(Stamped::Holder(holder))?;
        Ok(draft.finish(id))
    }

    /// Plans that the binding be no more; the caller must hold all that it denied.
    ///
    /// # Errors
    /// [`WriteError::UnknownBinding`], [`WriteError::Escalation`], [`WriteError::Unreadable`], or about the
    /// caller.
    pub fn unbind(&self, binding: BindingId) -> Result<Planned<()>, WriteError> {
        let bound = self.directory.bound(binding).ok_or(WriteError::UnknownBinding(binding))?;
        let mut draft = self.begin()?;
        let record = &bound.record;
        if let Some(number) = self.directory.number(record.role).filter(|_| !record.is_expired(self.now)) {
            self.guard_unbound(&mut draft, number, Bond::of(bound))?;
        }
        draft.remove(Place::Binding(record.holder, binding), bound.revision)?;
        Ok(draft.finish(()))
    }
}
