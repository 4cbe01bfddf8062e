//! Who knows where a revision is applied.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a failed test")]

use std::future::ready;
use std::time::Duration;

use core_types::testing::TestClock;
use core_types::{Clock, UnixTime};
use pollster::block_on;
use state_store::fleet::{Awaited, Fleet, FleetView, NodeName, PREFIX, Terms};
use state_store::replica::Driver;
use state_store::{Batch, Commit, FleetError, Key, MemoryStore, Prefix, Revision, StateStore, Value, Write};

const LEASE: Duration = Duration::from_secs(15);
const START: u64 = 1_000_000;

/// A node, and its clock, which stands still unless it is told otherwise.
struct Node {
    fleet: Fleet<MemoryStore>,
    driver: Driver<MemoryStore, FleetView>,
    clock: TestClock,
}

impl Node {
    fn join(store: &MemoryStore, name: &str) -> Self {
        Self::join_at(store, name, START)
    }

    fn join_at(store: &MemoryStore, name: &str, second: u64) -> Self {
        let clock = TestClock::at(UnixTime::from_secs(second));
        let name = NodeName::new(name).unwrap();
        let terms = Terms::new(LEASE, Duration::from_millis(10));
        let joined = block_on(Fleet::join(store.clone(), name, terms, LEASE, &clock));
        let (fleet, driver, revision) = joined.unwrap();
        let mut node = Self { fleet, driver, clock };
        node.hear(revision);
        node
    }

    fn hear(&mut self, revision: Revision) {
        while self.fleet.replica().snapshot().revision() < revision {
            block_on(self.driver.step()).unwrap();
        }
    }

    /// Hears all there is, and says what is due; whether something was.
    fn turn(&mut self, applied: Revision) -> bool {
        self.hear(head(&self.store()));
        block_on(self.fleet.publish(applied, self.clock.now())).unwrap().is_some()
    }

    /// Waits for as long as nothing else happens.
    fn await_applied(&mut self, revision: Revision) -> Awaited {
        self.hear(head(&self.store()));
        let sleep = |_| ready(());
        block_on(self.fleet.await_applied(revision, Duration::from_secs(1), &self.clock, &sleep)).unwrap()
    }

    fn store(&self) -> MemoryStore {
        self.fleet.store().clone()
    }
}

fn head(store: &MemoryStore) -> Revision {
    block_on(store.scan(&Prefix::all(), None, 0)).unwrap().revision
}

fn put(store: &MemoryStore, key: &str, value: &str) -> Revision {
    let mut batch = Batch::new();
    batch.write(Key::new(key).unwrap(), Write::Put(Value::new(value).unwrap())).unwrap();
    match block_on(store.commit(batch)).unwrap() {
        Commit::Committed(revision) => revision,
        Commit::Conflict(key) => panic!("{key:?}"),
    }
}

fn lagging(names: &[&str]) -> Awaited {
    Awaited::Lagging { nodes: names.iter().map(|&name| name.into()).collect() }
}

#[test]
fn the_nodes_that_have_not_applied_a_revision_are_named() {
    let store = MemoryStore::new();
    let mut nodes = ["ada", "bob", "cyd"].map(|name| Node::join(&store, name));
    let revision = put(&store, "tokens/1", "revoked");
    let [ada, bob, cyd] = &mut nodes;
    assert_eq!(ada.await_applied(revision), lagging(&["ada", "bob", "cyd"]));
    // Somebody waits, so whoever has applied it says so at once; whoever has not keeps silent.
    assert!(ada.turn(revision) && bob.turn(revision));
    assert!(!cyd.turn(Revision::new(revision.get() - 1)));
    assert_eq!(ada.await_applied(revision), lagging(&["cyd"]));
    assert_eq!(bob.await_applied(revision), lagging(&["cyd"]));
    assert!(cyd.turn(revision));
    assert_eq!(ada.await_applied(revision), Awaited::Everywhere { nodes: 3 });
}

#[test]
fn words_are_said_when_somebody_waits_and_every_third_of_a_lease_and_not_for_each_commit() {
    let store = MemoryStore::new();
    let mut ada = Node::join(&store, "ada");
    let revisions: Vec<Revision> = (0..50)
        .map(|round| {
            let revision = put(&store, "tokens/1", &round.to_string());
            assert!(!ada.turn(revision), "nobody waits");
            revision
        })
        .collect();
    let [first, .., last] = revisions[..] else { panic!() };
    assert_eq!(ada.await_applied(last), lagging(&["ada"]));
    assert!(ada.turn(last));
    assert!(!ada.turn(head(&store)), "the word itself is no reason for another");
    let before = head(&store);
    assert_eq!(ada.await_applied(first), Awaited::Everywhere { nodes: 1 });
    assert_eq!(head(&store), before, "what is known needs no question");
    ada.clock.advance(Duration::from_secs(4));
    assert!(!ada.turn(last));
    ada.clock.advance(Duration::from_secs(1));
    assert!(ada.turn(last));
}

#[test]
fn a_node_whose_word_has_ended_is_not_waited_for_and_then_forgotten() {
    let store = MemoryStore::new();
    let mut ada = Node::join(&store, "ada");
    let _dead = Node::join(&store, "dead");
    let revision = put(&store, "tokens/1", "revoked");
    let _ = ada.await_applied(revision);
    assert!(ada.turn(revision));
    ada.clock.advance(LEASE - Duration::from_millis(1));
    assert!(ada.turn(revision));
    assert_eq!(ada.await_applied(revision), lagging(&["dead"]));
    ada.clock.advance(Duration::from_millis(1));
    assert_eq!(ada.await_applied(revision), Awaited::Everywhere { nodes: 1 });
    let key = Key::new(format!("{PREFIX}node/dead")).unwrap();
    assert!(block_on(store.get(&key)).unwrap().is_some());
    ada.clock.advance(LEASE);
    assert!(ada.turn(revision));
    assert!(block_on(store.get(&key)).unwrap().is_none(), "dead nodes vanish");
}

#[test]
fn a_node_that_leaves_is_not_waited_for() {
    let store = MemoryStore::new();
    let mut ada = Node::join(&store, "ada");
    let mut bob = Node::join(&store, "bob");
    let revision = put(&store, "tokens/1", "revoked");
    let _ = ada.await_applied(revision);
    assert!(ada.turn(revision));
    assert_eq!(ada.await_applied(revision), lagging(&["bob"]));
    block_on(bob.fleet.leave()).unwrap();
    bob.clock.advance(LEASE);
    assert!(!bob.turn(revision), "it says nothing after that");
    assert_eq!(ada.await_applied(revision), Awaited::Everywhere { nodes: 1 });
}

#[test]
fn a_node_that_is_born_is_waited_for_and_one_that_comes_back_begins_anew() {
    let store = MemoryStore::new();
    let mut ada = Node::join(&store, "ada");
    let revision = put(&store, "tokens/1", "revoked");
    let _ = ada.await_applied(revision);
    assert!(ada.turn(revision));
    let mut bob = Node::join(&store, "bob");
    assert_eq!(ada.await_applied(revision), lagging(&["bob"]));
    assert!(bob.turn(revision));
    assert_eq!(ada.await_applied(revision), Awaited::Everywhere { nodes: 2 });
    let mut again = Node::join(&store, "bob");
    assert_eq!(ada.await_applied(revision), lagging(&["bob"]), "it was started anew, and has said nothing");
    assert!(again.turn(revision));
    assert_eq!(ada.await_applied(revision), Awaited::Everywhere { nodes: 2 });
}

#[test]
fn a_node_that_was_forgotten_says_its_word_anew() {
    let store = MemoryStore::new();
    let mut ada = Node::join(&store, "ada");
    let mut bob = Node::join(&store, "bob");
    ada.clock.advance(LEASE * 2);
    assert!(ada.turn(head(&store)));
    assert!(block_on(store.get(&Key::new("fleet/node/bob").unwrap())).unwrap().is_none());
    bob.clock.advance(LEASE * 2);
    assert!(bob.turn(head(&store)));
    let revision = put(&store, "tokens/1", "revoked");
    assert_eq!(ada.await_applied(revision), lagging(&["ada", "bob"]));
}

#[test]
fn a_node_that_hears_nothing_names_itself() {
    let store = MemoryStore::new();
    let ada = Node::join(&store, "ada");
    let revision = put(&store, "tokens/1", "revoked");
    // Its list may lack a node, too: that nobody in it lags says nothing.
    let sleep = |_| ready(());
    let awaited = ada.fleet.await_applied(revision, Duration::from_secs(1), &ada.clock, &sleep);
    assert_eq!(block_on(awaited).unwrap(), lagging(&["ada"]));
}

#[test]
fn a_word_that_cannot_be_read_is_of_a_node_that_has_applied_nothing() {
    let store = MemoryStore::new();
    let mut ada = Node::join(&store, "ada");
    put(&store, "fleet/node/later", "of a later program");
    put(&store, "fleet/asked", "of a later program, too");
    let revision = put(&store, "tokens/1", "revoked");
    assert_eq!(ada.await_applied(revision), lagging(&["ada", "later"]));
    assert!(ada.turn(revision));
    assert_eq!(ada.await_applied(revision), lagging(&["later"]));
    let nodes: Vec<_> = ada.fleet.replica().snapshot().view().nodes(ada.clock.now()).collect();
    assert_eq!(nodes.iter().map(|node| &*node.name).collect::<Vec<_>>(), ["ada", "later"]);
    assert_eq!(nodes[1].applied, Revision::ZERO);
}

#[test]
fn names_are_short_and_plain() {
    for bad in ["", "Ada", "a/b", "a b", "ä", &"a".repeat(65)] {
        assert_eq!(NodeName::new(bad), Err(FleetError::Name), "{bad:?}");
    }
    for good in ["a", "node-1", &"a".repeat(64)] {
        assert_eq!(NodeName::new(good).unwrap().as_str(), good);
    }
}
