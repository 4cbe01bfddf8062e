//! A log without a thread: who tests it says when a batch is written.

use std::sync::Arc;

use core_types::{Clock, SecureRandom};

use super::committer::{Committer, Turn};
use super::{AuditLog, Options, open};
use crate::error::OpenError;
use crate::files::Directory;

/// Writes batches of a log, one at a time, when told to. Dropping it is the end of the log's process.
pub struct Stepper {
    committer: Option<Committer>,
}

impl Stepper {
    /// Writes one batch of what waits, if anything does; whether the log goes on.
    pub fn step(&mut self) -> bool {
        let goes_on = self.committer.as_mut().is_some_and(|committer| committer.turn() == Turn::GoOn);
        if !goes_on {
            self.committer = None;
        }
        goes_on
    }
}

impl std::fmt::Debug for Stepper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stepper").field("has_ended", &self.committer.is_none()).finish()
    }
}

/// Opens a log that writes nothing by itself: see [`Stepper`].
///
/// # Errors
/// As [`AuditLog::open_in`].
pub fn open_stepped(
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    rng: &dyn SecureRandom,
    options: &Options,
) -> Result<(AuditLog, Stepper), OpenError> {
    let writer = open::open(Arc::clone(&directory), &*clock, rng, options)?;
    let log = AuditLog::beside(&writer, clock, directory, options);
    let committer = Committer::new(Arc::clone(&log.handle.shared), writer);
    Ok((log, Stepper { committer: Some(committer) }))
}
