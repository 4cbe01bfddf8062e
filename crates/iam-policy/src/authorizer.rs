use core_types::{Grant, Limit, Permission, Subject, UnixTime};
use state_store::Revision;
use state_store::replica::Snapshot;

use crate::decision::{Allow, Decision, Deny, DenyReason, NearMiss};
use crate::directory::{Directory, Live, PermissionSignature, reaches};
use crate::error::GrantsError;
use crate::request::AccessRequest;

/// The most grants [`Authorizer::effective_grants`] lists.
pub const MAX_EFFECTIVE_GRANTS: usize = 4096;

/// The most bindings that are looked at to say what comes nearest to granting.
pub const MAX_NEAREST_CONSIDERED: usize = 64;

/// Answers by one state of the directory.
#[derive(Debug, Clone, Copy)]
pub struct Authorizer<'a> {
    directory: &'a Directory,
    revision: Revision,
}

impl<'a> Authorizer<'a> {
    /// Answers by a replica's snapshot.
    #[must_use]
    pub const fn of(snapshot: &'a Snapshot<Directory>) -> Self {
        Self::at(snapshot.view(), snapshot.revision())
    }

    pub(crate) const fn at(directory: &'a Directory, revision: Revision) -> Self {
        Self { directory, revision }
    }

    /// Whether the request is allowed, and why.
    ///
    /// Takes no lock, and allocates nothing. Does not wait, and does not look at a clock.
    pub fn authorize(&self, request: &AccessRequest<'_>) -> Decision {
        match self.decide(request) {
            Ok(allow) => Decision::Allow(allow),
            Err(reason) => Decision::Deny(Deny { reason, revision: self.revision }),
        }
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

    /// Everything the subject holds now, sorted, no grant within another: what a credential of its can use at
    /// most. Nothing for a subject that is unknown or disabled.
    ///
    /// # Errors
    /// [`GrantsError::TooMany`] past [`MAX_EFFECTIVE_GRANTS`].
    pub fn effective_grants(&self, subject: Subject, now: UnixTime) -> Result<Vec<Grant>, GrantsError> {
        let mut grants: Vec<Grant> = Vec::new();
        let Ok(live) = self.directory.live(subject) else { return Ok(grants) };
        for held in live.held(now) {
            for permissions in held.permissions.iter() {
                if grants.len() >= MAX_EFFECTIVE_GRANTS {
                    return Err(GrantsError::TooMany { limit: MAX_EFFECTIVE_GRANTS });
                }
                grants.push(Grant::new(permissions.clone(), held.bound.record.scope.clone()));
            }
        }
        grants.sort_unstable();
        grants.dedup();
        let contained = |grant: &Grant| grants.iter().any(|other| other != grant && other.contains(grant));
        Ok(grants.iter().filter(|grant| !contained(grant)).cloned().collect())
    }

    fn decide(&self, request: &AccessRequest<'_>) -> Result<Allow, DenyReason> {
        let live = self.directory.live(request.principal.rights_of())?;
        if let Limit::Only(at) = request.restriction.expires_at()
            && request.now >= at
        {
            return Err(DenyReason::RestrictionExpired { at });
        }
        let signature = PermissionSignature::of(request.permission);
        let granted = live.sources().find_map(|source| Some((source, source.granting(request, signature)?)));
        let Some((source, bound)) = granted else {
            return Err(DenyReason::NoGrant { nearest: nearest(&live, request, signature) });
        };
        if !request.restriction.allows(request.permission, request.resource, request.now) {
            return Err(DenyReason::LimitedByRestriction { granted_by: bound.record.id });
        }
        Ok(Allow {
            binding: bound.record.id,
            role: bound.record.role,
            via: source.group_id(),
            depth: bound.record.scope.depth(),
            revision: self.revision,
        })
    }
}

/// The binding that is nearest to granting: the nearest kind of lack, then the subject's own before those of
/// its groups, then as bindings are sorted.
fn nearest(live: &Live<'_>, request: &AccessRequest<'_>, signature: PermissionSignature) -> Option<NearMiss> {
    // What another tenant's groups and bindings give the subject has no bearing on this resource, and is not
    // looked at: nothing that tenant does shows here.
    let sources = live.sources().filter(|source| source.reaches(request.resource));
    let all = sources.flat_map(|source| source.bindings().iter().map(move |entry| (source, entry)));
    let near = all.filter(|(_, (_, bound))| reaches(&bound.record.scope, request.resource));
    let misses = near.take(MAX_NEAREST_CONSIDERED).filter_map(|(source, (role, bound))| {
        let missing = source.only_lack(role, bound, request, signature)?;
        let (binding, role) = (bound.record.id, bound.record.role);
        Some(NearMiss { binding, role, via: source.group_id(), missing })
    });
    misses.min_by_key(|miss| miss.missing)
}
