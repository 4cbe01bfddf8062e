//! Disks that fail, programs that die, power that goes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pollster::block_on;
use state_store::{CommitError, ReadError, Watch as _, WatchEvent};

use super::*;

/// Commits pairs and a key each, until the disk fails; returns how many commits were acknowledged, and the error.
fn commit_until_failure(engine: &Engine, most: u64) -> (u64, Option<CommitError>) {
    for round in 1..=most {
        let name = format!("log/{round:04}");
        let mut batch = puts(&["pair/a", "pair/z", &name], &round.to_string());
        if round > 5 {
            batch.write(key(&format!("log/{:04}", round - 5)), Write::Delete).unwrap();
        }
        match commit(engine, batch) {
            Ok(Commit::Committed(revision)) => assert_eq!(revision, Revision::new(round)),
            Ok(Commit::Conflict(key)) => panic!("a conflict on {key:?}"),
            Err(error) => return (round - 1, Some(error)),
        }
    }
    (most, None)
}

/// Checks that the store is as it was after this commit.
#[track_caller]
fn assert_is_after(engine: &Engine, round: u64) {
    assert_eq!(head(engine), Revision::new(round));
    let expected = (round > 0).then(|| round.to_string());
    assert_eq!(text(engine, "pair/a"), expected);
    assert_eq!(text(engine, "pair/z"), expected);
    let log = engine.scan(&Prefix::new("log/").unwrap(), None, 100).unwrap().entries;
    let found: Vec<u64> = log.iter().map(|entry| entry.revision.get()).collect();
    let expected: Vec<u64> = (round.saturating_sub(4).max(1)..=round).collect();
    assert_eq!(found, expected);
    for entry in log {
        assert_eq!(entry.key, key(&format!("log/{:04}", entry.revision.get())));
        assert_eq!(entry.value.as_bytes(), entry.revision.to_string().as_bytes());
    }
}

#[test]
fn wherever_the_disk_fails_the_error_says_what_is_there() {
    let (mut unknown, mut nothing) = (0, 0);
    for operations in 0..400 {
        let disk = Disk::new();
        let engine = create(&disk);
        disk.fail_after(operations);
        let (acknowledged, error) = commit_until_failure(&engine, 12);
        let Some(error) = error else { continue };
        let again = commit(&engine, puts(&["other"], "1"));
        assert!(matches!(again, Err(CommitError::Unavailable { .. })), "{again:?}");
        drop(engine);
        for disk in [disk.after_kill(), disk.after_power_cut(&TestRandom::seeded(operations))] {
            let (engine, sentinel) = open(&disk).unwrap();
            match error {
                CommitError::OutcomeUnknown { .. } => {
                    let found = sentinel.revision.get();
                    assert!(found == acknowledged || found == acknowledged + 1, "{found} {acknowledged}");
                    assert_is_after(&engine, found);
                    unknown += 1;
                }
                CommitError::Unavailable { .. } => {
                    assert_is_after(&engine, acknowledged);
                    nothing += 1;
                }
                ref other => panic!("{other}"),
            }
        }
    }
    assert!(unknown > 20, "{unknown} unknown outcomes, {nothing} of which nothing was written");
}

#[test]
fn a_power_cut_at_any_moment_loses_no_acknowledged_commit() {
    let (mut rounds, mut kept) = (0, 0);
    for seed in 0..400 {
        let rng = TestRandom::seeded(seed);
        let disk = Disk::new();
        let engine = create(&disk);
        // Any operation, in any of some thirty commits.
        disk.fail_after(seed * 7 % 601);
        let (acknowledged, _) = commit_until_failure(&engine, 40);
        let cut = disk.after_power_cut(&rng);
        drop(engine);
        let (engine, sentinel) = open(&cut).unwrap();
        let found = sentinel.revision.get();
        assert!(found == acknowledged || found == acknowledged + 1, "{found} after {acknowledged}");
        assert_is_after(&engine, found);
        // And it goes on from there.
        let next = committed(&engine, puts(&["next"], "1"));
        assert_eq!(next, Revision::new(found + 1));
        rounds += 1;
        kept += acknowledged;
    }
    println!("{rounds} power cuts, {kept} acknowledged commits, all there");
    assert!(kept > 1000);
}

#[test]
fn a_store_stops_after_a_commit_that_panicked() {
    let disk = Disk::new();
    let engine = create(&disk);
    committed(&engine, puts(&["a"], "1"));
    let mut watch = engine.watch(&Prefix::all(), Revision::new(1)).unwrap_or_else(|_| panic!("a watch"));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _writing = engine.writer.lock().unwrap();
        panic!("in the midst of a commit");
    }));
    assert!(panicked.is_err());
    assert!(matches!(commit(&engine, puts(&["a"], "2")), Err(CommitError::Unavailable { .. })));
    assert!(matches!(engine.get(&key("a")), Err(Failure::Other(_))));
    assert!(matches!(engine.watch(&Prefix::all(), Revision::ZERO), Err(Failure::Other(_))));
    assert!(matches!(block_on(watch.next()), Err(ReadError::Unavailable { .. })));
}

#[test]
fn a_store_stops_after_a_commit_of_unknown_outcome() {
    let disk = Disk::new();
    let engine = create(&disk);
    committed(&engine, puts(&["a"], "1"));
    let mut watch = engine.watch(&Prefix::all(), Revision::ZERO).unwrap_or_else(|_| panic!("a watch"));
    let mut early = engine.watch(&Prefix::all(), Revision::new(1)).unwrap_or_else(|_| panic!("a watch"));
    disk.fail_after(1);
    let mut conflict = puts(&["b"], "2");
    conflict.require(key("a"), Expect::Absent).unwrap();
    let mut outcomes = engine.commit(vec![puts(&["a"], "2"), conflict]).into_iter();
    assert!(matches!(outcomes.next(), Some(Err(CommitError::OutcomeUnknown { .. }))));
    // Its conflict was decided on what may not be there.
    assert!(matches!(outcomes.next(), Some(Err(CommitError::Unavailable { .. }))));
    // The disk is well again, but what is on it is not known.
    disk.fail_after(u64::MAX);
    assert!(matches!(engine.get(&key("a")), Err(Failure::Other(_))));
    assert!(matches!(engine.scan(&Prefix::all(), None, 1), Err(Failure::Other(_))));
    assert!(matches!(engine.watch(&Prefix::all(), Revision::ZERO), Err(Failure::Other(_))));
    assert!(matches!(commit(&engine, puts(&["a"], "3")), Err(CommitError::Unavailable { .. })));
    // Watches tell what is certain, and then that there will be no more.
    let event = block_on(watch.next());
    assert!(
        matches!(event, Ok(WatchEvent::Changes { revision, .. }) if revision == Revision::new(1)),
        "{event:?}"
    );
    assert!(matches!(block_on(watch.next()), Err(ReadError::Unavailable { .. })));
    assert!(matches!(block_on(early.next()), Err(ReadError::Unavailable { .. })));
    drop(engine);
    let (engine, _) = open(&disk.after_kill()).unwrap();
    assert!(["1", "2"].contains(&text(&engine, "a").unwrap().as_str()));
    assert_eq!(text(&engine, "b"), None);
}
