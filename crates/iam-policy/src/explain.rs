//! Why a decision is what it is: the records it rests on, and everything else that speaks to it.

use std::collections::{BTreeMap, BTreeSet};

use core_types::{Scope, Subject};
use state_store::{Key, LimitError};

use crate::authorizer::{Authorizer, denial, near_bindings, near_miss};
use crate::decision::{Decision, DenyReason, NearMiss, StatementRef};
use crate::directory::{Entrance, Held, Live, PermissionNumbers};
use crate::holder::{BindingId, BreakGlassId, GroupId, Holder, PolicyId, RoleId, RoleRef, TrustId};
use crate::key::Place;
use crate::request::AccessRequest;

/// The most allows, denials and near misses an explanation lists, of each.
pub const MAX_EXPLAINED: usize = 64;

/// A decision, the records it rests on, and everything else that speaks to the question.
///
/// `facts` is enough and not too much: a directory of these records alone decides the same, and without any one
/// of them it decides otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The records it rests on.
    pub facts: Vec<Fact>,
    /// Everything that allows what is asked, in the order of [`Allow`](crate::Allow), at most
    /// [`MAX_EXPLAINED`].
    pub allowing: Vec<Allowing>,
    /// Everything that denies it, in the same order, at most [`MAX_EXPLAINED`].
    pub denying: Vec<DenyReason>,
    /// What would allow it if one thing were otherwise, the nearest first, at most [`MAX_EXPLAINED`].
    pub near: Vec<NearMiss>,
    /// How the subject comes to be in each group named above that it is no member of itself: the group it is a member
    /// of, each that the one before is in, and last the group itself.
    pub ways: BTreeMap<GroupId, Vec<GroupId>>,
}

/// Something that allows what is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allowing {
    /// The binding.
    pub binding: BindingId,
    /// The role or policy it binds.
    pub role: RoleRef,
    /// The group it is bound to; `None` when it is the subject's own.
    pub via: Option<GroupId>,
    /// The statement; `None` when it is one of the role's own patterns.
    pub statement: Option<StatementRef>,
    /// The scope of the binding.
    pub scope: Scope,
}

/// A record that a decision rests on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fact {
    /// A record of a family that this version does not know.
    Unknown(Key),
    /// The subject.
    Subject(Subject),
    /// The subject's boundary.
    Boundary(Subject),
    /// The subject's membership of a group.
    Membership(GroupId, Subject),
    /// The group.
    Group(GroupId),
    /// That the second group is in the first.
    Nesting(GroupId, GroupId),
    /// A binding, of a holder.
    Binding(Holder, BindingId),
    /// A role.
    Role(RoleId),
    /// A policy.
    Policy(PolicyId),
    /// A trust between two tenants.
    Trust(TrustId),
    /// A record of broken glass, on which no decision rests.
    BreakGlass(BreakGlassId),
}

impl Fact {
    /// Where the record stands.
    ///
    /// # Errors
    /// [`LimitError`], which no id can cause.
    pub fn key(&self) -> Result<Key, LimitError> {
        match self {
            Self::Unknown(key) => Ok(key.clone()),
            Self::Subject(id) => Place::Subject(*id).key(),
            Self::Boundary(id) => Place::Boundary(*id).key(),
            Self::Membership(group, subject) => Place::Member(*group, *subject).key(),
            Self::Group(id) => Place::Group(*id).key(),
            Self::Nesting(group, inner) => Place::Nested(*group, *inner).key(),
            Self::Binding(holder, id) => Place::Binding(*holder, *id).key(),
            Self::Role(id) => Place::Role(*id).key(),
            Self::Policy(id) => Place::Policy(*id).key(),
            Self::Trust(id) => Place::Trust(*id).key(),
            Self::BreakGlass(id) => Place::BreakGlass(*id).key(),
        }
    }
}

impl Authorizer<'_> {
    /// How the subject comes to be in the group: the group it is a member of, each that the one before is in, and last
    /// the group itself. Empty where it is not in it, or may do nothing at all.
    #[must_use]
    pub fn way_to(&self, subject: Subject, group: GroupId) -> Vec<GroupId> {
        let Ok(live) = self.directory().live(subject) else { return Vec::new() };
        let mut sources = live.sources().filter_map(|source| Some((source, source.via()?)));
        let found = sources.find(|(_, via)| via.id == group);
        found.map(|(source, via)| live.trail_to(&via, source.grants()).groups).unwrap_or_default()
    }

    /// The decision [`authorize`](Self::authorize) takes, with its reasons in full. Allocates and takes its
    /// time: for an administrator who asks, not for every request.
    #[must_use]
    pub fn explain(&self, request: &AccessRequest<'_>) -> Explanation {
        let decision = self.authorize(request);
        let mut explanation = Explanation {
            facts: self.facts(&decision, request),
            decision,
            allowing: Vec::new(),
            denying: Vec::new(),
            near: Vec::new(),
            ways: BTreeMap::new(),
        };
        let Ok(live) = self.directory().live(request.principal.rights_of()) else { return explanation };
        let Some(entrance) = live.entrance(request) else { return explanation };
        let asked = self.directory().asked(request);
        for source in live.sources() {
            if source.enters(request.resource, &entrance) {
                let tangled = source.tangled();
                explanation.denying.extend(tangled.map(|group| DenyReason::TangledGroups { group }));
                let unreadable = source.carried().unreadable.iter();
                let via = source.group_id();
                explanation
                    .denying
                    .extend(unreadable.map(|&binding| DenyReason::UnreadableBinding { binding, via }));
            }
            for held in source.concerning(request, asked, entrance) {
                explanation.denying.extend(denial(&held, request));
                explanation.allowing.extend(self.allowing(&held, request, &entrance));
            }
        }
        explanation.near = near(&live, request, &asked.numbers, entrance);
        explanation.allowing.truncate(MAX_EXPLAINED);
        explanation.denying.truncate(MAX_EXPLAINED);
        explanation.ways = ways(&live, &explanation);
        explanation
    }

    fn allowing(
        &self,
        held: &Held<'_>,
        request: &AccessRequest<'_>,
        entrance: &Entrance<'_>,
    ) -> Option<Allowing> {
        let allow = self.grant(held, request, entrance)?;
        Some(Allowing {
            binding: allow.binding(),
            role: allow.role(),
            via: allow.via(),
            statement: allow.statement(),
            scope: held.bound.record.scope.clone(),
        })
    }

    fn facts(&self, decision: &Decision, request: &AccessRequest<'_>) -> Vec<Fact> {
        let subject = request.principal.rights_of();
        let mut facts = vec![Fact::Subject(subject)];
        match decision {
            Decision::Allow(allow) => {
                self.chain(&mut facts, request, allow.binding(), allow.via(), allow.statement());
            }
            Decision::Deny(deny) => match &deny.reason {
                DenyReason::UnreadablePolicy => {
                    facts =
                        self.directory().first_unknown().cloned().map(Fact::Unknown).into_iter().collect();
                }
                DenyReason::UnknownSubject => facts.clear(),
                DenyReason::UnreadableSubject
                | DenyReason::Disabled
                | DenyReason::RestrictionExpired { .. }
                | DenyReason::TenantMismatch
                | DenyReason::NoGrant => {}
                DenyReason::TangledGroups { group } => {
                    facts.extend([Fact::Membership(*group, subject), Fact::Group(*group)]);
                    let tangle = self.directory().tangle_of(*group);
                    for (outer, inner) in tangle.into_iter().flat_map(|tangle| tangle.nestings) {
                        facts.extend([Fact::Nesting(outer, inner), Fact::Group(outer), Fact::Group(inner)]);
                    }
                    facts.sort_unstable();
                    facts.dedup();
                }
                DenyReason::UnreadableBinding { binding, via } => {
                    self.membership(&mut facts, request, *via);
                    facts.push(Fact::Binding(holder(subject, *via), *binding));
                }
                DenyReason::UnreadableRole { binding, via, policy } => {
                    let statement = policy.map(|policy| StatementRef { policy, index: 0 });
                    self.chain(&mut facts, request, *binding, *via, statement);
                }
                DenyReason::ExplicitDeny { binding, via, statement, .. } => {
                    self.chain(&mut facts, request, *binding, *via, Some(*statement));
                }
                DenyReason::UnreadableBoundary { granted_by }
                | DenyReason::LimitedByBoundary { granted_by } => {
                    facts.push(Fact::Boundary(subject));
                    self.granting_chain(&mut facts, request, *granted_by);
                }
                DenyReason::LimitedByRestriction { granted_by } => {
                    self.granting_chain(&mut facts, request, *granted_by);
                }
            },
        }
        facts.extend(self.trust(decision, request).map(Fact::Trust));
        facts
    }

    /// The trust without which the decision would have been that it is another tenant's.
    fn trust(&self, decision: &Decision, request: &AccessRequest<'_>) -> Option<TrustId> {
        if let Decision::Deny(deny) = decision
            && matches!(deny.reason, DenyReason::RestrictionExpired { .. })
        {
            return None;
        }
        let live = self.directory().live(request.principal.rights_of()).ok()?;
        live.entrance(request)?.trust()
    }

    /// The way by which this binding grants what is asked.
    fn granting_chain(&self, facts: &mut Vec<Fact>, request: &AccessRequest<'_>, binding: BindingId) {
        let subject = request.principal.rights_of();
        let Ok(live) = self.directory().live(subject) else { return };
        let Some(entrance) = live.entrance(request) else { return };
        let asked = self.directory().asked(request);
        let mut all = live.sources().flat_map(|source| source.concerning(request, asked, entrance));
        let allow = all.find_map(|held| {
            self.grant(&held, request, &entrance).filter(|allow| allow.binding() == binding)
        });
        if let Some(allow) = allow {
            self.chain(facts, request, binding, allow.via(), allow.statement());
        }
    }

    /// Membership, group, binding, and what is bound, as far as the statement.
    fn chain(
        &self,
        facts: &mut Vec<Fact>,
        request: &AccessRequest<'_>,
        binding: BindingId,
        via: Option<GroupId>,
        statement: Option<StatementRef>,
    ) {
        self.membership(facts, request, via);
        let holder = holder(request.principal.rights_of(), via);
        facts.push(Fact::Binding(holder, binding));
        let role = self.directory().bindings_of(holder).find(|record| record.id == binding);
        match role.map(|record| record.role) {
            Some(RoleRef::Custom(role)) => {
                facts.push(Fact::Role(role));
                facts.extend(statement.map(|statement| Fact::Policy(statement.policy)));
            }
            Some(RoleRef::Policy(policy)) => facts.push(Fact::Policy(policy)),
            Some(RoleRef::BuiltIn(_)) | None => {}
        }
    }

    /// By which membership and nestings the subject is in the group, and each group on the way.
    fn membership(&self, facts: &mut Vec<Fact>, request: &AccessRequest<'_>, via: Option<GroupId>) {
        let (Some(group), Ok(live)) = (via, self.directory().live(request.principal.rights_of())) else {
            return;
        };
        let Some(entrance) = live.entrance(request) else { return };
        let mut sources = live.sources().filter(|source| source.group_id() == Some(group));
        let source = sources.find(|source| source.enters(request.resource, &entrance));
        let Some((source, via)) = source.and_then(|source| Some((source, source.via()?))) else { return };
        let groups = live.trail_to(&via, source.grants()).groups;
        let first = groups.first().map(|first| Fact::Membership(*first, source.subject_id()));
        facts.extend(first);
        facts.extend(groups.iter().map(|group| Fact::Group(*group)));
        let inners = groups.iter().zip(groups.iter().skip(1));
        facts.extend(inners.map(|(inner, group)| Fact::Nesting(*group, *inner)));
    }
}

/// How the subject comes to the groups that the explanation names, and it is no member of.
fn ways(live: &Live<'_>, explanation: &Explanation) -> BTreeMap<GroupId, Vec<GroupId>> {
    let allowing = explanation.allowing.iter().map(|it| it.via);
    let denying = explanation.denying.iter().map(DenyReason::via);
    let near = explanation.near.iter().map(|it| it.via);
    let named: BTreeSet<GroupId> = allowing.chain(denying).chain(near).flatten().collect();
    let mut ways = BTreeMap::new();
    for source in live.sources() {
        let Some(via) = source.via().filter(|via| named.contains(&via.id)) else { continue };
        let groups = live.trail_to(&via, source.grants()).groups;
        if groups.len() > 1 {
            ways.entry(via.id).or_insert(groups);
        }
    }
    ways
}

fn holder(subject: Subject, via: Option<GroupId>) -> Holder {
    via.map_or(Holder::Subject(subject), Holder::Group)
}

/// All near misses, the nearest kind of lack first; of one kind, in the order of decisions.
fn near<'a>(
    live: &Live<'a>,
    request: &AccessRequest<'_>,
    numbers: &PermissionNumbers,
    entrance: Entrance<'a>,
) -> Vec<NearMiss> {
    let mut near: Vec<NearMiss> = near_bindings(live, request, entrance)
        .filter_map(|(source, (role, bound))| near_miss(&source, role, bound, request, numbers, &entrance))
        .collect();
    near.sort_by_key(|miss| miss.missing);
    near.truncate(MAX_EXPLAINED);
    near
}
