use core::sync::atomic::{AtomicU64, Ordering};

/// What a store has done since it was opened, for whoever shows it: each number only grows, save where it says
/// that it is of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Batches that were written.
    pub commits: u64,
    /// Batches whose preconditions did not hold.
    pub conflicts: u64,
    /// Transactions that the batches were written in.
    pub transactions: u64,
    /// Batches that failed, nothing written.
    pub failures: u64,
    /// Transactions whose outcome was lost with the connection, and found out afterwards.
    pub resolved: u64,
    /// Batches of which it could not be found out.
    pub unknown: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Reads that were tried again.
    pub retries: u64,
    /// Hints of other nodes that have come.
    pub hints: u64,
    /// Reads under way now.
    pub readers: u64,
    /// The last revision this node has heard of, now.
    pub revision: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) transactions: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) resolved: AtomicU64,
    pub(crate) unknown: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) hints: AtomicU64,
}

impl Counters {
    pub(crate) fn snapshot(&self, readers: u64, revision: u64) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            commits: load(&self.commits),
            conflicts: load(&self.conflicts),
            transactions: load(&self.transactions),
            failures: load(&self.failures),
            resolved: load(&self.resolved),
            unknown: load(&self.unknown),
            connections: load(&self.connections),
            retries: load(&self.retries),
            hints: load(&self.hints),
            readers,
            revision,
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
