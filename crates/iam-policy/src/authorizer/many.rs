//! Many permissions of one principal on one resource, at once.

use core_types::{Limit, Permission, PermissionPattern, Restriction, Scope, UnixTime};

use super::Authorizer;
use crate::decision::Decision;
use crate::directory::{Entrance, Slot};
use crate::handle::PermissionTable;
use crate::request::AccessRequest;

/// What is known of all permissions at once.
enum Known<'a> {
    /// None is allowed.
    Nothing,
    /// Each is to be asked by itself.
    OneByOne,
    /// Those that nothing but roles speak of are allowed when the limits list them too.
    Plain(Spoken, [Listed<'a>; 2]),
}

/// Sets of permissions: what is spoken of, and what of that is to be asked one by one.
struct Spoken {
    any: Vec<u64>,
    other: Vec<u64>,
}

/// What a limit lists on one resource.
enum Listed<'a> {
    Everything,
    Patterns(Vec<&'a PermissionPattern>),
}

impl Authorizer<'_> {
    /// Those of `candidates`, which were looked up before, that the request's principal may use on its resource: as
    /// [`what_can`](Self::what_can), by sets of permissions instead of one by one.
    pub fn what_can_of<'p>(
        &self,
        request: &AccessRequest<'_>,
        candidates: &PermissionTable<'p>,
    ) -> impl Iterator<Item = &'p Permission> + use<'p> {
        let patterns = &self.directory().patterns;
        if candidates.generation == patterns.generation() {
            self.allowed_of(request, candidates)
        } else {
            // The numbers of another state say nothing of this one.
            self.allowed_of(request, &PermissionTable::of(candidates.permissions, patterns))
        }
    }

    fn allowed_of<'p>(
        &self,
        request: &AccessRequest<'_>,
        candidates: &PermissionTable<'p>,
    ) -> std::vec::IntoIter<&'p Permission> {
        let ask = |permission: &Permission| {
            let request = AccessRequest { permission, permission_handle: None, ..*request };
            matches!(self.authorize(&request), Decision::Allow(_))
        };
        let mut allowed = Vec::new();
        match self.known(request, candidates) {
            Known::Nothing => {}
            Known::OneByOne => allowed.extend(candidates.permissions.iter().filter(|one| ask(one))),
            Known::Plain(spoken, limits) => {
                allowed.reserve(spoken.len());
                let words = spoken.any.iter().zip(&spoken.other);
                for (permissions, (any, other)) in candidates.permissions.chunks(64).zip(words) {
                    for (at, permission) in bits_of(*any).filter_map(|at| Some((at, permissions.get(at)?))) {
                        let is_allowed = if other >> at & 1 == 1 {
                            ask(permission)
                        } else {
                            limits.iter().all(|limit| limit.has(permission))
                        };
                        if is_allowed {
                            allowed.push(permission);
                        }
                    }
                }
            }
        }
        allowed.into_iter()
    }

    fn known<'a>(&'a self, request: &AccessRequest<'a>, candidates: &PermissionTable<'_>) -> Known<'a> {
        let Ok(live) = self.directory().live(request.principal.rights_of()) else { return Known::Nothing };
        if request.restriction.is_expired(request.now) {
            return Known::Nothing;
        }
        // A trust lists some permissions, and not others.
        let Some(Entrance::Home) = live.entrance(request) else { return Known::OneByOne };
        let mut spoken = Spoken { any: vec![0; candidates.width()], other: vec![0; candidates.width()] };
        let place = (request.resource.as_path(), self.directory().chain_of(request));
        let told = live.row().for_each(place, |number, is_plain| {
            let matched = candidates.matched(number);
            spoken.any.iter_mut().zip(matched).for_each(|(word, more)| *word |= more);
            if !is_plain {
                spoken.other.iter_mut().zip(matched).for_each(|(word, more)| *word |= more);
            }
        });
        if told.is_none() {
            return Known::OneByOne;
        }
        let boundary = match live.boundary() {
            Slot::Absent => Listed::Everything,
            Slot::Unreadable => return Known::Nothing,
            Slot::Present(kept) => Listed::of(&kept.record.limit, request.resource, request.now),
        };
        let restriction = Listed::of(request.restriction, request.resource, request.now);
        Known::Plain(spoken, [boundary, restriction])
    }
}

impl Spoken {
    fn len(&self) -> usize {
        let len = self.any.iter().fold(0_u32, |all, word| all.saturating_add(word.count_ones()));
        usize::try_from(len).unwrap_or_default()
    }
}

/// The places of the bits that are set.
fn bits_of(word: u64) -> impl Iterator<Item = usize> {
    let mut rest = word;
    core::iter::from_fn(move || {
        let at = Some(rest.trailing_zeros()).filter(|at| *at < 64)?;
        rest &= rest.wrapping_sub(1);
        usize::try_from(at).ok()
    })
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
