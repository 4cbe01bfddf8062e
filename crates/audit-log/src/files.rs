//! The port to the file system: what the log asks of its directory.
//!
//! [`SystemDirectory`] is the real one. Tests put faults and power cuts behind the same port
//! (feature `testing`).

mod system;

use std::io;
use std::thread;

pub use system::SystemDirectory;

/// A directory of files.
///
/// # What a wrong answer breaks
/// Durability: what [`LogFile::sync`] and [`Directory::sync`] have confirmed must be there after a power cut.
/// Exclusion: while a fence is held no other process and no other handle may get one.
pub trait Directory: Send + Sync {
    /// The names of the files.
    ///
    /// # Errors
    /// What the system says.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Opens a file.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound), [`AlreadyExists`](io::ErrorKind::AlreadyExists), or what the
    /// system says.
    fn open(&self, name: &str, how: OpenFile) -> io::Result<Box<dyn LogFile>>;

    /// Renames a file over another.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes created, renamed and removed names durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self) -> io::Result<()>;

    /// Keeps every other writer out until the value is dropped, or its process ends.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) while another writer holds it.
    fn fence(&self) -> io::Result<Box<dyn Send>>;

    /// Whether a writer holds the fence now.
    ///
    /// # Errors
    /// What the system says.
    fn is_fenced(&self) -> io::Result<bool>;

    /// How many bytes new files may take, where that is known.
    ///
    /// # Errors
    /// What the system says.
    fn available(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// Has work done that nobody waits for: a thread of its own, unless an implementation has other means.
    ///
    /// # Errors
    /// What the system says; the work was not begun then.
    fn run_aside(&self, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        thread::Builder::new().name("audit-log-aside".into()).spawn(work).map(drop)
    }
}

/// An open file.
pub trait LogFile: Send + Sync {
    /// Its size in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self) -> io::Result<u64>;

    /// Reads from an offset; may read less than asked, and reads nothing at the end only.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at an offset; may write less than asked.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts or extends the file.
    ///
    /// # Errors
    /// What the system says.
    fn set_size(&self, size: u64) -> io::Result<()>;

    /// Makes room on the disk for a file of zeros of this size, where that can be done without writing them: later
    /// writes do not want for room then, and each sync of them has more to do. `false` where it cannot, and nothing
    /// was done.
    ///
    /// # Errors
    /// What the system says.
    fn reserve(&self, size: u64) -> io::Result<bool> {
        _ = size;
        Ok(false)
    }

    /// Makes contents and size durable.
    ///
    /// # Errors
    /// What the system says; after an error nothing is known about what was written since the last success.
    fn sync(&self) -> io::Result<()>;
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenFile {
    /// For reading; it exists.
    Read,
    /// For reading and writing; it exists.
    Write,
    /// For reading and writing; it does not exist, and comes to be with mode 0600.
    Create,
}

/// Fills `buffer` from `offset`; what lies past the end of the file is cut off.
pub(crate) fn read_up_to<'a>(
    file: &dyn LogFile,
    buffer: &'a mut [u8],
    offset: u64,
) -> io::Result<&'a mut [u8]> {
    let mut filled = 0_usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer.get_mut(..filled).unwrap_or_default())
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write_all(file: &dyn LogFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset = offset.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Replaces a file as a whole, durably.
pub(crate) fn replace(directory: &dyn Directory, name: &str, contents: &[u8]) -> io::Result<()> {
    let scratch = format!("{name}.new");
    match directory.remove(&scratch) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = directory.open(&scratch, OpenFile::Create)?;
    write_all(&*file, contents, 0)?;
    file.sync()?;
    directory.rename(&scratch, name)?;
    directory.sync()
}
