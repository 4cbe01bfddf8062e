//! Other processes: one that finds the store open, and many that are killed while they write.
//!
//! A process of its own is this very program, told by its environment which part it has.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails is a test that fails, and so is one that overflows"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use core_types::testing::TestRandom;
use core_types::{SecureRandom as _, SystemRandom};
use pollster::block_on;
use state_store::{
    Batch, Commit, Entry, Expect, Key, Prefix, Revision, StateStore as _, StoreId, Value, Write,
};
use state_store_redb::{Expected, OpenError, RedbStore};

/// Names the store's path to the process that writes.
const STORE: &str = "STATE_STORE_REDB_TEST_STORE";
const THREADS: u64 = 3;
const ROUNDS: u32 = 100;
/// How many of its log's keys a thread leaves behind its last.
const KEPT: u64 = 20;

#[test]
fn a_second_process_is_told_that_the_store_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut child = start(&path);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // It has committed, so it has the store open.
    lines.find(|line| line.as_ref().unwrap().starts_with("done ")).unwrap().unwrap();
    for expected in [Expected::Either, Expected::Existing { store: None, at_least: Revision::ZERO }] {
        let refused = RedbStore::open(&path, expected, &SystemRandom::new()).unwrap_err();
        assert_eq!(refused, OpenError::AlreadyOpen);
    }
    kill(child);
    assert!(RedbStore::open(&path, Expected::Either, &SystemRandom::new()).is_ok());
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let rng = TestRandom::seeded(9);
    let mut known = Known::default();
    let (mut acknowledged, mut in_flight, mut idle) = (0, 0, 0);
    for round in 0..ROUNDS {
        let before = known.acknowledged();
        let mut child = start(&path);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (began, begins) = mpsc::channel();
        let reading = thread::spawn(move || read_lines(lines, &began));
        // Every fourth dies while it starts, opens and repairs, the others in the midst of commits.
        if round % 4 != 0 {
            begins.recv_timeout(Duration::from_secs(30)).expect("the child commits within half a minute");
        }
        thread::sleep(Duration::from_micros(random(&rng) % 100_000));
        kill(child);
        known.take(reading.join().unwrap());
        in_flight += check(&path, &mut known);
        let now = known.acknowledged() - before;
        acknowledged += now;
        idle += u32::from(now == 0);
    }
    println!(
        "{ROUNDS} rounds killed, {acknowledged} commits acknowledged, none lost; {in_flight} that were not \
         acknowledged took effect; {idle} rounds died before their first"
    );
    assert!(acknowledged > u64::from(ROUNDS), "only {acknowledged} commits in {ROUNDS} rounds");
}

/// The part of a process that is killed. Without its environment it is nobody's part, and there is nothing to test.
#[test]
fn part_of_the_process_that_is_killed() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let store = RedbStore::open(path, Expected::Either, &SystemRandom::new()).unwrap();
    // Whatever the test harness has printed before goes on a line of its own.
    say(&format!("\nstore {}", store.store_id()));
    thread::scope(|scope| {
        for number in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                let pair = block_on(store.get(&key(number, "a"))).unwrap();
                let mut held = pair.map(|entry| (number_in(&entry), entry.revision));
                loop {
                    let next = held.map_or(1, |(count, _)| count + 1);
                    let revision = commit_next(store, number, next, held.map(|(_, revision)| revision));
                    say(&format!("done {number} {next} {revision}"));
                    held = Some((next, revision));
                }
            });
        }
    });
}

/// Writes the pair, a key of the log and, further on, deletes one: all of it or nothing.
fn commit_next(store: &RedbStore, number: u64, next: u64, held: Option<Revision>) -> Revision {
    let text = Value::new(next.to_string()).unwrap();
    let mut batch = Batch::new();
    batch.require(key(number, "a"), held.map_or(Expect::Absent, Expect::Revision)).unwrap();
    for name in ["a", "z"] {
        batch.write(key(number, name), Write::Put(text.clone())).unwrap();
    }
    batch.write(log_key(number, next), Write::Put(text)).unwrap();
    if next > KEPT {
        batch.write(log_key(number, next - KEPT), Write::Delete).unwrap();
    }
    match block_on(store.commit(batch)).unwrap() {
        Commit::Committed(revision) => revision,
        Commit::Conflict(key) => panic!("a conflict on {key:?}, which nobody else writes"),
    }
}

/// What the parent knows from what the children said, and from what it found.
#[derive(Default)]
struct Known {
    store: Option<StoreId>,
    // Of each thread, the commits that were acknowledged, and their revisions.
    commits: BTreeMap<u64, BTreeMap<u64, Revision>>,
    head: Revision,
}

impl Known {
    fn take(&mut self, said: Vec<Said>) {
        for said in said {
            match said {
                Said::Store(store) => {
                    assert_eq!(*self.store.get_or_insert(store), store, "it is another store");
                }
                Said::Done { thread, count, revision } => {
                    let commits = self.commits.entry(thread).or_default();
                    let last =
                        commits.last_key_value().map_or((0, Revision::ZERO), |(&count, &at)| (count, at));
                    assert_eq!(count, last.0 + 1, "a commit of thread {thread} went missing");
                    assert!(revision > last.1, "the revisions of thread {thread} went back");
                    commits.insert(count, revision);
                }
            }
        }
    }

    fn acknowledged(&self) -> u64 {
        self.commits.values().filter_map(|commits| commits.last_key_value()).map(|(count, _)| count).sum()
    }
}

/// Opens what a killed process left, compares it with what was acknowledged, and returns how many commits took
/// effect that were not.
fn check(path: &Path, known: &mut Known) -> u64 {
    let highest = known.commits.values().flat_map(BTreeMap::values).max().copied().unwrap_or_default();
    let at_least = known.head.max(highest);
    let expected = match known.store {
        Some(_) => Expected::Existing { store: known.store, at_least },
        // It died before it said which store it made, or made one.
        None => Expected::Either,
    };
    let store = RedbStore::open(path, expected, &SystemRandom::new()).unwrap();
    let everything = scan(&store);
    let mut seen = BTreeMap::new();
    let mut in_flight = 0;
    let mut entries: BTreeMap<Key, Entry> =
        everything.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
    for thread in 0..THREADS {
        let commits = known.commits.entry(thread).or_default();
        let acknowledged = commits.last_key_value().map_or(0, |(&count, _)| count);
        let pair = ["a", "z"].map(|name| entries.remove(&key(thread, name)));
        let [a, z] =
            pair.each_ref().map(|entry| entry.as_ref().map(|entry| (number_in(entry), entry.revision)));
        assert_eq!(a, z, "a part of a commit");
        let (count, revision) = a.unwrap_or((0, Revision::ZERO));
        // One commit of a thread can be on its way when it dies.
        assert!(count == acknowledged || count == acknowledged + 1, "{count} of {acknowledged} acknowledged");
        if count > acknowledged {
            commits.insert(count, revision);
            in_flight += 1;
        }
        for number in count.saturating_sub(KEPT - 1).max(1)..=count {
            let entry = entries.remove(&log_key(thread, number)).expect("an acknowledged key is there");
            assert_eq!(number_in(&entry), number);
            assert_eq!(Some(&entry.revision), commits.get(&number), "commit {number} of thread {thread}");
            assert!(seen.insert(entry.revision, thread).is_none(), "two commits have one revision");
        }
        if count > 0 {
            assert_eq!(Some(&revision), commits.get(&count));
        }
    }
    assert!(entries.is_empty(), "deleted keys came back: {:?}", entries.keys());
    let head = block_on(store.scan(&Prefix::all(), None, 0)).unwrap().revision;
    // Nobody else commits, so the revisions are as many as the commits.
    let all: u64 = known.acknowledged();
    assert_eq!(head.get(), all);
    known.head = head;
    known.store = Some(store.store_id());
    in_flight
}

fn scan(store: &RedbStore) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map(|entry| entry.key.clone());
        let page = block_on(store.scan(&Prefix::all(), after.as_ref(), usize::MAX)).unwrap();
        entries.extend(page.entries);
        if !page.more {
            return entries;
        }
    }
}

/// Starts this program again, to write to the store until it is killed.
fn start(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "part_of_the_process_that_is_killed", "--nocapture", "--test-threads=1"])
        .env(STORE, path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn kill(mut child: Child) {
    // SIGKILL, as `kill -9`.
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "the child ended by itself");
}

enum Said {
    Store(StoreId),
    Done { thread: u64, count: u64, revision: Revision },
}

fn read_lines(lines: impl Iterator<Item = std::io::Result<String>>, began: &mpsc::Sender<()>) -> Vec<Said> {
    let mut said = Vec::new();
    for line in lines.map(Result::unwrap) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["store", store] => said.push(Said::Store(store.parse().unwrap())),
            // Without its last word the line was cut short.
            ["done", thread, count, revision, "."] => {
                let [thread, count, revision] = [thread, count, revision].map(|word| word.parse().unwrap());
                said.push(Said::Done { thread, count, revision: Revision::new(revision) });
                // Nobody may listen any more.
                let _ = began.send(());
            }
            _ => {}
        }
    }
    said
}

fn say(line: &str) {
    let end = if line.starts_with("done") { " .\n" } else { "\n" };
    let mut out = std::io::stdout().lock();
    // In one write, so that it is whole or not there.
    out.write_all(format!("{line}{end}").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn key(thread: u64, name: &str) -> Key {
    Key::new(format!("pair/{thread}/{name}")).unwrap()
}

fn log_key(thread: u64, count: u64) -> Key {
    Key::new(format!("log/{thread}/{count:012}")).unwrap()
}

fn number_in(entry: &Entry) -> u64 {
    std::str::from_utf8(entry.value.as_bytes()).unwrap().parse().unwrap()
}

fn random(rng: &TestRandom) -> u64 {
    let mut bytes = [0; 8];
    rng.fill(&mut bytes).unwrap();
    u64::from_be_bytes(bytes)
}
