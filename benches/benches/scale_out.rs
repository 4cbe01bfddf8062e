//! The stores on PostgreSQL and on etcd beside the bare engines: the same writes by hand, in one run on one server.
//!
//! `cargo bench -p palisade-benches --bench scale_out [-- postgres|etcd|load]`. The servers are started for the bench,
//! with their defaults (`fsync` on), where `TMPDIR` is; etcd has three members. Floors and what stands on them are
//! measured in turns, so that noise hits all; ratios count. `PALISADE_BENCH_RECORDS` sets the size of the loaded
//! replica (1,000,000).
//!
//! A writer of a floor has a connection of its own to PostgreSQL. There are two floors: `INSERT … RETURNING`, which
//! leaves no history and has no order; and one statement that raises a revision in a row of its own, and writes an
//! entry and its change with it, which is the least that a store with an order and a history has to write. On etcd,
//! the floor is a transaction that puts the key where there is none, by this crate's own client.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a bench that fails may say so by a panic, and measures real time"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use core_types::{SystemClock, SystemRandom};
use pollster::block_on;
use serde::{Deserialize, Serialize};
use state_store::replica::Records;
use state_store::{Batch, Commit, Key, Prefix, Record, Replica, StateStore, Value, Watch, WatchEvent};
use state_store_etcd::EtcdStore;
use state_store_etcd::testing::{Bare, Cluster};
use state_store_postgres::testing::Server;
use state_store_postgres::{Options, PostgresStore};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::NoTls;

fn main() {
    // `cargo test` runs benches too, to see that they run.
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let wanted: Vec<&String> = arguments.iter().skip(1).filter(|argument| *argument != "--bench").collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name);
    if is_wanted("postgres") || is_wanted("load") {
        let server = Server::start().unwrap();
        if is_wanted("postgres") {
            postgres(&server);
        }
        if is_wanted("load") {
            load(&server);
        }
    }
    if is_wanted("etcd") {
        etcd();
    }
}

fn postgres(server: &Server) {
    server
        .psql(
            "CREATE TABLE bare (key bytea PRIMARY KEY, value bytea NOT NULL); \
             CREATE TABLE ordered (key bytea PRIMARY KEY, value bytea NOT NULL, revision bigint NOT NULL); \
             CREATE TABLE changes (revision bigint PRIMARY KEY, key bytea NOT NULL, value bytea NOT NULL); \
             CREATE TABLE head (one boolean PRIMARY KEY, revision bigint NOT NULL) WITH (fillfactor = 10); \
             INSERT INTO head VALUES (true, 0)",
        )
        .unwrap();
    let store = open(server, "bench");
    for writers in WRITERS {
        let [mut bare, mut ordered, mut ours] = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            bare.push(by_hand(server, writers, INSERT));
            ordered.push(by_hand(server, writers, INSERT_IN_ORDER));
            ours.push(by_store(&store, writers));
        }
        let (bare, ordered, ours) = (median(bare), median(ordered), median(ours));
        println!(
            "state-store-postgres/commit/{writers} writers: {ours:.0}/s; INSERT … RETURNING by hand {bare:.0}/s, ratio \
             {:.2}; with an order and a history by hand {ordered:.0}/s, ratio {:.2}",
            ours / bare,
            ours / ordered
        );
    }
    latency("state-store-postgres", &store, &open(server, "bench"));
}

fn etcd() {
    let cluster = Cluster::start(3).unwrap();
    let open = || {
        let options: state_store_etcd::Options = cluster.url("bench").parse().unwrap();
        block_on(EtcdStore::open(options, &SystemRandom::new())).unwrap()
    };
    let store = open();
    for writers in WRITERS {
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(by_hand_on_etcd(&cluster, writers));
            ours.push(by_store(&store, writers));
        }
        let (bare, ours) = (median(bare), median(ours));
        println!(
            "state-store-etcd/commit/{writers} writers: {ours:.0}/s; a transaction by hand {bare:.0}/s; ratio {:.2}",
            ours / bare
        );
    }
    latency("state-store-etcd", &store, &open());
}

fn open(server: &Server, schema: &str) -> PostgresStore {
    let options: Options = server.url(schema).parse().unwrap();
    block_on(PostgresStore::open(options, &SystemRandom::new())).unwrap()
}

fn by_hand(server: &Server, writers: usize, statement: &str) -> f64 {
    let config: tokio_postgres::Config = server.url("bench").split_once('?').unwrap().0.parse().unwrap();
    let runtime = runtime();
    let clients = runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..writers {
            let (client, connection) = config.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            let statement = client.prepare(statement).await.unwrap();
            clients.push(Arc::new((client, statement)));
        }
        clients
    });
    rate(&runtime, writers, move |writer| {
        let prepared = Arc::clone(&clients[writer]);
        async move {
            let (client, statement) = &*prepared;
            client.query_one(statement, &[&fresh_key(), &VALUE.as_slice()]).await.unwrap();
        }
    })
}

fn by_hand_on_etcd(cluster: &Cluster, writers: usize) -> f64 {
    let runtime = runtime();
    let bare = runtime.block_on(async { Arc::new(Bare::connect(&cluster.url("bare")).unwrap()) });
    rate(&runtime, writers, move |_| {
        let bare = Arc::clone(&bare);
        async move { assert!(bare.create(&fresh_key(), &VALUE).await.unwrap()) }
    })
}

fn by_store<S: StateStore>(store: &S, writers: usize) -> f64 {
    let store = store.clone();
    rate(&runtime(), writers, move |_| {
        let store = store.clone();
        async move {
            let mut batch = Batch::new();
            batch.create(Key::new(fresh_key()).unwrap(), Value::new(VALUE).unwrap()).unwrap();
            assert!(matches!(store.commit(batch).await.unwrap(), Commit::Committed(_)));
        }
    })
}

/// How often a second so many writers at once come through `write`: new keys, each in a commit of its own.
fn rate<F>(runtime: &Runtime, writers: usize, write: impl Fn(usize) -> F + Clone + Send + 'static) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    runtime.block_on(async {
        let begun = Instant::now();
        let tasks: Vec<_> = (0..writers)
            .map(|writer| {
                let write = write.clone();
                tokio::spawn(async move {
                    let mut done = 0_u64;
                    while begun.elapsed() < ROUND {
                        write(writer).await;
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += task.await.unwrap();
        }
        done as f64 / begun.elapsed().as_secs_f64()
    })
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// From the call of a commit at one node to its event at another.
fn latency<S: StateStore>(name: &str, store: &S, other: &S) {
    let head = block_on(store.scan(&Prefix::all(), None, 0)).unwrap().revision;
    let prefix = Prefix::new("latency/").unwrap();
    let mut watch = block_on(other.watch(&prefix, head)).unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let is_over = &is_over;
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                if let WatchEvent::Changes { .. } = block_on(watch.next()).unwrap() {
                    told.send(Instant::now()).unwrap();
                }
            }
        });
        let mut latencies = Vec::new();
        for round in 0..LATENCIES {
            let mut batch = Batch::new();
            let key = Key::new(format!("latency/{round}")).unwrap();
            batch.create(key, Value::new(VALUE).unwrap()).unwrap();
            if round + 1 == LATENCIES {
                is_over.store(true, Ordering::Relaxed);
            }
            let begun = Instant::now();
            assert!(matches!(block_on(store.commit(batch)).unwrap(), Commit::Committed(_)));
            latencies.push(heard.recv().unwrap() - begun);
            thread::sleep(Duration::from_millis(7));
        }
        latencies.sort();
        println!(
            "{name}/watch at another node: p50 {:?}, p99 {:?}, max {:?}",
            latencies[LATENCIES / 2],
            latencies[LATENCIES * 99 / 100],
            latencies[LATENCIES - 1]
        );
    });
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Loaded {
    name: String,
    digest: String,
}

impl Record for Loaded {
    const KIND: &'static str = "bench/loaded";
    const VERSION: u32 = 1;
}

/// A replica of many records, from nothing.
fn load(server: &Server) {
    let records =
        std::env::var("PALISADE_BENCH_RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let store = open(server, "load");
    server
        .psql(&format!(
            "INSERT INTO load.entries (key, value, revision) SELECT convert_to('loaded/' || md5(n::text), 'UTF8'), \
             convert_to('{{\"kind\":\"bench/loaded\",\"version\":1,\"data\":{{\"name\":\"record ' || n || '\",\
             \"digest\":\"' || repeat(md5(n::text), 4) || '\"}}}}', 'UTF8'), 1 FROM generate_series(1, {records}) n; \
             UPDATE load.head SET revision = 1; INSERT INTO load.changes (revision, bytes) VALUES (1, 0)"
        ))
        .unwrap();
    let before = resident_bytes();
    let begun = Instant::now();
    let prefix = Prefix::new("loaded/").unwrap();
    let clock = SystemClock::new();
    let opened = Replica::open(store, prefix, Records::<Loaded>::new(), Duration::from_secs(60), &clock);
    let (replica, _driver) = block_on(opened).unwrap();
    let took = begun.elapsed();
    let count = replica.snapshot().view().len();
    assert_eq!(count, records);
    println!(
        "state-store-postgres/load of {count} records: {took:?}, {} bytes of memory each",
        resident_bytes().saturating_sub(before) / count
    );
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn fresh_key() -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // 32 bytes in no order, as digests are.
    let mixed =
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    [mixed.to_be_bytes(), mixed.rotate_left(17).to_be_bytes(), number.to_be_bytes(), [0; 8]].concat()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

const INSERT: &str = "INSERT INTO bare (key, value) VALUES ($1, $2) RETURNING key";
const INSERT_IN_ORDER: &str = "WITH next AS (UPDATE head SET revision = revision + 1 RETURNING revision), \
     entry AS (INSERT INTO ordered (key, value, revision) SELECT $1::bytea, $2::bytea, revision FROM next) \
     INSERT INTO changes (revision, key, value) SELECT revision, $1, $2 FROM next RETURNING revision";
const WRITERS: [usize; 3] = [1, 8, 64];
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(1000);
const VALUE: [u8; 200] = [7; 200];
const LATENCIES: usize = 500;
