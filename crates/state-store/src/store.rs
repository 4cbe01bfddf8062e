use core::fmt;
use core::future::Future;

use crate::batch::{Batch, Write};
use crate::error::{CommitError, ReadError};
use crate::key::{Key, Prefix, Value};

/// The most entries a page of a scan holds, whatever limit was asked for.
pub const MAX_PAGE_ENTRIES: usize = 1000;

/// A page of a scan ends after the entry with which its values reach this many bytes.
pub const MAX_PAGE_BYTES: usize = 4 << 20;

/// A position in the one order of a store's commits.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Revision {
    number: u64,
}

impl Revision {
    /// Before the first commit.
    pub const ZERO: Self = Self { number: 0 };

    /// The revision of this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self { number }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.number
    }

    /// The next number; `None` at the end of the numbers.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.number.checked_add(1) {
            Some(number) => Some(Self { number }),
            None => None,
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends build it")]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// What it holds.
    pub value: Value,
    /// The commit that wrote it.
    pub revision: Revision,
}

/// A part of a scan, all of one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends build it")]
pub struct Page {
    /// Entries in key order: as many as there are and the bounds of a page allow.
    pub entries: Vec<Entry>,
    /// The store's last commit at that instant: the page shows everything up to it and nothing after it.
    pub revision: Revision,
    /// Whether there are entries after the last one here; in a page of limit 0, whether there are any.
    pub more: bool,
}

/// The outcome of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a third outcome must break the caller")]
pub enum Commit {
    /// Everything was written, durably, at this revision. For a batch without writes: everything it expects
    /// held at this revision, the store's last.
    Committed(Revision),
    /// Nothing was written: this key is not as the batch expects (the first such in key order).
    Conflict(Key),
}

/// One key's part in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends build it")]
pub struct Change {
    /// The key.
    pub key: Key,
    /// What was done to it.
    pub write: Write,
}

/// What a watcher is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a watcher that skipped an event it does not know would miss changes"
)]
pub enum WatchEvent {
    /// A commit's changes under the prefix, in key order, at least one.
    Changes {
        /// The commit.
        revision: Revision,
        /// What it did.
        changes: Vec<Change>,
    },
    /// There is no change under the prefix after the last one told, up to and including this revision, which
    /// the store has reached.
    Progress(Revision),
    /// Changes may have been missed, and nothing more will be told: scan, and watch anew.
    Lagged,
}

/// The storage port: ordered keys, versioned values, atomic commits, watches.
///
/// # Contract, and what a wrong answer breaks
/// The conformance suite (feature `testing`) checks all of this.
///
/// - A commit is atomic, and durable when it returns. *A revocation that is forgotten after a crash lets a
///   dead credential live.*
/// - Preconditions are decided in the same atomic step as the writes, on what was there before them. *Else two
///   callers both think they created the one thing.*
/// - Revisions strictly increase in commit order; a reader that has seen revision N sees everything up to N
///   and never sees a commit at or below N appear later. *Else a replica believes it is current and is not.*
///   A conflict, or a batch without writes, uses up no revision; a batch that only deletes absent keys may.
///   A page's revision is exactly that of the last commit it shows. *Else a compare-and-swap, or a cache keyed
///   by revision, takes one state for another.*
/// - A watch tells every change of its prefix after the given revision exactly once and in order, or
///   [`WatchEvent::Lagged`]; never a gap in silence. A revision that the store's history does not go back to,
///   or that it has not reached (it was restored from an older copy), is [`WatchEvent::Lagged`] at once.
///   *A replica that misses a change answers wrongly for ever.*
/// - After any commit to the store, under the prefix or not, a watch comes to say [`WatchEvent::Changes`] or
///   [`WatchEvent::Progress`] at or past that revision, and a read that begins after it said so sees it too.
/// - An error means that nothing is known, never that there is nothing.
pub trait StateStore: Clone + Send + Sync + 'static {
    /// A running watch.
    type Watch: Watch;

    /// What `key` holds; `None` when nothing. Sees every commit that returned before the call.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot say.
    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Entry>, ReadError>> + Send;

    /// The entries whose keys begin with `prefix` and are greater than `after`, in key order: at most
    /// `limit`, at most [`MAX_PAGE_ENTRIES`], and as [`MAX_PAGE_BYTES`] says. A limit of 0 asks for the
    /// revision alone. Sees every commit that returned before the call; pages of one scan may show different
    /// instants.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot say.
    fn scan(
        &self,
        prefix: &Prefix,
        after: Option<&Key>,
        limit: usize,
    ) -> impl Future<Output = Result<Page, ReadError>> + Send;

    /// Writes the batch if everything it expects holds.
    ///
    /// Dropping the future before it is done leaves the outcome unknown, like
    /// [`CommitError::OutcomeUnknown`].
    ///
    /// # Errors
    /// [`CommitError`] when nothing was written for another reason than a conflict, or it is not known.
    fn commit(&self, batch: Batch) -> impl Future<Output = Result<Commit, CommitError>> + Send;

    /// Watches the keys that begin with `prefix`, from the first commit after `after` on.
    ///
    /// # Errors
    /// [`ReadError`] when no watch can be had. A revision that is too old, or still to come, is no error: the
    /// first event is [`WatchEvent::Lagged`] then.
    fn watch(
        &self,
        prefix: &Prefix,
        after: Revision,
    ) -> impl Future<Output = Result<Self::Watch, ReadError>> + Send;
}

/// The events of one watch.
pub trait Watch: Send + 'static {
    /// The next event; waits for one. Dropping the future before it is done loses no event.
    ///
    /// # Errors
    /// [`ReadError`] when the watch is broken: watch anew from the last revision told.
    fn next(&mut self) -> impl Future<Output = Result<WatchEvent, ReadError>> + Send;
}
