//! Nodes in threads of their own, on one embedded store: who knows where a commit is applied.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a failed test")]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use core_types::{SystemClock, SystemRandom};
use pollster::block_on;
use state_store::fleet::{Awaited, Fleet, NodeName, Terms};
use state_store::{Batch, Commit, Key, Revision, StateStore, Value, Write};
use state_store_redb::{Expected, RedbStore};

const TERMS: Terms = Terms::new(Duration::from_secs(15), Duration::from_millis(5));
const BOUND: Duration = Duration::from_secs(5);

/// Done when a thread has slept.
#[derive(Default)]
struct Timer {
    state: Arc<Mutex<(bool, Option<Waker>)>>,
}

impl Timer {
    fn after(time: Duration) -> Self {
        let timer = Self::default();
        let state = Arc::clone(&timer.state);
        thread::spawn(move || {
            thread::sleep(time);
            let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            state.0 = true;
            if let Some(waker) = state.1.take() {
                waker.wake();
            }
        });
        timer
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.0 {
            return Poll::Ready(());
        }
        state.1 = Some(context.waker().clone());
        Poll::Pending
    }
}

/// A node that follows the store and says what it has applied, unless it is frozen.
fn join(store: &RedbStore, name: &str, is_frozen: &Arc<AtomicBool>) -> Arc<Fleet<RedbStore>> {
    let name = NodeName::new(name).unwrap();
    let joined = block_on(Fleet::join(store.clone(), name, TERMS, BOUND, &SystemClock::new()));
    let (fleet, mut driver, _) = joined.unwrap();
    let fleet = Arc::new(fleet);
    thread::spawn(move || block_on(driver.run()));
    let (running, is_frozen) = (Arc::clone(&fleet), Arc::clone(is_frozen));
    thread::spawn(move || {
        let applied = || {
            let revision = running.replica().snapshot().revision();
            (!is_frozen.load(Ordering::Relaxed)).then_some(revision)
        };
        block_on(running.run(applied, |error| panic!("{error}"), &SystemClock::new(), &Timer::after))
    });
    fleet
}

fn put(store: &RedbStore, value: &str) -> Revision {
    let mut batch = Batch::new();
    batch.write(Key::new("tokens/1").unwrap(), Write::Put(Value::new(value).unwrap())).unwrap();
    match block_on(store.commit(batch)).unwrap() {
        Commit::Committed(revision) => revision,
        Commit::Conflict(key) => panic!("{key:?}"),
    }
}

fn awaited(fleet: &Fleet<RedbStore>, revision: Revision, within: Duration) -> Awaited {
    block_on(fleet.await_applied(revision, within, &SystemClock::new(), &Timer::after)).unwrap()
}

#[test]
fn a_commit_is_soon_known_everywhere_and_a_frozen_node_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbStore::open(folder.path().join("store"), Expected::New, &SystemRandom::new()).unwrap();
    let (never, frozen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let ada = join(&store, "ada", &never);
    let bob = join(&store, "bob", &frozen);
    let patience = Duration::from_secs(20);
    for round in 0..20 {
        let revision = put(&store, &round.to_string());
        let fleet = if round % 2 == 0 { &ada } else { &bob };
        assert_eq!(awaited(fleet, revision, patience), Awaited::Everywhere { nodes: 2 });
    }
    frozen.store(true, Ordering::Relaxed);
    let revision = put(&store, "revoked");
    let lagging = Awaited::Lagging { nodes: vec!["bob".into()] };
    assert_eq!(awaited(&ada, revision, Duration::from_millis(500)), lagging);
    frozen.store(false, Ordering::Relaxed);
    assert_eq!(awaited(&ada, revision, patience), Awaited::Everywhere { nodes: 2 });
}
