//! What a publisher of proofs needs of a log.

use std::sync::Arc;

use core_types::UnixTime;

use super::policy::Class;
use super::queue::{Durable, Item, Purpose};
use super::ticket::Ticket;
use super::{AuditLog, Receipt};
use crate::error::AppendError;
use crate::files::Directory;

impl AuditLog {
    pub(crate) fn directory(&self) -> Arc<dyn Directory> {
        Arc::clone(&self.handle.directory)
    }

    pub(crate) fn durable(&self) -> Durable {
        self.handle.shared.durable()
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.handle.clock.now()
    }

    /// Appends a record of the log's own, which is no entry.
    pub(crate) fn append_own_blocking(&self, entry: Vec<u8>) -> Result<Receipt, AppendError> {
        let ticket = Ticket::new();
        let purpose = Purpose::Event { ticket: Some(Arc::clone(&ticket)) };
        let item = Item { entry, class: Class::Change, purpose };
        super::block_on(async {
            self.handle.shared.push_when_room(item).await?;
            ticket.answered().await
        })
    }
}
