//! The one file: private, never followed through a link, never half made.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use core_types::SecureRandom;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::OpenError;

/// Opens the store's file for reading and writing; `None` where there is none.
pub(crate) fn open(path: &Path) -> Result<Option<File>, OpenError> {
    // Not blocking, for the case that it is no file at all but something that waits for another side.
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        // What the system says of a symbolic link in the last place, of a folder, of a socket.
        Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Err(OpenError::NotAFile),
        Err(error) => return Err(OpenError::file("open")(error.into())),
    };
    let metadata = file.metadata().map_err(OpenError::file("inspect"))?;
    if !metadata.is_file() {
        return Err(OpenError::NotAFile);
    }
    check_private(metadata.uid(), rustix::process::geteuid().as_raw(), metadata.mode())?;
    if metadata.len() == 0 {
        // The engine would make a new store of it.
        return Err(OpenError::NotAStore { detail: "the file is empty".into() });
    }
    Ok(Some(file))
}

fn check_private(owner: u32, user: u32, mode: u32) -> Result<(), OpenError> {
    if owner != user {
        return Err(OpenError::Owner { owner, user });
    }
    let mode = mode & 0o7777;
    if mode & 0o077 != 0 {
        return Err(OpenError::Mode { mode });
    }
    Ok(())
}

/// A file that is being made under another name, so that a store appears whole or not at all.
pub(crate) struct Draft {
    path: PathBuf,
}

impl Draft {
    /// Makes an empty file of mode 0600 beside `target`.
    pub(crate) fn new(target: &Path, rng: &dyn SecureRandom) -> Result<(Self, File), OpenError> {
        let mut random = [0; 8];
        rng.fill(&mut random)?;
        let mut name = target.as_os_str().to_owned();
        name.push(format!(".{:016x}.new", u64::from_be_bytes(random)));
        let path = PathBuf::from(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(OpenError::file("create"))?;
        Ok((Self { path }, file))
    }

    /// Gives the file its name, durably, unless the name is taken.
    pub(crate) fn publish(self, target: &Path) -> Result<(), OpenError> {
        // A link, unlike a renaming, never replaces what is there.
        match fs::hard_link(&self.path, target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(OpenError::Exists),
            Err(error) => return Err(OpenError::file("name")(error)),
        }
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(OpenError::file("sync the folder of"))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // At worst a file of another name stays behind, which nothing opens.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_users_own_file_that_nobody_else_may_touch_is_private() {
        assert_eq!(check_private(7, 7, 0o100_600), Ok(()));
        assert_eq!(check_private(7, 7, 0o100_400), Ok(()));
        assert_eq!(check_private(8, 7, 0o100_600), Err(OpenError::Owner { owner: 8, user: 7 }));
        assert_eq!(check_private(0, 7, 0o100_600), Err(OpenError::Owner { owner: 0, user: 7 }));
        for bit in [0o001, 0o002, 0o004, 0o010, 0o020, 0o040] {
            let mode = 0o600 | bit;
            assert_eq!(check_private(7, 7, 0o100_000 | mode), Err(OpenError::Mode { mode }));
        }
    }
}
