//! The slow, obvious evaluator: lists, loops and texts, nothing of the library's but its vocabulary.

use std::cmp::Reverse;

use core_types::{Grant, Limit, Permission, PermissionPattern, Restriction, Scope, Subject, UnixTime};
use iam_policy::{BindingId, BuiltInRole, GroupId, Holder, Missing, RoleRef};

use crate::world::{BindingFact, Fate, SubjectFact, World};

/// A decision, as plain facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed { binding: BindingId, via: Option<GroupId>, scope: Scope },
    UnreadablePolicy,
    UnknownSubject,
    UnreadableSubject,
    Disabled,
    RestrictionExpired(UnixTime),
    NoGrant(Option<(BindingId, Option<GroupId>, Missing)>),
    LimitedByRestriction(BindingId),
}

#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) subject: Subject,
    pub(crate) restriction: Restriction,
    pub(crate) permission: Permission,
    pub(crate) resource: Scope,
    pub(crate) now: UnixTime,
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
    let held = held(world, subject.id);
    let mut granting: Vec<_> = held
        .iter()
        .filter(|(via, binding)| lacks(world, subject, *via, binding, question).is_empty())
        .map(|(via, binding)| (*via, usize::MAX - binding.scope.levels().count(), binding.id, binding))
        .collect();
    granting.sort_by_key(|(via, height, id, _)| (*via, *height, *id));
    let Some((via, _, _, binding)) = granting.first() else {
        return Verdict::NoGrant(nearest(world, subject, &held, question));
    };
    if !restriction_allows(&question.restriction, question) {
        return Verdict::LimitedByRestriction(binding.id);
    }
    Verdict::Allowed { binding: binding.id, via: *via, scope: binding.scope.clone() }
}

/// The bindings of a subject with the group each comes by: its own first, then by group.
fn held(world: &World, subject: Subject) -> Vec<(Option<GroupId>, &BindingFact)> {
    let mut sources = vec![(None, Holder::Subject(subject))];
    for member in &world.members {
        let exists = |id| world.groups.iter().any(|group| group.id == id && group.fate == Fate::Readable);
        if member.subject == subject && member.fate == Fate::Readable && exists(member.group) {
            sources.push((Some(member.group), Holder::Group(member.group)));
        }
    }
    let mut held: Vec<_> = sources
        .iter()
        .flat_map(|(via, holder)| {
            let readable = world.bindings.iter().filter(|binding| binding.fate == Fate::Readable);
            readable.filter(|binding| binding.holder == *holder).map(|binding| (*via, binding))
        })
        .collect();
    held.sort_by_key(|(via, binding)| (*via, Reverse(text_of(&binding.scope)), binding.id));
    held
}

/// Everything for which the binding does not grant what is asked.
fn lacks(
    world: &World,
    subject: &SubjectFact,
    via: Option<GroupId>,
    binding: &BindingFact,
    question: &Question,
) -> Vec<Missing> {
    let mut lacks = Vec::new();
    if matches!(binding.expires_at, Limit::Only(at) if at <= question.now) {
        lacks.push(Missing::Expired);
    }
    let group = via.and_then(|via| world.groups.iter().find(|group| group.id == via));
    let role = match binding.role {
        RoleRef::BuiltIn(role) => Some((Scope::root(), built_in(role))),
        RoleRef::Custom(id) => world
            .roles
            .iter()
            .find(|role| role.id == id && role.fate == Fate::Readable)
            .map(|role| (role.home.clone(), role.patterns.clone())),
        _ => None,
    };
    let in_tenant = |home: &Scope| is_root(home) || tenant(home) == tenant(&binding.scope);
    let role = role.filter(|(home, _)| lies_in(&binding.scope, home));
    if !in_tenant(&subject.home) || !group.is_none_or(|group| in_tenant(&group.home)) {
        lacks.push(Missing::OutOfReach);
    }
    if role.is_none() {
        lacks.push(Missing::Role);
    }
    if !lies_in(&question.resource, &binding.scope) {
        lacks.push(Missing::Scope);
    }
    if role
        .is_some_and(|(_, patterns)| !patterns.iter().any(|pattern| permits(pattern, &question.permission)))
    {
        lacks.push(Missing::Permission);
    }
    lacks
}

fn nearest(
    world: &World,
    subject: &SubjectFact,
    held: &[(Option<GroupId>, &BindingFact)],
    question: &Question,
) -> Option<(BindingId, Option<GroupId>, Missing)> {
    let of_tenant = |scope: &Scope| is_root(scope) || tenant(scope) == tenant(&question.resource);
    let group_home = |via| world.groups.iter().find(|group| group.id == via).map(|group| group.home.clone());
    let mut near: Vec<_> = held
        .iter()
        .filter(|(_, binding)| of_tenant(&binding.scope) && of_tenant(&subject.home))
        .filter(|(via, _)| via.and_then(group_home).is_none_or(|home| of_tenant(&home)))
        .filter_map(|(via, binding)| match lacks(world, subject, *via, binding, question)[..] {
            [only] => Some((binding.id, *via, only)),
            _ => None,
        })
        .collect();
    near.sort_by_key(|(_, _, missing)| *missing);
    near.first().copied()
}

pub(crate) fn restriction_allows(restriction: &Restriction, question: &Question) -> bool {
    match restriction.grants() {
        Limit::Unlimited => true,
        Limit::Only(grants) => grants.iter().any(|Grant { permissions, scope }| {
            permits(permissions, &question.permission) && lies_in(&question.resource, scope)
        }),
    }
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

fn is_root(scope: &Scope) -> bool {
    scope.levels().count() == 0
}

fn tenant(scope: &Scope) -> Option<String> {
    scope.levels().next().map(|level| format!("{}/{}", level.kind, level.name))
}

/// The text bindings are sorted by; the root's comes first.
fn text_of(scope: &Scope) -> String {
    if is_root(scope) { String::new() } else { scope.to_string() }
}
