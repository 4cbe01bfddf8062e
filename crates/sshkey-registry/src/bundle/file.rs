//! The bundle of a machine as a file: who may have written it, and how it is replaced.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use core_types::Scope;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};

use super::{Bundle, ReadAt, TrustedSigners};
use crate::error::{BundleError, FileError};

/// A bundle on disk, opened and found to be one that only its owner could have written.
#[derive(Debug)]
pub struct BundleFile {
    file: File,
    len: u64,
}

impl BundleFile {
    /// Opens a file that belongs to root or to `owner`, and that nobody else may write; the same is asked of its
    /// folder. Links are not followed.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(path: &Path, owner: u32) -> Result<Self, FileError> {
        let file = open_trusted(path, owner)?;
        let len = file.metadata().map_err(FileError::Io)?.len();
        Ok(Self { file, len })
    }
}

impl ReadAt for BundleFile {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.len)
    }
}

/// Reads a small file that belongs to root or `owner` and that nobody else may write, such as the list of
/// signers.
///
/// # Errors
/// [`FileError`]; [`FileError::TooLarge`] past 64 KiB.
pub fn read_trusted(path: &Path, owner: u32) -> Result<String, FileError> {
    let file = open_trusted(path, owner)?;
    let mut text = String::new();
    file.take(MAX_TRUST_BYTES.saturating_add(1)).read_to_string(&mut text).map_err(FileError::Io)?;
    let len = u64::try_from(text.len()).unwrap_or(u64::MAX);
    if len > MAX_TRUST_BYTES { Err(FileError::TooLarge) } else { Ok(text) }
}

/// What came of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "another outcome must break the caller")]
pub enum Installed {
    /// There was none before.
    First,
    /// It took the place of the one with this revision.
    Replaced(u64),
}

/// Puts a bundle in place of the one at `path`, if it may: verified to the last byte, of this machine, not older
/// than what is there. A crash at any moment leaves one of the two, whole.
///
/// # Errors
/// [`FileError`]. Where what is there cannot be read or verified, nothing is replaced: whoever damaged it could
/// otherwise have an old bundle put back. An operator removes it then.
pub fn install(
    path: &Path,
    bytes: &[u8],
    trusted: &TrustedSigners,
    machine: &Scope,
    owner: u32,
) -> Result<Installed, FileError> {
    let new = Bundle::open(bytes, trusted, machine)?;
    new.contents()?;
    let (folder, name) = split(path)?;
    let folder = open_folder(&folder, owner)?;
    // One at a time: of two that both find the old bundle the newer one must win.
    rustix::fs::flock(&folder, FlockOperation::LockExclusive).map_err(system)?;
    let outcome = match BundleFile::open(path, owner) {
        Ok(installed) => {
            let installed = Bundle::open(installed, trusted, machine)?;
            if !new.may_replace(&installed) {
                return Err(FileError::Older { installed: installed.revision(), offered: new.revision() });
            }
            Installed::Replaced(installed.revision())
        }
        Err(FileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Installed::First,
        Err(error) => return Err(error),
    };
    let temporary = format!(".{name}.new");
    match rustix::fs::unlinkat(&folder, &*temporary, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(system(error)),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, &*temporary, flags, Mode::from_raw_mode(0o644)).map_err(system)?;
    // Whatever the umask: sshd reads it as a user without rights.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644)).map_err(system)?;
    let mut file = File::from(file);
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(FileError::Io)?;
    rustix::fs::renameat(&folder, &*temporary, &folder, &*name).map_err(system)?;
    rustix::fs::fsync(&folder).map_err(system)?;
    Ok(outcome)
}

fn open_trusted(path: &Path, owner: u32) -> Result<File, FileError> {
    let (folder, name) = split(path)?;
    let folder = open_folder(&folder, owner)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::openat(&folder, &*name, flags, Mode::empty()).map_err(system)?);
    let metadata = file.metadata().map_err(FileError::Io)?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile);
    }
    check(metadata.uid(), metadata.mode(), owner)?;
    Ok(file)
}

fn open_folder(folder: &Path, owner: u32) -> Result<File, FileError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = File::from(rustix::fs::open(folder, flags, Mode::empty()).map_err(system)?);
    let metadata = folder.metadata().map_err(FileError::Io)?;
    check(metadata.uid(), metadata.mode(), owner)?;
    Ok(folder)
}

const fn check(uid: u32, mode: u32, owner: u32) -> Result<(), FileError> {
    if uid != 0 && uid != owner {
        return Err(FileError::Owner { uid });
    }
    if mode & 0o022 != 0 { Err(FileError::Mode { mode: mode & 0o7777 }) } else { Ok(()) }
}

fn split(path: &Path) -> Result<(PathBuf, String), FileError> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(FileError::NotAFile)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((folder.to_owned(), name.to_owned()))
}

fn system(error: rustix::io::Errno) -> FileError {
    FileError::Io(error.into())
}

impl From<BundleError> for FileError {
    fn from(error: BundleError) -> Self {
        Self::Bundle(error)
    }
}

const MAX_TRUST_BYTES: u64 = 64 << 10;
