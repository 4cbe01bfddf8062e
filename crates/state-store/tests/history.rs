//! Histories of the memory store are linearizable, and those of a store that cheats are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use state_store::feed::FeedWatch;
use state_store::testing::history::{Cast, record};
use state_store::{
    Batch, Commit, CommitError, Entry, Key, MemoryStore, Page, Prefix, ReadError, Revision, StateStore,
};

const CAST: Cast = Cast { seed: 7, clients: 4, keys: 3, operations: 1500, patience: Duration::from_secs(10) };

/// Longer than the clients need.
fn nothing() {
    thread::sleep(Duration::from_millis(300));
}

#[test]
fn histories_of_the_memory_store_have_an_order() {
    for seed in 0..5 {
        let store = MemoryStore::new();
        let summary = record(&[store.clone(), store], Cast { seed, ..CAST }, nothing).unwrap();
        assert!(summary.committed > 100 && summary.reads > 100 && summary.conflicts > 10, "{summary:?}");
        assert_eq!((summary.failed, summary.unknown), (0, 0));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Trick {
    /// Reads what was there a little while ago.
    StaleReads,
    /// Acknowledges now and then what was not written.
    LosesWrites,
    /// Says now and then that nothing was written, and something was.
    DeniesWrites,
    /// Says of every tenth write that its outcome is unknown.
    ForgetsAnswers,
}

#[derive(Clone)]
struct Cheat {
    store: MemoryStore,
    trick: Trick,
    calls: Arc<AtomicU64>,
    old: Arc<std::sync::Mutex<Option<Entry>>>,
}

impl Cheat {
    fn new(trick: Trick) -> Self {
        Self { store: MemoryStore::new(), trick, calls: Arc::default(), old: Arc::default() }
    }

    fn is_time(&self) -> bool {
        self.calls.fetch_add(1, Ordering::SeqCst) % 10 == 9
    }
}

impl StateStore for Cheat {
    type Watch = FeedWatch;

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        let now = self.store.get(key).await?;
        if self.trick != Trick::StaleReads {
            return Ok(now);
        }
        let mut old = self.old.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let stale = old.as_ref().filter(|old| old.key == *key).cloned();
        if self.is_time() {
            *old = now.clone();
        }
        Ok(stale.or(now))
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, ReadError> {
        self.store.scan(prefix, after, limit).await
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        let is_time = self.is_time();
        if is_time && self.trick == Trick::LosesWrites {
            let head = self.store.scan(&Prefix::all(), None, 0).await;
            return Ok(Commit::Committed(head.map_or(Revision::ZERO, |page| page.revision)));
        }
        let done = self.store.commit(batch).await;
        match (self.trick, &done) {
            (Trick::DeniesWrites, Ok(Commit::Committed(_))) if is_time => {
                Err(CommitError::Unavailable { detail: "denied".into() })
            }
            (Trick::ForgetsAnswers, Ok(Commit::Committed(_))) if is_time => {
                Err(CommitError::OutcomeUnknown { detail: "forgotten".into() })
            }
            _ => done,
        }
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<FeedWatch, ReadError> {
        self.store.watch(prefix, after).await
    }
}

#[test]
fn a_store_that_cheats_is_seen() {
    for trick in [Trick::StaleReads, Trick::LosesWrites, Trick::DeniesWrites] {
        let store = Cheat::new(trick);
        assert!(record(&[store.clone(), store], CAST, nothing).is_err());
    }
}

#[test]
fn an_unknown_outcome_may_be_either() {
    let store = Cheat::new(Trick::ForgetsAnswers);
    let summary = record(&[store.clone(), store], CAST, nothing).unwrap();
    assert!(summary.unknown > 10, "{summary:?}");
    assert!(summary.took_effect > 10, "{summary:?}");
}
