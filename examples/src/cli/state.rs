//! `palisade state copy FROM TO`: everything of one store into another that is empty, and then compared.

use pollster::block_on;
use serde_json::json;
use state_store::{
    Batch, Commit, CommitError, Entry, Key, MAX_PAGE_ENTRIES, Prefix, ReadError, Revision, StateStore, Write,
};
use state_store_redb::Expected;

use super::{Answer, CliError, Streams, print_json, print_line};
use crate::backend::{Backend, BackendError, Place};

/// Copies, and compares.
pub(super) fn copy(mut parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    use lexopt::prelude::ValueExt as _;
    let mut json = false;
    let mut places: Vec<Place> = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => json = true,
            lexopt::Arg::Value(word) if places.len() < 2 => places.push(word.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let (Some(to), Some(from)) = (places.pop(), places.pop()) else {
        return Err(CliError::usage(
            "state copy needs FROM and TO: `redb:PATH`, `postgres://…` or `etcd://…`",
        ));
    };
    match block_on(copied(from, to)) {
        Ok(copied) if json => {
            let row = json!({"ok": true, "entries": copied.entries, "bytes": copied.bytes,
                "revision": copied.revision, "target_revision": copied.target_revision});
            print_json(streams, &row)?;
            Ok(Answer::Yes)
        }
        Ok(copied) => {
            let (entries, bytes) = (copied.entries, copied.bytes);
            let line = format!(
                "copied and compared: {entries} entries, {bytes} bytes; revision {} is {} there",
                copied.revision, copied.target_revision
            );
            print_line(streams, &line)?;
            Ok(Answer::Yes)
        }
        Err(error) => {
            if json {
                print_json(streams, &json!({"ok": false, "error": error.to_string()}))?;
            } else {
                print_line(streams, &format!("not copied: {error}"))?;
            }
            Ok(Answer::No)
        }
    }
}

/// What was copied.
struct Copied {
    entries: u64,
    bytes: u64,
    revision: Revision,
    target_revision: Revision,
}

/// Why a copy is none.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error("{0}")]
    Open(#[from] BackendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("{0} is not empty")]
    NotEmpty(&'static str),
    #[error("somebody wrote to {0} meanwhile: stop the servers first")]
    Changed(&'static str),
    #[error("the copy differs from its source at {0:?}")]
    Differs(Key),
    #[error("the copy has another number of entries than its source")]
    Count,
}

async fn copied(from: Place, to: Place) -> Result<Copied, CopyError> {
    let from = Backend::open(from, Expected::Existing { store: None, at_least: Revision::ZERO }).await?;
    let to = Backend::open(to, Expected::Either).await?;
    copy_all(&from, &to).await
}

/// Revisions are a store's own, so the copy's records have others; it is brought to the source's at least, so that
/// whoever knows that one does not take the copy for an old one.
async fn copy_all<A: StateStore, B: StateStore>(from: &A, to: &B) -> Result<Copied, CopyError> {
    let start = head(from).await?;
    let before = to.scan(&Prefix::all(), None, 1).await?;
    if before.more || !before.entries.is_empty() {
        return Err(CopyError::NotEmpty("the target"));
    }
    let (mut entries, mut bytes) = (0_u64, 0_u64);
    let mut source = Pages::new(from);
    let mut batch = Batch::new();
    let mut weight = 0_usize;
    while let Some(entry) = source.next().await? {
        let size = entry.key.as_bytes().len().saturating_add(entry.value.as_bytes().len());
        if batch.writes().count() >= MAX_ENTRIES || weight.saturating_add(size) > MAX_BYTES {
            write(to, core::mem::take(&mut batch)).await?;
            weight = 0;
        }
        weight = weight.saturating_add(size);
        entries = entries.saturating_add(1);
        bytes = bytes.saturating_add(u64::try_from(size).unwrap_or(u64::MAX));
        // What stands there by now is somebody else's.
        let _ = batch.create(entry.key, entry.value);
    }
    if !batch.is_read_only() {
        write(to, batch).await?;
    }
    let target_revision = raise(to, start).await?;
    compare(from, to).await?;
    if head(from).await? != start {
        return Err(CopyError::Changed("the source"));
    }
    if head(to).await? != target_revision {
        return Err(CopyError::Changed("the target"));
    }
    Ok(Copied { entries, bytes, revision: start, target_revision })
}

/// Reads both anew, side by side.
async fn compare<A: StateStore, B: StateStore>(from: &A, to: &B) -> Result<(), CopyError> {
    let (mut left, mut right) = (Pages::new(from), Pages::new(to));
    loop {
        match (left.next().await?, right.next().await?) {
            (None, None) => return Ok(()),
            (Some(a), Some(b)) if a.key == b.key && a.value == b.value => {}
            (Some(a), Some(_)) => return Err(CopyError::Differs(a.key)),
            _ => return Err(CopyError::Count),
        }
    }
}

/// Commits what changes nothing until the store is at `revision` or past it.
async fn raise<S: StateStore>(store: &S, revision: Revision) -> Result<Revision, CopyError> {
    let marker = Key::new(MARKER).map_err(|_| CopyError::Count)?;
    let mut head = head(store).await?;
    let mut is_there = false;
    while head < revision || is_there {
        let mut batch = Batch::new();
        let write = if is_there { Write::Delete } else { Write::Put(empty()?) };
        batch.write(marker.clone(), write).map_err(|_| CopyError::Count)?;
        match store.commit(batch).await? {
            Commit::Committed(reached) => head = reached,
            Commit::Conflict(_) => return Err(CopyError::Changed("the target")),
        }
        is_there = !is_there;
    }
    Ok(head)
}

fn empty() -> Result<state_store::Value, CopyError> {
    state_store::Value::new([]).map_err(|_| CopyError::Count)
}

async fn write<S: StateStore>(store: &S, batch: Batch) -> Result<(), CopyError> {
    match store.commit(batch).await? {
        Commit::Committed(_) => Ok(()),
        Commit::Conflict(_) => Err(CopyError::Changed("the target")),
    }
}

async fn head<S: StateStore>(store: &S) -> Result<Revision, CopyError> {
    Ok(store.scan(&Prefix::all(), None, 0).await?.revision)
}

/// All entries, a page at a time.
struct Pages<'a, S> {
    store: &'a S,
    page: std::vec::IntoIter<Entry>,
    after: Option<Key>,
    more: bool,
}

impl<'a, S: StateStore> Pages<'a, S> {
    fn new(store: &'a S) -> Self {
        Self { store, page: Vec::new().into_iter(), after: None, more: true }
    }

    async fn next(&mut self) -> Result<Option<Entry>, CopyError> {
        loop {
            if let Some(entry) = self.page.next() {
                self.after = Some(entry.key.clone());
                return Ok(Some(entry));
            }
            if !self.more {
                return Ok(None);
            }
            let page = self.store.scan(&Prefix::all(), self.after.as_ref(), MAX_PAGE_ENTRIES).await?;
            self.more = page.more;
            self.page = page.entries.into_iter();
        }
    }
}

const MARKER: &str = "state-copy/marker";
const MAX_ENTRIES: usize = state_store::MAX_BATCH_WRITES;
const MAX_BYTES: usize = 4 << 20;
