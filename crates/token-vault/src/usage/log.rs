//! Uses as they happen, in a short log for each thread: recording one writes to no memory that another thread
//! writes to, and takes no lock.

use core::array;
use core::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use core_types::{TokenId, UnixTime};

/// The logs of all threads that recorded something.
#[derive(Debug)]
pub(super) struct Logs {
    // Tells the logs of one vault from those of another in a thread's own list.
    number: u64,
    logs: Mutex<Vec<Arc<Log>>>,
}

/// One thread's log: a ring with one writer, the thread, and one reader at a time, whoever holds `taking`.
#[derive(Debug)]
#[repr(align(128))]
struct Log {
    // INVARIANT: written only by the thread that has the log in its list; `taken` only under `taking`; never more
    // than LOG_LEN apart.
    written: AtomicU64,
    taken: AtomicU64,
    taking: Mutex<()>,
    places: [Place; LOG_LEN],
}

#[derive(Debug, Default)]
struct Place {
    id: [AtomicU64; 2],
    at: AtomicU64,
}

thread_local! {
    /// This thread's logs, with the numbers of the vaults they belong to.
    static OWN: RefCell<Vec<(u64, Arc<Log>)>> = const { RefCell::new(Vec::new()) };
}

/// Where there was no room in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Elsewhere;

impl Logs {
    pub(super) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self { number: LAST.fetch_add(1, Ordering::Relaxed), logs: Mutex::new(Vec::new()) }
    }

    /// Notes a use in this thread's log; when that is full, what is in it goes to `into` first.
    #[inline]
    pub(super) fn add(
        &self,
        id: TokenId,
        now: UnixTime,
        into: impl FnMut(&mut [(TokenId, UnixTime)]),
    ) -> Result<(), Elsewhere> {
        // A thread that is ending has no list any more.
        let noted = OWN.try_with(|own| {
            let own = own.try_borrow().map_err(|_| Elsewhere)?;
            let (_, log) = own.iter().find(|(number, _)| *number == self.number).ok_or(Elsewhere)?;
            log.write(id, now, into);
            Ok(())
        });
        noted.unwrap_or(Err(Elsewhere))
    }

    /// Gives this thread a log, if there is not one too many.
    #[cold]
    pub(super) fn join(&self) {
        let _ = OWN.try_with(|own| {
            let Ok(mut own) = own.try_borrow_mut() else { return };
            // Of vaults that are gone only this thread still holds the log.
            own.retain(|(_, log)| Arc::strong_count(log) > 1);
            if own.len() >= MAX_VAULTS || own.iter().any(|(number, _)| *number == self.number) {
                return;
            }
            if let Some(log) = self.vacant() {
                own.push((self.number, log));
            }
        });
    }

    /// A log whose thread has ended, or a new one.
    fn vacant(&self) -> Option<Arc<Log>> {
        let mut logs = lock(&self.logs);
        if let Some(log) = logs.iter().find(|log| Arc::strong_count(log) == 1) {
            // What the thread before wrote last is seen by the next one: it let go of the log after that.
            fence(Ordering::Acquire);
            return Some(Arc::clone(log));
        }
        if logs.len() >= MAX_LOGS {
            return None;
        }
        let log = Arc::new(Log::new());
        logs.push(Arc::clone(&log));
        Some(log)
    }

    /// Empties all logs, one at a time, into `into`.
    pub(super) fn take(&self, mut into: impl FnMut(&mut [(TokenId, UnixTime)])) {
        let logs = lock(&self.logs).clone();
        for log in &logs {
            log.take(&mut into);
        }
    }
}

impl Log {
    fn new() -> Self {
        Self {
            written: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            taking: Mutex::new(()),
            places: array::from_fn(|_| Place::default()),
        }
    }

    #[inline]
    fn write(&self, id: TokenId, now: UnixTime, into: impl FnMut(&mut [(TokenId, UnixTime)])) {
        let written = self.written.load(Ordering::Relaxed);
        // What was read there before is read to the end before it is written over: see `take`.
        if written.wrapping_sub(self.taken.load(Ordering::Acquire)) >= LEN {
            self.make_room(into);
        }
        if let Some(Place { id: [high, low], at }) = self.place(written) {
            let halves = halves(id);
            high.store(halves[0], Ordering::Relaxed);
            low.store(halves[1], Ordering::Relaxed);
            at.store(now.as_millis(), Ordering::Relaxed);
        }
        self.written.store(written.wrapping_add(1), Ordering::Release);
    }

    #[cold]
    fn make_room(&self, into: impl FnMut(&mut [(TokenId, UnixTime)])) {
        self.take(into);
    }

    fn take(&self, mut into: impl FnMut(&mut [(TokenId, UnixTime)])) {
        let _taking = lock(&self.taking);
        let mut taken = self.taken.load(Ordering::Relaxed);
        let written = self.written.load(Ordering::Acquire);
        let mut uses = [(TokenId::from_bytes([0; 16]), UnixTime::EPOCH); LOG_LEN];
        let mut count = 0_usize;
        for to in &mut uses {
            if taken == written {
                break;
            }
            if let Some(Place { id: [high, low], at }) = self.place(taken) {
                let id = join([high.load(Ordering::Relaxed), low.load(Ordering::Relaxed)]);
                *to = (id, UnixTime::from_millis(at.load(Ordering::Relaxed)));
            }
            taken = taken.wrapping_add(1);
            count = count.saturating_add(1);
        }
        into(uses.get_mut(..count).unwrap_or(&mut []));
        self.taken.store(taken, Ordering::Release);
    }

    fn place(&self, number: u64) -> Option<&Place> {
        self.places.get(usize::try_from(number & (LEN - 1)).ok()?)
    }
}

fn halves(id: TokenId) -> [u64; 2] {
    let mut halves = [0_u64; 2];
    for (half, bytes) in halves.iter_mut().zip(id.to_bytes().as_chunks::<8>().0) {
        *half = u64::from_be_bytes(*bytes);
    }
    halves
}

fn join(halves: [u64; 2]) -> TokenId {
    let [high, low] = halves.map(u128::from);
    TokenId::from_bytes(((high << 64) | low).to_be_bytes())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can panic halfway through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const LOG_LEN: usize = 256;
/// A power of two, so that places follow one another when the numbers wrap.
const LEN: u64 = 256;
/// The most threads with a log of their own: six kilobytes each.
const MAX_LOGS: usize = 1024;
/// The most vaults for which one thread has a log.
const MAX_VAULTS: usize = 16;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn id(number: u8) -> TokenId {
        TokenId::from_bytes([number; 16])
    }

    fn add(logs: &Logs, number: u8, at: u64, mut into: impl FnMut(&mut [(TokenId, UnixTime)])) {
        let now = UnixTime::from_millis(at);
        if logs.add(id(number), now, &mut into).is_err() {
            logs.join();
            logs.add(id(number), now, into).unwrap();
        }
    }

    #[test]
    fn nothing_is_lost_or_counted_twice_whoever_empties_the_logs() {
        let logs = Logs::new();
        let counts: Mutex<BTreeMap<TokenId, u64>> = Mutex::default();
        let count = |uses: &mut [(TokenId, UnixTime)]| {
            uses.iter().for_each(|(id, _)| *lock(&counts).entry(*id).or_default() += 1);
        };
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let logs = &logs;
                scope.spawn(move || {
                    for number in 0..5_000 {
                        add(logs, thread, number, count);
                    }
                });
            }
            for _ in 0..200 {
                logs.take(count);
            }
        });
        logs.take(count);
        let expected: BTreeMap<_, _> = (0..4).map(|thread| (id(thread), 5_000)).collect();
        assert_eq!(lock(&counts).clone(), expected);
    }

    #[test]
    fn what_a_thread_wrote_before_it_ended_is_found_and_its_log_is_used_again() {
        let logs = Logs::new();
        for number in 0..50_u8 {
            std::thread::scope(|scope| {
                scope.spawn(|| add(&logs, number, 7, |_| ()));
            });
        }
        assert!(lock(&logs.logs).len() < 50);
        let mut found = Vec::new();
        logs.take(|uses| found.extend(uses.iter().map(|(id, at)| (*id, at.as_millis()))));
        found.sort_unstable();
        assert_eq!(found, (0..50).map(|number| (id(number), 7)).collect::<Vec<_>>());
    }

    #[test]
    fn logs_of_vaults_that_are_gone_make_room() {
        for _ in 0..3 * MAX_VAULTS {
            let logs = Logs::new();
            logs.join();
            assert_eq!(logs.add(id(1), UnixTime::EPOCH, |_| ()), Ok(()));
        }
    }
}
