//! The library and the slow evaluator say the same, to the last detail.

use core_types::{Limit, Principal};
use iam_policy::{AccessRequest, Decision, DenyReason, Directory};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::arb::{arb_questions, arb_world};
use crate::reference::{Question, Verdict, judge, restriction_allows};
use crate::world::REVISION;

proptest! {
    // 1,200 worlds of 40 questions: 48,000 pairs.
    #![proptest_config(ProptestConfig { cases: 1200, ..ProptestConfig::default() })]

    #[test]
    fn decisions_agree_with_the_slow_evaluator(world in arb_world(), questions in arb_questions(40)) {
        let directory = world.directory();
        for question in questions {
            prop_assert_eq!(decide(&directory, &question), judge(&world, &question), "{:?}", question);
        }
    }

    #[test]
    fn effective_grants_say_what_decisions_say(world in arb_world(), questions in arb_questions(20)) {
        let directory = world.directory();
        for question in questions {
            let grants = directory.at(REVISION).effective_grants(question.subject, question.now).unwrap();
            let granted = grants.iter().any(|grant| grant.allows(&question.permission, &question.resource));
            let expired = matches!(question.restriction.expires_at(), Limit::Only(at) if at <= question.now);
            let within = !expired && restriction_allows(&question.restriction, &question);
            prop_assert_eq!(is_allowed(&directory, &question), granted && within);
            for (at, grant) in grants.iter().enumerate() {
                let others = grants.iter().enumerate().filter(|(other, _)| *other != at);
                prop_assert!(others.into_iter().all(|(_, other)| !other.contains(grant)));
            }
        }
    }

    #[test]
    fn what_can_is_each_permission_asked_by_itself(world in arb_world(), questions in arb_questions(20)) {
        let directory = world.directory();
        let candidates: Vec<_> = questions.iter().map(|question| question.permission.clone()).collect();
        for question in &questions {
            let principal = Principal::subject(question.subject);
            let Question { restriction, permission, resource, now, .. } = question;
            let request = AccessRequest::new(&principal, restriction, permission, resource, *now);
            let authorizer = directory.at(REVISION);
            let can: Vec<_> = authorizer.what_can(&request, &candidates).collect();
            let one_by_one: Vec<_> = candidates
                .iter()
                .filter(|permission| is_allowed(&directory, &with_permission(question, permission)))
                .collect();
            prop_assert_eq!(can, one_by_one);
        }
    }
}

#[test]
fn the_random_worlds_reach_every_verdict_often() {
    let mut runner = TestRunner::deterministic();
    let mut seen = [0; 8];
    for _ in 0..200 {
        let (world, questions) = (arb_world(), arb_questions(40)).new_tree(&mut runner).unwrap().current();
        for question in questions {
            let place = match judge(&world, &question) {
                Verdict::Allowed { via: None, .. } => 0,
                Verdict::Allowed { via: Some(_), .. } => 1,
                Verdict::UnreadablePolicy => 2,
                Verdict::UnknownSubject | Verdict::UnreadableSubject => 3,
                Verdict::Disabled => 4,
                Verdict::RestrictionExpired(_) => 5,
                Verdict::NoGrant(_) => 6,
                Verdict::LimitedByRestriction(_) => 7,
            };
            seen[place] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count >= 80), "{seen:?}");
}

fn with_permission(question: &Question, permission: &core_types::Permission) -> Question {
    Question { permission: permission.clone(), ..question.clone() }
}

pub(crate) fn is_allowed(directory: &Directory, question: &Question) -> bool {
    matches!(decide(directory, question), Verdict::Allowed { .. })
}

/// The library's decision, as plain facts.
pub(crate) fn decide(directory: &Directory, question: &Question) -> Verdict {
    let principal = Principal::subject(question.subject);
    let Question { restriction, permission, resource, now, .. } = question;
    let request = AccessRequest::new(&principal, restriction, permission, resource, *now);
    let decision = directory.at(REVISION).authorize(&request);
    assert_eq!(decision.revision(), REVISION);
    match decision {
        Decision::Allow(allow) => {
            let (binding, via, scope) = (allow.binding(), allow.via(), allow.scope(resource));
            assert_eq!(directory.binding(binding).unwrap().role, allow.role());
            Verdict::Allowed { binding, via, scope }
        }
        Decision::Deny(deny) => match deny.reason {
            DenyReason::UnreadablePolicy => Verdict::UnreadablePolicy,
            DenyReason::UnknownSubject => Verdict::UnknownSubject,
            DenyReason::UnreadableSubject => Verdict::UnreadableSubject,
            DenyReason::Disabled => Verdict::Disabled,
            DenyReason::RestrictionExpired { at } => Verdict::RestrictionExpired(at),
            DenyReason::NoGrant { nearest } => {
                Verdict::NoGrant(nearest.map(|miss| (miss.binding, miss.via, miss.missing)))
            }
            DenyReason::LimitedByRestriction { granted_by } => Verdict::LimitedByRestriction(granted_by),
            other => unreachable!("a reason the table does not have: {other:?}"),
        },
    }
}
