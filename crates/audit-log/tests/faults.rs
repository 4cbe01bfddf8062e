//! A disk that fails, fills up, writes less than asked, or takes its time.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use audit_log::testing::MemoryDirectory;
use audit_log::verify::verify_in;
use audit_log::{
    Actor, AppendError, AuditLog, Class, Completion, Cursor, Entry, Filter, Guard, Intent, Options, Outcome,
    Public, Space,
};
use core_types::testing::{TestClock, TestRandom};
use core_types::{Scope, UnixTime};

#[test]
fn a_failed_sync_is_told_to_every_waiter_and_every_later_caller() {
    let disk = MemoryDirectory::new();
    let log = open(&disk);
    let open_call = log.begin_blocking(intent()).unwrap();
    let gate = disk.hold_syncs();
    disk.fail_syncs_after(0);
    let mut waiting: Vec<_> = (0..20).map(|_| Box::pin(log.begin(intent()))).collect();
    waiting.iter_mut().for_each(|begin| assert!(poll(begin.as_mut()).is_none()));
    let completion = open_call.finish(completion());
    drop(gate);
    for begin in waiting {
        assert_stopped(&pollster::block_on(begin).map(drop));
    }
    assert_stopped(&pollster::block_on(completion).map(drop));
    assert_stopped(&log.begin_blocking(intent()).map(drop));
    assert_stopped(&log.record_blocking(intent(), completion_denied()).map(drop));
    assert_stopped(&log.close_blocking().map(drop));
}

#[test]
fn what_was_acknowledged_survives_a_failed_sync_and_the_power_cut_after_it() {
    for seed in 0..200 {
        let disk = MemoryDirectory::new();
        let log = open(&disk);
        let receipt = log.record_blocking(intent(), completion()).unwrap();
        disk.fail_syncs_after(0);
        assert_stopped(&log.record_blocking(intent(), completion()).map(drop));
        assert_stopped(&log.close_blocking().map(drop));
        // First another process finds what the system still shows, then the power goes.
        let disk = disk.after_kill();
        let log = open(&disk);
        let shown = entries(&log);
        drop(log);
        let disk = disk.after_power_cut(seed);
        let options = Options::new().with_known(receipt.checkpoint());
        let again = AuditLog::open_in(Arc::new(disk), clock(), &TestRandom::seeded(2), &options).unwrap();
        assert!(entries(&again).starts_with(&shown), "what a reader was shown is durable (seed {seed})");
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_a_log_that_opens() {
    for room in (0..3000).step_by(3) {
        let disk = MemoryDirectory::new();
        let log = open_with(&disk, &Options::new().with_segment_bytes(1 << 10));
        let mut receipts = vec![log.record_blocking(intent(), completion()).unwrap()];
        disk.fill_after(room);
        let error = loop {
            match log.record_blocking(intent(), completion()) {
                Ok(receipt) => receipts.push(receipt),
                Err(error) => break error,
            }
        };
        // Changes are refused while there is still room for what is about security, and that ends too.
        assert_eq!(error, AppendError::Full, "{room}");
        assert_eq!(log.space(), Space::Reserve);
        assert_eq!(log.begin_blocking(intent()).unwrap_err(), AppendError::Full);
        let revocation = log.begin_as(Class::Security, intent());
        receipts.push(pollster::block_on(revocation).unwrap().finish_blocking(completion()).unwrap());
        let error = loop {
            match log.record_blocking(intent(), completion_denied()) {
                Ok(receipt) => receipts.push(receipt),
                Err(error) => break error,
            }
        };
        let AppendError::Stopped(error) = error else { panic!("{error}") };
        assert_eq!(error.kind, io::ErrorKind::StorageFull, "{error}");
        _ = log.close_blocking();
        let known: Vec<_> = receipts.iter().map(audit_log::Receipt::checkpoint).collect();
        let log = open(&disk.after_kill());
        assert!(entries(&log).len() >= receipts.len());
        let report = verify_in(&disk.after_kill(), &known).unwrap();
        assert!(report.is_intact(), "{room}: {report}");
        assert_eq!(report.confirmed_to(), receipts.last().map(audit_log::Receipt::sequence));
    }
}

#[test]
fn a_log_goes_on_when_there_is_room_again() {
    let disk = MemoryDirectory::new();
    let log = open_with(&disk, &Options::new().with_segment_bytes(2 << 10));
    log.record_blocking(intent(), completion()).unwrap();
    assert_eq!(log.space(), Space::Ample);
    disk.fill_after(0);
    while log.record_blocking(intent(), completion()).is_ok() {}
    assert_eq!(log.space(), Space::Reserve);
    disk.fill_after(1 << 20);
    for _ in 0..100 {
        log.record_blocking(intent(), completion()).unwrap();
    }
    assert_eq!(log.space(), Space::Ample);
    let last = log.close_blocking().unwrap();
    let report = verify_in(&disk, &[last]).unwrap();
    assert!(report.is_intact() && report.findings().is_empty(), "{report}");
}

#[test]
fn a_segment_before_the_disk_is_full_it_is_known() {
    let disk = MemoryDirectory::new();
    let log = open_with(&disk, &Options::new().with_segment_bytes(4 << 10));
    log.record_blocking(intent(), completion()).unwrap();
    disk.fill_after(0);
    let mut taken_while_low = 0;
    while log.record_blocking(intent(), completion()).is_ok() {
        taken_while_low += usize::from(log.space() == Space::Low);
    }
    assert!(taken_while_low > 10, "a whole segment could be written after the warning: {taken_while_low}");
}

#[test]
fn a_guard_of_a_change_finishes_in_the_reserve() {
    let disk = MemoryDirectory::new();
    let log = open_with(&disk, &Options::new().with_segment_bytes(2 << 10));
    let guard = log.begin_blocking(intent()).unwrap();
    disk.fill_after(0);
    while log.record_blocking(intent(), completion()).is_ok() {}
    guard.finish_blocking(completion()).unwrap();
    log.close_blocking().unwrap();
}

#[test]
fn short_writes_are_gone_on_with() {
    for most in [1, 7, 100] {
        let disk = MemoryDirectory::new();
        disk.write_at_most(most);
        let log = open_with(&disk, &Options::new().with_segment_bytes(1 << 10));
        for _ in 0..10 {
            log.begin_blocking(intent()).unwrap().finish_blocking(completion()).unwrap();
        }
        let last = log.close_blocking().unwrap();
        let report = verify_in(&disk, &[last]).unwrap();
        assert!(report.is_intact(), "{report}");
        assert_eq!((report.entries(), report.confirmed_to()), (10, Some(20)));
    }
}

#[test]
fn what_arrives_during_a_sync_makes_up_one_batch() {
    let disk = MemoryDirectory::new();
    let log = open(&disk);
    let gate = disk.hold_syncs();
    let mut first = Box::pin(log.record(intent(), completion()));
    assert!(poll(first.as_mut()).is_none());
    // Only once the first one is alone in its batch do the others come.
    while disk.read("00000001.log").len() <= 80 {
        std::thread::yield_now();
    }
    let mut others: Vec<_> = (0..100).map(|_| Box::pin(log.record(intent(), completion()))).collect();
    others.iter_mut().for_each(|other| assert!(poll(other.as_mut()).is_none()));
    let before = disk.file_syncs();
    drop(gate);
    pollster::block_on(first).unwrap();
    for (number, other) in (2..).zip(others) {
        assert_eq!(pollster::block_on(other).unwrap().sequence(), number, "in order of arrival");
    }
    assert_eq!(disk.file_syncs() - before, 2, "one sync for the first, one for all others");
}

#[test]
fn dropping_a_guard_does_not_wait_for_the_disk() {
    let disk = MemoryDirectory::new();
    let log = open(&disk);
    let guards: Vec<Guard> = (0..10).map(|_| log.begin_blocking(intent()).unwrap()).collect();
    let gate = disk.hold_syncs();
    drop(guards);
    drop(gate);
    log.close_blocking().unwrap();
    assert_eq!(outcomes(&log), [Outcome::Abandoned; 10]);
}

#[test]
fn a_begin_that_nobody_waits_for_is_abandoned() {
    let disk = MemoryDirectory::new();
    let log = open(&disk);
    let gate = disk.hold_syncs();
    let mut unwanted = Box::pin(log.begin(intent()));
    assert!(poll(unwanted.as_mut()).is_none());
    drop(unwanted);
    drop(log.begin(intent()));
    drop(gate);
    while entries(&log).is_empty() {
        std::thread::yield_now();
    }
    log.close_blocking().unwrap();
    assert_eq!(outcomes(&log), [Outcome::Abandoned], "one never polled leaves nothing");
}

#[test]
fn a_finish_that_nobody_waits_for_is_recorded() {
    let disk = MemoryDirectory::new();
    let log = open(&disk);
    drop(log.begin_blocking(intent()).unwrap().finish(completion()));
    log.close_blocking().unwrap();
    assert_eq!(outcomes(&log), [Outcome::Allowed]);
}

#[test]
fn callers_wait_for_room_and_completions_do_not() {
    let disk = MemoryDirectory::new();
    let log = open_with(&disk, &Options::new().with_queue_records(2));
    let guard = log.begin_blocking(intent()).unwrap();
    let gate = disk.hold_syncs();
    let mut records: Vec<_> = (0..50).map(|_| Box::pin(log.record(intent(), completion()))).collect();
    records.iter_mut().for_each(|record| assert!(poll(record.as_mut()).is_none()));
    let finish = guard.finish(completion());
    drop(gate);
    let finished = pollster::block_on(finish).unwrap().sequence();
    assert!(finished <= 6, "it went ahead of those who wait for room: {finished}");
    for record in records {
        pollster::block_on(record).unwrap();
    }
    assert_eq!(log.close_blocking().unwrap().sequence(), 52);
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let disk = MemoryDirectory::new();
    let log = open_with(&disk, &Options::new().with_queue_records(1 << 16));
    let long = || {
        (0..15).fold(intent(), |intent, number| {
            intent.with_detail(&format!("n{number}"), Public::text("x".repeat(1024)).unwrap()).unwrap()
        })
    };
    let guard = log.begin_blocking(intent()).unwrap();
    let gate = disk.hold_syncs();
    let mut records: Vec<_> = (0..900).map(|_| Box::pin(log.record(long(), completion()))).collect();
    records.iter_mut().for_each(|record| assert!(poll(record.as_mut()).is_none()));
    let finish = guard.finish(completion());
    drop(gate);
    // 15 KiB each: 8 MiB hold less than 560 of them, and one batch of 1 MiB was on its way.
    let finished = pollster::block_on(finish).unwrap().sequence();
    assert!((500..700).contains(&finished), "{finished}");
    for record in records {
        pollster::block_on(record).unwrap();
    }
}

#[test]
fn too_many_calls_under_way_are_refused() {
    let log = open_with(&MemoryDirectory::new(), &Options::new().with_open_calls(3));
    let mut guards: Vec<Guard> = (0..3).map(|_| log.begin_blocking(intent()).unwrap()).collect();
    assert_eq!(log.begin_blocking(intent()).unwrap_err(), AppendError::Overloaded { limit: 3 });
    log.record_blocking(intent(), completion()).unwrap();
    guards.pop().unwrap().finish_blocking(completion()).unwrap();
    drop(guards.pop());
    let again = [log.begin_blocking(intent()).unwrap(), log.begin_blocking(intent()).unwrap()];
    assert_eq!(log.begin_blocking(intent()).unwrap_err(), AppendError::Overloaded { limit: 3 });
    drop((guards, again));
}

#[test]
fn a_closed_log_takes_nothing_and_leaves_open_calls_to_the_next_writer() {
    let disk = MemoryDirectory::new();
    let log = open(&disk);
    let guard = log.begin_blocking(intent()).unwrap();
    let late = log.begin_blocking(intent()).unwrap();
    log.close_blocking().unwrap();
    assert_eq!(guard.finish_blocking(completion()), Err(AppendError::Closed));
    drop(late);
    assert!(matches!(log.begin_blocking(intent()), Err(AppendError::Closed)));
    assert_eq!(log.close_blocking().unwrap().sequence(), 2, "closing twice is closing once");
    let again = open(&disk);
    assert_eq!(outcomes(&again), [Outcome::Unknown, Outcome::Unknown, Outcome::Allowed]);
    let recovery = entries(&again).pop().unwrap();
    assert_eq!(recovery.intent().action().to_string(), "audit:recover");
    assert_eq!(recovery.completion().details().value("closed_calls").unwrap().as_number(), Some(2));
}

#[test]
fn the_log_closes_when_the_last_handle_is_gone() {
    let disk = MemoryDirectory::new();
    let log = open(&disk);
    let guard = log.begin_blocking(intent()).unwrap();
    let reader = log.reader(Scope::root());
    drop(log);
    guard.finish_blocking(completion()).unwrap();
    // The thread lets go of the log a moment after the last handle.
    let next = loop {
        match AuditLog::open_in(Arc::new(disk.clone()), clock(), &TestRandom::seeded(1), &Options::new()) {
            Ok(log) => break log,
            Err(error) => assert_eq!(error, audit_log::OpenError::Locked),
        }
    };
    assert_eq!(outcomes(&next), [Outcome::Allowed], "nothing was left to recover");
    let page = reader.query(&Filter::new(), Cursor::oldest_first(), 10).unwrap();
    assert_eq!(page.entries.len(), 1);
}

#[track_caller]
fn assert_stopped(outcome: &Result<(), AppendError>) {
    assert!(matches!(outcome, Err(AppendError::Stopped(_))), "{outcome:?}");
}

fn outcomes(log: &AuditLog) -> Vec<Outcome> {
    entries(log).iter().map(Entry::outcome).collect()
}

fn entries(log: &AuditLog) -> Vec<Entry> {
    log.reader(Scope::root()).query(&Filter::new(), Cursor::oldest_first(), 1000).unwrap().entries
}

fn intent() -> Intent {
    let action: audit_log::Action = "apps:write".parse().unwrap();
    Intent::new(Actor::Anonymous, action, "project/web".parse().unwrap(), UnixTime::from_secs(1))
}

fn completion() -> Completion {
    Completion::allowed(Duration::from_micros(5))
}

fn completion_denied() -> Completion {
    Completion::denied(Duration::from_micros(5))
}

fn open(disk: &MemoryDirectory) -> AuditLog {
    open_with(disk, &Options::new().with_segment_bytes(64 << 10))
}

fn open_with(disk: &MemoryDirectory, options: &Options) -> AuditLog {
    AuditLog::open_in(Arc::new(disk.clone()), clock(), &TestRandom::seeded(1), options).unwrap()
}

fn clock() -> Arc<TestClock> {
    Arc::new(TestClock::at(UnixTime::from_secs(2)))
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
