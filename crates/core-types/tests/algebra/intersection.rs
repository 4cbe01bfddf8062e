//! `intersect` is what both allow: as a value, and point by point.

use core_types::restriction::MAX_GRANTS;
use core_types::testing::{arb_grant, arb_restriction};
use core_types::{Grant, Limit, Restriction, RestrictionError, Scope};
use proptest::prelude::*;

use crate::world;

#[test]
fn the_intersection_of_patterns_matches_what_both_match() {
    let (patterns, permissions) = (world::patterns(), world::permissions());
    for (a, b) in world::pairs_of(&patterns, &patterns) {
        let both = a.intersect(b);
        assert_eq!(both, b.intersect(a), "{a} and {b}");
        for permission in &permissions {
            let matched = both.as_ref().is_some_and(|both| both.matches(permission));
            assert_eq!(matched, a.matches(permission) && b.matches(permission), "{a}, {b} and {permission}");
        }
        for c in &patterns {
            let left = both.as_ref().and_then(|both| both.intersect(c));
            assert_eq!(left, b.intersect(c).and_then(|rest| a.intersect(&rest)), "{a}, {b} and {c}");
        }
    }
}

#[test]
fn a_pattern_that_contains_another_intersects_to_the_other() {
    let patterns = world::patterns();
    for (a, b) in world::pairs_of(&patterns, &patterns) {
        assert_eq!(a.intersect(b).as_ref() == Some(b), a.contains(b), "{a} and {b}");
    }
}

#[test]
fn the_intersection_of_scopes_contains_what_both_contain() {
    let (scopes, below) = (world::scopes(1), world::scopes(2));
    for (a, b) in world::pairs_of(&scopes, &scopes) {
        let both = a.intersect(b);
        assert_eq!(both, b.intersect(a), "{a} and {b}");
        for scope in &below {
            let contained = both.is_some_and(|both| both.contains(scope));
            assert_eq!(contained, a.contains(scope) && b.contains(scope), "{a}, {b} and {scope}");
        }
    }
}

#[test]
fn pairs_stay_pairs() {
    let grant =
        |permissions: &str, scope: &str| Grant::new(permissions.parse().unwrap(), scope.parse().unwrap());
    let crossed =
        Restriction::only([grant("apps:read", "project/web"), grant("apps:write", "project/shop")]).unwrap();
    let straight =
        Restriction::only([grant("apps:read", "project/shop"), grant("apps:write", "project/web")]).unwrap();
    assert_eq!(crossed.intersect(&straight).unwrap(), Restriction::nothing());
    assert!(!crossed.contains(&straight) && !straight.contains(&crossed));
}

/// `count` scopes of which none contains another.
fn unrelated(count: usize) -> impl Iterator<Item = Scope> {
    (0..count).map(|number| format!("project/p{number}").parse().unwrap())
}

#[test]
fn an_intersection_that_needs_too_many_grants_is_refused() {
    let grants = |pattern: &str| {
        unrelated(MAX_GRANTS).map(move |scope| Grant::new(pattern_of(pattern), scope)).collect::<Vec<_>>()
    };
    let reads = Restriction::only(grants("*:read")).unwrap();
    let services = Restriction::only(
        ["apps:*", "compute:*"].map(|pattern| Grant::new(pattern_of(pattern), Scope::root())),
    )
    .unwrap();
    let refused = Err(RestrictionError::TooManyGrants { limit: MAX_GRANTS });
    assert_eq!(reads.intersect(&services), refused, "it would need twice the bound");
    assert_eq!(services.intersect(&reads), refused);
}

#[test]
fn an_intersection_that_fits_is_never_refused_whatever_the_order() {
    // Half of the pairs turn out to lie in the last one of all.
    let reads = unrelated(MAX_GRANTS - 1).map(|scope| Grant::new(pattern_of("*:read"), scope));
    let apps = Grant::new(pattern_of("apps:*"), Scope::root());
    let a = Restriction::only(reads.chain([apps.clone()])).unwrap();
    let b = Restriction::only([apps, Grant::new(pattern_of("compute:*"), Scope::root())]).unwrap();
    let (ab, ba) = (a.intersect(&b), b.intersect(&a));
    assert_eq!(ab, ba);
    match ab.unwrap().grants() {
        Limit::Only(grants) => assert_eq!(grants.len(), MAX_GRANTS),
        Limit::Unlimited => panic!("a limit was lost"),
    }
}

fn pattern_of(text: &str) -> core_types::PermissionPattern {
    text.parse().unwrap()
}

proptest! {
    #[test]
    fn the_intersection_of_grants_allows_what_both_allow(a in arb_grant(), b in arb_grant()) {
        let both = a.intersect(&b);
        prop_assert_eq!(&both, &b.intersect(&a));
        prop_assert_eq!(a.intersect(&a), Some(a.clone()));
        for (permission, scope) in world::points(&world::scopes(3)) {
            let allowed = both.as_ref().is_some_and(|both| both.allows(&permission, &scope));
            prop_assert_eq!(allowed, a.allows(&permission, &scope) && b.allows(&permission, &scope));
        }
    }

    #[test]
    fn intersecting_is_commutative_associative_and_idempotent(
        a in arb_restriction(),
        b in arb_restriction(),
        c in arb_restriction(),
    ) {
        prop_assert_eq!(a.intersect(&b)?, b.intersect(&a)?);
        prop_assert_eq!(a.intersect(&b)?.intersect(&c)?, a.intersect(&b.intersect(&c)?)?);
        prop_assert_eq!(a.intersect(&a)?, a);
    }

    #[test]
    fn nothing_widens(a in arb_restriction(), b in arb_restriction()) {
        let both = a.intersect(&b)?;
        prop_assert!(a.contains(&both) && b.contains(&both));
        prop_assert_eq!(a.contains(&b), both == b, "the least of two that are ordered");
        prop_assert_eq!(a.intersect(&Restriction::unrestricted())?, a.clone());
        let none = a.intersect(&Restriction::nothing())?;
        prop_assert_eq!(none.grants(), Limit::Only(&[][..]));
    }

    #[test]
    fn the_grants_are_sorted_and_none_lies_in_another(a in arb_restriction(), b in arb_restriction()) {
        let both = a.intersect(&b)?;
        if let Limit::Only(grants) = both.grants() {
            prop_assert!(grants.is_sorted());
            for (first, second) in world::pairs_of(grants, grants) {
                prop_assert!(first == second || !first.contains(second));
            }
        }
    }

    #[test]
    fn the_order_in_which_grants_are_given_does_not_matter(
        grants in prop::collection::vec(arb_grant(), 0..8).prop_shuffle(),
    ) {
        let mut sorted = grants.clone();
        sorted.sort_unstable();
        let doubled = grants.iter().chain(&sorted).cloned();
        let restriction = Restriction::only(doubled)?;
        prop_assert_eq!(&restriction, &Restriction::only(sorted.iter().rev().cloned())?);
        prop_assert_eq!(&restriction, &Restriction::only(sorted)?);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_intersection_of_restrictions_allows_what_both_allow(a in arb_restriction(), b in arb_restriction()) {
        let points = world::points(&world::scopes(3));
        let both = world::answers(&a.intersect(&b)?, &points);
        let expected: Vec<_> = world::answers(&a, &points)
            .into_iter()
            .zip(world::answers(&b, &points))
            .map(|(a, b)| a && b)
            .collect();
        prop_assert_eq!(both, expected);
    }
}
