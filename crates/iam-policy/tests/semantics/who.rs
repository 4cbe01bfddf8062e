//! Who can: the same as asking everyone.

use core_types::{Restriction, Subject};
use iam_policy::who::{Cursor, MAX_PAGE};
use proptest::prelude::*;
use state_store::Revision;

use crate::agreement::{context_of, decide};
use crate::arb::{arb_question, arb_world, subjects};
use crate::reference::{Question, Verdict};
use crate::world::{REVISION, user};

proptest! {
    #![proptest_config(crate::config(800))]

    #[test]
    fn who_can_is_everyone_asked_one_by_one_whatever_the_pages(
        world in arb_world(), question in arb_question(), limit in 0_usize..6
    ) {
        let directory = world.directory();
        let authorizer = directory.at(REVISION);
        let mut told: Vec<Subject> = Vec::new();
        let mut from = None;
        loop {
            let Question { permission, resource, now, .. } = &question;
            let context = context_of(&question);
            let page = authorizer.who_can(permission, resource, *now, &context, (from, limit)).unwrap();
            prop_assert!(page.subjects.len() <= limit.max(1));
            told.extend(page.subjects.iter().map(|(subject, _)| *subject));
            for (subject, allow) in &page.subjects {
                let question =
                    Question { subject: *subject, restriction: Restriction::unrestricted(), ..question.clone() };
                let is_same =
                    matches!(decide(&directory, &question), Verdict::Allowed { binding, .. } if binding == allow.binding());
                prop_assert!(is_same);
            }
            from = page.next;
            if from.is_none() { break; }
        }
        let mut expected: Vec<Subject> = subjects()
            .filter(|subject| {
                let restriction = Restriction::unrestricted();
                let asked = Question { subject: *subject, restriction, ..question.clone() };
                matches!(decide(&directory, &asked), Verdict::Allowed { .. })
            })
            .collect();
        expected.sort_unstable();
        prop_assert_eq!(told, expected);
    }
}

#[test]
fn a_cursor_of_another_state_is_refused() {
    let world = crate::people::alice_alone();
    let directory = world.directory();
    let (permission, scope) = ("apps:read".parse().unwrap(), core_types::Scope::root());
    let context = iam_policy::Context::new();
    let now = core_types::UnixTime::EPOCH;
    let ask = |revision| {
        let from = Some(Cursor::new(Revision::new(revision), user(0)));
        directory.at(REVISION).who_can(&permission, &scope, now, &context, (from, MAX_PAGE))
    };
    assert!(ask(REVISION.get()).is_ok());
    let refused = ask(REVISION.get() + 1).unwrap_err();
    assert_eq!((refused.found.get(), refused.current), (REVISION.get() + 1, REVISION));
}
