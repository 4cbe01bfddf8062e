//! What is opened, and what is refused.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use core_types::testing::TestRandom;
use core_types::{RandomError, SecureRandom, SystemRandom};
use pollster::block_on;
use state_store::{Batch, Commit, Key, Prefix, Revision, StateStore as _, StoreId, Value, Write};
use state_store_redb::{Expected, OpenError, RedbStore};
use tempfile::TempDir;

const EXISTING: Expected = Expected::Existing { store: None, at_least: Revision::ZERO };

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    (folder, path)
}

fn open(path: &Path, expected: Expected) -> Result<RedbStore, OpenError> {
    RedbStore::open(path, expected, &SystemRandom::new())
}

fn put(store: &RedbStore, name: &str) -> Revision {
    let mut batch = Batch::new();
    batch.write(Key::new(name).unwrap(), Write::Put(Value::new("1").unwrap())).unwrap();
    let Ok(Commit::Committed(revision)) = block_on(store.commit(batch)) else {
        unreachable!("no conditions")
    };
    revision
}

fn names_in(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_new_store_is_one_private_file() {
    let (folder, path) = place();
    let store = open(&path, Expected::New).unwrap();
    put(&store, "a");
    assert_eq!(names_in(&folder), ["store"]);
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o600);
    assert_eq!(metadata.nlink(), 1);
    drop(store);
    assert_eq!(names_in(&folder), ["store"]);
}

#[test]
fn what_is_expected_decides() {
    let (_folder, path) = place();
    assert_eq!(open(&path, EXISTING).unwrap_err(), OpenError::Missing);
    assert!(!path.exists());
    let store = open(&path, Expected::New).unwrap().store_id();
    assert_eq!(open(&path, Expected::New).unwrap_err(), OpenError::Exists);
    assert_eq!(open(&path, EXISTING).unwrap().store_id(), store);
    assert_eq!(open(&path, Expected::Either).unwrap().store_id(), store);
    let (_folder, path) = place();
    assert_ne!(open(&path, Expected::Either).unwrap().store_id(), store);
}

#[test]
fn another_store_is_refused() {
    let (_folder, path) = place();
    let found = open(&path, Expected::New).unwrap().store_id();
    let expected: StoreId = "00000000000000000000000000000000".parse().unwrap();
    let other = Expected::Existing { store: Some(expected), at_least: Revision::ZERO };
    assert_eq!(open(&path, other).unwrap_err(), OpenError::OtherStore { expected, found });
    let this = Expected::Existing { store: Some(found), at_least: Revision::ZERO };
    assert!(open(&path, this).is_ok());
}

#[test]
fn an_older_copy_is_refused() {
    let (folder, path) = place();
    let copy = folder.path().join("copy");
    let store = open(&path, Expected::New).unwrap();
    let first = put(&store, "a");
    drop(store);
    fs::copy(&path, &copy).unwrap();
    let store = open(&path, EXISTING).unwrap();
    let last = put(&store, "revoked");
    drop(store);
    let at_least = |revision| Expected::Existing { store: None, at_least: revision };
    assert!(open(&path, at_least(last)).is_ok());
    let beyond = Revision::new(last.get().saturating_add(1));
    let refused = open(&path, at_least(beyond)).unwrap_err();
    assert_eq!(refused, OpenError::WentBack { expected: beyond, found: last });
    fs::rename(&copy, &path).unwrap();
    let refused = open(&path, at_least(last)).unwrap_err();
    assert_eq!(refused, OpenError::WentBack { expected: last, found: first });
    // Who knows nothing is told nothing.
    assert!(open(&path, EXISTING).is_ok());
}

#[test]
fn an_emptied_file_is_refused_and_never_an_empty_store() {
    let (_folder, path) = place();
    drop(open(&path, Expected::New).unwrap());
    fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    for expected in [EXISTING, Expected::Either, Expected::New] {
        assert!(matches!(open(&path, expected), Err(OpenError::NotAStore { .. })));
    }
    assert_eq!(fs::metadata(&path).unwrap().len(), 0, "and it is left as it is");
}

#[test]
fn a_file_of_something_else_is_refused() {
    let texts = [b"x".to_vec(), b"#!/bin/sh\n".to_vec(), vec![0; 1 << 16], vec![0xff; 1 << 16]];
    for text in texts {
        let (_folder, path) = place();
        fs::write(&path, &text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let refused = open(&path, Expected::Either).unwrap_err();
        assert!(matches!(refused, OpenError::NotAStore { .. }), "{refused:?}");
        assert_eq!(fs::read(&path).unwrap(), text);
    }
}

#[test]
fn a_file_cut_short_is_refused() {
    let (_folder, path) = place();
    let store = open(&path, Expected::New).unwrap();
    for number in 0..200 {
        put(&store, &format!("{number:0500}"));
    }
    drop(store);
    let bytes = fs::read(&path).unwrap();
    for divisor in [2, 3, 7] {
        fs::write(&path, bytes.get(..bytes.len() / divisor).unwrap()).unwrap();
        let refused = open(&path, Expected::Either).unwrap_err();
        let is_named = matches!(refused, OpenError::Damaged { .. } | OpenError::NotAStore { .. });
        assert!(is_named, "{refused:?}");
    }
}

#[test]
fn a_file_open_to_others_is_refused() {
    let (_folder, path) = place();
    drop(open(&path, Expected::New).unwrap());
    for mode in [0o601, 0o602, 0o604, 0o610, 0o620, 0o640, 0o666, 0o777] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(open(&path, EXISTING).unwrap_err(), OpenError::Mode { mode });
        assert_eq!(open(&path, Expected::Either).unwrap_err(), OpenError::Mode { mode });
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert!(open(&path, EXISTING).is_ok());
}

#[test]
fn a_file_of_another_user_is_refused() {
    let (_folder, path) = place();
    drop(open(&path, Expected::New).unwrap());
    let user = fs::metadata(&path).unwrap().uid();
    match std::os::unix::fs::chown(&path, Some(12345), None) {
        Ok(()) => {
            assert_eq!(open(&path, EXISTING).unwrap_err(), OpenError::Owner { owner: 12345, user });
        }
        // Only root can give a file away; the rule itself is tested beside it.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let (folder, path) = place();
    let real = folder.path().join("real");
    drop(open(&real, Expected::New).unwrap());
    symlink(&real, &path).unwrap();
    assert_eq!(open(&path, Expected::Either).unwrap_err(), OpenError::NotAFile);
    fs::remove_file(&path).unwrap();
    // A link to nothing, too: nothing is made at its other end.
    symlink(folder.path().join("nothing"), &path).unwrap();
    for expected in [EXISTING, Expected::Either, Expected::New] {
        assert_eq!(open(&path, expected).unwrap_err(), OpenError::NotAFile);
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(open(&path, Expected::Either).unwrap_err(), OpenError::NotAFile);
    fs::remove_dir(&path).unwrap();
    let _socket = UnixListener::bind(&path).unwrap();
    assert_eq!(open(&path, Expected::Either).unwrap_err(), OpenError::NotAFile);
    assert_eq!(names_in(&folder), ["real", "store"]);
}

#[test]
fn a_folder_that_is_not_there_is_a_file_error() {
    let (folder, _) = place();
    let refused = open(&folder.path().join("no/store"), Expected::New).unwrap_err();
    assert!(matches!(refused, OpenError::File { operation: "create", .. }), "{refused:?}");
}

#[test]
fn without_randomness_nothing_is_made() {
    struct Broken;
    impl SecureRandom for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
            Err(RandomError::new())
        }
    }
    let (folder, path) = place();
    let refused = RedbStore::open(&path, Expected::New, &Broken).unwrap_err();
    assert_eq!(refused, OpenError::Random(RandomError::new()));
    assert!(names_in(&folder).is_empty());
}

#[test]
fn a_draft_of_the_same_name_is_not_written_over() {
    let (folder, path) = place();
    drop(RedbStore::open(&path, Expected::New, &TestRandom::seeded(5)).unwrap());
    fs::remove_file(&path).unwrap();
    // The same random bytes name the same draft; whoever put something there keeps it.
    let mut id = [0; 16];
    let mut name = [0; 8];
    let rng = TestRandom::seeded(5);
    rng.fill(&mut id).unwrap();
    rng.fill(&mut name).unwrap();
    let draft = folder.path().join(format!("store.{:016x}.new", u64::from_be_bytes(name)));
    fs::write(&draft, "theirs").unwrap();
    let refused = RedbStore::open(&path, Expected::New, &TestRandom::seeded(5)).unwrap_err();
    assert!(matches!(refused, OpenError::File { operation: "create", .. }), "{refused:?}");
    assert_eq!(fs::read(&draft).unwrap(), b"theirs");
    assert!(!path.exists());
}

#[test]
fn of_two_that_make_one_store_one_does() {
    let (folder, path) = place();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| open(&path, Expected::New))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    for outcome in outcomes {
        assert!(matches!(outcome, Ok(_) | Err(OpenError::Exists)), "{outcome:?}");
    }
    assert_eq!(names_in(&folder), ["store"]);
}

#[test]
fn a_store_that_is_open_is_not_opened_again() {
    let (_folder, path) = place();
    let store = open(&path, Expected::New).unwrap();
    let clone = store.clone();
    drop(store);
    for expected in [EXISTING, Expected::Either] {
        assert_eq!(open(&path, expected).unwrap_err(), OpenError::AlreadyOpen);
    }
    // What was refused has not disturbed what is open.
    let revision = put(&clone, "a");
    assert_eq!(block_on(clone.scan(&Prefix::all(), None, 0)).unwrap().revision, revision);
    drop(clone);
    assert!(open(&path, EXISTING).is_ok());
}
