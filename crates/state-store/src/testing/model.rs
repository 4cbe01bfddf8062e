//! Random schedules of operations, and the slow and obvious store they are compared with.
//!
//! [`arb_operations`] makes schedules over a handful of keys, so that operations meet. [`check`] runs one on a
//! store and after every operation compares what the store says with what a map says.
//!
//! ```
//! use proptest::prelude::*;
//! use state_store::MemoryStore;
//! use state_store::testing::model;
//!
//! proptest!(|(operations in model::arb_operations())| {
//!     model::check(MemoryStore::new, &operations).map_err(TestCaseError::fail)?;
//! });
//! ```

use core::ops::Bound;
use core::time::Duration;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::case::{Broken, Outcome, Site, check as ensure, head, key, prefix, same, value};
use super::follow::{Follower, Told};
use crate::batch::{Batch, Expect, Write};
use crate::key::{Key, Prefix};
use crate::store::{Change, Commit, Entry, Page, Revision, StateStore};

/// A step of a schedule. Keys and prefixes are taken from a few that contain each other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Commits a batch of these parts; a part that the batch refuses is left out.
    Commit(Vec<Part>),
    /// Reads a key.
    Get(&'static [u8]),
    /// Reads a page.
    Scan {
        /// What its keys begin with.
        prefix: &'static [u8],
        /// Where it begins.
        after: Option<&'static [u8]>,
        /// How many entries it may have.
        limit: usize,
    },
    /// Lets every watch tell all there is.
    Follow,
    /// Closes the store and opens it again, where it outlives that.
    Reopen,
}

/// A part of a batch: what it expects of a key, what it does to it, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// The key.
    pub key: &'static [u8],
    /// What must hold of it.
    pub expect: Option<Expectation>,
    /// What it holds then: these bytes, repeated as often; nothing where `None` is inside.
    pub write: Option<Option<(u8, u16)>>,
}

/// What must hold of a key, in terms of what a schedule knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expectation {
    /// That it holds nothing.
    Absent,
    /// That it is as it is.
    Current,
    /// That it was written by the commit this many commits ago.
    Ago(u8),
}

/// Up to thirty operations.
pub fn arb_operations() -> impl Strategy<Value = Vec<Operation>> {
    vec(arb_operation(), 1..30)
}

fn arb_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => vec(arb_part(), 0..7).prop_map(Operation::Commit),
        2 => select(KEYS).prop_map(Operation::Get),
        4 => (select(PREFIXES), option::of(select(KEYS)), 0_usize..5)
            .prop_map(|(prefix, after, limit)| Operation::Scan { prefix, after, limit }),
        2 => Just(Operation::Follow),
        1 => Just(Operation::Reopen),
    ]
}

fn arb_part() -> impl Strategy<Value = Part> {
    let expect = prop_oneof![
        1 => Just(Expectation::Absent),
        4 => Just(Expectation::Current),
        1 => (0_u8..4).prop_map(Expectation::Ago),
    ];
    let write = prop_oneof![2 => (any::<u8>(), 0_u16..300).prop_map(Some), 1 => Just(None)];
    (select(KEYS), option::of(expect), option::weighted(0.8, write)).prop_map(|(key, expect, write)| Part {
        key,
        expect,
        write,
    })
}

/// Runs the schedule on a new store, where [`Operation::Reopen`] does nothing.
///
/// # Errors
/// What the store did instead of what it must do.
pub fn check<S: StateStore>(mut fresh: impl FnMut() -> S, operations: &[Operation]) -> Result<(), String> {
    let mut site = Site::new(&mut fresh, false, PATIENCE);
    run(&mut site, operations).map_err(|broken| broken.to_string())
}

/// Runs the schedule on a new store; `open` opens it, again and again, in one place.
///
/// # Errors
/// What the store did instead of what it must do.
pub fn check_durable<S: StateStore>(
    mut open: impl FnMut() -> S,
    operations: &[Operation],
) -> Result<(), String> {
    let mut site = Site::new(&mut open, true, PATIENCE);
    run(&mut site, operations).map_err(|broken| broken.to_string())
}

pub(super) fn run<S: StateStore>(site: &mut Site<'_, S>, operations: &[Operation]) -> Outcome {
    let start = site.block_on_store(|store| async move { head(&store).await })?;
    let mut model = Model { entries: BTreeMap::new(), commits: Vec::new(), start, head: start };
    let mut followers = start_followers(site, start)?;
    for operation in operations {
        if matches!(operation, Operation::Reopen) {
            if !site.is_durable {
                continue;
            }
            site.block_on(follow(&mut followers, &model))?;
            followers.clear();
            site.reopen();
            followers = start_followers(site, model.head)?;
        }
        let store = site.store();
        site.block_on(async {
            match operation {
                Operation::Commit(parts) => model.commit(&store, parts).await?,
                Operation::Get(name) => {
                    let name = key(name)?;
                    same("what a key holds", &store.get(&name).await?, &model.get(&name))?;
                }
                Operation::Scan { prefix: start, after, limit } => {
                    let (start, after) = (prefix(start)?, after.map(key).transpose()?);
                    let found = store.scan(&start, after.as_ref(), *limit).await?;
                    same("a page", &found, &model.page(&start, after.as_ref(), *limit))?;
                }
                Operation::Follow => follow(&mut followers, &model).await?,
                Operation::Reopen => {}
            }
            same("the last revision", &head(&store).await?, &model.head)
        })?;
    }
    site.block_on(follow(&mut followers, &model))?;
    let everything =
        site.block_on_store(|store| async move { Ok(store.scan(&Prefix::all(), None, usize::MAX).await?) })?;
    same("what is there at the end", &everything, &model.page(&Prefix::all(), None, usize::MAX))
}

fn start_followers<S: StateStore>(
    site: &mut Site<'_, S>,
    after: Revision,
) -> Result<Vec<(Prefix, Revision, Follower<S>)>, Broken> {
    let store = site.store();
    site.block_on(async {
        let mut followers = Vec::new();
        for bytes in PREFIXES {
            let prefix = prefix(bytes)?;
            let follower = Follower::start(&store, &prefix, after).await?;
            followers.push((prefix, after, follower));
        }
        Ok(followers)
    })
}

async fn follow<S: StateStore>(followers: &mut [(Prefix, Revision, Follower<S>)], model: &Model) -> Outcome {
    for (prefix, after, follower) in followers {
        follower.reach(model.head).await?;
        same("what a watch told", &follower.told, &model.told(prefix, *after))?;
    }
    Ok(())
}

/// What a store must say, the slow way.
struct Model {
    entries: BTreeMap<Key, Entry>,
    // Every commit, with what it changed.
    commits: Vec<Told>,
    start: Revision,
    head: Revision,
}

impl Model {
    fn get(&self, key: &Key) -> Option<Entry> {
        self.entries.get(key).cloned()
    }

    fn page(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Page {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.entries.range::<Key, _>((after, Bound::Unbounded));
        let entries: Vec<Entry> =
            range.map(|(_, entry)| entry.clone()).filter(|entry| prefix.matches(&entry.key)).collect();
        let more = entries.len() > limit;
        Page { entries: entries.into_iter().take(limit).collect(), revision: self.head, more }
    }

    /// What a watch that began after `after` has told when it told all.
    fn told(&self, prefix: &Prefix, after: Revision) -> Vec<Told> {
        let mut told = self.commits.clone();
        for commit in &mut told {
            commit.changes.retain(|change| prefix.matches(&change.key));
        }
        told.retain(|commit| commit.revision > after && !commit.changes.is_empty());
        told
    }

    /// Commits to the store, and checks what it says against what the map holds.
    async fn commit<S: StateStore>(&mut self, store: &S, parts: &[Part]) -> Outcome {
        let batch = self.batch(parts)?;
        let conflict = batch.expectations().find(|&(key, expect)| {
            let held = self.entries.get(key).map(|entry| entry.revision);
            match expect {
                Expect::Absent => held.is_some(),
                Expect::Revision(revision) => held != Some(revision),
            }
        });
        let conflict = conflict.map(|(key, _)| key.clone());
        match (store.commit(batch.clone()).await?, conflict) {
            (Commit::Conflict(found), Some(expected)) => same("the conflict", &found, &expected),
            (Commit::Committed(revision), None) => self.apply(batch, revision),
            (outcome, conflict) => {
                Err(Broken::new(format!("a commit said {outcome:?}, the first conflict is {conflict:?}")))
            }
        }
    }

    fn batch(&self, parts: &[Part]) -> Result<Batch, Broken> {
        let mut batch = Batch::new();
        for part in parts {
            let name = key(part.key)?;
            let held = self.entries.get(&name).map(|entry| entry.revision);
            let expect = part.expect.map(|expectation| match expectation {
                Expectation::Absent => Expect::Absent,
                Expectation::Current => held.map_or(Expect::Absent, Expect::Revision),
                Expectation::Ago(commits) => Expect::Revision(
                    self.commits.iter().rev().nth(commits.into()).map_or(self.start, |told| told.revision),
                ),
            });
            // Batches refuse a second write of a key, and contradictions: those parts are left out.
            if let Some(expect) = expect {
                let _ = batch.require(name.clone(), expect);
            }
            match part.write {
                Some(Some((byte, count))) => {
                    let _ = batch.write(name, Write::Put(value(vec![byte; count.into()])?));
                }
                Some(None) => {
                    let _ = batch.write(name, Write::Delete);
                }
                None => {}
            }
        }
        Ok(batch)
    }

    fn apply(&mut self, batch: Batch, revision: Revision) -> Outcome {
        let mut changes = Vec::new();
        for (key, write) in batch.into_writes() {
            let is_change = match &write {
                Write::Put(value) => {
                    let entry = Entry { key: key.clone(), value: value.clone(), revision };
                    self.entries.insert(key.clone(), entry);
                    true
                }
                Write::Delete => self.entries.remove(&key).is_some(),
            };
            if is_change {
                changes.push(Change { key, write });
            }
        }
        // Deleting only what is not there may use up a revision or not; checking only uses up none.
        let goes_on = if changes.is_empty() { revision >= self.head } else { revision > self.head };
        ensure(goes_on, || format!("revision {revision} was given out after {}", self.head))?;
        self.head = revision;
        self.commits.push(Told { revision, changes });
        Ok(())
    }
}

const KEYS: &[&[u8]] = &[b"\0", b"a", b"a/", b"a/b", b"a/c", b"b", b"\xff", b"\xff\xff"];
const PREFIXES: &[&[u8]] = &[b"", b"a", b"a/", b"b", b"\xff"];
const PATIENCE: Duration = Duration::from_secs(30);
