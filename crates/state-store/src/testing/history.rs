//! Histories of concurrent clients under faults, and whether they are linearizable.
//!
//! Clients read, write, compare-and-swap and delete a few keys, by several nodes of one store, while a test
//! disturbs the store; every call is recorded with when it began and when it returned. Watchers record what
//! they are told. Then [`record`] checks that
//!
//! - each watcher was told the same commits, each once and in order, and each is some client's;
//! - what was acknowledged is among them at its revision, and what was said to have failed is not; an unknown
//!   outcome may be either;
//! - a swap that took effect found what it expected;
//! - there is one order of all operations that agrees with every answer and with what happened before what.
//!
//! The last is decided exactly, and quickly: the order of the writes of a key is that of their revisions, so it
//! remains to give each operation an instant within its call. The earliest instant that the order allows is as
//! good as any other; a read then must not have returned before its state came to be.

mod verdict;

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::case::Broken;
use super::exec;
use crate::batch::{Batch, Expect, Write};
use crate::error::CommitError;
use crate::key::{Key, Prefix, Value};
use crate::store::{Commit, Revision, StateStore, Watch, WatchEvent};

/// Who takes part.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "tests build it")]
pub struct Cast {
    /// What the clients do follows from it; print it.
    pub seed: u64,
    /// How many clients there are, spread over the nodes.
    pub clients: usize,
    /// How many keys they share.
    pub keys: usize,
    /// How many operations a client does at most.
    pub operations: u64,
    /// How long one call may go without being woken.
    pub patience: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Writes that were acknowledged.
    pub committed: usize,
    /// Swaps and deletions that found something else than they expected.
    pub conflicts: usize,
    /// Reads.
    pub reads: usize,
    /// Writes that failed, and reads.
    pub failed: usize,
    /// Writes whose outcome was told to be unknown.
    pub unknown: usize,
    /// Of these, those that took effect.
    pub took_effect: usize,
}

/// Lets the clients work by `nodes` while `disturb` runs, which undoes what it did before it returns; then checks
/// what they saw. Nothing else writes to the store meanwhile.
///
/// # Errors
/// What is not as it must be, with the seed.
pub fn record<S: StateStore>(nodes: &[S], cast: Cast, disturb: impl FnOnce()) -> Result<Summary, String> {
    let stage =
        Stage { cast, ticks: AtomicU64::new(0), is_over: AtomicBool::new(false), calls: Mutex::default() };
    let with_seed = |broken: Broken| format!("seed {}: {broken}", cast.seed);
    let first = nodes.first().ok_or("a history needs a node")?;
    let start = stage.wait(clear(first, cast.keys)).map_err(with_seed)?;
    let end = Mutex::new(None);
    let told = thread::scope(|scope| {
        let (stage, end) = (&stage, &end);
        let watchers: Vec<_> =
            nodes.iter().map(|node| scope.spawn(move || stage.watch(node, start, end))).collect();
        let clients: Vec<_> = (0..cast.clients)
            .zip(nodes.iter().cycle())
            .map(|(number, node)| scope.spawn(move || stage.play(node, number)))
            .collect();
        disturb();
        stage.is_over.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().map_err(|_| Broken::new("a client panicked"))??;
        }
        // What is there in the end is read by everybody, like what was there before.
        for node in nodes {
            for number in 0..cast.keys {
                stage.read_at_last(node, &key(number)?)?;
            }
        }
        *end.lock().unwrap_or_else(PoisonError::into_inner) = Some(stage.wait(head(first))?);
        watchers
            .into_iter()
            .map(|watcher| watcher.join().map_err(|_| Broken::new("a watcher panicked"))?)
            .collect::<Result<Vec<_>, Broken>>()
    });
    let told = told.map_err(with_seed)?;
    let calls = stage.calls.into_inner().unwrap_or_else(PoisonError::into_inner);
    verdict::check(&calls, &told).map_err(with_seed)
}

/// A commit, as a watch told it: one key each.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    revision: Revision,
    key: Key,
    value: Option<u64>,
}

/// A call and its answer.
#[derive(Debug, Clone)]
struct Call {
    key: Key,
    began: u64,
    returned: u64,
    action: Action,
    answer: Answer,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Read,
    /// Values are given out once only; `None` deletes.
    Write {
        value: Option<u64>,
        expect: Option<Expect>,
    },
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Found(Option<(u64, Revision)>),
    Committed(Revision),
    Conflict,
    Failed,
    Unknown,
}

struct Stage {
    cast: Cast,
    // Orders beginnings and returns of all threads: there is no need of a clock.
    ticks: AtomicU64,
    is_over: AtomicBool,
    calls: Mutex<Vec<Call>>,
}

impl Stage {
    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    fn wait<T>(&self, future: impl Future<Output = Result<T, Broken>>) -> Result<T, Broken> {
        exec::block_on(self.cast.patience, future)
    }

    fn note(&self, call: Call) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    fn play<S: StateStore>(&self, node: &S, number: usize) -> Result<(), Broken> {
        let offset = u64::try_from(number).unwrap_or(u64::MAX);
        let mut dice = Dice(self.cast.seed.wrapping_add(offset).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut known: BTreeMap<Key, Expect> = BTreeMap::new();
        for round in 0..self.cast.operations {
            if self.is_over.load(Ordering::SeqCst) {
                break;
            }
            let key = key(dice.below(self.cast.keys))?;
            let value = offset.saturating_mul(1 << 32).saturating_add(round);
            let expect = known.get(&key).copied().unwrap_or(Expect::Absent);
            let action = match dice.below(10) {
                0..4 => Action::Read,
                4..6 => Action::Write { value: Some(value), expect: None },
                6..9 => Action::Write { value: Some(value), expect: Some(expect) },
                _ => Action::Write { value: None, expect: Some(expect) },
            };
            let answer = self.call(node, &key, action)?;
            match answer {
                Answer::Found(found) => {
                    let expect = found.map_or(Expect::Absent, |(_, revision)| Expect::Revision(revision));
                    known.insert(key, expect);
                }
                // A store that is away is not asked without a pause.
                Answer::Failed | Answer::Unknown => thread::sleep(PAUSE),
                _ => {}
            }
        }
        Ok(())
    }

    fn call<S: StateStore>(&self, node: &S, key: &Key, action: Action) -> Result<Answer, Broken> {
        let began = self.tick();
        let answer = match action {
            Action::Read => self.wait(async {
                Ok(match node.get(key).await {
                    Ok(found) => Answer::Found(
                        found
                            .map(|entry| Ok::<_, Broken>((number_in(&entry.value)?, entry.revision)))
                            .transpose()?,
                    ),
                    Err(_) => Answer::Failed,
                })
            })?,
            Action::Write { value, expect } => {
                let mut batch = Batch::new();
                let write = match value {
                    Some(value) => Write::Put(Value::new(value.to_string())?),
                    None => Write::Delete,
                };
                batch.write(key.clone(), write)?;
                if let Some(expect) = expect {
                    batch.require(key.clone(), expect)?;
                }
                self.wait(async {
                    Ok(match node.commit(batch).await {
                        Ok(Commit::Committed(revision)) => Answer::Committed(revision),
                        Ok(Commit::Conflict(_)) => Answer::Conflict,
                        Err(CommitError::OutcomeUnknown { .. }) => Answer::Unknown,
                        Err(CommitError::Damaged { detail }) => return Err(Broken::new(detail)),
                        Err(_) => Answer::Failed,
                    })
                })?
            }
        };
        // What is unknown may still take effect after it was said to be.
        let returned = if matches!(answer, Answer::Unknown) { u64::MAX } else { self.tick() };
        self.note(Call { key: key.clone(), began, returned, action, answer });
        Ok(answer)
    }

    fn read_at_last<S: StateStore>(&self, node: &S, key: &Key) -> Result<(), Broken> {
        for _ in 0..MAX_LAST_ATTEMPTS {
            if matches!(self.call(node, key, Action::Read)?, Answer::Found(_)) {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        Err(Broken::new("the store did not come back"))
    }

    /// What a watch tells until it has told the end, once that is known; begun anew where it breaks.
    fn watch<S: StateStore>(
        &self,
        node: &S,
        start: Revision,
        end: &Mutex<Option<Revision>>,
    ) -> Result<Vec<Told>, Broken> {
        let mut told = Vec::new();
        let mut position = start;
        let mut watch = None;
        loop {
            if end.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|end| position >= end) {
                return Ok(told);
            }
            let event = exec::block_on(LOOK, async {
                let watching = match &mut watch {
                    Some(watching) => watching,
                    None => match node.watch(&prefix()?, position).await {
                        Ok(begun) => watch.insert(begun),
                        Err(_) => return Ok(None),
                    },
                };
                Ok(watching.next().await.ok())
            });
            // Nothing may come for long when nothing is written.
            let Ok(event) = event else { continue };
            match event {
                Some(WatchEvent::Changes { revision, changes }) => {
                    if revision <= position {
                        return Err(Broken::new(format!("a watch told {revision} after {position}")));
                    }
                    position = revision;
                    for change in changes {
                        let value = match &change.write {
                            Write::Put(value) => Some(number_in(value)?),
                            Write::Delete => None,
                        };
                        told.push(Told { revision, key: change.key, value });
                    }
                }
                Some(WatchEvent::Progress(revision)) => position = position.max(revision),
                Some(WatchEvent::Lagged) => {
                    return Err(Broken::new(format!("a watch lagged after {position} although it kept up")));
                }
                None => {
                    watch = None;
                    thread::sleep(PAUSE);
                }
            }
        }
    }
}

async fn head<S: StateStore>(node: &S) -> Result<Revision, Broken> {
    Ok(node.scan(&Prefix::all(), None, 0).await?.revision)
}

/// Deletes what an earlier history has left.
async fn clear<S: StateStore>(node: &S, keys: usize) -> Result<Revision, Broken> {
    let mut batch = Batch::new();
    for number in 0..keys {
        batch.write(key(number)?, Write::Delete)?;
    }
    match node.commit(batch).await? {
        Commit::Committed(revision) => Ok(revision),
        Commit::Conflict(_) => Err(Broken::new("a conflict without an expectation")),
    }
}

fn key(number: usize) -> Result<Key, Broken> {
    Ok(Key::new(format!("{PREFIX}{number}"))?)
}

fn prefix() -> Result<Prefix, Broken> {
    Ok(Prefix::new(PREFIX)?)
}

fn number_in(value: &Value) -> Result<u64, Broken> {
    let text = core::str::from_utf8(value.as_bytes()).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| Broken::new("a value that nobody has written"))
}

/// xorshift64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from(self.0.checked_rem(bound).unwrap_or(0)).unwrap_or(0)
    }
}

const PREFIX: &str = "history/";
// How often a watcher that waits looks whether there is anything left to wait for.
const LOOK: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(5);
const MAX_LAST_ATTEMPTS: u32 = 400;
