use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FallocateFlags, Mode, OFlags};

use super::{Directory, LogFile, OpenFile};

/// A directory of the operating system, held open: renaming it or its parents changes nothing.
///
/// Names are opened below it without following symbolic links.
#[derive(Debug)]
pub struct SystemDirectory {
    handle: File,
}

impl SystemDirectory {
    /// Opens a directory, to read or to write.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { handle: rustix::fs::open(path, flags, Mode::empty())?.into() })
    }

    /// Opens a directory for a log of one's own; creates it, with mode 0700, where there is none.
    ///
    /// # Errors
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) when the directory belongs to another user, or
    /// lets anyone else in; what the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) => sync_parent(path)?,
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let directory = Self::open(path)?;
        let stat = rustix::fs::fstat(&directory.handle)?;
        let ours = stat.st_uid == rustix::process::geteuid().as_raw();
        let private = Mode::from_raw_mode(stat.st_mode).intersection(Mode::RWXG | Mode::RWXO).is_empty();
        if ours && private { Ok(directory) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl Directory for SystemDirectory {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle)? {
            // A name that is not text is none of ours.
            if let Ok(name) = entry?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str, how: OpenFile) -> io::Result<Box<dyn LogFile>> {
        let flags = match how {
            OpenFile::Read => OFlags::RDONLY,
            OpenFile::Write => OFlags::RDWR,
            OpenFile::Create => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        Ok(Box::new(SystemFile { file: self.open_at(name, flags)? }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.handle, from, &self.handle, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.handle, name, AtFlags::empty())?)
    }

    fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn fence(&self) -> io::Result<Box<dyn Send>> {
        let file = self.open_at(FENCE, OFlags::RDWR | OFlags::CREATE)?;
        let mut attempts = FENCE_ATTEMPTS;
        loop {
            match file.try_lock() {
                // The lock lasts as long as the open file.
                Ok(()) => return Ok(Box::new(file)),
                // Someone who only looks whether there is a writer lets go at once; a writer does not.
                Err(TryLockError::WouldBlock) if attempts > 0 => thread::sleep(FENCE_PAUSE),
                Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            attempts = attempts.saturating_sub(1);
        }
    }

    fn available(&self) -> io::Result<Option<u64>> {
        let disk = rustix::fs::fstatvfs(&self.handle)?;
        Ok(Some(disk.f_bavail.saturating_mul(disk.f_frsize)))
    }

    fn is_fenced(&self) -> io::Result<bool> {
        let file = match self.open_at(FENCE, OFlags::RDONLY) {
            Ok(file) => file,
            // A copy of a log may have come without it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl SystemDirectory {
    fn open_at(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(rustix::fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }
}

#[derive(Debug)]
struct SystemFile {
    file: File,
}

impl LogFile for SystemFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn reserve(&self, size: u64) -> io::Result<bool> {
        use rustix::io::Errno;
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, size) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

const FENCE: &str = "lock";
const FENCE_ATTEMPTS: u32 = 10;
const FENCE_PAUSE: Duration = Duration::from_millis(1);
