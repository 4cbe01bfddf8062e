//! A store that can be interrupted, a view that keeps bytes, and short words for what tests do with them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use core_types::UnixTime;
use core_types::testing::TestClock;
use pollster::block_on;
use serde::{Deserialize, Serialize};
use state_store::feed::FeedWatch;
use state_store::replica::{Driver, Records, ReplicaError};
use state_store::{
    Batch, Commit, CommitError, Entry, Key, MemoryStore, Page, Prefix, ReadError, Record, RecordError,
    Replica, Revision, StateStore, Value, View, Watch, WatchEvent, Write, record,
};

pub(crate) const BOUND: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    pub(crate) text: String,
}

impl Record for Note {
    const KIND: &'static str = "test/note";
    const VERSION: u32 = 1;
}

pub(crate) type Notes = Records<Note>;

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

pub(crate) fn prefix(start: &str) -> Prefix {
    Prefix::new(start).unwrap()
}

pub(crate) fn note(text: &str) -> Value {
    record::encode(&Note { text: text.into() }).unwrap()
}

/// Commits one write, whatever was there.
pub(crate) fn write<S: StateStore>(store: &S, name: &str, write: Write) -> Revision {
    let mut batch = Batch::new();
    batch.write(key(name), write).unwrap();
    commit(store, batch)
}

pub(crate) fn put<S: StateStore>(store: &S, name: &str, text: &str) -> Revision {
    write(store, name, Write::Put(note(text)))
}

pub(crate) fn delete<S: StateStore>(store: &S, name: &str) -> Revision {
    write(store, name, Write::Delete)
}

pub(crate) fn commit<S: StateStore>(store: &S, batch: Batch) -> Revision {
    match block_on(store.commit(batch)).unwrap() {
        Commit::Committed(revision) => revision,
        Commit::Conflict(key) => panic!("conflict on {key:?}"),
    }
}

pub(crate) fn head<S: StateStore>(store: &S) -> Revision {
    block_on(store.scan(&Prefix::all(), None, 0)).unwrap().revision
}

pub(crate) fn open<S: StateStore, V: View>(store: &S, empty: V) -> (Replica<V>, Driver<S, V>) {
    try_open(store, empty).unwrap()
}

pub(crate) fn try_open<S: StateStore, V: View>(
    store: &S,
    empty: V,
) -> Result<(Replica<V>, Driver<S, V>), ReplicaError> {
    let clock = TestClock::at(UnixTime::from_secs(100));
    block_on(Replica::open(store.clone(), prefix("notes/"), empty, BOUND, &clock))
}

/// Steps until the replica shows everything up to `revision`.
pub(crate) fn catch_up<S: StateStore, V: View>(
    replica: &Replica<V>,
    driver: &mut Driver<S, V>,
    revision: Revision,
) {
    while replica.snapshot().revision() < revision {
        block_on(driver.step()).unwrap();
    }
}

pub(crate) fn texts(replica: &Replica<Notes>) -> Vec<(String, String)> {
    let snapshot = replica.snapshot();
    let pairs = snapshot.view().iter();
    pairs.map(|(key, stored)| (name(key), stored.record.text.clone())).collect()
}

pub(crate) fn name(key: &Key) -> String {
    String::from_utf8(key.as_bytes().to_vec()).unwrap()
}

/// A view that keeps the bytes and the revisions of what it is shown, and how often it was shown something older
/// than it had. Values that begin with an exclamation mark it does not understand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Raw {
    pub(crate) entries: Arc<BTreeMap<Key, (Value, Revision)>>,
    pub(crate) went_back: u32,
}

impl View for Raw {
    fn put(&mut self, key: &Key, value: &Value, revision: Revision) -> Result<(), RecordError> {
        if value.as_bytes().starts_with(b"!") {
            return Err(RecordError::Inconsistent { kind: "raw", what: "it shouts" });
        }
        let entries = Arc::make_mut(&mut self.entries);
        if entries.get(key).is_some_and(|(_, held)| *held > revision) {
            self.went_back += 1;
        }
        entries.insert(key.clone(), (value.clone(), revision));
        Ok(())
    }

    fn delete(&mut self, key: &Key) {
        Arc::make_mut(&mut self.entries).remove(key);
    }

    fn poison(&mut self, key: &Key) {
        self.delete(key);
    }
}

/// Checks that the replica shows exactly what a scan of the store does.
#[track_caller]
pub(crate) fn assert_shows<S: StateStore>(replica: &Replica<Raw>, store: &S, prefix: &Prefix) {
    let page = block_on(store.scan(prefix, None, usize::MAX)).unwrap();
    let snapshot = replica.snapshot();
    assert_eq!(snapshot.revision(), page.revision);
    let (mut good, mut poisoned) = (BTreeMap::new(), BTreeMap::new());
    for entry in page.entries {
        if entry.value.as_bytes().starts_with(b"!") {
            poisoned.insert(entry.key, entry.revision);
        } else {
            good.insert(entry.key, (entry.value, entry.revision));
        }
    }
    assert_eq!(*snapshot.view().entries, good);
    let found: BTreeMap<Key, Revision> =
        snapshot.poisoned().map(|(key, poisoned)| (key.clone(), poisoned.revision)).collect();
    assert_eq!(found, poisoned);
    assert_eq!(snapshot.view().went_back, 0, "the view was shown something older than it had");
}

type Hook = Box<dyn FnMut(&MemoryStore, usize) -> Option<Answer> + Send>;

/// What a hooked store does in place of what it was asked.
pub(crate) enum Answer {
    Fail,
    Empty { more: bool },
    Lag,
    Repeat(Revision),
    Hang,
}

/// A memory store with pages of three, whose scans and watches tests can interrupt.
#[derive(Clone)]
pub(crate) struct Hooked {
    inner: Arc<Mutex<MemoryStore>>,
    on_scan: Arc<Mutex<Option<Hook>>>,
    on_event: Arc<Mutex<Option<Hook>>>,
    scans: Arc<Mutex<usize>>,
    events: Arc<Mutex<usize>>,
}

impl Hooked {
    pub(crate) fn new() -> Self {
        Self {
            inner: Arc::new(Mutex::new(MemoryStore::new())),
            on_scan: Arc::default(),
            on_event: Arc::default(),
            scans: Arc::default(),
            events: Arc::default(),
        }
    }

    /// Called before each page, with the number of pages before it.
    pub(crate) fn on_scan(&self, hook: impl FnMut(&MemoryStore, usize) -> Option<Answer> + Send + 'static) {
        *self.scans.lock().unwrap() = 0;
        *self.on_scan.lock().unwrap() = Some(Box::new(hook));
    }

    /// Called before each event of a watch, with the number of events before it.
    pub(crate) fn on_event(&self, hook: impl FnMut(&MemoryStore, usize) -> Option<Answer> + Send + 'static) {
        *self.events.lock().unwrap() = 0;
        *self.on_event.lock().unwrap() = Some(Box::new(hook));
    }

    pub(crate) fn undisturbed(&self) {
        *self.on_scan.lock().unwrap() = None;
        *self.on_event.lock().unwrap() = None;
    }

    /// How many pages were asked for since [`on_scan`](Self::on_scan).
    pub(crate) fn scans(&self) -> usize {
        *self.scans.lock().unwrap()
    }

    /// How many events of watches were asked for since [`on_event`](Self::on_event).
    pub(crate) fn events(&self) -> usize {
        *self.events.lock().unwrap()
    }

    /// Puts another store in the place of this one.
    pub(crate) fn replace(&self, other: MemoryStore) {
        *self.inner.lock().unwrap() = other;
    }

    pub(crate) fn inner(&self) -> MemoryStore {
        self.inner.lock().unwrap().clone()
    }

    fn ask(&self, hook: &Mutex<Option<Hook>>, count: &Mutex<usize>) -> Option<Answer> {
        let number = {
            let mut count = count.lock().unwrap();
            *count += 1;
            *count - 1
        };
        hook.lock().unwrap().as_mut().and_then(|hook| hook(&self.inner(), number))
    }
}

fn failed() -> ReadError {
    ReadError::Unavailable { detail: "as the test asked".into() }
}

impl StateStore for Hooked {
    type Watch = HookedWatch;

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        self.inner().get(key).await
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, ReadError> {
        match self.ask(&self.on_scan, &self.scans) {
            Some(Answer::Fail) => Err(failed()),
            Some(Answer::Empty { more }) => {
                Ok(Page { entries: Vec::new(), revision: head(&self.inner()), more })
            }
            Some(Answer::Hang) => std::future::pending().await,
            Some(Answer::Lag | Answer::Repeat(_)) => panic!("no answer of a scan"),
            None => self.inner().scan(prefix, after, limit.min(3)).await,
        }
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        self.inner().commit(batch).await
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<HookedWatch, ReadError> {
        let inner = self.inner().watch(prefix, after).await?;
        Ok(HookedWatch { store: self.clone(), inner })
    }
}

pub(crate) struct HookedWatch {
    store: Hooked,
    inner: FeedWatch,
}

impl Watch for HookedWatch {
    async fn next(&mut self) -> Result<WatchEvent, ReadError> {
        match self.store.ask(&self.store.on_event, &self.store.events) {
            Some(Answer::Fail) => Err(failed()),
            Some(Answer::Hang) => std::future::pending().await,
            Some(Answer::Lag) => Ok(WatchEvent::Lagged),
            Some(Answer::Repeat(revision)) => {
                let changes = vec![state_store::Change { key: key("notes/again"), write: Write::Delete }];
                Ok(WatchEvent::Changes { revision, changes })
            }
            Some(Answer::Empty { .. }) => panic!("no answer of a watch"),
            None => self.inner.next().await,
        }
    }
}
