//! Damage of every kind, done to a log on purpose: found, named, and located.

#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a helper that fails is a test that fails"
)]

mod attacks;
mod bytes;
mod forge;
mod head;
mod strangers;

use std::sync::Arc;
use std::time::Duration;

use audit_log::testing::MemoryDirectory;
use audit_log::{
    Actor, AuditLog, Checkpoint, Completion, Finding, FindingKind, Intent, OpenError, Options, Report,
};
use core_types::UnixTime;
use core_types::testing::{TestClock, TestRandom};
use forge::Segment;

/// A closed log of six records in five batches: a call, two single entries, a call.
fn sample() -> (MemoryDirectory, Checkpoint) {
    let disk = MemoryDirectory::new();
    let log = open(&disk, &Options::new().with_segment_bytes(4 << 10)).unwrap();
    call(&log, "apps:write");
    log.record_blocking(intent("apps:read"), denied()).unwrap();
    log.record_blocking(intent("apps:list"), denied()).unwrap();
    call(&log, "apps:delete");
    let last = log.close_blocking().unwrap();
    (disk, last)
}

/// A closed log of twelve records in four segments.
fn sample_of_segments() -> (MemoryDirectory, Checkpoint) {
    let disk = MemoryDirectory::new();
    let log = open(&disk, &Options::new().with_segment_bytes(1 << 10)).unwrap();
    (0..6).for_each(|_| call(&log, "apps:write"));
    let last = log.close_blocking().unwrap();
    assert!(!disk.read("00000003.log").is_empty(), "three segments at least");
    (disk, last)
}

/// A closed log of which one batch has many records, and how many.
fn sample_of_one_batch() -> (MemoryDirectory, usize) {
    let disk = MemoryDirectory::new();
    let log = open(&disk, &Options::new()).unwrap();
    let guards: Vec<_> = (0..9).map(|_| log.begin_blocking(intent("apps:write")).unwrap()).collect();
    let gate = disk.hold_syncs();
    let size = disk.read(SEGMENT).len();
    let mut guards = guards.into_iter();
    drop(guards.next());
    // The first one holds the disk, in a batch of its own; the others come together in the next.
    while Segment::read(&disk.read(SEGMENT)).records().count() < 10 {
        std::thread::yield_now();
    }
    assert_eq!(disk.read(SEGMENT).len(), size, "in the room that was there");
    drop(guards);
    drop(gate);
    log.close_blocking().unwrap();
    (disk, 8)
}

/// The log of [`sample`] as a process leaves it that was killed: `head` still at the beginning.
fn sample_after_kill() -> (MemoryDirectory, Checkpoint) {
    let disk = MemoryDirectory::new();
    let log = open(&disk, &Options::new().with_segment_bytes(4 << 10)).unwrap();
    call(&log, "apps:write");
    log.record_blocking(intent("apps:read"), denied()).unwrap();
    log.record_blocking(intent("apps:list"), denied()).unwrap();
    call(&log, "apps:delete");
    let last = log.checkpoint();
    (disk.after_kill(), last)
}

fn call(log: &AuditLog, action: &str) {
    let guard = log.begin_blocking(intent(action)).unwrap();
    guard.finish_blocking(Completion::allowed(Duration::from_millis(1))).unwrap();
}

fn denied() -> Completion {
    Completion::denied(Duration::ZERO)
}

fn intent(action: &str) -> Intent {
    let action: audit_log::Action = action.parse().unwrap();
    Intent::new(Actor::Anonymous, action, "project/web".parse().unwrap(), UnixTime::from_secs(1))
}

fn open(disk: &MemoryDirectory, options: &Options) -> Result<AuditLog, OpenError> {
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(2)));
    AuditLog::open_in(Arc::new(disk.clone()), clock, &TestRandom::seeded(1), options)
}

/// Whether opening is refused for the log's state.
fn is_refused(disk: &MemoryDirectory) -> bool {
    matches!(open(&disk.after_kill(), &Options::new()), Err(OpenError::Damaged(_)))
}

fn kinds(report: &Report) -> Vec<FindingKind> {
    report.findings().iter().map(Finding::kind).collect()
}

/// The kinds of the findings with the records they are about.
fn located(report: &Report) -> Vec<(FindingKind, u64, u64)> {
    report.findings().iter().map(|finding| (finding.kind(), finding.first(), finding.last())).collect()
}

const SEGMENT: &str = "00000001.log";
