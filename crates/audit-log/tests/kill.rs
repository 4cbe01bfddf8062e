//! A real process on a real file system, killed at any point: what it was told is durable, is.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails is a test that fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use audit_log::{
    Actor, AuditLog, Checkpoint, Completion, Cursor, Entry, Filter, Intent, Options, Outcome, Public, Reader,
    verify,
};
use core_types::testing::TestRandom;
use core_types::{Scope, SecureRandom, SystemClock, SystemRandom, UnixTime};

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let random = TestRandom::seeded(42);
    let mut told = Told::default();
    for round in 0..ROUNDS {
        told.round(&path, round, number(&random, 300));
        let report = verify(&path, told.last.as_slice()).unwrap();
        assert!(report.is_intact(), "round {round}: {report}");
        assert_eq!(report.confirmed_to(), told.last.map(|last| last.sequence()), "round {round}");
    }
    let log = open(&path);
    let last = log.close_blocking().unwrap();
    let report = verify(&path, &[last]).unwrap();
    assert!(report.is_intact() && report.findings().is_empty(), "{report}");
    assert_eq!(report.open_calls(), 0);
    assert!(report.segments() > 1 && told.ended.len() > 1000, "the rounds did something: {report}");
    told.compare(&entries(&path));
}

/// The process that is killed: nothing but a child of the test above does anything here.
#[test]
fn child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let log = open(Path::new(&path));
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let log = &log;
            scope.spawn(move || {
                for count in 0_u64.. {
                    call(log, round * 1_000_000_000 + thread * 10_000_000 + count);
                }
            });
        }
    });
}

fn call(log: &AuditLog, id: u64) {
    let intent = intent(id);
    if id.is_multiple_of(5) {
        let receipt = log.record_blocking(intent, Completion::denied(Duration::ZERO)).unwrap();
        say("ended", receipt.checkpoint(), id);
        return;
    }
    let guard = log.begin_blocking(intent).unwrap();
    println!("begun {} {id}", guard.sequence());
    if id.is_multiple_of(7) {
        return;
    }
    let receipt = guard.finish_blocking(Completion::allowed(Duration::ZERO)).unwrap();
    say("ended", receipt.checkpoint(), id);
}

fn say(what: &str, checkpoint: Checkpoint, id: u64) {
    // One write, so that a line comes whole or is cut at the kill.
    std::io::stdout().write_all(format!("{what} {checkpoint} {id}\n").as_bytes()).unwrap();
}

/// What the killed processes had been told.
#[derive(Default)]
struct Told {
    begun: BTreeMap<u64, u64>,
    ended: BTreeMap<u64, u64>,
    last: Option<Checkpoint>,
}

impl Told {
    /// Starts a process, lets it say so many lines, kills it, and notes all it had said.
    fn round(&mut self, path: &PathBuf, round: u64, lines: u64) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD, path)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        if lines == 0 {
            // Killed while it starts.
            child.kill().unwrap();
        }
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut said = 0;
        let mut line = String::new();
        while output.read_line(&mut line).unwrap() > 0 {
            // The last line may be cut.
            if line.ends_with('\n') && self.note(&line) {
                said += 1;
                if said == lines {
                    child.kill().unwrap();
                }
            }
            line.clear();
        }
        child.wait().unwrap();
    }

    fn note(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words {
            ["begun", sequence, id] => {
                self.begun.insert(sequence.parse().unwrap(), id.parse().unwrap());
                true
            }
            ["ended", checkpoint, id] => {
                let checkpoint: Checkpoint = checkpoint.parse().unwrap();
                self.ended.insert(checkpoint.sequence(), id.parse().unwrap());
                if self.last.is_none_or(|last| last.sequence() < checkpoint.sequence()) {
                    self.last = Some(checkpoint);
                }
                true
            }
            // What the test harness says.
            _ => false,
        }
    }

    fn compare(&self, entries: &BTreeMap<u64, Entry>) {
        for (sequence, id) in &self.ended {
            let entry = entries.get(sequence).unwrap_or_else(|| panic!("lost {sequence}"));
            assert_eq!(id_of(entry), *id);
            assert!(matches!(entry.outcome(), Outcome::Allowed | Outcome::Denied), "{entry}");
        }
        let by_begin: BTreeMap<u64, &Entry> =
            entries.values().filter_map(|entry| Some((entry.begun()?, entry))).collect();
        for (begun, id) in &self.begun {
            let entry = by_begin.get(begun).unwrap_or_else(|| panic!("call {begun} is lost"));
            assert_eq!(id_of(entry), *id);
        }
        let calls = entries.values().filter(|entry| entry.begun().is_some()).count();
        assert_eq!(calls, by_begin.len(), "every call ends once");
        let ids: BTreeSet<u64> = entries.values().map(id_of).filter(|id| *id != 0).collect();
        let named = entries.values().filter(|entry| id_of(entry) != 0).count();
        assert_eq!(ids.len(), named, "every call is one entry");
    }
}

fn entries(path: &Path) -> BTreeMap<u64, Entry> {
    let reader = Reader::open(path, Scope::root()).unwrap();
    let mut entries = BTreeMap::new();
    let mut cursor = Cursor::oldest_first();
    loop {
        let page = reader.query(&Filter::new(), cursor, 1000).unwrap();
        entries.extend(page.entries.into_iter().map(|entry| (entry.sequence(), entry)));
        if page.is_end {
            return entries;
        }
        cursor = page.next;
    }
}

fn intent(id: u64) -> Intent {
    let action: audit_log::Action = "apps:write".parse().unwrap();
    let intent =
        Intent::new(Actor::Anonymous, action, "project/web".parse().unwrap(), UnixTime::from_secs(1));
    intent.with_detail("id", id).unwrap()
}

/// The log's own entries have none.
fn id_of(entry: &Entry) -> u64 {
    entry.intent().details().value("id").and_then(Public::as_number).unwrap_or_default()
}

fn open(path: &Path) -> AuditLog {
    let options = Options::new().with_segment_bytes(256 << 10);
    AuditLog::open(path, Arc::new(SystemClock::new()), &SystemRandom::new(), &options).unwrap()
}

/// A number below `bound`, which is at most 65,536.
fn number(random: &TestRandom, bound: u64) -> u64 {
    let mut bytes = [0; 2];
    random.fill(&mut bytes).unwrap();
    u64::from(u16::from_be_bytes(bytes)) % bound
}

const ROUNDS: u64 = 100;
const THREADS: u64 = 4;
const CHILD: &str = "AUDIT_LOG_TEST_CHILD_DIR";
const ROUND: &str = "AUDIT_LOG_TEST_CHILD_ROUND";
