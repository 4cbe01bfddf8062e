use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use core_types::SecureRandom;
use core_types::testing::TestRandom;

use crate::files::{Directory, LogFile, OpenFile};

/// A directory in memory, on a disk that fails, fills up and loses power on demand.
///
/// A clone is another handle on the same directory.
#[derive(Debug, Clone, Default)]
pub struct MemoryDirectory {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    disk: Mutex<Disk>,
    gate_opened: Condvar,
}

#[derive(Debug, Default, Clone)]
struct Disk {
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    files: Vec<Contents>,
    is_fenced: bool,
    is_gate_closed: bool,
    operations: u64,
    file_syncs: u64,
    reservations: u64,
    // Countdowns and bounds of the faults.
    operations_left: Option<u64>,
    syncs_left: Option<u64>,
    bytes_left: Option<usize>,
    write_at_most: Option<usize>,
}

#[derive(Debug, Default, Clone)]
struct Contents {
    now: Vec<u8>,
    durable: Vec<u8>,
}

impl MemoryDirectory {
    /// An empty directory on a good disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The contents of a file; empty where there is none.
    #[must_use]
    pub fn read(&self, name: &str) -> Vec<u8> {
        let disk = self.lock();
        disk.names.get(name).and_then(|file| disk.files.get(*file)).map_or_else(Vec::new, |c| c.now.clone())
    }

    /// Puts a file there, durably, as someone would who tampers with the log.
    pub fn write(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        let mut disk = self.lock();
        let number = disk.files.len();
        disk.files.push(Contents { now: bytes.clone(), durable: bytes });
        disk.names.insert(name.to_owned(), number);
        disk.durable_names.insert(name.to_owned(), number);
    }

    /// Takes a file away.
    pub fn erase(&self, name: &str) {
        let mut disk = self.lock();
        disk.names.remove(name);
        disk.durable_names.remove(name);
    }

    /// How often the port was used to change something.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// How often a file was synced.
    #[must_use]
    pub fn file_syncs(&self) -> u64 {
        self.lock().file_syncs
    }

    /// How often room was reserved without writing it.
    #[must_use]
    pub fn reservations(&self) -> u64 {
        self.lock().reservations
    }

    /// After this many more changes, every change fails: the process is gone.
    pub fn stop_after(&self, operations: u64) {
        self.lock().operations_left = Some(operations);
    }

    /// After this many more successful syncs of files, one fails, and those after it too.
    pub fn fail_syncs_after(&self, syncs: u64) {
        self.lock().syncs_left = Some(syncs);
    }

    /// Files may grow by this many bytes in all.
    pub fn fill_after(&self, bytes: usize) {
        self.lock().bytes_left = Some(bytes);
    }

    /// A write takes this many bytes at most.
    pub fn write_at_most(&self, bytes: usize) {
        self.lock().write_at_most = Some(bytes);
    }

    /// Lets no sync of a file end until the gate is dropped.
    pub fn hold_syncs(&self) -> SyncGate {
        self.lock().is_gate_closed = true;
        SyncGate { directory: self.clone() }
    }

    /// The directory as another process finds it after this one was killed: everything written is there.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let Disk { names, durable_names, files, .. } = self.lock().clone();
        Self::of(Disk { names, durable_names, files, ..Disk::default() })
    }

    /// The directory as it is found after a power cut: what was synced is there; of the rest, every sector of
    /// 512 bytes and every name may be there or not, as `seed` has it.
    #[must_use]
    pub fn after_power_cut(&self, seed: u64) -> Self {
        let random = TestRandom::seeded(seed);
        let Disk { names, durable_names, files, .. } = self.lock().clone();
        let mut kept = durable_names.clone();
        for (name, file) in &names {
            if durable_names.get(name) != Some(file) && coin(&random) {
                kept.insert(name.clone(), *file);
            }
        }
        kept.retain(|name, _| names.contains_key(name) || coin(&random));
        let files = files.into_iter().map(|contents| contents.after_power_cut(&random)).collect();
        Self::of(Disk { names: kept.clone(), durable_names: kept, files, ..Disk::default() })
    }

    fn of(disk: Disk) -> Self {
        Self { shared: Arc::new(Shared { disk: Mutex::new(disk), gate_opened: Condvar::new() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.shared.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds syncs back until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it lets syncs go on"]
pub struct SyncGate {
    directory: MemoryDirectory,
}

impl Drop for SyncGate {
    fn drop(&mut self) {
        self.directory.lock().is_gate_closed = false;
        self.directory.shared.gate_opened.notify_all();
    }
}

impl Directory for MemoryDirectory {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str, how: OpenFile) -> io::Result<Box<dyn LogFile>> {
        let mut disk = self.lock();
        let file = match (disk.names.get(name).copied(), how) {
            (Some(_), OpenFile::Create) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(file), _) => file,
            (None, OpenFile::Create) => {
                disk.change()?;
                let file = disk.files.len();
                disk.files.push(Contents::default());
                disk.names.insert(name.to_owned(), file);
                file
            }
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Box::new(MemoryFile { directory: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.lock();
        disk.change()?;
        let file = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disk.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.lock();
        if !disk.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.change()?;
        disk.names.remove(name);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.lock();
        disk.change()?;
        disk.durable_names = disk.names.clone();
        Ok(())
    }

    fn fence(&self) -> io::Result<Box<dyn Send>> {
        let mut disk = self.lock();
        if disk.is_fenced {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        disk.is_fenced = true;
        Ok(Box::new(MemoryFence { directory: self.clone() }))
    }

    fn available(&self) -> io::Result<Option<u64>> {
        Ok(self.lock().bytes_left.map(|left| u64::try_from(left).unwrap_or(u64::MAX)))
    }

    /// At once, so that the same steps come in the same order each time.
    fn run_aside(&self, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        work();
        Ok(())
    }

    fn is_fenced(&self) -> io::Result<bool> {
        Ok(self.lock().is_fenced)
    }
}

struct MemoryFence {
    directory: MemoryDirectory,
}

impl Drop for MemoryFence {
    fn drop(&mut self) {
        self.directory.lock().is_fenced = false;
    }
}

struct MemoryFile {
    directory: MemoryDirectory,
    file: usize,
}

impl LogFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        let mut disk = self.directory.lock();
        Ok(u64::try_from(disk.contents(self.file)?.now.len()).unwrap_or(u64::MAX))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.directory.lock();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = disk.contents(self.file)?.now.get(from..).unwrap_or_default();
        let length = buffer.len().min(there.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), there.get(..length)) {
            to.copy_from_slice(from);
        }
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.directory.lock();
        disk.change()?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = bytes.get(..disk.write_at_most.unwrap_or(usize::MAX)).unwrap_or(bytes);
        let size = disk.contents(self.file)?.now.len();
        let end = from.saturating_add(bytes.len());
        let bytes = match disk.bytes_left {
            Some(left) if end.saturating_sub(size) > left => {
                bytes.get(..size.saturating_add(left).saturating_sub(from)).unwrap_or_default()
            }
            _ => bytes,
        };
        if bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let end = from.saturating_add(bytes.len());
        let grown = end.saturating_sub(size);
        disk.bytes_left = disk.bytes_left.map(|left| left.saturating_sub(grown));
        let contents = disk.contents(self.file)?;
        contents.now.extend_from_slice(&vec![0; grown]);
        if let Some(to) = contents.now.get_mut(from..end) {
            to.copy_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let mut disk = self.directory.lock();
        disk.change()?;
        disk.contents(self.file)?.now.resize(usize::try_from(size).unwrap_or(usize::MAX), 0);
        Ok(())
    }

    fn reserve(&self, size: u64) -> io::Result<bool> {
        let mut disk = self.directory.lock();
        disk.change()?;
        let wanted = usize::try_from(size).unwrap_or(usize::MAX);
        let grown = wanted.saturating_sub(disk.contents(self.file)?.now.len());
        match &mut disk.bytes_left {
            Some(left) if *left < grown => return Err(io::ErrorKind::StorageFull.into()),
            Some(left) => *left = left.saturating_sub(grown),
            None => {}
        }
        disk.reservations = disk.reservations.saturating_add(1);
        let contents = disk.contents(self.file)?;
        contents.now.extend_from_slice(&vec![0; grown]);
        Ok(true)
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.directory.lock();
        while disk.is_gate_closed {
            disk = self.directory.shared.gate_opened.wait(disk).unwrap_or_else(PoisonError::into_inner);
        }
        disk.change()?;
        count_down(&mut disk.syncs_left)?;
        disk.file_syncs = disk.file_syncs.saturating_add(1);
        let contents = disk.contents(self.file)?;
        contents.durable.clone_from(&contents.now);
        Ok(())
    }
}

impl Disk {
    fn change(&mut self) -> io::Result<()> {
        count_down(&mut self.operations_left)?;
        self.operations = self.operations.saturating_add(1);
        Ok(())
    }

    fn contents(&mut self, file: usize) -> io::Result<&mut Contents> {
        self.files.get_mut(file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Contents {
    fn after_power_cut(self, random: &TestRandom) -> Self {
        let mut left = self.durable.clone();
        if self.now.len() != left.len() && coin(random) {
            left.truncate(self.now.len());
            left.extend_from_slice(&vec![0; self.now.len().saturating_sub(left.len())]);
        }
        for (to, from) in left.chunks_mut(SECTOR).zip(self.now.chunks(SECTOR)) {
            let length = to.len().min(from.len());
            if let (true, Some(to), Some(from)) = (coin(random), to.get_mut(..length), from.get(..length)) {
                to.copy_from_slice(from);
            }
        }
        Self { now: left.clone(), durable: left }
    }
}

fn count_down(left: &mut Option<u64>) -> io::Result<()> {
    match left {
        Some(0) => Err(io::Error::from_raw_os_error(EIO)),
        Some(left) => {
            *left = left.saturating_sub(1);
            Ok(())
        }
        None => Ok(()),
    }
}

fn coin(random: &TestRandom) -> bool {
    let mut byte = [0];
    // The generator of tests does not fail.
    _ = random.fill(&mut byte);
    byte.first().is_some_and(|byte| byte.is_multiple_of(2))
}

const SECTOR: usize = 512;
const EIO: i32 = 5;
