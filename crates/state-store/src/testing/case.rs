//! What the cases of the suite are made of: a store of their own, and short words for what they do with it.

use core::fmt;
use core::future::Future;
use core::time::Duration;

use super::exec;
use crate::batch::{Batch, Expect, Write};
use crate::error::{BatchError, CommitError, LimitError, ReadError};
use crate::key::{Key, Prefix, Value};
use crate::store::{Commit, Entry, Page, Revision, StateStore};

/// One thing that every backend must do.
pub(super) struct Case<S: StateStore> {
    pub(super) name: &'static str,
    pub(super) run: fn(&mut Site<'_, S>) -> Outcome,
}

/// The cases of these names.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        vec![$($crate::testing::case::Case { name: stringify!($name), run: $name }),*]
    };
}
pub(super) use cases;

/// A store that is one case's own.
pub(super) struct Site<'a, S> {
    // `None` only while it is reopened.
    store: Option<S>,
    open: &'a mut dyn FnMut() -> S,
    pub(super) is_durable: bool,
    pub(super) patience: Duration,
}

impl<'a, S: StateStore> Site<'a, S> {
    pub(super) fn new(open: &'a mut dyn FnMut() -> S, is_durable: bool, patience: Duration) -> Self {
        let store = Some(open());
        Self { store, open, is_durable, patience }
    }

    /// Another handle on the store.
    pub(super) fn store(&mut self) -> S {
        self.store.get_or_insert_with(&mut self.open).clone()
    }

    /// Drops the last handle and opens the store again. The case has dropped all others.
    pub(super) fn reopen(&mut self) {
        self.store = None;
        self.store = Some((self.open)());
    }

    /// Awaits what `work` does with a handle that is gone afterwards.
    pub(super) fn block_on_store<T, F: Future<Output = Result<T, Broken>>>(
        &mut self,
        work: impl FnOnce(S) -> F,
    ) -> Result<T, Broken> {
        let store = self.store();
        self.block_on(work(store))
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = Result<T, Broken>>) -> Result<T, Broken> {
        exec::block_on(self.patience, future)
    }
}

pub(super) type Outcome = Result<(), Broken>;

/// What a backend did instead of what it must do.
#[derive(Debug)]
pub(super) struct Broken {
    what: String,
}

impl Broken {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl From<ReadError> for Broken {
    fn from(error: ReadError) -> Self {
        Self::new(format!("a read failed: {error}"))
    }
}

impl From<CommitError> for Broken {
    fn from(error: CommitError) -> Self {
        Self::new(format!("a commit failed: {error}"))
    }
}

impl From<BatchError> for Broken {
    fn from(error: BatchError) -> Self {
        Self::new(format!("a batch was refused: {error}"))
    }
}

impl From<LimitError> for Broken {
    fn from(error: LimitError) -> Self {
        Self::new(format!("a key or a value was refused: {error}"))
    }
}

/// [`Broken`] unless `holds`.
pub(super) fn check(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Broken::new(what())) }
}

/// [`Broken`] unless both are equal.
pub(super) fn same<T: PartialEq + fmt::Debug>(what: &str, found: &T, expected: &T) -> Outcome {
    check(found == expected, || format!("{what}: found {found:?}, expected {expected:?}"))
}

pub(super) fn key(bytes: impl AsRef<[u8]>) -> Result<Key, Broken> {
    Ok(Key::new(bytes)?)
}

pub(super) fn value(bytes: impl AsRef<[u8]>) -> Result<Value, Broken> {
    Ok(Value::new(bytes)?)
}

pub(super) fn prefix(bytes: impl AsRef<[u8]>) -> Result<Prefix, Broken> {
    Ok(Prefix::new(bytes)?)
}

/// A batch that writes these values, whatever was there.
pub(super) fn puts<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> Result<Batch, Broken> {
    let mut batch = Batch::new();
    for (name, bytes) in pairs {
        batch.write(key(name)?, Write::Put(value(bytes)?))?;
    }
    Ok(batch)
}

/// A batch that deletes these keys, whatever was there.
pub(super) fn deletes<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Result<Batch, Broken> {
    let mut batch = Batch::new();
    for name in keys {
        batch.write(key(name)?, Write::Delete)?;
    }
    Ok(batch)
}

/// `batch` with this precondition too.
pub(super) fn given(mut batch: Batch, name: impl AsRef<[u8]>, expect: Expect) -> Result<Batch, Broken> {
    batch.require(key(name)?, expect)?;
    Ok(batch)
}

/// Commits what must not conflict.
pub(super) async fn committed<S: StateStore>(store: &S, batch: Batch) -> Result<Revision, Broken> {
    match store.commit(batch).await? {
        Commit::Committed(revision) => Ok(revision),
        Commit::Conflict(key) => Err(Broken::new(format!("a conflict on {key:?} where all held"))),
    }
}

/// Commits what must conflict, and returns the key.
pub(super) async fn conflict<S: StateStore>(store: &S, batch: Batch) -> Result<Key, Broken> {
    match store.commit(batch).await? {
        Commit::Conflict(key) => Ok(key),
        Commit::Committed(_) => Err(Broken::new("a commit although a precondition did not hold")),
    }
}

/// Commits one value, whatever was there.
pub(super) async fn put<S: StateStore>(
    store: &S,
    name: impl AsRef<[u8]>,
    bytes: impl AsRef<[u8]>,
) -> Result<Revision, Broken> {
    committed(store, puts([(name, bytes)])?).await
}

/// What the key holds.
pub(super) async fn get<S: StateStore>(store: &S, name: impl AsRef<[u8]>) -> Result<Option<Entry>, Broken> {
    Ok(store.get(&key(name)?).await?)
}

/// What the key must hold.
pub(super) async fn holds<S: StateStore>(
    store: &S,
    name: impl AsRef<[u8]>,
    bytes: impl AsRef<[u8]>,
    revision: Revision,
) -> Outcome {
    let expected = Entry { key: key(name)?, value: value(bytes)?, revision };
    let found = store.get(&expected.key).await?;
    same("what a key holds", &found, &Some(expected))
}

/// The store's last revision.
pub(super) async fn head<S: StateStore>(store: &S) -> Result<Revision, Broken> {
    Ok(store.scan(&Prefix::all(), None, 0).await?.revision)
}

/// One page.
pub(super) async fn page<S: StateStore>(
    store: &S,
    prefix: &Prefix,
    after: Option<&Key>,
    limit: usize,
) -> Result<Page, Broken> {
    Ok(store.scan(prefix, after, limit).await?)
}

/// Everything under the prefix, in pages of `limit`.
pub(super) async fn all<S: StateStore>(
    store: &S,
    prefix: &Prefix,
    limit: usize,
) -> Result<Vec<Entry>, Broken> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let page = page(store, prefix, entries.last().map(|entry| &entry.key), limit).await?;
        let is_stuck = page.entries.is_empty();
        let ascends = entries.last().into_iter().chain(&page.entries).is_sorted_by(|a, b| a.key < b.key);
        check(ascends, || "a scan is not in key order, or repeats a key".into())?;
        entries.extend(page.entries);
        if !page.more {
            return Ok(entries);
        }
        check(!is_stuck, || "a page without entries says that there are more".into())?;
    }
}
