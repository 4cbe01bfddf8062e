//! Commits of one node: those that wait while a transaction is under way share the next.

use std::sync::Arc;

use state_store::{Batch, Commit, CommitError};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::error::Failure;
use crate::fence::settle;
use crate::outcome::{CommitId, Outcome};
use crate::pool::deadline_in;
use crate::session::{Connector, Pauses, Session};
use crate::stats::count;
use crate::transact::{Attempt, Transactions, weigh};

/// A batch, its id, and who waits for it.
pub(crate) struct Item {
    pub(crate) id: CommitId,
    /// Whether others know the id, and might use it again.
    pub(crate) is_named: bool,
    pub(crate) batch: Batch,
    pub(crate) answer: oneshot::Sender<Result<Commit, CommitError>>,
}

/// Makes the commits, one transaction at a time.
pub(crate) struct Committer {
    pub(crate) connector: Arc<Connector>,
    pub(crate) items: mpsc::Receiver<Item>,
    /// Rung after each transaction.
    pub(crate) committed: Arc<Notify>,
    session: Option<Session>,
    transactions: Transactions,
}

impl Committer {
    pub(crate) fn new(
        connector: Arc<Connector>,
        items: mpsc::Receiver<Item>,
        committed: Arc<Notify>,
    ) -> Self {
        Self { connector, items, committed, session: None, transactions: Transactions::default() }
    }

    /// Works until the store is closed.
    pub(crate) async fn run(mut self) {
        let mut items = Vec::new();
        let mut expected = 0;
        while let Some(first) = self.next().await {
            let mut weight = weigh(&first.batch);
            items.push(first);
            // Whoever was answered just now is likely to be back in a moment.
            let mut patience = MAX_YIELDS;
            while items.len() < MAX_GROUP && weight < MAX_GROUP_WEIGHT {
                if let Ok(next) = self.items.try_recv() {
                    weight = weight.saturating_add(weigh(&next.batch));
                    items.push(next);
                } else if items.len() < expected && patience > 0 {
                    patience = patience.saturating_sub(1);
                    yield_now().await;
                } else {
                    break;
                }
            }
            expected = items.len();
            let outcomes = self.commit(&items).await;
            for (item, outcome) in items.drain(..).zip(outcomes) {
                self.note(&outcome);
                // Who no longer waits finds out by the commit's id.
                let _ = item.answer.send(outcome);
            }
            self.committed.notify_one();
        }
    }

    /// The next batch. After the last it often comes within less time than it takes to wake this thread.
    async fn next(&mut self) -> Option<Item> {
        for _ in 0..MAX_YIELDS {
            if let Ok(item) = self.items.try_recv() {
                return Some(item);
            }
            yield_now().await;
        }
        self.items.recv().await
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

    async fn commit(&mut self, group: &[Item]) -> Vec<Result<Commit, CommitError>> {
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
        group: &[Item],
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
        count(&self.connector.counters.transactions);
        let patience = self.connector.options.patience;
        let answers = tokio::time::timeout(patience, self.transactions.make(&session, group)).await;
        let answers = match answers {
            Ok(answers) => answers,
            // The session is dropped: what was asked for may still happen.
            Err(_) => Err(Attempt::Unknown("no answer in time to a commit".into())),
        };
        if let Ok(_) | Err(Attempt::Failed(_)) = &answers {
            self.session = Some(session);
        }
        answers
    }

    /// Finds out what became of a transaction whose answer was lost.
    async fn resolve(&mut self, group: &[Item], lost: &str) -> Vec<Result<Commit, CommitError>> {
        let deadline = deadline_in(self.connector.options.patience);
        let mut pauses = Pauses::new(&self.connector);
        let ids: Vec<CommitId> = group.iter().map(|item| item.id).collect();
        let resolved = loop {
            match tokio::time::timeout_at(deadline, self.look_up(&ids)).await {
                Ok(Ok(resolved)) => break Some(resolved),
                Ok(Err(Failure::Lost(_) | Failure::Answered { .. })) => sleep(pauses.next()).await,
                Ok(Err(_)) | Err(_) => break None,
            }
            if Instant::now() >= deadline {
                break None;
            }
        };
        if resolved.is_some() {
            count(&self.connector.counters.resolved);
        }
        let outcomes = resolved.unwrap_or_default().into_iter().map(Some).chain(core::iter::repeat(None));
        let outcome = |(item, outcome): (&Item, Option<Outcome>)| match outcome {
            Some(Outcome::Committed(revision)) => Ok(Commit::Committed(revision)),
            Some(Outcome::NothingWritten) => Err(CommitError::Unavailable { detail: lost.into() }),
            _ if item.batch.is_read_only() => Err(CommitError::Unavailable { detail: lost.into() }),
            _ => {
                let detail = format!("commit {}: {lost}, and it could not be found out since", item.id);
                Err(CommitError::OutcomeUnknown { detail: detail.into() })
            }
        };
        group.iter().zip(outcomes).map(outcome).collect()
    }

    async fn look_up(&mut self, ids: &[CommitId]) -> Result<Vec<Outcome>, Failure> {
        let session = match self.session.take().filter(|session| !session.client.is_closed()) {
            Some(session) => session,
            None => self.connector.connect(None).await?,
        };
        let outcomes = settle(&session, &self.connector.sql, ids).await?;
        self.session = Some(session);
        Ok(outcomes)
    }
}

/// The most batches of a transaction, and the most bytes; one batch may have more.
const MAX_GROUP: usize = 128;
const MAX_GROUP_WEIGHT: usize = 8 << 20;
/// How often a batch is looked for before it is waited for: some tens of microseconds in all.
const MAX_YIELDS: u32 = 32;
