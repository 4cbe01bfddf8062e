//! The thread that writes.

use std::sync::Arc;
use std::thread;

use super::Receipt;
use super::guard::Guard;
use super::queue::{Item, Purpose, Shared};
use super::writer::{Effect, Writer, batch_bytes};
use crate::checkpoint::Checkpoint;
use crate::error::{AppendError, OpenError};

/// Starts the thread. It ends when the log is closed, or at the first error.
pub(super) fn start(shared: Arc<Shared>, writer: Writer) -> Result<(), OpenError> {
    let mut committer = Committer::new(shared, writer);
    let run = move || {
        while committer.turn() == Turn::GoOn {
            committer.shared.wait();
        }
    };
    let builder = thread::Builder::new().name("audit-log".into());
    builder.spawn(run).map(drop).map_err(|error| OpenError::Thread(error.kind()))
}

/// The one who writes what waits in the queue.
pub(super) struct Committer {
    shared: Arc<Shared>,
    // None when all is over.
    writer: Option<Writer>,
    outcome: Result<Checkpoint, AppendError>,
}

/// Whether there may be more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    GoOn,
    Ended,
}

impl Committer {
    pub(super) const fn new(shared: Arc<Shared>, writer: Writer) -> Self {
        Self { shared, writer: Some(writer), outcome: Err(AppendError::Defect) }
    }

    /// Writes one batch of what waits, if anything does.
    pub(super) fn turn(&mut self) -> Turn {
        let Some(writer) = &mut self.writer else { return Turn::Ended };
        if self.shared.has_ended() {
            self.outcome = writer.close().map_err(AppendError::from);
            self.writer = None;
            return Turn::Ended;
        }
        let mut batch = Batch(self.shared.take_batch());
        if batch.0.is_empty() {
            return Turn::GoOn;
        }
        let bytes = batch_bytes(batch.0.iter().map(|item| item.entry.len()));
        // Where even that fails, writing does too, and everyone is told.
        _ = writer.make_room(bytes);
        if writer.is_reserved(bytes) {
            batch
                .0
                .extract_if(.., |item| !item.takes_reserve())
                .for_each(|item| self.shared.refuse_full(item));
        }
        if batch.0.is_empty() {
            return Turn::GoOn;
        }
        let records: Vec<(&[u8], Effect)> =
            batch.0.iter().map(|item| (&*item.entry, effect(&item.purpose))).collect();
        match writer.append(&records) {
            Ok(checkpoints) => {
                self.shared.publish(writer.durable());
                batch.0.drain(..).zip(checkpoints).for_each(|(item, checkpoint)| answer(item, checkpoint));
                Turn::GoOn
            }
            Err(error) => {
                let error = AppendError::from(error);
                // First of all nobody may add anything, then everyone is told.
                self.shared.stop(&error);
                batch.refuse(&error);
                self.outcome = Err(error);
                self.writer = None;
                Turn::Ended
            }
        }
    }
}

/// Tells everyone how it ended, even if by a panic: nobody must wait for ever.
impl Drop for Committer {
    fn drop(&mut self) {
        let end = self.outcome.as_ref().err().unwrap_or(&AppendError::Closed);
        self.shared.stop(end);
        // Whoever is told may open the log at once.
        self.writer = None;
        self.shared.finish(&self.outcome);
    }
}

/// What was taken from the queue and not answered yet.
struct Batch(Vec<Item>);

impl Batch {
    fn refuse(&mut self, error: &AppendError) {
        self.0.drain(..).for_each(|item| item.purpose.refuse(error));
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.refuse(&AppendError::Defect);
    }
}

const fn effect(purpose: &Purpose) -> Effect {
    match purpose {
        Purpose::Begin { .. } => Effect::Begins,
        Purpose::Complete { begun, .. } => Effect::Completes(*begun),
        Purpose::Event { .. } => Effect::Neither,
    }
}

fn answer(item: Item, checkpoint: Checkpoint) {
    let receipt = Receipt { checkpoint };
    match item.purpose {
        // Where nobody waits any more, the guard falls with the ticket and records the call as abandoned.
        Purpose::Begin { ticket, intent, handle } => {
            ticket.answer(Ok(Guard::new(handle, intent, receipt.sequence())));
        }
        Purpose::Complete { ticket, .. } | Purpose::Event { ticket } => {
            if let Some(ticket) = ticket {
                ticket.answer(Ok(receipt));
            }
        }
    }
}
