//! One tree's files: appending to them, and reading what is needed to go on.

use std::io;

use super::edge::Edge;
use super::hash::{HASH_LEN, Hash};
use super::store::TileStore;
use super::tile::{MAX_BUNDLE_BYTES, TILE_WIDTH, TilePath, add_to_bundle, read_bundle};
use crate::error::FileError;

/// Where a tree's files lie.
#[derive(Clone, Copy)]
pub(crate) struct TreeFiles<'a> {
    pub(crate) store: &'a dyn TileStore,
    /// The folder, without a slash at its end.
    pub(crate) folder: &'a str,
}

/// Why files are not those of a tree.
#[derive(Debug)]
pub(crate) enum Flaw {
    Missing(Box<str>),
    Forged(Box<str>),
    File(FileError),
}

impl TreeFiles<'_> {
    pub(crate) fn name(&self, file: impl std::fmt::Display) -> String {
        format!("{}/{file}", self.folder)
    }

    /// A tile or a bundle, or as much of the full one as was asked for.
    pub(crate) fn read(&self, path: TilePath, limit: usize) -> Result<Option<(Vec<u8>, bool)>, FileError> {
        let read = |path: TilePath| {
            let name = self.name(path);
            self.store.read(&name, limit).or_else(|error| match error.kind() {
                // Too long, which no true one is: for the caller to find.
                io::ErrorKind::FileTooLarge => Ok(Some(Vec::new())),
                _ => Err(FileError::new("read", name)(error)),
            })
        };
        if let Some(bytes) = read(path)? {
            return Ok(Some((bytes, false)));
        }
        match path.with_width(TILE_WIDTH) {
            Some(full) if full != path => Ok(read(full)?.map(|bytes| (bytes, true))),
            _ => Ok(None),
        }
    }

    /// The hashes of a tile, not authenticated.
    pub(crate) fn tile(&self, path: TilePath) -> Result<Vec<Hash>, Flaw> {
        let name = || self.name(path).into();
        let read = self.read(path, TILE_WIDTH.saturating_mul(HASH_LEN)).map_err(Flaw::File)?;
        let (bytes, is_full) = read.ok_or_else(|| Flaw::Missing(name()))?;
        let mut hashes = Hash::split(&bytes).ok_or_else(|| Flaw::Forged(name()))?;
        if is_full && hashes.len() == TILE_WIDTH {
            hashes.truncate(path.width());
        }
        if hashes.len() == path.width() { Ok(hashes) } else { Err(Flaw::Forged(name())) }
    }

    /// A bundle with its leaves, not authenticated.
    pub(crate) fn bundle(&self, path: TilePath) -> Result<Vec<Vec<u8>>, Flaw> {
        let name = || self.name(path).into();
        let read = self.read(path, MAX_BUNDLE_BYTES).map_err(Flaw::File)?;
        let (bytes, is_full) = read.ok_or_else(|| Flaw::Missing(name()))?;
        let width = if is_full { TILE_WIDTH } else { path.width() };
        let mut leaves = read_bundle(&bytes, width).map_err(|_| Flaw::Forged(name()))?;
        leaves.truncate(path.width());
        Ok(leaves.into_iter().map(<[u8]>::to_vec).collect())
    }

    /// The right edge of the tree of this size and root.
    pub(crate) fn edge(&self, size: u64, root: &Hash) -> Result<Edge, Flaw> {
        let mut tiles = Vec::new();
        let mut first = None;
        for level in 0_u8..8 {
            let tile = match TilePath::partial(level, size) {
                Some(path) => {
                    first.get_or_insert(path);
                    self.tile(path)?
                }
                None => Vec::new(),
            };
            tiles.push(tile);
        }
        let edge = Edge::from_tiles(size, tiles);
        if edge.root() == *root {
            return Ok(edge);
        }
        Err(Flaw::Forged(first.map_or_else(|| self.name("checkpoint"), |path| self.name(path)).into()))
    }

    /// The partial tiles and bundles that are narrower than this one, for older checkpoints, and are not the beginning
    /// of it.
    pub(crate) fn false_beginnings(&self, path: TilePath) -> Result<Vec<TilePath>, FileError> {
        let Some(bytes) = self.read(path, MAX_BUNDLE_BYTES)?.map(|(bytes, _)| bytes) else {
            return Ok(Vec::new());
        };
        let file = self.name(path);
        let Some((folder, _)) = file.rsplit_once('/').filter(|(folder, _)| folder.ends_with(".p")) else {
            return Ok(Vec::new());
        };
        let names = self.store.names(folder).map_err(FileError::new("list", folder))?;
        let mut found = Vec::new();
        for width in names.iter().filter_map(|name| name.parse::<usize>().ok()) {
            let Some(narrower) = path.with_width(width).filter(|_| width < path.width()) else { continue };
            let read = self.read(narrower, MAX_BUNDLE_BYTES)?.map(|(bytes, _)| bytes).unwrap_or_default();
            let is_whole = if path.level().is_some() {
                read.len() == width.saturating_mul(HASH_LEN)
            } else {
                read_bundle(&read, width).is_ok()
            };
            if !is_whole || !bytes.starts_with(&read) {
                found.push(narrower);
            }
        }
        Ok(found)
    }

    /// Adds leaves to the tree: writes the tiles and bundles that are new, and removes partial ones that full
    /// ones have taken the place of. Until then they stay: some checkpoint may need any of them.
    pub(crate) fn append(&self, edge: &mut Edge, leaves: &[Vec<u8>]) -> Result<(), Flaw> {
        let before = edge.size();
        let mut bundle = self.last_bundle(edge)?;
        let mut full = Vec::new();
        for leaf in leaves {
            if !add_to_bundle(&mut bundle, leaf) {
                return Err(Flaw::Forged(self.folder.into()));
            }
            let index = edge.size() >> 8;
            edge.push(Hash::of_leaf(leaf), |level, index, hashes| full.push((level, index, hashes)));
            if edge.tile(0).is_none() {
                self.write(TilePath::entries(index), &bundle)?;
                bundle.clear();
            }
        }
        for (level, index, hashes) in &full {
            if let Some(path) = TilePath::full(*level, *index) {
                self.write(path, &concat(hashes))?;
            }
        }
        for (level, hashes) in edge.tiles() {
            // Nothing new on a level whose tile is as wide as before.
            if let Some(path) = TilePath::partial(level, edge.size())
                && TilePath::partial(level, before) != Some(path)
            {
                self.write(path, &concat(hashes))?;
            }
        }
        if let Some(width) = edge.tile(0).map(<[Hash]>::len)
            && let Some(path) = TilePath::entries(edge.size() >> 8).with_width(width)
            && !leaves.is_empty()
        {
            self.write(path, &bundle)?;
        }
        for (level, index, _) in full {
            // What was not begun before has no partial ones.
            let starts = index.checked_shl(u32::from(level).saturating_add(1).saturating_mul(8));
            if starts.is_none_or(|starts| starts >= before) {
                continue;
            }
            let entries = (level == 0).then(|| TilePath::entries(index));
            for path in TilePath::full(level, index).into_iter().chain(entries) {
                self.remove_partial(path)?;
            }
        }
        Ok(())
    }

    /// The bytes of the bundle that is not full, compared with what the edge knows of it.
    fn last_bundle(&self, edge: &Edge) -> Result<Vec<u8>, Flaw> {
        let mut bytes = Vec::new();
        let Some(hashes) = edge.tile(0) else { return Ok(bytes) };
        let Some(path) = TilePath::entries(edge.size() >> 8).with_width(hashes.len()) else {
            return Ok(bytes);
        };
        let leaves = self.bundle(path)?;
        let is_true = leaves.iter().map(|leaf| Hash::of_leaf(leaf)).eq(hashes.iter().copied());
        if !is_true || !leaves.iter().all(|leaf| add_to_bundle(&mut bytes, leaf)) {
            return Err(Flaw::Forged(self.name(path).into()));
        }
        Ok(bytes)
    }

    fn remove_partial(&self, full: TilePath) -> Result<(), Flaw> {
        for width in 1..TILE_WIDTH {
            if let Some(path) = full.with_width(width) {
                self.remove(path).map_err(Flaw::File)?;
            }
        }
        Ok(())
    }

    fn remove(&self, path: TilePath) -> Result<(), FileError> {
        let name = self.name(path);
        self.store.remove(&name).map_err(FileError::new("remove", name))
    }

    fn write(&self, path: TilePath, bytes: &[u8]) -> Result<(), Flaw> {
        let name = self.name(path);
        self.store.write(&name, bytes).map_err(|error| Flaw::File(FileError::new("write", name)(error)))
    }
}

fn concat(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.as_bytes().iter().copied()).collect()
}
