//! The file on disk: whose it must be, and how it is replaced.

use core::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use core_types::SecureRandom;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{MAX_STATE_BYTES, MachineState, Sealer, document};
use crate::error::{RotateError, StateError};
use crate::secret_text::SecretText;

/// A machine's state in a file of mode 0600, in a folder of mode 0700, both of the user who runs this.
///
/// The folder is opened once and everything is done within that: who can rename what the path leads through cannot
/// make this write elsewhere. Links are not followed, neither of the file nor of the folder. A file is written beside,
/// made durable, and renamed: at any moment, `kill -9` and power failures included, there is the old state or the new
/// one. Writers wait for each other.
pub struct StateFile {
    folder: File,
    name: String,
    sealer: Option<Box<dyn Sealer>>,
}

impl StateFile {
    /// The file at this path, which need not be there yet; its folder must.
    ///
    /// # Errors
    /// [`StateError::Name`], [`StateError::NotAFolder`], [`StateError::FolderMode`], [`StateError::Owner`],
    /// [`StateError::Io`].
    pub fn at(path: &Path) -> Result<Self, StateError> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(StateError::Name)?.to_owned();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = match rustix::fs::open(parent, FOLDER, Mode::empty()) {
            Ok(folder) => File::from(folder),
            Err(Errno::LOOP | Errno::NOTDIR) => return Err(StateError::NotAFolder),
            Err(error) => return Err(system(error)),
        };
        let metadata = folder.metadata().map_err(StateError::Io)?;
        own(metadata.uid())?;
        if metadata.mode() & 0o077 != 0 {
            return Err(StateError::FolderMode { mode: metadata.mode() & 0o7777 });
        }
        Ok(Self { folder, name, sealer: None })
    }

    /// Encrypted by this from now on. A file that is not, or by another, is refused.
    #[must_use]
    pub fn with_sealer(mut self, sealer: Box<dyn Sealer>) -> Self {
        self.sealer = Some(sealer);
        self
    }

    /// Writes the state of a machine that has none. What is there is never overwritten.
    ///
    /// # Errors
    /// [`StateError::Exists`], [`StateError::Seal`], [`StateError::Io`].
    pub fn create(&mut self, state: &MachineState, rng: &dyn SecureRandom) -> Result<(), StateError> {
        self.create_in_steps(state, rng, &mut |_| {})
    }

    /// Reads the state.
    ///
    /// # Errors
    /// [`StateError`], all but [`StateError::Exists`] and [`StateError::Rotate`].
    pub fn load(&self) -> Result<MachineState, StateError> {
        let file = match rustix::fs::openat(&self.folder, &*self.name, READ, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Err(StateError::Missing),
            // A socket is there and cannot be opened.
            Err(Errno::LOOP | Errno::NXIO) => return Err(StateError::NotAFile),
            Err(error) => return Err(system(error)),
        };
        let metadata = file.metadata().map_err(StateError::Io)?;
        if !metadata.is_file() {
            return Err(StateError::NotAFile);
        }
        own(metadata.uid())?;
        if metadata.mode() & 0o7177 != 0 {
            return Err(StateError::FileMode { mode: metadata.mode() & 0o7777 });
        }
        // Room for all of it at once: a string that grows leaves copies behind.
        let mut text = String::with_capacity(MAX_STATE_BYTES.saturating_mul(2));
        let limit = u64::try_from(MAX_STATE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        let read = file.take(limit).read_to_string(&mut text);
        let text = SecretText::take_from(text);
        match read {
            Ok(len) if len > MAX_STATE_BYTES => Err(StateError::TooLarge),
            Ok(_) => document::read(text.expose_secret(), self.sealer.as_deref()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(StateError::Damaged { part: "not UTF-8" })
            }
            Err(error) => Err(StateError::Io(error)),
        }
    }

    /// Reads the state, changes it, and makes the change durable before it returns: only then may anybody be told.
    ///
    /// # Errors
    /// [`StateError`]; nothing is changed then, unless it is [`StateError::Io`] of making the rename durable, in which
    /// case the change may be there.
    pub fn update<T>(
        &mut self,
        rng: &dyn SecureRandom,
        change: impl FnOnce(&mut MachineState) -> Result<T, RotateError>,
    ) -> Result<T, StateError> {
        self.update_in_steps(rng, change, &mut |_| {})
    }

    /// As [`create`](Self::create), calling `after` after each step.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    #[cfg(feature = "testing")]
    pub fn create_observed(
        &mut self,
        state: &MachineState,
        rng: &dyn SecureRandom,
        after: &mut dyn FnMut(Step),
    ) -> Result<(), StateError> {
        self.create_in_steps(state, rng, after)
    }

    /// As [`update`](Self::update), calling `after` after each step.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    #[cfg(feature = "testing")]
    pub fn update_observed<T>(
        &mut self,
        rng: &dyn SecureRandom,
        change: impl FnOnce(&mut MachineState) -> Result<T, RotateError>,
        after: &mut dyn FnMut(Step),
    ) -> Result<T, StateError> {
        self.update_in_steps(rng, change, after)
    }

    fn create_in_steps(
        &mut self,
        state: &MachineState,
        rng: &dyn SecureRandom,
        after: &mut dyn FnMut(Step),
    ) -> Result<(), StateError> {
        let _lock = self.lock()?;
        if rustix::fs::statat(&self.folder, &*self.name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(StateError::Exists);
        }
        let temporary = self.write_beside(&document::write(state, self.sealer.as_deref(), rng)?, after)?;
        // Whoever put something there meanwhile keeps it.
        match rustix::fs::renameat_with(
            &self.folder,
            &*temporary,
            &self.folder,
            &*self.name,
            RenameFlags::NOREPLACE,
        ) {
            Ok(()) => {}
            Err(error) => {
                let _ = rustix::fs::unlinkat(&self.folder, &*temporary, AtFlags::empty());
                return Err(if error == Errno::EXIST { StateError::Exists } else { system(error) });
            }
        }
        self.settle(after)
    }

    fn update_in_steps<T>(
        &mut self,
        rng: &dyn SecureRandom,
        change: impl FnOnce(&mut MachineState) -> Result<T, RotateError>,
        after: &mut dyn FnMut(Step),
    ) -> Result<T, StateError> {
        let _lock = self.lock()?;
        let mut state = self.load()?;
        let outcome = change(&mut state)?;
        let temporary = self.write_beside(&document::write(&state, self.sealer.as_deref(), rng)?, after)?;
        rustix::fs::renameat(&self.folder, &*temporary, &self.folder, &*self.name).map_err(system)?;
        self.settle(after)?;
        Ok(outcome)
    }

    /// Keeps other writers out for as long as what it returns lives.
    fn lock(&self) -> Result<File, StateError> {
        let folder =
            File::from(rustix::fs::openat(&self.folder, ".", FOLDER, Mode::empty()).map_err(system)?);
        rustix::fs::flock(&folder, FlockOperation::LockExclusive).map_err(system)?;
        Ok(folder)
    }

    /// Writes the file under another name, durably; returns that name. One that was left by a writer that was killed
    /// is removed: under the lock it is nobody's.
    fn write_beside(&self, text: &SecretText, after: &mut dyn FnMut(Step)) -> Result<String, StateError> {
        let temporary = format!(".{}.new", self.name);
        match rustix::fs::unlinkat(&self.folder, &*temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(system(error)),
        }
        let file = rustix::fs::openat(&self.folder, &*temporary, WRITE, Mode::from_raw_mode(0o600))
            .map_err(system)?;
        // Whatever the umask: one that takes away the owner's rights would leave a file that cannot be read.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o600)).map_err(system)?;
        after(Step::Created);
        let mut file = File::from(file);
        file.write_all(text.expose_secret().as_bytes()).map_err(StateError::Io)?;
        after(Step::Written);
        file.sync_all().map_err(StateError::Io)?;
        after(Step::Synced);
        Ok(temporary)
    }

    fn settle(&self, after: &mut dyn FnMut(Step)) -> Result<(), StateError> {
        after(Step::Renamed);
        rustix::fs::fsync(&self.folder).map_err(system)?;
        after(Step::Durable);
        Ok(())
    }
}

impl fmt::Debug for StateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateFile").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What has been done of writing a file; tests look at it (feature `testing`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// The new file is there, empty.
    Created,
    /// It has its bytes.
    Written,
    /// They are durable.
    Synced,
    /// It has the old one's place.
    Renamed,
    /// So it has after a power failure.
    Durable,
}

fn own(uid: u32) -> Result<(), StateError> {
    if uid == rustix::process::geteuid().as_raw() { Ok(()) } else { Err(StateError::Owner { uid }) }
}

fn system(error: Errno) -> StateError {
    StateError::Io(error.into())
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);
const WRITE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
