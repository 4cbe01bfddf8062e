//! Faults of the server and of the network, on a real server: what was acknowledged stays, watchers are told every
//! commit once and in order, and what is unknown is said to be, and can be found out.
//!
//! `PALISADE_LONG_SECONDS=3600` makes the histories that long; each prints its seed, and `PALISADE_SEED` begins
//! with that one.

#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a helper that fails is a test that fails"
)]

use std::thread::sleep;
use std::time::Duration;

use core_types::testing::TestRandom;
use core_types::{SecureRandom as _, SystemRandom};
use pollster::block_on;
use state_store::testing::history::{Cast, Summary, record};
use state_store::testing::proxy::{Fault, FaultProxy};
use state_store::{
    Batch, Commit, CommitError, Key, Prefix, ReadError, Revision, StateStore as _, Value, Watch as _,
    WatchEvent, Write,
};
use state_store_postgres::testing::Server;
use state_store_postgres::{CommitId, Known, OpenError, Options, Outcome, PostgresStore};

fn open(url: &str, patience: Duration) -> PostgresStore {
    let options = url.parse::<Options>().unwrap().with_patience(patience);
    block_on(PostgresStore::open(options, &SystemRandom::new())).unwrap()
}

fn put(store: &PostgresStore, key: &str, value: &str) -> Result<Commit, CommitError> {
    block_on(store.commit(batch(key, value)))
}

fn batch(key: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.write(Key::new(key).unwrap(), Write::Put(Value::new(value).unwrap())).unwrap();
    batch
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
    let mut total = Summary::default();
    #[expect(clippy::disallowed_methods, reason = "bounds the test itself")]
    let begun = std::time::Instant::now();
    let mut rounds = 0;
    while rounds == 0 || begun.elapsed().as_secs() < seconds {
        let seed = first + rounds;
        println!("seed {seed}");
        let summary = one(seed);
        println!("{summary:?}");
        total.committed += summary.committed;
        total.unknown += summary.unknown;
        rounds += 1;
    }
    println!("{rounds} rounds, {} commits, {} unknown outcomes", total.committed, total.unknown);
    assert!(total.committed > 50, "{total:?}");
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
fn histories_have_an_order_while_the_server_is_killed() {
    let mut server = Server::start().unwrap();
    let url = server.url("killed");
    histories(8, |seed| {
        let nodes = [open(&url, Duration::from_secs(4)), open(&url, Duration::from_secs(4))];
        let rng = TestRandom::seeded(seed);
        record(&nodes, cast(seed), || {
            pause(&rng, 100, 700);
            server.kill().unwrap();
            pause(&rng, 1, 300);
            server.resume().unwrap();
            pause(&rng, 200, 500);
        })
        .unwrap()
    });
}

#[test]
fn histories_have_an_order_while_the_server_is_frozen() {
    let server = Server::start().unwrap();
    let url = server.url("frozen");
    histories(8, |seed| {
        // Frozen for longer than anybody's patience.
        let patience = Duration::from_millis(400);
        let nodes = [open(&url, patience), open(&url, patience)];
        let rng = TestRandom::seeded(seed);
        record(&nodes, cast(seed), || {
            pause(&rng, 100, 500);
            server.freeze().unwrap();
            pause(&rng, 700, 1500);
            server.thaw().unwrap();
            pause(&rng, 300, 600);
        })
        .unwrap()
    });
}

#[test]
fn histories_have_an_order_while_the_network_fails() {
    let server = Server::start().unwrap();
    let proxies = [0, 1].map(|_| FaultProxy::start(server.address()).unwrap());
    histories(10, |seed| {
        let patience = Duration::from_millis(800);
        let nodes = [0, 1].map(|n| open(&server.url_at(proxies[n].address(), "cut"), patience));
        let rng = TestRandom::seeded(seed);
        record(&nodes, cast(seed), || {
            for _ in 0..4 {
                pause(&rng, 20, 150);
                let fault = match random(&rng, 3) {
                    0 => Fault::Cut,
                    1 => Fault::Stall,
                    _ => Fault::LoseAnswers,
                };
                let proxy = &proxies[usize::from(random(&rng, 2) == 0)];
                proxy.set(fault);
                pause(&rng, 1, 300);
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
fn an_outcome_that_was_lost_is_found_out() {
    let server = Server::start().unwrap();
    let proxy = FaultProxy::start(server.address()).unwrap();
    let far = open(&server.url_at(proxy.address(), "lost"), Duration::from_millis(500));
    let near = open(&server.url("lost"), Duration::from_secs(5));
    revision(put(&far, "a", "0"));

    // The commit arrives, its answer does not; nor can it be asked for afterwards.
    proxy.set(Fault::LoseAnswers);
    let id = far.next_commit_id();
    let unknown = block_on(far.commit_as(id, batch("a", "1"))).unwrap_err();
    let CommitError::OutcomeUnknown { detail } = &unknown else { unreachable!("{unknown}") };
    assert!(detail.contains(&id.to_string()), "{detail}");
    let held = block_on(near.get(&Key::new("a").unwrap())).unwrap().unwrap();
    assert_eq!(held.value, Value::new("1").unwrap());
    assert_eq!(block_on(near.outcome_of(id)).unwrap(), Outcome::Committed(held.revision));

    // The commit does not arrive, and once it has been asked for, it never takes effect.
    proxy.set(Fault::Cut);
    let id = far.next_commit_id();
    let refused = block_on(far.commit_as(id, batch("a", "2"))).unwrap_err();
    assert!(matches!(refused, CommitError::Unavailable { .. }), "{refused}");
    assert_eq!(block_on(near.outcome_of(id)).unwrap(), Outcome::NothingWritten);
    proxy.set(Fault::None);
    let late = block_on(far.commit_as(id, batch("a", "2"))).unwrap_err();
    assert!(matches!(late, CommitError::Unavailable { .. }), "{late}");
    assert_eq!(block_on(near.get(&Key::new("a").unwrap())).unwrap(), Some(held));
    assert!(far.stats().unknown >= 1);

    // A short interruption is found out without anybody's doing.
    let short = open(&server.url_at(proxy.address(), "lost"), Duration::from_secs(2));
    revision(put(&short, "b", "0"));
    proxy.set(Fault::LoseAnswers);
    let committing = std::thread::spawn({
        let short = short.clone();
        move || put(&short, "b", "1")
    });
    sleep(Duration::from_millis(300));
    proxy.set(Fault::Cut);
    proxy.set(Fault::None);
    let found = revision(committing.join().unwrap());
    assert_eq!(block_on(near.get(&Key::new("b").unwrap())).unwrap().unwrap().revision, found);
    assert_eq!(short.stats().resolved, 1);
}

#[test]
fn a_watcher_that_was_away_during_a_compaction_is_told_that_it_lagged() {
    let server = Server::start().unwrap();
    let options = server.url("compaction").parse::<Options>().unwrap().with_history(10, 1 << 20);
    let store = block_on(PostgresStore::open(options, &SystemRandom::new())).unwrap();
    let forgotten: CommitId = store.next_commit_id();
    let first = revision(block_on(store.commit_as(forgotten, batch("a", "0"))));
    let mut last = first;
    for round in 1..=30 {
        last = revision(put(&store, "a", &round.to_string()));
    }
    // Another node, which remembers nothing by itself: the history is the database's.
    let other = open(&server.url("compaction"), Duration::from_secs(5));
    let mut whole = block_on(other.watch(&Prefix::all(), first)).unwrap();
    let mut told = first;
    while told < last {
        match block_on(whole.next()).unwrap() {
            WatchEvent::Changes { revision, .. } => {
                assert_eq!(Some(revision), told.next());
                told = revision;
            }
            event => unreachable!("{event:?} after {told}"),
        }
    }
    block_on(store.compact()).unwrap();
    let mut behind = block_on(other.watch(&Prefix::all(), first)).unwrap();
    assert_eq!(block_on(behind.next()).unwrap(), WatchEvent::Lagged);
    let kept = Revision::new(last.get() - 10);
    let mut near = block_on(other.watch(&Prefix::all(), kept)).unwrap();
    assert!(
        matches!(block_on(near.next()).unwrap(), WatchEvent::Changes { revision, .. } if Some(revision) == kept.next())
    );
    assert_eq!(block_on(store.outcome_of(forgotten)).unwrap(), Outcome::Forgotten);
    assert_eq!(server.psql("SELECT count(DISTINCT revision) FROM compaction.changes").unwrap(), "10");
}

#[test]
fn a_store_of_the_first_format_is_renewed() {
    let server = Server::start().unwrap();
    server
        .psql(
            "CREATE SCHEMA old; \
             CREATE TABLE old.head (one boolean PRIMARY KEY CHECK (one), format bigint NOT NULL, store bytea NOT NULL, \
               revision bigint NOT NULL, bytes bigint NOT NULL) WITH (fillfactor = 10); \
             CREATE TABLE old.history (one boolean PRIMARY KEY CHECK (one), floor bigint NOT NULL); \
             CREATE TABLE old.entries (key bytea PRIMARY KEY, value bytea NOT NULL, revision bigint NOT NULL); \
             CREATE TABLE old.changes (revision bigint, key bytea, value bytea, PRIMARY KEY (revision, key)); \
             CREATE TABLE old.commits (revision bigint PRIMARY KEY, bytes bigint NOT NULL); \
             CREATE TABLE old.outcomes (id bytea PRIMARY KEY, revision bigint NOT NULL, seen bigint NOT NULL); \
             INSERT INTO old.history VALUES (true, 0); \
             INSERT INTO old.head VALUES (true, 1, '\\x000102030405060708090a0b0c0d0e0f', 7, 70); \
             INSERT INTO old.entries VALUES ('a', '1', 7); INSERT INTO old.changes VALUES (7, 'a', '1'); \
             INSERT INTO old.commits VALUES (7, 70); INSERT INTO old.outcomes VALUES ('\\x00', 7, 6)",
        )
        .unwrap();
    let url = server.url("old");
    let opening = [(); 3].map(|()| {
        std::thread::spawn({
            let url = url.clone();
            move || open(&url, Duration::from_secs(5))
        })
    });
    let stores = opening.map(|opening| opening.join().unwrap());
    let key = Key::new("a").unwrap();
    for store in &stores {
        assert_eq!(store.store_id().to_string(), "000102030405060708090a0b0c0d0e0f");
        assert_eq!(block_on(store.get(&key)).unwrap().unwrap().revision, Revision::new(7));
    }
    let mut behind = block_on(stores[0].watch(&Prefix::all(), Revision::new(6))).unwrap();
    assert_eq!(block_on(behind.next()).unwrap(), WatchEvent::Lagged);
    let mut watch = block_on(stores[1].watch(&Prefix::all(), Revision::new(7))).unwrap();
    let mut next = Batch::new();
    next.replace(key, Revision::new(7), Value::new("2").unwrap()).unwrap();
    assert_eq!(revision(block_on(stores[0].commit(next))), Revision::new(8));
    assert!(
        matches!(block_on(watch.next()).unwrap(), WatchEvent::Changes { revision, .. } if revision == Revision::new(8))
    );
}

/// An id names one commit, for as long as the history goes back.
#[test]
fn a_named_commit_takes_effect_once() {
    let server = Server::start().unwrap();
    let one = open(&server.url("named"), Duration::from_secs(5));
    let id = one.next_commit_id();
    let written = revision(block_on(one.commit_as(id, batch("a", "1"))));
    for store in [&one, &open(&server.url("named"), Duration::from_secs(5))] {
        let again = block_on(store.commit_as(id, batch("a", "2"))).unwrap_err();
        assert!(matches!(again, CommitError::Unavailable { .. }), "{again}");
        assert_eq!(block_on(store.outcome_of(id)).unwrap(), Outcome::Committed(written));
        assert_eq!(block_on(store.get(&Key::new("a").unwrap())).unwrap().unwrap().revision, written);
    }
}

/// Nodes that commit at the same moment find that out, and neither loses nor repeats anything.
#[test]
fn nodes_that_cross_one_another_keep_one_order() {
    let server = Server::start().unwrap();
    let stores = [(); 3].map(|()| open(&server.url("crossing"), Duration::from_secs(10)));
    let start = revision(put(&stores[0], "start", ""));
    std::thread::scope(|scope| {
        for (name, store) in ["a", "b", "c"].into_iter().zip(&stores) {
            scope.spawn(move || {
                let mut last = Revision::ZERO;
                for round in 0..200 {
                    let mut batch = Batch::new();
                    let key = Key::new(name).unwrap();
                    let value = Value::new(round.to_string()).unwrap();
                    if round == 0 {
                        batch.create(key, value).unwrap();
                    } else {
                        batch.replace(key, last, value).unwrap();
                    }
                    last = revision(block_on(store.commit(batch)));
                }
            });
        }
    });
    let mut watch = block_on(stores[0].watch(&Prefix::all(), start)).unwrap();
    let mut told = start;
    while told.get() < start.get() + 600 {
        match block_on(watch.next()).unwrap() {
            WatchEvent::Changes { revision, changes } => {
                assert_eq!((Some(revision), changes.len()), (told.next(), 1));
                told = revision;
            }
            event => unreachable!("{event:?} after {told}"),
        }
    }
}

#[test]
fn a_store_that_went_back_is_not_used_again() {
    let server = Server::start().unwrap();
    let url = server.url("back");
    let store = open(&url, Duration::from_secs(2));
    for round in 0..5 {
        revision(put(&store, "a", &round.to_string()));
    }
    let known = Known { store: store.store_id(), at_least: Revision::new(5) };
    // What a backup of before would look like.
    server.psql("UPDATE back.head SET revision = 3").unwrap();
    server
        .psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name <> 'psql'")
        .unwrap();
    let mut refused = None;
    for _ in 0..100 {
        refused = put(&store, "a", "again").err();
        if matches!(refused, Some(CommitError::Damaged { .. })) {
            break;
        }
        sleep(Duration::from_millis(20));
    }
    assert!(matches!(refused, Some(CommitError::Damaged { .. })), "{refused:?}");
    let read = block_on(store.get(&Key::new("a").unwrap()));
    assert!(matches!(read, Err(ReadError::Damaged { .. })), "{read:?}");
    server.psql("UPDATE back.head SET revision = 3").unwrap();
    let options = url.parse::<Options>().unwrap().with_known(known);
    let error = block_on(PostgresStore::open(options, &SystemRandom::new())).unwrap_err();
    assert_eq!(error, OpenError::WentBack { expected: Revision::new(5), found: Revision::new(3) });
}

#[test]
fn what_cannot_be_opened_safely_is_refused() {
    let server = Server::start_with(&["fsync=off"]).unwrap();
    let url = server.url("forgetful");
    let refused = block_on(PostgresStore::open(url.parse().unwrap(), &SystemRandom::new())).unwrap_err();
    assert_eq!(refused, OpenError::NotDurable { setting: "fsync off" });
    let taken = url.parse::<Options>().unwrap().dangerous_on_a_server_that_forgets();
    assert!(block_on(PostgresStore::open(taken, &SystemRandom::new())).is_ok());
    let wrong = url.replace("not-a-secret", "a-wrong-one").parse().unwrap();
    let refused = block_on(PostgresStore::open(wrong, &SystemRandom::new())).unwrap_err();
    assert!(matches!(refused, OpenError::Refused { .. }), "{refused}");
    assert!(!refused.to_string().contains("a-wrong-one"));
    for bad in [
        "mysql://a@localhost/b",
        "postgres://localhost/b",
        "postgres://a@db.example/b?sslmode=disable",
        "postgres://a@localhost/b?sslmode=prefer",
        "postgres://a@localhost/b?schema=Robert'); DROP TABLE",
        "postgres://a@localhost/b?schema=x&schema=y",
        "postgres://a@localhost/b?sslmode=verify-full&sslrootcert=/nowhere",
    ] {
        assert!(bad.parse::<Options>().is_err(), "{bad}");
    }
}
