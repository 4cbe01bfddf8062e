//! A memory store with something wrong.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use state_store::feed::ChangeFeed;
use state_store::{
    Batch, Change, Commit, CommitError, Entry, Expect, Key, MAX_PAGE_ENTRIES, MemoryStore, Page, Prefix,
    ReadError, Revision, StateStore, Value, Write,
};

use crate::watching::FaultyWatch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    IgnoresAbsent,
    IgnoresRevision,
    TakesLaterRevision,
    ChecksOnlyWrittenKeys,
    ChecksBeforehand,
    CommitsInTwo,
    WritesDespiteConflict,
    TellsLastConflict,
    ConflictUsesRevision,
    CheckUsesRevision,
    RepeatsRevision,
    DeletingNothingConflicts,
    SkipsSameValue,
    CutsBatches,
    CutsKeys,
    CutsValues,
    IgnoresCase,
    ReadsLate,
    ForgetsInFours,
    RepeatsAfter,
    NeverMore,
    MoreWhenFull,
    OneTooMany,
    NoEntryBound,
    NoByteBound,
    PageRunsAhead,
    TornPages,
    PrefixWraps,
    PrefixHasWildcards,
    DropsChanges,
    RepeatsEvents,
    SwapsEvents,
    MergesEvents,
    ReversesChanges,
    TellsOtherPrefixes,
    NoProgress,
    ProgressRunsAhead,
    EndlessProgress,
    SilentAboutFuture,
    SilentAboutPast,
    BeginsEarly,
    TellsDeletingNothing,
    LosesGivenUpEvents,
    NeverWakes,
    SharesOneWatch,
    AlwaysLags,
}

/// A key, and what it held.
type Held = (Key, Option<Entry>);

#[derive(Debug, Clone)]
pub(crate) struct Faulty {
    pub(crate) inner: MemoryStore,
    pub(crate) fault: Option<Fault>,
    // Of `ReadsLate`: what the last put of a key replaced.
    replaced: Arc<Mutex<Option<Held>>>,
    // Of the faults that are races.
    commits: Arc<Meeting>,
    // Of `TellsDeletingNothing`: what was asked for, not what was done.
    asked: ChangeFeed,
    asking: Arc<Mutex<()>>,
    // Of `SharesOneWatch`.
    pub(crate) shared: Arc<Mutex<Option<state_store::feed::FeedWatch>>>,
}

impl Faulty {
    pub(crate) fn new(fault: Option<Fault>) -> Self {
        Self {
            inner: MemoryStore::new(),
            fault,
            replaced: Arc::default(),
            commits: Arc::default(),
            asked: ChangeFeed::new(Revision::ZERO),
            asking: Arc::default(),
            shared: Arc::default(),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    async fn holds(&self, key: &Key, expect: Expect) -> Result<bool, ReadError> {
        let held = self.inner.get(key).await?.map(|entry| entry.revision);
        Ok(match expect {
            Expect::Absent => held.is_none(),
            Expect::Revision(revision) if self.has(Fault::TakesLaterRevision) => {
                held.is_some_and(|held| held <= revision)
            }
            Expect::Revision(revision) => held == Some(revision),
        })
    }

    /// The batch with its expectations, and its writes, as they pass these filters.
    fn rewritten(
        batch: &Batch,
        mut keep: impl FnMut(&Key, Expect) -> bool,
        mut rewrite: impl FnMut(usize, &Key, &Write) -> Option<(Key, Write)>,
    ) -> Batch {
        let mut other = Batch::new();
        for (key, expect) in batch.expectations().filter(|&(key, expect)| keep(key, expect)) {
            let _ = other.require(key.clone(), expect);
        }
        for (number, (key, write)) in batch.writes().enumerate() {
            if let Some((key, write)) = rewrite(number, key, write) {
                // Keys that were cut may have become one.
                let _ = other.write(key, write);
            }
        }
        other
    }

    fn cut(&self, key: &Key) -> Key {
        let bytes = key.as_bytes();
        let bytes = match self.fault {
            Some(Fault::CutsKeys) => bytes.iter().copied().take(1000).collect(),
            Some(Fault::IgnoresCase) => bytes.to_ascii_lowercase(),
            _ => return key.clone(),
        };
        Key::new(bytes).unwrap()
    }

    async fn decide_and_commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        let mut conflicts = Vec::new();
        for (key, expect) in batch.expectations() {
            if !self.holds(key, expect).await.unwrap() {
                conflicts.push(key.clone());
            }
        }
        if self.has(Fault::ChecksBeforehand) {
            self.commits.await_another();
        }
        let conflict = if self.has(Fault::TellsLastConflict) { conflicts.last() } else { conflicts.first() };
        match conflict {
            None => self.inner.commit(Self::rewritten(&batch, |_, _| false, keep_write)).await,
            Some(key) => {
                if self.has(Fault::WritesDespiteConflict) {
                    let rest = |_: usize, key: &Key, write: &Write| {
                        (!conflicts.contains(key)).then(|| (key.clone(), write.clone()))
                    };
                    let _ = self.inner.commit(Self::rewritten(&batch, |_, _| false, rest)).await?;
                }
                Ok(Commit::Conflict(key.clone()))
            }
        }
    }

    /// What uses up a revision and does nothing.
    async fn waste(&self) -> Result<Commit, CommitError> {
        let mut nothing = Batch::new();
        nothing.write(Key::new("no such key").unwrap(), Write::Delete).unwrap();
        self.inner.commit(nothing).await
    }
}

/// Makes races happen: who is in the middle of something waits until another thread begins a commit, or for a
/// moment where there is none.
#[derive(Debug, Default)]
struct Meeting {
    begun: Mutex<u64>,
    changed: Condvar,
}

impl Meeting {
    fn announce(&self) {
        let mut begun = self.begun.lock().unwrap();
        *begun = begun.wrapping_add(1);
        self.changed.notify_all();
    }

    fn await_another(&self) {
        let begun = self.begun.lock().unwrap();
        let before = *begun;
        drop(self.changed.wait_timeout_while(begun, MOMENT, |begun| *begun == before).unwrap());
    }
}

const MOMENT: Duration = Duration::from_millis(1);

fn keep_write(_: usize, key: &Key, write: &Write) -> Option<(Key, Write)> {
    Some((key.clone(), write.clone()))
}

impl StateStore for Faulty {
    type Watch = FaultyWatch;

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        if self.has(Fault::ReadsLate)
            && let Some((replaced, entry)) = self.replaced.lock().unwrap().take()
            && replaced == *key
        {
            return Ok(entry);
        }
        self.inner.get(&self.cut(key)).await
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, ReadError> {
        let inner = &self.inner;
        match self.fault {
            Some(Fault::RepeatsAfter) => {
                let mut page = inner.scan(prefix, after, limit).await?;
                if let Some(after) = after.filter(|after| prefix.matches(after))
                    && let Some(entry) = inner.get(after).await?
                {
                    page.entries.insert(0, entry);
                    page.entries.truncate(limit);
                }
                Ok(page)
            }
            Some(Fault::NeverMore) => Ok(Page { more: false, ..inner.scan(prefix, after, limit).await? }),
            Some(Fault::MoreWhenFull) => {
                let page = inner.scan(prefix, after, limit).await?;
                Ok(Page { more: page.entries.len() == limit, ..page })
            }
            Some(Fault::OneTooMany) => inner.scan(prefix, after, limit.saturating_add(1)).await,
            Some(Fault::NoEntryBound) if limit > MAX_PAGE_ENTRIES => self.joined(prefix, after).await,
            Some(Fault::NoByteBound) => {
                let mut page = self.joined(prefix, after).await?;
                let limit = limit.min(MAX_PAGE_ENTRIES);
                page.more = page.entries.len() > limit;
                page.entries.truncate(limit);
                Ok(page)
            }
            Some(Fault::PageRunsAhead) => {
                let page = inner.scan(prefix, after, limit).await?;
                let revision = page.revision.next().unwrap();
                Ok(Page { revision, ..page })
            }
            Some(Fault::TornPages) => {
                let mut page = inner.scan(prefix, after, limit).await?;
                self.commits.await_another();
                // The first entry is of the instant before.
                for entry in page.entries.iter_mut().skip(1) {
                    if let Some(now) = inner.get(&entry.key).await? {
                        *entry = now;
                    }
                }
                page.revision = inner.scan(prefix, None, 0).await?.revision;
                Ok(page)
            }
            Some(Fault::PrefixWraps) if prefix.as_bytes().last() == Some(&0xff) => {
                inner.scan(prefix, after, 0).await.map(|page| Page { more: false, ..page })
            }
            Some(Fault::PrefixHasWildcards) if prefix.as_bytes().contains(&b'_') => {
                // `_` stands for any byte, as in SQL.
                let mut page = self.joined(&Prefix::all(), after).await?;
                let bytes = prefix.as_bytes();
                page.entries.retain(|entry| {
                    let key = entry.key.as_bytes();
                    key.len() >= bytes.len() && bytes.iter().zip(key).all(|(p, k)| p == k || *p == b'_')
                });
                page.more = page.entries.len() > limit;
                page.entries.truncate(limit);
                Ok(page)
            }
            _ => inner.scan(prefix, after, limit).await,
        }
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        self.commits.announce();
        let outcome = self.commit_wrongly(batch).await;
        self.commits.announce();
        outcome
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<FaultyWatch, ReadError> {
        if self.has(Fault::TellsDeletingNothing) {
            return Ok(FaultyWatch::new(self, self.asked.watch(prefix, after)));
        }
        let head = self.inner.scan(&Prefix::all(), None, 0).await?.revision;
        let prefix = if self.has(Fault::TellsOtherPrefixes) { Prefix::all() } else { prefix.clone() };
        let after = match self.fault {
            Some(Fault::SilentAboutFuture) => after.min(head),
            Some(Fault::SilentAboutPast) => after.max(head),
            Some(Fault::BeginsEarly) => Revision::new(after.get().saturating_sub(1)),
            _ => after,
        };
        let watch = self.inner.watch(&prefix, after).await?;
        if self.has(Fault::SharesOneWatch) {
            self.shared.lock().unwrap().get_or_insert(watch);
            return Ok(FaultyWatch::new(self, self.inner.watch(&prefix, after).await?));
        }
        Ok(FaultyWatch::new(self, watch))
    }
}

impl Faulty {
    async fn commit_wrongly(&self, batch: Batch) -> Result<Commit, CommitError> {
        let inner = &self.inner;
        let all = |_: &Key, _: Expect| true;
        match self.fault {
            Some(Fault::IgnoresAbsent) => {
                inner.commit(Self::rewritten(&batch, |_, expect| expect != Expect::Absent, keep_write)).await
            }
            Some(Fault::IgnoresRevision) => {
                inner.commit(Self::rewritten(&batch, |_, expect| expect == Expect::Absent, keep_write)).await
            }
            Some(Fault::ChecksOnlyWrittenKeys) => {
                let written =
                    |key: &Key, _| batch.is_read_only() || batch.writes().any(|(name, _)| name == key);
                inner.commit(Self::rewritten(&batch, written, keep_write)).await
            }
            Some(Fault::ForgetsInFours) if batch.writes().count() >= 4 => {
                let written = |key: &Key, _| !batch.writes().any(|(name, _)| name == key);
                inner.commit(Self::rewritten(&batch, written, keep_write)).await
            }
            Some(
                Fault::TakesLaterRevision
                | Fault::ChecksBeforehand
                | Fault::WritesDespiteConflict
                | Fault::TellsLastConflict,
            ) => self.decide_and_commit(batch).await,
            Some(Fault::CommitsInTwo) => {
                let first = |number: usize, key: &Key, write: &Write| {
                    (number == 0).then(|| (key.clone(), write.clone()))
                };
                let rest = |number: usize, key: &Key, write: &Write| {
                    (number > 0).then(|| (key.clone(), write.clone()))
                };
                match inner.commit(Self::rewritten(&batch, all, first)).await? {
                    Commit::Committed(_) if batch.writes().count() > 1 => {
                        self.commits.await_another();
                        inner.commit(Self::rewritten(&batch, |_, _| false, rest)).await
                    }
                    outcome => Ok(outcome),
                }
            }
            Some(Fault::ConflictUsesRevision) => {
                let outcome = inner.commit(batch).await?;
                if matches!(outcome, Commit::Conflict(_)) {
                    let _ = self.waste().await?;
                }
                Ok(outcome)
            }
            Some(Fault::CheckUsesRevision) if batch.is_read_only() => match inner.commit(batch).await? {
                Commit::Committed(_) => self.waste().await,
                conflict => Ok(conflict),
            },
            Some(Fault::RepeatsRevision) => Ok(match inner.commit(batch).await? {
                Commit::Committed(revision) => Commit::Committed(Revision::new(revision.get() | 1)),
                conflict => conflict,
            }),
            Some(Fault::DeletingNothingConflicts) => {
                for (key, write) in batch.writes() {
                    if *write == Write::Delete && inner.get(key).await.unwrap().is_none() {
                        return Ok(Commit::Conflict(key.clone()));
                    }
                }
                inner.commit(batch).await
            }
            Some(Fault::SkipsSameValue) => {
                let mut same = Vec::new();
                for (key, write) in batch.writes() {
                    let held = inner.get(key).await.unwrap().map(|entry| Write::Put(entry.value));
                    if held.as_ref() == Some(write) {
                        same.push(key.clone());
                    }
                }
                let rewrite = |_: usize, key: &Key, write: &Write| {
                    (!same.contains(key)).then(|| (key.clone(), write.clone()))
                };
                inner.commit(Self::rewritten(&batch, all, rewrite)).await
            }
            Some(Fault::CutsBatches) => {
                let rewrite = |number: usize, key: &Key, write: &Write| {
                    (number < 255).then(|| (key.clone(), write.clone()))
                };
                inner.commit(Self::rewritten(&batch, all, rewrite)).await
            }
            Some(Fault::CutsKeys | Fault::IgnoresCase) => {
                let mut other = Batch::new();
                for (key, expect) in batch.expectations() {
                    let _ = other.require(self.cut(key), expect);
                }
                for (key, write) in batch.into_writes() {
                    let _ = other.write(self.cut(&key), write);
                }
                inner.commit(other).await
            }
            Some(Fault::CutsValues) => {
                let rewrite = |_: usize, key: &Key, write: &Write| match write {
                    Write::Put(value) if value.as_bytes().len() > 0xffff => Some((
                        key.clone(),
                        Write::Put(Value::new(value.as_bytes().split_at(0xffff).0).unwrap()),
                    )),
                    write => Some((key.clone(), write.clone())),
                };
                inner.commit(Self::rewritten(&batch, all, rewrite)).await
            }
            Some(Fault::ReadsLate) => {
                let key = batch.writes().next().map(|(key, _)| key.clone());
                let held = match &key {
                    Some(key) => inner.get(key).await.unwrap(),
                    None => None,
                };
                *self.replaced.lock().unwrap() = key.map(|key| (key, held));
                inner.commit(batch).await
            }
            Some(Fault::TellsDeletingNothing) => {
                let _asking = self.asking.lock().unwrap();
                let changes =
                    batch.writes().map(|(key, write)| Change { key: key.clone(), write: write.clone() });
                let changes: Vec<Change> = changes.collect();
                let outcome = pollster::block_on(inner.commit(batch))?;
                if let Commit::Committed(revision) = outcome
                    && !changes.is_empty()
                {
                    self.asked.publish(revision, changes);
                }
                Ok(outcome)
            }
            _ => inner.commit(batch).await,
        }
    }

    /// Everything after `after`, as one page without bounds.
    async fn joined(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Page, ReadError> {
        let mut joined = self.inner.scan(prefix, after, usize::MAX).await?;
        while joined.more {
            let after = joined.entries.last().map(|entry| entry.key.clone());
            let page = self.inner.scan(prefix, after.as_ref(), usize::MAX).await?;
            joined.entries.extend(page.entries);
            joined.more = page.more;
        }
        Ok(joined)
    }
}
