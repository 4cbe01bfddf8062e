use core::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;

use core_types::SecureRandom;
use state_store::{
    Batch, Commit, CommitError, Entry, Key, Page, Prefix, ReadError, Revision, StateStore, StoreId,
};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::commit::{Committer, Item};
use crate::error::{Failure, OpenError};
use crate::fence::settle;
use crate::follow::{Follower, Told, compact, keep_compacting};
use crate::options::Options;
use crate::outcome::{CommitId, Outcome};
use crate::pool::Pool;
use crate::read;
use crate::schema::Sql;
use crate::session::{Connector, Guard, Session};
use crate::stats::{Counters, Stats};
use crate::watch::PostgresWatch;

/// A store in a PostgreSQL database; a clone is another handle on the same connections.
///
/// It has a thread of its own, and its futures can be awaited in any runtime, or in none.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
    // Dropped with the last handle: then the thread ends.
    _owner: Arc<Owner>,
}

impl PostgresStore {
    /// Opens the store, and makes it where there is none.
    ///
    /// Waits for the server, for as long as the options' patience at most in each step.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(options: Options, rng: &dyn SecureRandom) -> Result<Self, OpenError> {
        let mut node = [0; 16];
        rng.fill(&mut node)?;
        let new = StoreId::generate(rng)?;
        let known = options.known;
        let guard =
            Guard::of(known.map(|known| known.store), known.map_or(Revision::ZERO, |known| known.at_least));
        let sql = Sql::new(&options.schema);
        let connector = Arc::new(Connector { options, sql, counters: Counters::default(), node, guard });
        let (handle, stop) = start_thread()?;
        let mut owner = Owner { stop: Some(stop), told: None };
        let opening = handle.spawn(first_look(Arc::clone(&connector), new));
        opening.await.map_err(|_| OpenError::Unavailable { detail: "the store's thread ended".into() })??;

        let told = Arc::new(Told::new(Revision::new(connector.guard.seen())));
        let committed = Arc::new(Notify::new());
        let (commits, items) = mpsc::channel(MAX_WAITING_COMMITS);
        let committer = Committer::new(Arc::clone(&connector), items, Arc::clone(&committed));
        handle.spawn(committer.run());
        let follower = Follower { connector: Arc::clone(&connector), told: Arc::clone(&told), committed };
        handle.spawn(follower.run());
        handle.spawn(keep_compacting(Arc::clone(&connector)));
        let inner = Inner {
            handle,
            pool: Pool::new(connector),
            told: Arc::clone(&told),
            commits,
            commit_ids: AtomicU64::new(0),
        };
        owner.told = Some(told);
        Ok(Self { inner: Arc::new(inner), _owner: Arc::new(owner) })
    }

    /// Which store this is.
    #[must_use]
    pub fn store_id(&self) -> StoreId {
        self.inner.pool.connector.guard.store().unwrap_or(StoreId::from_bytes([0; 16]))
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let connector = &self.inner.pool.connector;
        let readers = u64::try_from(self.inner.pool.in_use()).unwrap_or(u64::MAX);
        connector.counters.snapshot(readers, connector.guard.seen())
    }

    /// A name for a commit that is yet to be made. Write it down first, where even a crash of this program must
    /// not leave the outcome unknown.
    #[must_use]
    pub fn next_commit_id(&self) -> CommitId {
        let connector = &self.inner.pool.connector;
        let count = self.inner.commit_ids.fetch_add(1, Ordering::Relaxed);
        CommitId::new(&connector.node, count, connector.guard.seen())
    }

    /// As [`commit`](StateStore::commit), under this name, which is used once.
    ///
    /// # Errors
    /// As [`commit`](StateStore::commit).
    pub async fn commit_as(&self, id: CommitId, batch: Batch) -> Result<Commit, CommitError> {
        self.send(id, true, batch).await
    }

    async fn send(&self, id: CommitId, is_named: bool, batch: Batch) -> Result<Commit, CommitError> {
        let (answer, answered) = oneshot::channel();
        let gone = || CommitError::Unavailable { detail: "the store is closed".into() };
        self.inner.commits.send(Item { id, is_named, batch, answer }).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| {
            Err(CommitError::OutcomeUnknown { detail: format!("commit {id}: the store was closed").into() })
        })
    }

    /// What became of the commit of this name. From now on it cannot take effect if it has not: messages of it
    /// that are still on their way come too late.
    ///
    /// # Errors
    /// [`ReadError`] when the database does not say.
    pub async fn outcome_of(&self, id: CommitId) -> Result<Outcome, ReadError> {
        let inner = Arc::clone(&self.inner);
        let asking = self.inner.handle.spawn(async move {
            let sql = &inner.pool.connector.sql;
            let ask = |session: Arc<Session>| async move { settle(&session, sql, &[id]).await };
            inner.pool.read("say what became of a commit", ask).await
        });
        let outcomes = asking.await.map_err(|_| closed())??;
        Ok(outcomes.first().copied().unwrap_or(Outcome::Forgotten))
    }

    /// Forgets the part of the history that is past the options' bounds: done now and then without being asked.
    ///
    /// # Errors
    /// [`ReadError`] when the database does not answer.
    pub async fn compact(&self) -> Result<(), ReadError> {
        let inner = Arc::clone(&self.inner);
        let asking = self.inner.handle.spawn(async move {
            let connector = &inner.pool.connector;
            inner.pool.read("forget", |session| async move { compact(connector, &session).await }).await
        });
        Ok(asking.await.map_err(|_| closed())??)
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

impl StateStore for PostgresStore {
    type Watch = PostgresWatch;

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        self.ask(
            async move { inner.pool.read("read a key", |session| read::get(session, key.clone())).await },
        )
        .await
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, ReadError> {
        let inner = Arc::clone(&self.inner);
        let (first, end) = read::range(prefix, after);
        self.ask(async move {
            let scan = |session| read::scan(session, first.clone(), end.clone(), limit);
            let page = inner.pool.read("scan", scan).await?;
            inner.pool.connector.guard.saw(page.revision.get());
            Ok(page)
        })
        .await
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        self.send(self.next_commit_id(), false, batch).await
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<PostgresWatch, ReadError> {
        let inner = Arc::clone(&self.inner);
        let is_known = self.ask(async move {
            let told = *inner.told.position.borrow();
            if told >= after.get() {
                return Ok(true);
            }
            // The follower may be behind what this caller has read.
            let (first, end) = read::range(&Prefix::all(), None);
            let look = |session| read::scan(session, first.clone(), end.clone(), 0);
            let head = inner.pool.read("read the revision", look).await?.revision;
            if head < after {
                return Ok(false);
            }
            inner.told_up_to(after.get()).await?;
            Ok(true)
        });
        Ok(PostgresWatch::new(Arc::clone(&self.inner), prefix.clone(), after, is_known.await?))
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("store", &self.store_id()).finish_non_exhaustive()
    }
}

/// What handles and watches share.
pub(crate) struct Inner {
    pub(crate) handle: Handle,
    pub(crate) pool: Pool,
    pub(crate) told: Arc<Told>,
    commits: mpsc::Sender<Item>,
    commit_ids: AtomicU64,
}

impl Inner {
    /// Waits until the feed has told everything up to `revision`.
    pub(crate) async fn told_up_to(&self, revision: u64) -> Result<(), Failure> {
        let mut position = self.told.position.subscribe();
        self.told.look.notify_one();
        let told = async {
            position
                .wait_for(|&position| position >= revision)
                .await
                .map(drop)
                .map_err(|_| Failure::Lost("the store is closed".into()))
        };
        self.pool.connector.in_time("follow the store", told).await
    }
}

pub(crate) fn closed() -> ReadError {
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
        .name("state-store-postgres".into())
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

/// Looks at the server's settings, and makes the store where there is none.
async fn first_look(connector: Arc<Connector>, new: StoreId) -> Result<(), OpenError> {
    let client = connector.bare(None).await?;
    let look = async {
        let row = client
            .query_one("SELECT current_setting('fsync'), current_setting('full_page_writes')", &[])
            .await?;
        for (place, setting) in [(0, "fsync off"), (1, "full_page_writes off")] {
            if row.try_get::<_, &str>(place)? == "off" && !connector.options.allows_not_durable {
                return Err(Failure::Foreign(OpenError::NotDurable { setting }));
            }
        }
        connector.sql.migrate(&client, new).await
    };
    connector.in_time("look at the server", look).await?;
    connector.connect(None).await?;
    Ok(())
}

/// How many commits wait at most before their callers do.
const MAX_WAITING_COMMITS: usize = 1024;
