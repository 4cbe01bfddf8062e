//! The committer over the fault port, without a thread: every interleaving comes from a seed, so that a failure can be
//! repeated.
//!
//! A run is several lives of a process on one disk. In each, callers begin, finish, drop and record at random, the
//! committer writes a batch now and then, the clock jumps, and the disk fills up, writes less than asked, fails a sync,
//! or stops. Then the process is killed, loses its power, or closes. What was acknowledged must be there ever after.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails is a test that fails"
)]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use audit_log::testing::{MemoryDirectory, Stepper, open_stepped};
use audit_log::verify::verify_in;
use audit_log::{
    Actor, AppendError, AuditLog, Checkpoint, Class, Completion, Cursor, Filter, Guard, Intent, OpenError,
    Options, Outcome, Public, Receipt,
};
use core_types::testing::{TestClock, TestRandom};
use core_types::{Scope, SecureRandom, UnixTime};

#[test]
fn whatever_happens_what_was_acknowledged_is_there() {
    std::thread::scope(|scope| {
        for part in 0..THREADS {
            scope.spawn(move || (0..SEEDS).filter(|seed| seed % THREADS == part).for_each(run));
        }
    });
}

fn run(seed: u64) {
    let mut world = World {
        random: TestRandom::seeded(seed),
        seed,
        next: 0,
        begun: BTreeMap::new(),
        ended: BTreeMap::new(),
        last: None,
    };
    let mut disk = MemoryDirectory::new();
    for life in 0..3 {
        world.live(&disk);
        disk = match world.below(3) {
            0 => disk.after_kill(),
            1 => disk.after_power_cut(seed * 3 + life),
            // Somebody makes room, and starts it again.
            _ => disk.after_kill(),
        };
    }
    world.check(&disk);
}

/// What is under way in a life.
enum Task {
    Begin(u64, Pin<Box<dyn Future<Output = Result<Guard, AppendError>>>>),
    Record(u64, Outcome, Pin<Box<dyn Future<Output = Result<Receipt, AppendError>>>>),
}

struct World {
    random: TestRandom,
    seed: u64,
    next: u64,
    /// Sequences of acknowledged records, and whose they are.
    begun: BTreeMap<u64, u64>,
    ended: BTreeMap<u64, (u64, Outcome)>,
    last: Option<Checkpoint>,
}

impl World {
    fn live(&mut self, disk: &MemoryDirectory) {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_000_000)));
        let known = self.last.filter(|_| self.below(2) == 0);
        if self.below(4) == 0 {
            disk.stop_after(u64::from(self.below(40)));
        }
        let (log, mut stepper) = match open(disk, &clock, known) {
            Ok(opened) => opened,
            Err(OpenError::File(_)) => return,
            Err(error) => panic!("seed {}: {error}", self.seed),
        };
        let mut tasks = Vec::new();
        let mut guards: Vec<(u64, Guard)> = Vec::new();
        let mut has_stopped = false;
        for _ in 0..self.below(40) {
            match self.below(12) {
                0..=2 => {
                    let number = self.number();
                    let class = if self.below(3) == 0 { Class::Security } else { Class::Change };
                    tasks.push(Task::Begin(number, Box::pin(log.begin_as(class, intent(number)))));
                }
                3 => {
                    let number = self.number();
                    let record = log.record(intent(number), Completion::denied(Duration::ZERO));
                    tasks.push(Task::Record(number, Outcome::Denied, Box::pin(record)));
                }
                4..=5 => {
                    if let Some((number, guard)) = self.take(&mut guards) {
                        let finish = guard.finish(Completion::allowed(Duration::ZERO));
                        tasks.push(Task::Record(number, Outcome::Allowed, Box::pin(finish)));
                    }
                }
                6 => drop(self.take(&mut guards)),
                7 => drop(self.take(&mut tasks)),
                8 => clock.set(UnixTime::from_secs(u64::from(self.below(255)) * 10_000)),
                9 if self.below(4) == 0 => self.break_something(disk),
                _ => has_stopped |= !stepper.step(),
            }
            self.poll(&mut tasks, &mut guards, has_stopped);
        }
        if self.below(2) == 0 {
            let mut close = Box::pin(log.close());
            while stepper.step() {}
            self.poll(&mut tasks, &mut guards, true);
            let closed = close.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            let Poll::Ready(closed) = closed else { panic!("seed {}: a close without an end", self.seed) };
            if let Ok(checkpoint) = closed {
                self.last = Some(checkpoint);
            }
            assert!(tasks.is_empty(), "seed {}: somebody waits for ever", self.seed);
        }
        // The process is gone: what it held writes nothing more.
        disk.stop_after(0);
        drop(stepper);
        self.poll(&mut tasks, &mut guards, true);
        assert!(tasks.is_empty(), "seed {}: somebody waits for ever", self.seed);
    }

    /// Polls everything once, in the order in which it began.
    fn poll(&mut self, tasks: &mut Vec<Task>, guards: &mut Vec<(u64, Guard)>, has_stopped: bool) {
        let context = &mut Context::from_waker(Waker::noop());
        let waiting = std::mem::take(tasks);
        for mut task in waiting {
            match &mut task {
                Task::Begin(number, begin) => match begin.as_mut().poll(context) {
                    Poll::Ready(Ok(guard)) => {
                        self.begun.insert(guard.sequence(), *number);
                        guards.push((*number, guard));
                    }
                    Poll::Ready(Err(_)) => {}
                    Poll::Pending => tasks.push(task),
                },
                Task::Record(number, outcome, record) => match record.as_mut().poll(context) {
                    Poll::Ready(Ok(receipt)) => {
                        let twice = self.ended.insert(receipt.sequence(), (*number, *outcome));
                        assert_eq!(twice, None, "seed {}", self.seed);
                        if self.last.is_none_or(|last| last.sequence() < receipt.sequence()) {
                            self.last = Some(receipt.checkpoint());
                        }
                    }
                    Poll::Ready(Err(_)) => {}
                    Poll::Pending => tasks.push(task),
                },
            }
        }
        if has_stopped {
            assert!(tasks.is_empty(), "seed {}: a log that has ended leaves nobody waiting", self.seed);
        }
    }

    fn break_something(&self, disk: &MemoryDirectory) {
        match self.below(4) {
            0 => disk.fail_syncs_after(u64::from(self.below(4))),
            1 => disk.fill_after(usize::from(self.below(255)) * 16),
            2 => disk.write_at_most(usize::from(self.below(200)) + 1),
            _ => disk.stop_after(u64::from(self.below(20))),
        }
    }

    fn check(&self, disk: &MemoryDirectory) {
        let seed = self.seed;
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(5)));
        let (log, mut stepper) =
            open(disk, &clock, self.last).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let page = log.reader(Scope::root()).query(&Filter::new(), Cursor::oldest_first(), 1000).unwrap();
        let entries: BTreeMap<u64, _> = page.entries.iter().map(|entry| (entry.sequence(), entry)).collect();
        for (sequence, (number, outcome)) in &self.ended {
            let entry = entries.get(sequence).unwrap_or_else(|| panic!("seed {seed}: lost {sequence}"));
            assert_eq!((number_of(entry.intent()), entry.outcome()), (*number, *outcome), "seed {seed}");
        }
        for (sequence, number) in &self.begun {
            let ends: Vec<_> = page.entries.iter().filter(|entry| entry.begun() == Some(*sequence)).collect();
            assert_eq!(ends.len(), 1, "seed {seed}: the ends of call {sequence}");
            assert_eq!(ends.first().map(|end| number_of(end.intent())), Some(*number), "seed {seed}");
        }
        let close = log.close();
        while stepper.step() {}
        let last = pollster::block_on(close).unwrap();
        let report = verify_in(disk, &[last]).unwrap();
        assert!(report.is_intact() && report.findings().is_empty(), "seed {seed}: {report}");
        assert_eq!((report.open_calls(), report.proven_to()), (0, last.sequence()), "seed {seed}");
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn take<T>(&self, from: &mut Vec<T>) -> Option<T> {
        let length = u8::try_from(from.len()).unwrap();
        (length > 0).then(|| from.remove(usize::from(self.below(length))))
    }

    /// A number below `bound`.
    fn below(&self, bound: u8) -> u8 {
        let mut byte = [0];
        self.random.fill(&mut byte).unwrap();
        byte[0] % bound
    }
}

fn open(
    disk: &MemoryDirectory,
    clock: &Arc<TestClock>,
    known: Option<Checkpoint>,
) -> Result<(AuditLog, Stepper), OpenError> {
    let options = Options::new().with_segment_bytes(2 << 10).with_queue_records(8).with_open_calls(6);
    let options = known.map_or(options.clone(), |known| options.with_known(known));
    open_stepped(Arc::new(disk.clone()), clock.clone(), &TestRandom::seeded(1), &options)
}

fn intent(number: u64) -> Intent {
    let action: audit_log::Action = "apps:write".parse().unwrap();
    let intent =
        Intent::new(Actor::Anonymous, action, "project/web".parse().unwrap(), UnixTime::from_secs(1));
    intent.with_detail("number", number).unwrap()
}

fn number_of(intent: &Intent) -> u64 {
    intent.details().value("number").and_then(Public::as_number).unwrap_or_default()
}

const SEEDS: u64 = 10_000;
const THREADS: u64 = 2;
