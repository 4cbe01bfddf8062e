use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::tlog::{Hash, TileStore};

/// Published files in memory, which stop being written on demand.
///
/// A clone is another handle on the same files.
#[derive(Debug, Clone, Default)]
pub struct MemoryTiles {
    shared: Arc<Mutex<Tiles>>,
}

#[derive(Debug, Default)]
struct Tiles {
    files: BTreeMap<String, Vec<u8>>,
    is_locked: bool,
    changes: u64,
    changes_left: Option<u64>,
}

impl MemoryTiles {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The names of all files.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.lock_tiles().files.keys().cloned().collect()
    }

    /// The contents of a file; empty where there is none.
    #[must_use]
    pub fn contents(&self, name: &str) -> Vec<u8> {
        self.lock_tiles().files.get(name).cloned().unwrap_or_default()
    }

    /// Puts a file there, as someone would who tampers with it.
    pub fn put(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.lock_tiles().files.insert(name.to_owned(), bytes.into());
    }

    /// Takes a file away.
    pub fn erase(&self, name: &str) {
        self.lock_tiles().files.remove(name);
    }

    /// How often something was changed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.lock_tiles().changes
    }

    /// After this many more changes, every change fails: the process is gone.
    pub fn stop_after(&self, changes: u64) {
        self.lock_tiles().changes_left = Some(changes);
    }

    /// The files as another process finds them after this one was killed.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let files = self.lock_tiles().files.clone();
        Self { shared: Arc::new(Mutex::new(Tiles { files, ..Tiles::default() })) }
    }

    /// Writes the tiles and bundles of a tree with these leaves, and returns its root.
    ///
    /// # Panics
    /// When a leaf is too long.
    #[must_use]
    #[expect(clippy::expect_used, reason = "for tests: a leaf that is too long is a defect of the test")]
    pub fn publish_tree(&self, folder: &str, leaves: &[Vec<u8>]) -> Hash {
        crate::tlog::publish_tree(self, folder, leaves).expect("leaves that fit in bundles")
    }

    fn lock_tiles(&self) -> MutexGuard<'_, Tiles> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tiles {
    fn change(&mut self) -> io::Result<()> {
        match &mut self.changes_left {
            Some(0) => return Err(io::ErrorKind::Other.into()),
            Some(left) => *left = left.saturating_sub(1),
            None => {}
        }
        self.changes = self.changes.saturating_add(1);
        Ok(())
    }
}

impl TileStore for MemoryTiles {
    fn read(&self, path: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
        match self.lock_tiles().files.get(path) {
            Some(bytes) if bytes.len() > limit => Err(io::ErrorKind::FileTooLarge.into()),
            found => Ok(found.cloned()),
        }
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let tiles = self.lock_tiles();
        let below = tiles.files.keys().filter_map(|name| name.strip_prefix(folder)?.strip_prefix('/'));
        Ok(below.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut tiles = self.lock_tiles();
        tiles.change()?;
        tiles.files.insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut tiles = self.lock_tiles();
        if tiles.files.contains_key(path) {
            tiles.change()?;
            tiles.files.remove(path);
        }
        Ok(())
    }

    fn settle(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self) -> io::Result<Box<dyn Send>> {
        let mut tiles = self.lock_tiles();
        if tiles.is_locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        tiles.is_locked = true;
        Ok(Box::new(Lock { tiles: self.clone() }))
    }
}

struct Lock {
    tiles: MemoryTiles,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.tiles.lock_tiles().is_locked = false;
    }
}
