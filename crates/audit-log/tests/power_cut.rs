//! Power cuts and crashes at every point: what was acknowledged is there, and nothing else is believed.
//!
//! With one caller every run of a seed does the same things in the same order, so that a failure can be
//! repeated.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails is a test that fails"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use audit_log::testing::MemoryDirectory;
use audit_log::verify::verify_in;
use audit_log::{
    Actor, AuditLog, Completion, Cursor, Filter, Guard, Intent, OpenError, Options, Outcome, Public, Receipt,
};
use core_types::testing::{TestClock, TestRandom};
use core_types::{Scope, SecureRandom, UnixTime};

#[test]
fn power_cuts_lose_nothing_that_was_acknowledged() {
    for seed in 0..1500 {
        let random = TestRandom::seeded(seed);
        let mut disk = MemoryDirectory::new();
        let mut book = Book::default();
        for life in 0..4 {
            disk.stop_after(u64::from(number(&random, 60)));
            let process = book.live(&disk, &random);
            let before = disk;
            disk = if number(&random, 4) == 0 {
                before.after_kill()
            } else {
                before.after_power_cut(seed * 4 + life)
            };
            // Only now: a process that is killed drops nothing.
            drop(process);
        }
        book.check(&disk, seed);
    }
}

#[test]
fn a_crash_at_every_single_step_is_recovered_from() {
    for stop in 0..120 {
        for seed in 0..8 {
            let random = TestRandom::seeded(7);
            let disk = MemoryDirectory::new();
            let mut book = Book::default();
            disk.stop_after(stop);
            let process = book.live(&disk, &random);
            let after = disk.after_power_cut(seed);
            drop(process);
            book.check(&after, stop);
        }
    }
}

/// What a caller was told, over several lives of the process.
#[derive(Default)]
struct Book {
    /// The sequences of acknowledged records, and the number that was recorded there.
    begun: BTreeMap<u64, u64>,
    completed: BTreeMap<u64, (u64, Outcome)>,
    last: Option<Receipt>,
    next: u64,
}

impl Book {
    /// Opens the log and makes calls until the disk stops, or for a while. Returns what the process held.
    fn live(&mut self, disk: &MemoryDirectory, random: &TestRandom) -> Option<(AuditLog, Vec<(u64, Guard)>)> {
        // An operator may keep checkpoints or not.
        let known = self.last.map(|last| last.checkpoint()).filter(|_| number(random, 2) == 0);
        let log = match open(disk, known) {
            Ok(log) => log,
            Err(OpenError::File(_)) => return None,
            Err(error) => panic!("{error}"),
        };
        let mut guards: Vec<(u64, Guard)> = Vec::new();
        for _ in 0..number(random, 30) {
            self.next += 1;
            let number_of_call = self.next;
            match number(random, 3) {
                0 => {
                    if let Ok(receipt) = log.record_blocking(intent(number_of_call), denied()) {
                        self.completed.insert(receipt.sequence(), (number_of_call, Outcome::Denied));
                        self.last = Some(receipt);
                    }
                }
                1 => {
                    if let Ok(guard) = log.begin_blocking(intent(number_of_call)) {
                        self.begun.insert(guard.sequence(), number_of_call);
                        guards.push((number_of_call, guard));
                    }
                }
                _ => {
                    if let Some((number_of_call, guard)) = guards.pop()
                        && let Ok(receipt) = guard.finish_blocking(allowed())
                    {
                        self.completed.insert(receipt.sequence(), (number_of_call, Outcome::Allowed));
                        self.last = Some(receipt);
                    }
                }
            }
        }
        if number(random, 2) == 0 {
            _ = log.close_blocking();
        }
        Some((log, guards))
    }

    /// Opens the log for the last time and compares.
    fn check(&self, disk: &MemoryDirectory, seed: u64) {
        let log = open(disk, self.last.map(|last| last.checkpoint())).unwrap();
        let page = log.reader(Scope::root()).query(&Filter::new(), Cursor::oldest_first(), 1000).unwrap();
        let entries: BTreeMap<u64, _> = page.entries.iter().map(|entry| (entry.sequence(), entry)).collect();
        for (sequence, (number, outcome)) in &self.completed {
            let entry = entries.get(sequence).unwrap_or_else(|| panic!("seed {seed}: lost {sequence}"));
            assert_eq!((number_of(entry.intent()), entry.outcome()), (*number, *outcome), "seed {seed}");
        }
        for (sequence, number) in &self.begun {
            let mut ends = page.entries.iter().filter(|entry| entry.begun() == Some(*sequence));
            let end = ends.next().unwrap_or_else(|| panic!("seed {seed}: call {sequence} is lost"));
            assert_eq!(number_of(end.intent()), *number, "seed {seed}");
            assert!(ends.next().is_none(), "seed {seed}: two ends of one call");
        }
        let last = log.close_blocking().unwrap();
        let report = verify_in(disk, &[last]).unwrap();
        assert!(report.is_intact() && report.findings().is_empty(), "seed {seed}: {report}");
        assert_eq!((report.open_calls(), report.proven_to()), (0, last.sequence()), "seed {seed}");
    }
}

fn open(disk: &MemoryDirectory, known: Option<audit_log::Checkpoint>) -> Result<AuditLog, OpenError> {
    let options = Options::new().with_segment_bytes(2 << 10);
    let options = known.map_or(options.clone(), |known| options.with_known(known));
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(2)));
    AuditLog::open_in(Arc::new(disk.clone()), clock, &TestRandom::seeded(1), &options)
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

fn allowed() -> Completion {
    Completion::allowed(Duration::from_micros(5))
}

fn denied() -> Completion {
    Completion::denied(Duration::from_micros(5))
}

/// A number below `bound`.
fn number(random: &TestRandom, bound: u8) -> u8 {
    let mut byte = [0];
    random.fill(&mut byte).unwrap();
    byte[0] % bound
}
