//! The slow, obvious evaluator: lists, loops and texts, nothing of the library's but its vocabulary.

use std::cmp::Reverse;

use core_types::{Grant, Limit, Permission, PermissionPattern, Restriction, Scope, Subject, UnixTime};
use iam_policy::{BindingId, BuiltInRole, GroupId, Holder, Missing, PolicyId, RoleRef, TrustId, Truth};

use crate::ways::{Tenant, Way, group_of, ways_above};
use crate::world::{BindingFact, ConditionFact, Fate, SubjectFact, TestFact, World};

/// A decision, as plain facts. `Via` is the group, or the subject itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed { binding: BindingId, via: Via, scope: Scope, statement: StatementIs, trust: Option<TrustId> },
    UnreadablePolicy,
    UnknownSubject,
    UnreadableSubject,
    Disabled,
    RestrictionExpired(UnixTime),
    TenantMismatch,
    TangledGroups(GroupId),
    UnreadableBinding(BindingId, Via),
    UnreadableRole(BindingId, Via, Option<PolicyId>),
    ExplicitDeny { binding: BindingId, via: Via, statement: StatementIs, is_certain: bool },
    NoGrant(Option<(BindingId, Via, Missing, StatementIs)>),
    UnreadableBoundary(BindingId),
    LimitedByBoundary(BindingId),
    LimitedByRestriction(BindingId),
}

pub(crate) type Via = Option<GroupId>;

/// Which statement of which policy; `None` for a role's own patterns.
pub(crate) type StatementIs = Option<(PolicyId, usize)>;

#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) subject: Subject,
    pub(crate) restriction: Restriction,
    pub(crate) permission: Permission,
    pub(crate) resource: Scope,
    pub(crate) now: UnixTime,
    pub(crate) mfa: Option<bool>,
}

pub(crate) fn judge(world: &World, question: &Question) -> Verdict {
    if world.has_unknown_family {
        return Verdict::UnreadablePolicy;
    }
    let subject = world.subjects.iter().find(|fact| fact.id == question.subject);
    let subject = match subject {
        None => return Verdict::UnknownSubject,
        Some(fact) if fact.fate == Fate::Gone => return Verdict::UnknownSubject,
        Some(fact) if fact.fate == Fate::Unreadable => return Verdict::UnreadableSubject,
        Some(fact) if !fact.enabled => return Verdict::Disabled,
        Some(fact) => fact,
    };
    if let Limit::Only(at) = question.restriction.expires_at()
        && at <= question.now
    {
        return Verdict::RestrictionExpired(at);
    }
    let entrance = entrance(world, subject, question);
    if entrance == Entrance::None {
        return Verdict::TenantMismatch;
    }
    let mut allowed = None;
    for source in sources(world, subject) {
        if let (Some(group), true, true) =
            (source.via, source.is_tangled, source.enters(subject, &question.resource, entrance))
        {
            return Verdict::TangledGroups(group);
        }
        let unreadable = bindings_of(world, &source, Fate::Unreadable).map(|binding| binding.id).min();
        if let (Some(binding), true) = (unreadable, source.enters(subject, &question.resource, entrance)) {
            return Verdict::UnreadableBinding(binding, source.via);
        }
        for binding in sorted(bindings_of(world, &source, Fate::Readable)) {
            let counts = !has_ended(binding, question) && source.enters(subject, &binding.scope, entrance);
            if !counts || !lies_in(&question.resource, &binding.scope) {
                continue;
            }
            for said in clauses(world, binding) {
                let clause = match said {
                    Said::Unreadable(policy) => {
                        return Verdict::UnreadableRole(binding.id, source.via, policy);
                    }
                    Said::Clause(clause) => clause,
                };
                if !clause.is_about(question) {
                    continue;
                }
                let (binding, via, statement) = (binding, source.via, clause.statement);
                let truth = holds(&clause.conditions, question);
                if clause.is_deny && truth != Truth::False {
                    let is_certain = truth == Truth::True;
                    return Verdict::ExplicitDeny { binding: binding.id, via, statement, is_certain };
                }
                if !clause.is_deny && truth == Truth::True && source.grants && allowed.is_none() {
                    let scope = binding.scope.clone();
                    let (binding, trust) = (binding.id, entrance.trust());
                    allowed = Some((binding, Verdict::Allowed { binding, via, scope, statement, trust }));
                }
            }
        }
    }
    let Some((binding, allowed)) = allowed else {
        return Verdict::NoGrant(nearest(world, subject, question));
    };
    let boundary = world.boundaries.iter().find(|boundary| boundary.subject == subject.id);
    match boundary.map(|boundary| (boundary.fate, &boundary.limit)) {
        None | Some((Fate::Gone, _)) => {}
        Some((Fate::Unreadable, _)) => return Verdict::UnreadableBoundary(binding),
        Some((Fate::Readable, limit)) => {
            let has_ended = matches!(limit.expires_at(), Limit::Only(at) if at <= question.now);
            if has_ended || !lists(limit, question) {
                return Verdict::LimitedByBoundary(binding);
            }
        }
    }
    if lists(&question.restriction, question) { allowed } else { Verdict::LimitedByRestriction(binding) }
}

/// Where a subject has bindings from.
struct Source {
    via: Via,
    holder: Holder,
    /// Whether what is allowed counts.
    grants: bool,
    /// That of a group on the way, where one is known: they are all of one tenant.
    home: Option<Scope>,
    /// Whether nobody knows all that is above the group.
    is_tangled: bool,
}

/// By what a subject comes to the tenant of the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entrance {
    None,
    Home,
    Trust(TrustId),
}

impl Entrance {
    fn trust(self) -> Option<TrustId> {
        match self {
            Self::Trust(trust) => Some(trust),
            Self::None | Self::Home => None,
        }
    }
}

fn entrance(world: &World, subject: &SubjectFact, question: &Question) -> Entrance {
    if in_reach(&subject.home, &question.resource) {
        return Entrance::Home;
    }
    let trusting = world.trusts.iter().filter(|trust| {
        let ends = trust.limit.expires_at();
        let (truster, trusted): (Vec<_>, Vec<_>) =
            (trust.truster.levels().collect(), trust.trusted.levels().collect());
        trust.fate == Fate::Readable
            && trust.accepted
            && truster.len() == 1
            && trusted.len() == 1
            && tenant(&trust.truster) == tenant(&question.resource)
            && tenant(&trust.trusted) == tenant(&subject.home)
            && !matches!(ends, Limit::Only(at) if at <= question.now)
            && lists(&trust.limit, question)
    });
    trusting.map(|trust| trust.id).min().map_or(Entrance::None, Entrance::Trust)
}

impl Source {
    /// Whether what is bound at `scope` counts for who came in so.
    fn enters(&self, subject: &SubjectFact, scope: &Scope, entrance: Entrance) -> bool {
        match entrance {
            Entrance::None => false,
            Entrance::Home => self.reaches(subject, scope),
            // What is bound at the root is bound in no tenant. A group is of one of the two tenants, or of none.
            Entrance::Trust(_) => {
                tenant(scope).is_some()
                    && self
                        .home
                        .as_ref()
                        .is_none_or(|home| in_reach(home, scope) || tenant(home) == tenant(&subject.home))
            }
        }
    }

    fn reaches(&self, subject: &SubjectFact, scope: &Scope) -> bool {
        in_reach(&subject.home, scope) && self.home.as_ref().is_none_or(|home| in_reach(home, scope))
    }
}

fn sources(world: &World, subject: &SubjectFact) -> Vec<Source> {
    let own = Source {
        via: None,
        holder: Holder::Subject(subject.id),
        grants: true,
        home: None,
        is_tangled: false,
    };
    let mut by_group: Vec<((GroupId, Tenant), Source)> = Vec::new();
    for member in world.members.iter().filter(|it| it.subject == subject.id && it.fate != Fate::Gone) {
        let Some(group) = group_of(world, member.group) else { continue };
        let direct = Way { groups: vec![group], is_readable: member.fate == Fate::Readable };
        let above = ways_above(world, &direct);
        let is_tangled = above.is_none();
        for way in [direct].into_iter().chain(above.into_iter().flatten()) {
            let last = way.last().id;
            let is_known = way.groups.iter().all(|group| group.fate == Fate::Readable);
            let grants = way.is_readable && is_known;
            let home = way.home().cloned();
            let key = (last, way.tenant());
            match by_group.iter_mut().find(|(other, _)| *other == key) {
                Some((_, source)) => {
                    source.grants |= grants;
                    source.is_tangled |= is_tangled;
                }
                None => {
                    let holder = Holder::Group(last);
                    by_group.push((key, Source { via: Some(last), holder, grants, home, is_tangled }));
                }
            }
        }
    }
    by_group.sort_by_key(|(key, _)| key.clone());
    [own].into_iter().chain(by_group.into_iter().map(|(_, source)| source)).collect()
}

fn bindings_of<'w>(world: &'w World, source: &Source, fate: Fate) -> impl Iterator<Item = &'w BindingFact> {
    let holder = source.holder;
    world.bindings.iter().filter(move |binding| binding.holder == holder && binding.fate == fate)
}

fn sorted<'w>(bindings: impl Iterator<Item = &'w BindingFact>) -> Vec<&'w BindingFact> {
    let mut bindings: Vec<_> = bindings.collect();
    bindings.sort_by_key(|binding| (Reverse(text_of(&binding.scope)), binding.id));
    bindings
}

enum Said {
    Clause(Clause),
    Unreadable(Option<PolicyId>),
}

struct Clause {
    is_deny: bool,
    patterns: Vec<PermissionPattern>,
    scopes: Option<Vec<Scope>>,
    conditions: Vec<ConditionFact>,
    statement: StatementIs,
}

impl Clause {
    fn is_at(&self, question: &Question) -> bool {
        self.scopes.as_ref().is_none_or(|all| all.iter().any(|scope| lies_in(&question.resource, scope)))
    }

    fn permits(&self, question: &Question) -> bool {
        self.patterns.iter().any(|pattern| permits(pattern, &question.permission))
    }

    fn is_about(&self, question: &Question) -> bool {
        self.is_at(question) && self.permits(question)
    }
}

/// What is said by what is bound, in order.
fn clauses(world: &World, binding: &BindingFact) -> Vec<Said> {
    let own = |patterns| {
        let (scopes, conditions, statement) = (None, vec![], None);
        Said::Clause(Clause { is_deny: false, patterns, scopes, conditions, statement })
    };
    match binding.role {
        RoleRef::BuiltIn(role) => vec![own(built_in(role))],
        RoleRef::Policy(id) => statements(world, id, &binding.scope, None),
        RoleRef::Custom(id) => {
            let Some(role) = world.roles.iter().find(|role| role.id == id) else { return vec![] };
            match role.fate {
                Fate::Gone => vec![],
                Fate::Unreadable => vec![Said::Unreadable(None)],
                Fate::Readable if !lies_in(&binding.scope, &role.home) => vec![],
                Fate::Readable => {
                    let policies = role.policies.iter();
                    let attached =
                        policies.flat_map(|policy| statements(world, *policy, &binding.scope, Some(*policy)));
                    [own(role.patterns.clone())].into_iter().chain(attached).collect()
                }
            }
        }
        _ => vec![],
    }
}

fn statements(world: &World, id: PolicyId, scope: &Scope, named: Option<PolicyId>) -> Vec<Said> {
    let Some(policy) = world.policies.iter().find(|policy| policy.id == id) else { return vec![] };
    match policy.fate {
        Fate::Gone => vec![],
        Fate::Unreadable => vec![Said::Unreadable(named)],
        Fate::Readable if !lies_in(scope, &policy.home) => vec![],
        Fate::Readable => policy
            .statements
            .iter()
            .enumerate()
            .map(|(index, fact)| {
                Said::Clause(Clause {
                    is_deny: fact.is_deny,
                    patterns: fact.patterns.clone(),
                    scopes: fact.scopes.clone(),
                    conditions: fact.conditions.clone(),
                    statement: Some((id, index)),
                })
            })
            .collect(),
    }
}

fn holds(conditions: &[ConditionFact], question: &Question) -> Truth {
    let results: Vec<Option<bool>> = conditions
        .iter()
        .map(|condition| {
            let result = match condition.test {
                TestFact::Mfa => question.mfa,
                TestFact::From(at) => Some(question.now.as_millis() >= at),
            };
            result.map(|result| result != condition.not)
        })
        .collect();
    if results.contains(&Some(false)) {
        Truth::False
    } else if results.contains(&None) {
        Truth::Unknown
    } else {
        Truth::True
    }
}

fn nearest(
    world: &World,
    subject: &SubjectFact,
    question: &Question,
) -> Option<(BindingId, Via, Missing, StatementIs)> {
    let entrance = entrance(world, subject, question);
    let mut near = Vec::new();
    for source in sources(world, subject) {
        if !source.grants || !source.enters(subject, &question.resource, entrance) {
            continue;
        }
        for binding in sorted(bindings_of(world, &source, Fate::Readable)) {
            if !in_reach(&binding.scope, &question.resource) {
                continue;
            }
            let mut outside = Vec::new();
            if has_ended(binding, question) {
                outside.push(Missing::Expired);
            }
            if !source.enters(subject, &binding.scope, entrance) {
                outside.push(Missing::OutOfReach);
            }
            let is_here = lies_in(&question.resource, &binding.scope);
            let mut lacks: Vec<(Missing, StatementIs)> = Vec::new();
            if !is_there(world, binding) {
                if outside.is_empty() && is_here {
                    lacks.push((Missing::Role, None));
                }
            } else {
                for said in clauses(world, binding) {
                    let Said::Clause(clause) = said else { continue };
                    let mut lacking = outside.clone();
                    if holds(&clause.conditions, question) != Truth::True {
                        lacking.push(Missing::Condition);
                    }
                    if !is_here || !clause.is_at(question) {
                        lacking.push(Missing::Scope);
                    }
                    if !clause.permits(question) {
                        lacking.push(Missing::Permission);
                    }
                    if let ([only], false) = (&lacking[..], clause.is_deny) {
                        lacks.push((*only, clause.statement));
                    }
                }
            }
            lacks.sort_by_key(|(missing, _)| *missing);
            if let Some((missing, statement)) = lacks.first() {
                near.push((binding.id, source.via, *missing, *statement));
            }
        }
    }
    near.sort_by_key(|(_, _, missing, _)| *missing);
    near.first().copied()
}

/// Whether what is bound exists and can count at the scope of the binding.
fn is_there(world: &World, binding: &BindingFact) -> bool {
    let home = match binding.role {
        RoleRef::BuiltIn(_) => Some(Scope::root()),
        RoleRef::Custom(id) => {
            let role = world.roles.iter().find(|role| role.id == id && role.fate == Fate::Readable);
            role.map(|role| role.home.clone())
        }
        RoleRef::Policy(id) => {
            let policy =
                world.policies.iter().find(|policy| policy.id == id && policy.fate == Fate::Readable);
            policy.map(|policy| policy.home.clone())
        }
        _ => None,
    };
    home.is_some_and(|home| lies_in(&binding.scope, &home))
}

/// Whether the restriction or boundary lists it, ended or not.
pub(crate) fn lists(limit: &Restriction, question: &Question) -> bool {
    match limit.grants() {
        Limit::Unlimited => true,
        Limit::Only(grants) => grants.iter().any(|Grant { permissions, scope }| {
            permits(permissions, &question.permission) && lies_in(&question.resource, scope)
        }),
    }
}

fn has_ended(binding: &BindingFact, question: &Question) -> bool {
    matches!(binding.expires_at, Limit::Only(at) if at <= question.now)
}

/// The roles of the table, once more.
fn built_in(role: BuiltInRole) -> Vec<PermissionPattern> {
    let texts: &[&str] = match role.name() {
        "compute-full" => &["compute:*"],
        "apps-read" => &["apps:read"],
        "databases-write" => &["databases:write"],
        "storage-full" | "CloudNxStorageFullAccess" => &["storage:*"],
        "administrator" => &["*:*"],
        "CloudNxReadOnlyAccess" => &["*:read", "*:list"],
        _ => &[],
    };
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn permits(pattern: &PermissionPattern, permission: &Permission) -> bool {
    let (pattern, permission) = (pattern.to_string(), permission.to_string());
    let (service, verb) = pattern.split_once(':').unwrap();
    let (asked_service, asked_verb) = permission.split_once(':').unwrap();
    (service == "*" || service == asked_service) && (verb == "*" || verb == asked_verb)
}

fn lies_in(inner: &Scope, outer: &Scope) -> bool {
    let (inner, outer): (Vec<_>, Vec<_>) = (inner.levels().collect(), outer.levels().collect());
    inner.starts_with(&outer)
}

/// The root reaches everywhere, others their own tenant.
fn in_reach(home: &Scope, scope: &Scope) -> bool {
    home.levels().next().is_none() || tenant(home) == tenant(scope)
}

pub(crate) fn tenant(scope: &Scope) -> Option<String> {
    scope.levels().next().map(|level| format!("{}/{}", level.kind, level.name))
}

/// The text bindings are sorted by; the root's comes first.
fn text_of(scope: &Scope) -> String {
    if scope.levels().next().is_none() { String::new() } else { scope.to_string() }
}
