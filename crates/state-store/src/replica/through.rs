//! Reading the store itself, where a replica is too old to decide by.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::view::{Snapshot, View};
use super::{Current, MAX_RESCANS, Replica, ReplicaError};
use crate::error::{CurrentError, ReadError};
use crate::key::{Key, Prefix};
use crate::store::{MAX_PAGE_ENTRIES, Revision, StateStore, Watch, WatchEvent};

/// What a handle on a replica does where its snapshot is not known to be fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "a third way must break whoever asks")]
pub enum WhenStale {
    /// It has no answer.
    #[default]
    Refuse,
    /// It reads the store, and has no answer where that fails, or takes longer than this.
    ReadThrough {
        /// The longest that a caller waits.
        within: Duration,
    },
}

/// How to wait in the embedder's runtime: a function such as `tokio::time::sleep`.
///
/// # What a wrong answer breaks
/// One that returns too soon refuses what could have been answered; one that never returns lets callers of a store
/// that hangs wait for ever.
pub trait Sleep: Send + Sync + 'static {
    /// Returns after this time.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

impl<F, W> Sleep for F
where
    F: Fn(Duration) -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send,
{
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        self(duration)
    }
}

/// What there is to decide by: the replica's snapshot, or what was read from the store just now. Keep it for one
/// decision, not longer.
#[derive(Debug)]
pub struct Reading<V> {
    found: Found<V>,
}

#[derive(Debug)]
enum Found<V> {
    Memory(Current<V>),
    Store(Arc<Snapshot<V>>),
}

impl<V> Reading<V> {
    pub(super) const fn of_store(snapshot: Arc<Snapshot<V>>) -> Self {
        Self { found: Found::Store(snapshot) }
    }

    /// Whether the store was read for it.
    #[must_use]
    pub const fn is_read_through(&self) -> bool {
        matches!(self.found, Found::Store(_))
    }
}

impl<V> From<Current<V>> for Reading<V> {
    fn from(current: Current<V>) -> Self {
        Self { found: Found::Memory(current) }
    }
}

impl<V> Deref for Reading<V> {
    type Target = Snapshot<V>;

    fn deref(&self) -> &Snapshot<V> {
        match &self.found {
            Found::Memory(current) => current,
            Found::Store(snapshot) => snapshot,
        }
    }
}

/// Where a handle reads when its replica is too old.
pub(super) trait Source<V>: Send + Sync {
    /// The longest that a read takes.
    fn within(&self) -> Duration;

    /// A state of the store that has everything which was committed before the call.
    fn read<'a>(&'a self, replica: &'a Replica<V>) -> BoxRead<'a, V>;
}

pub(super) type BoxRead<'a, V> =
    Pin<Box<dyn Future<Output = Result<Arc<Snapshot<V>>, CurrentError>> + Send + 'a>>;

impl<V> fmt::Debug for dyn Source<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("within", &self.within()).finish_non_exhaustive()
    }
}

/// A store, and how long to wait for it.
pub(super) struct Through<S, T> {
    pub(super) store: S,
    pub(super) within: Duration,
    pub(super) sleep: T,
}

impl<S: StateStore, T: Sleep, V: View> Source<V> for Through<S, T> {
    fn within(&self) -> Duration {
        self.within
    }

    fn read<'a>(&'a self, replica: &'a Replica<V>) -> BoxRead<'a, V> {
        Box::pin(async move {
            // A watch that hangs leaves the other half of the time for reading everything.
            let half = self.within.checked_div(2).unwrap_or_default();
            let read = async {
                match before(self.sleep.sleep(half), self.catch_up(replica)).await {
                    Some(Ok(snapshot)) => return Ok(snapshot),
                    Some(Err(NoWay::Refused(error))) => return Err(error.into()),
                    Some(Err(NoWay::This)) | None => {}
                }
                Ok(self.read_all(replica).await?)
            };
            let read = before(self.sleep.sleep(self.within), read).await;
            read.unwrap_or(Err(CurrentError::TimedOut { within: self.within }))
        })
    }
}

/// Why the shorter way led nowhere.
enum NoWay {
    /// The other may.
    This,
    /// Neither does.
    Refused(ReplicaError),
}

impl From<ReplicaError> for NoWay {
    fn from(error: ReplicaError) -> Self {
        Self::Refused(error)
    }
}

impl<S: StateStore, T: Sleep> Through<S, T> {
    /// The newest state that this process has read, and what was committed since, of a watch of its own.
    async fn catch_up<V: View>(&self, replica: &Replica<V>) -> Result<Arc<Snapshot<V>>, NoWay> {
        let base = replica.newest();
        let head = self.store.scan(&Prefix::all(), None, 0).await.map_err(ReplicaError::from)?.revision;
        replica.ensure_not_behind(base.revision, head)?;
        if base.revision == head {
            return Ok(base);
        }
        // Where there is no watch to be had, everything can still be read.
        let other = |error| match error {
            ReadError::Unavailable { .. } => NoWay::This,
            error @ ReadError::Damaged { .. } => NoWay::Refused(error.into()),
        };
        let mut watch = self.store.watch(&replica.shared.prefix, base.revision).await.map_err(other)?;
        let mut snapshot = Snapshot::clone(&base);
        let mut idle = 0_u32;
        while snapshot.revision < head {
            match watch.next().await.map_err(other)? {
                WatchEvent::Changes { revision, changes } if revision > snapshot.revision => {
                    snapshot.apply(revision, &changes);
                }
                WatchEvent::Progress(revision) if revision > snapshot.revision => {
                    snapshot.revision = revision
                }
                // One that says this without end may never let anything else run, the end of the time included.
                WatchEvent::Progress(_) if idle < MAX_IDLE_EVENTS => idle = idle.saturating_add(1),
                WatchEvent::Changes { .. } | WatchEvent::Progress(_) | WatchEvent::Lagged => {
                    return Err(NoWay::This);
                }
            }
        }
        Ok(replica.keep(snapshot))
    }

    /// Everything, of one instant: pages of different ones are read anew.
    async fn read_all<V: View>(&self, replica: &Replica<V>) -> Result<Arc<Snapshot<V>>, ReplicaError> {
        for _ in 0..MAX_RESCANS {
            if let Some(snapshot) = self.try_read_all(replica).await? {
                return Ok(replica.keep(snapshot));
            }
        }
        Err(ReplicaError::Outrun { attempts: MAX_RESCANS })
    }

    async fn try_read_all<V: View>(&self, replica: &Replica<V>) -> Result<Option<Snapshot<V>>, ReplicaError> {
        let seen = replica.newest().revision;
        let mut snapshot = Snapshot::empty(replica.shared.empty.clone());
        snapshot.view.loading();
        let mut instant: Option<Revision> = None;
        let mut after: Option<Key> = None;
        loop {
            let page = self.store.scan(&replica.shared.prefix, after.as_ref(), MAX_PAGE_ENTRIES).await?;
            replica.ensure_not_behind(seen, page.revision)?;
            if *instant.get_or_insert(page.revision) != page.revision {
                return Ok(None);
            }
            for entry in &page.entries {
                snapshot.put(&entry.key, &entry.value, entry.revision);
            }
            snapshot.revision = page.revision;
            if !page.more {
                break;
            }
            after = page.entries.last().map(|entry| entry.key.clone());
            if after.is_none() {
                let detail = "a page without entries says that there are more".into();
                return Err(ReadError::Damaged { detail }.into());
            }
        }
        snapshot.view.loaded();
        Ok(Some(snapshot))
    }
}

/// What `work` comes to, unless `end` is first.
pub(crate) async fn before<T>(end: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    let (mut end, mut work) = (pin!(end), pin!(work));
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => end.as_mut().poll(context).map(|()| None),
    })
    .await
}

/// How often a watch may say what is known, before it is given up.
const MAX_IDLE_EVENTS: u32 = 64;
