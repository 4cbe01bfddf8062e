//! The keys by which the outcome of a commit can be found out.
//!
//! A commit takes a slot of its node. Its transaction demands that nobody has written the slot since the node last did,
//! and writes its own id there. So it takes effect once at most, and a look at the slot tells whether it did; and when the
//! slot is written by something else meanwhile, it never does. A node has as many slots as it had commits at once, and
//! they go, by a lease, when it has gone.

use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::client::{Client, GRANT};
use crate::error::Failure;
use crate::layout::Layout;
use crate::proto::{
    Compare, Compared, LeaseGrantRequest, LeaseGrantResponse, PutRequest, RangeRequest, Target,
};

/// A key that one commit at a time writes.
pub(crate) struct Slot {
    key: Vec<u8>,
    // 0 before it was written.
    written_at: i64,
    lease: i64,
}

impl Slot {
    pub(crate) fn untouched(&self) -> Compare {
        let compared = Some(Compared::ModRevision(self.written_at));
        Compare { target: Target::Mod.into(), key: self.key.clone(), compared }
    }

    /// While the lease lasts, so does what was written before: etcd refuses to write under one that is gone.
    pub(crate) fn put(&self, value: Vec<u8>) -> PutRequest {
        PutRequest { key: self.key.clone(), value, lease: self.lease }
    }

    pub(crate) fn look(&self) -> RangeRequest {
        RangeRequest { key: self.key.clone(), ..RangeRequest::default() }
    }

    pub(crate) fn was_written(&mut self, revision: i64) {
        self.written_at = revision;
    }
}

/// The slots of one node.
pub(crate) struct Slots {
    node: [u8; 16],
    made: AtomicU64,
    permits: Semaphore,
    free: Mutex<Vec<Slot>>,
    lease: AsyncMutex<Option<(i64, Instant)>>,
}

impl Slots {
    pub(crate) fn new(node: [u8; 16]) -> Self {
        Self {
            node,
            made: AtomicU64::new(0),
            permits: Semaphore::new(MAX_COMMITS_AT_ONCE),
            free: Mutex::default(),
            lease: AsyncMutex::default(),
        }
    }

    /// Waits while too many commits are under way.
    pub(crate) async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        self.permits.acquire().await.ok()
    }

    /// A slot under a lease with at least half of its time left.
    pub(crate) async fn take(&self, client: &Client) -> Result<Slot, Failure> {
        let lease = self.lease(client).await?;
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        // What is under an older lease is about to go.
        free.retain(|slot| slot.lease == lease);
        Ok(free.pop().unwrap_or_else(|| self.new_slot(&client.layout, lease)))
    }

    pub(crate) fn give_back(&self, slot: Slot) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
    }

    /// Takes another lease the next time.
    pub(crate) async fn forget_lease(&self) {
        *self.lease.lock().await = None;
    }

    fn new_slot(&self, layout: &Layout, lease: i64) -> Slot {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = [self.node.as_slice(), &number.to_be_bytes()].concat();
        Slot { key: layout.slot(&name), written_at: 0, lease }
    }

    async fn lease(&self, client: &Client) -> Result<i64, Failure> {
        let mut known = self.lease.lock().await;
        if let Some((lease, granted)) = *known
            && granted.elapsed() < RENEWAL
        {
            return Ok(lease);
        }
        let granted = Instant::now();
        let answer: LeaseGrantResponse = client.ask(GRANT, LeaseGrantRequest { ttl: LEASE_SECONDS }).await?;
        *known = Some((answer.id, granted));
        Ok(answer.id)
    }
}

/// How many commits of a node are under way at most, and so how many slots it has.
const MAX_COMMITS_AT_ONCE: usize = 256;
const LEASE_SECONDS: i64 = 1200;
const RENEWAL: Duration = Duration::from_secs(600);
