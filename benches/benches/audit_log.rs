//! The audit log beside its floors (the disk, SHA-256) and a rival (SQLite), in one run on one disk.
//!
//! `cargo bench -p palisade-benches --bench audit_log`. `PALISADE_BENCH_DIR` chooses the disk (the target directory's
//! otherwise), `PALISADE_BENCH_ENTRIES` the size of the long log (1,000,000). Ratios count; absolute figures are the
//! machine's. Floors and what stands on them are measured in turns, so that noise hits both.

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

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use audit_log::{
    Actor, AppendError, AuditLog, Client, Completion, Intent, Options, Receipt, UserAgent, export, verify,
};
use core_types::{RequestId, SystemClock, SystemRandom, UnixTime};
use ring::digest::{SHA256, digest};
use rusqlite::Connection;

fn main() {
    // `cargo test` runs benches too, to see that they run.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let base =
        std::env::var_os("PALISADE_BENCH_DIR").map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), Into::into);
    let dir = tempfile::tempdir_in::<std::path::PathBuf>(base).unwrap();
    let entries =
        std::env::var("PALISADE_BENCH_ENTRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    single(dir.path());
    many(dir.path());
    long(dir.path(), entries);
}

/// One caller, who waits for each event.
fn single(dir: &Path) {
    let raw = preallocated(&dir.join("raw"), 64 << 20);
    let log = open(&dir.join("single"));
    let sqlite = sqlite(&dir.join("single.sqlite"));
    let payload = [7_u8; EVENT_BYTES];
    let (mut floor, mut ours, mut rival) = (Vec::new(), Vec::new(), Vec::new());
    let mut offset = 0;
    for _ in 0..ROUNDS {
        for _ in 0..CALLS {
            floor.push(timed(|| {
                raw.write_all_at(&payload, offset).unwrap();
                raw.sync_data().unwrap();
            }));
            offset += payload.len() as u64;
        }
        for _ in 0..CALLS {
            let intent = intent();
            ours.push(timed(|| log.record_blocking(intent, completion()).unwrap()));
        }
        for _ in 0..CALLS {
            rival.push(timed(|| insert(&sqlite, &payload)));
        }
    }
    log.close_blocking().unwrap();
    let floor = percentiles("audit_log/floor/write-fdatasync-preallocated", &mut floor);
    let ours = percentiles("audit_log/append/one-caller", &mut ours);
    let rival = percentiles("audit_log/rival/sqlite-wal-full-per-event", &mut rival);
    println!(
        "  p50 over the floor: {:.2} (target 1.5 at most); SQLite's: {:.2}",
        ours / floor,
        rival / floor
    );
}

/// 64 callers, each of whom waits for each event.
fn many(dir: &Path) {
    let log = open(&dir.join("many"));
    let sqlite = Mutex::new(sqlite(&dir.join("many.sqlite")));
    let (mut ours, mut rival) = (0.0, 0.0);
    for _ in 0..3 {
        ours += per_second(CALLERS, || {
            log.record_blocking(intent(), completion()).unwrap();
        });
        rival += per_second(CALLERS, || insert(&sqlite.lock().unwrap(), &[7; EVENT_BYTES]));
    }
    log.close_blocking().unwrap();
    let (ours, rival) = (ours / 3.0, rival / 3.0);
    println!("audit_log/append/{CALLERS}-callers: {ours:.0} events/s");
    println!("audit_log/rival/sqlite-wal-full-per-event-{CALLERS}-callers: {rival:.0} events/s");
    println!("  ratio: {:.1} (target 10 at least)", ours / rival);
}

/// A log that is written without waiting, verified, and opened again.
fn long(dir: &Path, entries: u64) {
    let path = dir.join("long");
    let log = open(&path);
    let per_writer = entries / WRITERS;
    let took = timed(|| {
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| pipeline(&log, per_writer));
            }
        });
    });
    let last = log.close_blocking().unwrap();
    drop(log);
    let written = last.sequence();
    let rate = written as f64 / took.as_secs_f64();
    let bytes: u64 = segments(&path);
    let per_event = bytes as f64 / written as f64;
    println!("audit_log/append/pipelined: {rate:.0} events/s, {per_event:.0} bytes per event on disk");

    // What the disk does with as many bytes, and the hash with as many entries.
    let disk = timed(|| sequential(&dir.join("raw-long"), bytes));
    let disk = written as f64 / disk.as_secs_f64();
    let hashed = vec![7_u8; (per_event as usize) + CHAIN_BYTES];
    let some = written.min(1_000_000);
    let hash = timed(|| {
        for _ in 0..some {
            black_box(digest(&SHA256, black_box(&hashed)));
        }
    });
    let hash = some as f64 / hash.as_secs_f64();
    println!("audit_log/floor/sequential-write-one-fdatasync: {disk:.0} events/s");
    println!("audit_log/floor/sha256-of-each-entry: {hash:.0} events/s");
    println!("  pipelined over the lower floor: {:.2} (target 0.6 at least)", rate / disk.min(hash));

    let (report, took) = with_time(|| verify(&path, &[last]).unwrap());
    assert!(report.is_intact());
    let verified = written as f64 / took.as_secs_f64();
    println!(
        "audit_log/verify: {verified:.0} events/s; over the hash floor: {:.2} (target 0.7 at least)",
        verified / hash
    );

    let before = memory("VmRSS:");
    let (log, took) = with_time(|| open(&path));
    println!(
        "audit_log/open/{written}-entries-closed-cleanly: {:.1} ms (target 2000 at most), {} KiB of memory more; \
         the most of all this was {} KiB",
        took.as_secs_f64() * 1e3,
        memory("VmRSS:").saturating_sub(before),
        memory("VmHWM:")
    );
    log.close_blocking().unwrap();

    let reader = audit_log::Reader::open(&path, core_types::Scope::root()).unwrap();
    let page = reader
        .query(
            &audit_log::Filter::new(),
            audit_log::Cursor::newest_first(),
            audit_log::query::MAX_PAGE_ENTRIES,
        )
        .unwrap();
    let (csv, took) = with_time(|| page.entries.iter().map(export::csv_row).collect::<String>());
    println!("audit_log/export/csv: {:.0} MB/s", csv.len() as f64 / took.as_secs_f64() / 1e6);
}

/// Records events with many on their way at a time.
fn pipeline(log: &AuditLog, events: u64) {
    type Record = Pin<Box<dyn Future<Output = Result<Receipt, AppendError>>>>;
    let intent = intent();
    let mut left = events;
    while left > 0 {
        let some = left.min(IN_FLIGHT);
        left -= some;
        let context = &mut Context::from_waker(Waker::noop());
        let mut records: Vec<Record> = Vec::new();
        for _ in 0..some {
            let mut record: Record = Box::pin(log.record(intent.clone(), completion()));
            // It is on its way from here on; it may even be there.
            match record.as_mut().poll(context) {
                Poll::Ready(recorded) => _ = recorded.unwrap(),
                Poll::Pending => records.push(record),
            }
        }
        for record in records {
            pollster::block_on(record).unwrap();
        }
    }
}

fn per_second(callers: usize, call: impl Fn() + Sync) -> f64 {
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let took = timed(|| {
        std::thread::scope(|scope| {
            for _ in 0..callers {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        call();
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            std::thread::sleep(Duration::from_secs(2));
            stop.store(true, Ordering::Relaxed);
        });
    });
    count.into_inner() as f64 / took.as_secs_f64()
}

fn open(path: &Path) -> AuditLog {
    AuditLog::open(path, Arc::new(SystemClock::new()), &SystemRandom::new(), &Options::new()).unwrap()
}

fn intent() -> Intent {
    let action: audit_log::Action = "ssh-keys:write".parse().unwrap();
    let now = UnixTime::from_secs(1_700_000_000);
    Intent::new(Actor::Anonymous, action, "project/default".parse().unwrap(), now)
        .with_client(Client::peer([192, 0, 2, 1].into()))
        .with_user_agent(UserAgent::from_header(b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"))
        .with_request(RequestId::generate(now, &SystemRandom::new()).unwrap())
}

fn completion() -> Completion {
    Completion::denied(Duration::from_micros(250)).with_reason("no role grants it").unwrap()
}

fn sqlite(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection
        .execute("CREATE TABLE events (sequence INTEGER PRIMARY KEY, entry BLOB NOT NULL)", ())
        .unwrap();
    connection
}

fn insert(connection: &Connection, entry: &[u8]) {
    connection.prepare_cached("INSERT INTO events (entry) VALUES (?1)").unwrap().execute([entry]).unwrap();
}

fn preallocated(path: &Path, bytes: u64) -> File {
    sequential(path, bytes);
    OpenOptions::new().write(true).open(path).unwrap()
}

/// Writes zeros, a mebibyte at a time, and syncs once.
fn sequential(path: &Path, bytes: u64) {
    let file = File::create(path).unwrap();
    let piece = vec![0_u8; 1 << 20];
    let mut at = 0;
    while at < bytes {
        let length = (bytes - at).min(piece.len() as u64);
        file.write_all_at(&piece[..length as usize], at).unwrap();
        at += length;
    }
    file.sync_data().unwrap();
}

fn segments(path: &Path) -> u64 {
    let files = fs::read_dir(path).unwrap().map(|file| file.unwrap());
    files
        .filter(|file| file.path().extension().is_some_and(|extension| extension == "log"))
        .map(|file| file.metadata().unwrap().len())
        .sum()
}

/// KiB of memory that this process has in use now (`VmRSS:`), or had at the most (`VmHWM:`).
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn percentiles(name: &str, times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{name}: p50 {:?}, p90 {:?}, p99 {:?}", at(50), at(90), at(99));
    at(50).as_secs_f64()
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    with_time(work).1
}

fn with_time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let value = work();
    (value, began.elapsed())
}

const EVENT_BYTES: usize = 500;
const ROUNDS: usize = 10;
const CALLS: usize = 200;
const CALLERS: usize = 64;
const WRITERS: u64 = 4;
const IN_FLIGHT: u64 = 1024;
/// What the chain hashes besides an entry: its domain, the hash before, the sequence; less what a record adds on disk.
const CHAIN_BYTES: usize = 28 + 32 + 8 - 40;
