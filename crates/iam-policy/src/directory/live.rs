//! What a subject holds: from where, and whether each of it counts.

use core_types::{Scope, Subject, UnixTime};
use state_store::Revision;

use super::index::{Bindings, Bound, Kept};
use super::{Directory, PermissionSignature, RoleNumber, Slot, SubjectNode};
use crate::decision::{DenyReason, Missing};
use crate::holder::GroupId;
use crate::pattern_set::PatternSet;
use crate::record::{GroupRecord, SubjectRecord, SubjectState};
use crate::request::AccessRequest;

/// A subject that is known, readable and enabled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live<'a> {
    directory: &'a Directory,
    node: &'a SubjectNode,
    kept: &'a Kept<SubjectRecord>,
}

impl Directory {
    /// The subject, if it may do anything at all.
    pub(crate) fn live(&self, subject: Subject) -> Result<Live<'_>, DenyReason> {
        if self.has_unknown() {
            return Err(DenyReason::UnreadablePolicy);
        }
        let node = self.subjects.get(&subject).ok_or(DenyReason::UnknownSubject)?;
        match &node.record {
            Slot::Absent => Err(DenyReason::UnknownSubject),
            Slot::Unreadable => Err(DenyReason::UnreadableSubject),
            Slot::Present(kept) => match kept.record.state {
                SubjectState::Enabled => Ok(Live { directory: self, node, kept }),
                SubjectState::Disabled => Err(DenyReason::Disabled),
            },
        }
    }
}

impl<'a> Live<'a> {
    pub(crate) const fn kept(&self) -> &'a Kept<SubjectRecord> {
        self.kept
    }

    /// The subject itself, then its groups in the order of their ids.
    pub(crate) fn sources(&self) -> impl Iterator<Item = Source<'a>> + use<'a> {
        let Self { directory, node, kept } = *self;
        let own = Source { directory, subject: &kept.record, bindings: &node.carried.bindings, group: None };
        let groups = node.groups.iter().filter_map(move |membership| {
            let group = directory.groups.at(membership.number)?;
            let via = Via { group: group.record.kept()?, joined: membership.joined };
            let bindings = &group.carried.bindings;
            Some(Source { directory, subject: &kept.record, bindings, group: Some(via) })
        });
        core::iter::once(own).chain(groups)
    }

    /// Every binding that counts now, with what it permits.
    pub(crate) fn held(&self, now: UnixTime) -> impl Iterator<Item = Held<'a>> + use<'a> {
        self.sources().flat_map(move |source| {
            source.bindings().iter().filter_map(move |(role, bound)| {
                let permissions = source.permissions(role, bound, now).ok()?;
                Some(Held { source, bound, permissions })
            })
        })
    }
}

/// One place a subject has bindings from: itself, or a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    directory: &'a Directory,
    subject: &'a SubjectRecord,
    bindings: &'a Bindings,
    group: Option<Via<'a>>,
}

/// A group, and the commit that made the subject its member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Via<'a> {
    pub(crate) group: &'a Kept<GroupRecord>,
    pub(crate) joined: Revision,
}

/// A binding that counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) bound: &'a Bound,
    pub(crate) permissions: &'a PatternSet,
}

impl<'a> Source<'a> {
    pub(crate) const fn bindings(&self) -> &'a Bindings {
        self.bindings
    }

    pub(crate) const fn via(&self) -> Option<Via<'a>> {
        self.group
    }

    pub(crate) const fn subject_id(&self) -> Subject {
        self.subject.id
    }

    pub(crate) fn group_id(&self) -> Option<GroupId> {
        self.group.map(|via| via.group.record.id)
    }

    /// The first binding that grants what is asked.
    pub(crate) fn granting(
        &self,
        request: &AccessRequest<'_>,
        signature: PermissionSignature,
    ) -> Option<&'a Bound> {
        let mut around = self.bindings.around(request.resource);
        let grants = |(role, bound): &(RoleNumber, &Bound)| {
            self.directory.may_permit(*role, signature) && self.grants(*role, bound, request)
        };
        around.find(grants).map(|(_, bound)| bound)
    }

    /// Whether the binding grants what is asked.
    fn grants(&self, role: RoleNumber, bound: &Bound, request: &AccessRequest<'_>) -> bool {
        let permissions = self.permissions(role, bound, request.now);
        bound.record.scope.contains(request.resource)
            && permissions.is_ok_and(|patterns| patterns.matches(request.permission))
    }

    /// Whether anything bound to this source can count at `scope`.
    pub(crate) fn reaches(&self, scope: &Scope) -> bool {
        reaches(&self.subject.home, scope)
            && self.group.is_none_or(|via| reaches(&via.group.record.home, scope))
    }

    /// What the binding permits at its scope, or the first thing for which it permits nothing.
    fn permissions(&self, role: RoleNumber, bound: &Bound, now: UnixTime) -> Result<&'a PatternSet, Missing> {
        if bound.record.is_expired(now) {
            return Err(Missing::Expired);
        }
        if !self.reaches(&bound.record.scope) {
            return Err(Missing::OutOfReach);
        }
        self.directory.permissions_at(role, &bound.record.scope).ok_or(Missing::Role)
    }

    /// The one thing for which the binding does not grant what is asked; `None` when it does, or when there
    /// is more than one.
    pub(crate) fn only_lack(
        &self,
        role: RoleNumber,
        bound: &Bound,
        request: &AccessRequest<'_>,
        signature: PermissionSignature,
    ) -> Option<Missing> {
        let record = &bound.record;
        let is_here = record.scope.contains(request.resource);
        // Most bindings lack both the scope and the role or its permission: that is more than one thing.
        if !is_here && !self.directory.may_permit(role, signature) {
            return None;
        }
        let role = self.directory.permissions_at(role, &record.scope);
        let permits = role.is_none_or(|patterns| patterns.matches(request.permission));
        let checks = [
            (record.is_expired(request.now), Missing::Expired),
            (!self.reaches(&record.scope), Missing::OutOfReach),
            (role.is_none(), Missing::Role),
            (!is_here, Missing::Scope),
            (!permits, Missing::Permission),
        ];
        let mut lacks = checks.into_iter().filter(|(lacks, _)| *lacks);
        let (_, first) = lacks.next()?;
        lacks.next().is_none().then_some(first)
    }
}

/// Whether what has its home at `home` can hold anything at `scope`: the root's anywhere, others within the
/// first level (the tenant) of their home.
pub(crate) fn reaches(home: &Scope, scope: &Scope) -> bool {
    home.is_root() || home.levels().next() == scope.levels().next()
}

/// Whether two homes are of one tenant, or one of them is the root, which is no tenant's.
pub(crate) fn share_tenant(a: &Scope, b: &Scope) -> bool {
    a.is_root() || b.is_root() || reaches(a, b)
}
