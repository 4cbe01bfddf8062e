//! Calls from begin to end, as a control plane records them.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::sync::Arc;
use std::time::Duration;

use audit_log::{Actor, AuditLog, Completion, Cursor, Filter, Intent, OpenError, Options, Outcome, verify};
use core_types::testing::{TestClock, TestRandom};
use core_types::{Scope, UnixTime};

#[test]
fn a_call_becomes_one_entry() {
    let (dir, log) = new_log();
    let guard = log.begin_blocking(intent("project/web", "apps:write")).unwrap();
    assert_eq!(guard.sequence(), 1);
    let receipt = guard.finish_blocking(Completion::allowed(Duration::from_millis(3))).unwrap();
    assert_eq!(receipt.sequence(), 2);
    assert_eq!(receipt.checkpoint(), log.checkpoint());

    let page = log.reader(Scope::root()).query(&Filter::new(), Cursor::newest_first(), 10).unwrap();
    assert!(page.is_end);
    let [entry] = &*page.entries else { panic!("one entry") };
    assert_eq!((entry.sequence(), entry.begun(), entry.outcome()), (2, Some(1), Outcome::Allowed));
    assert_eq!(*entry.intent(), intent("project/web", "apps:write"));

    let last = log.close_blocking().unwrap();
    let report = verify(&dir.path().join("audit"), &[last]).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.records(), report.entries(), report.open_calls()), (2, 1, 0));
    assert_eq!((report.head(), report.confirmed_to()), (Some(last), Some(2)));
}

#[test]
fn a_dropped_guard_is_an_abandoned_call() {
    let (_dir, log) = new_log();
    drop(log.begin_blocking(intent("project/web", "apps:write")).unwrap());
    log.close_blocking().unwrap();
    assert_eq!(outcomes(&log), [Outcome::Abandoned]);
}

#[test]
fn a_second_writer_is_refused() {
    let (dir, log) = new_log();
    assert!(matches!(open(&dir.path().join("audit"), &Options::new()), Err(OpenError::Locked)));
    log.close_blocking().unwrap();
    assert!(open(&dir.path().join("audit"), &Options::new()).is_ok());
}

fn outcomes(log: &AuditLog) -> Vec<Outcome> {
    let page = log.reader(Scope::root()).query(&Filter::new(), Cursor::oldest_first(), 1000);
    page.map(|page| page.entries.iter().map(audit_log::Entry::outcome).collect()).unwrap_or_default()
}

fn intent(tenant: &str, action: &str) -> Intent {
    let action: audit_log::Action = action.parse().unwrap();
    Intent::new(Actor::Anonymous, action, tenant.parse().unwrap(), UnixTime::from_secs(1))
}

fn new_log() -> (tempfile::TempDir, AuditLog) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(&dir.path().join("audit"), &Options::new()).unwrap();
    (dir, log)
}

fn open(path: &std::path::Path, options: &Options) -> Result<AuditLog, OpenError> {
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(2)));
    AuditLog::open(path, clock, &TestRandom::seeded(1), options)
}
