//! Watches for backends that live in one process.
//!
//! A backend publishes each commit, in order, to its [`ChangeFeed`]; the feed keeps the latest commits within
//! a bound and serves any number of watches from there, without a queue per watcher. A watcher that falls
//! behind the bound is told so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::Event;

use crate::batch::Write;
use crate::error::ReadError;
use crate::key::Prefix;
use crate::store::{Change, Revision, Watch, WatchEvent};

/// The most commits a feed keeps for its watchers.
pub const MAX_FEED_COMMITS: usize = 16_384;

/// The most bytes of keys and values a feed keeps, with [`CHANGE_OVERHEAD_BYTES`] for each change; the latest
/// commit is kept whatever its size.
pub const MAX_FEED_BYTES: usize = 32 << 20;

/// What a kept change is counted for besides its key and its value.
pub const CHANGE_OVERHEAD_BYTES: usize = 64;

/// The latest commits of a backend; a clone is another handle on the same feed.
#[derive(Debug, Clone)]
pub struct ChangeFeed {
    shared: Arc<Shared>,
}

impl ChangeFeed {
    /// A feed that begins after `head`, the backend's last commit.
    #[must_use]
    pub fn new(head: Revision) -> Self {
        let recent = Recent { commits: VecDeque::new(), bytes: 0, floor: head, head, broken: None };
        Self { shared: Arc::new(Shared { recent: Mutex::new(recent), published: Event::new() }) }
    }

    /// Tells the watchers of a commit. The backend calls it in commit order, under the lock that orders its
    /// commits, and after the commit is durable.
    pub fn publish(&self, revision: Revision, changes: Vec<Change>) {
        self.shared.lock().push(PastCommit { revision, changes });
        self.shared.published.notify(usize::MAX);
    }

    /// Ends all watches with this error, once each was told what is published: for a backend that can no longer
    /// tell what its next commit is.
    pub fn fail(&self, error: ReadError) {
        self.shared.lock().broken = Some(error);
        self.shared.published.notify(usize::MAX);
    }

    /// A watch on the feed; see [`StateStore::watch`](crate::StateStore::watch).
    ///
    /// A backend whose readers can see a commit before it is published waits here, with the lock that orders
    /// its commits, until that is done: the feed takes a revision that is still to come for one of another store.
    #[must_use]
    pub fn watch(&self, prefix: &Prefix, after: Revision) -> FeedWatch {
        FeedWatch { shared: Arc::clone(&self.shared), prefix: prefix.clone(), position: after, lagged: false }
    }
}

/// A watch on a [`ChangeFeed`].
#[derive(Debug)]
pub struct FeedWatch {
    shared: Arc<Shared>,
    prefix: Prefix,
    // Everything up to here was told.
    position: Revision,
    lagged: bool,
}

impl Watch for FeedWatch {
    async fn next(&mut self) -> Result<WatchEvent, ReadError> {
        loop {
            // Listening begins before looking, so that no commit falls between.
            let listener = self.shared.published.listen();
            if let Some(event) = self.look()? {
                return Ok(event);
            }
            listener.await;
        }
    }
}

impl FeedWatch {
    fn look(&mut self) -> Result<Option<WatchEvent>, ReadError> {
        let recent = self.shared.lock();
        // A position past the head is of another store or an older copy of this one.
        if self.lagged || self.position < recent.floor || self.position > recent.head {
            self.lagged = true;
            return Ok(Some(WatchEvent::Lagged));
        }
        let first = recent.commits.partition_point(|commit| commit.revision <= self.position);
        let before = self.position;
        let mut looked_at = 0_usize;
        for commit in recent.commits.range(first..) {
            let changes: Vec<Change> =
                commit.changes.iter().filter(|change| self.prefix.matches(&change.key)).cloned().collect();
            self.position = commit.revision;
            if !changes.is_empty() {
                return Ok(Some(WatchEvent::Changes { revision: commit.revision, changes }));
            }
            looked_at = looked_at.saturating_add(commit.changes.len()).saturating_add(1);
            if looked_at >= MAX_LOOK {
                break;
            }
        }
        if self.position > before {
            return Ok(Some(WatchEvent::Progress(self.position)));
        }
        recent.broken.clone().map_or(Ok(None), Err)
    }
}

#[derive(Debug)]
struct Shared {
    recent: Mutex<Recent>,
    published: Event,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Recent> {
        // Every change under the lock is complete before anything can panic.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Recent {
    // In revision order; all commits after `floor`.
    commits: VecDeque<PastCommit>,
    bytes: usize,
    floor: Revision,
    head: Revision,
    broken: Option<ReadError>,
}

impl Recent {
    fn push(&mut self, commit: PastCommit) {
        self.head = commit.revision;
        self.bytes = self.bytes.saturating_add(commit.bytes());
        self.commits.push_back(commit);
        while self.commits.len() > MAX_FEED_COMMITS || (self.bytes > MAX_FEED_BYTES && self.commits.len() > 1)
        {
            let Some(oldest) = self.commits.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.bytes());
            self.floor = oldest.revision;
        }
    }
}

#[derive(Debug)]
struct PastCommit {
    revision: Revision,
    changes: Vec<Change>,
}

impl PastCommit {
    fn bytes(&self) -> usize {
        self.changes.iter().fold(0, |sum, change| {
            let value = match &change.write {
                Write::Put(value) => value.as_bytes().len(),
                Write::Delete => 0,
            };
            sum.saturating_add(change.key.as_bytes().len())
                .saturating_add(value)
                .saturating_add(CHANGE_OVERHEAD_BYTES)
        })
    }
}

/// How many changes that are not its own a watch passes at a time: commits wait as long, and no longer.
const MAX_LOOK: usize = 4096;
