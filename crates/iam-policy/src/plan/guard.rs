//! Nobody gives what it does not hold.
//!
//! What is given is a list of (pattern, scope, end). The caller covers one of them when a single binding that
//! it holds now, and a single grant of its credential's restriction, contain pattern and scope, and the binding
//! does not end before what is given does. (The names of services and verbs are open, so a pattern lies in a
//! union only where it lies in one member.) The end of the credential itself bounds when it can be used, not
//! what it gives: every session ends, and what was granted in it stays.
//!
//! Where it does not cover one, it may give it still if it may use `iam:escalate` at that scope.

use core_types::{Grant, Limit, PermissionPattern, Restriction, Scope, UnixTime};

use super::draft::{Draft, readable};
use super::{By, Planner};
use crate::decision::DenyReason;
use crate::directory::{Carried, Held, Live};
use crate::error::WriteError;
use crate::holder::RoleRef;
use crate::key::Place;

impl<'a> Planner<'a> {
    /// A draft that rests on the caller's being there and enabled.
    pub(super) fn begin(&self) -> Result<Draft, WriteError> {
        let mut draft = Draft::default();
        if let Some((live, _)) = self.caller()? {
            draft.rest_on(Place::Subject(live.kept().record.id), live.kept().revision)?;
        }
        Ok(draft)
    }

    /// Refuses unless the caller may give these permissions at this scope until then.
    pub(super) fn guard(
        &self,
        draft: &mut Draft,
        permissions: &PermissionPattern,
        scope: &Scope,
        until: Limit<UnixTime>,
    ) -> Result<(), WriteError> {
        let Some((live, restriction)) = self.caller()? else { return Ok(()) };
        let find = |wanted: &Grant, until| self.find_cover(live, restriction, wanted, until);
        let wanted = Grant::new(permissions.clone(), scope.clone());
        let escalate = Grant::new(escalate(), scope.clone());
        // The right to go beyond is asked for now; how long it lasts does not matter.
        let cover = find(&wanted, until).or_else(|| find(&escalate, Limit::Only(self.now)));
        match cover {
            Some(held) => self.rest_on_held(draft, &held),
            None => Err(WriteError::Escalation { missing: wanted }),
        }
    }

    /// Refuses unless the caller may give everything that is carried, as far as it counts now or may again.
    pub(super) fn guard_carried(
        &self,
        draft: &mut Draft,
        carried: &Carried,
        home: &Scope,
    ) -> Result<(), WriteError> {
        // Who holds everything, wherever the holder can reach, need not rest on what it carries at the moment.
        let mut short = self.begin()?;
        if self.guard(&mut short, &PermissionPattern::all(), &tenant_of(home), Limit::Unlimited).is_ok() {
            return self.guard(draft, &PermissionPattern::all(), &tenant_of(home), Limit::Unlimited);
        }
        for (_, bound) in carried.bindings.iter().filter(|(_, bound)| !bound.record.is_expired(self.now)) {
            let record = &bound.record;
            if let RoleRef::Custom(role) = record.role {
                let slot = self.directory.roles.get(&role).map(|node| &node.record);
                match readable(slot, "role", WriteError::UnknownRole(role)) {
                    Ok(kept) => draft.rest_on(Place::Role(role), kept.revision)?,
                    Err(WriteError::UnknownRole(_)) => draft.rest_on_absence(Place::Role(role))?,
                    Err(error) => return Err(error),
                }
            }
            for permissions in self.directory.permissions(record.role).into_iter().flat_map(|set| set.iter())
            {
                self.guard(draft, permissions, &record.scope, record.expires_at)?;
            }
        }
        Ok(())
    }

    /// The caller and its restriction; `None` when nobody is to be asked.
    fn caller(&self) -> Result<Option<(Live<'a>, &'a Restriction)>, WriteError> {
        let By::Caller { principal, restriction } = self.by else { return Ok(None) };
        if restriction.is_expired(self.now) {
            return Err(WriteError::CallerExpired);
        }
        match self.directory.live(principal.rights_of()) {
            Ok(live) => Ok(Some((live, restriction))),
            Err(DenyReason::UnknownSubject) => Err(WriteError::CallerUnknown),
            Err(_) => Err(WriteError::CallerDisabled),
        }
    }

    fn find_cover(
        &self,
        live: Live<'a>,
        restriction: &Restriction,
        wanted: &Grant,
        until: Limit<UnixTime>,
    ) -> Option<Held<'a>> {
        let usable = match restriction.grants() {
            Limit::Unlimited => true,
            Limit::Only(grants) => grants.iter().any(|grant| grant.contains(wanted)),
        };
        if !usable {
            return None;
        }
        live.held(self.now).find(|held| {
            held.permissions.contains(&wanted.permissions)
                && held.bound.record.scope.contains(&wanted.scope)
                && lasts(held.bound.record.expires_at, until)
        })
    }

    /// Expects that what the caller holds this by is still there when the batch is committed.
    fn rest_on_held(&self, draft: &mut Draft, held: &Held<'_>) -> Result<(), WriteError> {
        let record = &held.bound.record;
        draft.rest_on(Place::Binding(record.id), held.bound.revision)?;
        if let RoleRef::Custom(role) = record.role {
            let slot = self.directory.roles.get(&role).map(|node| &node.record);
            let kept = readable(slot, "role", WriteError::UnknownRole(role))?;
            draft.rest_on(Place::Role(role), kept.revision)?;
        }
        if let Some(via) = held.source.via() {
            let group = via.group.record.id;
            draft.rest_on(Place::Group(group), via.group.revision)?;
            draft.rest_on(Place::Member(group, held.source.subject_id()), via.joined)?;
        }
        Ok(())
    }
}

/// Whether what ends then lasts as long as what ends `until`.
fn lasts(ends: Limit<UnixTime>, until: Limit<UnixTime>) -> bool {
    match (ends, until) {
        (Limit::Unlimited, _) => true,
        (Limit::Only(_), Limit::Unlimited) => false,
        (Limit::Only(ends), Limit::Only(until)) => ends >= until,
    }
}

/// The first level of a home: all that a holder of this home can reach.
fn tenant_of(home: &Scope) -> Scope {
    let mut scope = home.clone();
    while scope.depth() > 1 {
        let Some(parent) = scope.parent() else { break };
        scope = parent;
    }
    scope
}

/// `iam:escalate`: to give what one does not hold.
fn escalate() -> PermissionPattern {
    core_types::Permission::new("iam", "escalate").map_or_else(|_| PermissionPattern::all(), Into::into)
}
