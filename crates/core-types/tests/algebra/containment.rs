//! `contains` is a partial order, and says what brute force says.

use core_types::testing::{arb_grant, arb_restriction, arb_scope};
use core_types::{Grant, Limit, Restriction, Scope, UnixTime};
use proptest::prelude::*;

use crate::world;

/// Reflexive, antisymmetric and transitive on every pair and triple of `values`.
fn assert_partial_order<T: PartialEq + std::fmt::Debug>(values: &[T], contains: impl Fn(&T, &T) -> bool) {
    let mut below = vec![Vec::new(); values.len()];
    for ((number, a), row) in values.iter().enumerate().zip(&mut below) {
        assert!(contains(a, a), "{a:?} contains itself");
        for (other, b) in values.iter().enumerate() {
            if contains(a, b) {
                row.push(other);
                assert!(a == b || !contains(b, a), "{a:?} and {b:?} contain each other");
                assert_eq!(a == b, number == other, "the values are listed once");
            }
        }
    }
    for (a, row) in values.iter().zip(&below) {
        for c in row.iter().filter_map(|b| below.get(*b)).flatten().filter_map(|c| values.get(*c)) {
            assert!(contains(a, c), "{a:?} contains what contains {c:?}");
        }
    }
}

#[test]
fn containment_of_patterns_is_a_partial_order() {
    assert_partial_order(&world::patterns(), |a, b| a.contains(b));
}

#[test]
fn containment_of_scopes_is_a_partial_order() {
    assert_partial_order(&world::scopes(2), |a, b| a.contains(b));
}

#[test]
fn containment_of_grants_is_a_partial_order() {
    let grants: Vec<Grant> = world::pairs_of(&world::patterns(), &world::scopes(1))
        .map(|(pattern, scope)| Grant::new(pattern.clone(), scope.clone()))
        .collect();
    assert_partial_order(&grants, Grant::contains);
}

#[test]
fn a_pattern_contains_another_exactly_when_it_matches_all_that_the_other_does() {
    let patterns = world::patterns();
    for (a, b) in world::pairs_of(&patterns, &patterns) {
        assert_eq!(a.contains(b), world::pattern_covers(a, b), "{a} and {b}");
    }
}

#[test]
fn a_scope_contains_another_exactly_when_its_levels_are_the_first_ones_of_the_other() {
    let scopes = world::scopes(2);
    for (a, b) in world::pairs_of(&scopes, &scopes) {
        assert_eq!(a.contains(b), world::scope_covers(a, b), "{a} and {b}");
    }
}

#[test]
fn a_scope_does_not_contain_one_whose_name_only_begins_like_its_own() {
    for (outer, other) in [
        ("org/a", "org/ab"),
        ("org/a", "org/a-b"),
        ("org/a", "org/b"),
        ("org/a/project/a", "org/a/project/ab"),
        ("org/a", "organisation/a"),
        ("project/a", "org/a/project/a"),
    ] {
        let (outer, other): (Scope, Scope) = (outer.parse().unwrap(), other.parse().unwrap());
        assert!(!outer.contains(&other), "{outer} and {other}");
        assert!(outer.intersect(&other).is_none(), "{outer} and {other}");
    }
}

#[test]
fn the_root_contains_the_deepest_scope_and_only_the_root_contains_the_root() {
    let deepest: Scope = ["a/b"; core_types::scope::MAX_LEVELS].join("/").parse().unwrap();
    let root = Scope::root();
    assert!(root.contains(&deepest) && root.contains(&root) && deepest.contains(&deepest));
    assert!(!deepest.contains(&root));
}

#[test]
fn an_unlimited_restriction_contains_every_other_and_nothing_is_contained_in_all() {
    let (all, none) = (Restriction::unrestricted(), Restriction::nothing());
    assert!(all.contains(&none) && all.contains(&all) && none.contains(&none) && !none.contains(&all));
    let everywhere = Restriction::only([Grant::new("*:*".parse().unwrap(), Scope::root())]).unwrap();
    assert!(all.contains(&everywhere) && everywhere.contains(&none));
    assert!(!everywhere.contains(&all), "a limit is not the absence of one");
}

#[test]
fn a_restriction_that_ends_later_is_not_contained() {
    let ending = |at| Restriction::unrestricted().expiring(UnixTime::from_millis(at));
    assert!(ending(2).contains(&ending(2)) && ending(2).contains(&ending(1)));
    assert!(!ending(2).contains(&ending(3)) && !ending(2).contains(&Restriction::unrestricted()));
    assert!(Restriction::unrestricted().contains(&ending(u64::MAX)));
}

proptest! {
    #[test]
    fn a_grant_contains_another_exactly_when_it_allows_all_that_the_other_does(
        a in arb_grant(),
        b in arb_grant(),
    ) {
        let points = world::points(&world::scopes(3));
        let (a_allows, b_allows) = (world::grant_answers(&a, &points), world::grant_answers(&b, &points));
        prop_assert_eq!(a.contains(&b), world::covers(&a_allows, &b_allows));
        prop_assert_eq!(a == b, a_allows == b_allows, "equal grants allow the same, and the other way round");
    }

    #[test]
    fn a_restriction_contains_itself_and_only_equals_contain_each_other(
        a in arb_restriction(),
        b in arb_restriction(),
    ) {
        prop_assert!(a.contains(&a));
        prop_assert_eq!(a == b, a.contains(&b) && b.contains(&a));
    }

    #[test]
    fn a_restriction_contains_what_lies_in_what_it_contains(
        a in arb_restriction(),
        b in arb_restriction(),
        c in arb_restriction(),
    ) {
        prop_assert!(a.contains(&c) || !a.contains(&b) || !b.contains(&c));
        // Three of a chain, since three drawn at random rarely are one.
        let (middle, least) = (a.intersect(&b)?, a.intersect(&b)?.intersect(&c)?);
        prop_assert!(a.contains(&middle) && middle.contains(&least) && a.contains(&least));
    }

    #[test]
    fn a_scope_contains_its_children_and_the_child_goes_back_to_its_parent(scope in arb_scope()) {
        let child = scope.child("host", "a").unwrap();
        prop_assert!(scope.contains(&child) && !child.contains(&scope));
        prop_assert_eq!(child.parent(), Some(scope.clone()));
        prop_assert_eq!(child.depth(), scope.depth() + 1);
        let paths: Vec<_> = child.ancestor_paths().collect();
        prop_assert_eq!(paths.len(), child.depth() + 1);
        prop_assert_eq!((paths.first().copied(), paths.last().copied()), (Some(child.as_path()), Some("")));
        for path in paths.iter().filter(|path| !path.is_empty()) {
            prop_assert!(path.parse::<Scope>().unwrap().contains(&child));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_restriction_contains_another_exactly_when_it_allows_all_that_the_other_does(
        a in arb_restriction(),
        b in arb_restriction(),
    ) {
        let points = world::points(&world::scopes(3));
        let (a_allows, b_allows) = (world::answers(&a, &points), world::answers(&b, &points));
        if a.contains(&b) {
            prop_assert!(world::covers(&a_allows, &b_allows));
        } else if !in_a_corner(&a, &b) {
            prop_assert!(!world::covers(&a_allows, &b_allows));
        }
        if a == b {
            prop_assert_eq!(a_allows, b_allows);
        } else if !in_a_corner(&a, &b) && !in_a_corner(&b, &a) {
            prop_assert_ne!(a_allows, b_allows);
        }
    }
}

/// Whether `inner` never allows anything, or is without a limit where `outer` has one that cuts nothing off.
fn in_a_corner(outer: &Restriction, inner: &Restriction) -> bool {
    let everything = [Grant::new("*:*".parse().unwrap(), Scope::root())];
    let never = inner.grants() == Limit::Only(&[]) || inner.is_expired(UnixTime::EPOCH);
    never || (inner.grants() == Limit::Unlimited && outer.grants() == Limit::Only(&everything))
}
