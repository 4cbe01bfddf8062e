use core_types::{Id, Limit, Scope, SecureRandom, UnixTime};

use super::{MAX_BINDINGS_PER_HOLDER, Planned, Planner};
use crate::directory::reaches;
use crate::error::WriteError;
use crate::holder::{BindingId, Holder, RoleRef};
use crate::key::{Place, Stamped};
use crate::record::BindingRecord;

impl Planner<'_> {
    /// Plans that the holder have the role, at the scope and below, until `expires_at`; the caller must hold
    /// all of it there, for as long.
    ///
    /// # Errors
    /// [`WriteError::Escalation`], [`WriteError::UnknownRole`], [`WriteError::UnknownSubject`],
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
        if let RoleRef::Custom(role) = role {
            let kept = self.known_role(role)?;
            if !kept.record.home.contains(&record.scope) {
                return Err(WriteError::OutsideHome);
            }
            draft.rest_on(Place::Role(role), kept.revision)?;
            draft.stamp(Stamped::Role(role))?;
        }
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
        if !reaches(home, &record.scope) {
            return Err(WriteError::OtherTenant);
        }
        if self.directory.bindings_of(holder).nth(MAX_BINDINGS_PER_HOLDER.saturating_sub(1)).is_some() {
            return Err(WriteError::TooMany {
                what: "bindings of one holder",
                limit: MAX_BINDINGS_PER_HOLDER,
            });
        }
        draft.rest_on(place, revision)?;
        for permissions in self.directory.permissions(role).into_iter().flat_map(|set| set.iter()) {
            self.guard(&mut draft, permissions, &record.scope, expires_at)?;
        }
        draft.create(Place::Binding(id), &record)?;
        draft.stamp(Stamped::Holder(holder))?;
        Ok(draft.finish(id))
    }

    /// Plans that the binding be no more.
    ///
    /// # Errors
    /// [`WriteError::UnknownBinding`], or about the caller.
    pub fn unbind(&self, binding: BindingId) -> Result<Planned<()>, WriteError> {
        let bound = self.directory.bindings.get(&binding).ok_or(WriteError::UnknownBinding(binding))?;
        let mut draft = self.begin()?;
        draft.remove(Place::Binding(binding), bound.revision)?;
        Ok(draft.finish(()))
    }
}
