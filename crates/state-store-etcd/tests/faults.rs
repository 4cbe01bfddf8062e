//! Faults of the members and of the network, on a real cluster of three.
//!
//! `PALISADE_LONG_SECONDS=3600` makes the histories that long; each prints its seed, and `PALISADE_SEED` begins
//! with that one.

#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a helper that fails is a test that fails, and a seed must be seen"
)]

use std::thread::sleep;
use std::time::Duration;

use core_types::testing::TestRandom;
use core_types::{SecureRandom as _, SystemRandom};
use pollster::block_on;
use state_store::testing::history::{Cast, Summary, record};
use state_store::testing::proxy::{Fault, FaultProxy};
use state_store::{
    Batch, Commit, CommitError, Key, Prefix, Revision, StateStore as _, Value, Watch as _, WatchEvent, Write,
};
use state_store_etcd::testing::Cluster;
use state_store_etcd::{EtcdStore, Options};

fn open(url: &str, patience: Duration) -> EtcdStore {
    let options = url.parse::<Options>().unwrap().with_patience(patience);
    block_on(EtcdStore::open(options, &SystemRandom::new())).unwrap()
}

fn write(store: &EtcdStore, key: &str, write: Write) -> Result<Commit, CommitError> {
    let mut batch = Batch::new();
    batch.write(Key::new(key).unwrap(), write).unwrap();
    block_on(store.commit(batch))
}

fn put(store: &EtcdStore, key: &str, value: &str) -> Result<Commit, CommitError> {
    write(store, key, Write::Put(Value::new(value).unwrap()))
}

fn revision(commit: Result<Commit, CommitError>) -> Revision {
    match commit.unwrap() {
        Commit::Committed(revision) => revision,
        Commit::Conflict(key) => unreachable!("a conflict on {key:?}"),
    }
}

/// Histories until the time is up: `seconds`, or what the environment says.
fn histories(seconds: u64, mut one: impl FnMut(u64) -> Summary) {
    let from_environment = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seconds = from_environment("PALISADE_LONG_SECONDS").unwrap_or(seconds);
    let mut drawn = [0; 8];
    SystemRandom::new().fill(&mut drawn).unwrap();
    let first = from_environment("PALISADE_SEED").unwrap_or(u64::from_be_bytes(drawn) >> 1);
    let mut committed = 0;
    #[expect(clippy::disallowed_methods, reason = "bounds the test itself")]
    let begun = std::time::Instant::now();
    let mut rounds = 0;
    while rounds == 0 || begun.elapsed().as_secs() < seconds {
        let seed = first + rounds;
        println!("seed {seed}");
        let summary = one(seed);
        println!("{summary:?}");
        committed += summary.committed;
        rounds += 1;
    }
    println!("{rounds} rounds, {committed} commits");
    assert!(committed > 50, "{committed}");
}

fn cast(seed: u64) -> Cast {
    Cast { seed, clients: 4, keys: 3, operations: u64::MAX, patience: Duration::from_secs(30) }
}

fn random(rng: &TestRandom, below: u64) -> u64 {
    let mut bytes = [0; 8];
    rng.fill(&mut bytes).unwrap();
    u64::from_be_bytes(bytes) % below
}

fn pause(rng: &TestRandom, from: u64, to: u64) {
    sleep(Duration::from_millis(from + random(rng, to - from)));
}

#[test]
fn histories_have_an_order_while_members_are_killed_and_frozen() {
    let mut cluster = Cluster::start(3).unwrap();
    let url = cluster.url("members");
    histories(15, |seed| {
        let nodes = [open(&url, Duration::from_secs(10)), open(&url, Duration::from_secs(10))];
        let rng = TestRandom::seeded(seed);
        record(&nodes, cast(seed), || {
            pause(&rng, 100, 500);
            let leader = cluster.leader().unwrap();
            cluster.kill(leader).unwrap();
            pause(&rng, 100, 1500);
            cluster.resume(leader).unwrap();
            pause(&rng, 100, 300);
            let member = usize::try_from(random(&rng, 3)).unwrap();
            cluster.freeze(member).unwrap();
            pause(&rng, 500, 3000);
            cluster.thaw(member).unwrap();
            pause(&rng, 200, 500);
        })
        .unwrap()
    });
}

#[test]
fn histories_have_an_order_while_the_network_fails() {
    let cluster = Cluster::start(3).unwrap();
    let proxies: Vec<FaultProxy> =
        cluster.addresses().into_iter().map(|member| FaultProxy::start(member).unwrap()).collect();
    let addresses: Vec<_> = proxies.iter().map(FaultProxy::address).collect();
    let url = cluster.url_at(&addresses, "network");
    histories(10, |seed| {
        let nodes = [open(&url, Duration::from_secs(3)), open(&url, Duration::from_secs(3))];
        let rng = TestRandom::seeded(seed);
        record(&nodes, cast(seed), || {
            for _ in 0..3 {
                pause(&rng, 50, 200);
                let fault = match random(&rng, 3) {
                    0 => Fault::Cut,
                    1 => Fault::Stall,
                    _ => Fault::LoseAnswers,
                };
                let proxy = proxies.get(usize::try_from(random(&rng, 3)).unwrap()).unwrap();
                proxy.set(fault);
                pause(&rng, 10, 1000);
                // Connections that lost some of their answers are of no more use.
                proxy.set(Fault::Cut);
                proxy.set(Fault::None);
            }
            pause(&rng, 100, 300);
        })
        .unwrap()
    });
}

#[test]
fn an_unknown_outcome_is_said_to_be_unknown() {
    let cluster = Cluster::start(1).unwrap();
    let proxy = FaultProxy::start(*cluster.addresses().first().unwrap()).unwrap();
    let far = open(&cluster.url_at(&[proxy.address()], "lost"), Duration::from_millis(1500));
    let near = open(&cluster.url("lost"), Duration::from_secs(5));
    revision(put(&far, "a", "0"));
    proxy.set(Fault::LoseAnswers);
    let unknown = put(&far, "a", "1").unwrap_err();
    assert!(matches!(unknown, CommitError::OutcomeUnknown { .. }), "{unknown}");
    let held = block_on(near.get(&Key::new("a").unwrap())).unwrap().unwrap();
    assert_eq!(held.value, Value::new("1").unwrap());

    // A short interruption is found out without anybody's doing.
    proxy.set(Fault::Cut);
    proxy.set(Fault::None);
    revision(put(&far, "b", "0"));
    proxy.set(Fault::LoseAnswers);
    let committing = std::thread::spawn({
        let far = far.clone();
        move || put(&far, "b", "1")
    });
    sleep(Duration::from_millis(400));
    proxy.set(Fault::Cut);
    proxy.set(Fault::None);
    let found = revision(committing.join().unwrap());
    assert_eq!(block_on(near.get(&Key::new("b").unwrap())).unwrap().unwrap().revision, found);
    assert!(far.stats().resolved >= 1);
}

/// A commit that is held up on its way is given up, and made anew by another member; when it arrives at last, it is
/// not carried out a second time.
#[test]
fn a_commit_that_comes_late_is_not_carried_out_again() {
    let cluster = Cluster::start(3).unwrap();
    let addresses = cluster.addresses();
    let slow = FaultProxy::start(addresses[0]).unwrap();
    let far =
        open(&cluster.url_at(&[slow.address(), addresses[1], addresses[2]], "late"), Duration::from_secs(5));
    let near = open(&cluster.url("late"), Duration::from_secs(5));
    for round in 0..10 {
        slow.set(Fault::None);
        revision(put(&far, "a", &format!("before {round}")));
        slow.set(Fault::Stall);
        let written = revision(put(&far, "a", &format!("held up {round}")));
        let after = revision(put(&near, "a", &format!("after {round}")));
        assert!(after > written);
        // What was held back arrives now.
        slow.set(Fault::None);
        sleep(Duration::from_millis(100));
        let held = block_on(near.get(&Key::new("a").unwrap())).unwrap().unwrap();
        assert_eq!((held.revision, held.value), (after, Value::new(format!("after {round}")).unwrap()));
        assert_eq!(block_on(near.scan(&Prefix::all(), None, 0)).unwrap().revision, after);
        slow.set(Fault::Cut);
    }
}

#[test]
fn outcomes_take_as_much_room_as_there_are_writers() {
    let cluster = Cluster::start(1).unwrap();
    let stores = [(); 2].map(|()| open(&cluster.url("slots"), Duration::from_secs(5)));
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let store = &stores[writer % 2];
            scope.spawn(move || {
                for round in 0..50 {
                    revision(put(store, &format!("{writer}"), &format!("{round}")));
                    // What is refused leaves nothing.
                    let mut batch = Batch::new();
                    batch.create(Key::new(format!("{writer}")).unwrap(), Value::new("").unwrap()).unwrap();
                    assert!(matches!(block_on(store.commit(batch)).unwrap(), Commit::Conflict(_)));
                }
            });
        }
    });
    let slots = || cluster.etcdctl(0, &["get", "--prefix", "--keys-only", "slots/g"]).unwrap();
    let count = slots().lines().filter(|line| line.starts_with("slots/g")).count();
    assert!((2..=4).contains(&count), "{count}: {}", slots());

    // Without their leases the slots are gone, and commits find others.
    let leases = cluster.etcdctl(0, &["lease", "list"]).unwrap();
    let leases: Vec<&str> = leases.lines().skip(1).collect();
    assert_eq!(leases.len(), 2, "{leases:?}");
    for lease in leases {
        cluster.etcdctl(0, &["lease", "revoke", lease]).unwrap();
    }
    assert_eq!(slots(), "");
    for store in &stores {
        revision(put(store, "a", "still"));
    }
}

/// etcd 3.4 tells nothing of a deletion at the revision up to which it was compacted.
#[test]
fn a_deletion_at_the_compacted_revision_is_not_lost_in_silence() {
    let cluster = Cluster::start(1).unwrap();
    let proxy = FaultProxy::start(*cluster.addresses().first().unwrap()).unwrap();
    let near = open(&cluster.url("compaction"), Duration::from_secs(5));
    let far = open(&cluster.url_at(&[proxy.address()], "compaction"), Duration::from_secs(2));
    let before = revision(put(&near, "a", "1"));
    let mut watch = block_on(far.watch(&Prefix::all(), before)).unwrap();

    proxy.set(Fault::Cut);
    let deleted = revision(write(&near, "a", Write::Delete));
    block_on(near.compact(deleted)).unwrap();
    proxy.set(Fault::None);

    // Told, or broken off and then lagged: never neither.
    let mut told = None;
    for _ in 0..100 {
        match block_on(watch.next()) {
            Ok(WatchEvent::Changes { revision, changes }) => {
                assert_eq!(
                    (revision, changes.first().map(|change| &change.write)),
                    (deleted, Some(&Write::Delete))
                );
                told = Some("told");
            }
            Ok(WatchEvent::Lagged) => told = Some("lagged"),
            Ok(WatchEvent::Progress(revision)) => assert!(revision < deleted, "passed over the deletion"),
            Err(_) => {
                watch = block_on(far.watch(&Prefix::all(), before)).unwrap();
                continue;
            }
        }
        if told.is_some() {
            break;
        }
    }
    assert_eq!(told, Some("lagged"));
    assert_eq!(block_on(far.get(&Key::new("a").unwrap())).unwrap(), None);
}

#[test]
fn a_cluster_with_authentication_is_used_with_it() {
    let cluster = Cluster::start(1).unwrap();
    for command in [
        &["user", "add", "root:not-a-secret"][..],
        &["user", "grant-role", "root", "root"][..],
        &["auth", "enable"][..],
    ] {
        // The role is there from etcd 3.5 on.
        let done = cluster.etcdctl(0, command);
        if done.is_err() && command.contains(&"grant-role") {
            cluster.etcdctl(0, &["role", "add", "root"]).unwrap();
            cluster.etcdctl(0, command).unwrap();
        } else {
            done.unwrap();
        }
    }
    let refused = block_on(EtcdStore::open(cluster.url("auth").parse().unwrap(), &SystemRandom::new()));
    assert!(refused.is_err(), "opened without a password");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let url = format!("{}?user=root&passfile={}", cluster.url("auth"), file.display());
    std::fs::write(&file, "a-wrong-one\n").unwrap();
    let refused = block_on(EtcdStore::open(url.parse().unwrap(), &SystemRandom::new())).unwrap_err();
    assert!(!refused.to_string().contains("a-wrong-one"), "{refused}");
    std::fs::write(&file, "not-a-secret\n").unwrap();
    let store = open(&url, Duration::from_secs(5));
    let written = revision(put(&store, "a", "1"));
    assert_eq!(block_on(store.get(&Key::new("a").unwrap())).unwrap().unwrap().revision, written);
}

#[test]
fn what_names_no_store_is_refused() {
    for bad in [
        "etcd://127.0.0.1:1",
        "etcd:///namespace",
        "etcd://127.0.0.1/namespace",
        "etcd://127.0.0.1:1/Name/Space",
        "etcd://user:password@127.0.0.1:1/namespace",
        "etcd://etcd.example:2379/namespace?tls=disable",
        "etcd://127.0.0.1:1/namespace?tls=maybe",
        "etcd://127.0.0.1:1/namespace?user=a",
        "etcd://127.0.0.1:1/namespace?tls=verify-full&cacert=/nowhere",
        "http://127.0.0.1:1/namespace",
    ] {
        assert!(bad.parse::<Options>().is_err(), "{bad}");
    }
}
