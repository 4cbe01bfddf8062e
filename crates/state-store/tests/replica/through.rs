//! What a handle answers by that reads the store where its replica is too old.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use core_types::UnixTime;
use pollster::block_on;
use proptest::prelude::*;
use state_store::replica::{CurrentError, Driver, Reading, ReplicaError, WhenStale};
use state_store::{Key, MemoryStore, Prefix, Replica, Revision, StateStore, Value};

use crate::world::*;

const WITHIN: Duration = Duration::from_secs(2);

/// Past the bound of every replica here, which nobody confirms.
fn later() -> UnixTime {
    UnixTime::from_secs(200)
}

/// A handle whose waiting is over as soon as nothing can go on without it.
fn reading(store: &Hooked) -> (Replica<Raw>, Driver<Hooked, Raw>) {
    let (replica, driver) = open(store, Raw::default());
    (replica.reading_through(store.clone(), WITHIN, |_| ready(())), driver)
}

fn read(replica: &Replica<Raw>) -> Result<Reading<Raw>, CurrentError> {
    block_on(replica.read(later()))
}

fn filled(names: &[&str]) -> Hooked {
    let store = Hooked::new();
    for name in names {
        put(&store, &format!("notes/{name}"), name);
    }
    store
}

#[track_caller]
fn assert_reads<S: StateStore>(reading: &Reading<Raw>, store: &S) {
    let mut shown = BTreeMap::new();
    let page = block_on(store.scan(&prefix("notes/"), None, usize::MAX)).unwrap();
    for entry in page.entries {
        shown.insert(entry.key, (entry.value, entry.revision));
    }
    assert_eq!(*reading.view().entries, shown);
    assert_eq!(reading.revision(), page.revision);
    assert!(reading.is_read_through());
}

#[test]
fn a_handle_refuses_unless_it_was_told_to_read_through() {
    let store = filled(&["a"]);
    let (plain, _driver) = open(&store, Raw::default());
    assert_eq!(plain.when_stale(), WhenStale::Refuse);
    assert!(matches!(read(&plain), Err(CurrentError::Stale(stale)) if stale.applied == Revision::new(1)));
    let through = plain.clone().reading_through(store, WITHIN, |_| ready(()));
    assert_eq!(through.clone().when_stale(), WhenStale::ReadThrough { within: WITHIN });
    assert!(read(&through).is_ok());
    assert!(read(&plain).is_err(), "it is a matter of the handle");
    assert!(through.current(later()).is_err(), "what cannot wait refuses");
}

#[test]
fn what_is_fresh_is_answered_without_the_store() {
    let store = filled(&["a"]);
    let (replica, _driver) = reading(&store);
    store.on_scan(|_, _| panic!("the store was asked"));
    let reading = block_on(replica.read(UnixTime::from_secs(104))).unwrap();
    assert!(!reading.is_read_through());
    assert_eq!(reading.revision(), Revision::new(1));
}

#[test]
fn a_stale_handle_sees_what_was_committed_before_the_call() {
    let store = filled(&["a", "b", "c", "d", "e"]);
    let (replica, _driver) = reading(&store);
    assert_reads(&read(&replica).unwrap(), &store.inner());
    delete(&store, "notes/a");
    assert_reads(&read(&replica).unwrap(), &store.inner());
    put(&store, "elsewhere/a", "one");
    assert_reads(&read(&replica).unwrap(), &store.inner());
    put(&store, "notes/b", "another");
    // What was read last is what the next reading begins from.
    store.on_scan(|_, number| (number > 0).then(|| panic!("more than the last revision was asked for")));
    store.on_event(|_, number| (number > 0).then(|| panic!("more than the last change was asked for")));
    assert_reads(&read(&replica).unwrap(), &store.inner());
    store.on_scan(|_, _| None);
    store.on_event(|_, _| panic!("nothing was committed since"));
    read(&replica).unwrap();
}

#[test]
fn where_no_watch_is_to_be_had_everything_is_read() {
    for cut in [|| Answer::Hang, || Answer::Fail, || Answer::Lag, || Answer::Repeat(Revision::new(1))] {
        let store = filled(&["a", "b", "c", "d", "e", "f", "g"]);
        let (replica, _driver) = reading(&store);
        store.on_event(move |_, _| Some(cut()));
        assert_eq!(read(&replica).unwrap().revision(), Revision::new(7), "there is nothing to watch for");
        assert_eq!(store.events(), 0);
        delete(&store, "notes/d");
        put(&store, "notes/h", "new");
        assert_reads(&read(&replica).unwrap(), &store.inner());
    }
}

#[test]
fn pages_of_different_instants_are_no_answer() {
    let store = filled(&["a", "b", "c", "d", "e", "f", "g"]);
    let (replica, _driver) = reading(&store);
    store.on_event(|_, _| Some(Answer::Hang));
    put(&store, "notes/a", "first");
    // Moves `a` behind the page that is being read, twice: pages that are put together would show it twice.
    let states = Arc::new(Mutex::new(BTreeMap::new()));
    let known = Arc::clone(&states);
    store.on_scan(move |store, number| {
        if number < 6 {
            delete(store, "notes/a");
            put(store, &format!("notes/z{number}"), "moved");
        }
        let page = block_on(store.scan(&prefix("notes/"), None, usize::MAX)).unwrap();
        let entries: BTreeMap<Key, (Value, Revision)> =
            page.entries.into_iter().map(|entry| (entry.key, (entry.value, entry.revision))).collect();
        known.lock().unwrap().insert(page.revision, entries);
        None
    });
    let reading = read(&replica).unwrap();
    assert_eq!(states.lock().unwrap().get(&reading.revision()), Some(&*reading.view().entries));
    assert!(!reading.view().entries.contains_key(&key("notes/a")));

    store.on_scan(|store, number| {
        put(store, "notes/a", &number.to_string());
        None
    });
    let error = read(&replica).unwrap_err();
    assert!(matches!(error, CurrentError::Store(ReplicaError::Outrun { attempts: 8 })), "{error}");
}

#[test]
fn a_store_that_fails_or_hangs_is_no_answer() {
    let store = filled(&["a", "b", "c", "d"]);
    let (replica, _driver) = reading(&store);
    store.on_scan(|_, _| Some(Answer::Fail));
    assert!(matches!(read(&replica), Err(CurrentError::Store(ReplicaError::Read(_)))));
    store.on_scan(|_, _| Some(Answer::Hang));
    assert_eq!(read(&replica).unwrap_err(), CurrentError::TimedOut { within: WITHIN });
    // The head answers, and nothing else does.
    put(&store, "notes/e", "new");
    store.on_event(|_, _| Some(Answer::Hang));
    store.on_scan(|_, number| (number > 0).then_some(Answer::Hang));
    assert_eq!(read(&replica).unwrap_err(), CurrentError::TimedOut { within: WITHIN });
    store.on_scan(|_, number| (number > 1).then_some(Answer::Fail));
    assert!(matches!(read(&replica), Err(CurrentError::Store(ReplicaError::Read(_)))));
    store.undisturbed();
    assert_reads(&read(&replica).unwrap(), &store.inner());
}

#[test]
fn a_store_that_went_back_is_never_read_again() {
    let store = filled(&["a", "b", "c"]);
    let (replica, mut driver) = reading(&store);
    store.replace(MemoryStore::new());
    put(&store, "notes/other", "history");
    let went_back = |error| matches!(error, CurrentError::Store(ReplicaError::WentBack { .. }));
    assert!(went_back(read(&replica).unwrap_err()));
    for name in ["d", "e", "f", "g"] {
        put(&store, &format!("notes/{name}"), name);
    }
    assert!(head(&store) > replica.snapshot().revision());
    assert!(went_back(read(&replica).unwrap_err()), "it grew past what was seen");
    // Nor is it followed, or believed.
    assert!(matches!(block_on(driver.step()), Err(ReplicaError::WentBack { .. })));
    let clock = core_types::testing::TestClock::at(later());
    assert!(block_on(replica.confirm(&store, &clock)).is_err());
}

#[test]
fn the_driver_takes_over_where_it_comes_back() {
    let store = filled(&["a"]);
    let (replica, mut driver) = reading(&store);
    put(&store, "notes/b", "new");
    assert_reads(&read(&replica).unwrap(), &store.inner());
    assert_eq!(replica.snapshot().revision(), Revision::new(1), "the snapshot is the driver's");
    block_on(driver.step()).unwrap();
    assert_shows(&replica, &store, &Prefix::new("notes/").unwrap());
    assert_reads(&read(&replica).unwrap(), &store.inner());
}

proptest! {
    /// Whatever way it takes, a reading is exactly what the store holds: writes, deletions, and what is unreadable.
    #[test]
    fn a_reading_is_what_the_store_holds(
        steps in prop::collection::vec((0_u8..6, 0_u8..12, 0_u8..5), 1..40),
    ) {
        let store = Hooked::new();
        let (replica, mut driver) = reading(&store);
        for (what, place, cut) in steps {
            let name = format!("notes/{place}");
            match what {
                0 | 1 => drop(put(&store, &name, &format!("{place} {cut}"))),
                2 => drop(delete(&store, &name)),
                3 => drop(put(&store, "elsewhere", "one")),
                4 if replica.snapshot().revision() < head(&store) => block_on(driver.step()).unwrap(),
                _ => drop(put(&store, "notes/same", "again")),
            }
            match cut {
                0 => store.on_event(|_, _| Some(Answer::Hang)),
                1 => store.on_event(|_, _| Some(Answer::Fail)),
                2 => store.on_event(|_, _| Some(Answer::Lag)),
                _ => store.undisturbed(),
            }
            assert_reads(&read(&replica).unwrap(), &store.inner());
            store.undisturbed();
        }
    }
}
