use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use crate::batch::{Batch, Expect, Write};
use crate::error::{CommitError, ReadError};
use crate::feed::{ChangeFeed, FeedWatch};
use crate::key::{Key, Prefix, Value};
use crate::store::{Change, Commit, Entry, MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, Page, Revision, StateStore};

/// A store in this process's memory, for tests and for state that need not outlive the process.
///
/// A clone is another handle on the same store. «Durable» means here: as long as a handle lives.
///
/// ```
/// use state_store::{Batch, Commit, Key, MemoryStore, StateStore, Value};
/// # pollster::block_on(async {
/// let store = MemoryStore::new();
/// let key = Key::new("names/ada")?;
/// let mut batch = Batch::new();
/// batch.create(key.clone(), Value::new("1815")?)?;
/// assert!(matches!(store.commit(batch.clone()).await?, Commit::Committed(_)));
/// assert_eq!(store.commit(batch).await?, Commit::Conflict(key));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared { state: RwLock::default(), feed: ChangeFeed::new(Revision::ZERO) };
        Self { shared: Arc::new(shared) }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl StateStore for MemoryStore {
    type Watch = FeedWatch;

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        Ok(state.entries.get(key).map(|held| held.to_entry(key)))
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, ReadError> {
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        let limit = limit.min(MAX_PAGE_ENTRIES);
        let start = match after {
            Some(after) if after.as_bytes() >= prefix.as_bytes() => Bound::Excluded(after.as_bytes()),
            _ => Bound::Included(prefix.as_bytes()),
        };
        let mut page = Page { entries: Vec::new(), revision: state.revision, more: false };
        let mut bytes = 0_usize;
        let range = state.entries.range::<[u8], _>((start, Bound::Unbounded));
        for (key, held) in range.take_while(|(key, _)| prefix.matches(key)) {
            if page.entries.len() >= limit || bytes >= MAX_PAGE_BYTES {
                page.more = true;
                break;
            }
            bytes = bytes.saturating_add(held.value.as_bytes().len());
            page.entries.push(held.to_entry(key));
        }
        Ok(page)
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        let conflict = batch.expectations().find(|&(key, expect)| !expect.holds(state.entries.get(key)));
        if let Some((key, _)) = conflict {
            return Ok(Commit::Conflict(key.clone()));
        }
        if batch.is_read_only() {
            return Ok(Commit::Committed(state.revision));
        }
        let Some(revision) = state.revision.next() else {
            return Err(CommitError::Unavailable { detail: "the revisions are used up".into() });
        };
        state.revision = revision;
        let mut changes = Vec::new();
        for (key, write) in batch.into_writes() {
            let changed = match &write {
                Write::Put(value) => {
                    state.entries.insert(key.clone(), Held { value: value.clone(), revision });
                    true
                }
                Write::Delete => state.entries.remove(&key).is_some(),
            };
            if changed {
                changes.push(Change { key, write });
            }
        }
        // Still under the lock: the feed hears of commits in their order.
        self.shared.feed.publish(revision, changes);
        Ok(Commit::Committed(revision))
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<FeedWatch, ReadError> {
        Ok(self.shared.feed.watch(prefix, after))
    }
}

#[derive(Debug)]
struct Shared {
    state: RwLock<State>,
    feed: ChangeFeed,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Key, Held>,
    revision: Revision,
}

#[derive(Debug)]
struct Held {
    value: Value,
    revision: Revision,
}

impl Held {
    fn to_entry(&self, key: &Key) -> Entry {
        Entry { key: key.clone(), value: self.value.clone(), revision: self.revision }
    }
}

impl Expect {
    fn holds(self, held: Option<&Held>) -> bool {
        match (self, held) {
            (Self::Absent, None) => true,
            (Self::Revision(revision), Some(held)) => held.revision == revision,
            (Self::Absent, Some(_)) | (Self::Revision(_), None) => false,
        }
    }
}
