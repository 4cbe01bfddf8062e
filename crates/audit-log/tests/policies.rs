//! Classes of records, and what is promised for each.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::sync::Arc;
use std::time::Duration;

use audit_log::testing::MemoryDirectory;
use audit_log::{
    Actor, AuditLog, Client, Completion, Cursor, Entry, Filter, Intent, OpenError, Options, Outcome,
    Policies, Reads, Recorded,
};
use core_types::testing::{TestClock, TestRandom};
use core_types::{Scope, UnixTime};

#[test]
fn policies_are_the_first_record_after_they_are_set() {
    let (log, _) = open(Policies::new().with_reads(Reads::Queued).with_failures(3, Duration::from_secs(10)));
    let entries = entries(&log);
    let details = entries[0].completion().details();
    assert_eq!(entries[0].intent().action().to_string(), "audit:configure");
    assert_eq!(*entries[0].intent().actor(), Actor::System);
    assert_eq!(details.value("read").unwrap().as_text(), Some("queued"));
    assert_eq!(details.value("change").unwrap().as_text(), Some("durable"));
    assert_eq!(details.value("failures_individually").unwrap().as_number(), Some(3));
    assert_eq!(details.value("failures_window_ms").unwrap().as_number(), Some(10_000));
}

#[test]
fn reads_are_durable_or_on_their_way_as_the_policy_has_it() {
    let (log, _) = open(Policies::new());
    let read = pollster::block_on(log.record_read(attempt(1), allowed())).unwrap();
    assert!(matches!(read, Recorded::Durable(_)));
    let (log, _) = open(Policies::new().with_reads(Reads::Queued));
    let read = pollster::block_on(log.record_read(attempt(1), allowed())).unwrap();
    assert_eq!(read, Recorded::Queued);
    log.close_blocking().unwrap();
    assert_eq!(entries(&log).len(), 2);
    assert!(
        pollster::block_on(log.record_read(attempt(1), allowed())).is_err(),
        "a closed log refuses reads too"
    );
}

#[test]
fn a_flood_of_failures_is_a_few_entries_and_a_sum_and_loses_nothing() {
    let (log, clock) = open(Policies::new().with_failures(5, Duration::from_secs(60)));
    for number in 0..1000_u32 {
        let recorded = refuse(&log, attempt(1));
        assert_eq!(matches!(recorded, Recorded::Durable(_)), number < 5, "{number}");
    }
    assert!(matches!(refuse(&log, attempt(2)), Recorded::Durable(_)), "another source");
    clock.advance(Duration::from_secs(61));
    log.flush().unwrap();
    log.close_blocking().unwrap();
    let entries: Vec<Entry> = entries(&log).into_iter().skip(1).collect();
    assert_eq!(entries.len(), 7, "five, the other one, and the sum");
    let sum = entries.last().unwrap();
    assert_eq!(sum.outcome(), Outcome::Unauthenticated);
    assert_eq!(sum.completion().details().value("count").unwrap().as_number(), Some(995));
    assert_eq!(sum.intent().client(), attempt(1).client());
}

#[test]
fn closing_records_the_sums_of_windows_that_are_not_over() {
    let (log, _) = open(Policies::new().with_failures(1, Duration::from_secs(3600)));
    for _ in 0..10 {
        refuse(&log, attempt(1));
    }
    log.close_blocking().unwrap();
    let counted: u64 = entries(&log)
        .iter()
        .filter_map(|entry| entry.completion().details().value("count")?.as_number())
        .sum();
    assert_eq!(counted, 9);
}

#[test]
fn denials_are_never_counted_together() {
    let (log, _) = open(Policies::new().with_failures(1, Duration::from_secs(60)));
    for _ in 0..20 {
        let denied = Completion::denied(Duration::ZERO);
        let recorded = pollster::block_on(log.record_refusal(attempt(1), denied)).unwrap();
        assert!(matches!(recorded, Recorded::Durable(_)));
    }
}

#[test]
fn policies_outside_their_bounds_are_refused() {
    for policies in [
        Policies::new().with_failures(0, Duration::from_secs(60)),
        Policies::new().with_failures(100_001, Duration::from_secs(60)),
        Policies::new().with_failures(1, Duration::from_millis(999)),
        Policies::new().with_failures(1, Duration::from_secs(3601)),
    ] {
        let options = Options::new().with_policies(policies);
        let clock = Arc::new(TestClock::at(START));
        let opened =
            AuditLog::open_in(Arc::new(MemoryDirectory::new()), clock, &TestRandom::seeded(1), &options);
        assert!(matches!(opened, Err(OpenError::Option { .. })), "{policies:?}");
    }
}

fn refuse(log: &AuditLog, attempt: Intent) -> Recorded {
    pollster::block_on(log.record_refusal(attempt, Completion::unauthenticated(Duration::ZERO))).unwrap()
}

fn attempt(host: u8) -> Intent {
    let action: audit_log::Action = "tokens:login".parse().unwrap();
    Intent::new(Actor::Anonymous, action, Scope::root(), START)
        .with_client(Client::peer([192, 0, 2, host].into()))
}

fn allowed() -> Completion {
    Completion::allowed(Duration::ZERO)
}

fn entries(log: &AuditLog) -> Vec<Entry> {
    log.reader(Scope::root()).query(&Filter::new(), Cursor::oldest_first(), 1000).unwrap().entries
}

fn open(policies: Policies) -> (AuditLog, Arc<TestClock>) {
    let clock = Arc::new(TestClock::at(START));
    let options = Options::new().with_segment_bytes(64 << 10).with_policies(policies);
    let disk = Arc::new(MemoryDirectory::new());
    let log = AuditLog::open_in(disk, clock.clone(), &TestRandom::seeded(1), &options).unwrap();
    (log, clock)
}

const START: UnixTime = UnixTime::from_secs(1_700_000_000);
