//! What, where and what changes: the same as asking about everything there is, names that nobody wrote included.

use core_types::{Permission, Principal, Restriction, Scope};
use iam_policy::diff::{Direction, diff};
use iam_policy::what::{Cursor, Page};
use iam_policy::{AccessRequest, Decision, ReachError};
use proptest::prelude::*;
use state_store::Revision;

use crate::agreement::{context_of, is_allowed};
use crate::arb::{arb_question, arb_world, pattern, subjects};
use crate::people::{add_policy, alice_with, allowing};
use crate::reference::Question;
use crate::world::{REVISION, World};

proptest! {
    #![proptest_config(crate::config(120))]

    #[test]
    fn what_can_exactly_says_the_same_of_each_permission_as_the_decision(
        world in arb_world(), question in arb_question(), limit in 0_usize..4
    ) {
        let directory = world.directory();
        let pieces = pages(limit, |from| {
            ask(&question, |request| directory.at(REVISION).what_can_exactly(request, from))
        });
        prop_assert!(pieces.is_sorted_by(|(a, _), (b, _)| a < b));
        for permission in all_permissions() {
            let around: Vec<_> = pieces.iter().filter(|(pattern, _)| pattern.matches(&permission)).collect();
            let narrowest = around.iter().filter(|(pattern, _)| {
                around.iter().all(|(other, _)| other == pattern || !pattern.contains(other))
            });
            let says: Vec<bool> = narrowest.map(|(_, allowed)| *allowed).collect();
            let asked = Question { permission: permission.clone(), ..question.clone() };
            let expected = is_allowed(&directory, &asked);
            prop_assert!(says.iter().all(|said| *said == expected), "{} {:?}", permission, pieces);
            prop_assert!(!says.is_empty() || !expected);
        }
    }

    #[test]
    fn where_can_says_the_same_of_each_place_as_the_decision(
        world in arb_world(), question in arb_question(), limit in 0_usize..4
    ) {
        let directory = world.directory();
        let pieces =
            pages(limit, |from| ask(&question, |request| directory.at(REVISION).where_can(request, from)));
        for resource in all_scopes(3) {
            let around = pieces.iter().filter(|(scope, _)| scope.contains(&resource));
            let says = around.max_by_key(|(scope, _)| scope.depth()).is_some_and(|(_, allowed)| *allowed);
            let asked = Question { resource: resource.clone(), ..question.clone() };
            prop_assert_eq!(says, is_allowed(&directory, &asked), "{} {:?}", resource, pieces);
        }
        // Nothing is said twice.
        for (at, (scope, allowed)) in pieces.iter().enumerate() {
            let above = pieces.iter().take(at).filter(|(outer, _)| outer.contains(scope));
            prop_assert!(above.max_by_key(|(outer, _)| outer.depth()).is_some_and(|(_, it)| *it) != *allowed);
        }
    }

    #[test]
    fn a_diff_is_every_decision_that_changes_and_no_other(
        before in arb_world(), other in arb_world(), share in 0_u8..4, question in arb_question()
    ) {
        let after = mixed(&before, other, share);
        let (old, new) = (before.directory(), after.directory());
        let changes = diff(&old, &new, question.now, &context_of(&question)).unwrap();
        for subject in subjects() {
            for permission in all_permissions() {
                for resource in all_scopes(2) {
                    let restriction = Restriction::unrestricted();
                    let asked = Question {
                        subject, restriction, permission: permission.clone(), resource: resource.clone(),
                        ..question.clone()
                    };
                    let direction = match (is_allowed(&old, &asked), is_allowed(&new, &asked)) {
                        (false, true) => Some(Direction::Gains),
                        (true, false) => Some(Direction::Loses),
                        _ => None,
                    };
                    let about = changes.iter().filter(|change| {
                        change.subject == subject
                            && change.permissions.matches(&permission)
                            && change.scope.contains(&resource)
                    });
                    let about: Vec<_> = about.collect();
                    prop_assert!(about.iter().all(|change| !change.is_whole || Some(change.direction) == direction));
                    let is_listed = about.iter().any(|change| Some(change.direction) == direction);
                    prop_assert_eq!(is_listed || direction.is_none(), true, "{:?}", asked);
                }
            }
        }
        for change in &changes {
            let asked = Question {
                subject: change.subject, restriction: Restriction::unrestricted(),
                permission: change.witness.clone(), resource: change.scope.clone(), ..question.clone()
            };
            prop_assert!(change.permissions.matches(&change.witness));
            let gains = change.direction == Direction::Gains;
            prop_assert_eq!((is_allowed(&old, &asked), is_allowed(&new, &asked)), (!gains, gains));
        }
        prop_assert_eq!(diff(&old, &old, question.now, &context_of(&question)).unwrap(), vec![]);
    }
}

/// Every set of patterns of two services and two verbs that a role can permit, with none or one of them denied: the
/// narrowest pieces agree with each other and with the decision, of names that nobody wrote too.
#[test]
fn in_every_small_universe_the_narrowest_piece_says_what_is_decided() {
    let sides =
        ["apps", "compute", "*"].iter().flat_map(|a| ["read", "write", "*"].map(|b| format!("{a}:{b}")));
    let all: Vec<_> = sides.map(|text| pattern(&text)).collect();
    let services = ["apps", "compute", "strange"];
    let asked: Vec<Permission> = services
        .iter()
        .flat_map(|service| ["read", "write", "strange"].map(|verb| Permission::new(service, verb).unwrap()))
        .collect();
    let (principal, whole) = (Principal::subject(crate::world::user(1)), Restriction::unrestricted());
    let (scope, now) = (Scope::root(), core_types::UnixTime::EPOCH);
    for permitted in 0..1_u32 << all.len() {
        for denied in 0..=all.len() {
            let mut world = alice_with("apps:read", "/");
            let is_in = |at: &usize| permitted >> at & 1 == 1;
            world.roles[0].patterns = (0..all.len()).filter(is_in).map(|at| all[at].clone()).collect();
            if let Some(denied) = all.get(denied) {
                let mut statement = allowing("apps:read");
                (statement.is_deny, statement.patterns) = (true, vec![denied.clone()]);
                add_policy(&mut world, "/", vec![statement]);
            }
            let directory = world.directory();
            let authorizer = directory.at(REVISION);
            let request = AccessRequest::new(&principal, &whole, &asked[0], &scope, now);
            let page = authorizer.what_can_exactly(&request, (None, 99)).unwrap();
            assert_eq!(page.next, None);
            for permission in &asked {
                let around = || page.pieces.iter().filter(|piece| piece.of.matches(permission));
                let narrowest = around()
                    .filter(|it| !around().any(|other| other.of != it.of && it.of.contains(&other.of)));
                let says: Vec<bool> = narrowest.map(|it| matches!(it.decision, Decision::Allow(_))).collect();
                let request = AccessRequest::new(&principal, &whole, permission, &scope, now);
                let decided = matches!(authorizer.authorize(&request), Decision::Allow(_));
                assert!(says.iter().all(|said| *said == decided), "{permission} {:?}", page.pieces);
                assert!(!says.is_empty() || !decided, "{permission} {:?}", page.pieces);
            }
        }
    }
}

#[test]
fn a_cursor_of_another_state_is_refused_here_too() {
    let directory = alice_with("apps:read", "/").directory();
    let (principal, whole) = (Principal::subject(crate::world::user(1)), Restriction::unrestricted());
    let (permission, scope) = ("apps:read".parse().unwrap(), Scope::root());
    let now = core_types::UnixTime::EPOCH;
    let request = AccessRequest::new(&principal, &whole, &permission, &scope, now);
    let from = |revision| (Some(Cursor::new(Revision::new(revision), Scope::root())), 9);
    assert_eq!(directory.at(REVISION).where_can(&request, from(REVISION.get())).unwrap().pieces, []);
    let refused = directory.at(REVISION).where_can(&request, from(REVISION.get() + 1));
    assert!(matches!(refused, Err(ReachError::Cursor(_))));
    let whole = directory.at(REVISION).where_can(&request, (None, 9)).unwrap();
    assert_eq!((whole.pieces.len(), whole.next), (1, None));
}

#[test]
fn a_state_that_lags_behind_a_write_does_not_answer_for_it() {
    let directory = alice_with("apps:read", "/").directory();
    let authorizer = directory.at(REVISION);
    assert!(authorizer.at_least(Revision::ZERO).is_some() && authorizer.at_least(REVISION).is_some());
    assert!(authorizer.at_least(Revision::new(REVISION.get() + 1)).is_none());
}

#[test]
fn a_batch_is_answered_in_order_by_one_state() {
    let directory = alice_with("apps:read", "/").directory();
    let (principal, whole) = (Principal::subject(crate::world::user(1)), Restriction::unrestricted());
    let permissions: [Permission; 3] = ["apps:write", "apps:read", "db:read"].map(|it| it.parse().unwrap());
    let (scope, now) = (Scope::root(), core_types::UnixTime::EPOCH);
    let requests = permissions.iter().map(|it| AccessRequest::new(&principal, &whole, it, &scope, now));
    let decisions: Vec<Decision> = directory.at(REVISION).authorize_all(requests.clone()).collect();
    let single: Vec<Decision> = requests.map(|request| directory.at(REVISION).authorize(&request)).collect();
    assert_eq!(decisions, single);
    assert!(matches!(decisions[..], [Decision::Deny(_), Decision::Allow(_), Decision::Deny(_)]));
}

fn ask<T>(question: &Question, ask: impl FnOnce(&AccessRequest<'_>) -> T) -> T {
    let principal = Principal::subject(question.subject);
    let context = context_of(question);
    let Question { restriction, permission, resource, now, .. } = question;
    let request = AccessRequest::new(&principal, restriction, permission, resource, *now);
    ask(&request.with_context(&context))
}

/// All pieces, page by page, and whether each is allowed.
fn pages<T: Clone>(
    limit: usize,
    ask: impl Fn((Option<Cursor<T>>, usize)) -> Result<Page<T>, ReachError>,
) -> Vec<(T, bool)> {
    let (mut all, mut from) = (Vec::new(), None);
    loop {
        let page = ask((from, limit)).unwrap();
        assert!(page.pieces.len() <= limit.max(1));
        all.extend(page.pieces.into_iter().map(|it| (it.of, matches!(it.decision, Decision::Allow(_)))));
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
}

/// The names that worlds are made of, and others.
fn all_permissions() -> impl Iterator<Item = Permission> {
    let services = ["apps", "compute", "admin", "storage", "databases", "strange", "other"];
    let verbs = ["read", "write", "list", "stranger", "other"];
    services
        .into_iter()
        .flat_map(move |service| verbs.into_iter().map(move |verb| Permission::new(service, verb).unwrap()))
}

fn all_scopes(levels: usize) -> Vec<Scope> {
    let mut all = vec![Scope::root()];
    for depth in 0..levels {
        let above: Vec<Scope> = all.iter().filter(|scope| scope.depth() == depth).cloned().collect();
        for scope in above {
            for name in ["a", "b", "a-b", "new"] {
                all.push(scope.child("project", name).unwrap());
            }
        }
    }
    all
}

/// The one world with a part of the other.
fn mixed(world: &World, other: World, share: u8) -> World {
    let mut mixed = world.clone();
    match share {
        0 => mixed.bindings = other.bindings,
        1 => mixed.roles = other.roles,
        2 => {
            (mixed.policies, mixed.boundaries, mixed.trusts) =
                (other.policies, other.boundaries, other.trusts)
        }
        _ => {
            (mixed.members, mixed.nestings, mixed.subjects) = (other.members, other.nestings, other.subjects)
        }
    }
    mixed
}
