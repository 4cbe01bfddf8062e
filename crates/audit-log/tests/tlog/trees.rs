//! Proofs against the slow reference, against published vectors, and at sizes no memory holds.

use audit_log::tlog::{
    Hash, MAX_TREE_SIZE, ProofError, Subtree, consistency_path, inclusion_path, verify_consistency,
    verify_inclusion,
};
use proptest::prelude::*;

use super::reference::{leaves, path, proof, tree_hash};

fn of(subtrees: &[Subtree], leaves: &[Hash]) -> Vec<Hash> {
    subtrees.iter().map(|s| tree_hash(&leaves[s.start as usize..s.end as usize])).collect()
}

#[test]
fn every_proof_of_every_small_tree_is_that_of_the_reference_and_verifies() {
    let all = leaves(71);
    for size in 1..=all.len() {
        let tree = &all[..size];
        let root = tree_hash(tree);
        let n = size as u64;
        for index in 0..size {
            let made = of(&inclusion_path(index as u64, n).unwrap(), tree);
            assert_eq!(made, path(index, tree), "{index} of {size}");
            assert_eq!(verify_inclusion(&tree[index], index as u64, n, &made, &root), Ok(()));
        }
        for old in 1..=size {
            let made = of(&consistency_path(old as u64, n).unwrap(), tree);
            assert_eq!(made, proof(old, tree), "{old} of {size}");
            let old_root = tree_hash(&tree[..old]);
            assert_eq!(verify_consistency(old as u64, &old_root, n, &root, &made), Ok(()), "{old} of {size}");
        }
    }
}

#[test]
fn a_proof_holds_for_its_own_leaf_place_and_size_only() {
    let all = leaves(40);
    for size in 1..=all.len() {
        let tree = &all[..size];
        let root = tree_hash(tree);
        for index in 0..size {
            let proof = path(index, tree);
            for other in 0..size {
                let is_same = index == other;
                let at = verify_inclusion(&tree[index], other as u64, size as u64, &proof, &root);
                assert_eq!(at.is_ok(), is_same, "{index} at {other} of {size}");
                let leaf = verify_inclusion(&tree[other], index as u64, size as u64, &proof, &root);
                assert_eq!(leaf.is_ok(), is_same);
            }
            for step in 0..proof.len() {
                let mut bad = proof.clone();
                bad[step] = Hash::of_leaf(b"another");
                let verdict = verify_inclusion(&tree[index], index as u64, size as u64, &bad, &root);
                assert_eq!(verdict, Err(ProofError::Root));
                let mut short = proof.clone();
                short.remove(step);
                assert!(verify_inclusion(&tree[index], index as u64, size as u64, &short, &root).is_err());
            }
            let mut long = proof.clone();
            long.push(root);
            let verdict = verify_inclusion(&tree[index], index as u64, size as u64, &long, &root);
            assert_eq!(verdict, Err(ProofError::Length));
        }
    }
}

#[test]
fn a_consistency_proof_holds_for_its_own_trees_only() {
    let all = leaves(24);
    for size in 1..=all.len() {
        let tree = &all[..size];
        let (n, root) = (size as u64, tree_hash(tree));
        for old in 1..size {
            let (m, old_root, good) = (old as u64, tree_hash(&tree[..old]), proof(old, tree));
            for other in 1..=size {
                if other != old {
                    let other_root = tree_hash(&tree[..other]);
                    assert!(verify_consistency(other as u64, &old_root, n, &root, &good).is_err());
                    assert!(verify_consistency(m, &other_root, n, &root, &good).is_err());
                }
            }
            for step in 0..good.len() {
                let mut bad = good.clone();
                bad[step] = Hash::of_leaf(b"another");
                assert!(verify_consistency(m, &old_root, n, &root, &bad).is_err());
                let mut short = good.clone();
                short.remove(step);
                assert!(verify_consistency(m, &old_root, n, &root, &short).is_err());
            }
            let mut long = good.clone();
            long.push(root);
            assert!(verify_consistency(m, &old_root, n, &root, &long).is_err());
        }
        let empty = Hash::of_empty_tree();
        assert_eq!(verify_consistency(0, &empty, n, &root, &[]), Ok(()));
        assert_eq!(verify_consistency(0, &root, n, &root, &[]), Err(ProofError::Root));
        assert_eq!(verify_consistency(0, &empty, n, &root, &[root]), Err(ProofError::Length));
        assert_eq!(verify_consistency(n, &root, n, &root, &[]), Ok(()));
        assert_eq!(verify_consistency(n, &empty, n, &root, &[]), Err(ProofError::Root));
    }
    let empty = Hash::of_empty_tree();
    assert_eq!(verify_consistency(0, &empty, 0, &empty, &[]), Ok(()));
    assert_eq!(verify_consistency(0, &empty, 0, &Hash::of_leaf(b""), &[]), Err(ProofError::Root));
}

/// The inputs and roots that the RFC's reference implementation is tested with (certificate-transparency,
/// `merkle_tree_test`), and the same tree's proofs there.
#[test]
fn published_vectors_agree() {
    let inputs: [&[u8]; 8] = [
        b"",
        b"\0",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let tree: Vec<Hash> = inputs.iter().map(|input| Hash::of_leaf(input)).collect();
    for (size, root) in (1..).zip(roots) {
        assert_eq!(hex(&tree_hash(&tree[..size])), root, "{size}");
    }
    assert_eq!(
        hex(&Hash::of_empty_tree()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    let root = tree_hash(&tree);
    let proof = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    .map(unhex);
    assert_eq!(verify_inclusion(&tree[0], 0, 8, &proof, &root), Ok(()));
    let proof = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    .map(unhex);
    assert_eq!(verify_consistency(6, &tree_hash(&tree[..6]), 8, &root, &proof), Ok(()));
}

#[test]
fn no_size_and_no_place_is_too_strange_to_answer() {
    let hash = Hash::of_leaf(b"");
    let edges: Vec<u64> = (0..64)
        .flat_map(|bit| {
            let at = 1_u64 << bit;
            [at.wrapping_sub(2), at.wrapping_sub(1), at, at.wrapping_add(1)]
        })
        .chain([u64::MAX, u64::MAX - 1])
        .collect();
    for &a in &edges {
        for &b in &edges {
            for length in [0, 1, 2, 62, 63, 64, 65, 100] {
                let proof = vec![hash; length];
                assert!(verify_inclusion(&hash, a, b, &proof, &hash).is_err() || (a, b, length) == (0, 1, 0));
                let consistent = verify_consistency(a, &hash, b, &hash, &proof);
                assert!(
                    consistent.is_err() || (a == b && a <= MAX_TREE_SIZE && length == 0),
                    "{a} {b} {length}"
                );
            }
            assert_eq!(inclusion_path(a, b).is_ok(), a < b && b <= MAX_TREE_SIZE);
            assert_eq!(consistency_path(a, b).is_ok(), a <= b && b <= MAX_TREE_SIZE);
        }
    }
}

proptest! {
    /// Of a tree whose leaves are all alike, each perfect subtree has one hash: so there are roots of huge trees.
    #[test]
    fn proofs_of_huge_trees_verify(size in 1..=MAX_TREE_SIZE, a in any::<u64>(), b in any::<u64>()) {
        let uniform = Uniform::new();
        let root = uniform.hash(Subtree::of_tree(size));
        let index = a % size;
        let path = inclusion_path(index, size).unwrap();
        prop_assert!(path.len() <= 63);
        let proof: Vec<Hash> = path.iter().map(|subtree| uniform.hash(*subtree)).collect();
        prop_assert_eq!(verify_inclusion(&uniform.perfect[0], index, size, &proof, &root), Ok(()));

        let old = b % size + 1;
        let old_root = uniform.hash(Subtree::of_tree(old));
        let path = consistency_path(old, size).unwrap();
        prop_assert!(path.len() <= 64);
        let proof: Vec<Hash> = path.iter().map(|subtree| uniform.hash(*subtree)).collect();
        prop_assert_eq!(verify_consistency(old, &old_root, size, &root, &proof), Ok(()));
        if let Some(step) = (!proof.is_empty()).then(|| a as usize % proof.len()) {
            let mut bad = proof;
            bad[step] = Hash::of_leaf(b"another");
            prop_assert!(verify_consistency(old, &old_root, size, &root, &bad).is_err());
        }
    }

    /// Proofs are of subtrees that lie side by side and leave nothing out.
    #[test]
    fn an_inclusion_path_covers_every_other_leaf_once(size in 1..=MAX_TREE_SIZE, a in any::<u64>()) {
        let index = a % size;
        let mut parts: Vec<(u64, u64)> =
            inclusion_path(index, size).unwrap().iter().map(|subtree| (subtree.start, subtree.end)).collect();
        parts.push((index, index + 1));
        parts.sort_unstable();
        let end = parts.iter().try_fold(0, |at, (start, end)| (at == *start && start < end).then_some(*end));
        prop_assert_eq!(end, Some(size));
    }
}

/// All leaves alike.
struct Uniform {
    // By height.
    perfect: Vec<Hash>,
}

impl Uniform {
    fn new() -> Self {
        let leaf = Hash::of_leaf(b"alike");
        let perfect = std::iter::successors(Some(leaf), |hash| Some(Hash::of_node(hash, hash)));
        Self { perfect: perfect.take(64).collect() }
    }

    /// MTH by the RFC's recursion, in which only the right side is not perfect.
    fn hash(&self, subtree: Subtree) -> Hash {
        let mut size = subtree.end - subtree.start;
        let mut lefts = Vec::new();
        while !size.is_power_of_two() {
            let height = size.ilog2();
            lefts.push(self.perfect[height as usize]);
            size -= 1 << height;
        }
        let last = self.perfect[size.ilog2() as usize];
        lefts.iter().rev().fold(last, |right, left| Hash::of_node(left, &right))
    }
}

fn hex(hash: &Hash) -> String {
    hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Hash {
    let bytes: Vec<u8> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    Hash::try_from(bytes.as_slice()).unwrap()
}
