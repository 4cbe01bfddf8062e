//! A directory depends on what is stored, not on how it came to know of it.

use std::time::Duration;

use core_types::testing::TestClock;
use core_types::{Clock, Principal, UnixTime};
use iam_policy::testing::put;
use iam_policy::{AccessRequest, Authorizer, Decision, Directory, PREFIX};
use pollster::block_on;
use proptest::collection::vec;
use proptest::prelude::*;
use state_store::{Commit, MemoryStore, Prefix, Replica, Revision, StateStore, View};

use crate::agreement::{context_of, decide};
use crate::arb::{arb_nested_world, arb_questions, arb_world};
use crate::reference::Question;
use crate::world::{World, directory_of};

proptest! {
    #![proptest_config(crate::config(400))]

    #[test]
    fn changes_in_any_order_make_the_directory_that_a_fresh_start_makes(
        (old, new) in prop_oneof![(arb_world(), arb_world()), (arb_nested_world(), arb_nested_world())],
        order in vec(any::<prop::sample::Index>(), 80),
        questions in arb_questions(40),
    ) {
        // First one world, then the other, and the steps between in any order: references may come before
        // what they refer to, and stay behind it.
        let mut directory = directory_of(&old.entries());
        let target = new.entries();
        let mut steps: Vec<_> = target.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        let stale = old.entries().into_iter().filter(|(key, _)| !target.iter().any(|(other, _)| other == key));
        steps.extend(stale.map(|(key, _)| (key, None)));
        // Whatever was worked out for an answer on the way is not in the way of later ones, nor of earlier states'.
        let mut former = Vec::new();
        for (number, index) in order.into_iter().enumerate() {
            if steps.is_empty() { break; }
            let (key, value) = steps.swap_remove(index.index(steps.len()));
            apply(&mut directory, &key, value.as_ref());
            let question = index.get(&questions).clone();
            let decision = answer(&directory, &question);
            if number.is_multiple_of(8) {
                former.push((directory.clone(), question, decision));
            }
        }
        for (key, value) in steps {
            apply(&mut directory, &key, value.as_ref());
        }
        for (state, question, decision) in former {
            prop_assert_eq!(answer(&state, &question), decision, "{:?}", question);
        }
        let fresh = new.directory();
        for question in questions {
            prop_assert_eq!(decide(&directory, &question), decide(&fresh, &question), "{:?}", question);
        }
        // And taking everything away leaves nothing.
        for (key, _) in &target {
            directory.delete(key);
        }
        prop_assert_eq!(format!("{directory:?}"), format!("{:?}", Directory::new()));
    }

    #[test]
    fn telling_a_directory_twice_changes_nothing(world in arb_world(), questions in arb_questions(20)) {
        let once = world.directory();
        let entries = world.entries();
        let twice = directory_of(&[entries.clone(), entries].concat());
        for question in questions {
            prop_assert_eq!(decide(&twice, &question), decide(&once, &question));
        }
    }
}

#[test]
fn a_replica_of_a_store_answers_with_the_revision_it_decided_by() {
    block_on(async {
        let store = MemoryStore::new();
        let clock = TestClock::at(UnixTime::from_secs(100));
        let prefix = Prefix::new(PREFIX).unwrap();
        let bound = Duration::from_secs(5);
        let opened = Replica::open(store.clone(), prefix, Directory::new(), bound, &clock).await;
        let (replica, mut driver) = opened.unwrap();
        let rng = core_types::testing::TestRandom::seeded(1);
        let snapshot = replica.snapshot();
        let planned = snapshot.view().plan_first_administrator("root".parse().unwrap(), clock.now(), &rng);
        let (first, batch) = planned.unwrap().into_parts();
        let again = batch.clone();
        let Commit::Committed(revision) = store.commit(batch).await.unwrap() else { panic!("conflict") };
        driver.step().await.unwrap();
        replica.applied(revision).await;
        let current = replica.current(clock.now()).unwrap();
        let subject = core_types::Subject::User(first.user);
        let grants = Authorizer::of(&current).effective_grants(subject, clock.now()).unwrap();
        assert_eq!(grants.len(), 1);
        assert_eq!(current.revision(), revision);
        // A second first administrator, planned at the same time by another process, is not made.
        assert!(matches!(store.commit(again).await.unwrap(), Commit::Conflict(_)));
    });
}

#[test]
fn a_record_under_another_records_key_is_unreadable() {
    let world = World { subjects: crate::people::alice_alone().subjects, ..World::default() };
    let (_, value) = world.entries().remove(0);
    let other = state_store::Key::new(format!("{PREFIX}subject/{}", crate::world::user(9))).unwrap();
    let mut directory = Directory::new();
    assert!(directory.put(&other, &value, Revision::new(1)).is_err());
}

/// The decision alone: on the way one binding may stand with two holders.
fn answer(directory: &Directory, question: &Question) -> Decision {
    let (principal, context) = (Principal::subject(question.subject), context_of(question));
    let Question { restriction, permission, resource, now, .. } = question;
    let request = AccessRequest::new(&principal, restriction, permission, resource, *now);
    directory.at(crate::world::REVISION).authorize(&request.with_context(&context))
}

fn apply(directory: &mut Directory, key: &state_store::Key, value: Option<&state_store::Value>) {
    match value {
        Some(value) => put(directory, key, value, crate::world::REVISION),
        None => directory.delete(key),
    }
}
