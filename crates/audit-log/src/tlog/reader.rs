//! Reading a tree from its tiles, believing none of them before it is authenticated.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::ProveError;
use super::files::{Flaw, TreeFiles};
use super::hash::Hash;
use super::proof::{self, Subtree};
use super::store::TileStore;
use super::tile::{TILE_WIDTH, TilePath};

/// Reads one tree, of one size and root, from files that anyone may have written.
///
/// The tiles of the right edge, which are not full, are authenticated together: they make up the root. Every other
/// tile is authenticated by the hash that the tile above has of it, before any of its hashes is used or kept.
pub struct TileReader {
    store: Arc<dyn TileStore>,
    folder: Box<str>,
    size: u64,
    // By level: the tile that is not full.
    edge: Vec<Nodes>,
    // Authenticated, at most `MAX_CACHED_TILES`.
    full: HashMap<(u8, u64), Arc<Nodes>>,
}

impl TileReader {
    /// A reader of the tree in this folder, of which the caller knows, from a verified tree head, the size and the
    /// root.
    ///
    /// # Errors
    /// [`ProveError::Forged`], [`ProveError::Missing`], [`ProveError::File`].
    pub fn open(store: Arc<dyn TileStore>, folder: &str, size: u64, root: &Hash) -> Result<Self, ProveError> {
        if size > proof::MAX_TREE_SIZE {
            return Err(proof_range());
        }
        let edge = TreeFiles { store: &*store, folder }.edge(size, root)?;
        let edge = (0_u8..8).map(|level| Nodes::new(edge.tile(level).unwrap_or_default())).collect();
        Ok(Self { store, folder: folder.into(), size, edge, full: HashMap::new() })
    }

    /// The tree's size.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hash of a leaf.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn leaf_hash(&mut self, index: u64) -> Result<Hash, ProveError> {
        if index < self.size { self.node(0, index) } else { Err(proof_range()) }
    }

    /// The inclusion proof of a leaf.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn inclusion_proof(&mut self, index: u64) -> Result<Vec<Hash>, ProveError> {
        self.hashes(proof::inclusion_path(index, self.size)?)
    }

    /// The proof that the tree of the first `old_size` leaves is the beginning of this one.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn consistency_proof(&mut self, old_size: u64) -> Result<Vec<Hash>, ProveError> {
        self.hashes(proof::consistency_path(old_size, self.size)?)
    }

    /// The root of the tree of the first `size` leaves.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn root_at(&mut self, size: u64) -> Result<Hash, ProveError> {
        if size > self.size {
            return Err(proof_range());
        }
        Subtree::of_tree(size).hash(|height, index| self.node(height, index))
    }

    /// A leaf, from its bundle.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn leaf(&mut self, index: u64) -> Result<Vec<u8>, ProveError> {
        let expected = self.leaf_hash(index)?;
        let path = self.bundle_path(index >> 8);
        let files = TreeFiles { store: &*self.store, folder: &self.folder };
        let mut leaves = files.bundle(path)?;
        let place = usize::try_from(index & 0xff).unwrap_or(usize::MAX);
        let leaf = if place < leaves.len() { leaves.swap_remove(place) } else { Vec::new() };
        if Hash::of_leaf(&leaf) == expected {
            Ok(leaf)
        } else {
            Err(ProveError::Forged { file: files.name(path).into() })
        }
    }

    /// The leaves of a bundle, which are not authenticated.
    pub(crate) fn bundle(&self, index: u64) -> Result<Vec<Vec<u8>>, ProveError> {
        let files = TreeFiles { store: &*self.store, folder: &self.folder };
        Ok(files.bundle(self.bundle_path(index))?)
    }

    fn bundle_path(&self, index: u64) -> TilePath {
        let full = TilePath::entries(index);
        match TilePath::partial(0, self.size) {
            Some(edge) if edge.index() == index => full.with_width(edge.width()).unwrap_or(full),
            _ => full,
        }
    }

    fn hashes(&mut self, path: Vec<Subtree>) -> Result<Vec<Hash>, ProveError> {
        path.into_iter().map(|subtree| subtree.hash(|height, index| self.node(height, index))).collect()
    }

    /// The hash of a perfect subtree.
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, ProveError> {
        let within = height % 8;
        let level = u8::try_from(height >> 3).unwrap_or(u8::MAX);
        let tile = index >> 8_u32.saturating_sub(within);
        let first = tile.checked_shl(8_u32.saturating_sub(within)).unwrap_or(0);
        let place = index.saturating_sub(first);
        // How many full tiles there are of this level.
        let full = self.size.checked_shr(u32::from(level).saturating_add(1).saturating_mul(8)).unwrap_or(0);
        let found = if tile < full {
            self.full_tile(level, tile)?.node(within, place)
        } else {
            self.edge.get(usize::from(level)).and_then(|nodes| nodes.node(within, place))
        };
        found.ok_or_else(proof_range)
    }

    /// A full tile, authenticated.
    fn full_tile(&mut self, level: u8, index: u64) -> Result<Arc<Nodes>, ProveError> {
        if let Some(tile) = self.full.get(&(level, index)) {
            return Ok(Arc::clone(tile));
        }
        let path = TilePath::full(level, index).ok_or_else(proof_range)?;
        let files = TreeFiles { store: &*self.store, folder: &self.folder };
        let name = files.name(path);
        let nodes = Nodes::new(&files.tile(path)?);
        // The tile above has its root.
        let expected = self.node(u32::from(level).saturating_add(1).saturating_mul(8), index)?;
        if nodes.node(8, 0) != Some(expected) {
            return Err(ProveError::Forged { file: name.into() });
        }
        if self.full.len() >= MAX_CACHED_TILES {
            self.full.clear();
        }
        let nodes = Arc::new(nodes);
        self.full.insert((level, index), Arc::clone(&nodes));
        Ok(nodes)
    }
}

impl std::fmt::Debug for TileReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TileReader")
            .field("folder", &self.folder)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// A tile with the perfect subtrees above its hashes.
struct Nodes {
    heights: Vec<Vec<Hash>>,
}

impl Nodes {
    fn new(hashes: &[Hash]) -> Self {
        let mut heights = vec![hashes.to_vec()];
        for _ in 0..TILE_WIDTH.ilog2() {
            let below = heights.last().map(Vec::as_slice).unwrap_or_default();
            let pairs = below.as_chunks::<2>().0;
            heights.push(pairs.iter().map(|[left, right]| Hash::of_node(left, right)).collect());
        }
        Self { heights }
    }

    fn node(&self, height: u32, place: u64) -> Option<Hash> {
        let hashes = self.heights.get(usize::try_from(height).ok()?)?;
        hashes.get(usize::try_from(place).ok()?).copied()
    }
}

fn proof_range() -> ProveError {
    ProveError::Range(super::error::ProofError::Range)
}

impl From<Flaw> for ProveError {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Missing(file) => Self::Missing { file },
            Flaw::Forged(file) => Self::Forged { file },
            Flaw::File(error) => Self::File(error),
        }
    }
}

/// Each of 16 KiB.
const MAX_CACHED_TILES: usize = 512;
