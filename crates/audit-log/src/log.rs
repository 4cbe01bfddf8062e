//! Writing a log.

mod committer;
mod guard;
mod open;
mod options;
mod queue;
mod ticket;
mod writer;

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use core_types::{Clock, Scope, SecureRandom};

use crate::checkpoint::Checkpoint;
use crate::error::{AppendError, FileError, OpenError};
use crate::event::{self, Completion, Intent};
use crate::files::{Directory, SystemDirectory};
use crate::query::Reader;
use queue::{Item, Purpose};
use ticket::Ticket;

pub use guard::Guard;
pub use options::Options;

pub(crate) use queue::Shared;

/// The most calls that may be under way at once; [`Options::with_open_calls`] may set fewer.
pub const MAX_OPEN_CALLS: usize = 1 << 16;

/// A log that is open for writing; a clone is another handle on the same log.
///
/// What the methods confirm is durable: it has been written and synced. Records that arrive while one batch is
/// being synced make up the next one, so that many callers share a sync and a lone one waits for its own only.
///
/// When the last handle and the last [`Guard`] are gone, the log closes by itself, after what is in the queue
/// was written; [`close`](Self::close) also waits for that.
#[derive(Clone)]
pub struct AuditLog {
    handle: Arc<Handle>,
}

/// What keeps the writing thread going.
pub(crate) struct Handle {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    directory: Arc<dyn Directory>,
}

impl AuditLog {
    /// Opens the log in a directory for writing; makes both where there is neither.
    ///
    /// What a crash cut off in the middle of a write is removed: it was never acknowledged. Calls that were
    /// under way are recorded as [`Unknown`](crate::Outcome::Unknown).
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then. Do not serve without a log.
    pub fn open(
        path: &Path,
        clock: Arc<dyn Clock>,
        rng: &dyn SecureRandom,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let directory = SystemDirectory::create(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => OpenError::NotPrivate,
            _ => FileError::new("open", ".")(error).into(),
        })?;
        Self::open_in(Arc::new(directory), clock, rng, options)
    }

    /// Opens the log behind a port; see [`open`](Self::open).
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_in(
        directory: Arc<dyn Directory>,
        clock: Arc<dyn Clock>,
        rng: &dyn SecureRandom,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let writer = open::open(Arc::clone(&directory), &*clock, rng, options)?;
        let shared = Arc::new(Shared::new(writer.durable(), options));
        committer::start(Arc::clone(&shared), writer)?;
        Ok(Self { handle: Arc::new(Handle { shared, clock, directory }) })
    }

    /// Records the intent of a call; when the future is ready with a guard, it is durable and the effect may
    /// happen.
    ///
    /// Nothing happens before the future is polled. Dropping it while it waits leaves a call that is recorded
    /// as abandoned, or none.
    ///
    /// # Errors
    /// [`AppendError`]: refuse the call.
    pub fn begin(&self, intent: Intent) -> impl Future<Output = Result<Guard, AppendError>> + Send + use<> {
        let handle = Arc::clone(&self.handle);
        async move {
            let intent = Arc::new(intent);
            let entry = event::encode_intent(handle.clock.now(), &intent).ok_or(AppendError::Defect)?;
            let ticket = Ticket::new();
            let shared = Arc::clone(&handle.shared);
            let purpose = Purpose::Begin { ticket: Arc::clone(&ticket), intent, handle };
            shared.push_when_room(Item { entry, purpose }).await?;
            ticket.answered().await
        }
    }

    /// Records an attempt that has no effect, or none that must be announced: a denied or an unauthenticated
    /// one, or a read. One entry; durable when the future is ready.
    ///
    /// Nothing happens before the future is polled.
    ///
    /// # Errors
    /// [`AppendError`].
    pub fn record(
        &self,
        intent: Intent,
        completion: Completion,
    ) -> impl Future<Output = Result<Receipt, AppendError>> + Send + use<> {
        let handle = Arc::clone(&self.handle);
        async move {
            let entry =
                event::encode_event(handle.clock.now(), &intent, &completion).ok_or(AppendError::Defect)?;
            let ticket = Ticket::new();
            let purpose = Purpose::Event { ticket: Arc::clone(&ticket) };
            handle.shared.push_when_room(Item { entry, purpose }).await?;
            ticket.answered().await
        }
    }

    /// [`begin`](Self::begin) for callers without an executor.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_blocking(&self, intent: Intent) -> Result<Guard, AppendError> {
        block_on(self.begin(intent))
    }

    /// [`record`](Self::record) for callers without an executor.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn record_blocking(&self, intent: Intent, completion: Completion) -> Result<Receipt, AppendError> {
        block_on(self.record(intent, completion))
    }

    /// Where the log stands: everything up to here is durable. Keep one elsewhere from time to time, and give
    /// it to [`verify`](crate::verify()) and [`Options::with_known`].
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.handle.shared.durable().checkpoint
    }

    /// A reader of the entries whose tenant lies in `scope`. It sees what is durable.
    #[must_use]
    pub fn reader(&self, scope: Scope) -> Reader {
        Reader::beside(Arc::clone(&self.handle.directory), Arc::clone(&self.handle.shared), scope)
    }

    /// Takes nothing more, writes what is in the queue, and leaves the log: the next writer may open it.
    ///
    /// Calls that are still under way stay open in the log; the next one to open it records them as unknown.
    ///
    /// # Errors
    /// [`AppendError::Stopped`] when a write failed, now or earlier.
    pub fn close(&self) -> impl Future<Output = Result<Checkpoint, AppendError>> + Send + use<> {
        self.handle.shared.close();
        self.handle.shared.when_finished().answered()
    }

    /// [`close`](Self::close) for callers without an executor.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn close_blocking(&self) -> Result<Checkpoint, AppendError> {
        block_on(self.close())
    }
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLog").field("checkpoint", &self.checkpoint()).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Proof, for the caller, that a record is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    checkpoint: Checkpoint,
}

impl Receipt {
    /// The record's sequence: that of its [`Entry`](crate::Entry).
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.checkpoint.sequence()
    }

    /// Where the log stood with this record as its last: the chain hash commits to the record and to
    /// everything before it.
    #[must_use]
    pub const fn checkpoint(&self) -> Checkpoint {
        self.checkpoint
    }
}

/// Runs a future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park();
    }
}
