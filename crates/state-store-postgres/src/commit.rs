//! Commits of one node: those that wait while a transaction is under way share the next.

use core::pin::Pin;
use core::task::Poll;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;

use state_store::{Batch, Commit, CommitError, Expect, Key, Revision, Write};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep};
use tokio_postgres::Row;

use crate::error::Failure;
use crate::outcome::CommitId;
use crate::pool::deadline_in;
use crate::schema::number;
use crate::session::{Connector, Pauses, Session};
use crate::stats::count;

/// A batch, its id, and who waits for it.
pub(crate) struct Item {
    pub(crate) id: CommitId,
    pub(crate) batch: Batch,
    pub(crate) answer: oneshot::Sender<Result<Commit, CommitError>>,
}

/// Makes the commits, one transaction at a time.
pub(crate) struct Committer {
    pub(crate) connector: Arc<Connector>,
    pub(crate) items: mpsc::Receiver<Item>,
    /// Rung after each transaction.
    pub(crate) committed: Arc<Notify>,
    pub(crate) session: Option<Session>,
}

impl Committer {
    /// Works until the store is closed.
    pub(crate) async fn run(mut self) {
        let mut items = Vec::new();
        while let Some(first) = self.items.recv().await {
            let mut weight = weigh(&first.batch);
            items.push(first);
            while items.len() < MAX_GROUP && weight < MAX_GROUP_WEIGHT {
                let Ok(next) = self.items.try_recv() else { break };
                weight = weight.saturating_add(weigh(&next.batch));
                items.push(next);
            }
            let group: Vec<(CommitId, &Batch)> = items.iter().map(|item| (item.id, &item.batch)).collect();
            let outcomes = self.commit(&group).await;
            for (item, outcome) in items.drain(..).zip(outcomes) {
                self.note(&outcome);
                // Who no longer waits finds out by the commit's id.
                let _ = item.answer.send(outcome);
            }
            self.committed.notify_one();
        }
    }

    fn note(&self, outcome: &Result<Commit, CommitError>) {
        let counters = &self.connector.counters;
        count(match outcome {
            Ok(Commit::Committed(revision)) => {
                self.connector.guard.saw(revision.get());
                &counters.commits
            }
            Ok(Commit::Conflict(_)) => &counters.conflicts,
            Err(CommitError::OutcomeUnknown { .. }) => &counters.unknown,
            Err(_) => &counters.failures,
        });
    }

    async fn commit(&mut self, group: &[(CommitId, &Batch)]) -> Vec<Result<Commit, CommitError>> {
        let deadline = deadline_in(self.connector.options.patience);
        let mut pauses = Pauses::new(&self.connector);
        loop {
            let failure = match self.attempt(group, deadline).await {
                Ok(outcomes) => return outcomes,
                Err(Attempt::Unknown(detail)) => return self.resolve(group, &detail).await,
                Err(Attempt::Failed(failure)) => failure,
            };
            let is_retryable =
                matches!(failure, Failure::Lost(_) | Failure::Answered { is_retryable: true, .. });
            if !is_retryable && group.len() > 1 {
                // One of them may be what the server refuses: each is tried by itself.
                let mut outcomes = Vec::with_capacity(group.len());
                for single in group.chunks(1) {
                    outcomes.extend(Box::pin(self.commit(single)).await);
                }
                return outcomes;
            }
            let pause = pauses.next();
            if !is_retryable || Instant::now().checked_add(pause).is_none_or(|then| then >= deadline) {
                return group.iter().map(|_| Err(failure.clone().before_commit())).collect();
            }
            sleep(pause).await;
        }
    }

    /// One transaction of all the batches.
    async fn attempt(
        &mut self,
        group: &[(CommitId, &Batch)],
        deadline: Instant,
    ) -> Result<Vec<Result<Commit, CommitError>>, Attempt> {
        self.connector.guard.check().map_err(Attempt::Failed)?;
        let session = match self.session.take().filter(|session| !session.client.is_closed()) {
            Some(session) => session,
            None => match tokio::time::timeout_at(deadline, self.connector.connect(None)).await {
                Ok(session) => session.map_err(Attempt::Failed)?,
                Err(_) => return Err(Attempt::Failed(Failure::timed_out("connect"))),
            },
        };
        let arguments: Vec<Arguments<'_>> =
            group.iter().map(|(id, batch)| Arguments::of(id, batch)).collect();
        count(&self.connector.counters.transactions);
        let answers =
            tokio::time::timeout(self.connector.options.patience, transact(&session, &arguments)).await;
        let answers = match answers {
            Ok(answers) => answers,
            // The session is dropped: what was asked for may still happen.
            Err(_) => Err(Attempt::Unknown("no answer in time to a commit".into())),
        };
        if let Ok(_) | Err(Attempt::Failed(_)) = &answers {
            self.session = Some(session);
        }
        let answers = answers?;
        Ok(group.iter().zip(answers).map(|((_, batch), rows)| outcome(batch, &rows)).collect())
    }

    /// Finds out what became of a transaction whose answer was lost.
    ///
    /// Every batch that writes leaves its id in the same transaction. The first id is written here, too, as that
    /// of a commit that wrote nothing: either it is there already, and the transaction took effect; or it is
    /// there now, and the transaction can no longer, wherever its messages still are.
    async fn resolve(
        &mut self,
        group: &[(CommitId, &Batch)],
        lost: &str,
    ) -> Vec<Result<Commit, CommitError>> {
        let deadline = deadline_in(self.connector.options.patience);
        let mut pauses = Pauses::new(&self.connector);
        let ids: Vec<&CommitId> =
            group.iter().filter(|(_, batch)| !batch.is_read_only()).map(|(id, _)| id).collect();
        let resolved = loop {
            match tokio::time::timeout_at(deadline, self.look_up(&ids)).await {
                Ok(Ok(resolved)) => break resolved,
                Ok(Err(Failure::Lost(_) | Failure::Answered { .. })) => sleep(pauses.next()).await,
                Ok(Err(_)) | Err(_) => break None,
            }
            if Instant::now() >= deadline {
                break None;
            }
        };
        let Some(resolved) = resolved else {
            let unknown = |id: &CommitId| CommitError::OutcomeUnknown {
                detail: format!("commit {id}: {lost}, and it could not be found out since").into(),
            };
            let nothing = || CommitError::Unavailable { detail: lost.into() };
            return group
                .iter()
                .map(|(id, batch)| Err(if batch.is_read_only() { nothing() } else { unknown(id) }))
                .collect();
        };
        count(&self.connector.counters.resolved);
        group
            .iter()
            .map(|(id, _)| match resolved.get(id.as_bytes().as_slice()) {
                Some(&revision) if revision > 0 => Ok(Commit::Committed(Revision::new(revision))),
                _ => Err(CommitError::Unavailable { detail: lost.into() }),
            })
            .collect()
    }

    /// What is known of these commits; `None` when the store has forgotten.
    async fn look_up(&mut self, ids: &[&CommitId]) -> Result<Option<HashMap<Vec<u8>, u64>>, Failure> {
        let Some(&first) = ids.first() else { return Ok(Some(HashMap::new())) };
        let session = match self.session.take().filter(|session| !session.client.is_closed()) {
            Some(session) => session,
            None => self.connector.connect(None).await?,
        };
        let known =
            fence(&session, &self.connector.sql.fence, &self.connector.sql.outcomes, first, ids).await?;
        self.session = Some(session);
        Ok(known)
    }
}

/// Writes `first`'s id unless it is there, and reads what became of all; `None` when it is older than the history.
pub(crate) async fn fence(
    session: &Session,
    fence: &str,
    outcomes: &str,
    first: &CommitId,
    ids: &[&CommitId],
) -> Result<Option<HashMap<Vec<u8>, u64>>, Failure> {
    session.client.execute(fence, &[&first.as_bytes().as_slice()]).await?;
    let wanted: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
    let mut known = HashMap::new();
    let mut floor = 0;
    for row in session.client.query(outcomes, &[&wanted]).await? {
        floor = number(row.try_get(2)?)?;
        known.insert(row.try_get::<_, Vec<u8>>(0)?, number(row.try_get(1)?)?);
    }
    // The history forgets ids from before its floor: that one is new says nothing then.
    let is_known = known.get(first.as_bytes().as_slice()).is_some_and(|&revision| revision > 0);
    Ok((is_known || first.seen() >= floor).then_some(known))
}

/// Why an attempt has no outcomes.
enum Attempt {
    /// Nothing was written.
    Failed(Failure),
    /// All or nothing was written.
    Unknown(Box<str>),
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, tokio_postgres::Error>> + Send + 'a>>;

/// Sends a whole transaction at once, and returns what each batch's statement says.
async fn transact(session: &Session, arguments: &[Arguments<'_>]) -> Result<Vec<Vec<Row>>, Attempt> {
    let client = &session.client;
    let mut sent: Vec<Answer<'_>> = Vec::with_capacity(arguments.len().saturating_add(2));
    sent.push(Box::pin(async { client.batch_execute(&session.begin).await.map(|()| Vec::new()) }));
    for batch in arguments {
        sent.push(Box::pin(batch.send(session)));
    }
    sent.push(Box::pin(async { client.batch_execute("COMMIT").await.map(|()| Vec::new()) }));

    // A future sends its message when it is polled first: each once, in order, and all are on their way.
    let mut early = Vec::with_capacity(sent.len());
    poll_fn(|context| {
        early.extend(sent.iter_mut().map(|answer| answer.as_mut().poll(context)));
        Poll::Ready(())
    })
    .await;
    let last = sent.len().saturating_sub(1);
    let mut answers = Vec::with_capacity(sent.len());
    let mut failed: Option<Failure> = None;
    for (place, (answer, early)) in sent.into_iter().zip(early).enumerate() {
        let answer = match early {
            Poll::Ready(answer) => answer,
            Poll::Pending => answer.await,
        };
        match answer.map_err(Failure::from) {
            Ok(rows) => answers.push(rows),
            // The server has said that a statement failed: its transaction is rolled back, and `COMMIT` says so.
            Err(failure @ Failure::Answered { .. }) if place < last => {
                failed.get_or_insert(failure);
            }
            Err(_) if failed.is_some() => {}
            Err(failure) => return Err(Attempt::Unknown(failure.into_detail())),
        }
    }
    if let Some(failure) = failed {
        return Err(Attempt::Failed(failure));
    }
    answers.pop();
    Ok(answers.split_off(1.min(answers.len())))
}

/// A batch as its statement takes it.
struct Arguments<'a> {
    id: &'a [u8],
    seen: i64,
    expected_keys: Vec<&'a [u8]>,
    expected: Vec<i64>,
    put_keys: Vec<&'a [u8]>,
    put_values: Vec<&'a [u8]>,
    deleted: Vec<&'a [u8]>,
    bytes: i64,
    writes: bool,
}

impl<'a> Arguments<'a> {
    fn of(id: &'a CommitId, batch: &'a Batch) -> Self {
        let mut arguments = Self {
            id: id.as_bytes(),
            seen: i64::try_from(id.seen()).unwrap_or(i64::MAX),
            expected_keys: Vec::new(),
            expected: Vec::new(),
            put_keys: Vec::new(),
            put_values: Vec::new(),
            deleted: Vec::new(),
            bytes: i64::try_from(weigh(batch)).unwrap_or(i64::MAX),
            writes: !batch.is_read_only(),
        };
        for (key, expect) in batch.expectations() {
            arguments.expected_keys.push(key.as_bytes());
            arguments.expected.push(match expect {
                Expect::Absent => ABSENT,
                Expect::Revision(revision) => i64::try_from(revision.get()).unwrap_or(NEVER),
            });
        }
        for (key, write) in batch.writes() {
            match write {
                Write::Put(value) => {
                    arguments.put_keys.push(key.as_bytes());
                    arguments.put_values.push(value.as_bytes());
                }
                Write::Delete => arguments.deleted.push(key.as_bytes()),
            }
        }
        arguments
    }

    async fn send(&self, session: &Session) -> Result<Vec<Row>, tokio_postgres::Error> {
        session
            .client
            .query(
                &session.batch,
                &[
                    &self.expected_keys,
                    &self.expected,
                    &self.put_keys,
                    &self.put_values,
                    &self.deleted,
                    &self.id,
                    &self.bytes,
                    &self.writes,
                    &self.seen,
                ],
            )
            .await
    }
}

/// What a batch's statement says became of it.
fn outcome(batch: &Batch, rows: &[Row]) -> Result<Commit, CommitError> {
    let read = || -> Result<Commit, Failure> {
        let row = rows.first().ok_or_else(|| Failure::damaged("the store's head is gone"))?;
        if let Some(key) = row.try_get::<_, Option<&[u8]>>(1)? {
            let key = Key::new(key).map_err(|_| Failure::damaged("a key in conflict is none"))?;
            return Ok(Commit::Conflict(key));
        }
        match row.try_get::<_, Option<i64>>(0)? {
            Some(revision) => Ok(Commit::Committed(Revision::new(number(revision)?))),
            None if batch.is_read_only() => Ok(Commit::Committed(Revision::new(number(row.try_get(2)?)?))),
            None => {
                let detail = "this node is too far behind the store's history".into();
                Err(Failure::Answered { detail, is_retryable: true })
            }
        }
    };
    read().map_err(Failure::before_commit)
}

/// What a batch counts for, in the history and in a transaction.
fn weigh(batch: &Batch) -> usize {
    batch.writes().fold(0, |sum, (key, write)| {
        let value = match write {
            Write::Put(value) => value.as_bytes().len(),
            Write::Delete => 0,
        };
        sum.saturating_add(key.as_bytes().len()).saturating_add(value).saturating_add(WRITE_OVERHEAD)
    })
}

/// Stands for a key that holds nothing, and for a revision that no key can hold.
const ABSENT: i64 = -1;
const NEVER: i64 = -2;
const WRITE_OVERHEAD: usize = 64;
/// The most batches of a transaction, and the most bytes; one batch may have more.
const MAX_GROUP: usize = 128;
const MAX_GROUP_WEIGHT: usize = 8 << 20;
