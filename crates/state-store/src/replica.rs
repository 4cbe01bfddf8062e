//! A prefix of a store, kept in memory and current, for reads that never wait.
//!
//! [`Replica::open`] scans the prefix into a [`View`], then a [`Driver`] follows the store's watch. After every
//! commit the replica publishes an immutable [`Snapshot`]: readers take it without a lock and without waiting
//! for a writer, and see all of a commit or nothing of it.
//!
//! A replica knows how fresh it is. [`Replica::confirm`] asks the store for its last revision and notes the
//! time once the replica has applied it; [`Replica::current`] hands out the snapshot only while the last such
//! confirmation is within the staleness bound. [`Replica::read`] does the same, and reads the store itself past the
//! bound where its handle was told to ([`Replica::reading_through`]). The embedder drives both, in whatever runtime it has: one task
//! calls [`Driver::run`], one calls `confirm` a few times within the bound.

mod driver;
mod through;
mod view;

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use core_types::{Clock, UnixTime};
use event_listener::Event;

pub use self::driver::Driver;
pub(crate) use self::through::before;
pub use self::through::{Reading, Sleep, WhenStale};
use self::through::{Source, Through};
pub use self::view::{Poisoned, Records, Snapshot, Stored, View};
use crate::error::ReadError;
pub use crate::error::{CurrentError, ReplicaError, Stale};
use crate::key::Prefix;
use crate::store::{Revision, StateStore};

/// A prefix of a store in memory; a clone is another handle on the same replica.
#[derive(Debug)]
pub struct Replica<V> {
    shared: Arc<Shared<V>>,
    // Of this handle and its clones.
    source: Option<Arc<dyn Source<V>>>,
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
            prefix,
            empty,
            read_through: ArcSwapOption::empty(),
            went_back: OnceLock::new(),
        });
        let replica = Self { shared, source: None };
        let driver = Driver::start(store, replica.clone()).await?;
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

    /// This handle on the replica, and its clones, read `store` where the snapshot is not known to be fresh, for no
    /// longer than `within`; `sleep` is how to wait in the embedder's runtime.
    ///
    /// Only [`read`](Self::read), and what says that it takes this way, does so.
    #[must_use]
    pub fn reading_through<S: StateStore>(self, store: S, within: Duration, sleep: impl Sleep) -> Self {
        Self { source: Some(Arc::new(Through { store, within, sleep })), ..self }
    }

    /// What this handle does where the snapshot is not known to be fresh.
    #[must_use]
    pub fn when_stale(&self) -> WhenStale {
        self.source
            .as_ref()
            .map_or(WhenStale::Refuse, |source| WhenStale::ReadThrough { within: source.within() })
    }

    /// What to decide by: the latest snapshot where it is fresh, as [`current`](Self::current) has it, without
    /// waiting. Where it is not, a state of the store that has everything which was committed before the call, if this
    /// handle was told to [read through](Self::reading_through).
    ///
    /// That state is of one instant. Mostly it is the snapshot and the changes since, from a watch of its own; where
    /// no watch is to be had, everything under the prefix is read, which a large prefix does not allow within the time.
    ///
    /// # Errors
    /// [`CurrentError`]: there is nothing to decide by. Refuse.
    pub async fn read(&self, now: UnixTime) -> Result<Reading<V>, CurrentError> {
        match (self.current(now), &self.source) {
            (Ok(current), _) => Ok(current.into()),
            (Err(stale), None) => Err(stale.into()),
            (Err(_), Some(source)) => source.read(self).await.map(Reading::of_store),
        }
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
        if let Err(error) = self.ensure_not_behind(seen, revision) {
            return Err(ReadError::Damaged { detail: error.to_string().into() });
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
        self.until(|snapshot| snapshot.revision() >= revision).await;
    }

    /// Waits until this holds of the snapshot.
    pub(crate) async fn until(&self, holds: impl Fn(&Snapshot<V>) -> bool) {
        loop {
            let listener = self.shared.published.listen();
            if holds(&self.snapshot()) {
                return;
            }
            listener.await;
        }
    }

    fn publish(&self, snapshot: Snapshot<V>) {
        if self.shared.read_through.load().as_ref().is_some_and(|kept| kept.revision <= snapshot.revision) {
            self.shared.read_through.store(None);
        }
        self.shared.snapshot.store(Arc::new(snapshot));
        self.shared.published.notify(usize::MAX);
    }
}

impl<V> Replica<V> {
    /// The newest state that was read, by whichever way.
    fn newest(&self) -> Arc<Snapshot<V>> {
        let snapshot = self.shared.snapshot.load_full();
        let kept = self.shared.read_through.load_full();
        kept.filter(|kept| kept.revision > snapshot.revision).unwrap_or(snapshot)
    }

    /// Keeps what was read, for the next one to begin from.
    fn keep(&self, snapshot: Snapshot<V>) -> Arc<Snapshot<V>> {
        let snapshot = Arc::new(snapshot);
        if snapshot.revision > self.newest().revision {
            self.shared.read_through.store(Some(Arc::clone(&snapshot)));
        }
        snapshot
    }

    /// That the store is not, and never was, behind what was seen of it: it may grow past that point again, with
    /// another history.
    fn ensure_not_behind(&self, seen: Revision, found: Revision) -> Result<(), ReplicaError> {
        if found < seen {
            let _ = self.shared.went_back.set(ReplicaError::WentBack { seen, found });
        }
        self.shared.went_back.get().map_or(Ok(()), |error| Err(error.clone()))
    }
}

impl<V> Clone for Replica<V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), source: self.source.clone() }
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
    prefix: Prefix,
    empty: V,
    // The last state that was read past the replica, while it is newer than the snapshot.
    read_through: ArcSwapOption<Snapshot<V>>,
    // Set once the store was behind what was seen of it.
    went_back: OnceLock<ReplicaError>,
}

/// How often everything is read anew, in one step, before it is reported that the store is faster.
const MAX_RESCANS: u32 = 8;
