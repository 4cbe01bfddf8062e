//! A disk that fails on demand, and forgets what was not synced when the power goes.

use std::io;
use std::sync::{Arc, Mutex};

use core_types::SecureRandom as _;
use core_types::testing::TestRandom;
use redb::StorageBackend;

/// A clone is the same disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    // What is certainly on the disk.
    durable: Vec<u8>,
    // What a program sees.
    visible: Vec<u8>,
    // What leads from one to the other.
    unsynced: Vec<Operation>,
    syncs: u64,
    // Writes and syncs until everything fails; `None` for never.
    until_failure: Option<u64>,
}

#[derive(Debug, Clone)]
enum Operation {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

impl Disk {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// After this many more writes and syncs every operation fails.
    pub(super) fn fail_after(&self, operations: u64) {
        self.state.lock().unwrap().until_failure = Some(operations);
    }

    pub(super) fn syncs(&self) -> u64 {
        self.state.lock().unwrap().syncs
    }

    /// The disk as the next program finds it when only the program died.
    pub(super) fn after_kill(&self) -> Self {
        Self::holding(self.state.lock().unwrap().visible.clone())
    }

    /// The disk as it is found after the power went: of what was not synced, any part, and writes half done.
    pub(super) fn after_power_cut(&self, rng: &TestRandom) -> Self {
        let state = self.state.lock().unwrap();
        let mut bytes = state.durable.clone();
        for operation in &state.unsynced {
            match operation {
                Operation::Write(offset, data) => {
                    for (sector, data) in data.chunks(SECTOR).enumerate() {
                        if coin(rng) {
                            write_at(&mut bytes, offset + sector * SECTOR, data);
                        }
                    }
                }
                Operation::SetLen(len) if coin(rng) => bytes.resize(*len, 0),
                Operation::SetLen(_) => {}
            }
        }
        Self::holding(bytes)
    }

    /// The disk with this bit the other way round.
    pub(super) fn with_flipped_bit(&self, bit: usize) -> Self {
        let mut bytes = self.state.lock().unwrap().visible.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        Self::holding(bytes)
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.state.lock().unwrap().visible.len()
    }

    fn holding(bytes: Vec<u8>) -> Self {
        let state = State { durable: bytes.clone(), visible: bytes, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn change(&self, operation: Operation) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.spend()?;
        match &operation {
            Operation::Write(offset, data) => write_at(&mut state.visible, *offset, data),
            Operation::SetLen(len) => state.visible.resize(*len, 0),
        }
        state.unsynced.push(operation);
        Ok(())
    }
}

impl State {
    fn spend(&mut self) -> io::Result<()> {
        match &mut self.until_failure {
            Some(0) => Err(io::Error::other("the disk fails")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.state.lock().unwrap().visible.len()).unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let bytes = state.visible.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Operation::SetLen(usize::try_from(len).unwrap()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.spend()?;
        state.syncs += 1;
        let State { durable, unsynced, .. } = &mut *state;
        for operation in unsynced.drain(..) {
            match operation {
                Operation::Write(offset, data) => write_at(durable, offset, &data),
                Operation::SetLen(len) => durable.resize(len, 0),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Operation::Write(usize::try_from(offset).unwrap(), data.to_vec()))
    }
}

fn write_at(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}

fn coin(rng: &TestRandom) -> bool {
    let mut byte = [0];
    rng.fill(&mut byte).unwrap();
    byte[0] & 1 == 1
}

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
