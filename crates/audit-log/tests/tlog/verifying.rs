//! A log and its proofs, checked together: what is wrong is named as what it is, and nothing else is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use audit_log::testing::{MemoryDirectory, MemoryTiles};
use audit_log::tlog::{Ed25519Signer, Publisher, Signer as _, TileStore};
use audit_log::verify::Verification;
use audit_log::{FindingKind, Report};
use core_types::SecretBytes;

use super::publishing::{attempts, key, open, signer};

fn check(disk: &MemoryDirectory, tiles: &MemoryTiles) -> Report {
    let tiles: Arc<dyn TileStore> = Arc::new(tiles.clone());
    Verification::new().with_key(key()).run_in(disk, Some(tiles)).unwrap()
}

fn kinds(report: &Report) -> Vec<FindingKind> {
    report.findings().iter().map(audit_log::Finding::kind).collect()
}

/// A closed log of three tenants, published in three epochs.
fn sample() -> (MemoryDirectory, MemoryTiles) {
    let (disk, tiles) = (MemoryDirectory::new(), MemoryTiles::new());
    let log = open(&disk);
    let mut publisher = Publisher::new(log.clone(), tiles.clone(), signer()).unwrap();
    for count in [3, 300, 20] {
        attempts(&log, "project/web", count);
        attempts(&log, "project/db", 2);
        attempts(&log, "/", 1);
        publisher.step().unwrap();
    }
    drop(publisher);
    log.close_blocking().unwrap();
    (disk, tiles)
}

#[test]
fn a_log_and_its_proofs_are_intact() {
    let (disk, tiles) = sample();
    let report = check(&disk, &tiles);
    assert!(report.findings().is_empty(), "{report}");
    assert_eq!((report.records(), report.published_to(), report.confirmed_to()), (335, Some(334), Some(334)));
    // By the key that lies beside it, too; that one confirms nothing.
    let store: Arc<dyn TileStore> = Arc::new(tiles);
    let report = Verification::new().run_in(&disk, Some(store)).unwrap();
    assert!(report.findings().is_empty(), "{report}");
    assert_eq!((report.published_to(), report.confirmed_to()), (Some(334), None));
    // And a log of which nothing was published.
    let report = check(&disk, &MemoryTiles::new());
    assert!(report.findings().is_empty() && report.published_to().is_none(), "{report}");
}

#[test]
fn a_published_file_that_was_changed_or_lost_is_named_and_the_log_is_cleared() {
    let (disk, tiles) = sample();
    let (mut seen, mut older) = (0, 0);
    for name in tiles.names() {
        let good = tiles.contents(&name);
        seen += 1;
        for at in [0, good.len() / 3, good.len() / 2, good.len() - 1] {
            let tiles = tiles.after_kill();
            let mut bad = good.clone();
            bad[at] ^= 4;
            tiles.put(&name, bad);
            let report = check(&disk, &tiles);
            assert!(!report.is_intact() && report.is_log_intact(), "{name}, byte {at}: {report}");
            assert_eq!(report.proven_to(), 335);
            assert!(kinds(&report).iter().all(|kind| kind.is_derived()));
            let tree = name.split("/tile/").next().unwrap();
            assert!(report.to_string().contains(tree), "{name}: {report}");
        }
        let tiles = tiles.after_kill();
        tiles.erase(&name);
        let report = check(&disk, &tiles);
        // Of what older heads need, nobody knows whether it ever was.
        let is_older = report.is_intact() && name.contains(".p/");
        assert!(is_older || !report.is_intact() && report.is_log_intact(), "{name}: {report}");
        older += usize::from(is_older);
    }
    assert!(seen >= 25 && (5..=16).contains(&older), "{seen}, {older}");
}

#[test]
fn heads_that_somebody_else_signed_are_none() {
    let (disk, tiles) = sample();
    let other = Ed25519Signer::from_seed("audit.example/log", &SecretBytes::take_from(&mut [9; 32])).unwrap();
    let store: Arc<dyn TileStore> = Arc::new(tiles.clone());
    let report = Verification::new().with_key(other.verifier().clone()).run_in(&disk, Some(store)).unwrap();
    assert!(!report.is_intact() && report.is_log_intact(), "{report}");
    // Two tenants' folders changed places: every file is true, and none is where it belongs.
    let swapped = tiles.after_kill();
    for name in tiles.names() {
        if let Some(rest) = name.strip_prefix("tenants/1/") {
            swapped.erase(&name);
            swapped.put(&format!("tenants/2/{rest}"), tiles.contents(&name));
        }
        if let Some(rest) = name.strip_prefix("tenants/2/") {
            if tiles.contents(&format!("tenants/1/{rest}")).is_empty() {
                swapped.erase(&name);
            }
            swapped.put(&format!("tenants/1/{rest}"), tiles.contents(&name));
        }
    }
    let report = check(&disk, &swapped);
    assert_eq!(kinds(&report), [FindingKind::DerivedEdited; 2], "{report}");
}

#[test]
fn a_log_that_was_put_back_is_found_by_what_was_signed() {
    let (disk, tiles) = (MemoryDirectory::new(), MemoryTiles::new());
    let log = open(&disk);
    let mut publisher = Publisher::new(log.clone(), tiles.clone(), signer()).unwrap();
    attempts(&log, "project/web", 5);
    publisher.step().unwrap();
    let older = disk.after_kill();
    attempts(&log, "project/web", 5);
    publisher.step().unwrap();
    drop(publisher);
    log.close_blocking().unwrap();
    assert!(check(&disk, &tiles).is_intact());

    let report = check(&older, &tiles);
    assert_eq!(kinds(&report), [FindingKind::RolledBack], "{report}");
    assert_eq!((report.findings()[0].first(), report.findings()[0].last()), (7, 11), "{report}");
    assert!(!report.is_log_intact());
    assert_eq!(report.proven_to(), 6);
    // The older log was written to: it is another one, from the seventh record on.
    let log = open(&older);
    attempts(&log, "project/other", 9);
    log.close_blocking().unwrap();
    let report = check(&older, &tiles);
    assert_eq!(kinds(&report)[0], FindingKind::Forked, "{report}");
    assert_eq!((report.findings()[0].first(), report.findings()[0].last()), (6, 11), "{report}");
    assert_eq!(report.confirmed_to(), Some(5));
}

#[test]
fn a_tenants_head_of_another_history_is_a_fork() {
    let (disk, tiles) = sample();
    let (other, forged) = (MemoryDirectory::new(), MemoryTiles::new());
    let log = open(&other);
    attempts(&log, "project/db", 1);
    attempts(&log, "project/web", 322);
    attempts(&log, "project/web", 1);
    Publisher::new(log, forged.clone(), signer()).unwrap().step().unwrap();
    // The signer signed two histories of one tenant.
    for name in tiles.names().iter().filter(|name| name.starts_with("tenants/0/")) {
        tiles.erase(name);
    }
    for name in forged.names().iter().filter(|name| name.starts_with("tenants/1/")) {
        tiles.put(&name.replace("tenants/1/", "tenants/0/"), forged.contents(name));
    }
    let report = check(&disk, &tiles);
    assert_eq!(kinds(&report), [FindingKind::Forked], "{report}");
}

#[test]
fn there_is_no_false_alarm_while_both_are_being_written() {
    let (disk, tiles) = (MemoryDirectory::new(), MemoryTiles::new());
    let log = open(&disk);
    let mut publisher = Publisher::new(log.clone(), tiles.clone(), signer()).unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..60 {
                attempts(&log, "project/web", 1 + round * 7 % 40);
                attempts(&log, ["project/db", "/", "project/x"][round % 3], 1);
                publisher.step().unwrap();
            }
            is_done.store(true, Ordering::Relaxed);
        });
        let mut checks = 0;
        while !is_done.load(Ordering::Relaxed) || checks == 0 {
            if disk.read("head").is_empty() {
                continue;
            }
            let report = check(&disk, &tiles);
            assert!(report.findings().is_empty(), "{report}");
            checks += 1;
        }
    });
    log.close_blocking().unwrap();
    let report = check(&disk, &tiles);
    assert!(report.findings().is_empty(), "{report}");
}

#[test]
fn a_publisher_that_was_killed_leaves_nothing_to_complain_of() {
    let (disk, before) = sample();
    for changes in 0.. {
        let (disk, tiles) = (disk.after_kill(), before.after_kill());
        let log = open(&disk);
        attempts(&log, "project/web", 40);
        attempts(&log, "project/new", 1);
        tiles.stop_after(changes);
        let step =
            Publisher::new(log.clone(), tiles.clone(), signer()).and_then(|mut publisher| publisher.step());
        log.close_blocking().unwrap();
        let report = check(&disk, &tiles.after_kill());
        assert!(report.findings().is_empty(), "after {changes} changes: {report}");
        if step.is_ok() {
            break;
        }
    }
}
