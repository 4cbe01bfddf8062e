//! What epochs bind, in whose name heads are signed, and what stays readable for old heads.

use std::sync::Arc;

use audit_log::testing::{MemoryDirectory, MemoryTiles};
use audit_log::tlog::{
    Ed25519Signer, EpochProof, Hash, NoteError, Origin, ProveError, Prover, Publisher, SignedNote,
    Signer as _, TilePath, TileReader, TileStore, TlogProof, TreeHead, verify_inclusion,
};
use base64ct::{Base64, Encoding as _};
use core_types::SecretBytes;

use super::publishing::{attempts, check_tree, key, open, scope, signer};

const TENANTS: [&str; 5] = ["project/web", "project/db", "/", "project/ci", "org/acme/project/web"];

#[test]
fn an_epoch_binds_every_tenants_head_at_its_place() {
    let tiles = MemoryTiles::new();
    let log = open(&MemoryDirectory::new());
    let mut publisher = Publisher::new(log.clone(), tiles.clone(), signer()).unwrap();
    let mut prover = Prover::new(Arc::new(tiles), key());
    assert!(matches!(prover.prove_bound(&scope("project/web"), 1), Err(ProveError::NotPublished)));
    let mut earlier: Vec<(TreeHead, EpochProof)> = Vec::new();
    for round in 1..=4_u64 {
        // One more tenant each time; those before are written to in turns.
        let known = TENANTS.len().min(usize::try_from(round).unwrap() + 1);
        for (slot, tenant) in TENANTS[..known].iter().enumerate() {
            if (slot as u64 + round).is_multiple_of(2) || slot + 2 >= known {
                attempts(&log, tenant, 3);
            }
        }
        let through = publisher.step().unwrap().published_to;
        let mut heads = Vec::new();
        for (slot, tenant) in TENANTS[..known].iter().enumerate() {
            let head = match prover.head(&scope(tenant)) {
                Ok((head, _)) => head,
                Err(error) => panic!("{tenant}: {error}"),
            };
            for index in 0..head.size {
                let sequence =
                    prover.prove_index(&scope(tenant), index).unwrap().verify(&key()).unwrap().sequence();
                let (receipt, proof) = prover.prove_bound(&scope(tenant), sequence).unwrap();
                let record = receipt.verify(&key()).unwrap();
                assert_eq!((record.sequence(), record.head()), (sequence, &head));
                let proof = proof.to_string().parse::<EpochProof>().unwrap();
                let epoch = proof.verify(&key(), record.head()).unwrap();
                assert_eq!((epoch.through, epoch.index), (through, round - 1));
                assert_eq!((epoch.slot, epoch.tenants), (slot as u64, known as u64));
                assert!(sequence <= epoch.through && epoch.through < epoch.sequence);
                assert_eq!((epoch.head.size, epoch.head.origin.tenant()), (round, None));
                heads.push((head.clone(), proof));
            }
        }
        // Of each other, and of an earlier epoch, they prove nothing; unless nothing has changed.
        for (head, proof) in heads.iter().chain(&earlier) {
            for (other, _) in heads.iter().chain(&earlier) {
                let is_bound = proof.verify(&key(), other).is_ok();
                assert_eq!(is_bound, head == other, "{head}{other}");
            }
        }
        earlier = heads;
    }
}

#[test]
fn an_epoch_proof_with_anything_changed_is_none() {
    let tiles = MemoryTiles::new();
    let log = open(&MemoryDirectory::new());
    for tenant in TENANTS {
        attempts(&log, tenant, 1);
    }
    Publisher::new(log, tiles.clone(), signer()).unwrap().step().unwrap();
    let mut prover = Prover::new(Arc::new(tiles), key());
    let (receipt, proof) = prover.prove_bound(&scope("/"), 3).unwrap();
    let head = receipt.verify(&key()).unwrap().head().clone();
    let good = proof.to_string();
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] ^= 1;
        let proof = String::from_utf8(bytes).ok().and_then(|text| text.parse::<EpochProof>().ok());
        assert!(proof.is_none_or(|proof| proof.verify(&key(), &head).is_err()), "byte {at}");
    }
    for bad in [
        String::new(),
        receipt.to_string(),
        good.replace("proof 1\n", "proof 2\n"),
        good.replace("slot 2", "slot 02"),
        good.replace("slot 2", "slot -2"),
        good.replace("\n\nc2sp", "\nc2sp"),
        good.replacen("\n\n", &"\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".repeat(64), 1),
        format!("{good}\n"),
        format!("{good}{}", "x".repeat(1 << 20)),
    ] {
        assert!(bad.parse::<EpochProof>().is_err(), "{bad:.80}");
    }
    let other = Ed25519Signer::from_seed("audit.example/log", &SecretBytes::take_from(&mut [8; 32])).unwrap();
    assert_eq!(proof.verify(other.verifier(), &head), Err(NoteError::Unsigned));
    // A tenant's record in the place of the epoch, and the epochs' head in the place of a tenant's.
    let swapped = format!("{}\n{receipt}", good.split_once("\nc2sp").unwrap().0);
    assert_eq!(swapped.parse::<EpochProof>().unwrap().verify(&key(), &head), Err(NoteError::Origin));
    let epochs = proof.verify(&key(), &head).unwrap().head;
    assert_eq!(proof.verify(&key(), &epochs), Err(NoteError::Origin));
}

#[test]
fn nothing_but_what_the_key_has_signed_makes_an_epoch_proof() {
    let good = MemoryTiles::new();
    let log = open(&MemoryDirectory::new());
    let mut publisher = Publisher::new(log.clone(), good.clone(), signer()).unwrap();
    for tenant in TENANTS {
        attempts(&log, tenant, 1);
    }
    publisher.step().unwrap();
    for name in good.names() {
        let tiles = good.after_kill();
        let mut bytes = tiles.contents(&name);
        let Some(at) = bytes.len().checked_sub(3) else { continue };
        bytes[at] ^= 1;
        tiles.put(&name, bytes);
        let mut prover = Prover::new(Arc::new(tiles), key());
        if let Ok((receipt, proof)) = prover.prove_bound(&scope("project/db"), 2) {
            let record = receipt.verify(&key()).unwrap();
            assert!(proof.verify(&key(), record.head()).is_ok(), "{name}");
        } else {
            let needed = ["state", "heads/", "epochs/", "tenants/0/checkpoint", "tenants/1/"];
            assert!(needed.iter().any(|needed| name.starts_with(needed)), "{name}");
        }
    }
    // Between an epoch and its heads there is none yet.
    attempts(&log, "project/db", 1);
    let before = good.after_kill();
    publisher.step().unwrap();
    before.put("tenants/1/checkpoint", good.contents("tenants/1/checkpoint"));
    for name in good.names().iter().filter(|name| name.starts_with("tenants/1/tile")) {
        before.put(name, good.contents(name));
    }
    let early = Prover::new(Arc::new(before), key()).prove_bound(&scope("project/db"), 2);
    assert!(matches!(early, Err(ProveError::NotPublished)), "{early:?}");
}

#[test]
fn a_tree_is_signed_for_in_its_own_name() {
    let tiles = MemoryTiles::new();
    let log = open(&MemoryDirectory::new());
    for tenant in TENANTS {
        attempts(&log, tenant, 1);
    }
    Publisher::new(log.clone(), tiles.clone(), signer()).unwrap().step().unwrap();
    let mut origins = Vec::new();
    for name in tiles.names().iter().filter(|name| name.ends_with("checkpoint") || *name == "state") {
        let text = String::from_utf8(tiles.contents(name)).unwrap();
        let origin = text.lines().next().unwrap();
        let signed_by = text.lines().last().unwrap().split(' ').nth(1).unwrap();
        assert_eq!(signed_by, origin, "{name}");
        origins.push(origin.to_owned());
    }
    assert_eq!(origins.len(), TENANTS.len() + 2);

    let origin: Origin =
        format!("audit.example/log/{}/tenants/project/web", log.checkpoint().log()).parse().unwrap();
    let head = TreeHead::new(origin.clone(), 1, Hash::of_leaf(b"x"));
    let note = |name: &str| -> SignedNote {
        let signature = signer().sign(head.to_string().as_bytes()).unwrap();
        let named = audit_log::tlog::VerifierKey::new(name, *key().public()).unwrap();
        let value = [&named.id().to_be_bytes()[..], &signature].concat();
        format!("{head}\n\u{2014} {name} {}\n", Base64::encode_string(&value)).parse().unwrap()
    };
    let own = note(&origin.to_string());
    assert_eq!(TreeHead::verify(&own, &key()).unwrap(), head);
    assert!(own.verify(&key().for_tree(&origin)).is_ok());
    assert_eq!(own.verify(&key()), Err(NoteError::Unsigned));
    assert_eq!(key().for_tree(&origin).to_string().parse().as_ref(), Ok(&key().for_tree(&origin)));
    // The right key, in any other name.
    for name in ["audit.example/log", "audit.example", &origins[0], "someone"] {
        if *name != origin.to_string() {
            assert_eq!(TreeHead::verify(&note(name), &key()), Err(NoteError::Unsigned), "{name}");
        }
    }
    let other = audit_log::tlog::VerifierKey::new("audit.example/lo", *key().public()).unwrap();
    assert_eq!(TreeHead::verify(&own, &other), Err(NoteError::Origin));
    let long = Ed25519Signer::from_seed(&"n".repeat(256), &SecretBytes::take_from(&mut [7; 32])).unwrap();
    let refused = Publisher::new(log, MemoryTiles::new(), long).err();
    assert_eq!(refused, Some(audit_log::tlog::PublishError::KeyName { limit: 255 }));
}

#[test]
fn every_head_that_was_ever_signed_can_still_be_read() {
    let tiles = MemoryTiles::new();
    let store: Arc<dyn TileStore> = Arc::new(tiles.clone());
    let disk = MemoryDirectory::new();
    let log = open(&disk);
    let mut publisher = Publisher::new(log.clone(), tiles.clone(), signer()).unwrap();
    let mut heads: Vec<(&str, TreeHead)> = Vec::new();
    for count in [1, 2, 3, 200, 49, 1, 1, 254, 2, 600, 1] {
        attempts(&log, "project/web", count);
        publisher.step().unwrap();
        // The next publisher knows nothing of what this one has written and not signed for.
        drop(publisher);
        publisher = Publisher::new(log.clone(), tiles.clone(), signer()).unwrap();
        for folder in ["tenants/0", "epochs"] {
            heads.push((folder, check_tree(&tiles, folder).0));
        }
        for (folder, head) in &heads {
            let TreeHead { size, root, .. } = head;
            let mut reader = TileReader::open(Arc::clone(&store), folder, *size, root).unwrap();
            let last = size - 1;
            let leaf = Hash::of_leaf(&reader.leaf(last).unwrap());
            let proof = reader.inclusion_proof(last).unwrap();
            assert_eq!(verify_inclusion(&leaf, last, *size, &proof, root), Ok(()));
            // The file itself, or the full one.
            let width = (size % 256) as usize;
            if width > 0 {
                for full in [TilePath::full(0, size / 256).unwrap(), TilePath::entries(size / 256)] {
                    let partial = tiles.contents(&format!("{folder}/{}", full.with_width(width).unwrap()));
                    assert!(!partial.is_empty() || !tiles.contents(&format!("{folder}/{full}")).is_empty());
                }
            }
        }
    }
    // Where there is a full one, there is no partial one any more.
    let names = tiles.names();
    for full in names.iter().filter(|name| name.contains("/tile/") && !name.contains(".p/")) {
        assert!(!names.iter().any(|name| name.starts_with(&format!("{full}.p/"))), "{full}");
    }
    assert!(
        TlogProof::verify(&Prover::new(store, key()).prove(&scope("project/web"), 1).unwrap(), &key())
            .is_ok()
    );
}
