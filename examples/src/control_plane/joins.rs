//! How machines join this control plane's cluster: tickets and codes, who waits to be approved, who is a member.
//!
//! ```text
//! a machine ── TLS, its own port ──► listener ► session   Hello, Proof: it knows the secret
//!                                               waiting   with a code: an operator approves over the API
//!                                               changes   what is stored, one commit each, one at a time
//! ```
//!
//! A ticket names the role and the names it lets in, so who made it has approved them. A code says nothing of the
//! machine that uses it, so an operator is shown the machine and approves it, or not.
//!
//! The nodes of a fleet let machines in each, in the name of one member whose key they all hold. What is stored decides: a
//! ticket's use is counted by a compare-and-swap, so it lets in no more machines than it says, whichever nodes they come
//! to; a join that began at one node is finished at another. A code, and who waits to be approved, is one node's own.

mod changes;
mod listener;
mod session;
mod waiting;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use core_types::{Clock, SystemRandom};
use join_hmac::cluster::Cluster;
use join_hmac::code::PairingCode;
use join_hmac::error::{ClusterError, TicketError, WindowError};
use join_hmac::join::{Monotonic, Window, WindowConfig};
use join_hmac::trust::{ClusterId, Identity, MemberEntry, MemberId, TrustStore};
use state_store::replica::Replica;
use state_store::{Commit, Key, Prefix, ReadError, RecordError, Revision, StateStore, Value, View};
use tokio::time::Instant;

pub(crate) use self::listener::JoinListener;
use self::waiting::Waiting;
pub(crate) use self::waiting::{Asked, intent_id};
use super::api_error::ApiError;
use super::startup::StartError;
use super::state::{ControlPlane, STALENESS_BOUND, keep_following};
use crate::join::machine::Machine;

/// The state of the joins.
pub(crate) struct Joins {
    machine: Machine,
    began: Instant,
    /// What is stored, as it was last read.
    cluster: RwLock<Arc<Cluster>>,
    /// How often it was changed, by whichever node.
    changes: Replica<Changes>,
    /// How many of these were there at least when it was last read.
    known: AtomicU64,
    /// One reading at a time, so that none puts an older state in place of a newer one.
    reading: tokio::sync::Mutex<()>,
    window: Mutex<Numbered>,
    waiting: Mutex<BTreeMap<String, Waiting>>,
    /// One change at a time, so that each is planned by what the one before it left.
    changing: tokio::sync::Mutex<()>,
}

/// Counts the changes of the cluster's records.
#[derive(Debug, Clone, Copy, Default)]
struct Changes {
    count: u64,
}

impl View for Changes {
    fn put(&mut self, key: &Key, _value: &Value, _revision: Revision) -> Result<(), RecordError> {
        self.poison(key);
        Ok(())
    }

    fn delete(&mut self, key: &Key) {
        self.poison(key);
    }

    fn poison(&mut self, _key: &Key) {
        self.count = self.count.saturating_add(1);
    }
}

/// A window, and which one it is: what was half open in another is not in this one.
struct Numbered {
    number: u64,
    window: Window,
}

/// Opens the joins: founds the cluster where there is none.
pub(super) async fn open<S: StateStore>(plane: &ControlPlane<S>, file: &Path) -> Result<(), StartError> {
    let part = "joins";
    let (store, random) = (&plane.store, &plane.random);
    let cluster = match Cluster::load(store).await.map_err(StartError::part(part))? {
        Some(cluster) => cluster,
        None => {
            let machine = Machine::read_or_make(file, random).map_err(StartError::part(part))?;
            found(plane, &machine).await?;
            let founded = Cluster::load(store).await.map_err(StartError::part(part))?;
            founded.ok_or(ClusterError::Damaged).map_err(StartError::part(part))?
        }
    };
    // The cluster knows its members by their keys: a new key is another machine.
    let machine = Machine::read(file).map_err(StartError::part(part))?;
    let known = machine.filter(|machine| {
        let id = MemberId::of(&machine.identity().key().public());
        cluster.store().member(&id).is_some()
    });
    let machine = known.ok_or_else(|| {
        let message = format!("{} is not the key of a member of the cluster in the store", file.display());
        StartError::Part { what: part, message }
    })?;
    let prefix = Prefix::new(join_hmac::cluster::PREFIX).map_err(StartError::part(part))?;
    let opened = Replica::open(store.clone(), prefix, Changes::default(), STALENESS_BOUND, &plane.clock);
    let (changes, driver) = opened.await.map_err(StartError::part(part))?;
    tokio::spawn(keep_following(driver));
    let began = Instant::now();
    let window =
        new_window(&machine, &cluster, Monotonic::from_millis(0), random).map_err(StartError::part(part))?;
    let joins = Joins {
        machine,
        began,
        cluster: RwLock::new(Arc::new(cluster)),
        changes,
        known: AtomicU64::new(0),
        reading: tokio::sync::Mutex::default(),
        window: Mutex::new(Numbered { number: 0, window }),
        waiting: Mutex::default(),
        changing: tokio::sync::Mutex::default(),
    };
    plane.joins.set(joins).map_err(|_| StartError::Part { what: part, message: "opened twice".into() })
}

async fn found<S: StateStore>(plane: &ControlPlane<S>, machine: &Machine) -> Result<(), StartError> {
    let part = "joins";
    let id = ClusterId::generate(&plane.random).map_err(StartError::part(part))?;
    let entry = MemberEntry::new(FIRST_MEMBER, FIRST_ROLE, &[], machine.identity())
        .map_err(StartError::part(part))?;
    let founded = TrustStore::found(id, entry, machine.identity()).map_err(StartError::part(part))?;
    let batch = Cluster::plan_found(&founded.0, &founded.1).map_err(StartError::part(part))?;
    let open = plane.journal.begin_own(FOUND, plane.clock.now()).await?;
    let committed = match plane.commit(batch).await {
        Ok(Commit::Committed(revision)) => plane.applied(revision).await,
        Ok(Commit::Conflict(_)) => Err(ApiError::unavailable("another process founds the cluster")),
        Err(error) => Err(error),
    };
    open.finish_at(Some(plane.reached()), committed.as_ref().err()).await?;
    committed.map_err(|error| StartError::Part { what: part, message: error.message().to_owned() })
}

fn new_window(
    machine: &Machine,
    cluster: &Cluster,
    now: Monotonic,
    random: &SystemRandom,
) -> Result<Window, WindowError> {
    let identity = Arc::clone(machine.identity());
    Window::open(WindowConfig::default(), identity, cluster.store(), now, random)
}

impl Joins {
    /// What is stored, as it was last read.
    fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.cluster.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who lets machines in.
    pub(crate) const fn identity(&self) -> &Arc<Identity> {
        self.machine.identity()
    }

    /// The present, by the clock that sessions end by.
    pub(crate) fn now(&self) -> Monotonic {
        Monotonic::from_millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Works with the open window; opens another when the last one's time is over.
    fn with_window<T>(
        &self,
        random: &SystemRandom,
        work: impl FnOnce(&mut Window, u64) -> T,
    ) -> Result<T, ApiError> {
        let mut numbered = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if self.now() >= numbered.window.closes_at() {
            self.open_another(&mut numbered, random)?;
        }
        let number = numbered.number;
        Ok(work(&mut numbered.window, number))
    }

    fn open_another(&self, numbered: &mut Numbered, random: &SystemRandom) -> Result<(), ApiError> {
        let window = new_window(&self.machine, &self.cluster(), self.now(), random).map_err(|error| {
            tracing::error!(%error, "a window could not be opened");
            ApiError::internal()
        })?;
        *numbered = Numbered { number: numbered.number.saturating_add(1), window };
        Ok(())
    }

    /// Shows a code in a window of its own, so that it has the whole time.
    pub(crate) fn show_code(&self, code: PairingCode, random: &SystemRandom) -> Result<u64, ApiError> {
        let mut numbered = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        self.open_another(&mut numbered, random)?;
        numbered.window.show_code(code);
        let left = numbered.window.closes_at().as_millis().saturating_sub(self.now().as_millis());
        Ok(left.checked_div(1000).unwrap_or_default())
    }

    /// Takes the code back; whether there was one.
    pub(crate) fn hide_code(&self, random: &SystemRandom) -> Result<bool, ApiError> {
        self.with_window(random, |window, _| {
            let shown = window.guesses_left().is_some();
            window.hide_code();
            shown
        })
    }

    /// How many guesses the code has left, if one is shown.
    pub(crate) fn guesses_left(&self, random: &SystemRandom) -> Result<Option<u32>, ApiError> {
        self.with_window(random, |window, _| window.guesses_left())
    }

    /// The replica that says when the records change.
    pub(crate) async fn confirm<S: StateStore>(&self, store: &S, clock: &dyn Clock) -> Result<(), ReadError> {
        self.changes.confirm(store, clock).await.map(drop)
    }

    /// Takes note of what is stored now, after so many changes at least.
    fn now_stored(&self, cluster: Cluster, changes: u64) {
        self.known.store(changes, Ordering::Release);
        let mut numbered = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        numbered.window.refresh(cluster.store());
        *self.cluster.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(cluster);
    }
}

/// An error of the cluster's records as the API says it.
pub(crate) fn refused(error: &ClusterError) -> ApiError {
    match error {
        ClusterError::Unknown => ApiError::not_found("ticket, join or member"),
        ClusterError::InUse => ApiError::taken("in_use", error.to_string()),
        ClusterError::Full => ApiError::taken("full", error.to_string()),
        ClusterError::Trust(error) => ApiError::taken("members_refused", error.to_string()),
        ClusterError::Ticket(TicketError::Policy) => {
            ApiError::invalid("invalid_field", TicketError::Policy.to_string())
        }
        ClusterError::Ticket(TicketError::Unusable) => {
            ApiError::taken("ticket_unusable", TicketError::Unusable.to_string())
        }
        error => {
            tracing::error!(%error, "the cluster's records");
            ApiError::internal()
        }
    }
}

/// The action of the cluster's founding in the audit log.
const FOUND: &str = "joins:found";
const FIRST_MEMBER: &str = "control-plane";
const FIRST_ROLE: &str = "control";
