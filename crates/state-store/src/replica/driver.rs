use std::collections::BTreeMap;

use super::view::{Snapshot, View};
use super::{MAX_RESCANS, Replica, ReplicaError};
use crate::batch::Write;
use crate::error::ReadError;
use crate::key::Key;
use crate::store::{MAX_PAGE_ENTRIES, Revision, StateStore, Watch, WatchEvent};

/// Brings a [`Replica`] up to date; the embedder awaits it in a task of its own.
#[derive(Debug)]
pub struct Driver<S: StateStore, V> {
    store: S,
    replica: Replica<V>,
    // `None` after an error: the next step watches anew from the snapshot's revision.
    watch: Option<S::Watch>,
}

impl<S: StateStore, V: View> Driver<S, V> {
    pub(super) async fn start(store: S, replica: Replica<V>) -> Result<Self, ReplicaError> {
        let mut driver = Self { store, replica, watch: None };
        driver.rescan().await?;
        Ok(driver)
    }

    /// Follows the store until an error, which it returns; call it again, after a pause, to go on.
    ///
    /// # Errors
    /// [`ReplicaError`]; the replica keeps its snapshot, which ages.
    pub async fn run(&mut self) -> Result<core::convert::Infallible, ReplicaError> {
        loop {
            self.step().await?;
        }
    }

    /// Waits for one event of the store, applies it, and publishes the new snapshot. Dropping the future before
    /// it is done loses nothing.
    ///
    /// # Errors
    /// [`ReplicaError`]; the replica keeps its snapshot, which ages.
    pub async fn step(&mut self) -> Result<(), ReplicaError> {
        if let Some(error) = self.replica.shared.went_back.get() {
            return Err(error.clone());
        }
        let event = match self.next_event().await {
            Ok(event) => event,
            Err(error) => {
                self.watch = None;
                return Err(error.into());
            }
        };
        match event {
            WatchEvent::Changes { revision, changes } => {
                let mut snapshot = Snapshot::clone(&self.replica.snapshot());
                if revision <= snapshot.revision {
                    self.watch = None;
                    let detail = format!("a watch told revision {revision} after {}", snapshot.revision);
                    return Err(ReadError::Damaged { detail: detail.into() }.into());
                }
                snapshot.apply(revision, &changes);
                self.replica.publish(snapshot);
            }
            WatchEvent::Progress(revision) => {
                let mut snapshot = Snapshot::clone(&self.replica.snapshot());
                snapshot.revision = snapshot.revision.max(revision);
                self.replica.publish(snapshot);
            }
            WatchEvent::Lagged => self.rescan().await?,
        }
        Ok(())
    }

    async fn next_event(&mut self) -> Result<WatchEvent, ReadError> {
        let watch = match &mut self.watch {
            Some(watch) => watch,
            None => {
                let applied = self.replica.snapshot().revision;
                self.watch.insert(self.store.watch(&self.replica.shared.prefix, applied).await?)
            }
        };
        watch.next().await
    }

    /// Reads everything anew, as often as the store outruns the reading, within a bound.
    async fn rescan(&mut self) -> Result<(), ReplicaError> {
        for _ in 0..MAX_RESCANS {
            if self.try_rescan().await? {
                return Ok(());
            }
        }
        Err(ReplicaError::Outrun { attempts: MAX_RESCANS })
    }

    /// Reads everything anew, catches up with what was committed meanwhile, and publishes. `false` when the
    /// store's history no longer held what was committed meanwhile.
    async fn try_rescan(&mut self) -> Result<bool, ReplicaError> {
        self.watch = None;
        let applied = self.replica.snapshot().revision;
        let mut snapshot = Snapshot::empty(self.replica.shared.empty.clone());
        snapshot.view.loading();
        // Which commit each key of `snapshot` comes from, where pages of different instants mix: a view is not
        // shown a record older than the one it has.
        let mut origins: BTreeMap<Key, Revision> = BTreeMap::new();
        let mut first = None;
        let mut last = Revision::ZERO;
        let mut after: Option<Key> = None;
        loop {
            let page = self.store.scan(&self.replica.shared.prefix, after.as_ref(), MAX_PAGE_ENTRIES).await?;
            self.replica.ensure_not_behind(applied.max(last), page.revision)?;
            last = page.revision;
            let start = *first.get_or_insert(page.revision);
            for entry in &page.entries {
                snapshot.put(&entry.key, &entry.value, entry.revision);
                if entry.revision > start {
                    origins.insert(entry.key.clone(), entry.revision);
                }
            }
            if !page.more {
                break;
            }
            let Some(entry) = page.entries.last() else {
                let detail = "a page without entries says that there are more".into();
                return Err(ReadError::Damaged { detail }.into());
            };
            after = Some(entry.key.clone());
        }
        snapshot.view.loaded();
        let start = first.unwrap_or(Revision::ZERO);
        let mut watch = self.store.watch(&self.replica.shared.prefix, start).await?;
        snapshot.revision = start;
        while snapshot.revision < last {
            match watch.next().await? {
                WatchEvent::Changes { revision, changes } => {
                    for change in &changes {
                        // A page already showed a later state of this key.
                        if origins.get(&change.key).is_some_and(|&origin| origin > revision) {
                            continue;
                        }
                        match &change.write {
                            Write::Put(value) => snapshot.put(&change.key, value, revision),
                            Write::Delete => snapshot.delete(&change.key),
                        }
                    }
                    snapshot.revision = revision;
                }
                WatchEvent::Progress(revision) => snapshot.revision = revision,
                WatchEvent::Lagged => return Ok(false),
            }
        }
        self.watch = Some(watch);
        self.replica.publish(snapshot);
        Ok(true)
    }
}
