//! Many permissions of one principal on one resource, at once.

use core_types::{Limit, Permission, PermissionPattern, Restriction, Scope, UnixTime};

use super::Authorizer;
use crate::decision::Decision;
use crate::directory::{Entrance, Slot, Words, has};
use crate::handle::PermissionHandle;
use crate::request::AccessRequest;

/// What is known of all permissions at once.
enum Known<'a> {
    /// None is allowed.
    Nothing,
    /// Each is to be asked by itself.
    OneByOne,
    /// Those that nothing but roles speak of are allowed when a role permits them and the limits list them.
    Plain(Box<Plain<'a>>),
}

/// Sets of permissions.
struct Plain<'a> {
    /// What roles permit by their own patterns, and what else is spoken of and to be asked one by one.
    sets: [Words; 2],
    /// Either.
    any: Words,
    limits: [Listed<'a>; 2],
}

/// What a limit lists on one resource.
enum Listed<'a> {
    Everything,
    Patterns(Vec<&'a PermissionPattern>),
}

impl Authorizer<'_> {
    /// Those of `candidates`, which were looked up before, that the request's principal may use on its resource: as
    /// [`what_can`](Self::what_can), by sets of permissions instead of one by one.
    pub fn what_can_of<'h, 'p>(
        &self,
        request: &AccessRequest<'_>,
        candidates: &'h [PermissionHandle<'p>],
    ) -> impl Iterator<Item = &'p Permission> + use<'_, 'h, 'p> {
        let known = self.known(request);
        let mut allowed = Vec::with_capacity(candidates.len());
        for handle in candidates {
            let permission = handle.permission();
            let patterns = &self.directory().patterns;
            let ask = || {
                let request = AccessRequest { permission, permission_handle: Some(handle), ..*request };
                matches!(self.authorize(&request), Decision::Allow(_))
            };
            let is_allowed = match &known {
                Known::Nothing => false,
                Known::OneByOne => ask(),
                Known::Plain(known) => {
                    let Plain { sets: [_, other], any, limits } = &**known;
                    let numbers = patterns.of_handle(handle).unwrap_or_else(|| patterns.of(permission));
                    let is_in = |set: &Words| numbers.iter().any(|number| has(set, *number));
                    is_in(any)
                        && if is_in(other) { ask() } else { limits.iter().all(|limit| limit.has(permission)) }
                }
            };
            if is_allowed {
                allowed.push(permission);
            }
        }
        allowed.into_iter()
    }

    fn known<'a>(&'a self, request: &AccessRequest<'a>) -> Known<'a> {
        let Ok(live) = self.directory().live(request.principal.rights_of()) else { return Known::Nothing };
        if request.restriction.is_expired(request.now) {
            return Known::Nothing;
        }
        // A trust lists some permissions, and not others.
        let Some(Entrance::Home) = live.entrance(request) else { return Known::OneByOne };
        let chain = self.directory().chain_of(request);
        let row = live.row();
        let Some(sets) = row.as_deref().and_then(|row| row.sets(request.resource, chain)) else {
            return Known::OneByOne;
        };
        let mut any = sets[0];
        any.iter_mut().zip(&sets[1]).for_each(|(word, more)| *word |= more);
        let boundary = match live.boundary() {
            Slot::Absent => Listed::Everything,
            Slot::Unreadable => return Known::Nothing,
            Slot::Present(kept) => Listed::of(&kept.record.limit, request.resource, request.now),
        };
        let restriction = Listed::of(request.restriction, request.resource, request.now);
        Known::Plain(Box::new(Plain { sets, any, limits: [boundary, restriction] }))
    }
}

impl<'a> Listed<'a> {
    fn of(limit: &'a Restriction, resource: &Scope, now: UnixTime) -> Self {
        match limit.grants() {
            _ if limit.is_expired(now) => Self::Patterns(Vec::new()),
            Limit::Unlimited => Self::Everything,
            Limit::Only(grants) => {
                let there = grants.iter().filter(|grant| grant.scope.contains(resource));
                Self::Patterns(there.map(|grant| &grant.permissions).collect())
            }
        }
    }

    fn has(&self, permission: &Permission) -> bool {
        match self {
            Self::Everything => true,
            Self::Patterns(patterns) => patterns.iter().any(|pattern| pattern.matches(permission)),
        }
    }
}
