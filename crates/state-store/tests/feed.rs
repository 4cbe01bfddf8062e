//! The feed of commits, and the watches on it.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use pollster::block_on;
use state_store::feed::{CHANGE_OVERHEAD_BYTES, ChangeFeed, FeedWatch, MAX_FEED_BYTES, MAX_FEED_COMMITS};
use state_store::{
    Change, Key, MAX_VALUE_BYTES, Prefix, ReadError, Revision, Value, Watch, WatchEvent, Write,
};

fn put(name: &str, value: &Value) -> Change {
    Change { key: Key::new(name).unwrap(), write: Write::Put(value.clone()) }
}

fn small() -> Value {
    Value::new("1").unwrap()
}

fn at(number: usize) -> Revision {
    Revision::new(number.try_into().unwrap())
}

/// A feed with this many commits of one small change.
fn feed_with(commits: usize) -> ChangeFeed {
    let feed = ChangeFeed::new(Revision::ZERO);
    for number in 1..=commits {
        feed.publish(at(number), vec![put("a", &small())]);
    }
    feed
}

/// The next event, if it is there already.
fn look(watch: &mut FeedWatch) -> Option<Result<WatchEvent, ReadError>> {
    match pin!(watch.next()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(event) => Some(event),
        Poll::Pending => None,
    }
}

fn revision_of(event: Option<Result<WatchEvent, ReadError>>) -> Option<Revision> {
    match event?.ok()? {
        WatchEvent::Changes { revision, .. } | WatchEvent::Progress(revision) => Some(revision),
        WatchEvent::Lagged => None,
    }
}

#[test]
fn a_feed_begins_after_the_last_commit_before_it() {
    let feed = ChangeFeed::new(Revision::new(7));
    assert_eq!(look(&mut feed.watch(&Prefix::all(), Revision::new(6))), Some(Ok(WatchEvent::Lagged)));
    assert_eq!(look(&mut feed.watch(&Prefix::all(), Revision::new(8))), Some(Ok(WatchEvent::Lagged)));
    let mut watch = feed.watch(&Prefix::all(), Revision::new(7));
    assert_eq!(look(&mut watch), None);
    // Revisions may have gaps: some commits change nothing.
    feed.publish(Revision::new(10), vec![put("a", &small())]);
    assert_eq!(revision_of(look(&mut watch)), Some(Revision::new(10)));
    assert_eq!(
        look(&mut feed.watch(&Prefix::all(), Revision::new(8))).map(|event| event.is_ok()),
        Some(true)
    );
}

#[test]
fn a_watch_lags_behind_the_bound_of_commits_and_not_before() {
    let mut told_all = feed_with(MAX_FEED_COMMITS).watch(&Prefix::all(), Revision::ZERO);
    for number in 1..=MAX_FEED_COMMITS {
        assert_eq!(revision_of(look(&mut told_all)), Some(at(number)));
    }
    assert_eq!(look(&mut told_all), None);
    let feed = feed_with(MAX_FEED_COMMITS + 1);
    let mut lagging = feed.watch(&Prefix::all(), Revision::ZERO);
    assert_eq!(look(&mut lagging), Some(Ok(WatchEvent::Lagged)));
    // It has missed something for good.
    feed.publish(at(MAX_FEED_COMMITS + 2), vec![put("a", &small())]);
    assert_eq!(look(&mut lagging), Some(Ok(WatchEvent::Lagged)));
    assert_eq!(revision_of(look(&mut feed.watch(&Prefix::all(), at(2)))), Some(at(3)));
}

#[test]
fn a_watch_that_fell_behind_while_it_ran_lags() {
    let feed = feed_with(10);
    let mut watch = feed.watch(&Prefix::all(), Revision::ZERO);
    assert_eq!(revision_of(look(&mut watch)), Some(at(1)));
    for number in 11..=MAX_FEED_COMMITS + 2 {
        feed.publish(at(number), vec![put("a", &small())]);
    }
    assert_eq!(look(&mut watch), Some(Ok(WatchEvent::Lagged)));
}

#[test]
fn a_watch_lags_behind_the_bound_of_bytes_and_not_before() {
    let largest = Value::new(vec![7; MAX_VALUE_BYTES]).unwrap();
    let one = MAX_VALUE_BYTES + 1 + CHANGE_OVERHEAD_BYTES;
    let fit = MAX_FEED_BYTES / one;
    let feed = ChangeFeed::new(Revision::ZERO);
    for number in 1..=fit {
        feed.publish(at(number), vec![put("a", &largest)]);
    }
    assert_eq!(revision_of(look(&mut feed.watch(&Prefix::all(), Revision::ZERO))), Some(at(1)));
    feed.publish(at(fit + 1), vec![put("a", &largest)]);
    assert_eq!(look(&mut feed.watch(&Prefix::all(), Revision::ZERO)), Some(Ok(WatchEvent::Lagged)));
    assert_eq!(revision_of(look(&mut feed.watch(&Prefix::all(), at(1)))), Some(at(2)));
}

#[test]
fn the_latest_commit_is_kept_whatever_its_size() {
    let largest = Value::new(vec![7; MAX_VALUE_BYTES]).unwrap();
    let feed = feed_with(3);
    let changes: Vec<Change> = (0..64).map(|number| put(&format!("{number:02}"), &largest)).collect();
    feed.publish(at(4), changes.clone());
    let mut current = feed.watch(&Prefix::all(), at(3));
    assert_eq!(look(&mut current), Some(Ok(WatchEvent::Changes { revision: at(4), changes })));
    assert_eq!(look(&mut feed.watch(&Prefix::all(), at(2))), Some(Ok(WatchEvent::Lagged)));
}

#[test]
fn many_small_changes_count_for_what_they_take() {
    let feed = ChangeFeed::new(Revision::ZERO);
    let changes: Vec<Change> = (0..256_u32)
        .map(|number| Change { key: Key::new(number.to_be_bytes()).unwrap(), write: Write::Delete })
        .collect();
    // By their bytes alone, far more of these would fit.
    let fit = MAX_FEED_BYTES / (256 * (4 + CHANGE_OVERHEAD_BYTES));
    for number in 1..=fit + 1 {
        feed.publish(at(number), changes.clone());
    }
    assert_eq!(look(&mut feed.watch(&Prefix::all(), Revision::ZERO)), Some(Ok(WatchEvent::Lagged)));
    assert_eq!(revision_of(look(&mut feed.watch(&Prefix::all(), at(1)))), Some(at(2)));
}

#[test]
fn a_watch_passes_what_is_not_its_own_a_piece_at_a_time() {
    let feed = feed_with(10_000);
    feed.publish(at(10_001), vec![put("mine", &small())]);
    feed.publish(at(10_002), vec![]);
    let mut watch = feed.watch(&Prefix::new("mine").unwrap(), Revision::ZERO);
    let (mut pieces, mut last, mut told) = (0, Revision::ZERO, 0);
    while let Some(event) = look(&mut watch) {
        match event.unwrap() {
            WatchEvent::Progress(revision) => {
                assert!(revision > last);
                last = revision;
                pieces += 1;
            }
            WatchEvent::Changes { revision, changes } => {
                assert_eq!((revision, changes.len()), (at(10_001), 1));
                last = revision;
                told += 1;
            }
            WatchEvent::Lagged => unreachable!("it kept up"),
        }
    }
    assert_eq!((last, told), (at(10_002), 1));
    assert!((3..50).contains(&pieces), "{pieces}");
}

#[test]
fn a_wait_given_up_loses_nothing() {
    let feed = ChangeFeed::new(Revision::ZERO);
    let mut watch = feed.watch(&Prefix::all(), Revision::ZERO);
    for number in 1..100 {
        for _ in 0..number % 4 {
            assert_eq!(look(&mut watch), None);
        }
        feed.publish(at(number), vec![put("a", &small())]);
        // A wait that is dropped before it was polled.
        drop(watch.next());
        assert_eq!(revision_of(look(&mut watch)), Some(at(number)));
    }
}

#[test]
fn every_one_of_many_waiting_watches_is_woken_and_told_all() {
    let feed = ChangeFeed::new(Revision::ZERO);
    thread::scope(|scope| {
        let watching: Vec<_> = (0..16)
            .map(|number| {
                let mut watch = feed.watch(&Prefix::new(["a", "b"][number % 2]).unwrap(), Revision::ZERO);
                scope.spawn(move || {
                    let mut told = Vec::new();
                    while told.last().is_none_or(|&last| last < at(998 + number % 2)) {
                        if let WatchEvent::Changes { revision, .. } = block_on(watch.next()).unwrap() {
                            told.push(revision);
                        }
                    }
                    told
                })
            })
            .collect();
        for number in 0..1000 {
            feed.publish(at(number + 1), vec![put(["b", "a"][number % 2], &small())]);
        }
        for (number, watching) in watching.into_iter().enumerate() {
            let told = watching.join().unwrap();
            let parity = u64::try_from(number % 2).unwrap();
            let expected: Vec<Revision> =
                (1..=1000).filter(|revision| revision % 2 == parity).map(Revision::new).collect();
            assert!(expected.starts_with(&told) && told.len() >= 499, "watch {number}: {} told", told.len());
        }
    });
}

#[test]
fn a_feed_that_failed_tells_what_it_has_and_then_its_error() {
    let error = ReadError::Unavailable { detail: "the disk".into() };
    let feed = feed_with(3);
    let mut behind = feed.watch(&Prefix::all(), Revision::new(1));
    let mut waiting = feed.watch(&Prefix::all(), Revision::new(3));
    let other = feed.clone();
    thread::scope(|scope| {
        let waiting = scope.spawn(move || block_on(waiting.next()));
        other.fail(error.clone());
        assert_eq!(waiting.join().unwrap(), Err(error.clone()));
    });
    assert_eq!(revision_of(look(&mut behind)), Some(Revision::new(2)));
    assert_eq!(revision_of(look(&mut behind)), Some(Revision::new(3)));
    assert_eq!(look(&mut behind), Some(Err(error.clone())));
    assert_eq!(look(&mut feed.watch(&Prefix::all(), Revision::new(3))), Some(Err(error)));
}
