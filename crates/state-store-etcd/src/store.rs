use core::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;

use core_types::SecureRandom;
use state_store::feed::FeedWatch;
use state_store::{
    Batch, Commit, CommitError, Entry, Key, Page, Prefix, ReadError, Revision, StateStore, Watch, WatchEvent,
};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::{COMPACT, Client};
use crate::commit::Commits;
use crate::error::{Failure, OpenError};
use crate::follow::{Follower, Told};
use crate::options::Options;
use crate::proto::{CompactRequest, Empty};
use crate::read;

/// A store in an etcd cluster; a clone is another handle on the same connections.
///
/// It has a thread of its own, and its futures can be awaited in any runtime, or in none.
#[derive(Clone)]
pub struct EtcdStore {
    inner: Arc<Inner>,
    // Dropped with the last handle: then the thread ends.
    _owner: Arc<Owner>,
}

struct Inner {
    handle: Handle,
    client: Arc<Client>,
    commits: Commits,
    told: Arc<Told>,
}

/// What a store has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Batches that were written.
    pub commits: u64,
    /// Batches whose preconditions did not hold.
    pub conflicts: u64,
    /// Commits whose answer was lost, and that were found out afterwards.
    pub resolved: u64,
    /// Commits of which it could not be found out.
    pub unknown: u64,
    /// Questions that were asked again.
    pub retries: u64,
    /// The last revision this node has heard of, now.
    pub revision: u64,
}

impl EtcdStore {
    /// Opens the store of a namespace, which may be empty.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(options: Options, rng: &dyn SecureRandom) -> Result<Self, OpenError> {
        let mut node = [0; 16];
        rng.fill(&mut node)?;
        let (handle, stop) = start_thread()?;
        let mut owner = Owner { stop: Some(stop), told: None };
        let opening = handle.spawn(async move {
            let client = Arc::new(Client::new(options)?);
            let (head, cluster) = read::head(&client).await?;
            let told = Arc::new(Told::new(head));
            let follower =
                Follower { client: Arc::clone(&client), told: Arc::clone(&told), looked_at: cluster };
            tokio::spawn(follower.run());
            Ok::<_, OpenError>((client, told))
        });
        let ended = |_| OpenError::Unavailable { detail: "the store's thread ended".into() };
        let (client, told) = opening.await.map_err(ended)??;
        owner.told = Some(Arc::clone(&told));
        let inner = Inner { handle, client, commits: Commits::new(node), told };
        Ok(Self { inner: Arc::new(inner), _owner: Arc::new(owner) })
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let commits = &self.inner.commits;
        Stats {
            commits: commits.committed.load(Ordering::Relaxed),
            conflicts: commits.conflicts.load(Ordering::Relaxed),
            resolved: commits.resolved.load(Ordering::Relaxed),
            unknown: commits.unknown.load(Ordering::Relaxed),
            retries: self.inner.client.retries.load(Ordering::Relaxed),
            revision: self.inner.client.seen(),
        }
    }

    /// Has the cluster forget what lies before `revision`; most clusters do so by themselves
    /// (`--auto-compaction-retention`). It is the whole cluster's history, not this store's alone.
    ///
    /// # Errors
    /// [`ReadError`] when no member answers.
    pub async fn compact(&self, revision: Revision) -> Result<(), ReadError> {
        let client = Arc::clone(&self.inner.client);
        let revision = i64::try_from(revision.get()).unwrap_or(i64::MAX);
        self.ask(async move {
            match client.ask::<_, Empty>(COMPACT, CompactRequest { revision }).await {
                Ok(_) | Err(Failure::Compacted) => Ok(()),
                Err(failure) => Err(failure),
            }
        })
        .await
    }

    /// Has `work` done on the store's thread; dropping the future ends it.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, ReadError> {
        let mut asked = EndedWhenDropped(self.inner.handle.spawn(work));
        let answer = (&mut asked.0).await;
        Ok(answer.map_err(|_| closed())??)
    }
}

impl StateStore for EtcdStore {
    type Watch = EtcdWatch;

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        let (client, key) = (Arc::clone(&self.inner.client), key.clone());
        self.ask(async move { read::get(&client, key).await }).await
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, ReadError> {
        let client = Arc::clone(&self.inner.client);
        let (prefix, after) = (prefix.clone(), after.cloned());
        self.ask(async move { read::page(&client, &prefix, after.as_ref(), limit).await }).await
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        let inner = Arc::clone(&self.inner);
        // It goes on when the caller no longer waits: its outcome is unknown to nobody else.
        let work = self.inner.handle.spawn(async move { inner.commits.commit(&inner.client, &batch).await });
        let closed = |_| CommitError::OutcomeUnknown { detail: "the store was closed".into() };
        work.await.map_err(closed)?
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<EtcdWatch, ReadError> {
        let inner = Arc::clone(&self.inner);
        let is_known = self.ask(async move {
            let revision = after.get();
            if *inner.told.position.borrow() >= revision {
                return Ok(true);
            }
            // The follower may be behind what this caller has read.
            if read::head(&inner.client).await?.0 < revision {
                return Ok(false);
            }
            let mut position = inner.told.position.subscribe();
            let told = position.wait_for(|&position| position >= revision);
            match tokio::time::timeout(inner.client.options.patience, told).await {
                Ok(Ok(_)) => Ok(true),
                _ => Err(Failure::Lost("this node does not keep up with the cluster".into())),
            }
        });
        let feed = is_known.await?.then(|| self.inner.told.feed().watch(prefix, after));
        Ok(EtcdWatch { feed })
    }
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdStore").field("options", &self.inner.client.options).finish_non_exhaustive()
    }
}

/// A watch on an [`EtcdStore`]: on its node's feed, which holds the latest commits since the store was opened.
#[derive(Debug)]
pub struct EtcdWatch {
    // `None` when it began at a revision that is still to come.
    feed: Option<FeedWatch>,
}

impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<WatchEvent, ReadError> {
        match &mut self.feed {
            Some(feed) => feed.next().await,
            None => Ok(WatchEvent::Lagged),
        }
    }
}

fn closed() -> ReadError {
    ReadError::Unavailable { detail: "the store is closed".into() }
}

/// Ends the thread, and what waits for it.
struct Owner {
    stop: Option<oneshot::Sender<()>>,
    told: Option<Arc<Told>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(told) = &self.told {
            told.fail(closed());
        }
    }
}

struct EndedWhenDropped<T>(JoinHandle<T>);

impl<T> Drop for EndedWhenDropped<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The thread that has all connections, and how to end it.
fn start_thread() -> Result<(Handle, oneshot::Sender<()>), OpenError> {
    let thread_error = |error: std::io::Error| OpenError::Thread { kind: error.kind() };
    let (stop, stopped) = oneshot::channel::<()>();
    let (started, starting) = std_mpsc::sync_channel(1);
    let runtime = Builder::new_current_thread().enable_all().build().map_err(thread_error)?;
    thread::Builder::new()
        .name("state-store-etcd".into())
        .spawn(move || {
            let _ = started.send(runtime.handle().clone());
            // Ends when the sender is dropped.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })
        .map_err(thread_error)?;
    let handle = starting.recv().map_err(|_| OpenError::Thread { kind: std::io::ErrorKind::Other })?;
    Ok((handle, stop))
}
