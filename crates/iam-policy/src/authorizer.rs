mod many;

use core_types::{
    Grant, Limit, ParseError, Permission, PermissionRef, Principal, Restriction, Scope, ScopeRef, Subject,
    UnixTime,
};
use state_store::Revision;
use state_store::replica::Snapshot;

use crate::condition::Truth;
use crate::decision::{Allow, Decision, Deny, DenyReason, NearMiss, StatementRef};
use crate::directory::{
    Asked, Bound, Directory, Entrance, Found, Held, Live, PermissionNumbers, RoleNumber, Said, Slot, Source,
    Speaks, reaches,
};
use crate::error::GrantsError;
use crate::handle::Chain;
use crate::holder::GroupId;
use crate::policy::Effect;
use crate::request::{AccessRequest, TextRequest};

/// The most grants [`Authorizer::effective_grants`] lists.
pub const MAX_EFFECTIVE_GRANTS: usize = 4096;

/// Answers by one state of the directory.
#[derive(Debug, Clone, Copy)]
pub struct Authorizer<'a> {
    directory: &'a Directory,
    revision: Revision,
}

/// What is seen at first.
enum First<'a> {
    Denied(DenyReason),
    /// Granted at home; boundary and restriction are not looked at.
    Granted(Live<'a>, Allow),
    /// It is to be looked at in full.
    Open(Live<'a>),
}

impl<'a> Authorizer<'a> {
    /// Answers by a replica's snapshot: what [`Replica::current`](state_store::Replica::current) gives while it is fresh, or
    /// [`Replica::read`](state_store::Replica::read), which may read the store when it is not.
    #[must_use]
    pub const fn of(snapshot: &'a Snapshot<Directory>) -> Self {
        Self::at(snapshot.view(), snapshot.revision())
    }

    pub(crate) const fn at(directory: &'a Directory, revision: Revision) -> Self {
        Self { directory, revision }
    }

    /// The state it answers by: everything up to this revision of the store, nothing after it.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The same, if its state has everything up to this revision, so that who wrote at it reads its own writes; `None`
    /// where it lags behind: wait with [`Replica::applied`](state_store::Replica::applied), or refuse.
    #[must_use]
    pub fn at_least(self, revision: Revision) -> Option<Self> {
        (self.revision >= revision).then_some(self)
    }

    pub(crate) const fn directory(&self) -> &'a Directory {
        self.directory
    }

    /// Whether the request is allowed, and why.
    ///
    /// Takes no lock. What the subject's bindings come to is worked out once, when it is first asked for; from then on
    /// nothing is allocated, but for a short list where a policy speaks of what is asked and a group of the subject's is in
    /// another one. Does not wait, and does not look at a clock.
    pub fn authorize(&self, request: &AccessRequest<'_>) -> Decision {
        let asked = self.directory.asked(request);
        let place = (request.resource.as_path(), asked.chain);
        let live = match self.first_look(
            request.principal,
            request.restriction,
            request.now,
            (&asked.numbers, place),
        ) {
            First::Denied(reason) => return self.deny(reason),
            First::Granted(live, allow) => return self.limited(&live, request, allow),
            First::Open(live) => live,
        };
        match live.entrance(request) {
            Some(entrance) => self.authorize_in_full(&live, request, (asked, entrance)),
            None => self.deny(DenyReason::TenantMismatch),
        }
    }

    /// The same, of texts as they came: they are checked as strictly as if they were parsed, and nothing is made of them
    /// where the answer does not need it.
    ///
    /// # Errors
    /// [`ParseError`] when one of them is not what it should be: refuse then.
    pub fn authorize_texts(&self, request: &TextRequest<'_>) -> Result<Decision, ParseError> {
        let TextRequest { restriction, now, context, .. } = *request;
        let principal: Principal = request.principal.parse()?;
        let permission = PermissionRef::parse(request.permission)?;
        let resource = ScopeRef::parse(request.resource)?;
        let numbers = self.directory.patterns.of_sides(permission.service(), permission.verb());
        let place = (resource.as_path(), None);
        match self.first_look(&principal, restriction, now, (&numbers, place)) {
            First::Denied(reason) => return Ok(self.deny(reason)),
            First::Granted(live, allow)
                if live.boundary().is_absent() && restriction.grants() == Limit::Unlimited =>
            {
                return Ok(Decision::Allow(allow));
            }
            First::Granted(..) | First::Open(_) => {}
        }
        let (permission, resource) = (permission.to_permission(), resource.to_scope());
        let request = AccessRequest::new(&principal, restriction, &permission, &resource, now);
        Ok(self.authorize(&request.with_context(context)))
    }

    /// As far as it is seen without a look at what is bound.
    #[inline(always)]
    fn first_look(
        &self,
        principal: &Principal,
        restriction: &Restriction,
        now: UnixTime,
        (numbers, (resource, chain)): (&PermissionNumbers, (&str, Option<&Chain>)),
    ) -> First<'a> {
        let live = match self.directory.live(principal.rights_of()) {
            Ok(live) => live,
            Err(lifeless) => return First::Denied(lifeless.into()),
        };
        if let Limit::Only(at) = restriction.expires_at()
            && now >= at
        {
            return First::Denied(DenyReason::RestrictionExpired { at });
        }
        let row = live.row();
        match row.find(numbers, (resource, chain)) {
            // A row has only what counts at home, so that this is home.
            Found::Plain(bound) => {
                First::Granted(live, self.allow(bound, bound.via(), None, &Entrance::Home))
            }
            Found::Nothing if live.is_at_home(resource, chain) => First::Denied(DenyReason::NoGrant),
            Found::Nothing | Found::Opaque => First::Open(live),
        }
    }

    /// The same, by all that is bound to the subject and its groups.
    fn authorize_in_full(
        &self,
        live: &Live<'a>,
        request: &AccessRequest<'_>,
        (asked, entrance): (Asked<'_>, Entrance<'a>),
    ) -> Decision {
        let deny = |reason| self.deny(reason);
        let mut allow = None;
        for source in live.sources() {
            // Out of its reach it could not have said anything.
            if let Some(group) = source.tangled().filter(|_| source.enters(request.resource, &entrance)) {
                return deny(DenyReason::TangledGroups { group });
            }
            let unreadable = source.carried().unreadable.first();
            if let Some(binding) = unreadable.filter(|_| source.enters(request.resource, &entrance)) {
                return deny(DenyReason::UnreadableBinding { binding: *binding, via: source.group_id() });
            }
            for (entry, speaks) in source.speaking(request, asked, entrance) {
                if speaks == Speaks::Plainly {
                    if allow.is_none() && source.grants() && source.is_at_home(entry) {
                        allow = Some(self.allow(&entry.bound, source.group_id(), None, &entrance));
                    }
                    continue;
                }
                for held in source.said_by(entry) {
                    if let Some(denial) = denial(&held, request) {
                        return deny(denial);
                    }
                    if allow.is_none() {
                        allow = self.grant(&held, request, &entrance);
                    }
                }
            }
        }
        let Some(allow) = allow else {
            return deny(DenyReason::NoGrant);
        };
        self.limited(live, request, allow)
    }

    /// What boundary and restriction leave of it.
    #[inline]
    fn limited(&self, live: &Live<'_>, request: &AccessRequest<'_>, allow: Allow) -> Decision {
        let deny = |reason| self.deny(reason);
        let granted_by = allow.binding;
        match live.boundary() {
            Slot::Absent => {}
            Slot::Unreadable => return deny(DenyReason::UnreadableBoundary { granted_by }),
            Slot::Present(kept) => {
                if !kept.record.limit.allows(request.permission, request.resource, request.now) {
                    return deny(DenyReason::LimitedByBoundary { granted_by });
                }
            }
        }
        if !request.restriction.allows(request.permission, request.resource, request.now) {
            return deny(DenyReason::LimitedByRestriction { granted_by });
        }
        Decision::Allow(allow)
    }

    /// The decisions of all these, in order, by this one state; each when it is asked for.
    pub fn authorize_all<'r>(
        &self,
        requests: impl IntoIterator<Item = AccessRequest<'r>>,
    ) -> impl Iterator<Item = Decision> {
        requests.into_iter().map(|request| self.authorize(&request))
    }

    /// Those of `candidates` that the request's principal may use on its resource; the request's own
    /// permission plays no part.
    pub fn what_can<'c>(
        &self,
        request: &AccessRequest<'_>,
        candidates: impl IntoIterator<Item = &'c Permission>,
    ) -> impl Iterator<Item = &'c Permission> {
        let ask = move |permission: &'c Permission| self.authorize(&AccessRequest { permission, ..*request });
        candidates.into_iter().filter(move |permission| matches!(ask(permission), Decision::Allow(_)))
    }

    /// Those of `resources` on which the request's principal may use its permission; the request's own resource
    /// plays no part.
    pub fn filter<'c>(
        &self,
        request: &AccessRequest<'_>,
        resources: impl IntoIterator<Item = &'c Scope>,
    ) -> impl Iterator<Item = &'c Scope> {
        let ask = move |resource: &'c Scope| self.authorize(&AccessRequest { resource, ..*request });
        resources.into_iter().filter(move |resource| matches!(ask(resource), Decision::Allow(_)))
    }

    /// Everything the subject can come to be allowed now, sorted, no grant within another: what a credential of
    /// its can use at most. Conditions are taken to hold, and denials are not taken off; the boundary is. Nothing
    /// for a subject that is unknown or disabled.
    ///
    /// # Errors
    /// [`GrantsError::TooMany`] past [`MAX_EFFECTIVE_GRANTS`].
    pub fn effective_grants(&self, subject: Subject, now: UnixTime) -> Result<Vec<Grant>, GrantsError> {
        let Ok(live) = self.directory.live(subject) else { return Ok(Vec::new()) };
        let boundary = match live.boundary() {
            Slot::Absent => Limit::Unlimited,
            Slot::Unreadable => return Ok(Vec::new()),
            Slot::Present(kept) if kept.record.limit.is_expired(now) => return Ok(Vec::new()),
            Slot::Present(kept) => kept.record.limit.grants(),
        };
        let mut grants: Vec<Grant> = Vec::new();
        let at_home = live.held(now).map(|held| (held, Limit::Unlimited));
        let trusts = live.trusts().filter(|trust| trust.is_in_force(now));
        let let_in = trusts.flat_map(|trust| {
            let limit = trust.limit.grants();
            live.held_by(trust, now).map(move |held| (held, limit))
        });
        for (held, trusted) in at_home.chain(let_in) {
            let Some(clause) = held.allowing() else { continue };
            for (scope, permissions) in clause
                .scopes_below(&held.bound.record.scope)
                .into_iter()
                .flat_map(|scope| clause.permissions().iter().map(move |permissions| (scope, permissions)))
            {
                let grant = Grant::new(permissions.clone(), scope.clone());
                for grant in within(trusted, grant) {
                    grants.extend(within(boundary, grant));
                }
                if grants.len() > MAX_EFFECTIVE_GRANTS {
                    return Err(GrantsError::TooMany { limit: MAX_EFFECTIVE_GRANTS });
                }
            }
        }
        grants.sort_unstable();
        grants.dedup();
        let contained = |grant: &Grant| grants.iter().any(|other| other != grant && other.contains(grant));
        Ok(grants.iter().filter(|grant| !contained(grant)).cloned().collect())
    }

    /// The allow that this is, if it allows what is asked.
    pub(crate) fn grant(
        &self,
        held: &Held<'_>,
        request: &AccessRequest<'_>,
        entrance: &Entrance<'_>,
    ) -> Option<Allow> {
        let clause = held.allowing()?;
        let grants = clause.permissions().matches(request.permission)
            && clause.is_at(request.resource)
            && clause.holds(request.context, request.now) == Truth::True;
        grants.then(|| self.allow(held.bound, held.source.group_id(), clause.reference(), entrance))
    }

    fn deny(&self, reason: DenyReason) -> Decision {
        Decision::Deny(Deny { reason, revision: self.revision })
    }

    #[inline]
    fn allow(
        &self,
        bound: &Bound,
        via: Option<GroupId>,
        statement: Option<StatementRef>,
        entrance: &Entrance<'_>,
    ) -> Allow {
        let (record, depth) = (&bound.record, bound.depth);
        Allow {
            binding: record.id,
            role: record.role,
            via,
            statement,
            trust: entrance.trust(),
            depth,
            revision: self.revision,
        }
    }
}

/// What the limit leaves of the grant.
fn within(limit: Limit<&[Grant]>, grant: Grant) -> Vec<Grant> {
    match limit {
        Limit::Unlimited => vec![grant],
        Limit::Only(limits) => limits.iter().filter_map(|limit| limit.intersect(&grant)).collect(),
    }
}

/// The reason that this is to deny, if it forbids what is asked, or might.
pub(crate) fn denial(held: &Held<'_>, request: &AccessRequest<'_>) -> Option<DenyReason> {
    let (binding, via) = (held.bound.record.id, held.source.group_id());
    match held.said {
        Said::Unreadable(policy) => Some(DenyReason::UnreadableRole { binding, via, policy }),
        Said::Clause(clause) => {
            let statement = clause.reference().filter(|_| clause.effect() == Effect::Deny)?;
            let concerns = clause.permissions().matches(request.permission) && clause.is_at(request.resource);
            let truth = if concerns { clause.holds(request.context, request.now) } else { Truth::False };
            let is_certain = truth == Truth::True;
            (truth != Truth::False).then_some(DenyReason::ExplicitDeny {
                binding,
                via,
                statement,
                is_certain,
            })
        }
    }
}

/// The bindings that may be near: what another tenant's groups and bindings give the subject has no bearing on
/// this resource, and is not looked at, so that nothing that tenant does shows here.
pub(crate) fn near_bindings<'a>(
    live: &Live<'a>,
    request: &AccessRequest<'_>,
    entrance: Entrance<'a>,
) -> impl Iterator<Item = (Source<'a>, (RoleNumber, &'a Bound))> {
    let resource = request.resource;
    let sources = live.sources().filter(move |source| source.grants() && source.enters(resource, &entrance));
    let all = sources.flat_map(|source| source.carried().bindings.iter().map(move |entry| (source, entry)));
    all.filter(move |(_, (_, bound))| reaches(&bound.record.scope, resource))
}

pub(crate) fn near_miss(
    source: &Source<'_>,
    role: RoleNumber,
    bound: &Bound,
    request: &AccessRequest<'_>,
    numbers: &PermissionNumbers,
    entrance: &Entrance<'_>,
) -> Option<NearMiss> {
    let (missing, statement) = source.only_lack(role, bound, request, numbers, entrance)?;
    let (binding, role) = (bound.record.id, bound.record.role);
    Some(NearMiss { binding, role, via: source.group_id(), statement, missing })
}
