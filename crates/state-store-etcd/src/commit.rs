//! A commit is one transaction of etcd's: compare, then put and delete, or else look at what is in the way.

use core::time::Duration;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use state_store::{Batch, Commit, CommitError, Expect, Key, Revision, Write};
use tokio::time::{Instant, sleep, timeout_at};

use crate::client::{Client, GRANT, TXN, deadline_in, number};
use crate::error::Failure;
use crate::proto::{
    Compare, Compared, DeleteRequest, LeaseGrantRequest, LeaseGrantResponse, Operation, PutRequest,
    RangeRequest, Request, Response, Target, TxnRequest, TxnResponse,
};

/// What the commits of a node have in common.
pub(crate) struct Commits {
    node: [u8; 16],
    count: AtomicU64,
    // Of the ids: how long a commit's outcome can be found out.
    lease: Mutex<Option<(i64, Instant)>>,
    pub(crate) committed: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) resolved: AtomicU64,
    pub(crate) unknown: AtomicU64,
}

impl Commits {
    pub(crate) fn new(node: [u8; 16]) -> Self {
        Self {
            node,
            count: AtomicU64::new(0),
            lease: Mutex::default(),
            committed: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            resolved: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
        }
    }

    pub(crate) async fn commit(&self, client: &Client, batch: &Batch) -> Result<Commit, CommitError> {
        let outcome = self.try_until_known(client, batch).await;
        let counter = match &outcome {
            Ok(Commit::Committed(revision)) => {
                client.saw(revision.get());
                &self.committed
            }
            Ok(Commit::Conflict(_)) => &self.conflicts,
            Err(CommitError::OutcomeUnknown { .. }) => &self.unknown,
            Err(_) => return outcome,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    async fn try_until_known(&self, client: &Client, batch: &Batch) -> Result<Commit, CommitError> {
        let deadline = deadline_in(client.options.patience);
        let mut pause = FIRST_PAUSE;
        loop {
            let lease = timeout_at(deadline, self.lease(client)).await;
            let lease = lease.unwrap_or_else(|_| Err(Failure::Lost("no member answers in time".into())));
            let lease = lease.map_err(Failure::before_commit)?;
            let id = self.next_id();
            let question = transaction(client, batch, &id, lease);
            let lost = match client.once::<_, TxnResponse>(TXN, question).await {
                Ok(answer) => return outcome(client, batch, &answer).map_err(Failure::before_commit),
                Err(Failure::Lost(detail)) => detail,
                Err(failure) => {
                    // The lease may have ended: there is another the next time.
                    *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    return Err(failure.before_commit());
                }
            };
            if !batch.is_read_only() {
                match self.resolve(client, &id, lease).await {
                    Some(Resolved::Committed(revision)) => return Ok(Commit::Committed(revision)),
                    Some(Resolved::Nothing) => {}
                    None => {
                        let detail = format!("{lost}, and it could not be found out since").into();
                        return Err(CommitError::OutcomeUnknown { detail });
                    }
                }
            }
            // It is certain that nothing was written, and that nothing of it will be.
            if Instant::now() >= deadline {
                return Err(CommitError::Unavailable { detail: lost });
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// Finds out what became of a transaction whose answer was lost: it put its id, unless the id was there. So the
    /// id is put here, unless it is there; whichever came first has settled it.
    async fn resolve(&self, client: &Client, id: &[u8], lease: i64) -> Option<Resolved> {
        let key = client.layout.id(id);
        let question = TxnRequest {
            compare: vec![absent(key.clone())],
            success: vec![Request::Put(PutRequest { key: key.clone(), value: FENCE.into(), lease }).into()],
            failure: vec![Request::Range(RangeRequest { key, ..RangeRequest::default() }).into()],
        };
        let answer: TxnResponse = client.ask(TXN, question).await.ok()?;
        client.check(answer.header.as_ref()).ok()?;
        self.resolved.fetch_add(1, Ordering::Relaxed);
        if answer.succeeded {
            return Some(Resolved::Nothing);
        }
        let Some(Response::Range(found)) = answer.responses.into_iter().next()?.response else { return None };
        let kv = found.kvs.into_iter().next()?;
        if kv.value == FENCE {
            return Some(Resolved::Nothing);
        }
        Some(Resolved::Committed(Revision::new(number(kv.mod_revision).ok()?)))
    }

    fn next_id(&self) -> Vec<u8> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        [self.node.as_slice(), &count.to_be_bytes()].concat()
    }

    /// A lease with at least half of its time left.
    async fn lease(&self, client: &Client) -> Result<i64, Failure> {
        let known = *self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((lease, granted)) = known
            && granted.elapsed() < RENEWAL
        {
            return Ok(lease);
        }
        let granted = Instant::now();
        let answer: LeaseGrantResponse = client.ask(GRANT, LeaseGrantRequest { ttl: LEASE_SECONDS }).await?;
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = Some((answer.id, granted));
        Ok(answer.id)
    }
}

enum Resolved {
    Committed(Revision),
    Nothing,
}

fn absent(key: Vec<u8>) -> Compare {
    Compare { target: Target::Create.into(), key, compared: Some(Compared::CreateRevision(0)) }
}

fn transaction(client: &Client, batch: &Batch, id: &[u8], lease: i64) -> TxnRequest {
    let layout = &client.layout;
    let mut txn = TxnRequest::default();
    for (key, expect) in batch.expectations() {
        let place = layout.entry(key);
        // A key that holds nothing has modification revision 0, which is no commit's.
        let expected = match expect {
            Expect::Absent => 0,
            Expect::Revision(Revision::ZERO) => i64::MAX,
            Expect::Revision(revision) => i64::try_from(revision.get()).unwrap_or(i64::MAX),
        };
        let compared = Some(Compared::ModRevision(expected));
        txn.compare.push(Compare { target: Target::Mod.into(), key: place.clone(), compared });
        let range = RangeRequest { key: place, keys_only: true, ..RangeRequest::default() };
        txn.failure.push(Request::Range(range).into());
    }
    if batch.is_read_only() {
        txn.success
            .push(Request::Range(RangeRequest { key: layout.head(), ..RangeRequest::default() }).into());
        return txn;
    }
    txn.compare.push(absent(layout.id(id)));
    for (key, write) in batch.writes() {
        let key = layout.entry(key);
        let request = match write {
            Write::Put(value) => Request::Put(PutRequest { key, value: value.as_bytes().to_vec(), lease: 0 }),
            Write::Delete => Request::Delete(DeleteRequest { key }),
        };
        txn.success.push(Operation::from(request));
    }
    let head = PutRequest { key: layout.head(), value: id.to_vec(), lease: 0 };
    let id = PutRequest { key: layout.id(id), value: COMMITTED.into(), lease };
    txn.success.extend([Request::Put(head).into(), Request::Put(id).into()]);
    txn
}

fn outcome(client: &Client, batch: &Batch, answer: &TxnResponse) -> Result<Commit, Failure> {
    let revision = client.check(answer.header.as_ref())?;
    let mut ranges = answer.responses.iter().map(|part| match &part.response {
        Some(Response::Range(range)) => Some(range),
        _ => None,
    });
    if answer.succeeded {
        if !batch.is_read_only() {
            return Ok(Commit::Committed(Revision::new(revision)));
        }
        let head = ranges.next().flatten().and_then(|range| range.kvs.first());
        return Ok(Commit::Committed(Revision::new(head.map_or(Ok(0), |head| number(head.mod_revision))?)));
    }
    for ((key, expect), range) in batch.expectations().zip(ranges) {
        let range = range.ok_or_else(|| Failure::Damaged("a question without its answer".into()))?;
        let held = range.kvs.first().map(|kv| number(kv.mod_revision)).transpose()?;
        let holds = match expect {
            Expect::Absent => held.is_none(),
            Expect::Revision(revision) => held == Some(revision.get()),
        };
        if !holds {
            return Ok(Commit::Conflict(Key::clone(key)));
        }
    }
    Err(Failure::Lost("this commit was given up before".into()))
}

const COMMITTED: &[u8] = b"committed";
const FENCE: &[u8] = b"given up";
/// For how long ids are kept. A request that is on its way for longer than this is nobody's any more.
const LEASE_SECONDS: i64 = 7200;
const RENEWAL: Duration = Duration::from_secs(3600);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
