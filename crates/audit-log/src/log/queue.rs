//! What waits to be written, between the callers and the writing thread.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use event_listener::Event;

use super::guard::Guard;
use super::policy::Class;
use super::spare::{Space, Spares};
use super::ticket::Ticket;
use super::{Options, Receipt};
use crate::checkpoint::Checkpoint;
use crate::error::AppendError;
use crate::event::Intent;
use crate::format::{BATCH_OVERHEAD, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, RECORD_OVERHEAD};
use crate::log::Handle;

/// One record on its way.
pub(super) struct Item {
    pub(super) entry: Vec<u8>,
    pub(super) class: Class,
    pub(super) purpose: Purpose,
}

impl Item {
    /// Whether the reserve is for this: what is about security, and the end of every call whose intent was taken.
    pub(super) const fn takes_reserve(&self) -> bool {
        matches!((self.class, &self.purpose), (Class::Security, _) | (_, Purpose::Complete { .. }))
    }
}

/// What a record is for, and who waits for it.
pub(super) enum Purpose {
    /// Begins a call; whoever waits gets its guard. The handle goes into the guard.
    Begin { ticket: Arc<Ticket<Result<Guard, AppendError>>>, intent: Arc<Intent>, handle: Arc<Handle> },
    /// Completes the call begun at this sequence. Nobody may wait.
    Complete { begun: u64, ticket: Option<Arc<Ticket<Result<Receipt, AppendError>>>> },
    /// Stands for itself. Nobody may wait.
    Event { ticket: Option<Arc<Ticket<Result<Receipt, AppendError>>>> },
}

impl Purpose {
    /// Tells whoever waits that it came to nothing.
    pub(super) fn refuse(self, error: &AppendError) {
        match self {
            Self::Begin { ticket, .. } => ticket.answer(Err(error.clone())),
            Self::Complete { ticket, .. } | Self::Event { ticket } => {
                if let Some(ticket) = ticket {
                    ticket.answer(Err(error.clone()));
                }
            }
        }
    }
}

/// How far the log is durable, for those who read it meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Durable {
    pub(crate) checkpoint: Checkpoint,
    /// The segment that is being written.
    pub(crate) segment: u64,
    /// Where in it the durable batches end.
    pub(crate) end: u64,
}

/// What callers, guards, readers and the writing thread share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Something is in the queue, or the log is closing. For the writing thread.
    arrived: Condvar,
    /// There is room in the queue. For callers.
    room: Event,
    /// The most records that may wait before callers do.
    capacity: usize,
    /// The most calls that may be under way.
    open_calls: usize,
    /// Segments made ahead.
    spares: Arc<Spares>,
}

struct State {
    queue: VecDeque<Item>,
    bytes: usize,
    // Calls whose intent was taken and whose completion was not: each may add one record beyond the bounds.
    open: usize,
    durable: Durable,
    // The writing thread sleeps until something arrives.
    is_awaited: bool,
    end: Option<AppendError>,
    // Told when the writing thread is done.
    closers: Vec<Arc<Ticket<Result<Checkpoint, AppendError>>>>,
    finished: Option<Result<Checkpoint, AppendError>>,
}

impl Shared {
    pub(super) fn new(durable: Durable, spares: Arc<Spares>, options: &Options) -> Self {
        let state = State {
            queue: VecDeque::new(),
            bytes: 0,
            open: 0,
            durable,
            is_awaited: false,
            end: None,
            closers: Vec::new(),
            finished: None,
        };
        Self {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            room: Event::new(),
            capacity: options.queue_records,
            open_calls: options.open_calls,
            spares,
        }
    }

    pub(crate) fn durable(&self) -> Durable {
        self.lock().durable
    }

    pub(super) fn space(&self) -> Space {
        self.spares.space()
    }

    /// Puts a record in the queue; waits while there is no room.
    pub(super) async fn push_when_room(&self, item: Item) -> Result<(), AppendError> {
        // Most find room, and need not listen for it.
        let Some(mut waiting) = self.try_push(item)? else { return Ok(()) };
        loop {
            // Listening begins before looking, so that no room goes unseen.
            let listener = self.room.listen();
            match self.try_push(waiting)? {
                None => return Ok(()),
                Some(item) => waiting = item,
            }
            listener.await;
        }
    }

    /// Puts a record in the queue; gives it back where there is no room.
    fn try_push(&self, item: Item) -> Result<Option<Item>, AppendError> {
        if !item.takes_reserve() && self.spares.space() == Space::Reserve {
            // Somebody may have made room.
            self.spares.prepare();
            if self.spares.space() == Space::Reserve {
                return Err(AppendError::Full);
            }
        }
        let mut state = self.lock();
        if let Some(end) = &state.end {
            return Err(end.clone());
        }
        let begins = matches!(item.purpose, Purpose::Begin { .. });
        if begins && state.open >= self.open_calls {
            return Err(AppendError::Overloaded { limit: self.open_calls });
        }
        if state.queue.len() >= self.capacity || state.bytes >= MAX_QUEUE_BYTES {
            return Ok(Some(item));
        }
        if begins {
            state.open = state.open.saturating_add(1);
        }
        self.enqueue(state, item);
        Ok(None)
    }

    /// Puts the completion of a call, or a sum of what was counted, in the queue; never waits. Gives it back when the
    /// log has ended.
    pub(super) fn push_at_once(&self, item: Item) -> Result<(), (Item, AppendError)> {
        let mut state = self.lock();
        if let Some(end) = &state.end {
            let end = end.clone();
            return Err((item, end));
        }
        if matches!(item.purpose, Purpose::Complete { .. }) {
            state.open = state.open.saturating_sub(1);
        }
        self.enqueue(state, item);
        Ok(())
    }

    /// Refuses what was taken from the queue and not written; the log goes on.
    pub(super) fn refuse_full(&self, item: Item) {
        if matches!(item.purpose, Purpose::Begin { .. }) {
            let mut state = self.lock();
            state.open = state.open.saturating_sub(1);
        }
        item.purpose.refuse(&AppendError::Full);
    }

    fn enqueue(&self, mut state: MutexGuard<'_, State>, item: Item) {
        state.bytes = state.bytes.saturating_add(item.entry.len());
        state.queue.push_back(item);
        // To wake somebody costs a call of the system, also where nobody sleeps.
        let is_awaited = state.is_awaited;
        drop(state);
        if is_awaited {
            self.arrived.notify_one();
        }
    }

    /// Waits for records.
    pub(super) fn wait(&self) {
        let mut state = self.lock();
        while state.queue.is_empty() && state.end.is_none() {
            state.is_awaited = true;
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_awaited = false;
    }

    /// Whether nothing is in the queue and nothing will be.
    pub(super) fn has_ended(&self) -> bool {
        let state = self.lock();
        state.queue.is_empty() && state.end.is_some()
    }

    /// Takes as many records as fit in one batch.
    pub(super) fn take_batch(&self) -> Vec<Item> {
        let mut state = self.lock();
        let mut batch = Vec::new();
        let mut bytes = BATCH_OVERHEAD;
        while let Some(item) = state.queue.front() {
            bytes = bytes.saturating_add(RECORD_OVERHEAD).saturating_add(item.entry.len());
            if batch.len() >= MAX_BATCH_RECORDS || (bytes > MAX_BATCH_BYTES && !batch.is_empty()) {
                break;
            }
            if let Some(item) = state.queue.pop_front() {
                state.bytes = state.bytes.saturating_sub(item.entry.len());
                batch.push(item);
            }
        }
        drop(state);
        self.room.notify(batch.len());
        batch
    }

    /// Says that a batch is durable.
    pub(super) fn publish(&self, durable: Durable) {
        self.lock().durable = durable;
    }

    /// Takes nothing more. What is in the queue is still written.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.end.get_or_insert(AppendError::Closed);
        drop(state);
        self.arrived.notify_one();
        self.room.notify(usize::MAX);
    }

    /// Takes nothing more, and refuses what is in the queue.
    pub(super) fn stop(&self, error: &AppendError) {
        let mut state = self.lock();
        state.end = Some(error.clone());
        let queue = mem::take(&mut state.queue);
        drop(state);
        self.room.notify(usize::MAX);
        // Not under the lock: a guard that is dropped with its ticket comes back here.
        queue.into_iter().for_each(|item| item.purpose.refuse(error));
    }

    /// Says that the writing thread is done.
    pub(super) fn finish(&self, outcome: &Result<Checkpoint, AppendError>) {
        let mut state = self.lock();
        state.finished = Some(outcome.clone());
        let closers = mem::take(&mut state.closers);
        drop(state);
        closers.into_iter().for_each(|closer| closer.answer(outcome.clone()));
    }

    /// Answered when the writing thread is done.
    pub(super) fn when_finished(&self) -> Arc<Ticket<Result<Checkpoint, AppendError>>> {
        let ticket = Ticket::new();
        let mut state = self.lock();
        if let Some(outcome) = state.finished.clone() {
            ticket.answer(outcome);
        } else {
            state.closers.push(Arc::clone(&ticket));
        }
        ticket
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The most bytes of entries that wait before callers do.
const MAX_QUEUE_BYTES: usize = 8 << 20;
