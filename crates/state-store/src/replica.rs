//! A prefix of a store, kept in memory and current, for reads that never wait.
//!
//! [`Replica::open`] scans the prefix into a [`View`], then a [`Driver`] follows the store's watch. After every
//! commit the replica publishes an immutable [`Snapshot`]: readers take it without a lock and without waiting
//! for a writer, and see all of a commit or nothing of it.
//!
//! A replica knows how fresh it is. [`Replica::confirm`] asks the store for its last revision and notes the
//! time once the replica has applied it; [`Replica::current`] hands out the snapshot only while the last such
//! confirmation is within the staleness bound. The embedder drives both, in whatever runtime it has: one task
//! calls [`Driver::run`], one calls `confirm` a few times within the bound.

mod driver;
mod view;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use core_types::{Clock, UnixTime};
use event_listener::Event;

pub use self::driver::Driver;
pub use self::view::{Poisoned, Records, Snapshot, Stored, View};
use crate::error::ReadError;
pub use crate::error::{ReplicaError, Stale};
use crate::key::Prefix;
use crate::store::{Revision, StateStore};

/// A prefix of a store in memory; a clone is another handle on the same replica.
#[derive(Debug)]
pub struct Replica<V> {
    shared: Arc<Shared<V>>,
}

impl<V: View> Replica<V> {
    /// Reads everything under `prefix` into `empty` and returns the replica with its driver.
    ///
    /// `staleness_bound` is how long after its last confirmation a snapshot may still be used. The replica is
    /// confirmed as of the beginning of the call.
    ///
    /// # Errors
    /// [`ReplicaError`] when the store cannot be read.
    pub async fn open<S: StateStore>(
        store: S,
        prefix: Prefix,
        empty: V,
        staleness_bound: Duration,
        clock: &dyn Clock,
    ) -> Result<(Self, Driver<S, V>), ReplicaError> {
        let asked_at = clock.now();
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::from_pointee(Snapshot::empty(empty.clone())),
            confirmed_at: AtomicU64::new(0),
            staleness_bound,
            published: Event::new(),
        });
        let replica = Self { shared };
        let driver = Driver::start(store, prefix, empty, replica.clone()).await?;
        replica.shared.confirmed_at.store(asked_at.as_millis(), Ordering::Release);
        Ok((replica, driver))
    }

    /// The latest snapshot, if it is fresh enough to decide by.
    ///
    /// # Errors
    /// [`Stale`] when the last confirmation is further from `now` than the staleness bound, before or after
    /// (a clock that went back proves nothing). Refuse then, or read the store itself.
    pub fn current(&self, now: UnixTime) -> Result<Current<V>, Stale> {
        // First the check, then the snapshot: a later snapshot is at least as recent.
        let is_fresh = self.is_fresh(now);
        let snapshot = self.shared.snapshot.load();
        if is_fresh { Ok(Current { snapshot }) } else { Err(Stale { applied: snapshot.revision }) }
    }

    /// The latest snapshot, however old: for showing, not for deciding.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot<V>> {
        self.shared.snapshot.load_full()
    }

    /// What is known of the snapshot's age.
    #[must_use]
    pub fn freshness(&self, now: UnixTime) -> Freshness {
        let confirmed_at = UnixTime::from_millis(self.shared.confirmed_at.load(Ordering::Acquire));
        Freshness { applied: self.snapshot().revision(), confirmed_at, is_fresh: self.is_fresh(now) }
    }

    /// Whether the last confirmation is within the staleness bound.
    #[must_use]
    pub fn is_fresh(&self, now: UnixTime) -> bool {
        let confirmed_at = UnixTime::from_millis(self.shared.confirmed_at.load(Ordering::Acquire));
        let distance = now.saturating_since(confirmed_at).max(confirmed_at.saturating_since(now));
        distance <= self.shared.staleness_bound
    }

    /// Asks `store` for its last revision, waits until this replica has applied it, and notes that the
    /// snapshot was current when the question was asked.
    ///
    /// Waits for the driver; without one it waits for ever, and the replica becomes stale.
    ///
    /// # Errors
    /// [`ReadError`] when the store does not answer, or with less than this replica has seen: the replica ages.
    pub async fn confirm<S: StateStore>(&self, store: &S, clock: &dyn Clock) -> Result<Revision, ReadError> {
        let asked_at = clock.now();
        let seen = self.snapshot().revision();
        let revision = store.scan(&Prefix::all(), None, 0).await?.revision;
        if revision < seen {
            let detail = format!("the store went back from revision {seen} to {revision}");
            return Err(ReadError::Damaged { detail: detail.into() });
        }
        self.applied(revision).await;
        // The last question counts, not the latest time: after a clock went back it is the earlier one.
        self.shared.confirmed_at.store(asked_at.as_millis(), Ordering::Release);
        Ok(revision)
    }

    /// Waits until the snapshot shows everything up to `revision`.
    ///
    /// A caller that committed at this revision and then awaits this reads its own write.
    pub async fn applied(&self, revision: Revision) {
        loop {
            let listener = self.shared.published.listen();
            if self.snapshot().revision() >= revision {
                return;
            }
            listener.await;
        }
    }

    fn publish(&self, snapshot: Snapshot<V>) {
        self.shared.snapshot.store(Arc::new(snapshot));
        self.shared.published.notify(usize::MAX);
    }
}

impl<V> Clone for Replica<V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// A snapshot that was fresh enough when it was asked for; keep it for one decision, not longer.
#[derive(Debug)]
pub struct Current<V> {
    snapshot: Guard<Arc<Snapshot<V>>>,
}

impl<V> Deref for Current<V> {
    type Target = Snapshot<V>;

    fn deref(&self) -> &Snapshot<V> {
        &self.snapshot
    }
}

/// How old a snapshot can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Freshness {
    /// The snapshot shows everything up to here.
    pub applied: Revision,
    /// When the store last confirmed that there is nothing newer.
    pub confirmed_at: UnixTime,
    /// Whether that is within the staleness bound.
    pub is_fresh: bool,
}

#[derive(Debug)]
struct Shared<V> {
    snapshot: ArcSwap<Snapshot<V>>,
    // Milliseconds; when the question behind the last confirmation was asked.
    confirmed_at: AtomicU64,
    staleness_bound: Duration,
    published: Event,
}
