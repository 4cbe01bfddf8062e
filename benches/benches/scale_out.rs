//! The store on PostgreSQL beside the bare engine: the same writes by hand, in one run on one server.
//!
//! `cargo bench -p palisade-benches --bench scale_out`. The server is started for the bench, with its defaults
//! (`fsync` on), where `TMPDIR` is. Floors and what stands on them are measured in turns, so that noise hits both;
//! ratios count. `PALISADE_BENCH_RECORDS` sets the size of the loaded replica (1,000,000).

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

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use core_types::{SystemClock, SystemRandom};
use pollster::block_on;
use serde::{Deserialize, Serialize};
use state_store::replica::Records;
use state_store::{Batch, Commit, Key, Prefix, Record, Replica, StateStore, Value, Watch, WatchEvent};
use state_store_postgres::testing::Server;
use state_store_postgres::{Options, PostgresStore};
use tokio::runtime::Builder;
use tokio_postgres::NoTls;

fn main() {
    // `cargo test` runs benches too, to see that they run.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let server = Server::start().unwrap();
    server.psql("CREATE TABLE bare (key bytea PRIMARY KEY, value bytea NOT NULL)").unwrap();
    let store = open(&server, "bench");
    for writers in [1, 8, 64] {
        commits(&server, &store, writers);
    }
    latency(&server, &store);
    load(&server);
}

fn open(server: &Server, schema: &str) -> PostgresStore {
    let options: Options = server.url(schema).parse().unwrap();
    block_on(PostgresStore::open(options, &SystemRandom::new())).unwrap()
}

/// New keys, each in a commit of its own, by so many writers at once.
fn commits(server: &Server, store: &PostgresStore, writers: usize) {
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(by_hand(server, writers));
        ours.push(by_store(store, writers));
    }
    let (bare, ours) = (median(bare), median(ours));
    println!(
        "state-store-postgres/commit/{writers} writers: {ours:.0}/s; INSERT … RETURNING by hand {bare:.0}/s; ratio {:.2}",
        ours / bare
    );
}

fn by_hand(server: &Server, writers: usize) -> f64 {
    let config: tokio_postgres::Config = server.url("bench").split_once('?').unwrap().0.parse().unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..writers {
            let (client, connection) = config.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            let insert = "INSERT INTO bare (key, value) VALUES ($1, $2) RETURNING key";
            let insert = client.prepare(insert).await.unwrap();
            clients.push((client, insert));
        }
        let begun = Instant::now();
        let tasks: Vec<_> = clients
            .into_iter()
            .map(|(client, insert)| {
                tokio::spawn(async move {
                    let mut done = 0_u64;
                    while begun.elapsed() < ROUND {
                        client.query_one(&insert, &[&fresh_key(), &VALUE.as_slice()]).await.unwrap();
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

fn by_store(store: &PostgresStore, writers: usize) -> f64 {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let begun = Instant::now();
        let tasks: Vec<_> = (0..writers)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut done = 0_u64;
                    while begun.elapsed() < ROUND {
                        let mut batch = Batch::new();
                        batch.create(Key::new(fresh_key()).unwrap(), Value::new(VALUE).unwrap()).unwrap();
                        assert!(matches!(store.commit(batch).await.unwrap(), Commit::Committed(_)));
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

/// From the call of a commit at one node to its event at another.
fn latency(server: &Server, store: &PostgresStore) {
    let other = open(server, "bench");
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
            "state-store-postgres/watch at another node: p50 {:?}, p99 {:?}, max {:?}",
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
             UPDATE load.head SET revision = 1; INSERT INTO load.commits VALUES (1, 0)"
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

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(1200);
const VALUE: [u8; 200] = [7; 200];
const LATENCIES: usize = 500;
