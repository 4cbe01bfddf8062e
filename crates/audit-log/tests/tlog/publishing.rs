//! From a log to files and receipts, through crashes, and with files that somebody changed.

use std::sync::Arc;
use std::time::Duration;

use audit_log::testing::{MemoryDirectory, MemoryTiles};
use audit_log::tlog::{
    Ed25519Signer, Hash, NoteError, ProveError, Prover, PublishError, Publisher, SignedNote, Signer as _,
    TilePath, TlogProof, TreeHead, VerifierKey, read_bundle, verify_consistency,
};
use audit_log::verify::verify_in;
use audit_log::{Actor, AuditLog, Completion, Intent, Options};
use core_types::testing::{TestClock, TestRandom};
use core_types::{Scope, SecretBytes, UnixTime};

use super::reference::tree_hash;

pub(crate) fn signer() -> Ed25519Signer {
    Ed25519Signer::from_seed("audit.example/log", &SecretBytes::take_from(&mut [7; 32])).unwrap()
}

pub(crate) fn key() -> VerifierKey {
    signer().verifier().clone()
}

pub(crate) fn open(disk: &MemoryDirectory) -> AuditLog {
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(2)));
    let options = Options::new().with_segment_bytes(16 << 10);
    AuditLog::open_in(Arc::new(disk.clone()), clock, &TestRandom::seeded(1), &options).unwrap()
}

pub(crate) fn scope(tenant: &str) -> Scope {
    tenant.parse().unwrap()
}

fn intent(tenant: &str) -> Intent {
    let action: audit_log::Action = "apps:write".parse().unwrap();
    Intent::new(Actor::Anonymous, action, scope(tenant), UnixTime::from_secs(1))
}

/// `count` attempts, which share their syncs.
pub(crate) fn attempts(log: &AuditLog, tenant: &str, count: usize) {
    let mut records: Vec<_> = (0..count)
        .map(|number| {
            let completion = Completion::denied(Duration::ZERO).with_detail("number", number as u64).unwrap();
            Box::pin(log.record(intent(tenant), completion))
        })
        .collect();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    records.retain_mut(|record| record.as_mut().poll(&mut context).is_pending());
    for record in records {
        pollster::block_on(record).unwrap();
    }
}

fn call(log: &AuditLog, tenant: &str) {
    let guard = log.begin_blocking(intent(tenant)).unwrap();
    guard.finish_blocking(Completion::allowed(Duration::from_millis(1))).unwrap();
}

fn head_of(tiles: &MemoryTiles, folder: &str) -> TreeHead {
    let note = String::from_utf8(tiles.contents(&format!("{folder}/checkpoint"))).unwrap();
    TreeHead::verify(&note.parse::<SignedNote>().unwrap(), &key()).unwrap()
}

/// The leaves of a tree by its bundles; its root, its tiles and its head are compared with the slow reference.
pub(crate) fn check_tree(tiles: &MemoryTiles, folder: &str) -> (TreeHead, Vec<Vec<u8>>) {
    let head = head_of(tiles, folder);
    let size = head.size as usize;
    let file = |path: TilePath, width: usize| {
        let partial = tiles.contents(&format!("{folder}/{}", path.with_width(width).unwrap()));
        if partial.is_empty() { tiles.contents(&format!("{folder}/{path}")) } else { partial }
    };
    let mut leaves = Vec::new();
    for bundle in 0..size.div_ceil(256) {
        let width = (size - 256 * bundle).min(256);
        let bytes = file(TilePath::entries(bundle as u64), width);
        leaves.extend(read_bundle(&bytes, width).unwrap().into_iter().map(<[u8]>::to_vec));
    }
    let mut level: Vec<Hash> = leaves.iter().map(|leaf| Hash::of_leaf(leaf)).collect();
    assert_eq!(tree_hash(&level), head.root, "{folder}");
    for number in 0.. {
        for (index, hashes) in level.chunks(256).enumerate() {
            let expected: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
            let bytes = file(TilePath::full(number, index as u64).unwrap(), hashes.len());
            assert_eq!(bytes[..expected.len()], expected, "{folder}, level {number}, tile {index}");
        }
        level = level.chunks_exact(256).map(tree_hash).collect();
        if level.is_empty() {
            break;
        }
    }
    (head, leaves)
}

#[test]
fn every_record_has_a_receipt_that_the_key_alone_verifies() {
    let disk = MemoryDirectory::new();
    let tiles = MemoryTiles::new();
    let log = open(&disk);
    let mut publisher = Publisher::new(log.clone(), tiles.clone(), signer()).unwrap();
    call(&log, "project/web");
    attempts(&log, "project/db", 3);
    call(&log, "/");
    let progress = publisher.step().unwrap();
    assert_eq!((progress.published_to, progress.is_current), (7, true));
    attempts(&log, "project/web", 300);
    publisher.step().unwrap();

    let mut prover = Prover::new(Arc::new(tiles.clone()), key());
    let mut sequences = Vec::new();
    for (tenant, size) in [("project/web", 302), ("project/db", 3), ("/", 2)] {
        let (head, _) = prover.head(&scope(tenant)).unwrap();
        assert_eq!((head.size, head.origin.tenant()), (size, Some(&scope(tenant))));
        for index in 0..size {
            let proof = prover.prove_index(&scope(tenant), index).unwrap();
            let text = proof.to_string();
            let proven = text.parse::<TlogProof>().unwrap().verify(&key()).unwrap();
            assert_eq!((proven.index(), proven.tenant()), (index, Some(&scope(tenant))));
            assert_eq!(prover.prove(&scope(tenant), proven.sequence()).unwrap(), proof);
            assert_eq!(prover.prove_anywhere(proven.sequence()).unwrap(), proof);
            assert!(proven.record().contains(&format!(r#""tenant":"{tenant}""#)));
            sequences.push(proven.sequence());
        }
        assert!(matches!(prover.prove_index(&scope(tenant), size), Err(ProveError::NotPublished)));
    }
    // Each record is in one tree, once; but for the first epoch, which is in a tree of its own.
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=308).filter(|sequence| *sequence != 8).collect::<Vec<_>>());
    let epoch = prover.prove_epoch(0).unwrap().verify(&key()).unwrap();
    assert_eq!((epoch.sequence(), epoch.tenant(), epoch.entry()), (8, None, None));
    assert_eq!(prover.prove_anywhere(8).unwrap(), prover.prove_epoch(0).unwrap());
    assert!(matches!(prover.prove_anywhere(9999), Err(ProveError::NotPublished)));
    assert!(matches!(prover.prove(&scope("project/web"), 3), Err(ProveError::Range(_))));
    assert!(matches!(prover.prove(&scope("project/web"), 9999), Err(ProveError::NotPublished)));
    assert!(matches!(prover.prove(&scope("project/none"), 1), Err(ProveError::NotPublished)));
    for folder in ["tenants/0", "tenants/1", "tenants/2", "epochs"] {
        check_tree(&tiles, folder);
    }
    assert!(verify_in(&disk, &[]).unwrap().is_intact());
    // Nothing new, nothing published.
    let changes = tiles.changes();
    publisher.step().unwrap();
    assert_eq!(tiles.changes(), changes);
}

#[test]
fn a_receipt_with_anything_changed_is_none() {
    let tiles = MemoryTiles::new();
    let log = open(&MemoryDirectory::new());
    attempts(&log, "project/web", 5);
    Publisher::new(log, tiles.clone(), signer()).unwrap().step().unwrap();
    let mut prover = Prover::new(Arc::new(tiles), key());
    let good = prover.prove(&scope("project/web"), 3).unwrap().to_string();
    assert!(good.parse::<TlogProof>().unwrap().verify(&key()).is_ok());
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] ^= 1;
        let proof = String::from_utf8(bytes).ok().and_then(|text| text.parse::<TlogProof>().ok());
        assert!(proof.is_none_or(|proof| proof.verify(&key()).is_err()), "byte {at}");
    }
    let proof = good.parse::<TlogProof>().unwrap();
    let other = Ed25519Signer::from_seed("audit.example/log", &SecretBytes::take_from(&mut [8; 32])).unwrap();
    assert_eq!(proof.verify(other.verifier()), Err(NoteError::Unsigned));
}

#[test]
fn what_is_published_does_not_depend_on_the_steps() {
    let disk = MemoryDirectory::new();
    let log = open(&disk);
    let tiles = MemoryTiles::new();
    let mut publisher = Publisher::new(log.clone(), tiles.clone(), signer()).unwrap();
    let mut heads = Vec::new();
    for count in [1, 2, 250, 3, 1, 255, 1, 256, 257, 1000] {
        attempts(&log, "project/web", count);
        publisher.step().unwrap();
        let (head, _) = check_tree(&tiles, "tenants/0");
        heads.push(head);
    }
    let (last, leaves) = check_tree(&tiles, "tenants/0");
    assert_eq!((last.size, leaves.len()), (2026, 2026));
    let mut prover = Prover::new(Arc::new(tiles.clone()), key());
    for old in &heads {
        let (head, proof) = prover.consistency(&scope("project/web"), old.size).unwrap();
        assert_eq!(verify_consistency(old.size, &old.root, head.size, &head.root, &proof), Ok(()));
    }
    // Made anew from the log alone: the same files, but for one more epoch.
    drop(publisher);
    let anew = MemoryTiles::new();
    Publisher::new(log, anew.clone(), signer()).unwrap().catch_up().unwrap();
    assert_eq!(check_tree(&anew, "tenants/0"), (last, leaves));
    assert_eq!(check_tree(&anew, "epochs").1[..10], check_tree(&tiles, "epochs").1);
}

#[test]
fn a_publisher_that_was_killed_anywhere_goes_on() {
    let disk = MemoryDirectory::new();
    let log = open(&disk);
    let tiles = MemoryTiles::new();
    let mut publisher = Publisher::new(log.clone(), tiles.clone(), signer()).unwrap();
    attempts(&log, "project/web", 254);
    attempts(&log, "project/db", 3);
    publisher.step().unwrap();
    drop(publisher);
    let before = tiles.after_kill();
    let old = [head_of(&before, "tenants/0"), head_of(&before, "tenants/1"), head_of(&before, "epochs")];
    attempts(&log, "project/web", 4);
    attempts(&log, "project/new", 2);
    let disk = disk.after_kill();
    let mut kills = 0;
    for changes in 0.. {
        let disk = disk.after_kill();
        let log = open(&disk);
        let tiles = before.after_kill();
        tiles.stop_after(changes);
        let stopped =
            Publisher::new(log.clone(), tiles.clone(), signer()).and_then(|mut publisher| publisher.step());
        let (is_killed, tiles) = (stopped.is_err(), tiles.after_kill());
        let mut publisher = Publisher::new(log.clone(), tiles.clone(), signer()).unwrap();
        attempts(&log, "project/db", 1);
        publisher.catch_up().unwrap();
        let mut prover = Prover::new(Arc::new(tiles.clone()), key());
        for (slot, (tenant, size)) in
            [("project/web", 258), ("project/db", 4), ("project/new", 2)].iter().enumerate()
        {
            assert_eq!(check_tree(&tiles, &format!("tenants/{slot}")).0.size, *size, "{changes}");
            let (head, _) = prover.head(&scope(tenant)).unwrap();
            if let Some(old) = old[..2].get(slot) {
                let (_, proof) = prover.consistency(&scope(tenant), old.size).unwrap();
                assert_eq!(verify_consistency(old.size, &old.root, head.size, &head.root, &proof), Ok(()));
            }
        }
        let (epochs, leaves) = check_tree(&tiles, "epochs");
        let first: Vec<Hash> =
            leaves[..old[2].size as usize].iter().map(|leaf| Hash::of_leaf(leaf)).collect();
        assert_eq!(tree_hash(&first), old[2].root);
        assert!(epochs.size >= 2);
        if !is_killed {
            break;
        }
        kills += 1;
    }
    assert!(kills > 10, "{kills}");
}

#[test]
fn an_error_of_a_step_is_made_good_by_the_next() {
    let log = open(&MemoryDirectory::new());
    let tiles = MemoryTiles::new();
    let mut publisher = Publisher::new(log.clone(), tiles.clone(), signer()).unwrap();
    attempts(&log, "project/web", 3);
    tiles.stop_after(3);
    assert!(matches!(publisher.step(), Err(PublishError::File(_))));
    tiles.stop_after(u64::MAX);
    publisher.step().unwrap();
    assert_eq!(check_tree(&tiles, "tenants/0").0.size, 3);
}

#[test]
fn there_is_one_publisher_at_a_time() {
    let log = open(&MemoryDirectory::new());
    let tiles = MemoryTiles::new();
    let first = Publisher::new(log.clone(), tiles.clone(), signer()).unwrap();
    assert!(matches!(Publisher::new(log.clone(), tiles.clone(), signer()), Err(PublishError::Busy)));
    drop(first);
    assert!(Publisher::new(log, tiles, signer()).is_ok());
}

#[test]
fn a_log_that_was_put_back_or_rewritten_is_not_signed_for() {
    let disk = MemoryDirectory::new();
    let log = open(&disk);
    let tiles = MemoryTiles::new();
    attempts(&log, "project/web", 3);
    let older = disk.after_kill();
    let mut publisher = Publisher::new(log.clone(), tiles.clone(), signer()).unwrap();
    publisher.step().unwrap();
    attempts(&log, "project/web", 3);
    publisher.step().unwrap();
    let published = tiles.after_kill();

    let log = open(&older);
    let refused = Publisher::new(log.clone(), published.after_kill(), signer()).err();
    assert_eq!(refused, Some(PublishError::RolledBack { published: 7, log: 3 }));
    // As long as before, and longer: with other records.
    attempts(&log, "project/web", 4);
    let refused = Publisher::new(log.clone(), published.after_kill(), signer()).err();
    assert_eq!(refused, Some(PublishError::Forked { at: 7 }));
    attempts(&log, "project/web", 4);
    let tiles = published.after_kill();
    let refused =
        Publisher::new(log.clone(), tiles.clone(), signer()).and_then(|mut publisher| publisher.step());
    assert!(
        matches!(refused, Err(PublishError::Forked { .. } | PublishError::Damaged { .. })),
        "{refused:?}"
    );
    assert_eq!(head_of(&tiles, "tenants/0"), head_of(&published, "tenants/0"));
    // Where everything but the signed head of the epochs was taken away.
    let tiles = MemoryTiles::new();
    tiles.put("epochs/checkpoint", published.contents("epochs/checkpoint"));
    let refused = Publisher::new(log, tiles.clone(), signer()).and_then(|mut publisher| publisher.catch_up());
    assert!(matches!(refused, Err(PublishError::RolledBack { .. })), "{refused:?}");

    let other = MemoryDirectory::new();
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(2)));
    let random = TestRandom::seeded(2);
    let log = AuditLog::open_in(Arc::new(other), clock, &random, &Options::new()).unwrap();
    assert_eq!(Publisher::new(log, published, signer()).err(), Some(PublishError::OtherLog));
}

#[test]
fn nobody_but_the_key_says_where_to_go_on() {
    let disk = MemoryDirectory::new();
    let log = open(&disk);
    let tiles = MemoryTiles::new();
    attempts(&log, "project/web", 300);
    attempts(&log, "project/db", 30);
    let mut publisher = Publisher::new(log.clone(), tiles.clone(), signer()).unwrap();
    publisher.step().unwrap();
    drop(publisher);
    attempts(&log, "project/web", 1);
    attempts(&log, "project/db", 1);
    let needed = [
        "state",
        "heads/",
        "epochs/",
        "tenants/0/tile/0/001",
        "tenants/0/tile/1",
        "tenants/0/tile/entries/001",
        "tenants/1/tile",
    ];
    for name in tiles.names() {
        let good = tiles.contents(&name);
        if name == "lock" || !needed.iter().any(|needed| name.starts_with(needed)) {
            continue;
        }
        for at in [0, good.len() / 2, good.len() - 2] {
            let tiles = tiles.after_kill();
            let mut bad = good.clone();
            bad[at] ^= 1;
            tiles.put(&name, bad);
            let log = open(&disk.after_kill());
            let step =
                Publisher::new(log, tiles.clone(), signer()).and_then(|mut publisher| publisher.step());
            // The bundle of epochs is needed for the next one, which was not in this tree.
            assert!(step.is_err(), "{name}, byte {at}");
            assert_eq!(head_of(&tiles, "tenants/1").size, 30);
        }
    }
}
