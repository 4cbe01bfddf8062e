//! What the server holds: the store, a replica per concern, the audit log.

use std::fmt::Display;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use audit_log::Checkpoint;
use core_types::{Clock as _, SystemClock, SystemRandom, UnixTime};
use iam_policy::Directory;
use sshkey_registry::bundle::BundleKey;
use sshkey_registry::{AdmissionPolicy, RegistryView};
use state_store::fleet::{Fleet, NodeName};
use state_store::replica::{CurrentError, Driver, Reading, Replica};
use state_store::{Batch, Commit, CommitError, Key, Revision, StateStore, View};
use token_vault::Vault;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::anchor;
use super::api_error::ApiError;
use super::figures::{Figures, timed};
use super::joins::Joins;
use super::project::Projects;
use super::proofs::Proofs;
use super::record::Journal;
use super::startup::StartError;

/// One control plane.
pub(crate) struct ControlPlane<S> {
    pub(crate) store: S,
    pub(crate) clock: SystemClock,
    pub(crate) random: SystemRandom,
    pub(crate) vault: Vault,
    pub(crate) admission: AdmissionPolicy,
    /// Signs the keys of machines.
    pub(crate) bundle_key: BundleKey,
    /// How many keys are being decided on at once.
    pub(crate) admissions: Semaphore,
    pub(crate) journal: Journal,
    pub(crate) proofs: Arc<Proofs>,
    pub(crate) replicas: Replicas,
    /// How machines join; nothing where nobody listens for them.
    pub(crate) joins: OnceLock<Joins>,
    /// Where the state keeps the checkpoint of this node's audit log.
    pub(crate) anchor_key: Key,
    pub(crate) figures: Figures,
    /// The fleet that this node is of; nothing where it is the only one.
    pub(crate) fleet: OnceLock<Fleet<S>>,
    /// What this node is called there.
    pub(crate) node: Option<NodeName>,
}

/// The state each concern decides by, kept in memory.
pub(crate) struct Replicas {
    pub(crate) projects: Replica<Projects>,
    pub(crate) keys: Replica<RegistryView>,
    pub(crate) iam: Replica<Directory>,
}

/// What a request decides and plans by.
pub(crate) struct State {
    pub(crate) projects: Reading<Projects>,
    pub(crate) keys: Reading<RegistryView>,
    pub(crate) iam: Reading<Directory>,
}

impl State {
    /// An error the caller can do nothing about: logged here, not told.
    pub(crate) fn internal(&self, error: &dyn Display) -> ApiError {
        tracing::error!(%error, "a step could not be planned");
        ApiError::internal()
    }
}

impl<S: StateStore> ControlPlane<S> {
    /// The state in memory, to plan changes by, unless it is too old to.
    pub(crate) fn current(&self) -> Result<State, ApiError> {
        let now = self.clock.now();
        let replicas = &self.replicas;
        let current = (replicas.projects.current(now), replicas.keys.current(now), replicas.iam.current(now));
        match current {
            (Ok(projects), Ok(keys), Ok(iam)) if self.vault.replica().is_fresh(now) => {
                Ok(State { projects: projects.into(), keys: keys.into(), iam: iam.into() })
            }
            _ => Err(self.stale()),
        }
    }

    /// The state to decide by: what is in memory, and where that is too old, what the settings say.
    pub(crate) async fn read(&self) -> Result<State, ApiError> {
        let now = self.clock.now();
        let read = async {
            let projects = self.replicas.projects.read(now).await?;
            let keys = self.replicas.keys.read(now).await?;
            let iam = self.replicas.iam.read(now).await?;
            Ok::<_, CurrentError>(State { projects, keys, iam })
        };
        match read.await {
            Ok(state) => {
                if state.iam.is_read_through() {
                    self.figures.read_through.increment(1);
                }
                Ok(state)
            }
            Err(CurrentError::Stale(_)) => Err(self.stale()),
            Err(error) => {
                tracing::warn!(%error, "the store could not be read in place of a replica");
                Err(self.stale())
            }
        }
    }

    /// The tokens in memory, to show, unless they are too old to.
    pub(crate) fn tokens(&self) -> Result<&Vault, ApiError> {
        if self.vault.replica().is_fresh(self.clock.now()) { Ok(&self.vault) } else { Err(self.stale()) }
    }

    pub(super) fn stale(&self) -> ApiError {
        self.figures.stale.increment(1);
        ApiError::unavailable("the state is not known to be current")
    }

    /// Whether requests can be decided by what is in memory, and recorded.
    pub(crate) fn is_ready(&self) -> bool {
        self.applied_all(self.clock.now()).is_some() && self.journal.is_usable()
    }

    /// What every replica shows, while all are fresh.
    pub(crate) fn applied_all(&self, now: UnixTime) -> Option<Revision> {
        let (replicas, tokens) = (&self.replicas, self.vault.replica());
        let all = [
            replicas.projects.freshness(now),
            replicas.keys.freshness(now),
            replicas.iam.freshness(now),
            tokens.freshness(now),
        ];
        let is_fresh = all.iter().all(|freshness| freshness.is_fresh);
        all.iter().map(|freshness| freshness.applied).min().filter(|_| is_fresh)
    }

    /// Plans a change and commits it; when somebody else was faster, plans it again by what is then there.
    ///
    /// On return the change is durable, and every later request sees it.
    pub(crate) async fn change<T>(
        &self,
        plan: impl Fn(&State) -> Result<(T, Batch), ApiError>,
    ) -> Result<T, ApiError> {
        for _ in 0..MAX_ATTEMPTS {
            let (value, batch) = plan(&self.current()?)?;
            let is_read_only = batch.is_read_only();
            match self.commit(batch).await? {
                Commit::Committed(_) if is_read_only => return Ok(value),
                Commit::Committed(revision) => {
                    timed(&self.figures.apply, self.applied(revision)).await?;
                    return Ok(value);
                }
                // The replicas may be behind the commit that was in the way.
                Commit::Conflict(_) => {
                    self.figures.retries.increment(1);
                    self.catch_up().await?;
                }
            }
        }
        Err(ApiError::unavailable("others kept changing the same thing"))
    }

    pub(crate) async fn commit(&self, batch: Batch) -> Result<Commit, ApiError> {
        let store = self.store.clone();
        // A commit of an embedded store waits for the disk: not on a thread that serves others.
        let commit = tokio::task::spawn_blocking(move || Handle::current().block_on(store.commit(batch)));
        match timed(&self.figures.commit, commit).await {
            Ok(Ok(commit)) => Ok(commit),
            Ok(Err(error)) => {
                tracing::error!(%error, "a commit failed");
                Err(match error {
                    CommitError::OutcomeUnknown { .. } => ApiError::outcome_unknown(),
                    _ => ApiError::unavailable("the store does not answer"),
                })
            }
            Err(error) => {
                tracing::error!(%error, "a commit did not return");
                Err(ApiError::outcome_unknown())
            }
        }
    }

    /// Waits until every replica shows the revision: then every request after this one sees the change.
    pub(crate) async fn applied(&self, revision: Revision) -> Result<(), ApiError> {
        let all = async {
            self.replicas.projects.applied(revision).await;
            self.replicas.keys.applied(revision).await;
            self.replicas.iam.applied(revision).await;
            self.vault.replica().applied(revision).await;
        };
        // The change is made, but whether it is in force here is not known.
        tokio::time::timeout(APPLY_TIMEOUT, all).await.map_err(|_| ApiError::outcome_unknown())
    }

    /// The revision that every replica shows: at least that of every change this server has answered.
    pub(crate) fn reached(&self) -> Revision {
        self.replicas.iam.snapshot().revision()
    }

    async fn catch_up(&self) -> Result<(), ApiError> {
        let revision = self.confirm().await?;
        self.applied(revision).await
    }

    /// Confirms every replica against the store.
    pub(crate) async fn confirm(&self) -> Result<Revision, ApiError> {
        let all = async {
            self.replicas.projects.confirm(&self.store, &self.clock).await?;
            self.replicas.keys.confirm(&self.store, &self.clock).await?;
            self.replicas.iam.confirm(&self.store, &self.clock).await?;
            if let Some(joins) = self.joins.get() {
                joins.confirm(&self.store, &self.clock).await?;
            }
            self.vault.replica().confirm(&self.store, &self.clock).await
        };
        let unavailable = || ApiError::unavailable("the store does not answer");
        match tokio::time::timeout(APPLY_TIMEOUT, all).await {
            Ok(Ok(revision)) => Ok(revision),
            Ok(Err(error)) => {
                tracing::error!(%error, "the replicas could not be confirmed");
                Err(unavailable())
            }
            Err(_) => Err(unavailable()),
        }
    }

    /// Keeps a checkpoint of the audit log in the state, now and then, for as long as the server runs.
    pub(crate) async fn keep_anchoring(self: Arc<Self>) {
        let mut kept = None;
        loop {
            let checkpoint = self.journal.checkpoint();
            if kept != Some(checkpoint) {
                match self.anchor(checkpoint).await {
                    Ok(()) => kept = Some(checkpoint),
                    Err(error) => tracing::error!(%error, "the log's checkpoint could not be kept"),
                }
            }
            tokio::time::sleep(ANCHOR_PAUSE).await;
        }
    }

    /// Keeps this checkpoint of the audit log in the state.
    pub(crate) async fn anchor(&self, checkpoint: Checkpoint) -> Result<(), StartError> {
        let (store, key) = (self.store.clone(), self.anchor_key.clone());
        let kept = tokio::task::spawn_blocking(move || {
            Handle::current().block_on(anchor::keep(&store, key, checkpoint))
        });
        kept.await.map_err(StartError::part("the state's checkpoint of the audit log"))?.map(drop)
    }

    /// Writes when tokens were last used, in batches, for as long as the server runs.
    pub(crate) async fn keep_counting(self: Arc<Self>) {
        loop {
            tokio::time::sleep(USAGE_PAUSE).await;
            self.flush_usage().await;
        }
    }

    /// Writes one batch of it. What could not be written is kept for the next.
    pub(crate) async fn flush_usage(self: &Arc<Self>) {
        let plane = Arc::clone(self);
        let flushed = tokio::task::spawn_blocking(move || {
            let flush = plane.vault.flush_usage(&plane.store, USAGE_INTERVAL, plane.clock.now());
            Handle::current().block_on(flush)
        });
        match flushed.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the use of tokens could not be written yet"),
            Err(error) => tracing::error!(%error, "the use of tokens could not be written"),
        }
    }

    /// Keeps confirming, a few times within the staleness bound, for as long as the server runs.
    pub(crate) async fn keep_confirming(self: Arc<Self>) {
        loop {
            tokio::time::sleep(CONFIRM_PAUSE).await;
            // An error was logged; the replicas age, and requests are refused when they are too old.
            let _ = self.confirm().await;
        }
    }
}

/// Follows the store for as long as the server runs.
pub(crate) async fn keep_following<S: StateStore, V: View>(mut driver: Driver<S, V>) {
    loop {
        let Err(error) = driver.run().await;
        tracing::error!(%error, "a replica lost the store");
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

/// How old the state may be that a request is decided by.
pub(crate) const STALENESS_BOUND: Duration = Duration::from_secs(5);

/// How long a request waits for the store where it is read in place of a replica.
pub(crate) const READ_THROUGH_TIMEOUT: Duration = Duration::from_secs(2);

/// A few confirmations may fail before the bound is passed.
const CONFIRM_PAUSE: Duration = Duration::from_millis(600);
/// How often a change is planned anew before the caller is told to try later.
const MAX_ATTEMPTS: u32 = 16;
/// How often the uses of tokens are written, and how often at most those of one token.
const USAGE_PAUSE: Duration = Duration::from_secs(2);
const USAGE_INTERVAL: Duration = Duration::from_secs(60);
const ANCHOR_PAUSE: Duration = Duration::from_secs(5);
const APPLY_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// The permission that this text of ours is.
pub(crate) fn permission(text: &'static str) -> Result<core_types::Permission, ApiError> {
    text.parse().map_err(|error| {
        tracing::error!(%error, text, "not a permission");
        ApiError::internal()
    })
}
