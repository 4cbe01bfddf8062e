//! What was changed of late of that on which rows rest, so that a row is kept unless it rests on what was changed.

use std::sync::Arc;

use super::numbers::generation;

/// The last changes of groups, roles and policies.
#[derive(Debug, Clone)]
pub(super) struct History {
    // INVARIANT: another one after each change, in this process never the same again.
    epoch: u64,
    // The epoch that each change ended, and what it changed; in order, the last KEPT at least.
    changes: Arc<Vec<(u64, Touched)>>,
}

/// What a change was about, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touched {
    Group(u32),
    Role(u32),
    Policy(u32),
}

impl History {
    pub(super) fn new() -> Self {
        Self { epoch: generation(), changes: Arc::default() }
    }

    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn add(&mut self, touched: Touched) {
        let changes = Arc::make_mut(&mut self.changes);
        if changes.len() >= KEPT.saturating_mul(2) {
            changes.drain(..KEPT);
        }
        changes.push((self.epoch, touched));
        self.epoch = generation();
    }

    /// What was changed since then; `None` when nobody knows: it is too long ago, or was another directory's.
    pub(super) fn since(&self, epoch: u64) -> Option<impl Iterator<Item = Touched>> {
        let first = self.changes.iter().position(|(ended, _)| *ended == epoch)?;
        Some(self.changes.iter().skip(first).map(|(_, touched)| *touched))
    }
}

/// How many changes are remembered.
const KEPT: usize = 64;
