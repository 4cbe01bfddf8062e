//! Work of many callers, done together by one of them.
//!
//! A disk takes as long to make one commit durable as to make fifty so. Callers queue; the first of them leads,
//! takes what has queued up to the bounds, does it in one go and hands out the results; then the first of those
//! who came meanwhile leads. Nobody leads twice in a row while others wait.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A queue of items of work, each with a result.
#[derive(Debug)]
pub(crate) struct Group<T, R> {
    queue: Mutex<Queue<T, R>>,
    weigh: fn(&T) -> usize,
    lost: fn() -> R,
}

impl<T, R> Group<T, R> {
    /// `weigh` is an item's part of [`MAX_GROUP_WEIGHT`]; `lost` is what those hear whose leader panicked.
    pub(crate) const fn new(weigh: fn(&T) -> usize, lost: fn() -> R) -> Self {
        Self { queue: Mutex::new(Queue { waiting: VecDeque::new(), is_led: false }), weigh, lost }
    }

    /// Has the item done, by `work` here or by another caller's elsewhere, and returns its result.
    ///
    /// `work` returns a result for each item, in order. It never runs in two threads at once.
    pub(crate) fn submit(&self, item: T, work: impl FnOnce(Vec<T>) -> Vec<R>) -> R {
        let seat = Arc::new(Seat { turn: Mutex::new(Turn::Waiting), changed: Condvar::new() });
        {
            let mut queue = self.lock();
            queue.waiting.push_back((item, Arc::clone(&seat)));
            if !queue.is_led {
                queue.is_led = true;
                seat.set(Turn::Lead);
            }
        }
        loop {
            match seat.wait() {
                Turn::Done(result) => return result,
                Turn::Lead => break,
                Turn::Waiting => {}
            }
        }
        self.lead(work);
        // INVARIANT: who leads is first in the queue, and so in what was just done.
        match seat.wait() {
            Turn::Done(result) => result,
            Turn::Lead | Turn::Waiting => (self.lost)(),
        }
    }

    fn lead(&self, work: impl FnOnce(Vec<T>) -> Vec<R>) {
        let _handing_over = HandingOver { group: self };
        let (items, tickets): (Vec<T>, Vec<Ticket<R>>) = self
            .take()
            .into_iter()
            .map(|(item, seat)| (item, Ticket { seat, result: Some((self.lost)()) }))
            .unzip();
        // When this panics the tickets are dropped, and say that the items are lost.
        let results = work(items);
        for (ticket, result) in tickets.into_iter().zip(results) {
            ticket.tell(result);
        }
    }

    /// The first items of the queue, at least one, within the bounds.
    fn take(&self) -> Vec<(T, Arc<Seat<R>>)> {
        let mut queue = self.lock();
        let mut weight = 0_usize;
        let fits = |(item, _): &&(T, Arc<Seat<R>>)| {
            let fits = weight == 0 || weight.saturating_add((self.weigh)(item)) <= MAX_GROUP_WEIGHT;
            weight = weight.saturating_add((self.weigh)(item)).max(1);
            fits
        };
        let count = queue.waiting.iter().take(MAX_GROUP).take_while(fits).count();
        queue.waiting.drain(..count).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Queue<T, R>> {
        // Every change under the lock is complete before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Queue<T, R> {
    waiting: VecDeque<(T, Arc<Seat<R>>)>,
    // Whether one of the callers leads; it is no longer in `waiting` once it has taken its items.
    is_led: bool,
}

/// Where a caller waits.
#[derive(Debug)]
struct Seat<R> {
    turn: Mutex<Turn<R>>,
    changed: Condvar,
}

#[derive(Debug)]
enum Turn<R> {
    Waiting,
    Lead,
    Done(R),
}

impl<R> Seat<R> {
    fn set(&self, turn: Turn<R>) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = turn;
        self.changed.notify_one();
    }

    /// What the caller does next; never [`Turn::Waiting`].
    fn wait(&self) -> Turn<R> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |turn: &mut Turn<R>| matches!(turn, Turn::Waiting);
        let turn = self.changed.wait_while(turn, waiting);
        core::mem::replace(&mut *turn.unwrap_or_else(PoisonError::into_inner), Turn::Waiting)
    }
}

/// Tells a caller its result when it is dropped.
struct Ticket<R> {
    seat: Arc<Seat<R>>,
    result: Option<R>,
}

impl<R> Ticket<R> {
    fn tell(mut self, result: R) {
        self.result = Some(result);
    }
}

impl<R> Drop for Ticket<R> {
    fn drop(&mut self) {
        if let Some(result) = self.result.take() {
            self.seat.set(Turn::Done(result));
        }
    }
}

/// Lets the next caller lead when it is dropped.
struct HandingOver<'a, T, R> {
    group: &'a Group<T, R>,
}

impl<T, R> Drop for HandingOver<'_, T, R> {
    fn drop(&mut self) {
        let mut queue = self.group.lock();
        match queue.waiting.front() {
            Some((_, seat)) => seat.set(Turn::Lead),
            None => queue.is_led = false,
        }
    }
}

/// The most items done in one go.
const MAX_GROUP: usize = 128;
/// The most weight done in one go; one item may weigh more.
pub(crate) const MAX_GROUP_WEIGHT: usize = 8 << 20;

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows is a failed test")]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Barrier, mpsc};
    use std::thread;

    use super::*;

    fn doubling() -> Group<usize, Option<usize>> {
        Group::new(|_| 1, || None)
    }

    fn double(items: Vec<usize>) -> Vec<Option<usize>> {
        items.into_iter().map(|item| Some(item * 2)).collect()
    }

    #[test]
    fn everybody_hears_of_their_own_item() {
        let group = doubling();
        let working = AtomicBool::new(false);
        let groups = AtomicUsize::new(0);
        thread::scope(|scope| {
            for number in 0..8 {
                let (group, working, groups) = (&group, &working, &groups);
                scope.spawn(move || {
                    for round in 0..500 {
                        let item = number * 1000 + round;
                        let result = group.submit(item, |items| {
                            assert!(!working.swap(true, Ordering::SeqCst), "two lead at once");
                            assert!(items.contains(&item), "a leader has its own item done");
                            groups.fetch_add(1, Ordering::SeqCst);
                            thread::yield_now();
                            working.store(false, Ordering::SeqCst);
                            double(items)
                        });
                        assert_eq!(result, Some(item * 2));
                    }
                });
            }
        });
        assert!(groups.into_inner() <= 4000);
        assert_eq!(group.submit(1, double), Some(2), "afterwards nobody leads");
    }

    #[test]
    fn what_queues_behind_a_leader_is_done_in_one_go() {
        let group = doubling();
        let (leading, led) = mpsc::channel();
        let queued = Barrier::new(2);
        thread::scope(|scope| {
            let (group, queued) = (&group, &queued);
            scope.spawn(move || {
                group.submit(0, |items| {
                    leading.send(()).unwrap();
                    queued.wait();
                    double(items)
                })
            });
            led.recv().unwrap();
            let others: Vec<_> = (1..=5)
                .map(|item| {
                    scope.spawn(move || {
                        group.submit(item, |items| {
                            assert_eq!(items.len(), 5);
                            double(items)
                        })
                    })
                })
                .collect();
            while group.lock().waiting.len() < 5 {
                thread::yield_now();
            }
            queued.wait();
            for (other, item) in others.into_iter().zip(1..) {
                assert_eq!(other.join().unwrap(), Some(item * 2));
            }
        });
    }

    #[test]
    fn a_leader_that_panics_loses_its_group_and_nobody_else() {
        let group = doubling();
        let failed = catch_unwind(AssertUnwindSafe(|| group.submit(1, |_| panic!("the disk burns"))));
        assert!(failed.is_err());
        assert_eq!(group.submit(2, double), Some(4));
        assert_eq!(group.submit(3, |_| Vec::new()), None, "an item without a result is lost");
        assert_eq!(group.submit(4, double), Some(8));
    }

    #[test]
    fn a_group_keeps_to_its_bounds() {
        let group: Group<usize, ()> = Group::new(|&weight| weight, || ());
        let queue = |weights: &[usize]| {
            let seats = weights.iter().map(|&weight| {
                (weight, Arc::new(Seat { turn: Mutex::new(Turn::Waiting), changed: Condvar::new() }))
            });
            group.lock().waiting = seats.collect();
        };
        let half = MAX_GROUP_WEIGHT / 2;
        queue(&[half, half, 1]);
        assert_eq!(group.take().len(), 2);
        queue(&[MAX_GROUP_WEIGHT * 3, 0]);
        assert_eq!(group.take().len(), 1, "one item may be larger than a group");
        queue(&vec![1; MAX_GROUP + 1]);
        assert_eq!(group.take().len(), MAX_GROUP);
        assert_eq!(group.take().len(), 1);
    }
}
