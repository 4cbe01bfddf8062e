//! A commit is one transaction of etcd's: compare, then put and delete, or else look at what is in the way.

use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering};

use state_store::{Batch, Commit, CommitError, Expect, Key, Revision, Write};
use tokio::time::{Instant, sleep, timeout_at};

use crate::client::{Client, TXN, deadline_in, number};
use crate::error::Failure;
use crate::proto::{
    Compare, Compared, DeleteRequest, Operation, PutRequest, RangeRequest, RangeResponse, Request, Response,
    Target, TxnRequest, TxnResponse,
};
use crate::slots::{Slot, Slots};

/// What the commits of a node have in common.
pub(crate) struct Commits {
    count: AtomicU64,
    slots: Slots,
    pub(crate) committed: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) resolved: AtomicU64,
    pub(crate) unknown: AtomicU64,
}

impl Commits {
    pub(crate) fn new(node: [u8; 16]) -> Self {
        Self {
            count: AtomicU64::new(0),
            slots: Slots::new(node),
            committed: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            resolved: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
        }
    }

    pub(crate) async fn commit(&self, client: &Client, batch: &Batch) -> Result<Commit, CommitError> {
        let outcome = if batch.is_read_only() {
            check(client, batch).await.map_err(Failure::before_commit)
        } else {
            self.write(client, batch).await
        };
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

    async fn write(&self, client: &Client, batch: &Batch) -> Result<Commit, CommitError> {
        let deadline = deadline_in(client.options.patience);
        let in_vain = |detail: &str| CommitError::Unavailable { detail: detail.into() };
        let permit = timeout_at(deadline, self.slots.permit()).await;
        let _permit = permit.map_err(|_| in_vain("too many commits are under way"))?;
        let mut pause = FIRST_PAUSE;
        loop {
            let slot = timeout_at(deadline, self.slots.take(client)).await;
            let slot = slot.unwrap_or_else(|_| Err(Failure::Lost("no member answers in time".into())));
            let mut slot = slot.map_err(Failure::before_commit)?;
            let id = self.count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            let question = transaction(client, batch, &slot, &id);
            let detail = match client.once::<_, TxnResponse>(TXN, question).await {
                Ok(answer) => match self.read(client, batch, &mut slot, &answer) {
                    Ok(Some(outcome)) => {
                        self.slots.give_back(slot);
                        return Ok(outcome);
                    }
                    // Somebody removed the slot; there are others.
                    Ok(None) => "the commit's slot is gone".into(),
                    Err(failure) => return Err(failure.before_commit()),
                },
                Err(Failure::Lost(lost)) => {
                    let resolved = self.resolve(client, &mut slot, &id).await;
                    let Some(resolved) = resolved else {
                        // Nobody uses this slot again.
                        let detail = format!("{lost}, and it could not be found out since").into();
                        return Err(CommitError::OutcomeUnknown { detail });
                    };
                    self.slots.give_back(slot);
                    if let Resolved::Committed(revision) = resolved {
                        return Ok(Commit::Committed(revision));
                    }
                    lost
                }
                Err(Failure::NoLease) => {
                    self.slots.forget_lease().await;
                    "the lease is gone".into()
                }
                Err(failure) => {
                    self.slots.give_back(slot);
                    return Err(failure.before_commit());
                }
            };
            // It is certain that nothing was written, and that nothing of it will be.
            if Instant::now() >= deadline {
                return Err(in_vain(&detail));
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// What the answer says; nothing where only the slot was in the way.
    fn read(
        &self,
        client: &Client,
        batch: &Batch,
        slot: &mut Slot,
        answer: &TxnResponse,
    ) -> Result<Option<Commit>, Failure> {
        let revision = client.check(answer.header.as_ref())?;
        if answer.succeeded {
            slot.was_written(i64::try_from(revision).unwrap_or(i64::MAX));
            return Ok(Some(Commit::Committed(Revision::new(revision))));
        }
        Ok(first_conflict(batch, answer)?.map(Commit::Conflict))
    }

    /// Finds out what became of a transaction whose answer was lost: it wrote its id to the slot, if nobody had written
    /// there since. So something else is written now, if nobody has; whichever came first has settled it.
    async fn resolve(&self, client: &Client, slot: &mut Slot, id: &[u8]) -> Option<Resolved> {
        let given_up = [GIVEN_UP, id].concat();
        let question = TxnRequest {
            compare: vec![slot.untouched()],
            success: vec![Request::Put(slot.put(given_up.clone())).into()],
            failure: vec![Request::Range(slot.look()).into()],
        };
        let answer: TxnResponse = client.ask(TXN, question).await.ok()?;
        client.check(answer.header.as_ref()).ok()?;
        self.resolved.fetch_add(1, Ordering::Relaxed);
        if answer.succeeded {
            slot.was_written(answer.header?.revision);
            return Some(Resolved::Nothing);
        }
        let kv = ranges(&answer).next()??.kvs.first()?;
        slot.was_written(kv.mod_revision);
        if kv.value == given_up {
            return Some(Resolved::Nothing);
        }
        if kv.value != [COMMITTED, id].concat() {
            return None;
        }
        Some(Resolved::Committed(Revision::new(number(kv.mod_revision).ok()?)))
    }
}

/// Looks whether everything holds that a batch expects.
async fn check(client: &Client, batch: &Batch) -> Result<Commit, Failure> {
    let mut question = expectations(client, batch);
    let head = RangeRequest { key: client.layout.head(), ..RangeRequest::default() };
    question.success.push(Request::Range(head).into());
    let answer: TxnResponse = client.ask(TXN, question).await?;
    client.check(answer.header.as_ref())?;
    if answer.succeeded {
        let head = ranges(&answer).next().flatten().and_then(|range| range.kvs.first());
        return Ok(Commit::Committed(Revision::new(head.map_or(Ok(0), |head| number(head.mod_revision))?)));
    }
    let conflict = first_conflict(batch, &answer)?;
    conflict.map(Commit::Conflict).ok_or_else(|| Failure::Damaged("a conflict on nothing".into()))
}

enum Resolved {
    Committed(Revision),
    Nothing,
}

/// What is expected, and else the look at it.
fn expectations(client: &Client, batch: &Batch) -> TxnRequest {
    let mut txn = TxnRequest::default();
    for (key, expect) in batch.expectations() {
        let place = client.layout.entry(key);
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
    txn
}

fn transaction(client: &Client, batch: &Batch, slot: &Slot, id: &[u8]) -> TxnRequest {
    let layout = &client.layout;
    let mut txn = expectations(client, batch);
    txn.compare.push(slot.untouched());
    for (key, write) in batch.writes() {
        let key = layout.entry(key);
        let request = match write {
            Write::Put(value) => Request::Put(PutRequest { key, value: value.as_bytes().to_vec(), lease: 0 }),
            Write::Delete => Request::Delete(DeleteRequest { key }),
        };
        txn.success.push(Operation::from(request));
    }
    let head = PutRequest { key: layout.head(), value: Vec::new(), lease: 0 };
    let id = slot.put([COMMITTED, id].concat());
    txn.success.extend([Request::Put(head).into(), Request::Put(id).into()]);
    txn
}

fn first_conflict(batch: &Batch, answer: &TxnResponse) -> Result<Option<Key>, Failure> {
    for ((key, expect), range) in batch.expectations().zip(ranges(answer)) {
        let range = range.ok_or_else(|| Failure::Damaged("a question without its answer".into()))?;
        let held = range.kvs.first().map(|kv| number(kv.mod_revision)).transpose()?;
        let holds = match expect {
            Expect::Absent => held.is_none(),
            Expect::Revision(revision) => held == Some(revision.get()),
        };
        if !holds {
            return Ok(Some(Key::clone(key)));
        }
    }
    Ok(None)
}

fn ranges(answer: &TxnResponse) -> impl Iterator<Item = Option<&RangeResponse>> {
    answer.responses.iter().map(|part| match &part.response {
        Some(Response::Range(range)) => Some(range),
        _ => None,
    })
}

/// Before an id in its slot.
const COMMITTED: &[u8] = b"+";
const GIVEN_UP: &[u8] = b"-";
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
