//! What a replica shows, and when it refuses.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

use std::time::Duration;

use core_types::testing::TestClock;
use core_types::{Clock, UnixTime};
use pollster::block_on;
use serde::{Deserialize, Serialize};
use state_store::replica::Records;
use state_store::{
    Batch, Commit, Key, MemoryStore, Prefix, Record, Replica, Revision, StateStore, Value, record,
};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
}

impl Record for Note {
    const KIND: &'static str = "test/note";
    const VERSION: u32 = 1;
}

#[test]
fn a_replica_shows_a_commit_once_its_driver_has_applied_it() {
    block_on(async {
        let store = MemoryStore::new();
        let clock = TestClock::at(UnixTime::from_secs(100));
        put(&store, "notes/a", "one").await;
        let prefix = Prefix::new("notes/").unwrap();
        let (replica, mut driver) =
            Replica::open(store.clone(), prefix, Records::<Note>::new(), BOUND, &clock).await.unwrap();
        let revision = put(&store, "notes/b", "two").await;
        assert_eq!(replica.snapshot().view().len(), 1);
        driver.step().await.unwrap();
        replica.applied(revision).await;
        assert_eq!(replica.snapshot().view().get(&Key::new("notes/b").unwrap()).unwrap().record.text, "two");
    });
}

#[test]
fn a_replica_that_was_not_confirmed_within_its_bound_refuses() {
    block_on(async {
        let store = MemoryStore::new();
        let clock = TestClock::at(UnixTime::from_secs(100));
        let (replica, _driver) =
            Replica::open(store.clone(), Prefix::all(), Records::<Note>::new(), BOUND, &clock).await.unwrap();
        assert!(replica.current(clock.now()).is_ok());
        clock.advance(BOUND);
        assert!(replica.current(clock.now()).is_ok());
        clock.advance(Duration::from_millis(1));
        assert!(replica.current(clock.now()).is_err());
        replica.confirm(&store, &clock).await.unwrap();
        assert!(replica.current(clock.now()).is_ok());
        clock.set(UnixTime::from_secs(1));
        assert!(replica.current(clock.now()).is_err(), "a clock that went back proves nothing");
    });
}

#[test]
fn a_record_that_cannot_be_read_is_kept_apart() {
    block_on(async {
        let store = MemoryStore::new();
        let clock = TestClock::at(UnixTime::EPOCH);
        let key = Key::new("notes/bad").unwrap();
        let mut batch = Batch::new();
        batch.create(key.clone(), Value::new("{}").unwrap()).unwrap();
        let Commit::Committed(revision) = store.commit(batch).await.unwrap() else { panic!("conflict") };
        let (replica, mut driver) =
            Replica::open(store.clone(), Prefix::all(), Records::<Note>::new(), BOUND, &clock).await.unwrap();
        let snapshot = replica.snapshot();
        assert!(snapshot.poisoned().map(|(key, _)| key).eq([&key]));
        assert!(snapshot.view().is_empty());
        let mut batch = Batch::new();
        batch.replace(key, revision, record::encode(&Note { text: "good".into() }).unwrap()).unwrap();
        assert!(matches!(store.commit(batch).await.unwrap(), Commit::Committed(_)));
        driver.step().await.unwrap();
        assert_eq!(replica.snapshot().poisoned().count(), 0);
        assert_eq!(replica.snapshot().view().len(), 1);
    });
}

async fn put(store: &MemoryStore, key: &str, text: &str) -> Revision {
    let mut batch = Batch::new();
    batch.create(Key::new(key).unwrap(), record::encode(&Note { text: text.into() }).unwrap()).unwrap();
    match store.commit(batch).await.unwrap() {
        Commit::Committed(revision) => revision,
        Commit::Conflict(key) => panic!("conflict on {key:?}"),
    }
}

const BOUND: Duration = Duration::from_secs(5);
