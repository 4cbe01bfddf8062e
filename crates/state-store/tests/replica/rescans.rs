//! What happens when a replica has to read everything anew, and the store does not stand still meanwhile.

use pollster::block_on;
use proptest::prelude::*;
use state_store::feed::MAX_FEED_COMMITS;
use state_store::replica::ReplicaError;
use state_store::testing::model::{Operation, arb_operations};
use state_store::{Batch, MemoryStore, Revision, Value, Write};

use crate::world::*;

#[test]
fn a_replica_that_fell_too_far_behind_reads_everything_anew() {
    let store = MemoryStore::new();
    put(&store, "notes/gone", "one");
    let (replica, mut driver) = open(&store, Raw::default());
    delete(&store, "notes/gone");
    for round in 0..=MAX_FEED_COMMITS {
        put(&store, &format!("notes/{}", round % 50), &round.to_string());
    }
    block_on(driver.step()).unwrap();
    assert_shows(&replica, &store, &prefix("notes/"));
    put(&store, "notes/after", "one");
    block_on(driver.step()).unwrap();
    assert_shows(&replica, &store, &prefix("notes/"));
}

/// Opens on a store that changes before the page of this number, or catches up after lagging with the same.
fn changed_before_page(page: usize, change: impl Fn(&MemoryStore) + Clone + Send + 'static) {
    for lags in [false, true] {
        let store = Hooked::new();
        for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            put(&store, &format!("notes/{name}"), name);
        }
        let hook = {
            let change = change.clone();
            move |store: &MemoryStore, number| {
                if number == page {
                    change(store);
                }
                None
            }
        };
        let (replica, _driver) = if lags {
            let (replica, mut driver) = open(&store, Raw::default());
            store.on_event(|_, number| (number == 0).then_some(Answer::Lag));
            store.on_scan(hook);
            block_on(driver.step()).unwrap();
            (replica, driver)
        } else {
            store.on_scan(hook);
            open(&store, Raw::default())
        };
        assert!(store.scans() >= 3, "it takes several pages");
        assert_shows(&replica, &store.inner(), &prefix("notes/"));
    }
}

#[test]
fn what_is_put_between_pages_is_shown() {
    for page in [1, 2] {
        for name in ["notes/0", "notes/a", "notes/aa", "notes/f", "notes/z"] {
            changed_before_page(page, move |store| {
                put(store, name, "new");
            });
        }
    }
}

#[test]
fn what_is_deleted_between_pages_is_not_shown() {
    for page in [1, 2] {
        for name in ["notes/a", "notes/c", "notes/d", "notes/h"] {
            changed_before_page(page, move |store| {
                delete(store, name);
            });
        }
    }
}

#[test]
fn what_comes_and_goes_between_pages_is_shown_as_it_ends() {
    for name in ["notes/a", "notes/d", "notes/h", "notes/zz"] {
        changed_before_page(1, move |store| {
            put(store, name, "new");
            delete(store, name);
        });
        changed_before_page(1, move |store| {
            delete(store, name);
            put(store, name, "newer");
            put(store, name, "newest");
        });
        changed_before_page(2, move |store| {
            for round in 0..5 {
                put(store, name, &round.to_string());
                put(store, "notes/b", &round.to_string());
                delete(store, name);
            }
        });
    }
}

#[test]
fn what_cannot_be_read_between_pages_is_kept_apart() {
    for name in ["notes/a", "notes/h"] {
        let shout = |text: &str| Write::Put(Value::new(text).unwrap());
        changed_before_page(1, move |store| {
            write(store, name, shout("!what"));
        });
        changed_before_page(1, move |store| {
            write(store, name, shout("!what"));
            put(store, name, "healed");
        });
        changed_before_page(1, move |store| {
            write(store, name, shout("!what"));
            delete(store, name);
        });
    }
}

#[test]
fn commits_elsewhere_between_pages_do_not_matter() {
    changed_before_page(1, |store| {
        put(store, "other/a", "one");
        put(store, "notes", "two");
    });
}

#[test]
fn a_store_that_outruns_the_reading_is_an_error_and_not_a_guess() {
    let store = Hooked::new();
    for name in ["a", "b", "c", "d"] {
        put(&store, &format!("notes/{name}"), name);
    }
    let (replica, mut driver) = open(&store, Raw::default());
    // Every reading sees a commit between its pages, and the history is gone each time.
    store.on_scan(|store, number| {
        put(store, "notes/a", &number.to_string());
        None
    });
    store.on_event(|_, _| Some(Answer::Lag));
    let error = block_on(driver.step()).unwrap_err();
    assert!(matches!(error, ReplicaError::Outrun { attempts: 8 }), "{error}");
    assert_eq!(replica.snapshot().revision(), Revision::new(4), "the snapshot is the old one");
    store.undisturbed();
    catch_up(&replica, &mut driver, head(&store));
    assert_shows(&replica, &store.inner(), &prefix("notes/"));
}

#[test]
fn a_reading_that_fails_is_begun_anew() {
    let store = Hooked::new();
    for name in ["a", "b", "c", "d", "e"] {
        put(&store, &format!("notes/{name}"), name);
    }
    let (replica, mut driver) = open(&store, Raw::default());
    delete(&store, "notes/b");
    store.on_event(|_, number| (number == 0).then_some(Answer::Lag));
    store.on_scan(|_, number| (number == 1).then_some(Answer::Fail));
    assert!(matches!(block_on(driver.step()), Err(ReplicaError::Read(_))));
    assert_eq!(replica.snapshot().view().entries.len(), 5, "nothing half read is shown");
    catch_up(&replica, &mut driver, head(&store));
    assert_shows(&replica, &store.inner(), &prefix("notes/"));
}

#[test]
fn a_replica_does_not_follow_a_store_that_went_back() {
    let store = Hooked::new();
    put(&store, "notes/a", "one");
    let copy = MemoryStore::new();
    put(&copy, "notes/a", "one");
    put(&store, "notes/revoked", "two");
    let (replica, mut driver) = open(&store, Raw::default());
    // A watch of the old store is still running; the restored one is met when it breaks.
    store.on_event(|_, number| (number == 0).then_some(Answer::Fail));
    store.replace(copy.clone());
    assert!(matches!(block_on(driver.step()), Err(ReplicaError::Read(_))));
    let went_back = ReplicaError::WentBack { seen: Revision::new(2), found: Revision::new(1) };
    assert_eq!(block_on(driver.step()), Err(went_back.clone()));
    // It grows past where the other one was. The replica still does not follow.
    for round in 0..5 {
        put(&copy, "notes/b", &round.to_string());
    }
    assert_eq!(block_on(driver.step()), Err(went_back));
    assert_eq!(replica.snapshot().revision(), Revision::new(2));
    assert!(replica.snapshot().view().entries.contains_key(&key("notes/revoked")));
}

#[test]
fn a_store_that_goes_back_between_pages_opens_no_replica() {
    let store = Hooked::new();
    for name in ["a", "b", "c", "d"] {
        put(&store, &format!("notes/{name}"), name);
    }
    let other = store.clone();
    store.on_scan(move |_, number| {
        if number == 1 {
            let older = MemoryStore::new();
            put(&older, "notes/z", "older");
            other.replace(older);
        }
        None
    });
    // The hook's own page is of the store that was there; the next one is of the older store.
    let outcome = try_open(&store, Raw::default()).map(drop);
    assert!(matches!(outcome, Err(ReplicaError::WentBack { .. })), "{outcome:?}");
}

/// The batch of a schedule's commit, below the replica's prefix for some keys and elsewhere for others.
fn batch_of(operation: &Operation) -> Option<Batch> {
    let Operation::Commit(parts) = operation else { return None };
    let mut batch = Batch::new();
    for part in parts {
        let Some(write) = part.write else { continue };
        let write = match write {
            Some((byte, count)) => Write::Put(Value::new(vec![byte; count.into()]).unwrap()),
            None => Write::Delete,
        };
        let start: &[u8] = if part.expect.is_some() { b"notes/" } else { b"other/" };
        // A key may come twice; the first counts.
        let _ = batch.write(state_store::Key::new([start, part.key].concat()).unwrap(), write);
    }
    Some(batch)
}

proptest! {
    #[test]
    fn after_any_schedule_the_replica_shows_what_a_scan_does(
        before in arb_operations(),
        during in arb_operations(),
        after in arb_operations(),
        lags in any::<bool>(),
    ) {
        let commits = |operations: &[Operation]| -> Vec<Batch> { operations.iter().filter_map(batch_of).collect() };
        let store = Hooked::new();
        for batch in commits(&before) {
            commit(&store, batch);
        }
        // One of these before every page.
        let mut between = commits(&during).into_iter();
        store.on_scan(move |store, _| {
            for batch in between.by_ref().take(2) {
                commit(store, batch);
            }
            None
        });
        let (replica, mut driver) = open(&store, Raw::default());
        store.on_event(move |_, number| (lags && number % 4 == 1).then_some(Answer::Lag));
        for batch in commits(&after) {
            let revision = commit(&store, batch);
            if revision.get().is_multiple_of(3) {
                catch_up(&replica, &mut driver, revision);
            }
        }
        // Reading anew may commit more.
        while replica.snapshot().revision() < head(&store.inner()) {
            catch_up(&replica, &mut driver, head(&store.inner()));
        }
        assert_shows(&replica, &store.inner(), &prefix("notes/"));
    }
}
