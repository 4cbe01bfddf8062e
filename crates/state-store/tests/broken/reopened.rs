//! A store that keeps a journal, and reads it wrongly when it is opened again.

use std::sync::{Arc, Mutex};

use pollster::block_on;
use state_store::feed::FeedWatch;
use state_store::{
    Batch, Commit, CommitError, Entry, Key, MemoryStore, Page, Prefix, ReadError, Revision, StateStore, Write,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reopening {
    Right,
    ForgetsAll,
    ForgetsLast,
    ForgetsDeletes,
    RevisionsBeginAnew,
    SilentAboutPast,
}

/// Where the journal lies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    journal: Arc<Mutex<Vec<Batch>>>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn open(&self, reopening: Reopening) -> Journaled {
        let mut journal = self.journal.lock().unwrap();
        match reopening {
            Reopening::ForgetsAll => journal.clear(),
            Reopening::ForgetsLast => drop(journal.pop()),
            _ => {}
        }
        let store = MemoryStore::new();
        for batch in journal.iter() {
            let mut writes = Batch::new();
            for (key, write) in batch.writes() {
                if !(reopening == Reopening::ForgetsDeletes && *write == Write::Delete) {
                    writes.write(key.clone(), write.clone()).unwrap();
                }
            }
            let _ = block_on(store.commit(writes)).unwrap();
        }
        if reopening == Reopening::RevisionsBeginAnew {
            return self.compacted(&store, reopening);
        }
        let opened_at = block_on(store.scan(&Prefix::all(), None, 0)).unwrap().revision;
        Journaled { store, journal: Arc::clone(&self.journal), reopening, opened_at }
    }

    fn compacted(&self, full: &MemoryStore, reopening: Reopening) -> Journaled {
        let store = MemoryStore::new();
        for entry in block_on(full.scan(&Prefix::all(), None, usize::MAX)).unwrap().entries {
            let mut batch = Batch::new();
            batch.write(entry.key, Write::Put(entry.value)).unwrap();
            let _ = block_on(store.commit(batch)).unwrap();
        }
        let journal = Arc::clone(&self.journal);
        Journaled { store, journal, reopening, opened_at: Revision::ZERO }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Journaled {
    store: MemoryStore,
    journal: Arc<Mutex<Vec<Batch>>>,
    reopening: Reopening,
    opened_at: Revision,
}

impl StateStore for Journaled {
    type Watch = FeedWatch;

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        self.store.get(key).await
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, ReadError> {
        self.store.scan(prefix, after, limit).await
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        let mut journal = self.journal.lock().unwrap();
        let outcome = block_on(self.store.commit(batch.clone()))?;
        if matches!(outcome, Commit::Committed(_)) && !batch.is_read_only() {
            journal.push(batch);
        }
        Ok(outcome)
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<FeedWatch, ReadError> {
        let is_gap = self.reopening == Reopening::SilentAboutPast && after < self.opened_at;
        self.store.watch(prefix, if is_gap { self.opened_at } else { after }).await
    }
}
