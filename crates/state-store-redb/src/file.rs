//! The one file: private, never followed through a link, never half made.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use core_types::SecureRandom;

use crate::error::OpenError;

/// Opens the store's file for reading and writing; `None` where there is none.
pub(crate) fn open(path: &Path) -> Result<Option<File>, OpenError> {
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let opened = OpenOptions::new().read(true).write(true).custom_flags(no_follow).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // What the system says of a symbolic link in the last place.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(OpenError::NotPrivate);
        }
        Err(error) => return Err(OpenError::file("open")(error)),
    };
    let metadata = file.metadata().map_err(OpenError::file("inspect"))?;
    let private = metadata.is_file()
        && metadata.mode() & 0o077 == 0
        && metadata.uid() == rustix::process::geteuid().as_raw();
    if !private {
        return Err(OpenError::NotPrivate);
    }
    if metadata.len() == 0 {
        // The engine would make a new store of it.
        return Err(OpenError::NotAStore { detail: "the file is empty".into() });
    }
    Ok(Some(file))
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
