//! One answer from the writing thread to one caller.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A place for one answer, shared by the one who waits and the one who answers.
#[derive(Debug)]
pub(super) struct Ticket<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
enum State<T> {
    Waiting(Option<Waker>),
    Answered(Option<T>),
}

impl<T> Ticket<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::Waiting(None)) })
    }

    /// Gives the answer; a second one is dropped.
    pub(super) fn answer(&self, answer: T) {
        let mut state = self.lock();
        let State::Waiting(waker) = &mut *state else { return };
        let waker = waker.take();
        *state = State::Answered(Some(answer));
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The answer, when it is there.
    pub(super) fn answered(self: Arc<Self>) -> Answer<T> {
        Answer { ticket: self }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every change under the lock is a single assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the answer of a ticket.
pub(super) struct Answer<T> {
    ticket: Arc<Ticket<T>>,
}

impl<T> Future for Answer<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = self.ticket.lock();
        match &mut *state {
            State::Answered(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            State::Waiting(waker) => {
                match waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    None => *waker = Some(context.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}
