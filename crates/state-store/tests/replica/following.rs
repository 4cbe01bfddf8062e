use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use pollster::block_on;
use state_store::replica::{Records, ReplicaError};
use state_store::{Batch, MAX_PAGE_ENTRIES, MemoryStore, ReadError, Revision, StateStore as _, Write};

use crate::world::*;

#[test]
fn a_replica_follows_puts_overwrites_and_deletes() {
    let store = MemoryStore::new();
    put(&store, "notes/a", "old");
    put(&store, "notes/b", "old");
    let (replica, mut driver) = open(&store, Notes::new());
    assert_eq!(texts(&replica), [("notes/a", "old"), ("notes/b", "old")].map(owned));
    put(&store, "notes/a", "new");
    put(&store, "notes/c", "new");
    let revision = delete(&store, "notes/b");
    catch_up(&replica, &mut driver, revision);
    assert_eq!(texts(&replica), [("notes/a", "new"), ("notes/c", "new")].map(owned));
    let snapshot = replica.snapshot();
    assert_eq!(snapshot.view().get(&key("notes/a")).unwrap().revision, Revision::new(3));
    assert_eq!(snapshot.revision(), revision);
}

#[test]
fn a_replica_sees_its_prefix_alone_and_keeps_up_with_the_rest() {
    let store = MemoryStore::new();
    put(&store, "notes", "not below");
    put(&store, "notes0", "not below");
    let (replica, mut driver) = open(&store, Notes::new());
    let revision = put(&store, "other/a", "elsewhere");
    catch_up(&replica, &mut driver, revision);
    assert!(texts(&replica).is_empty());
    assert_eq!(replica.snapshot().revision(), revision);
}

#[test]
fn a_commit_is_shown_whole() {
    let store = MemoryStore::new();
    let (replica, mut driver) = open(&store, Notes::new());
    let mut batch = Batch::new();
    for name in ["notes/a", "notes/b", "other/c"] {
        batch.write(key(name), Write::Put(note("one"))).unwrap();
    }
    let revision = commit(&store, batch);
    // A reader that took the snapshot before keeps it.
    let before = replica.snapshot();
    block_on(driver.step()).unwrap();
    assert_eq!(replica.snapshot().revision(), revision);
    assert_eq!(texts(&replica), [("notes/a", "one"), ("notes/b", "one")].map(owned));
    assert!(before.view().is_empty());
    assert_eq!(before.revision(), Revision::ZERO);
}

#[test]
fn a_replica_reads_more_than_a_page() {
    let store = MemoryStore::new();
    let names: Vec<String> = (0..MAX_PAGE_ENTRIES + 7).map(|number| format!("notes/{number:05}")).collect();
    for names in names.chunks(state_store::MAX_BATCH_WRITES) {
        let mut batch = Batch::new();
        for name in names {
            batch.write(key(name), Write::Put(note(name))).unwrap();
        }
        commit(&store, batch);
    }
    let (replica, _driver) = open(&store, Notes::new());
    assert_eq!(replica.snapshot().view().len(), names.len());
    assert_eq!(texts(&replica).last().unwrap().1, *names.last().unwrap());
}

#[test]
fn awaiting_a_revision_ends_when_the_replica_shows_it() {
    let store = MemoryStore::new();
    let (replica, mut driver) = open(&store, Notes::new());
    let revision = put(&store, "notes/a", "one");
    let mut applied = pin!(replica.applied(revision));
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(applied.as_mut().poll(&mut context), Poll::Pending);
    block_on(driver.step()).unwrap();
    assert_eq!(applied.as_mut().poll(&mut context), Poll::Ready(()));
    block_on(replica.applied(Revision::ZERO));
}

#[test]
fn a_step_given_up_loses_nothing() {
    let store = MemoryStore::new();
    let (replica, mut driver) = open(&store, Raw::default());
    let mut context = Context::from_waker(Waker::noop());
    for round in 0..20 {
        // Nothing is there yet.
        assert!(pin!(driver.step()).poll(&mut context).is_pending());
        put(&store, "notes/a", &round.to_string());
        if round % 3 == 0 {
            assert!(pin!(driver.step()).poll(&mut context).is_ready());
        }
        catch_up(&replica, &mut driver, head(&store));
        assert_shows(&replica, &store, &prefix("notes/"));
    }
}

#[test]
fn a_replica_keeps_its_snapshot_through_errors_and_goes_on() {
    let store = Hooked::new();
    put(&store, "notes/a", "one");
    let (replica, mut driver) = open(&store, Raw::default());
    store.on_event(|_, _| Some(Answer::Fail));
    put(&store, "notes/a", "two");
    let before = replica.snapshot();
    for _ in 0..3 {
        let error = block_on(driver.step()).unwrap_err();
        assert!(matches!(error, ReplicaError::Read(ReadError::Unavailable { .. })), "{error}");
        assert_eq!(replica.snapshot().revision(), before.revision());
    }
    store.undisturbed();
    catch_up(&replica, &mut driver, head(&store));
    assert_shows(&replica, &store, &prefix("notes/"));
}

#[test]
fn run_ends_with_the_error_and_can_be_called_again() {
    let store = Hooked::new();
    let (replica, mut driver) = open(&store, Raw::default());
    store.on_event(|_, number| (number == 3).then_some(Answer::Fail));
    for round in 0..5 {
        put(&store, "notes/a", &round.to_string());
    }
    assert!(matches!(block_on(driver.run()), Err(ReplicaError::Read(_))));
    assert_eq!(replica.snapshot().revision(), Revision::new(3));
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(driver.run()).poll(&mut context).is_pending());
    assert_shows(&replica, &store, &prefix("notes/"));
}

#[test]
fn a_watch_that_repeats_a_revision_is_an_error() {
    let store = Hooked::new();
    put(&store, "notes/again", "one");
    let (replica, mut driver) = open(&store, Raw::default());
    for revision in [Revision::ZERO, Revision::new(1)] {
        store.on_event(move |_, _| Some(Answer::Repeat(revision)));
        let error = block_on(driver.step()).unwrap_err();
        assert!(matches!(error, ReplicaError::Read(ReadError::Damaged { .. })), "{error}");
        assert_shows(&replica, &store, &prefix("notes/"));
    }
}

#[test]
fn a_store_that_cannot_be_read_opens_no_replica() {
    let store = Hooked::new();
    store.on_scan(|_, _| Some(Answer::Fail));
    assert!(matches!(try_open(&store, Notes::new()), Err(ReplicaError::Read(_))));
}

#[test]
fn a_page_that_is_empty_and_says_there_is_more_is_an_error_and_not_the_end() {
    let store = Hooked::new();
    put(&store, "notes/a", "one");
    store.on_scan(|_, _| Some(Answer::Empty { more: true }));
    let error = try_open(&store, Notes::new()).map(drop).unwrap_err();
    assert!(matches!(error, ReplicaError::Read(ReadError::Damaged { .. })), "{error}");
    store.on_scan(|_, _| Some(Answer::Empty { more: false }));
    assert!(try_open(&store, Notes::new()).is_ok());
}

#[test]
fn several_replicas_of_one_store_agree() {
    let store = MemoryStore::new();
    let (one, mut one_driver) = open(&store, Raw::default());
    put(&store, "notes/a", "one");
    let (other, mut other_driver) = open(&store, Raw::default());
    let revision = put(&store, "notes/a", "two");
    for (replica, driver) in [(&one, &mut one_driver), (&other, &mut other_driver)] {
        catch_up(replica, driver, revision);
        assert_shows(replica, &store, &prefix("notes/"));
    }
    assert_eq!(block_on(store.get(&key("notes/a"))).unwrap().unwrap().revision, revision);
}

#[test]
fn a_new_view_of_records_is_empty() {
    let records = Records::<Note>::default();
    assert!(records.is_empty());
    assert_eq!(records.len(), 0);
    assert!(records.get(&key("a")).is_none());
    assert!(records.iter().next().is_none());
}

fn owned((name, text): (&str, &str)) -> (String, String) {
    (name.into(), text.into())
}
