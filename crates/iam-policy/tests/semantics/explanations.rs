//! An explanation is complete, and rests on what it must and on nothing else.

use core_types::Principal;
use iam_policy::{AccessRequest, Decision, DenyReason, Directory, Explanation};
use proptest::prelude::*;
use state_store::Key;

use crate::agreement::{context_of, decide};
use crate::arb::{arb_nested_world, arb_questions, arb_world};
use crate::reference::{Question, Verdict};
use crate::world::{REVISION, directory_of};

proptest! {
    #![proptest_config(crate::config(600))]

    #[test]
    fn the_facts_alone_decide_the_same_and_without_any_of_them_otherwise(
        world in prop_oneof![arb_world(), arb_nested_world()], questions in arb_questions(20)
    ) {
        let (directory, entries) = (world.directory(), world.entries());
        for question in questions {
            let explanation = explain(&directory, &question);
            let keys: Vec<Key> = explanation.facts.iter().map(|fact| fact.key().unwrap()).collect();
            let with = |keys: &[Key]| {
                let entries: Vec<_> = entries.iter().filter(|(key, _)| keys.contains(key)).cloned().collect();
                plain(decide(&directory_of(&entries), &question))
            };
            let whole = plain(decide(&directory, &question));
            prop_assert_eq!(&with(&keys), &whole, "{:?} {:?}", question, keys);
            for left_out in 0..keys.len() {
                let rest: Vec<Key> =
                    keys.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, key)| key.clone()).collect();
                prop_assert_ne!(&with(&rest), &whole, "{:?} without {:?}", question, keys[left_out]);
            }
        }
    }

    #[test]
    fn an_explanation_lists_what_the_decision_names_first(world in arb_world(), questions in arb_questions(20)) {
        let directory = world.directory();
        for question in questions {
            let explanation = explain(&directory, &question);
            let allowing = explanation.allowing.first().map(|it| (it.binding, it.via, it.statement));
            match &explanation.decision {
                Decision::Allow(allow) => {
                    prop_assert_eq!(allowing, Some((allow.binding(), allow.via(), allow.statement())));
                    prop_assert_eq!(explanation.denying, vec![]);
                }
                Decision::Deny(deny) => match &deny.reason {
                    reason @ (DenyReason::ExplicitDeny { .. } | DenyReason::UnreadableRole { .. }
                    | DenyReason::UnreadableBinding { .. }) => {
                        prop_assert_eq!(explanation.denying.first(), Some(reason));
                    }
                    DenyReason::NoGrant => {
                        prop_assert!(explanation.allowing.is_empty() && explanation.denying.is_empty());
                    }
                    DenyReason::LimitedByBoundary { granted_by }
                    | DenyReason::UnreadableBoundary { granted_by }
                    | DenyReason::LimitedByRestriction { granted_by } => {
                        prop_assert_eq!(allowing.map(|(binding, ..)| binding), Some(*granted_by));
                    }
                    _ => {}
                },
            }
        }
    }
}

fn explain(directory: &Directory, question: &Question) -> Explanation {
    let principal = Principal::subject(question.subject);
    let context = context_of(question);
    let Question { restriction, permission, resource, now, .. } = question;
    let request = AccessRequest::new(&principal, restriction, permission, resource, *now);
    directory.at(REVISION).explain(&request.with_context(&context))
}

/// Without what comes nearest, which is a hint and not a reason.
fn plain(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::NoGrant(_) => Verdict::NoGrant(None),
        other => other,
    }
}
