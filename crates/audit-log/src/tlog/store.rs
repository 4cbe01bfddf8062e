//! Where published files lie.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags};

use super::error::StoreError;
use crate::files::SystemDirectory;

/// A tree of files. Paths are relative, of ASCII letters, digits, `.` and `/`.
///
/// # What a wrong answer breaks
/// Nothing that is proven: whatever is read is compared with what was signed. A file that is written in part, or
/// lost after [`settle`](Self::settle), has to be made anew from the log.
pub trait TileStore: Send + Sync {
    /// A file; `None` where there is none.
    ///
    /// # Errors
    /// [`FileTooLarge`](io::ErrorKind::FileTooLarge) past `limit` bytes; what the system says.
    fn read(&self, path: &str, limit: usize) -> io::Result<Option<Vec<u8>>>;

    /// The names of what is in a folder, in any order; none where there is no such folder.
    ///
    /// # Errors
    /// What the system says.
    fn names(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Puts a file there, or another in its place, as a whole or not at all.
    ///
    /// # Errors
    /// What the system says.
    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file; one that is not there is removed already.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Makes all that was written so far durable.
    ///
    /// # Errors
    /// What the system says.
    fn settle(&self) -> io::Result<()>;

    /// Keeps every other publisher out until the value is dropped, or its process ends.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) while another publisher holds it.
    fn lock(&self) -> io::Result<Box<dyn Send>>;
}

/// The folder within a log's directory in which its proofs are published.
pub const PROOFS: &str = "proofs";

/// A folder of the operating system, held open. Folders below it get mode 0700, files 0600; symbolic links are not
/// followed.
#[derive(Debug)]
pub struct SystemTiles {
    root: File,
    // Folders with names that are not durable yet.
    unsettled: Mutex<BTreeSet<String>>,
}

impl SystemTiles {
    /// Opens a folder of one's own; creates it, with mode 0700, where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        SystemDirectory::create(path).map_err(|error| StoreError(error.kind()))?;
        Self::open(path)
    }

    /// Opens a folder that is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let root = rustix::fs::open(path, FOLDER, Mode::empty()).map_err(|error| StoreError(error.kind()))?;
        Ok(Self { root: root.into(), unsettled: Mutex::default() })
    }

    /// The folder of a file; makes it where that is wanted.
    fn folder(&self, folder: &str, create: bool) -> io::Result<File> {
        let mut at = self.root.try_clone()?;
        let mut above = String::new();
        for name in folder.split('/').filter(|name| !name.is_empty()) {
            let opened = match rustix::fs::openat(&at, name, FOLDER, Mode::empty()) {
                Err(rustix::io::Errno::NOENT) if create => {
                    match rustix::fs::mkdirat(&at, name, Mode::RWXU) {
                        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    self.touch(&above);
                    rustix::fs::openat(&at, name, FOLDER, Mode::empty())
                }
                opened => opened,
            };
            at = opened?.into();
            if !above.is_empty() {
                above.push('/');
            }
            above.push_str(name);
        }
        Ok(at)
    }

    fn touch(&self, folder: &str) {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned());
    }
}

impl TileStore for SystemTiles {
    fn read(&self, path: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let opened = self.folder(folder, false).and_then(|folder| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            Ok(File::from(rustix::fs::openat(&folder, name, flags, Mode::empty())?))
        });
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        file.take(most).read_to_end(&mut bytes)?;
        if bytes.len() > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(Some(bytes)) }
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let folder = match self.folder(folder, false) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&folder)? {
            // A name that is no text is none of ours.
            let entry = entry?;
            names.extend(entry.file_name().to_str().ok().map(str::to_owned));
        }
        Ok(names)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.folder(parent, true)?;
        let scratch = format!("{name}.new");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut file = File::from(rustix::fs::openat(&folder, &*scratch, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(bytes)?;
        file.sync_data()?;
        rustix::fs::renameat(&folder, &*scratch, &folder, name)?;
        self.touch(parent);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let removed = self
            .folder(parent, false)
            .and_then(|folder| Ok(rustix::fs::unlinkat(&folder, name, AtFlags::empty())?));
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn settle(&self) -> io::Result<()> {
        let folders = std::mem::take(&mut *self.unsettled.lock().unwrap_or_else(PoisonError::into_inner));
        for folder in folders {
            self.folder(&folder, false)?.sync_all()?;
        }
        Ok(())
    }

    fn lock(&self) -> io::Result<Box<dyn Send>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = File::from(rustix::fs::openat(&self.root, LOCK, flags, Mode::RUSR | Mode::WUSR)?);
        match file.try_lock() {
            // The lock lasts as long as the open file.
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

const LOCK: &str = "lock";
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
