//! The store inside redb: two tables, read in read transactions, written in one write transaction per group.
//!
//! | Table | Key | Value |
//! |---|---|---|
//! | `entries` | the key | the revision of the commit that wrote it, 8 bytes big-endian, then the value |
//! | `meta` | `sentinel` | the [`Sentinel`] |

use std::ops::Bound;
use std::sync::{Mutex, OnceLock, PoisonError};

use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend, Table,
    TableDefinition, WriteTransaction,
};
use state_store::feed::{ChangeFeed, FeedWatch};
use state_store::{
    Batch, Change, Commit, CommitError, Entry, Expect, Key, MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, Page, Prefix,
    Revision, Value, Write,
};

use crate::error::{Failure, OpenError};
use crate::sentinel::{NoSentinel, Sentinel, VERSION};

pub(crate) type Outcome = Result<Commit, CommitError>;

#[derive(Debug)]
pub(crate) struct Engine {
    database: Database,
    feed: ChangeFeed,
    // Held from before a transaction begins until the feed has heard of it: commits are told in their order, and
    // a watch begins after none that readers see and the feed does not know.
    writer: Mutex<()>,
    // Set by a commit whose outcome is unknown, with its error: only opening the store again tells what is in it.
    stopped: OnceLock<Box<str>>,
}

impl Engine {
    /// Makes an empty store in an empty backend.
    pub(crate) fn create(
        backend: impl StorageBackend,
        sentinel: Sentinel,
        options: &Builder,
    ) -> Result<Self, OpenError> {
        let database = options.create_with_backend(backend)?;
        let transaction = begin(&database)?;
        {
            transaction.open_table(ENTRIES).map_err(Failure::from)?;
            let mut meta = transaction.open_table(META).map_err(Failure::from)?;
            meta.insert(SENTINEL, sentinel.to_bytes().as_slice()).map_err(Failure::from)?;
        }
        transaction.commit().map_err(Failure::from)?;
        Ok(Self::of(database, sentinel))
    }

    /// Opens a store that was made before.
    pub(crate) fn open(
        backend: impl StorageBackend,
        options: &Builder,
    ) -> Result<(Self, Sentinel), OpenError> {
        let database = options.create_with_backend(backend)?;
        let sentinel = read_sentinel(&database)?;
        Ok((Self::of(database, sentinel), sentinel))
    }

    fn of(database: Database, sentinel: Sentinel) -> Self {
        let feed = ChangeFeed::new(sentinel.revision);
        Self { database, feed, writer: Mutex::new(()), stopped: OnceLock::new() }
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Option<Entry>, Failure> {
        self.check_running()?;
        let transaction = self.database.begin_read()?;
        let found = transaction.open_table(ENTRIES)?.get(key.as_bytes())?;
        found.map(|stored| entry(key.clone(), stored.value())).transpose()
    }

    pub(crate) fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, Failure> {
        self.check_running()?;
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
            if entry.revision > sentinel.revision {
                return Err(Failure::damaged("an entry of a revision that is still to come"));
            }
            bytes = bytes.saturating_add(entry.value.as_bytes().len());
            page.entries.push(entry);
        }
        Ok(page)
    }

    pub(crate) fn watch(&self, prefix: &Prefix, after: Revision) -> Result<FeedWatch, Failure> {
        let _writing = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_running()?;
        Ok(self.feed.watch(prefix, after))
    }

    /// Commits these batches one after another, each by itself, and makes them durable together.
    pub(crate) fn commit(&self, batches: Vec<Batch>) -> Vec<Outcome> {
        let _writing = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let count = batches.len();
        self.commit_all(batches).unwrap_or_else(|failure| vec![Err(failure.before_commit()); count])
    }

    /// The failure of one is the failure of all; nothing was written then.
    fn commit_all(&self, batches: Vec<Batch>) -> Result<Vec<Outcome>, Failure> {
        self.check_running()?;
        let transaction = begin(&self.database)?;
        let mut group = Writing::begin(&transaction)?;
        let outcomes: Vec<Outcome> =
            batches.into_iter().map(|batch| group.apply(batch)).collect::<Result<_, _>>()?;
        let commits = group.finish()?;
        if commits.is_empty() {
            // Dropping the transaction writes nothing.
            return Ok(outcomes);
        }
        match transaction.commit() {
            Ok(()) => {}
            Err(redb::CommitError::TransactionPoisoned) => {
                return Err(Failure::other("the engine gave the transaction up"));
            }
            Err(error) => return Ok(self.stop(error.into(), outcomes)),
        }
        for (revision, changes) in commits {
            self.feed.publish(revision, changes);
        }
        Ok(outcomes)
    }

    /// After a failure in the commit itself: what the outcomes would have been is not what they are.
    fn stop(&self, failure: Failure, outcomes: Vec<Outcome>) -> Vec<Outcome> {
        let detail = self.stopped.get_or_init(|| failure.into_detail());
        self.feed.fail(unavailable(detail).into());
        let unknown = |outcome| match outcome {
            Ok(Commit::Committed(_)) => Err(CommitError::OutcomeUnknown { detail: detail.clone() }),
            // Decided on what the others of the group were about to write.
            Ok(Commit::Conflict(_)) => Err(unavailable(detail).before_commit()),
            Err(error) => Err(error),
        };
        outcomes.into_iter().map(unknown).collect()
    }

    fn check_running(&self) -> Result<(), Failure> {
        if self.writer.is_poisoned() {
            // What it had done by then, and whether the feed has heard of it, nobody knows.
            let failure = unavailable("it panicked");
            self.feed.fail(unavailable("it panicked").into());
            return Err(failure);
        }
        self.stopped.get().map_or(Ok(()), |detail| Err(unavailable(detail)))
    }
}

fn unavailable(detail: &str) -> Failure {
    Failure::Other(format!("a commit failed, open the store again: {detail}").into())
}

/// A write transaction in the middle of a group.
struct Writing<'a> {
    entries: Table<'a, &'static [u8], &'static [u8]>,
    meta: Table<'a, &'static str, &'static [u8]>,
    sentinel: Sentinel,
    commits: Vec<(Revision, Vec<Change>)>,
}

impl<'a> Writing<'a> {
    fn begin(transaction: &'a WriteTransaction) -> Result<Self, Failure> {
        let entries = transaction.open_table(ENTRIES)?;
        let meta = transaction.open_table(META)?;
        let sentinel = sentinel_in(&meta)?;
        Ok(Self { entries, meta, sentinel, commits: Vec::new() })
    }

    /// Decides one batch and makes its writes.
    fn apply(&mut self, batch: Batch) -> Result<Outcome, Failure> {
        match self.conflict(&batch) {
            Ok(None) => {}
            Ok(Some(key)) => return Ok(Ok(Commit::Conflict(key))),
            // Nothing of this batch was written yet: the others go on.
            Err(failure) => return Ok(Err(failure.before_commit())),
        }
        if batch.is_read_only() {
            return Ok(Ok(Commit::Committed(self.sentinel.revision)));
        }
        let next = self.sentinel.revision.next();
        let revision = next.ok_or_else(|| Failure::other("the revisions are used up"))?;
        let mut changes = Vec::new();
        for (key, write) in batch.into_writes() {
            let changed = match &write {
                Write::Put(value) => {
                    let mut stored = revision.get().to_be_bytes().to_vec();
                    stored.extend_from_slice(value.as_bytes());
                    self.entries.insert(key.as_bytes(), stored.as_slice())?;
                    true
                }
                Write::Delete => self.entries.remove(key.as_bytes())?.is_some(),
            };
            if changed {
                changes.push(Change { key, write });
            }
        }
        self.sentinel.revision = revision;
        self.commits.push((revision, changes));
        Ok(Ok(Commit::Committed(revision)))
    }

    /// The first key that is not as the batch expects.
    fn conflict(&self, batch: &Batch) -> Result<Option<Key>, Failure> {
        for (key, expect) in batch.expectations() {
            let held = self.entries.get(key.as_bytes())?;
            let held = held.map(|stored| split(stored.value()).map(|(revision, _)| revision)).transpose()?;
            let holds = match (expect, held) {
                (Expect::Absent, None) => true,
                (Expect::Revision(expected), Some(revision)) => expected == revision,
                (Expect::Absent, Some(_)) | (Expect::Revision(_), None) => false,
            };
            if !holds {
                return Ok(Some(key.clone()));
            }
        }
        Ok(None)
    }

    /// Writes the sentinel, and tells what the group did.
    fn finish(mut self) -> Result<Vec<(Revision, Vec<Change>)>, Failure> {
        if !self.commits.is_empty() {
            self.sentinel.entries = self.entries.len()?;
            self.meta.insert(SENTINEL, self.sentinel.to_bytes().as_slice())?;
        }
        Ok(self.commits)
    }
}

/// How much a batch counts for in a group.
pub(crate) fn weigh(batch: &Batch) -> usize {
    batch.writes().fold(0, |sum, (key, write)| {
        let value = match write {
            Write::Put(value) => value.as_bytes().len(),
            Write::Delete => 0,
        };
        sum.saturating_add(key.as_bytes().len()).saturating_add(value)
    })
}

fn begin(database: &Database) -> Result<WriteTransaction, Failure> {
    let mut transaction = database.begin_write()?;
    // The engine's checksums do not withstand somebody who chooses values and the moment of a crash; two
    // phases do. Quick repair opens a large store in milliseconds after a crash.
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// The sentinel of a database that may be no store at all.
fn read_sentinel(database: &Database) -> Result<Sentinel, OpenError> {
    let not_a_store = |detail: &str| OpenError::NotAStore { detail: detail.into() };
    let transaction = database.begin_read().map_err(Failure::from)?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(redb::TableError::Storage(error)) => return Err(Failure::from(error).into()),
        Err(error) => return Err(not_a_store(&error.to_string())),
    };
    let stored = meta.get(SENTINEL).map_err(Failure::from)?.ok_or_else(|| not_a_store("no sentinel"))?;
    let sentinel = Sentinel::from_bytes(stored.value()).map_err(|error| match error {
        NoSentinel::Malformed => not_a_store("the sentinel is malformed"),
        NoSentinel::Version(found) => OpenError::Version { found, known: VERSION },
    })?;
    let entries = transaction.open_table(ENTRIES).map_err(Failure::from)?;
    let found = entries.len().map_err(Failure::from)?;
    if found != sentinel.entries {
        let detail = format!("{found} entries where the sentinel says {}", sentinel.entries);
        return Err(OpenError::Damaged { detail: detail.into() });
    }
    Ok(sentinel)
}

fn sentinel_in(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<Sentinel, Failure> {
    let stored = meta.get(SENTINEL)?.ok_or_else(|| Failure::damaged("the sentinel is gone"))?;
    Sentinel::from_bytes(stored.value()).map_err(|_| Failure::damaged("the sentinel is malformed"))
}

fn entry(key: Key, stored: &[u8]) -> Result<Entry, Failure> {
    let (revision, value) = split(stored)?;
    let value = Value::new(value).map_err(|_| Failure::damaged("a value outside its limits"))?;
    Ok(Entry { key, value, revision })
}

/// What is stored under a key: the revision, then the value.
fn split(stored: &[u8]) -> Result<(Revision, &[u8]), Failure> {
    let (revision, value) =
        stored.split_first_chunk::<8>().ok_or_else(|| Failure::damaged("an entry without a revision"))?;
    match Revision::new(u64::from_be_bytes(*revision)) {
        Revision::ZERO => Err(Failure::damaged("an entry of no commit")),
        revision => Ok((revision, value)),
    }
}

const ENTRIES: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("entries");
const META: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("meta");
const SENTINEL: &str = "sentinel";

#[cfg(test)]
mod tests;
