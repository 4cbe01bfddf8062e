//! Tiles that somebody changed: none of them is believed.

use std::sync::Arc;

use audit_log::testing::MemoryTiles;
use audit_log::tlog::{Hash, ProveError, TileReader, verify_consistency, verify_inclusion};

use super::reference::tree_hash;

fn leaf(number: usize) -> Vec<u8> {
    format!("leaf {number}").into_bytes()
}

fn tree(size: usize) -> (MemoryTiles, Hash) {
    let tiles = MemoryTiles::new();
    let leaves: Vec<Vec<u8>> = (0..size).map(leaf).collect();
    let root = tiles.publish_tree("log", &leaves);
    (tiles, root)
}

fn reader(tiles: &MemoryTiles, size: usize, root: &Hash) -> Result<TileReader, ProveError> {
    TileReader::open(Arc::new(tiles.clone()), "log", size as u64, root)
}

/// In this tree, a reader that authenticates fewer tiles than it has read takes the forged ones among the first and
/// the last of level 0 for true.
#[test]
fn a_forged_tile_of_a_tree_of_70000_is_refused_wherever_it_is() {
    const SIZE: usize = 70_000;
    let (tiles, root) = tree(SIZE);
    let forged = Hash::of_leaf(b"forged");
    let files = |prefix: &str| tiles.names().into_iter().filter(|name| name.starts_with(prefix)).count();
    assert_eq!((files("log/tile/0/"), files("log/tile/1/"), files("log/tile/2/")), (274, 2, 1));
    for tile in [0, 1, 100, 200, 254, 255, 256, 257, 271, 272, 273] {
        let name =
            if tile == 273 { "log/tile/0/273.p/112".to_owned() } else { format!("log/tile/0/{tile:03}") };
        for place in [0, 55, 111] {
            let index = (tile * 256 + place) as u64;
            let good = tiles.contents(&name);
            let mut reader = reader(&tiles, SIZE, &root).unwrap();
            let proof = reader.inclusion_proof(index).unwrap();
            let hash = Hash::of_leaf(&leaf(index as usize));
            assert_eq!(verify_inclusion(&hash, index, SIZE as u64, &proof, &root), Ok(()));
            assert_eq!(reader.leaf_hash(index), Ok(hash));
            assert_eq!(reader.leaf(index), Ok(leaf(index as usize)));

            let mut bad = good.clone();
            bad[place * 32..][..32].copy_from_slice(forged.as_bytes());
            tiles.put(&name, bad);
            let read =
                super::reading::reader(&tiles, SIZE, &root).and_then(|mut reader| reader.leaf_hash(index));
            assert!(matches!(read, Err(ProveError::Forged { .. })), "{name}: {read:?}");
            tiles.put(&name, good);
        }
    }
    for name in ["log/tile/1/000", "log/tile/1/001.p/17", "log/tile/2/000.p/1"] {
        let good = tiles.contents(name);
        let mut bad = good.clone();
        bad[5] ^= 1;
        tiles.put(name, bad);
        let read = reader(&tiles, SIZE, &root).and_then(|mut reader| reader.leaf_hash(0));
        assert!(matches!(read, Err(ProveError::Forged { .. })), "{name}: {read:?}");
        tiles.put(name, good);
    }
}

#[test]
fn tiles_of_any_shape_are_refused_or_true() {
    const SIZE: usize = 1000;
    let (tiles, root) = tree(SIZE);
    for name in tiles.names() {
        let good = tiles.contents(&name);
        let shapes: [&[u8]; 5] = [
            b"",
            &good[..good.len() - 1],
            &good[..good.len() - 32],
            &[&good[..], &[0; 32]].concat(),
            &[0; 9000],
        ];
        for shape in shapes {
            tiles.put(&name, shape);
            let read = reader(&tiles, SIZE, &root).and_then(|mut reader| {
                (0..SIZE as u64).step_by(50).chain([999]).try_for_each(|index| {
                    assert_eq!(reader.leaf(index)?, leaf(index as usize));
                    Ok(())
                })
            });
            assert!(matches!(read, Err(ProveError::Forged { .. })), "{name}: {read:?}");
        }
        tiles.erase(&name);
        let read = reader(&tiles, SIZE, &root).and_then(|mut reader| {
            (0..SIZE as u64).step_by(50).chain([999]).try_for_each(|index| reader.leaf(index).map(drop))
        });
        assert!(matches!(read, Err(ProveError::Missing { .. })), "{name}: {read:?}");
        tiles.put(&name, good);
    }
}

#[test]
fn a_full_tile_stands_in_for_a_partial_one() {
    let (tiles, _) = tree(512);
    let leaves: Vec<Hash> = (0..300).map(|number| Hash::of_leaf(&leaf(number))).collect();
    let root = tree_hash(&leaves);
    // Of the tree of 300 there is no partial tile any more.
    let mut reader = reader(&tiles, 300, &root).err();
    assert!(matches!(reader.take(), Some(ProveError::Missing { file }) if file.contains("tile/1/")));
    tiles.put("log/tile/1/000.p/1", tiles.contents("log/tile/1/000.p/2")[..32].to_vec());
    let mut reader = TileReader::open(Arc::new(tiles), "log", 300, &root).unwrap();
    for index in [0, 255, 256, 299] {
        assert_eq!(reader.leaf(index).unwrap(), leaf(index as usize));
    }
    assert!(reader.leaf(300).is_err());
}

#[test]
fn proofs_of_every_size_come_out_of_the_tiles() {
    for size in [1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537] {
        let (tiles, root) = tree(size);
        let mut reader = reader(&tiles, size, &root).unwrap();
        for index in [0, size / 3, size / 2, size - 1] {
            let proof = reader.inclusion_proof(index as u64).unwrap();
            let hash = Hash::of_leaf(&leaf(index));
            assert_eq!(verify_inclusion(&hash, index as u64, size as u64, &proof, &root), Ok(()), "{size}");
        }
        for old in [1, size / 3, size / 2, size - 1, size].into_iter().filter(|old| *old > 0) {
            let old_root = reader.root_at(old as u64).unwrap();
            if old < 600 {
                let leaves: Vec<Hash> = (0..old).map(|number| Hash::of_leaf(&leaf(number))).collect();
                assert_eq!(old_root, tree_hash(&leaves));
            }
            let proof = reader.consistency_proof(old as u64).unwrap();
            assert_eq!(verify_consistency(old as u64, &old_root, size as u64, &root, &proof), Ok(()));
        }
        assert!(reader.inclusion_proof(size as u64).is_err());
        assert!(reader.consistency_proof(size as u64 + 1).is_err());
    }
}

#[test]
fn no_size_that_a_head_may_claim_is_too_much() {
    let (tiles, root) = tree(300);
    for size in [0, 1, 299, 301, 1 << 40, 1 << 63, (1 << 63) + 1, u64::MAX] {
        assert!(TileReader::open(Arc::new(tiles.clone()), "log", size, &root).is_err(), "{size}");
    }
}
