//! RFC 6962 section 2.1, word for word: slow, recursive, obvious.

use audit_log::tlog::Hash;

/// MTH(D\[n\]).
pub(crate) fn tree_hash(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of_empty_tree(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            Hash::of_node(&tree_hash(left), &tree_hash(right))
        }
    }
}

/// PATH(m, D\[n\]).
pub(crate) fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, other) =
        if m < k { (path(m, left), tree_hash(right)) } else { (path(m - k, right), tree_hash(left)) };
    path.push(other);
    path
}

/// PROOF(m, D\[n\]).
pub(crate) fn proof(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    subproof(m, leaves, true)
}

fn subproof(m: usize, leaves: &[Hash], is_whole: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if is_whole { Vec::new() } else { vec![tree_hash(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, other) = if m <= k {
        (subproof(m, left, is_whole), tree_hash(right))
    } else {
        (subproof(m - k, right, false), tree_hash(left))
    };
    proof.push(other);
    proof
}

/// The largest power of two smaller than n.
fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

pub(crate) fn leaves(n: usize) -> Vec<Hash> {
    (0..n).map(|i| Hash::of_leaf(format!("leaf {i}").as_bytes())).collect()
}
