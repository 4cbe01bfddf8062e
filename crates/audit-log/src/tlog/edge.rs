//! The right edge of a tree: all that is needed to go on.

use super::hash::Hash;
use super::proof::MAX_TREE_SIZE;
use super::tile::TILE_WIDTH;

/// The perfect subtrees along the right edge of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frontier {
    size: u64,
    // The largest first: one for each bit of `size`.
    nodes: Vec<Hash>,
}

impl Frontier {
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf. `completed` is told of every perfect subtree this completes, the leaf itself first: its
    /// height, its index at that height, its hash.
    pub(crate) fn push(&mut self, leaf: Hash, mut completed: impl FnMut(u32, u64, &Hash)) {
        let mut hash = leaf;
        let mut index = self.size;
        let mut height = 0_u32;
        completed(height, index, &hash);
        while index % 2 == 1 {
            if let Some(left) = self.nodes.pop() {
                hash = Hash::of_node(&left, &hash);
            }
            index >>= 1;
            height = height.saturating_add(1);
            completed(height, index, &hash);
        }
        self.nodes.push(hash);
        self.size = self.size.saturating_add(1).min(MAX_TREE_SIZE);
    }

    pub(crate) fn root(&self) -> Hash {
        let mut nodes = self.nodes.iter().rev();
        let Some(last) = nodes.next() else { return Hash::of_empty_tree() };
        nodes.fold(*last, |right, left| Hash::of_node(left, &right))
    }
}

/// A frontier with the tiles that are not full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    frontier: Frontier,
    // Of each level, the hashes of the tile that is not full.
    tiles: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of the tree of this size, whose partial tiles hold these hashes, the lowest level first. The
    /// caller compares the root.
    pub(crate) fn from_tiles(size: u64, tiles: Vec<Vec<Hash>>) -> Self {
        let mut nodes = Vec::new();
        for hashes in tiles.iter().rev() {
            let mut rest = hashes.as_slice();
            while let Some(height) = rest.len().checked_ilog2() {
                let (perfect, after) = rest.split_at_checked(1_usize << height).unwrap_or((rest, &[]));
                nodes.push(perfect_root(perfect));
                rest = after;
            }
        }
        Self { frontier: Frontier { size, nodes }, tiles }
    }

    pub(crate) const fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The hashes of the tile of this level that is not full; none where it is empty.
    pub(crate) fn tile(&self, level: u8) -> Option<&[Hash]> {
        self.tiles.get(usize::from(level)).map(Vec::as_slice).filter(|tile| !tile.is_empty())
    }

    /// The partial tiles, by level.
    pub(crate) fn tiles(&self) -> impl Iterator<Item = (u8, &[Hash])> {
        (0_u8..).zip(&self.tiles).map(|(level, tile)| (level, tile.as_slice())).filter(|(_, t)| !t.is_empty())
    }

    /// Adds a leaf; `full` is told of each tile that this fills: its level, its index, its hashes.
    pub(crate) fn push(&mut self, leaf: Hash, mut full: impl FnMut(u8, u64, Vec<Hash>)) {
        let tiles = &mut self.tiles;
        self.frontier.push(leaf, |height, index, hash| {
            let (Some(0), Ok(level)) = (height.checked_rem(8), usize::try_from(height >> 3)) else { return };
            if tiles.len() <= level {
                tiles.resize(level.saturating_add(1), Vec::new());
            }
            let Some(tile) = tiles.get_mut(level) else { return };
            tile.push(*hash);
            if tile.len() >= TILE_WIDTH {
                full(u8::try_from(level).unwrap_or(u8::MAX), index >> 8, std::mem::take(tile));
            }
        });
    }
}

/// The root of a perfect tree with these leaves.
pub(crate) fn perfect_root(hashes: &[Hash]) -> Hash {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.as_chunks::<2>().0.iter().map(|[left, right]| Hash::of_node(left, right)).collect();
    }
    level.first().copied().unwrap_or_else(Hash::of_empty_tree)
}
