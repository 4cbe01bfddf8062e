//! Reading: filters against a slow reference, pages without loss, tenants apart, readers beside a writer.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use audit_log::query::MAX_PAGE_ENTRIES;
use audit_log::testing::{MemoryDirectory, arb_completion, arb_intent};
use audit_log::{
    Action, Actor, AuditLog, Completion, Cursor, Entry, Filter, Intent, Options, Outcome, Page, QueryError,
    Reader, verify,
};
use core_types::testing::{TestClock, TestRandom, arb_pattern, arb_scope};
use core_types::{Principal, RequestId, Scope, Subject, TokenId, UnixTime, UserId};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pages_hold_what_a_slow_search_finds(
        calls in vec((arb_intent(), arb_completion(), any::<bool>()), 1..25),
        allowed in arb_scope(),
        scope in proptest::option::of(arb_scope()),
        action in proptest::option::of(arb_pattern()),
        outcome in proptest::option::of(proptest::sample::select(&Outcome::ALL[..])),
        limit in 1..6_usize,
    ) {
        let log = open(&MemoryDirectory::new(), 1 << 10);
        let mut expected = Vec::new();
        for (intent, completion, is_single) in calls {
            let sequence = if is_single {
                log.record_blocking(intent.clone(), completion.clone()).unwrap().sequence()
            } else {
                log.begin_blocking(intent.clone()).unwrap().finish_blocking(completion.clone()).unwrap().sequence()
            };
            let is_wanted = allowed.contains(intent.tenant())
                && scope.as_ref().is_none_or(|scope| scope.contains(intent.scope()))
                && action.as_ref().is_none_or(|action| action.matches(intent.action().as_permission()))
                && outcome.is_none_or(|outcome| outcome == completion.outcome());
            if is_wanted {
                expected.push((sequence, intent, completion));
            }
        }
        let mut filter = Filter::new();
        if let Some(scope) = scope {
            filter = filter.with_scope(scope);
        }
        if let Some(action) = action {
            filter = filter.with_action(action);
        }
        if let Some(outcome) = outcome {
            filter = filter.with_outcome(outcome);
        }
        let reader = log.reader(allowed);
        let oldest = pages(&reader, &filter, Cursor::oldest_first(), limit);
        let found: Vec<_> = oldest
            .iter()
            .map(|entry| (entry.sequence(), entry.intent().clone(), entry.completion().clone()))
            .collect();
        prop_assert_eq!(found, expected);
        let mut newest = pages(&reader, &filter, Cursor::newest_first(), limit);
        newest.reverse();
        prop_assert_eq!(newest, oldest);
    }

    #[test]
    fn a_cursor_prints_and_parses(sequence in any::<u64>()) {
        for cursor in
            [Cursor::after(sequence), Cursor::before(sequence), Cursor::newest_first(), Cursor::oldest_first()]
        {
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }
}

#[test]
fn a_cursor_has_one_spelling() {
    for text in
        ["", "after", "after-", "after-01", "after-+1", "after--1", "before-", "Newest", "oldest", "after-1 "]
    {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
    assert!("after-18446744073709551616".parse::<Cursor>().is_err());
}

#[test]
fn every_condition_of_a_filter_counts() {
    let log = open(&MemoryDirectory::new(), 1 << 20);
    let ada = Subject::User(UserId::from_bytes([1; 16]));
    let token = Principal::token(TokenId::from_bytes([2; 16]), ada);
    let request = RequestId::from_bytes([3; 16]);
    let of =
        |actor: Actor, second| Intent::new(actor, action("apps:write"), web(), UnixTime::from_secs(second));
    let calls = [
        (of(Principal::subject(ada).into(), 10), Completion::allowed(Duration::ZERO)),
        (of(token.into(), 20).with_request(request), Completion::denied(Duration::ZERO)),
        (of(Actor::Anonymous, 30), Completion::unauthenticated(Duration::ZERO)),
        (of(Actor::System, 5), Completion::failed(Duration::ZERO)),
    ];
    for (intent, completion) in calls {
        log.record_blocking(intent, completion).unwrap();
    }
    let reader = log.reader(Scope::root());
    let found = |filter: Filter| -> Vec<u64> {
        pages(&reader, &filter, Cursor::oldest_first(), 2).iter().map(Entry::sequence).collect()
    };
    assert_eq!(found(Filter::new()), [1, 2, 3, 4]);
    assert_eq!(found(Filter::new().with_actor(Principal::subject(ada))), [1]);
    assert_eq!(found(Filter::new().with_subject(ada)), [1, 2], "also through a token");
    assert_eq!(found(Filter::new().with_actor(Actor::Anonymous)), [3]);
    assert_eq!(found(Filter::new().with_request(request)), [2]);
    assert_eq!(found(Filter::new().with_outcome(Outcome::Failed)), [4]);
    assert_eq!(found(Filter::new().with_from(UnixTime::from_secs(10))), [1, 2, 3]);
    assert_eq!(found(Filter::new().with_until(UnixTime::from_secs(10))), [4]);
    assert_eq!(
        found(Filter::new().with_from(UnixTime::from_secs(10)).with_until(UnixTime::from_secs(30))),
        [1, 2]
    );
    assert_eq!(found(Filter::new().with_action("apps:*".parse().unwrap())), [1, 2, 3, 4]);
    assert_eq!(found(Filter::new().with_action("*:read".parse().unwrap())), [0; 0]);
    assert_eq!(found(Filter::new().with_subject(ada).with_outcome(Outcome::Failed)), [0; 0], "all must hold");
}

#[test]
fn a_reader_sees_its_tenants_and_no_others() {
    let log = open(&MemoryDirectory::new(), 1 << 20);
    for tenant in ["project/web", "project/web-2", "project/web/vcluster/ci", "org/acme"] {
        record(&log, tenant);
    }
    record_in(&log, Scope::root());
    let seen = |scope: &str| -> Vec<String> {
        let reader = log.reader(scope.parse().unwrap());
        let entries = pages(&reader, &Filter::new(), Cursor::newest_first(), 10);
        entries.iter().map(|entry| entry.intent().tenant().to_string()).collect()
    };
    assert_eq!(seen("project/web"), ["project/web/vcluster/ci", "project/web"]);
    assert_eq!(seen("project/web/vcluster/ci"), ["project/web/vcluster/ci"]);
    assert_eq!(seen("project/other"), [""; 0]);
    // It is the tenant that counts, not what was acted on.
    let intent = Intent::new(Actor::System, action("apps:write"), web(), UnixTime::EPOCH);
    let intent = intent.with_scope("project/web/vcluster/ci".parse().unwrap()).unwrap();
    log.record_blocking(intent, Completion::denied(Duration::ZERO)).unwrap();
    assert_eq!(seen("project/web/vcluster/ci"), ["project/web/vcluster/ci"]);
    assert_eq!(seen("project/web").len(), 3);
    assert_eq!(seen("/").len(), 6);
}

#[test]
fn limits_are_bounded() {
    let log = open(&MemoryDirectory::new(), 1 << 20);
    record(&log, "project/web");
    let reader = log.reader(Scope::root());
    for limit in [0, MAX_PAGE_ENTRIES + 1, usize::MAX] {
        let answer = reader.query(&Filter::new(), Cursor::newest_first(), limit);
        assert_eq!(answer, Err(QueryError::Limit { most: MAX_PAGE_ENTRIES }));
    }
}

#[test]
fn the_end_is_told_and_gone_on_from() {
    let log = open(&MemoryDirectory::new(), 1 << 10);
    let reader = log.reader(Scope::root());
    let first = reader.query(&Filter::new(), Cursor::oldest_first(), 10).unwrap();
    assert!(first.is_end && first.entries.is_empty());
    for _ in 0..15 {
        record(&log, "project/web");
    }
    let second = reader.query(&Filter::new(), first.next, 10).unwrap();
    assert_eq!((sequences(&second), second.is_end), ((1..=10).collect(), false));
    let third = reader.query(&Filter::new(), second.next, 10).unwrap();
    assert_eq!((sequences(&third), third.is_end), ((11..=15).collect(), true));
    record(&log, "project/web");
    let fourth = reader.query(&Filter::new(), third.next, 10).unwrap();
    assert_eq!((sequences(&fourth), fourth.is_end), (vec![16], true));
}

#[test]
fn a_cursor_past_the_end_finds_nothing() {
    let log = open(&MemoryDirectory::new(), 1 << 20);
    record(&log, "project/web");
    let reader = log.reader(Scope::root());
    for cursor in
        [Cursor::after(1), Cursor::after(99), Cursor::after(u64::MAX), Cursor::before(0), Cursor::before(1)]
    {
        let page = reader.query(&Filter::new(), cursor, 10).unwrap();
        assert!(page.entries.is_empty() && page.is_end, "{cursor}");
    }
    let page = reader.query(&Filter::new(), Cursor::before(u64::MAX), 10).unwrap();
    assert_eq!(sequences(&page), [1]);
}

#[test]
fn a_call_under_way_is_no_entry_and_not_lost_when_it_ends() {
    let log = open(&MemoryDirectory::new(), 1 << 20);
    let slow =
        log.begin_blocking(Intent::new(Actor::System, action("apps:write"), web(), UnixTime::EPOCH)).unwrap();
    record(&log, "project/web");
    let reader = log.reader(Scope::root());
    let page = reader.query(&Filter::new(), Cursor::oldest_first(), 10).unwrap();
    assert_eq!(sequences(&page), [2]);
    slow.finish_blocking(Completion::allowed(Duration::ZERO)).unwrap();
    let page = reader.query(&Filter::new(), page.next, 10).unwrap();
    assert_eq!((sequences(&page), page.entries.first().unwrap().begun()), (vec![3], Some(1)));
}

#[test]
fn order_is_by_sequence_when_the_clock_goes_back() {
    let disk = MemoryDirectory::new();
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(1000)));
    let log = AuditLog::open_in(
        Arc::new(disk),
        clock.clone(),
        &TestRandom::seeded(1),
        &Options::new().with_segment_bytes(256 << 10),
    )
    .unwrap();
    for second in [1000, 500, 2000, 0] {
        clock.set(UnixTime::from_secs(second));
        let intent = Intent::new(Actor::System, action("apps:write"), web(), UnixTime::from_secs(second));
        drop(log.begin_blocking(intent).unwrap());
    }
    log.close_blocking().unwrap();
    let entries = pages(&log.reader(Scope::root()), &Filter::new(), Cursor::oldest_first(), 3);
    let seconds: Vec<u64> = entries.iter().map(|entry| entry.recorded_at().as_secs()).collect();
    assert_eq!(seconds, [1000, 500, 2000, 0]);
    assert!(entries.is_sorted_by_key(Entry::sequence));
}

#[test]
fn damage_is_an_error_and_no_gap() {
    let disk = MemoryDirectory::new();
    let log = open(&disk, 4 << 10);
    for _ in 0..5 {
        record(&log, "project/web");
    }
    log.close_blocking().unwrap();
    let good = disk.read("00000001.log");
    let reader = log.reader(Scope::root());
    for at in 80..good.len() {
        let mut bad = good.clone();
        if let Some(byte) = bad.get_mut(at) {
            *byte ^= 1;
        }
        disk.write("00000001.log", bad);
        for cursor in [Cursor::oldest_first(), Cursor::newest_first()] {
            let answer = reader.query(&Filter::new(), cursor, 10);
            assert!(matches!(answer, Err(QueryError::Damaged { .. })), "byte {at}, {cursor}: {answer:?}");
        }
    }
}

#[test]
fn many_threads_make_one_entry_for_each_call_and_readers_lose_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let log = open_at(&path);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..THREADS).map(|_| scope.spawn(|| (0..CALLS).for_each(|_| call(&log)))).collect();
        let inside = scope.spawn(|| follow(&log.reader(Scope::root()), &is_done));
        let outside = scope.spawn(|| follow(&Reader::open(&path, Scope::root()).unwrap(), &is_done));
        let verifier = scope.spawn(|| {
            let mut rounds = 0;
            while !is_done.load(Ordering::SeqCst) {
                let before = log.checkpoint();
                let report = verify(&path, &[before]).unwrap();
                assert!(report.is_intact(), "no false alarm: {report}");
                assert_eq!(report.confirmed_to(), Some(before.sequence()));
                rounds += 1;
            }
            rounds
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        is_done.store(true, Ordering::SeqCst);
        let expected: Vec<u64> =
            pages(&log.reader(Scope::root()), &Filter::new(), Cursor::oldest_first(), 1000)
                .iter()
                .map(Entry::sequence)
                .collect();
        assert_eq!(expected.len(), THREADS * CALLS);
        assert_eq!(inside.join().unwrap(), expected);
        assert_eq!(outside.join().unwrap(), expected);
        assert!(verifier.join().unwrap() > 0);
    });
    let last = log.close_blocking().unwrap();
    let report = verify(&path, &[last]).unwrap();
    assert!(report.findings().is_empty(), "{report}");
    let calls = u64::try_from(THREADS * CALLS).unwrap();
    assert_eq!((report.entries(), report.records(), last.sequence()), (calls, 2 * calls, 2 * calls), "dense");
    let newest = pages(&log.reader(Scope::root()), &Filter::new(), Cursor::newest_first(), 777);
    let begun: BTreeSet<u64> = newest.iter().filter_map(Entry::begun).collect();
    let ended: BTreeSet<u64> = newest.iter().map(Entry::sequence).collect();
    assert_eq!(begun.union(&ended).copied().collect::<Vec<_>>(), (1..=2 * calls).collect::<Vec<_>>());
}

/// Reads all there is until no more comes, in small pages.
fn follow(reader: &Reader, is_done: &AtomicBool) -> Vec<u64> {
    let mut found = Vec::new();
    let mut cursor = Cursor::oldest_first();
    loop {
        // Asked before the page is read: what was written by then, this page or one before has.
        let is_last = is_done.load(Ordering::SeqCst);
        let page = reader.query(&Filter::new(), cursor, 7).unwrap();
        found.extend(sequences(&page));
        cursor = page.next;
        if page.is_end && is_last {
            return found;
        }
    }
}

fn call(log: &AuditLog) {
    let intent = Intent::new(Actor::Anonymous, action("apps:write"), web(), UnixTime::from_secs(1));
    log.begin_blocking(intent).unwrap().finish_blocking(Completion::allowed(Duration::ZERO)).unwrap();
}

/// All entries, page by page.
fn pages(reader: &Reader, filter: &Filter, mut cursor: Cursor, limit: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    loop {
        let page = reader.query(filter, cursor, limit).unwrap();
        assert!(page.entries.len() <= limit);
        entries.extend(page.entries);
        if page.is_end {
            return entries;
        }
        cursor = page.next;
    }
}

fn sequences(page: &Page) -> Vec<u64> {
    page.entries.iter().map(Entry::sequence).collect()
}

fn record(log: &AuditLog, tenant: &str) {
    record_in(log, tenant.parse().unwrap());
}

fn record_in(log: &AuditLog, tenant: Scope) {
    let intent = Intent::new(Actor::Anonymous, action("apps:write"), tenant, UnixTime::from_secs(1));
    log.record_blocking(intent, Completion::denied(Duration::ZERO)).unwrap();
}

fn action(text: &str) -> Action {
    text.parse().unwrap()
}

fn web() -> Scope {
    "project/web".parse().unwrap()
}

fn open(disk: &MemoryDirectory, segment_bytes: u64) -> AuditLog {
    let options = Options::new().with_segment_bytes(segment_bytes);
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(2)));
    AuditLog::open_in(Arc::new(disk.clone()), clock, &TestRandom::seeded(1), &options).unwrap()
}

fn open_at(path: &Path) -> AuditLog {
    let options = Options::new().with_segment_bytes(64 << 10);
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(2)));
    AuditLog::open(path, clock, &TestRandom::seeded(1), &options).unwrap()
}

const THREADS: usize = 8;
const CALLS: usize = 100;
