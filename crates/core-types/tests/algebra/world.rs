//! A world small enough to try everything in it, and with strangers in it.
//!
//! The sets of names are open: what holds for the names in use need not hold for all. So each set here has
//! the names that `core_types::testing` draws from, and one name more that no strategy ever draws: what a
//! pattern says of the stranger it says of every name it does not mention.

use core_types::testing::{SERVICES, VERBS};
use core_types::{Grant, Permission, PermissionPattern, Restriction, Scope, UnixTime};

/// A service, a verb, a kind and a name that no strategy draws.
const STRANGER: &str = "stranger";

/// Every permission of the alphabet, and those with a stranger on either side.
pub(crate) fn permissions() -> Vec<Permission> {
    pairs(with_stranger(SERVICES), &with_stranger(VERBS))
        .map(|(service, verb)| Permission::new(service, verb).unwrap())
        .collect()
}

/// Every pattern over the alphabet; `admin:*` is the same as `*:*` and there once.
pub(crate) fn patterns() -> Vec<PermissionPattern> {
    let or_any = |names: Vec<&'static str>| [names, vec!["*"]].concat();
    let mut patterns: Vec<PermissionPattern> =
        pairs(or_any(with_stranger(SERVICES)), &or_any(with_stranger(VERBS)))
            .map(|(service, verb)| format!("{service}:{verb}").parse().unwrap())
            .collect();
    patterns.sort_unstable();
    patterns.dedup();
    patterns
}

/// Every scope of the alphabet down to `depth` levels, and below each of them the stranger.
pub(crate) fn scopes(depth: usize) -> Vec<Scope> {
    let levels: Vec<_> = pairs(vec!["org", "project"], &["a", "b", "ab"]).collect();
    let mut scopes = vec![Scope::root()];
    let mut lowest = scopes.clone();
    for _ in 0..depth {
        lowest = pairs_of(&lowest, &levels)
            .map(|(scope, (kind, name))| scope.child(kind, name).unwrap())
            .collect();
        scopes.extend_from_slice(&lowest);
    }
    let strangers: Vec<_> = scopes.iter().map(|scope| scope.child(STRANGER, STRANGER).unwrap()).collect();
    scopes.extend(strangers);
    scopes
}

/// The instants around the ends that `arb_restriction` draws, and the last one there is.
pub(crate) fn instants() -> Vec<UnixTime> {
    (0..6).chain([u64::MAX]).map(UnixTime::from_millis).collect()
}

/// Whether `outer` matches every permission that `inner` matches.
pub(crate) fn pattern_covers(outer: &PermissionPattern, inner: &PermissionPattern) -> bool {
    permissions().iter().all(|permission| outer.matches(permission) || !inner.matches(permission))
}

/// Whether a scope is another or below it, level by level and from the specification.
pub(crate) fn scope_covers(outer: &Scope, inner: &Scope) -> bool {
    let (outer, inner): (Vec<_>, Vec<_>) = (outer.levels().collect(), inner.levels().collect());
    inner.starts_with(&outer)
}

/// The points of the world of `scopes`.
pub(crate) fn points(scopes: &[Scope]) -> Vec<(Permission, Scope)> {
    pairs_of(&permissions(), scopes).map(|(permission, scope)| (permission.clone(), scope.clone())).collect()
}

/// Where the grant allows, one answer a point.
pub(crate) fn grant_answers(grant: &Grant, points: &[(Permission, Scope)]) -> Vec<bool> {
    points.iter().map(|(permission, scope)| grant.allows(permission, scope)).collect()
}

/// Where and when the restriction allows, one answer a point and instant.
pub(crate) fn answers(restriction: &Restriction, points: &[(Permission, Scope)]) -> Vec<bool> {
    instants()
        .into_iter()
        .flat_map(|now| {
            points.iter().map(move |(permission, scope)| restriction.allows(permission, scope, now))
        })
        .collect()
}

/// Whether every `true` of `inner` is one in `outer`.
pub(crate) fn covers(outer: &[bool], inner: &[bool]) -> bool {
    assert_eq!(outer.len(), inner.len(), "the answers are to the same questions");
    outer.iter().zip(inner).all(|(outer, inner)| *outer || !*inner)
}

/// Every pair of an element of the one and an element of the other.
pub(crate) fn pairs_of<'a, A, B>(a: &'a [A], b: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    a.iter().flat_map(move |first| b.iter().map(move |second| (first, second)))
}

fn pairs<'a>(a: Vec<&'a str>, b: &[&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
    a.into_iter().flat_map(move |first| b.iter().map(move |second| (first, *second)))
}

fn with_stranger(names: &[&'static str]) -> Vec<&'static str> {
    [names, &[STRANGER]].concat()
}
