//! Which nodes of a fleet have applied what: so that whoever revokes knows where it is in force.
//!
//! ```text
//! fleet/node/<name>   fleet/node    what a node has applied, and when its word ends
//! fleet/asked         fleet/asked   the highest revision that somebody waits for
//! ```
//!
//! A node says what it has applied every third of a lease, and at once when somebody waits for a revision that it has
//! applied meanwhile: not for each commit. [`Fleet::await_applied`] asks, and waits for the nodes' words.
//!
//! # Who is waited for
//! The nodes whose words have not ended. A node says its word before it serves, and then applies everything up to that
//! commit ([`Fleet::join`]); so a node that is not in the list which shows a revision knows the revision once it serves.
//! It says nothing while it cannot prove that it is fresh. So one whose word has ended is gone, or refuses, or reads
//! through, or follows the store within its staleness bound and only cannot write: it obeys at the latest when the
//! bound has passed since the commit. The lease must be no shorter than the bound, and the nodes' clocks must agree
//! within a small part of it.

mod view;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use core_types::{Clock, UnixTime};

use self::view::{ASKED, AskedRecord, NodeRecord};
pub use self::view::{FleetView, Node, NodeName};
use crate::batch::{Batch, Expect, Write};
use crate::error::FleetError;
use crate::key::{Key, Prefix};
use crate::record;
use crate::replica::{Driver, Replica, ReplicaError, Sleep, Snapshot, before};
use crate::store::{Commit, Revision, StateStore};

/// What every key of this module begins with.
pub const PREFIX: &str = "fleet/";

/// How long nodes' words hold, and how often they look whether one is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    lease: Duration,
    pace: Duration,
}

impl Terms {
    /// Words that hold for `lease`, which is no shorter than the nodes' staleness bounds; a node writes no more often
    /// than every `pace`.
    #[must_use]
    pub const fn new(lease: Duration, pace: Duration) -> Self {
        Self { lease, pace }
    }

    fn beat(self) -> Duration {
        self.lease.checked_div(3).unwrap_or_default()
    }
}

/// One node's part in its fleet.
#[derive(Debug)]
pub struct Fleet<S> {
    store: S,
    name: NodeName,
    terms: Terms,
    replica: Replica<FleetView>,
    said: Mutex<Said>,
}

/// The last word of this node.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    applied: Revision,
    // `None` when it is not known to have been said.
    at: Option<UnixTime>,
    // The commit that wrote it.
    revision: Option<Revision>,
    has_left: bool,
}

/// Where a revision is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a third answer must break whoever asks")]
pub enum Awaited {
    /// At every node, of this many.
    Everywhere {
        /// How many there are.
        nodes: usize,
    },
    /// Not at these, as far as is known, within the time.
    Lagging {
        /// Their names, in order.
        nodes: Vec<Box<str>>,
    },
}

impl<S: StateStore> Fleet<S> {
    /// Reads who there is, and says the first word of this node; call it before the node serves.
    ///
    /// `replica` is to be followed by its driver like any other. The node may serve once all that it answers by shows
    /// the returned revision.
    ///
    /// # Errors
    /// [`FleetError`]: the node must not serve as one of the fleet.
    pub async fn join(
        store: S,
        name: NodeName,
        terms: Terms,
        staleness_bound: Duration,
        clock: &dyn Clock,
    ) -> Result<(Self, Driver<S, FleetView>, Revision), FleetError> {
        let opened =
            Replica::open(store.clone(), Prefix::new(PREFIX)?, FleetView::new(), staleness_bound, clock);
        let (replica, driver) = opened.await.map_err(|error| match error {
            ReplicaError::Read(error) => FleetError::Read(error),
            error => FleetError::Read(crate::ReadError::Unavailable { detail: error.to_string().into() }),
        })?;
        let fleet = Self { store, name, terms, replica, said: Mutex::default() };
        // Whatever a node of this name said before, this one has applied nothing yet.
        let key = fleet.name.key()?;
        let entry = fleet.store.get(&key).await?;
        fleet.said().revision = entry.map(|entry| entry.revision);
        let revision = fleet.say(Revision::ZERO, clock.now()).await?.ok_or(FleetError::Contended)?;
        Ok((fleet, driver, revision))
    }

    /// This node's name.
    pub const fn name(&self) -> &NodeName {
        &self.name
    }

    /// Where the words are.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Who there is.
    #[must_use]
    pub const fn replica(&self) -> &Replica<FleetView> {
        &self.replica
    }

    /// Says what this node has applied, if a word is due; the revision of the word.
    ///
    /// # Errors
    /// [`FleetError`]; the word stays due.
    pub async fn publish(&self, applied: Revision, now: UnixTime) -> Result<Option<Revision>, FleetError> {
        let asked = self.replica.snapshot().view().asked();
        let said = *self.said();
        let is_due = said.at.is_none_or(|at| {
            let distance = now.saturating_since(at).max(at.saturating_since(now));
            distance >= self.terms.beat() || (said.applied < asked && asked <= applied)
        });
        if said.has_left || !is_due {
            return Ok(None);
        }
        self.say(applied, now).await
    }

    /// Publishes for as long as it is awaited. `applied` says what everything that this node answers by has applied,
    /// and nothing while one of it is not known to be fresh; `failed` hears what went wrong.
    pub async fn run(
        &self,
        applied: impl Fn() -> Option<Revision>,
        failed: impl Fn(FleetError),
        clock: &dyn Clock,
        sleep: &impl Sleep,
    ) -> core::convert::Infallible {
        loop {
            if let Some(applied) = applied()
                && let Err(error) = self.publish(applied, clock.now()).await
            {
                failed(error);
            }
            sleep.sleep(self.terms.pace).await;
        }
    }

    /// Takes this node's word back, so that nobody waits for it; call it when the node serves no more. It says nothing
    /// after that.
    ///
    /// # Errors
    /// [`FleetError`]: the word ends by itself.
    pub async fn leave(&self) -> Result<(), FleetError> {
        self.said().has_left = true;
        let mut batch = Batch::new();
        batch.write(self.name.key()?, Write::Delete)?;
        let _ = self.store.commit(batch).await?;
        Ok(())
    }

    /// Waits until every node has applied `revision`, which was committed, for no longer than `within`.
    ///
    /// # Errors
    /// [`FleetError`] when the nodes could not be asked: nothing is known of them.
    pub async fn await_applied(
        &self,
        revision: impl Into<Revision>,
        within: Duration,
        clock: &dyn Clock,
        sleep: &impl Sleep,
    ) -> Result<Awaited, FleetError> {
        let revision = revision.into();
        let is_everywhere = |snapshot: &Snapshot<FleetView>| {
            // A list that is older than the revision may lack a node.
            snapshot.revision() >= revision && snapshot.view().lagging(revision, clock.now()).is_empty()
        };
        let waiting = async {
            if !is_everywhere(&self.replica.snapshot()) {
                self.ask(revision).await?;
            }
            self.replica.until(is_everywhere).await;
            Ok(())
        };
        before(sleep.sleep(within), waiting).await.unwrap_or(Ok::<(), FleetError>(()))?;
        let snapshot = self.replica.snapshot();
        let mut nodes = snapshot.view().lagging(revision, clock.now());
        if snapshot.revision() < revision && !nodes.iter().any(|name| **name == *self.name.as_str()) {
            nodes.push(self.name.as_str().into());
            nodes.sort_unstable();
        }
        if nodes.is_empty() {
            return Ok(Awaited::Everywhere { nodes: snapshot.view().live(clock.now()) });
        }
        Ok(Awaited::Lagging { nodes })
    }

    /// Lets the nodes know that somebody waits, unless somebody waits for as much already.
    async fn ask(&self, revision: Revision) -> Result<(), FleetError> {
        let key = Key::new(ASKED)?;
        for _ in 0..MAX_ATTEMPTS {
            let known = self.store.get(&key).await?;
            let (asked, expect) = match &known {
                None => (Revision::ZERO, Expect::Absent),
                // What cannot be read is written over.
                Some(entry) => (
                    record::decode::<AskedRecord>(&entry.value)
                        .map_or(Revision::ZERO, |asked| asked.revision),
                    Expect::Revision(entry.revision),
                ),
            };
            if asked >= revision {
                return Ok(());
            }
            let mut batch = Batch::new();
            batch.require(key.clone(), expect)?;
            batch.write(key.clone(), Write::Put(record::encode(&AskedRecord { revision })?))?;
            if let Commit::Committed(_) = self.store.commit(batch).await? {
                return Ok(());
            }
        }
        Err(FleetError::Contended)
    }

    /// Writes this node's word over its last one, and forgets the nodes whose words ended long ago. Nothing when the node
    /// has left meanwhile: a word that is under way when it leaves does not come after that.
    async fn say(&self, applied: Revision, now: UnixTime) -> Result<Option<Revision>, FleetError> {
        let lease = u64::try_from(self.terms.lease.as_millis()).unwrap_or(u64::MAX);
        let until = UnixTime::from_millis(now.as_millis().saturating_add(lease));
        let word = record::encode(&NodeRecord { applied, until })?;
        let key = self.name.key()?;
        let mut is_tidy = false;
        for _ in 0..MAX_ATTEMPTS {
            let mut batch = Batch::new();
            let expect = self.said().revision.map_or(Expect::Absent, Expect::Revision);
            batch.require(key.clone(), expect)?;
            batch.write(key.clone(), Write::Put(word.clone()))?;
            let snapshot = self.replica.snapshot();
            // Once: what is in the way may be that one of them is back.
            let ended = snapshot.view().ended(now, self.terms.lease).filter(|(ended, _)| *ended != key);
            for (ended, revision) in ended.take(if is_tidy { 0 } else { MAX_FORGOTTEN }) {
                batch.remove(ended, revision)?;
            }
            is_tidy = true;
            match self.store.commit(batch).await? {
                Commit::Committed(revision) => {
                    let mut said = self.said();
                    (said.applied, said.at, said.revision) = (applied, Some(now), Some(revision));
                    return Ok(Some(revision));
                }
                Commit::Conflict(_) if self.said().has_left => return Ok(None),
                // It was forgotten, or the outcome of the last one was not known.
                Commit::Conflict(_) => {
                    let entry = self.store.get(&key).await?;
                    self.said().revision = entry.map(|entry| entry.revision);
                }
            }
        }
        Err(FleetError::Contended)
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const MAX_ATTEMPTS: u32 = 16;
/// At one time.
const MAX_FORGOTTEN: usize = 16;
