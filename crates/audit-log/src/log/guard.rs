use std::sync::Arc;

use super::policy::Class;
use super::queue::{Item, Purpose};
use super::ticket::Ticket;
use super::{Handle, Receipt};
use crate::error::AppendError;
use crate::event::{self, Completion, Intent, Outcome};

/// A call whose intent is durable: its effect may happen now.
///
/// [`finish`](Self::finish) says how it ended. A guard that is dropped instead records the call as
/// [`Abandoned`](Outcome::Abandoned); a process that ends instead leaves it to the next
/// [`open`](crate::AuditLog::open), which records it as [`Unknown`](Outcome::Unknown).
#[must_use = "dropping it records the call as abandoned"]
pub struct Guard {
    handle: Arc<Handle>,
    intent: Arc<Intent>,
    begun: u64,
    is_finished: bool,
}

impl Guard {
    pub(super) const fn new(handle: Arc<Handle>, intent: Arc<Intent>, begun: u64) -> Self {
        Self { handle, intent, begun, is_finished: false }
    }

    /// The sequence of the record that holds the intent.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.begun
    }

    /// What was recorded.
    #[must_use]
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// Records how the call ended; durable when the future is ready.
    ///
    /// The completion is on its way when this returns: dropping the future only means not to hear of it.
    ///
    /// # Errors
    /// [`AppendError`]: the outcome is not known to be durable. The effect has happened; the intent is in the
    /// log, and the next start records the outcome as unknown unless it did get there.
    pub fn finish(
        mut self,
        completion: Completion,
    ) -> impl Future<Output = Result<Receipt, AppendError>> + Send + use<> {
        let ticket = Ticket::new();
        self.complete(&completion, Some(Arc::clone(&ticket)));
        ticket.answered()
    }

    /// [`finish`](Self::finish) for callers without an executor.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_blocking(self, completion: Completion) -> Result<Receipt, AppendError> {
        super::block_on(self.finish(completion))
    }

    fn complete(
        &mut self,
        completion: &Completion,
        ticket: Option<Arc<Ticket<Result<Receipt, AppendError>>>>,
    ) {
        self.is_finished = true;
        let purpose = Purpose::Complete { begun: self.begun, ticket };
        let at = self.handle.clock.now();
        let refused = match event::encode_closing(at, self.begun, &self.intent, completion) {
            Some(entry) => {
                self.handle.shared.push_at_once(Item { entry, class: Class::Change, purpose }).err()
            }
            None => {
                let item = Item { entry: Vec::new(), class: Class::Change, purpose };
                Some((item, AppendError::Defect))
            }
        };
        if let Some((item, error)) = refused {
            item.purpose.refuse(&error);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.is_finished {
            let duration = self.handle.clock.now().saturating_since(self.intent.started_at());
            self.complete(&Completion::new(Outcome::Abandoned, Some(duration)), None);
        }
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("begun", &self.begun).finish_non_exhaustive()
    }
}
