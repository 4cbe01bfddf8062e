//! By what was done: what a candidate would have decided otherwise, and what nobody used.

use core_types::{Principal, Restriction, UnixTime};
use iam_policy::backtest::back_test;
use iam_policy::usage::{Event, Usage};
use iam_policy::{AccessRequest, Context, Decision};
use proptest::prelude::*;

use crate::agreement::{context_of, decide, is_allowed};
use crate::arb::{arb_questions, arb_world};
use crate::reference::{Question, Verdict};
use crate::world::{BindingFact, REVISION};

proptest! {
    #![proptest_config(crate::config(250))]

    #[test]
    fn a_back_test_shows_exactly_what_is_decided_otherwise(
        world in arb_world(), other in arb_world(), questions in arb_questions(30)
    ) {
        let mut candidate = world.clone();
        candidate.bindings = other.bindings;
        let (old, new) = (world.directory(), candidate.directory());
        let asked: Vec<(Principal, Context)> = questions
            .iter()
            .map(|question| (Principal::subject(question.subject), context_of(question)))
            .collect();
        let requests = questions.iter().zip(&asked).map(|(question, (principal, context))| {
            let Question { restriction, permission, resource, now, .. } = question;
            AccessRequest::new(principal, restriction, permission, resource, *now).with_context(context)
        });
        let flips: Vec<_> = back_test(old.at(REVISION), new.at(REVISION), requests).collect();
        let expected: Vec<usize> = (0..questions.len())
            .filter(|at| is_allowed(&old, &questions[*at]) != is_allowed(&new, &questions[*at]))
            .collect();
        prop_assert_eq!(flips.iter().map(|flip| flip.index).collect::<Vec<_>>(), expected);
        for flip in flips {
            let is = |decision: &Decision| matches!(decision, Decision::Allow(_));
            prop_assert_ne!(is(&flip.before.decision), is(&flip.after.decision));
            prop_assert_eq!(is(&flip.before.decision), is_allowed(&old, &questions[flip.index]));
        }
    }

    #[test]
    fn without_what_was_not_used_everything_done_would_have_been_allowed(
        world in arb_world(), questions in arb_questions(40), since in 0_u64..4, now in 0_u64..4
    ) {
        let directory = world.directory();
        let (since, now) = (UnixTime::from_millis(since), UnixTime::from_millis(now));
        let restriction = Restriction::unrestricted();
        let questions: Vec<Question> = questions
            .into_iter()
            .map(|question| Question { restriction: restriction.clone(), ..question })
            .filter(|question| is_allowed(&directory, question))
            .collect();
        let mut usage = Usage::new();
        for question in &questions {
            let Question { subject, permission, resource, now: at, .. } = question;
            usage.observe(&directory, &Event { subject: *subject, permission, resource, at: *at });
        }
        prop_assert_eq!(usage.unplaced(), 0);
        let unused = usage.unused(&directory, since, now);
        for question in questions.iter().filter(|question| question.now >= since) {
            let Verdict::Allowed { binding, via, statement, .. } = decide(&directory, question) else {
                unreachable!("only such are left")
            };
            let holder = via.map_or(question.subject.into(), Into::into);
            let by = unused.iter().find(|grant| {
                grant.binding == binding
                    && grant.holder == holder
                    && grant.statement.map(|it| (it.policy, it.index)) == statement
                    && grant.permissions.matches(&question.permission)
            });
            prop_assert_eq!(by, None, "{:?}", question);
        }
        // Bindings of which nothing was used, and which deny nothing that is unreadable, can go.
        let granting = |binding: &BindingFact| {
            unused.iter().any(|grant| grant.binding == binding.id)
                && Usage::new()
                    .unused(&directory, UnixTime::EPOCH, now)
                    .iter()
                    .filter(|grant| grant.binding == binding.id)
                    .all(|grant| unused.iter().any(|other| {
                        (other.binding, other.statement, &other.permissions)
                            == (grant.binding, grant.statement, &grant.permissions)
                    }))
        };
        let mut without = world.clone();
        without.bindings.retain(|binding| !granting(binding));
        let without = without.directory();
        for question in questions.iter().filter(|question| question.now >= since) {
            prop_assert!(is_allowed(&without, question), "{:?}", question);
        }
    }
}

#[test]
fn what_was_used_last_is_known_of_each_pattern() {
    let mut world = crate::people::alice_with("apps:read", "/");
    world.roles[0].patterns.push(crate::arb::pattern("apps:write"));
    let directory = world.directory();
    let (permission, resource) = ("apps:read".parse().unwrap(), "project/web".parse().unwrap());
    let at = UnixTime::from_millis;
    let mut usage = Usage::new();
    for when in [5, 9, 7] {
        let subject = crate::world::user(1);
        usage.observe(
            &directory,
            &Event { subject, permission: &permission, resource: &resource, at: at(when) },
        );
    }
    let unused = |since| {
        let grants = usage.unused(&directory, at(since), at(10));
        grants.iter().map(|it| (it.permissions.to_string(), it.last_used)).collect::<Vec<_>>()
    };
    assert_eq!(unused(9), [("apps:write".to_owned(), None)]);
    assert_eq!(unused(10), [("apps:read".to_owned(), Some(at(9))), ("apps:write".to_owned(), None)]);
    let stranger = crate::world::user(9);
    usage.observe(
        &directory,
        &Event { subject: stranger, permission: &permission, resource: &resource, at: at(1) },
    );
    assert_eq!(usage.unplaced(), 1);
}
