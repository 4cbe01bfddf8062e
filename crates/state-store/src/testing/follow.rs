//! A watch whose every event is checked.

use super::case::{Broken, Outcome, check, head, key, value};
use super::exec;
use crate::batch::Write;
use crate::key::Prefix;
use crate::store::{Change, Revision, StateStore, Watch, WatchEvent};

/// The changes of one commit, as a watch told them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) revision: Revision,
    pub(super) changes: Vec<Change>,
}

impl Told {
    /// The commit that put these values, and deleted where there is none.
    pub(super) fn new<'a, K: AsRef<[u8]>>(
        revision: Revision,
        changes: impl IntoIterator<Item = (K, Option<&'a str>)>,
    ) -> Result<Self, Broken> {
        let change = |(name, bytes): (K, Option<&str>)| {
            let write = bytes.map_or(Ok(Write::Delete), |bytes| value(bytes).map(Write::Put))?;
            Ok(Change { key: key(name)?, write })
        };
        Ok(Self { revision, changes: changes.into_iter().map(change).collect::<Result<_, Broken>>()? })
    }
}

/// A watch that checks what holds of every event.
pub(super) struct Follower<S: StateStore> {
    store: S,
    watch: S::Watch,
    prefix: Prefix,
    // Everything up to here was told.
    pub(super) position: Revision,
    pub(super) told: Vec<Told>,
    pub(super) lagged: bool,
    // How many events told nothing new since one did.
    idle: u32,
}

impl<S: StateStore> Follower<S> {
    pub(super) async fn start(store: &S, prefix: &Prefix, after: Revision) -> Result<Self, Broken> {
        Ok(Self {
            store: store.clone(),
            watch: store.watch(prefix, after).await?,
            prefix: prefix.clone(),
            position: after,
            told: Vec::new(),
            lagged: false,
            idle: 0,
        })
    }

    /// Waits until everything up to `revision` was told, or the watch lagged.
    pub(super) async fn reach_or_lag(&mut self, revision: Revision) -> Outcome {
        while self.position < revision && !self.lagged {
            self.step().await?;
        }
        Ok(())
    }

    /// Waits until this many commits were told.
    pub(super) async fn reach_count(&mut self, commits: usize) -> Outcome {
        while self.told.len() < commits {
            self.step().await?;
            self.kept_up()?;
        }
        Ok(())
    }

    /// Waits until everything up to `revision` was told.
    pub(super) async fn reach(&mut self, revision: Revision) -> Outcome {
        self.reach_or_lag(revision).await?;
        self.kept_up()
    }

    /// [`Broken`] when the watch lagged.
    pub(super) fn kept_up(&self) -> Outcome {
        check(!self.lagged, || format!("a watch lagged after {} although it kept up", self.position))
    }

    /// Waits for an event.
    pub(super) async fn step(&mut self) -> Outcome {
        let event = self.watch.next().await?;
        self.take(event).await
    }

    /// Begins to wait for an event and gives up at once.
    pub(super) async fn begin_and_give_up(&mut self) -> Outcome {
        match exec::poll_once(self.watch.next()) {
            Some(event) => self.take(event?).await,
            None => Ok(()),
        }
    }

    async fn take(&mut self, event: WatchEvent) -> Outcome {
        let before = self.position;
        match event {
            WatchEvent::Changes { revision, changes } => {
                check(revision > self.position, || {
                    format!("a watch told revision {revision} after it had told all up to {}", self.position)
                })?;
                check(!changes.is_empty(), || "a watch told a commit without changes".into())?;
                check(changes.is_sorted_by(|a, b| a.key < b.key), || "changes are not in key order".into())?;
                check(changes.iter().all(|change| self.prefix.matches(&change.key)), || {
                    format!("a watch of {:?} told a change elsewhere", self.prefix)
                })?;
                self.position = revision;
                self.told.push(Told { revision, changes });
            }
            WatchEvent::Progress(revision) => {
                check(revision >= self.position, || {
                    format!("a watch went back from revision {} to {revision}", self.position)
                })?;
                self.position = revision;
            }
            WatchEvent::Lagged => {
                self.lagged = true;
                return Ok(());
            }
        }
        self.idle = if self.position > before { 0 } else { self.idle.saturating_add(1) };
        check(self.idle < MAX_IDLE, || "a watch says the same without end".into())?;
        let head = head(&self.store).await?;
        check(head >= self.position, || {
            format!("a watch told revision {}, and a read after it sees {head} only", self.position)
        })
    }
}

/// How many events in a row may tell nothing new.
const MAX_IDLE: u32 = 10_000;
