//! The thread that writes.

use std::sync::Arc;
use std::thread;

use super::Receipt;
use super::guard::Guard;
use super::queue::{Item, Purpose, Shared};
use super::writer::{Effect, Writer};
use crate::checkpoint::Checkpoint;
use crate::error::{AppendError, OpenError};

/// Starts the thread. It ends when the log is closed, or at the first error.
pub(super) fn start(shared: Arc<Shared>, writer: Writer) -> Result<(), OpenError> {
    let run = move || {
        let mut last_words = LastWords { shared: &shared, outcome: Err(AppendError::Defect) };
        last_words.outcome = run(&shared, writer);
    };
    let builder = thread::Builder::new().name("audit-log".into());
    builder.spawn(run).map(drop).map_err(|error| OpenError::Thread(error.kind()))
}

/// Tells everyone how it ended, even if by a panic: nobody must wait for ever.
struct LastWords<'a> {
    shared: &'a Shared,
    outcome: Result<Checkpoint, AppendError>,
}

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        let end = self.outcome.as_ref().err().unwrap_or(&AppendError::Closed);
        self.shared.stop(end);
        self.shared.finish(&self.outcome);
    }
}

fn run(shared: &Shared, mut writer: Writer) -> Result<Checkpoint, AppendError> {
    loop {
        let mut batch = Batch(shared.take_batch());
        if batch.0.is_empty() {
            return Ok(writer.close()?);
        }
        let records: Vec<(&[u8], Effect)> =
            batch.0.iter().map(|item| (&*item.entry, effect(&item.purpose))).collect();
        match writer.append(&records) {
            Ok(checkpoints) => {
                shared.publish(writer.durable());
                batch.0.drain(..).zip(checkpoints).for_each(|(item, checkpoint)| answer(item, checkpoint));
            }
            Err(error) => {
                let error = AppendError::from(error);
                // First of all nobody may add anything, then everyone is told.
                shared.stop(&error);
                batch.refuse(&error);
                return Err(error);
            }
        }
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
        Purpose::Complete { ticket, .. } => {
            if let Some(ticket) = ticket {
                ticket.answer(Ok(receipt));
            }
        }
        Purpose::Event { ticket } => ticket.answer(Ok(receipt)),
    }
}
