//! The library and the slow evaluator say the same, to the last detail.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use core_types::{Limit, Principal, Scope};
use iam_policy::{AccessRequest, Context, Decision, DenyReason, Directory, StatementRef, TextRequest};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::arb::{arb_nested_world, arb_questions, arb_world};
use crate::reference::{Question, Verdict, judge, lists};
use crate::world::{MemberFact, REVISION};

proptest! {
    // 1,200 worlds of 40 questions: 48,000 pairs.
    #![proptest_config(crate::config(1200))]

    #[test]
    fn decisions_agree_with_the_slow_evaluator(world in arb_world(), questions in arb_questions(40)) {
        let directory = world.directory();
        for question in questions {
            prop_assert_eq!(decide(&directory, &question), judge(&world, &question), "{:?}", question);
        }
    }

    #[test]
    fn decisions_by_groups_in_groups_agree_with_the_slow_evaluator(
        world in arb_nested_world(), questions in arb_questions(20)
    ) {
        let directory = world.directory();
        for question in questions {
            prop_assert_eq!(decide(&directory, &question), judge(&world, &question), "{:?}", question);
        }
    }

    #[test]
    fn nothing_is_allowed_that_is_not_in_the_effective_grants(
        world in arb_world(), questions in arb_questions(20)
    ) {
        let directory = world.directory();
        // Where nothing is denied and nothing conditional, they are all there is.
        let is_plain = world.policies.iter().flat_map(|policy| &policy.statements).all(|statement| {
            !statement.is_deny && statement.conditions.is_empty()
        }) && !format!("{world:?}").contains("Unreadable")
            && world.nestings.iter().all(|nesting| nesting.inner < nesting.outer);
        for question in questions {
            let grants = directory.at(REVISION).effective_grants(question.subject, question.now).unwrap();
            let granted = grants.iter().any(|grant| grant.allows(&question.permission, &question.resource));
            let expired = matches!(question.restriction.expires_at(), Limit::Only(at) if at <= question.now);
            let within = granted && !expired && lists(&question.restriction, &question);
            let allowed = is_allowed(&directory, &question);
            prop_assert!(within || !allowed);
            prop_assert!(allowed || !within || !is_plain);
            for (at, grant) in grants.iter().enumerate() {
                let others = grants.iter().enumerate().filter(|(other, _)| *other != at);
                prop_assert!(others.into_iter().all(|(_, other)| !other.contains(grant)));
            }
        }
    }

    #[test]
    fn what_can_and_filter_are_each_asked_by_itself(world in arb_world(), questions in arb_questions(10)) {
        let directory = world.directory();
        let candidates: Vec<_> = questions.iter().map(|question| question.permission.clone()).collect();
        for question in &questions {
            let principal = Principal::subject(question.subject);
            let Question { restriction, permission, resource, now, .. } = question;
            let context = context_of(question);
            let request = AccessRequest::new(&principal, restriction, permission, resource, *now);
            let request = request.with_context(&context);
            let authorizer = directory.at(REVISION);
            let (handle, place) = (authorizer.permission(permission), authorizer.scope(resource));
            let with_handles = request.with_handles(&handle, &place);
            let table = authorizer.permissions(&candidates);
            let can_of: Vec<_> = authorizer.what_can_of(&with_handles, &table).collect();
            let of_another = Directory::new().at(REVISION).permissions(&candidates);
            prop_assert_eq!(authorizer.what_can_of(&request, &of_another).collect::<Vec<_>>(), can_of.clone());
            let can: Vec<_> = authorizer.what_can(&request, &candidates).collect();
            let one_by_one: Vec<_> = candidates
                .iter()
                .filter(|permission| is_allowed(&directory, &with_permission(question, permission)))
                .collect();
            prop_assert_eq!(&can, &one_by_one);
            prop_assert_eq!(can_of, one_by_one);
            let resources: Vec<_> = questions.iter().map(|question| question.resource.clone()).collect();
            let on: Vec<_> = authorizer.filter(&request, &resources).collect();
            let at = |resource: &Scope| Question { resource: resource.clone(), ..question.clone() };
            let one_by_one: Vec<_> =
                resources.iter().filter(|resource| is_allowed(&directory, &at(resource))).collect();
            prop_assert_eq!(on, one_by_one);
        }
    }
}

#[test]
fn the_random_worlds_reach_every_verdict_often() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::new();
    for _ in 0..600 {
        let (world, questions) = (arb_world(), arb_questions(40)).new_tree(&mut runner).unwrap().current();
        for question in questions {
            let verdict = format!("{:?}", judge(&world, &question));
            let kind = verdict.split([' ', '(']).next().unwrap().to_owned();
            *seen.entry(kind).or_insert(0) += 1;
        }
    }
    assert!(seen.len() == 15 && seen.values().all(|count| *count >= 8), "{seen:?}");
    assert!(seen["Allowed"] >= 500 && seen["ExplicitDeny"] >= 200, "{seen:?}");
}

#[test]
fn the_random_worlds_often_decide_by_a_group_that_the_subject_is_no_member_of() {
    let mut runner = TestRunner::deterministic();
    let (mut allowed, mut denied, mut tangled) = (0, 0, 0);
    for _ in 0..400 {
        let (world, questions) =
            (arb_nested_world(), arb_questions(20)).new_tree(&mut runner).unwrap().current();
        for question in questions {
            let nested = |group| {
                let is_it = |it: &MemberFact| it.group == group && it.subject == question.subject;
                !world.members.iter().any(is_it)
            };
            match judge(&world, &question) {
                Verdict::Allowed { via: Some(group), .. } if nested(group) => allowed += 1,
                Verdict::ExplicitDeny { via: Some(group), .. } if nested(group) => denied += 1,
                Verdict::TangledGroups(_) => tangled += 1,
                _ => {}
            }
        }
    }
    assert!(allowed > 50 && denied > 20 && tangled > 20, "{allowed} {denied} {tangled}");
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
    let context = context_of(question);
    let Question { restriction, permission, resource, now, .. } = question;
    let request = AccessRequest::new(&principal, restriction, permission, resource, *now);
    let authorizer = directory.at(REVISION);
    let request = request.with_context(&context);
    let decision = authorizer.authorize(&request);
    assert_eq!(decision.revision(), REVISION);
    let texts = [principal.to_string(), permission.to_string(), resource.to_string()];
    let request_of_texts =
        TextRequest::new(&texts[0], restriction, &texts[1], &texts[2], *now).with_context(&context);
    assert_eq!(authorizer.authorize_texts(&request_of_texts), Ok(decision.clone()));
    // What was looked up decides the same, be it of this state, of another one, or of something else.
    static EMPTY: LazyLock<Directory> = LazyLock::new(Directory::new);
    for state in [directory, &EMPTY] {
        let handles = (state.at(REVISION).permission(permission), state.at(REVISION).scope(resource));
        let with_handles = request.with_handles(&handles.0, &handles.1);
        assert_eq!(authorizer.authorize(&with_handles), decision);
        let (other, root) = ("other:thing".parse().unwrap(), Scope::root());
        let others = (state.at(REVISION).permission(&other), state.at(REVISION).scope(&root));
        let mut mixed = request.with_handles(&others.0, &others.1);
        (mixed.permission, mixed.resource) = (permission, resource);
        assert_eq!(authorizer.authorize(&mixed), decision);
    }
    let named = |statement: Option<StatementRef>| statement.map(|it| (it.policy, it.index));
    match decision {
        Decision::Allow(allow) => {
            let (binding, via, scope) = (allow.binding(), allow.via(), allow.scope(resource));
            assert_eq!(directory.binding(binding).unwrap().role, allow.role());
            Verdict::Allowed {
                binding,
                via,
                scope,
                statement: named(allow.statement()),
                trust: allow.trust(),
            }
        }
        Decision::Deny(deny) => match deny.reason {
            DenyReason::UnreadablePolicy => Verdict::UnreadablePolicy,
            DenyReason::UnknownSubject => Verdict::UnknownSubject,
            DenyReason::UnreadableSubject => Verdict::UnreadableSubject,
            DenyReason::Disabled => Verdict::Disabled,
            DenyReason::RestrictionExpired { at } => Verdict::RestrictionExpired(at),
            DenyReason::TenantMismatch => Verdict::TenantMismatch,
            DenyReason::TangledGroups { group } => Verdict::TangledGroups(group),
            DenyReason::UnreadableBinding { binding, via } => Verdict::UnreadableBinding(binding, via),
            DenyReason::UnreadableRole { binding, via, policy } => {
                Verdict::UnreadableRole(binding, via, policy)
            }
            DenyReason::ExplicitDeny { binding, via, statement, is_certain } => {
                Verdict::ExplicitDeny { binding, via, statement: named(Some(statement)), is_certain }
            }
            // Not worth the time of every request: the explanation has it.
            DenyReason::NoGrant => Verdict::NoGrant(
                authorizer
                    .explain(&request)
                    .near
                    .first()
                    .map(|miss| (miss.binding, miss.via, miss.missing, named(miss.statement))),
            ),
            DenyReason::UnreadableBoundary { granted_by } => Verdict::UnreadableBoundary(granted_by),
            DenyReason::LimitedByBoundary { granted_by } => Verdict::LimitedByBoundary(granted_by),
            DenyReason::LimitedByRestriction { granted_by } => Verdict::LimitedByRestriction(granted_by),
            other => unreachable!("a reason the table does not have: {other:?}"),
        },
    }
}

pub(crate) fn context_of(question: &Question) -> Context {
    question.mfa.map_or_else(Context::new, |mfa| Context::new().with_mfa(mfa))
}
