//! Nobody gives what it does not hold.
//!
//! What is given is a list of rights: a pattern, a scope, an end, and the conditions under which it can be
//! used. The caller covers one of them when
//!
//! - a single clause of what it holds now contains pattern and scope, asks for no condition that is not asked
//!   for there too, and its binding does not end before (the names of services and verbs are open, so a
//!   pattern lies in a union only where it lies in one member);
//! - its boundary, and the restriction of its credential, contain pattern and scope, each in a single grant;
//! - nothing denies the caller any part of it, under whichever conditions.
//!
//! The end of the credential itself bounds when it can be used, not what it gives: every session ends, and what
//! was granted in it stays.
//!
//! Where the caller does not cover one, it may give it still if it may use `iam:escalate` at that scope. To lift
//! a denial, or a boundary, is to give what it cut off.

use core_types::{Grant, Limit, PermissionPattern, Restriction, Scope, UnixTime};

use super::draft::Draft;
use super::{By, Planner};
use crate::condition::Condition;
use crate::directory::{Bound, Carried, Clause, Held, Lifeless, Live, RoleNumber, Said, Slot, Trail};
use crate::error::WriteError;
use crate::holder::{BindingId, RoleRef};
use crate::key::{Place, Stamped};
use crate::policy::Effect;

/// Something that is given, or comes to be usable again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'g> {
    pub(super) permissions: &'g PermissionPattern,
    pub(super) scope: &'g Scope,
    pub(super) until: Limit<UnixTime>,
    pub(super) conditions: &'g [Condition],
}

impl<'g> Given<'g> {
    /// Without an end or a condition.
    pub(super) const fn always(permissions: &'g PermissionPattern, scope: &'g Scope) -> Self {
        Self { permissions, scope, until: Limit::Unlimited, conditions: &[] }
    }
}

impl<'a> Planner<'a> {
    /// Whether the caller holds all of this, under no condition and without an end, so that it can give it.
    #[must_use]
    pub fn holds(&self, grant: &Grant) -> bool {
        let given = Given::always(&grant.permissions, &grant.scope);
        let caller = self.caller().ok().flatten();
        caller.is_some_and(|(live, limit)| find_cover(live, limit, given, self.now).is_some())
    }

    /// The bindings that deny the caller any part of this, or may.
    pub(crate) fn denials_of(&self, grant: &Grant) -> Vec<BindingId> {
        let Ok(Some((live, _))) = self.caller() else { return Vec::new() };
        let denying = live.held(self.now).filter(|held| may_deny(held, grant));
        let mut bindings: Vec<BindingId> = denying.map(|held| held.bound.record.id).collect();
        bindings.sort_unstable();
        bindings.dedup();
        bindings
    }

    /// A draft that rests on the caller's being there and enabled, and on nothing having been forbidden since.
    pub(super) fn begin(&self) -> Result<Draft, WriteError> {
        let mut draft = Draft::default();
        if let Some((live, _)) = self.caller()? {
            let kept = live.kept().ok_or(WriteError::CallerUnknown)?;
            draft.rest_on(Place::Subject(kept.record.id), kept.revision)?;
            draft.rest_on_stamp(Stamped::Forbidding, self)?;
        }
        Ok(draft)
    }

    /// Refuses unless the caller may give this.
    pub(super) fn guard(&self, draft: &mut Draft, given: Given<'_>) -> Result<(), WriteError> {
        let Some((live, restriction)) = self.caller()? else { return Ok(()) };
        let escalate = escalate();
        // The right to go beyond is asked for now; how long it lasts does not matter.
        let until = Limit::Only(self.now);
        let beyond = Given { permissions: &escalate, scope: given.scope, until, conditions: &[] };
        let cover = find_cover(live, restriction, given, self.now);
        match cover.or_else(|| find_cover(live, restriction, beyond, self.now)) {
            Some(held) => self.rest_on_held(draft, &live, &held),
            None => {
                let missing = Grant::new(given.permissions.clone(), given.scope.clone());
                Err(WriteError::Escalation { missing })
            }
        }
    }

    /// Refuses unless the caller may give all that the clause allows, bound at `scope` until then.
    pub(super) fn guard_clause(
        &self,
        draft: &mut Draft,
        clause: Clause<'_>,
        scope: &Scope,
        until: Limit<UnixTime>,
    ) -> Result<(), WriteError> {
        // Whoever gives under a condition must hold it under no other; whoever lifts a denial, under none.
        let conditions = if clause.effect() == Effect::Allow { clause.conditions() } else { &[] };
        for scope in clause.scopes_below(scope) {
            for permissions in clause.permissions().iter() {
                self.guard(draft, Given { permissions, scope, until, conditions })?;
            }
        }
        Ok(())
    }

    /// Refuses unless the caller may give all that the role or policy allows, bound so.
    pub(super) fn guard_bound(
        &self,
        draft: &mut Draft,
        role: RoleNumber,
        bound: Bond<'_>,
    ) -> Result<(), WriteError> {
        self.guard_said(draft, role, bound, Effect::Allow)
    }

    /// Refuses unless the caller may lift all that the role or policy denies, bound so.
    pub(super) fn guard_unbound(
        &self,
        draft: &mut Draft,
        role: RoleNumber,
        bound: Bond<'_>,
    ) -> Result<(), WriteError> {
        self.guard_said(draft, role, bound, Effect::Deny)
    }

    /// Refuses unless the caller may give everything that is carried, as far as it counts now or may again.
    pub(super) fn guard_carried(
        &self,
        draft: &mut Draft,
        carried: &Carried,
        home: &Scope,
    ) -> Result<(), WriteError> {
        // Who holds everything, wherever the holder can reach, need not rest on what it carries at the moment.
        let (everything, everywhere) = (PermissionPattern::all(), tenant_of(home));
        let all = Given::always(&everything, &everywhere);
        // What it has in another tenant that lets it in is to be held there.
        let is_at_home = |(_, bound): (RoleNumber, &Bound)| everywhere.contains(&bound.record.scope);
        if carried.bindings.iter().all(is_at_home) && self.guard(&mut self.begin()?, all).is_ok() {
            return self.guard(draft, all);
        }
        if !carried.unreadable.is_empty() {
            return Err(WriteError::Unreadable { what: "binding" });
        }
        for (role, bound) in self.counting(carried) {
            self.rest_on_role(draft, bound.record.role)?;
            self.guard_bound(draft, role, Bond::of(bound))?;
        }
        Ok(())
    }

    /// Refuses unless the caller may lift everything that is denied by what is carried.
    pub(super) fn guard_released(&self, draft: &mut Draft, carried: &Carried) -> Result<(), WriteError> {
        if !carried.unreadable.is_empty() {
            return Err(WriteError::Unreadable { what: "binding" });
        }
        for (role, bound) in self.counting(carried) {
            self.guard_unbound(draft, role, Bond::of(bound))?;
        }
        Ok(())
    }

    /// Expects of a role, and of the policies that come with it, that they are as they were seen.
    pub(super) fn rest_on_role(&self, draft: &mut Draft, role: RoleRef) -> Result<(), WriteError> {
        match role {
            RoleRef::BuiltIn(_) => Ok(()),
            RoleRef::Policy(policy) => {
                let slot = self.directory.policies.get(&policy).map(|node| &node.record);
                self.rest_on_slot(draft, Place::Policy(policy), slot, "policy")
            }
            RoleRef::Custom(role) => {
                let node = self.directory.roles.get(&role);
                self.rest_on_slot(draft, Place::Role(role), node.map(|node| &node.record), "role")?;
                let policies = node.into_iter().flat_map(|node| node.policies.iter());
                for (policy, _) in policies {
                    self.rest_on_role(draft, RoleRef::Policy(*policy))?;
                }
                Ok(())
            }
        }
    }

    /// Whether the role or policy denies anything, bound so, or may.
    pub(super) fn forbids(&self, role: RoleNumber, scope: &Scope) -> bool {
        self.directory.clauses(role, scope).any(|said| match said {
            Said::Clause(clause) => clause.effect() == Effect::Deny,
            Said::Unreadable(_) => true,
        })
    }

    /// Whether anything that is carried denies anything, or may.
    pub(super) fn is_forbidding(&self, carried: &Carried) -> bool {
        let mut bindings = self.counting(carried);
        !carried.unreadable.is_empty()
            || bindings.any(|(role, bound)| self.forbids(role, &bound.record.scope))
    }

    /// The bindings that have not ended.
    pub(super) fn counting<'c>(
        &self,
        carried: &'c Carried,
    ) -> impl Iterator<Item = (RoleNumber, &'c Bound)> + use<'c> {
        let now = self.now;
        carried.bindings.iter().filter(move |(_, bound)| !bound.record.is_expired(now))
    }

    fn guard_said(
        &self,
        draft: &mut Draft,
        role: RoleNumber,
        bond: Bond<'_>,
        effect: Effect,
    ) -> Result<(), WriteError> {
        for said in self.directory.clauses(role, bond.scope) {
            match said {
                Said::Unreadable(_) => return Err(WriteError::Unreadable { what: "role or policy" }),
                Said::Clause(clause) if clause.effect() == effect => {
                    self.guard_clause(draft, clause, bond.scope, bond.until)?;
                }
                Said::Clause(_) => {}
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
            Err(Lifeless::Unknown) => Err(WriteError::CallerUnknown),
            Err(_) => Err(WriteError::CallerDisabled),
        }
    }

    fn rest_on_slot<T>(
        &self,
        draft: &mut Draft,
        place: Place,
        slot: Option<&Slot<T>>,
        what: &'static str,
    ) -> Result<(), WriteError> {
        match slot {
            None | Some(Slot::Absent) => draft.rest_on_absence(place),
            Some(Slot::Unreadable) => Err(WriteError::Unreadable { what }),
            Some(Slot::Present(kept)) => draft.rest_on(place, kept.revision),
        }
    }

    /// Expects that what the caller holds this by is still there when the batch is committed.
    fn rest_on_held(&self, draft: &mut Draft, live: &Live<'_>, held: &Held<'_>) -> Result<(), WriteError> {
        let record = &held.bound.record;
        draft.rest_on(Place::Binding(record.holder, record.id), held.bound.revision)?;
        self.rest_on_role(draft, record.role)?;
        let Some(via) = held.source.via() else { return Ok(()) };
        let Trail { groups, since } = live.trail_to(&via, true);
        let mut inner = None;
        for (group, since) in groups.into_iter().zip(since) {
            if let Some(kept) = self.directory.groups.get(&group).and_then(|node| node.record.kept()) {
                draft.rest_on(Place::Group(group), kept.revision)?;
            }
            let by = inner
                .map_or(Place::Member(group, held.source.subject_id()), |inner| Place::Nested(group, inner));
            if let Some(since) = since {
                draft.rest_on(by, since)?;
            }
            inner = Some(group);
        }
        Ok(())
    }
}

/// Where and until when something is bound.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bond<'b> {
    pub(super) scope: &'b Scope,
    pub(super) until: Limit<UnixTime>,
}

impl<'b> Bond<'b> {
    pub(super) const fn of(bound: &'b Bound) -> Self {
        Self { scope: &bound.record.scope, until: bound.record.expires_at }
    }
}

/// What the caller holds that covers this.
fn find_cover<'a>(
    live: Live<'a>,
    restriction: &Restriction,
    given: Given<'_>,
    now: UnixTime,
) -> Option<Held<'a>> {
    let wanted = Grant::new(given.permissions.clone(), given.scope.clone());
    let within = |limit: &Restriction| match limit.grants() {
        Limit::Unlimited => true,
        Limit::Only(grants) => grants.iter().any(|grant| grant.contains(&wanted)),
    };
    let within_boundary = match live.boundary() {
        Slot::Absent => true,
        Slot::Unreadable => false,
        Slot::Present(kept) => {
            let limit = &kept.record.limit;
            !limit.is_expired(now) && lasts(limit.expires_at(), given.until) && within(limit)
        }
    };
    let is_denied = live.sources().any(|source| source.may_deny_anything())
        || live.held(now).any(|held| may_deny(&held, &wanted));
    if is_denied || !within_boundary || !within(restriction) {
        return None;
    }
    live.held(now).find(|held| {
        let record = &held.bound.record;
        record.scope.contains(given.scope)
            && lasts(record.expires_at, given.until)
            && held.allowing().is_some_and(|clause| {
                clause.permissions().contains(given.permissions)
                    && clause.is_at(given.scope)
                    && clause.conditions().iter().all(|condition| given.conditions.contains(condition))
            })
    })
}

/// Whether this denies any part of what is wanted, under whichever conditions.
fn may_deny(held: &Held<'_>, wanted: &Grant) -> bool {
    let scope = &held.bound.record.scope;
    match held.said {
        Said::Unreadable(_) => scope.intersect(&wanted.scope).is_some(),
        Said::Clause(clause) => {
            clause.effect() == Effect::Deny
                && clause.permissions().iter().any(|own| own.intersect(&wanted.permissions).is_some())
                && clause.scopes_below(scope).iter().any(|own| own.intersect(&wanted.scope).is_some())
        }
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
pub(super) fn tenant_of(home: &Scope) -> Scope {
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
