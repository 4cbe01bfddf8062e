//! Writing a log.

mod committer;
mod flood;
mod guard;
mod open;
mod options;
mod policy;
mod publish;
mod queue;
mod spare;
#[cfg(feature = "testing")]
mod stepped;
mod ticket;
mod writer;

use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use core_types::{Clock, Scope, SecureRandom};

use crate::checkpoint::Checkpoint;
use crate::error::{AppendError, FileError, OpenError};
use crate::event::{self, Completion, Intent, Outcome};
use crate::files::{Directory, SystemDirectory};
use crate::query::Reader;
use flood::{Flood, Verdict};
use queue::{Item, Purpose};
use ticket::Ticket;
use writer::Writer;

pub use flood::MAX_SOURCES;
pub use guard::Guard;
pub use options::Options;
pub use policy::{Class, Policies, Reads};
pub use spare::Space;
#[cfg(feature = "testing")]
pub use stepped::{Stepper, open_stepped};

pub(crate) use queue::{Durable, Shared};

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
    reads: Reads,
    flood: Mutex<Flood>,
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
        let log = Self::beside(&writer, clock, directory, options);
        committer::start(Arc::clone(&log.handle.shared), writer)?;
        Ok(log)
    }

    fn beside(
        writer: &Writer,
        clock: Arc<dyn Clock>,
        directory: Arc<dyn Directory>,
        options: &Options,
    ) -> Self {
        let shared = Arc::new(Shared::new(writer.durable(), Arc::clone(writer.spares()), options));
        let policies = options.policies.unwrap_or_default();
        let flood = Mutex::new(Flood::new(policies));
        Self { handle: Arc::new(Handle { shared, clock, directory, reads: policies.reads, flood }) }
    }

    /// Records the intent of a call; when the future is ready with a guard, it is durable and the effect may
    /// happen. It is of [`Class::Change`].
    ///
    /// Nothing happens before the future is polled. Dropping it while it waits leaves a call that is recorded
    /// as abandoned, or none.
    ///
    /// # Errors
    /// [`AppendError`]: refuse the call.
    pub fn begin(&self, intent: Intent) -> impl Future<Output = Result<Guard, AppendError>> + Send + use<> {
        self.begin_as(Class::Change, intent)
    }

    /// [`begin`](Self::begin) of another class: what is of [`Class::Security`] may use the reserve of a full disk.
    ///
    /// # Errors
    /// [`AppendError`]: refuse the call.
    pub fn begin_as(
        &self,
        class: Class,
        intent: Intent,
    ) -> impl Future<Output = Result<Guard, AppendError>> + Send + use<> {
        let handle = Arc::clone(&self.handle);
        async move {
            let intent = Arc::new(intent);
            let entry = event::encode_intent(handle.clock.now(), &intent).ok_or(AppendError::Defect)?;
            let ticket = Ticket::new();
            let shared = Arc::clone(&handle.shared);
            let purpose = Purpose::Begin { ticket: Arc::clone(&ticket), intent, handle };
            shared.push_when_room(Item { entry, class, purpose }).await?;
            ticket.answered().await
        }
    }

    /// Records an attempt that has no effect, or none that must be announced: a denied or an unauthenticated
    /// one, or a read. One entry; durable when the future is ready. What was refused is of [`Class::Security`],
    /// all else of [`Class::Change`].
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
            let class = match completion.outcome() {
                Outcome::Denied | Outcome::Unauthenticated => Class::Security,
                _ => Class::Change,
            };
            let ticket = Ticket::new();
            handle.push_event(class, &intent, &completion, Some(Arc::clone(&ticket))).await?;
            ticket.answered().await
        }
    }

    /// Records a read as the [`Policies`] have it: the answer to it may go out when the future is ready.
    ///
    /// # Errors
    /// [`AppendError`]: do not answer.
    pub fn record_read(
        &self,
        intent: Intent,
        completion: Completion,
    ) -> impl Future<Output = Result<Recorded, AppendError>> + Send + use<> {
        let handle = Arc::clone(&self.handle);
        async move {
            match handle.reads {
                Reads::Queued => {
                    handle.push_event(Class::Read, &intent, &completion, None).await?;
                    Ok(Recorded::Queued)
                }
                Reads::Durable => {
                    let ticket = Ticket::new();
                    handle.push_event(Class::Read, &intent, &completion, Some(Arc::clone(&ticket))).await?;
                    ticket.answered().await.map(Recorded::Durable)
                }
            }
        }
    }

    /// Records a refusal. Of unauthenticated attempts that come in masses, the first of each source are recorded one
    /// by one and the others are counted, as the [`Policies`] have it.
    ///
    /// Sums are recorded with the next refusal after their window is over, by [`flush`](Self::flush), and when the
    /// log closes; a process that is killed loses those of the present window, and nothing else.
    ///
    /// # Errors
    /// [`AppendError`].
    pub fn record_refusal(
        &self,
        intent: Intent,
        completion: Completion,
    ) -> impl Future<Output = Result<Recorded, AppendError>> + Send + use<> {
        let log = self.clone();
        async move {
            let now = log.handle.clock.now();
            if completion.outcome() == Outcome::Unauthenticated {
                let (due, verdict) = {
                    let mut flood = log.handle.flood();
                    let due = flood.take_due(now);
                    (due, flood.note(&intent, now))
                };
                log.handle.push_sums(due)?;
                if verdict == Verdict::Counted {
                    return Ok(Recorded::Counted);
                }
            }
            log.record(intent, completion).await.map(Recorded::Durable)
        }
    }

    /// Puts the sums of all windows that are over on their way to the log. Call it once a window or so.
    ///
    /// # Errors
    /// [`AppendError`] when the log has ended.
    pub fn flush(&self) -> Result<(), AppendError> {
        let due = self.handle.flood().take_due(self.handle.clock.now());
        self.handle.push_sums(due)
    }

    /// How much room the disk has for the log.
    #[must_use]
    pub fn space(&self) -> Space {
        self.handle.shared.space()
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
        self.handle.close();
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

impl Handle {
    async fn push_event(
        &self,
        class: Class,
        intent: &Intent,
        completion: &Completion,
        ticket: Option<Arc<Ticket<Result<Receipt, AppendError>>>>,
    ) -> Result<(), AppendError> {
        let entry = event::encode_event(self.clock.now(), intent, completion).ok_or(AppendError::Defect)?;
        self.shared.push_when_room(Item { entry, class, purpose: Purpose::Event { ticket } }).await
    }

    fn push_sums(&self, sums: Vec<(Intent, Completion)>) -> Result<(), AppendError> {
        for (intent, completion) in sums {
            let entry =
                event::encode_event(self.clock.now(), &intent, &completion).ok_or(AppendError::Defect)?;
            let purpose = Purpose::Event { ticket: None };
            let item = Item { entry, class: Class::Security, purpose };
            self.shared.push_at_once(item).map_err(|(_, error)| error)?;
        }
        Ok(())
    }

    fn close(&self) {
        let sums = self.flood().take_all();
        // An error means that the log has ended, which is what is wanted.
        _ = self.push_sums(sums);
        self.shared.close();
    }

    fn flood(&self) -> MutexGuard<'_, Flood> {
        // A count that was not finished is one attempt less.
        self.flood.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

/// How a record was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recorded {
    /// It is durable.
    Durable(Receipt),
    /// It is in the queue ([`Reads::Queued`]).
    Queued,
    /// It was counted ([`AuditLog::record_refusal`]).
    Counted,
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
