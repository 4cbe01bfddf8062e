//! Files that hold secrets.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

/// Writes a new file of mode 0600, and its name, to the disk.
pub(crate) fn write_durably(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = file.with_extension("partial");
    // What a start that was interrupted left behind.
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    open.write_all(bytes)?;
    open.sync_all()?;
    fs::rename(&partial, file)?;
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes a file, durably; one that is not there is removed.
pub(crate) fn remove_durably(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        removed => removed?,
    }
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Reads a file that only its owner can read; `None` where there is none.
pub(crate) fn read_private(file: &Path, limit: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let open = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        open => open?,
    };
    let about = open.metadata()?;
    let mode = about.permissions().mode();
    if mode & 0o077 != 0 {
        let message = format!("open to others (mode {:o}): make it 0600", mode & 0o777);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    if about.len() > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too long for what it should be"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default()));
    open.take(limit).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
