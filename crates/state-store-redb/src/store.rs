use std::fs::File;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use core_types::SecureRandom;
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use state_store::feed::{ChangeFeed, FeedWatch};
use state_store::{
    Batch, Change, Commit, CommitError, Entry, Expect, Key, MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, Page, Prefix,
    ReadError, Revision, StateStore, Value, Write,
};

use crate::error::{Failure, OpenError};
use crate::file::{self, Draft};
use crate::sentinel::{Sentinel, StoreId, VERSION};

/// What the embedder knows of the store it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an expectation that went unchecked would be none")]
pub enum Expected {
    /// There is none: make one.
    New,
    /// There is one, made and perhaps used before.
    Existing {
        /// Which, where that is known.
        store: Option<StoreId>,
        /// It has reached this revision at least ([`Revision::ZERO`] where nothing is known).
        at_least: Revision,
    },
    /// Make one where there is none. A store that was lost comes back empty: prefer the other two wherever
    /// something tells a first start from a later one.
    Either,
}

/// A store in one file; a clone is another handle on the same store.
///
/// The futures it returns are done when they are made: reading takes microseconds, committing waits for the
/// disk. In an async server commit on a thread that may block.
#[derive(Debug, Clone)]
pub struct RedbStore {
    shared: Arc<Shared>,
}

impl RedbStore {
    /// Opens or makes the store in the file at `path`.
    ///
    /// # Errors
    /// [`OpenError`]. Nothing is opened, made or changed then.
    pub fn open(
        path: impl AsRef<Path>,
        expected: Expected,
        rng: &dyn SecureRandom,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref();
        match (file::open(path)?, expected) {
            (None, Expected::Existing { .. }) => Err(OpenError::Missing),
            (None, Expected::New | Expected::Either) => Self::make(path, rng),
            (Some(_), Expected::New) => Err(OpenError::Exists),
            (Some(file), Expected::Either) => Self::open_existing(file, None, Revision::ZERO),
            (Some(file), Expected::Existing { store, at_least }) => {
                Self::open_existing(file, store, at_least)
            }
        }
    }

    /// Which store this is.
    #[must_use]
    pub fn store_id(&self) -> StoreId {
        self.shared.store
    }

    fn make(path: &Path, rng: &dyn SecureRandom) -> Result<Self, OpenError> {
        let store = StoreId::generate(rng)?;
        let (draft, file) = Draft::new(path, rng)?;
        let database = engine(file)?;
        let sentinel = Sentinel::of(store, Revision::ZERO);
        let transaction = begin(&database)?;
        {
            transaction.open_table(ENTRIES).map_err(Failure::from)?;
            let mut meta = transaction.open_table(META).map_err(Failure::from)?;
            meta.insert(SENTINEL, sentinel.to_bytes().as_slice()).map_err(Failure::from)?;
        }
        transaction.commit().map_err(Failure::from)?;
        draft.publish(path)?;
        Ok(Self::of(database, sentinel))
    }

    fn open_existing(file: File, store: Option<StoreId>, at_least: Revision) -> Result<Self, OpenError> {
        let database = engine(file)?;
        let sentinel = read_sentinel(&database)?;
        if sentinel.version != VERSION {
            return Err(OpenError::Version { found: sentinel.version, known: VERSION });
        }
        if let Some(expected) = store
            && expected != sentinel.store
        {
            return Err(OpenError::OtherStore { expected, found: sentinel.store });
        }
        if sentinel.revision < at_least {
            return Err(OpenError::WentBack { expected: at_least, found: sentinel.revision });
        }
        Ok(Self::of(database, sentinel))
    }

    fn of(database: Database, sentinel: Sentinel) -> Self {
        let shared = Shared {
            database,
            store: sentinel.store,
            writer: Mutex::new(Writer { stopped: false }),
            feed: ChangeFeed::new(sentinel.revision),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl StateStore for RedbStore {
    type Watch = FeedWatch;

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        Ok(self.shared.get(key)?)
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, ReadError> {
        Ok(self.shared.scan(prefix, after, limit)?)
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        self.shared.commit(batch)
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<FeedWatch, ReadError> {
        Ok(self.shared.feed.watch(prefix, after))
    }
}

#[derive(Debug)]
struct Shared {
    database: Database,
    store: StoreId,
    // Held from before a transaction begins until the feed has heard of it: commits are told in their order.
    writer: Mutex<Writer>,
    feed: ChangeFeed,
}

#[derive(Debug)]
struct Writer {
    // After a commit whose outcome is unknown only opening the store again tells what is in it.
    stopped: bool,
}

impl Shared {
    fn get(&self, key: &Key) -> Result<Option<Entry>, Failure> {
        let transaction = self.database.begin_read()?;
        let entries = transaction.open_table(ENTRIES)?;
        let found = entries.get(key.as_bytes())?;
        found.map(|stored| entry(key.clone(), stored.value())).transpose()
    }

    fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, Failure> {
        let transaction = self.database.begin_read()?;
        let entries = transaction.open_table(ENTRIES)?;
        let sentinel = sentinel_in(&transaction.open_table(META)?)?;
        let start = match after {
            Some(after) if after.as_bytes() >= prefix.as_bytes() => Bound::Excluded(after.as_bytes()),
            _ => Bound::Included(prefix.as_bytes()),
        };
        let limit = limit.min(MAX_PAGE_ENTRIES);
        let mut page = Page { entries: Vec::new(), revision: sentinel.revision, more: false };
        let mut bytes = 0_usize;
        for item in entries.range::<&[u8]>((start, Bound::Unbounded))? {
            let (key, stored) = item?;
            if !key.value().starts_with(prefix.as_bytes()) {
                break;
            }
            if page.entries.len() >= limit || bytes >= MAX_PAGE_BYTES {
                page.more = true;
                break;
            }
            let key = Key::new(key.value()).map_err(|_| Failure::damaged("a key outside its limits"))?;
            let entry = entry(key, stored.value())?;
            bytes = bytes.saturating_add(entry.value.as_bytes().len());
            page.entries.push(entry);
        }
        Ok(page)
    }

    fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.stopped {
            let detail = "an earlier commit failed: open the store again".into();
            return Err(CommitError::Unavailable { detail });
        }
        let transaction = begin(&self.database).map_err(Failure::before_commit)?;
        match write(&transaction, batch).map_err(Failure::before_commit)? {
            // Dropping the transaction writes nothing.
            Written::Nothing(commit) => Ok(commit),
            Written::Batch { revision, changes } => {
                if let Err(error) = transaction.commit() {
                    writer.stopped = true;
                    return Err(Failure::from(error).in_commit());
                }
                self.feed.publish(revision, changes);
                Ok(Commit::Committed(revision))
            }
        }
    }
}

enum Written {
    Nothing(Commit),
    Batch { revision: Revision, changes: Vec<Change> },
}

/// Decides the batch's preconditions and makes its writes, all in the one transaction.
fn write(transaction: &WriteTransaction, batch: Batch) -> Result<Written, Failure> {
    let mut entries = transaction.open_table(ENTRIES)?;
    let mut meta = transaction.open_table(META)?;
    for (key, expect) in batch.expectations() {
        let held =
            entries.get(key.as_bytes())?.map(|stored| split(stored.value()).map(|(revision, _)| revision));
        let holds = match (expect, held.transpose()?) {
            (Expect::Absent, None) => true,
            (Expect::Revision(expected), Some(revision)) => expected == revision,
            (Expect::Absent, Some(_)) | (Expect::Revision(_), None) => false,
        };
        if !holds {
            return Ok(Written::Nothing(Commit::Conflict(key.clone())));
        }
    }
    let sentinel = sentinel_in(&meta)?;
    if batch.is_read_only() {
        return Ok(Written::Nothing(Commit::Committed(sentinel.revision)));
    }
    let revision =
        sentinel.revision.next().ok_or_else(|| Failure::Other("the revisions are used up".into()))?;
    let mut changes = Vec::new();
    for (key, write) in batch.into_writes() {
        let changed = match &write {
            Write::Put(value) => {
                let mut stored = revision.get().to_be_bytes().to_vec();
                stored.extend_from_slice(value.as_bytes());
                entries.insert(key.as_bytes(), stored.as_slice())?;
                true
            }
            Write::Delete => entries.remove(key.as_bytes())?.is_some(),
        };
        if changed {
            changes.push(Change { key, write });
        }
    }
    meta.insert(SENTINEL, Sentinel { revision, ..sentinel }.to_bytes().as_slice())?;
    Ok(Written::Batch { revision, changes })
}

fn engine(file: File) -> Result<Database, OpenError> {
    let backend = FileBackend::new(file)?;
    Ok(Database::builder().create_with_backend(backend)?)
}

fn begin(database: &Database) -> Result<WriteTransaction, Failure> {
    let mut transaction = database.begin_write()?;
    // The engine's checksums do not withstand somebody who chooses values and the moment of a crash; two
    // phases do. Quick repair opens a large store in milliseconds after a crash.
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn read_sentinel(database: &Database) -> Result<Sentinel, OpenError> {
    let not_a_store = |what: &str| OpenError::NotAStore { detail: what.into() };
    let transaction = database.begin_read().map_err(Failure::from)?;
    transaction.open_table(ENTRIES).map_err(|error| not_a_store(&error.to_string()))?;
    let meta = transaction.open_table(META).map_err(|error| not_a_store(&error.to_string()))?;
    let stored = meta.get(SENTINEL).map_err(Failure::from)?.ok_or_else(|| not_a_store("no sentinel"))?;
    Sentinel::from_bytes(stored.value()).ok_or_else(|| not_a_store("the sentinel is malformed"))
}

fn sentinel_in(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<Sentinel, Failure> {
    let stored = meta.get(SENTINEL)?.ok_or_else(|| Failure::damaged("the sentinel is gone"))?;
    Sentinel::from_bytes(stored.value()).ok_or_else(|| Failure::damaged("the sentinel is malformed"))
}

fn entry(key: Key, stored: &[u8]) -> Result<Entry, Failure> {
    let (revision, value) = split(stored)?;
    let value = Value::new(value).map_err(|_| Failure::damaged("a value outside its limits"))?;
    Ok(Entry { key, value, revision })
}

/// What is stored under a key: the revision, big-endian, then the value.
fn split(stored: &[u8]) -> Result<(Revision, &[u8]), Failure> {
    let (revision, value) =
        stored.split_first_chunk::<8>().ok_or_else(|| Failure::damaged("an entry without a revision"))?;
    Ok((Revision::new(u64::from_be_bytes(*revision)), value))
}

const ENTRIES: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("entries");
const META: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("meta");
const SENTINEL: &str = "sentinel";
