//! What a subject holds: from where, and whether each of it counts.

use core::ptr;

use core_types::{Scope, Subject, UnixTime};

use super::index::{Bound, Carried, Entry, Kept};
use super::numbers::PermissionNumbers;
use super::reach::Reach;
use super::{Clause, Directory, Entrance, RoleNumber, Said, Slot, Speaks, SubjectEntry, SubjectNode};
use crate::condition::Truth;
use crate::decision::{DenyReason, Missing, StatementRef};
use crate::handle::{Chain, PermissionHandle};
use crate::holder::GroupId;
use crate::policy::Effect;
use crate::record::{BoundaryRecord, GroupRecord, SubjectRecord, TrustRecord};
use crate::request::AccessRequest;

/// Why a subject may do nothing at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifeless {
    UnreadablePolicy,
    Unknown,
    Unreadable,
    Disabled,
}

impl From<Lifeless> for DenyReason {
    fn from(lifeless: Lifeless) -> Self {
        match lifeless {
            Lifeless::UnreadablePolicy => Self::UnreadablePolicy,
            Lifeless::Unknown => Self::UnknownSubject,
            Lifeless::Unreadable => Self::UnreadableSubject,
            Lifeless::Disabled => Self::Disabled,
        }
    }
}

/// A subject that is known, readable and enabled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live<'a> {
    pub(super) directory: &'a Directory,
    id: Subject,
    pub(super) node: &'a SubjectEntry,
}

impl Directory {
    /// The subject, if it may do anything at all.
    #[inline(always)]
    pub(crate) fn live(&self, subject: Subject) -> Result<Live<'_>, Lifeless> {
        if self.has_unknown() {
            return Err(Lifeless::UnreadablePolicy);
        }
        let node = self.subjects.get(&subject).ok_or(Lifeless::Unknown)?;
        if node.is_live() {
            return Ok(Live { directory: self, id: subject, node });
        }
        match &node.record {
            Slot::Absent => Err(Lifeless::Unknown),
            Slot::Unreadable => Err(Lifeless::Unreadable),
            Slot::Present(_) => Err(Lifeless::Disabled),
        }
    }
}

impl<'a> Live<'a> {
    /// Its record, and the commit that wrote it.
    pub(crate) fn kept(&self) -> Option<&'a Kept<SubjectRecord>> {
        self.node.record.kept()
    }

    #[inline]
    pub(crate) fn boundary(&self) -> &'a Slot<BoundaryRecord> {
        self.node.boundary()
    }

    /// The subject itself, then its groups in the order of their ids, those it is in by other groups too.
    pub(crate) fn sources(&self) -> impl Iterator<Item = Source<'a>> + use<'a> {
        let Self { directory, id: subject, node } = *self;
        let own = Source { directory, subject, node, carried: &node.carried, via: None, grants: true };
        let is_nested = self.is_nested();
        let direct = if is_nested { &[] } else { &node.groups[..] };
        let nested = if is_nested { self.comes_to() } else { Vec::new() };
        let ways = direct.iter().filter_map(move |membership| directory.direct(membership)).chain(nested);
        let groups = ways.filter_map(move |way| {
            let group = directory.groups.at(way.number)?;
            let via = Via {
                id: way.group,
                record: group.record.kept(),
                reach: way.reach,
                tenant: way.tenant,
                is_tangled: way.is_tangled,
            };
            Some(Source {
                directory,
                subject,
                node,
                carried: &group.carried,
                via: Some(via),
                grants: way.grants,
            })
        });
        core::iter::once(own).chain(groups)
    }

    /// Whether the resource lies where what is bound to it can count, be there a trust or not.
    #[inline]
    pub(crate) fn is_at_home(&self, resource: &str, chain: Option<&Chain>) -> bool {
        self.node.is_at_home(resource, chain)
    }

    /// Why what is bound to it where the resource is counts there, for what is asked; `None` when it does not.
    #[inline]
    pub(crate) fn entrance(&self, request: &AccessRequest<'_>) -> Option<Entrance<'a>> {
        if self.is_at_home(request.resource.as_path(), self.directory.chain_of(request)) {
            return Some(Entrance::Home);
        }
        self.directory.trust_for(self.node.reach(), request).map(Entrance::Trust)
    }

    /// Those that let it in anywhere, now or once.
    pub(crate) fn trusts(&self) -> impl Iterator<Item = &'a TrustRecord> + use<'a> {
        self.directory.trusts_of(self.node)
    }

    /// Every clause that counts now where the trust lets it in, as far as that lists it.
    pub(crate) fn held_by(
        &self,
        trust: &'a TrustRecord,
        now: UnixTime,
    ) -> impl Iterator<Item = Held<'a>> + use<'a> {
        let entrance = Entrance::Trust(trust);
        self.sources().flat_map(move |source| {
            source.held_where(move |bound| {
                let scope = &bound.record.scope;
                trust.truster.contains(scope)
                    && !bound.record.is_expired(now)
                    && source.counts_at(scope, scope, &entrance)
            })
        })
    }

    /// Every clause that counts now at home, whatever it is about and under whichever conditions: what counts by a
    /// trust is nobody's to pass on.
    pub(crate) fn held(&self, now: UnixTime) -> impl Iterator<Item = Held<'a>> + use<'a> {
        self.sources().flat_map(move |source| source.held(now))
    }
}

/// What is asked, in numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'r> {
    pub(crate) numbers: PermissionNumbers,
    /// The places that contain the resource, where they were looked up.
    pub(crate) chain: Option<&'r Chain>,
}

impl Directory {
    /// The places that contain the request's resource, where they were looked up.
    pub(crate) fn chain_of<'r>(&self, request: &AccessRequest<'r>) -> Option<&'r Chain> {
        let scope = request.scope_handle.filter(|handle| ptr::eq(handle.scope, request.resource));
        scope.and_then(|handle| self.places.of_handle(handle))
    }

    /// What the request asks, in numbers: those of its handles, where these are of this state and of what is asked.
    #[inline]
    pub(crate) fn asked<'r>(&self, request: &AccessRequest<'r>) -> Asked<'r> {
        let is_asked = |handle: &&PermissionHandle<'r>| ptr::eq(handle.permission, request.permission);
        let permission = request.permission_handle.filter(is_asked);
        let numbers = permission.and_then(|handle| self.patterns.of_handle(handle));
        Asked {
            numbers: numbers.unwrap_or_else(|| self.patterns.of(request.permission)),
            chain: self.chain_of(request),
        }
    }
}

/// One place a subject has bindings from: itself, or a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    directory: &'a Directory,
    pub(super) subject: Subject,
    node: &'a SubjectNode,
    carried: &'a Carried,
    via: Option<Via<'a>>,
    grants: bool,
}

/// A group that the subject is in, by itself or by other groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Via<'a> {
    pub(crate) id: GroupId,
    /// `None` where it is unreadable.
    pub(crate) record: Option<&'a Kept<GroupRecord>>,
    /// Where all groups on the way can count.
    reach: &'a Reach,
    pub(super) tenant: Option<&'a str>,
    is_tangled: bool,
}

/// A clause that counts for a subject.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) bound: &'a Bound,
    pub(crate) said: Said<'a>,
}

impl<'a> Held<'a> {
    /// The clause, where it allows.
    pub(crate) fn allowing(&self) -> Option<Clause<'a>> {
        match self.said {
            Said::Clause(clause) if self.source.grants && clause.effect() == Effect::Allow => Some(clause),
            Said::Clause(_) | Said::Unreadable(_) => None,
        }
    }
}

impl<'a> Source<'a> {
    pub(crate) const fn carried(&self) -> &'a Carried {
        self.carried
    }

    pub(crate) const fn via(&self) -> Option<Via<'a>> {
        self.via
    }

    /// Whether what is allowed here counts; what is denied always does.
    pub(crate) const fn grants(&self) -> bool {
        self.grants
    }

    pub(crate) const fn subject_id(&self) -> Subject {
        self.subject
    }

    /// The group, if nobody knows what is above it: it may deny anything.
    pub(crate) fn tangled(&self) -> Option<GroupId> {
        self.via.filter(|via| via.is_tangled).map(|via| via.id)
    }

    /// Whether something that nobody can know may deny anything.
    pub(crate) fn may_deny_anything(&self) -> bool {
        self.tangled().is_some() || !self.carried.unreadable.is_empty()
    }

    pub(crate) fn group_id(&self) -> Option<GroupId> {
        self.via.map(|via| via.id)
    }

    /// Whether anything bound to this source can count at `scope`. An unreadable group may be at home
    /// anywhere.
    pub(crate) fn reaches(&self, scope: &Scope) -> bool {
        self.node.reaches(scope) && self.via.is_none_or(|via| via.reach.includes(scope))
    }

    /// Whether what is bound to this source at `scope`, which contains the resource, counts there.
    pub(crate) fn counts_at(&self, scope: &Scope, resource: &Scope, entrance: &Entrance<'_>) -> bool {
        // A scope below the root that contains the resource is of the same tenant.
        if scope.is_root() { self.reaches(scope) } else { self.enters(resource, entrance) }
    }

    /// Whether anything bound to this source below the root can count where the resource is. The group by which a
    /// subject that is let in has it is at home there, with the subject, or at the root.
    pub(crate) fn enters(&self, resource: &Scope, entrance: &Entrance<'_>) -> bool {
        match entrance {
            Entrance::Home => self.reaches(resource),
            Entrance::Trust(_) => self.via.is_none_or(|via| {
                via.reach.includes(resource) || via.reach.tenant() == self.node.reach().tenant()
            }),
        }
    }

    /// Every clause from here that counts now.
    pub(crate) fn held(self, now: UnixTime) -> impl Iterator<Item = Held<'a>> + use<'a> {
        self.held_where(move |bound| self.counts(bound, now))
    }

    fn held_where(self, counts: impl Fn(&Bound) -> bool) -> impl Iterator<Item = Held<'a>> {
        let counting = self.carried.bindings.iter().filter(move |(_, bound)| counts(bound));
        counting.flat_map(move |(role, bound)| {
            let said = self.directory.clauses(role, &bound.record.scope);
            said.map(move |said| Held { source: self, bound, said })
        })
    }

    /// The bindings that count now and whose scope contains the resource, in order, and what is known of what they say
    /// of the permission, if it may be something.
    #[inline]
    pub(crate) fn speaking<'r>(
        &self,
        request: &'r AccessRequest<'_>,
        asked: Asked<'r>,
        entrance: Entrance<'a>,
    ) -> impl Iterator<Item = (&'a Entry, Speaks)> + use<'a, 'r> {
        let source = *self;
        let mut enters = None;
        source.carried.bindings.around(request.resource, asked.chain.map(Chain::as_slice)).filter_map(
            move |entry| {
                let speaks = source.directory.speaks(entry.role, &asked.numbers);
                if speaks == Speaks::Not || entry.has_ended(request.now) {
                    return None;
                }
                // A scope below the root that contains the resource is of the same tenant.
                let counts = if entry.bound.depth == 0 {
                    source.reaches(&entry.bound.record.scope)
                } else {
                    *enters.get_or_insert_with(|| source.enters(request.resource, &entrance))
                };
                counts.then_some((entry, speaks))
            },
        )
    }

    /// The same, with all that the bindings say.
    pub(crate) fn concerning<'r>(
        &self,
        request: &'r AccessRequest<'_>,
        asked: Asked<'r>,
        entrance: Entrance<'a>,
    ) -> impl Iterator<Item = Held<'a>> + use<'a, 'r> {
        let source = *self;
        self.speaking(request, asked, entrance).flat_map(move |(entry, _)| source.said_by(entry))
    }

    /// All that the binding says.
    pub(crate) fn said_by(self, entry: &'a Entry) -> impl Iterator<Item = Held<'a>> + use<'a> {
        let bound = entry.bound.as_ref();
        let said = self.directory.clauses(entry.role, &bound.record.scope);
        said.map(move |said| Held { source: self, bound, said })
    }

    /// Whether the role that is bound so is at home there.
    pub(crate) fn is_at_home(&self, entry: &Entry) -> bool {
        self.directory.is_role_at(entry.role, &entry.bound.record.scope)
    }

    /// Whether the binding counts at all.
    fn counts(&self, bound: &Bound, now: UnixTime) -> bool {
        !bound.record.is_expired(now) && self.reaches(&bound.record.scope)
    }

    /// The one thing for which the binding does not grant what is asked, and the statement that would; `None`
    /// when it does, or when there is more than one. Of several clauses, the nearest.
    pub(crate) fn only_lack(
        &self,
        role: RoleNumber,
        bound: &Bound,
        request: &AccessRequest<'_>,
        numbers: &PermissionNumbers,
        entrance: &Entrance<'_>,
    ) -> Option<(Missing, Option<StatementRef>)> {
        let record = &bound.record;
        let is_here = record.scope.contains(request.resource);
        // Most bindings lack both the scope and the role or its permission: that is more than one thing.
        if !is_here && self.directory.speaks(role, numbers) == Speaks::Not {
            return None;
        }
        let (is_expired, is_out_of_reach) =
            (record.is_expired(request.now), !self.counts_at(&record.scope, request.resource, entrance));
        if !self.directory.is_role_at(role, &record.scope) {
            let is_all = is_here && !is_expired && !is_out_of_reach;
            return is_all.then_some((Missing::Role, None));
        }
        let clauses = self.directory.clauses(role, &record.scope).filter_map(|said| match said {
            Said::Clause(clause) if clause.effect() == Effect::Allow => Some(clause),
            Said::Clause(_) | Said::Unreadable(_) => None,
        });
        let lacks = clauses.filter_map(|clause| {
            let checks = [
                (clause.holds(request.context, request.now) != Truth::True, Missing::Condition),
                (is_expired, Missing::Expired),
                (is_out_of_reach, Missing::OutOfReach),
                (!is_here || !clause.is_at(request.resource), Missing::Scope),
                (!clause.permissions().matches(request.permission), Missing::Permission),
            ];
            let mut lacks = checks.into_iter().filter(|(lacks, _)| *lacks);
            let (_, first) = lacks.next()?;
            lacks.next().is_none().then_some((first, clause.reference()))
        });
        lacks.min_by_key(|(missing, _)| *missing)
    }
}
