//! Sends transactions, and reads what became of them.

use core::pin::Pin;
use core::task::Poll;
use std::collections::HashSet;
use std::future::poll_fn;

use state_store::{Batch, Commit, CommitError, Expect, Key, Revision, Write};
use tokio_postgres::Row;
use tokio_postgres::error::Severity;

use crate::commit::Item;
use crate::error::Failure;
use crate::schema::number;
use crate::session::Session;

/// Why an attempt has no outcomes.
pub(crate) enum Attempt {
    /// Nothing was written.
    Failed(Failure),
    /// All or nothing was written.
    Unknown(Box<str>),
}

impl Attempt {
    /// The error of a statement that is a transaction of its own.
    fn of(error: tokio_postgres::Error) -> Self {
        // What ends a session may come between the commit and its answer; an error of the statement cannot.
        let is_final =
            error.as_db_error().is_some_and(|said| said.parsed_severity() == Some(Severity::Error));
        match Failure::from(error) {
            failure @ Failure::Answered { .. } if is_final => Self::Failed(failure),
            failure => Self::Unknown(failure.into_detail()),
        }
    }
}

/// Which way a group of commits is likely to succeed.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    // Groups for which the lock is taken beforehand, since others commit, too.
    contended: u32,
}

impl Transactions {
    /// All batches in one transaction and one round trip, or in two when something is in the way of a batch, or
    /// somebody else committed at the same moment.
    pub(crate) async fn make(
        &mut self,
        session: &Session,
        group: &[Item],
    ) -> Result<Vec<Result<Commit, CommitError>>, Attempt> {
        let together = Together::of(group);
        if let Some(together) = &together {
            let before = if self.contended > 0 {
                self.contended = self.contended.saturating_sub(1);
                let rows = in_transaction(session, vec![Box::pin(together.send(session))]).await?;
                rows.into_iter().flatten().next()
            } else {
                together.send(session).await.map_err(Attempt::of)?.into_iter().next()
            };
            if let Some(before) = before {
                return Ok(together.outcomes(&before));
            }
        }
        let arguments: Vec<Arguments<'_>> = group.iter().map(Arguments::of).collect();
        let statements = arguments.iter().map(|batch| -> Answer<'_> { Box::pin(batch.send(session)) });
        let answers = in_transaction(session, statements.collect()).await?;
        let outcomes: Vec<_> =
            group.iter().zip(answers).map(|(item, rows)| outcome(&item.batch, &rows)).collect();
        if together.is_some() && outcomes.iter().all(|outcome| matches!(outcome, Ok(Commit::Committed(_)))) {
            // Nothing was in the way but another commit.
            self.contended = CONTENDED_GROUPS;
        }
        Ok(outcomes)
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, tokio_postgres::Error>> + Send + 'a>>;

/// Takes the lock, sends the statements and the end of the transaction at once, and returns what each statement says.
async fn in_transaction(session: &Session, statements: Vec<Answer<'_>>) -> Result<Vec<Vec<Row>>, Attempt> {
    let client = &session.client;
    let mut sent: Vec<Answer<'_>> = Vec::with_capacity(statements.len().saturating_add(2));
    sent.push(Box::pin(async { client.batch_execute(&session.begin).await.map(|()| Vec::new()) }));
    sent.extend(statements);
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
            // Where the transaction did not even begin, what follows was carried out by itself.
            Err(failure @ Failure::Answered { .. }) if place > 0 && place < last => {
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

/// Batches that are decided and written by one statement: all of them, or none.
#[derive(Default)]
struct Together<'a> {
    ids: Vec<&'a [u8]>,
    count: i64,
    bytes: i64,
    seen: i64,
    expected_keys: Vec<&'a [u8]>,
    expected: Vec<i64>,
    // Of each put: whose, what, and at the first of a batch its id and the size so far.
    places: Vec<i64>,
    keys: Vec<&'a [u8]>,
    values: Vec<&'a [u8]>,
    first_ids: Vec<Option<&'a [u8]>>,
    sizes: Vec<Option<i64>>,
}

impl<'a> Together<'a> {
    /// `None` unless each of them puts, none deletes, and none has to do with what another puts. So it makes no
    /// difference that all are decided on what was there before.
    fn of(group: &'a [Item]) -> Option<Self> {
        let mut together = Self { seen: i64::MAX, ..Self::default() };
        let (mut written, mut concerned) = (HashSet::new(), HashSet::new());
        for item in group {
            if item.is_named || item.batch.is_read_only() {
                return None;
            }
            let id = item.id.as_bytes().as_slice();
            together.ids.push(id);
            together.count = together.count.checked_add(1)?;
            together.bytes = together.bytes.checked_add(size(&item.batch))?;
            together.seen = together.seen.min(i64::try_from(item.id.seen()).ok()?);
            let mut first = Some((id, together.bytes));
            for (key, write) in item.batch.writes() {
                let Write::Put(value) = write else { return None };
                if concerned.contains(key) {
                    return None;
                }
                together.places.push(together.count);
                together.keys.push(key.as_bytes());
                together.values.push(value.as_bytes());
                together.first_ids.push(first.map(|(id, _)| id));
                together.sizes.push(first.take().map(|(_, bytes)| bytes));
            }
            for (key, expect) in item.batch.expectations() {
                if written.contains(key) {
                    return None;
                }
                together.expected_keys.push(key.as_bytes());
                together.expected.push(expected(expect));
            }
            if group.len() > 1 {
                written.extend(item.batch.writes().map(|(key, _)| key));
                concerned.extend(item.batch.writes().map(|(key, _)| key));
                concerned.extend(item.batch.expectations().map(|(key, _)| key));
            }
        }
        Some(together)
    }

    /// Returns the head's revision before them; nothing where something is in the way of one.
    async fn send(&self, session: &Session) -> Result<Vec<Row>, tokio_postgres::Error> {
        session
            .client
            .query(
                &session.together,
                &[
                    &self.ids,
                    &self.count,
                    &self.bytes,
                    &self.seen,
                    &self.expected_keys,
                    &self.expected,
                    &self.places,
                    &self.keys,
                    &self.values,
                    &self.first_ids,
                    &self.sizes,
                ],
            )
            .await
    }

    fn outcomes(&self, before: &Row) -> Vec<Result<Commit, CommitError>> {
        let outcome = |place: i64| -> Result<Commit, Failure> {
            let revision = before.try_get::<_, i64>(0)?.saturating_add(place);
            Ok(Commit::Committed(Revision::new(number(revision)?)))
        };
        (1..=self.count).map(|place| outcome(place).map_err(Failure::before_commit)).collect()
    }
}

/// A batch as its own statement takes it.
struct Arguments<'a> {
    id: &'a [u8],
    is_named: bool,
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
    fn of(item: &'a Item) -> Self {
        let mut arguments = Self {
            id: item.id.as_bytes(),
            is_named: item.is_named,
            seen: i64::try_from(item.id.seen()).unwrap_or(i64::MAX),
            expected_keys: Vec::new(),
            expected: Vec::new(),
            put_keys: Vec::new(),
            put_values: Vec::new(),
            deleted: Vec::new(),
            bytes: size(&item.batch),
            writes: !item.batch.is_read_only(),
        };
        for (key, expect) in item.batch.expectations() {
            arguments.expected_keys.push(key.as_bytes());
            arguments.expected.push(expected(expect));
        }
        for (key, write) in item.batch.writes() {
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
                    &self.is_named,
                ],
            )
            .await
    }
}

/// What a batch's own statement says became of it.
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
                let detail = "the commit's id was used or given up, or is older than the history".into();
                Err(Failure::Answered { detail, is_retryable: false })
            }
        }
    };
    read().map_err(Failure::before_commit)
}

/// What a batch counts for, in the history and in a transaction.
pub(crate) fn weigh(batch: &Batch) -> usize {
    batch.writes().fold(0, |sum, (key, write)| {
        let value = match write {
            Write::Put(value) => value.as_bytes().len(),
            Write::Delete => 0,
        };
        sum.saturating_add(key.as_bytes().len()).saturating_add(value).saturating_add(WRITE_OVERHEAD)
    })
}

fn size(batch: &Batch) -> i64 {
    i64::try_from(weigh(batch)).unwrap_or(i64::MAX)
}

fn expected(expect: Expect) -> i64 {
    match expect {
        Expect::Absent => ABSENT,
        Expect::Revision(revision) => i64::try_from(revision.get()).unwrap_or(NEVER),
    }
}

/// Stands for a key that holds nothing, and for a revision that no key can hold.
const ABSENT: i64 = -1;
const NEVER: i64 = -2;
const WRITE_OVERHEAD: usize = 64;
/// For how many groups the lock is taken beforehand after one was crossed by another node's.
const CONTENDED_GROUPS: u32 = 32;
