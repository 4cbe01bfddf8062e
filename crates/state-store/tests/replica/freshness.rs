//! How old a snapshot may be, and who says so.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use core_types::testing::TestClock;
use core_types::{Clock as _, UnixTime};
use pollster::block_on;
use state_store::{MemoryStore, Prefix, ReadError, Replica, Revision};

use crate::world::*;

const START: UnixTime = UnixTime::from_secs(100);

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

#[test]
fn a_replica_that_was_not_confirmed_within_its_bound_refuses() {
    let store = MemoryStore::new();
    let clock = TestClock::at(START);
    let (replica, _driver) =
        block_on(Replica::open(store.clone(), Prefix::all(), Notes::new(), BOUND, &clock)).unwrap();
    assert!(replica.current(clock.now()).is_ok());
    clock.advance(BOUND);
    assert!(replica.current(clock.now()).is_ok());
    clock.advance(Duration::from_millis(1));
    let stale = replica.current(clock.now()).unwrap_err();
    assert_eq!(stale.applied, Revision::ZERO);
    assert!(!replica.is_fresh(clock.now()));
    block_on(replica.confirm(&store, &clock)).unwrap();
    assert!(replica.current(clock.now()).is_ok());
    let freshness = replica.freshness(clock.now());
    assert!(freshness.is_fresh);
    assert_eq!(freshness.confirmed_at, clock.now());
}

#[test]
fn a_clock_that_went_back_proves_nothing() {
    let store = MemoryStore::new();
    let clock = TestClock::at(START);
    let (replica, _driver) =
        block_on(Replica::open(store.clone(), Prefix::all(), Notes::new(), BOUND, &clock)).unwrap();
    // Within the bound both ways.
    assert!(replica.current(START.saturating_sub(BOUND)).is_ok());
    assert!(replica.current(START.saturating_sub(BOUND + Duration::from_millis(1))).is_err());
    assert!(replica.current(UnixTime::EPOCH).is_err());
    // After a confirmation by the clock as it is now, the earlier one counts no more.
    clock.set(UnixTime::from_secs(1));
    block_on(replica.confirm(&store, &clock)).unwrap();
    assert!(replica.current(clock.now()).is_ok());
    assert!(replica.current(START).is_err());
}

#[test]
fn a_confirmation_waits_until_the_replica_shows_what_the_store_said() {
    let store = MemoryStore::new();
    let clock = TestClock::at(START);
    let (replica, mut driver) =
        block_on(Replica::open(store.clone(), Prefix::all(), Notes::new(), BOUND, &clock)).unwrap();
    let revision = put(&store, "notes/a", "one");
    clock.advance(BOUND * 2);
    let mut confirming = pin!(replica.confirm(&store, &clock));
    assert!(confirming.as_mut().poll(&mut context()).is_pending());
    assert!(replica.current(clock.now()).is_err(), "not before it has the commit");
    // What is committed after the question is not waited for.
    put(&store, "notes/b", "two");
    block_on(driver.step()).unwrap();
    assert_eq!(confirming.as_mut().poll(&mut context()), Poll::Ready(Ok(revision)));
    assert!(replica.current(clock.now()).is_ok());
}

#[test]
fn a_confirmation_counts_from_when_the_store_was_asked() {
    let store = MemoryStore::new();
    let clock = TestClock::at(START);
    let (replica, mut driver) =
        block_on(Replica::open(store.clone(), Prefix::all(), Notes::new(), BOUND, &clock)).unwrap();
    put(&store, "notes/a", "one");
    clock.advance(BOUND);
    let mut confirming = pin!(replica.confirm(&store, &clock));
    assert!(confirming.as_mut().poll(&mut context()).is_pending());
    // The driver takes its time; so old is the answer then.
    clock.advance(BOUND);
    block_on(driver.step()).unwrap();
    assert!(confirming.as_mut().poll(&mut context()).is_ready());
    assert_eq!(replica.freshness(clock.now()).confirmed_at, START.saturating_add(BOUND));
    assert!(replica.current(clock.now()).is_ok());
    assert!(replica.current(clock.now().saturating_add(Duration::from_millis(1))).is_err());
}

#[test]
fn opening_counts_from_its_beginning() {
    let store = Hooked::new();
    put(&store, "notes/a", "one");
    let clock: &'static TestClock = Box::leak(Box::new(TestClock::at(START)));
    store.on_scan(|_, _| {
        clock.advance(Duration::from_secs(3));
        None
    });
    let opened = Replica::open(store.clone(), Prefix::all(), Notes::new(), BOUND, clock);
    let (replica, _driver) = block_on(opened).unwrap();
    assert_eq!(replica.freshness(clock.now()).confirmed_at, START);
}

#[test]
fn a_store_that_does_not_answer_confirms_nothing() {
    let store = Hooked::new();
    let clock = TestClock::at(START);
    let (replica, _driver) =
        block_on(Replica::open(store.clone(), Prefix::all(), Notes::new(), BOUND, &clock)).unwrap();
    clock.advance(BOUND * 2);
    store.on_scan(|_, _| Some(Answer::Fail));
    assert!(matches!(block_on(replica.confirm(&store, &clock)), Err(ReadError::Unavailable { .. })));
    assert!(replica.current(clock.now()).is_err());
}

#[test]
fn a_store_that_went_back_confirms_nothing() {
    let store = MemoryStore::new();
    put(&store, "notes/a", "one");
    let clock = TestClock::at(START);
    let (replica, _driver) =
        block_on(Replica::open(store.clone(), Prefix::all(), Notes::new(), BOUND, &clock)).unwrap();
    clock.advance(BOUND * 2);
    let restored = MemoryStore::new();
    assert!(matches!(block_on(replica.confirm(&restored, &clock)), Err(ReadError::Damaged { .. })));
    assert!(replica.current(clock.now()).is_err());
}

#[test]
fn a_replica_whose_driver_is_gone_becomes_stale() {
    let store = MemoryStore::new();
    let clock = TestClock::at(START);
    let (replica, driver) =
        block_on(Replica::open(store.clone(), Prefix::all(), Notes::new(), BOUND, &clock)).unwrap();
    drop(driver);
    put(&store, "notes/a", "one");
    clock.advance(BOUND * 2);
    let mut confirming = pin!(replica.confirm(&store, &clock));
    assert!(confirming.as_mut().poll(&mut context()).is_pending());
    assert!(replica.current(clock.now()).is_err());
    assert_eq!(replica.snapshot().revision(), Revision::ZERO, "to show, it is still there");
}
