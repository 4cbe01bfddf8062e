//! The real directory: who may read it, who may write it, what is left in it.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use audit_log::files::{Directory, SystemDirectory};
use audit_log::{
    Actor, AuditLog, Completion, Intent, MAX_OPEN_CALLS, OpenError, Options, QueryError, Reader, VerifyError,
    verify,
};
use core_types::testing::{TestClock, TestRandom};
use core_types::{Scope, UnixTime};

#[test]
fn the_directory_and_its_files_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let log = open(&path).unwrap();
    record(&log);
    assert_eq!(mode(&path), 0o700);
    log.close_blocking().unwrap();
    for file in fs::read_dir(&path).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    let mut names: Vec<_> =
        fs::read_dir(&path).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !["reserve", "spare"].contains(&&**name));
    names.sort();
    assert_eq!(names, ["00000001.log", "head", "lock"], "nothing but what was made ahead is left");
}

#[test]
fn a_directory_that_lets_others_in_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    fs::create_dir(&path).unwrap();
    for open_to_others in [0o755, 0o750, 0o701, 0o770, 0o707] {
        fs::set_permissions(&path, Permissions::from_mode(open_to_others)).unwrap();
        assert!(matches!(open(&path), Err(OpenError::NotPrivate)), "{open_to_others:o}");
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "nothing was written");
    fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    open(&path).unwrap().close_blocking().unwrap();
}

#[test]
fn a_symbolic_link_in_place_of_a_file_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    open(&path).unwrap().close_blocking().unwrap();
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(path.join("00000001.log"), &elsewhere).unwrap();
    symlink(&elsewhere, path.join("00000001.log")).unwrap();
    assert!(matches!(open(&path), Err(OpenError::File(_))));
    assert!(matches!(verify(&path, &[]), Err(VerifyError::File(_))));
}

#[test]
fn where_there_is_no_log_there_is_no_verdict() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(verify(dir.path(), &[]), Err(VerifyError::NoLog));
    assert_eq!(verify(&dir.path().join("none"), &[]), Err(VerifyError::NoLog));
    assert!(matches!(Reader::open(&dir.path().join("none"), Scope::root()), Err(QueryError::NoLog)));
}

#[test]
fn a_log_goes_on_where_it_was_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let mut last = None;
    for life in 1..=5 {
        let options = last.map_or(Options::new(), |last| Options::new().with_known(last));
        let log = open_with(&path, &options).unwrap();
        record(&log);
        last = Some(log.close_blocking().unwrap());
        assert_eq!(last.map(|last| last.sequence()), Some(life));
    }
    let report = verify(&path, last.as_slice()).unwrap();
    assert!(report.findings().is_empty(), "{report}");
    assert_eq!((report.segments(), report.entries()), (1, 5));
}

#[test]
fn a_closed_log_holds_no_unused_space() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let log = open(&path).unwrap();
    record(&log);
    assert_eq!(fs::metadata(path.join("00000001.log")).unwrap().len(), 64 << 10, "room for the next writes");
    log.close_blocking().unwrap();
    let report = verify(&path, &[]).unwrap();
    assert_eq!(fs::metadata(path.join("00000001.log")).unwrap().len(), report.bytes());
}

#[test]
fn who_looks_for_a_writer_does_not_keep_one_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    open(&path).unwrap().close_blocking().unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let directory = SystemDirectory::open(&path).unwrap();
            while !is_done.load(Ordering::SeqCst) {
                directory.is_fenced().unwrap();
                assert!(verify(&path, &[]).unwrap().is_intact());
            }
        });
        for _ in 0..50 {
            let log = open(&path).unwrap();
            assert!(SystemDirectory::open(&path).unwrap().is_fenced().unwrap());
            record(&log);
            log.close_blocking().unwrap();
        }
        is_done.store(true, Ordering::SeqCst);
    });
    assert!(!SystemDirectory::open(&path).unwrap().is_fenced().unwrap());
}

#[test]
fn options_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    for options in [
        Options::new().with_segment_bytes(1023),
        Options::new().with_segment_bytes((1 << 30) + 1),
        Options::new().with_queue_records(0),
        Options::new().with_queue_records((1 << 16) + 1),
        Options::new().with_open_calls(0),
        Options::new().with_open_calls(MAX_OPEN_CALLS + 1),
    ] {
        assert!(matches!(open_with(&path, &options), Err(OpenError::Option { .. })), "{options:?}");
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn record(log: &AuditLog) {
    let action: audit_log::Action = "apps:write".parse().unwrap();
    let intent = Intent::new(Actor::Anonymous, action, Scope::root(), UnixTime::from_secs(1));
    log.record_blocking(intent, Completion::denied(Duration::ZERO)).unwrap();
}

fn open(path: &Path) -> Result<AuditLog, OpenError> {
    open_with(path, &Options::new().with_segment_bytes(64 << 10))
}

fn open_with(path: &Path, options: &Options) -> Result<AuditLog, OpenError> {
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(2)));
    AuditLog::open(path, clock, &TestRandom::seeded(1), options)
}
