use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use core_types::SecureRandom;
use redb::Database;
use redb::backends::FileBackend;
use state_store::feed::FeedWatch;
use state_store::{
    Batch, Commit, CommitError, Entry, Key, Page, Prefix, ReadError, Revision, StateStore, StoreId,
};

use crate::engine::{self, Engine, Outcome};
use crate::error::OpenError;
use crate::file::{self, Draft};
use crate::group::Group;
use crate::sentinel::Sentinel;

/// What the embedder knows of the store it opens.
///
/// A store that comes back empty, or as it was last week, has no revocations of since. The embedder is the one
/// who can tell: it writes down the [`store_id`](RedbStore::store_id) when it makes the store, and now and then
/// a revision the store has reached (a page's, a commit's), somewhere that is not restored together with the
/// store.
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

/// How to open a store, where the defaults do not fit.
#[derive(Debug, Clone)]
pub struct Options {
    cache_bytes: usize,
    checks_integrity: bool,
}

impl Options {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self { cache_bytes: DEFAULT_CACHE_BYTES, checks_integrity: true }
    }

    /// How much memory pages of the file may take, in bytes; [`DEFAULT_CACHE_BYTES`] unless set.
    #[must_use]
    pub const fn with_cache_bytes(self, cache_bytes: usize) -> Self {
        Self { cache_bytes, ..self }
    }

    /// Opens in a few milliseconds whatever the store's size, because the checksums of its pages are not looked
    /// at. A file that was changed by anything but this program may then make it panic, or answer wrongly.
    #[must_use]
    pub const fn dangerous_without_integrity_check(self) -> Self {
        Self { checks_integrity: false, ..self }
    }

    fn builder(&self) -> redb::Builder {
        let mut builder = Database::builder();
        builder.set_cache_size(self.cache_bytes).set_check_integrity_on_open(self.checks_integrity);
        builder
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// A store in one file; a clone is another handle on the same store, which closes with the last.
///
/// The futures it returns are done when they are made: reading takes microseconds, committing waits for the
/// disk, beginning a watch for the commit that is under way. In an async server commit on a thread that may
/// block. Commits of several threads are made durable together, so that many cost about as much as one.
///
/// After a commit with [`CommitError::OutcomeUnknown`] every call fails, until the last handle is dropped and
/// the store opened again: only that tells what is on the disk.
#[derive(Debug, Clone)]
pub struct RedbStore {
    shared: Arc<Shared>,
}

impl RedbStore {
    /// Opens or makes the store in the file at `path`.
    ///
    /// # Errors
    /// [`OpenError`]. Nothing is made then, and no entry of what is there is changed.
    pub fn open(
        path: impl AsRef<Path>,
        expected: Expected,
        rng: &dyn SecureRandom,
    ) -> Result<Self, OpenError> {
        Self::open_with(path, expected, &Options::new(), rng)
    }

    /// As [`open`](Self::open), otherwise than by default.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(
        path: impl AsRef<Path>,
        expected: Expected,
        options: &Options,
        rng: &dyn SecureRandom,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref();
        match (file::open(path)?, expected) {
            (None, Expected::Existing { .. }) => Err(OpenError::Missing),
            (None, Expected::New | Expected::Either) => Self::make(path, options, rng),
            (Some(_), Expected::New) => Err(OpenError::Exists),
            (Some(file), Expected::Either) => Self::open_existing(file, None, Revision::ZERO, options),
            (Some(file), Expected::Existing { store, at_least }) => {
                Self::open_existing(file, store, at_least, options)
            }
        }
    }

    /// Which store this is.
    #[must_use]
    pub fn store_id(&self) -> StoreId {
        self.shared.store
    }

    fn make(path: &Path, options: &Options, rng: &dyn SecureRandom) -> Result<Self, OpenError> {
        let sentinel = Sentinel::new(StoreId::generate(rng)?);
        let (draft, file) = Draft::new(path, rng)?;
        let engine = Engine::create(FileBackend::new(file)?, sentinel, &options.builder())?;
        draft.publish(path)?;
        Ok(Self::of(engine, sentinel))
    }

    fn open_existing(
        file: File,
        store: Option<StoreId>,
        at_least: Revision,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let (engine, sentinel) = Engine::open(FileBackend::new(file)?, &options.builder())?;
        if let Some(expected) = store
            && expected != sentinel.store
        {
            return Err(OpenError::OtherStore { expected, found: sentinel.store });
        }
        if sentinel.revision < at_least {
            return Err(OpenError::WentBack { expected: at_least, found: sentinel.revision });
        }
        Ok(Self::of(engine, sentinel))
    }

    fn of(engine: Engine, sentinel: Sentinel) -> Self {
        let group = Group::new(engine::weigh, lost);
        Self { shared: Arc::new(Shared { store: sentinel.store, engine, group }) }
    }
}

impl StateStore for RedbStore {
    type Watch = FeedWatch;

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        Ok(self.shared.engine.get(key)?)
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, ReadError> {
        Ok(self.shared.engine.scan(prefix, after, limit)?)
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        self.shared.group.submit(batch, |batches| self.shared.engine.commit(batches))
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<FeedWatch, ReadError> {
        Ok(self.shared.engine.watch(prefix, after)?)
    }
}

#[derive(Debug)]
struct Shared {
    store: StoreId,
    engine: Engine,
    group: Group<Batch, Outcome>,
}

/// What they hear whose batch was in the hands of a thread that panicked.
fn lost() -> Outcome {
    Err(CommitError::OutcomeUnknown { detail: "the thread that made the commit panicked".into() })
}

/// How much memory pages of the file take at most, unless [`Options`] say otherwise.
pub const DEFAULT_CACHE_BYTES: usize = 64 << 20;
