//! What strangers may hand to whoever checks proofs: paths, bundles, notes, tree heads, receipts, tiles.

use std::sync::{Arc, LazyLock};

use audit_log::LogId;
use audit_log::testing::MemoryTiles;
use audit_log::tlog::{
    Ed25519Signer, EpochProof, Hash, Origin, SignedNote, Signer as _, TilePath, TileReader, TlogProof,
    TreeHead, VerifierKey, consistency_path, inclusion_path, read_bundle, verify_consistency,
    verify_inclusion,
};
use base64ct::{Base64, Encoding as _};
use core_types::SecretBytes;

use crate::text::read;

/// Paths of tiles, hashes, origins, verifier keys.
pub(crate) fn text(input: &[u8]) -> bool {
    let path = read::<TilePath>(input, is_path);
    let hash = read::<Hash>(input, |text| base64(text).is_some_and(|bytes| bytes.len() == 32));
    let key = str::from_utf8(input).ok().and_then(|text| text.parse::<VerifierKey>().ok());
    if let Some(key) = &key {
        assert_eq!(key.to_string().as_bytes(), input, "one spelling");
        assert!(VerifierKey::new(key.name(), *key.public()).as_ref() == Ok(key));
    }
    let origin = str::from_utf8(input).ok().and_then(|text| text.parse::<Origin>().ok());
    if let Some(origin) = &origin {
        assert_eq!(origin.to_string().as_bytes(), input, "one spelling");
    }
    path.is_some() || hash.is_some() || key.is_some() || origin.is_some()
}

/// Notes, the heads in them, and proofs with notes in them.
pub(crate) fn note(input: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(input) else { return false };
    let note = text.parse::<SignedNote>().ok();
    if let Some(note) = &note {
        assert_eq!(note.to_string(), text, "one spelling");
        assert!(note.dangerous_unverified_text().ends_with('\n'));
        if let Ok(head) = TreeHead::verify(note, &KEY.0) {
            assert_eq!(head.to_string(), note.dangerous_unverified_text());
            assert!(text.starts_with(SIGNED_TEXT), "nothing else was ever signed");
        }
    }
    let head = text.parse::<TreeHead>().ok();
    if let Some(head) = &head {
        assert_eq!(head.to_string(), text, "one spelling");
    }
    let proof = text.parse::<TlogProof>().ok();
    if let Some(proof) = &proof {
        assert_eq!(proof.to_string(), text, "one spelling");
        // The log with this key has one leaf, which is no record.
        assert!(proof.verify(&KEY.0).is_err());
        let leaf = Hash::of_leaf(proof.extra().unwrap_or_default());
        if let Ok(head) = proof.verify_leaf(&KEY.0, &leaf) {
            assert_eq!((head.size, head.root, proof.index()), (1, leaf, 0));
        }
    }
    let epoch = text.parse::<EpochProof>().ok();
    if let Some(epoch) = &epoch {
        assert_eq!(epoch.to_string(), text, "one spelling");
        // The log with this key has no epoch.
        let head =
            TreeHead::new(Origin::of_epochs(&KEY.0, LogId::from_bytes([0; 16])), 0, Hash::of_empty_tree());
        assert!(epoch.verify(&KEY.0, &head).is_err());
    }
    note.is_some() || head.is_some() || proof.is_some() || epoch.is_some()
}

/// Two bytes say how many entries a bundle should have; the rest is the bundle.
pub(crate) fn bundle(input: &[u8]) -> bool {
    let Some((width, bytes)) = input.split_first_chunk::<2>() else { return false };
    let width = usize::from(u16::from_be_bytes(*width));
    let Ok(leaves) = read_bundle(bytes, width) else { return false };
    assert!(leaves.len() == width && width <= 256);
    let mut again = Vec::new();
    for leaf in leaves {
        again.extend_from_slice(&u16::try_from(leaf.len()).unwrap_or(u16::MAX).to_be_bytes());
        again.extend_from_slice(leaf);
    }
    assert_eq!(again, bytes);
    true
}

/// Three numbers of eight bytes, then hashes: proofs of any size and length are refused or right.
pub(crate) fn proof(input: &[u8]) -> bool {
    let (numbers, rest) = input.as_chunks::<8>();
    let mut numbers = numbers.iter().take(3).map(|number| u64::from_be_bytes(*number));
    let (Some(a), Some(b), Some(kind)) = (numbers.next(), numbers.next(), numbers.next()) else {
        return false;
    };
    let hashes: Vec<Hash> = input.chunks(32).take(70).map(Hash::of_leaf).collect();
    let leaf = Hash::of_leaf(rest);
    // Whatever subtrees are asked for lie in the tree, and there are few.
    for path in [inclusion_path(a, b), consistency_path(a, b)].into_iter().flatten() {
        assert!(
            path.len() <= 64 && path.iter().all(|subtree| subtree.start < subtree.end && subtree.end <= b)
        );
    }
    let steps = usize::try_from(kind & 0x7f).unwrap_or(0).min(hashes.len());
    let proof = hashes.get(..steps).unwrap_or_default();
    assert!(verify_inclusion(&leaf, a, b, proof, &leaf).is_err() || (a, b, steps) == (0, 1, 0));
    let is_consistent = verify_consistency(a, &leaf, b, &leaf, proof).is_ok();
    assert!(!is_consistent || (a == b && steps == 0));
    is_consistent
}

/// Someone changes the files of a tree of 600 leaves: what is read is true all the same, or refused.
///
/// Each four bytes are a change: to which file, where, with what.
pub(crate) fn tiles(input: &[u8]) -> bool {
    let (good, root) = &*TREE;
    let tiles = good.after_kill();
    let names = tiles.names();
    for [file, what, at, with] in input.as_chunks::<4>().0.iter().take(16).copied() {
        let Some(name) = usize::from(file).checked_rem(names.len()).and_then(|file| names.get(file)) else {
            return false;
        };
        let mut bytes = tiles.contents(name);
        let place = usize::from(at).saturating_mul(bytes.len()).checked_shr(8).unwrap_or(0);
        match what & 3 {
            0 => bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= with),
            1 => bytes.truncate(place),
            2 => bytes.extend(std::iter::repeat_n(with, usize::from(at))),
            _ => {
                let other = usize::from(with).checked_rem(names.len()).and_then(|other| names.get(other));
                bytes = good.contents(other.unwrap_or(name));
            }
        }
        tiles.put(name, bytes);
    }
    let Ok(mut reader) = TileReader::open(Arc::new(tiles), "log", SIZE, root) else { return false };
    let mut is_all_there = true;
    for index in [0, 1, 255, 256, 400, 511, 512, 599] {
        match (reader.leaf(index), reader.inclusion_proof(index)) {
            (Ok(leaf), Ok(proof)) => {
                assert_eq!(leaf, leaf_of(index));
                assert_eq!(verify_inclusion(&Hash::of_leaf(&leaf), index, SIZE, &proof, root), Ok(()));
            }
            _ => is_all_there = false,
        }
    }
    is_all_there
}

/// A path, by another reading of the specification.
fn is_path(text: &str) -> bool {
    let decimal = |text: &str, most: u64| {
        text.parse::<u64>().is_ok_and(|number| number <= most && number.to_string() == text)
    };
    let (path, width) = match text.split_once(".p/") {
        Some((path, width)) => (path, Some(width)),
        None => (text, None),
    };
    let mut parts = path.split('/');
    let is_tile = parts.next() == Some("tile");
    let is_level = parts.next().is_some_and(|level| level == "entries" || decimal(level, 63));
    let groups: Vec<&str> = parts.collect();
    let Some((last, others)) = groups.split_last() else { return false };
    let digits = |group: &str| group.len() == 3 && group.bytes().all(|digit| digit.is_ascii_digit());
    let bare: Option<Vec<&str>> = others.iter().map(|group| group.strip_prefix('x')).collect();
    let Some(bare) = bare.filter(|bare| bare.iter().all(|group| digits(group)) && digits(last)) else {
        return false;
    };
    let number: String = bare.concat() + last;
    let is_shortest = bare.first().is_none_or(|first| *first != "000");
    let is_small = number.parse::<u64>().is_ok();
    let is_width = width.is_none_or(|width| decimal(width, 255) && width != "0");
    is_tile && is_level && is_shortest && is_small && is_width
}

fn base64(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok().filter(|bytes| Base64::encode_string(bytes) == text)
}

fn leaf_of(index: u64) -> Vec<u8> {
    format!("leaf {index}").into_bytes()
}

static TREE: LazyLock<(MemoryTiles, Hash)> = LazyLock::new(|| {
    let tiles = MemoryTiles::new();
    let leaves: Vec<Vec<u8>> = (0..SIZE).map(leaf_of).collect();
    let root = tiles.publish_tree("log", &leaves);
    (tiles, root)
});

/// The key that has signed the head in the corpus, and nothing else.
static KEY: LazyLock<(VerifierKey,)> = LazyLock::new(|| {
    let signer = Ed25519Signer::from_seed("audit.example/log", &SecretBytes::take_from(&mut [7; 32]));
    #[expect(clippy::unwrap_used, reason = "constants")]
    (signer.unwrap().verifier().clone(),)
});

const SIZE: u64 = 600;
const SIGNED_TEXT: &str = "audit.example/log/000102030405060708090a0b0c0d0e0f/";
