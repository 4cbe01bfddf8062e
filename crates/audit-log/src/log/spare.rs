//! Segments made ahead: files of zeros, written aside, that need no more than a header and a name.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::FileError;
use crate::files::{self, Directory, OpenFile};
use crate::format::{self, SegmentHeader};
use crate::scan::to_u64;

/// How much room the disk has for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Space {
    /// The next segment is made, or being made.
    Ample,
    /// The next segment could not be made; the present one has room. Now is the time to do something about it.
    Low,
    /// The last segment is used up. Only what is of [`Class::Security`](crate::Class::Security), and the ends of calls
    /// under way, are still taken: into the reserve.
    Reserve,
}

/// The files that are kept ready.
pub(super) struct Spares {
    directory: Arc<dyn Directory>,
    segment_bytes: u64,
    state: Mutex<State>,
    // Nothing is being done aside any more.
    is_idle: Condvar,
}

#[derive(Debug, Default)]
struct State {
    // Which of `KINDS` are ready.
    ready: [bool; 2],
    is_making: bool,
    // What is being done aside: making, cutting.
    working: u32,
    is_stopping: bool,
    // Batches are large: what a sync has to do besides writing them matters less than the disk's rate.
    is_bulk: bool,
    has_failed: bool,
    // All but the reserve is used up.
    is_in_reserve: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    // First: where there is room for one only, it is for what matters most.
    Reserve,
    Spare,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Spare => "spare",
        }
    }
}

impl Spares {
    pub(super) fn new(directory: Arc<dyn Directory>, segment_bytes: u64) -> Arc<Self> {
        Arc::new(Self { directory, segment_bytes, state: Mutex::default(), is_idle: Condvar::new() })
    }

    /// Has made what is missing, aside. Where the disk has no room, it is noted and nothing happens.
    pub(super) fn prepare(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.is_making || state.is_stopping || state.ready == [true; 2] {
            return;
        }
        state.is_making = true;
        drop(state);
        if !self.aside(Self::make_missing) {
            let mut state = self.lock();
            (state.is_making, state.has_failed) = (false, true);
        }
    }

    /// Says whether batches are large now. The next spare is then room that was reserved and not written: to write its
    /// zeros, too, would halve the disk's rate.
    pub(super) fn set_bulk(&self, is_bulk: bool) {
        self.lock().is_bulk = is_bulk;
    }

    /// Begins nothing more, and waits until what was begun is done: only then may another writer come.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.is_stopping = true;
        while state.working > 0 {
            state = self.is_idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Has something done aside; whether it will be.
    fn aside(self: &Arc<Self>, work: impl FnOnce(&Self) + Send + 'static) -> bool {
        struct Done(Arc<Spares>);
        impl Drop for Done {
            fn drop(&mut self) {
                let mut state = self.0.lock();
                state.working = state.working.saturating_sub(1);
                self.0.is_idle.notify_all();
            }
        }
        let mut state = self.lock();
        state.working = state.working.saturating_add(1);
        drop(state);
        // Where the work is not begun, this falls with it.
        let done = Done(Arc::clone(self));
        self.directory.run_aside(Box::new(move || work(&done.0))).is_ok()
    }

    pub(super) fn space(&self) -> Space {
        let state = self.lock();
        match (state.has_failed, state.is_in_reserve) {
            (false, _) => Space::Ample,
            (true, false) => Space::Low,
            (true, true) => Space::Reserve,
        }
    }

    /// Whether there is room for nothing but what the reserve is for, where the next batch needs a new segment or
    /// not.
    pub(super) fn is_reserved(&self, needs_segment: bool) -> bool {
        let mut state = self.lock();
        let [reserve, spare] = state.ready;
        let is_reserved = state.has_failed && !spare && (state.is_in_reserve || (needs_segment && reserve));
        // From here on callers hear of it before they wait.
        state.is_in_reserve |= is_reserved;
        is_reserved
    }

    /// Turns what is ready into a segment: its size, or none where nothing is.
    pub(super) fn adopt(&self, header: &SegmentHeader) -> Result<Option<u64>, FileError> {
        let mut state = self.lock();
        let [reserve, spare] = &mut state.ready;
        let kind = match () {
            () if *spare => Kind::Spare,
            () if *reserve => Kind::Reserve,
            () => {
                state.is_in_reserve = false;
                return Ok(None);
            }
        };
        match kind {
            Kind::Spare => *spare = false,
            Kind::Reserve => *reserve = false,
        }
        state.is_in_reserve = kind == Kind::Reserve;
        drop(state);
        let name = format::segment_name(header.number);
        let adopt = || {
            let file = self.directory.open(kind.name(), OpenFile::Write)?;
            files::write_all(&*file, &header.encode(), 0)?;
            file.sync()?;
            self.directory.rename(kind.name(), &name)?;
            self.directory.sync()
        };
        adopt().map_err(FileError::new("create", &*name))?;
        Ok(Some(self.size_of(kind)))
    }

    /// Cuts what is left of a segment that is full, aside. Where it fails, some zeros stay.
    pub(super) fn cut(self: &Arc<Self>, number: u64, end: u64) {
        self.aside(move |this| {
            let cut = || {
                let file = this.directory.open(&format::segment_name(number), OpenFile::Write)?;
                file.set_size(end)?;
                file.sync()
            };
            _ = cut();
        });
    }

    fn make_missing(&self) {
        let outcome = [Kind::Reserve, Kind::Spare].into_iter().try_for_each(|kind| {
            if *self.ready(kind, &mut self.lock()) {
                return Ok(());
            }
            self.make(kind)?;
            *self.ready(kind, &mut self.lock()) = true;
            Ok::<(), io::Error>(())
        });
        let mut state = self.lock();
        (state.is_making, state.has_failed) = (false, outcome.is_err());
    }

    /// A file of zeros that has its name only when all of it is on the disk. One from an earlier life is as good,
    /// if it is what it should be.
    fn make(&self, kind: Kind) -> io::Result<()> {
        let (name, size) = (kind.name(), self.size_of(kind));
        match self.directory.open(name, OpenFile::Read) {
            Ok(file) if file.size()? == size && is_zero(&*file)? => return Ok(()),
            Ok(_) => self.directory.remove(name)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let partial = format!("{name}.new");
        let remove = || match self.directory.remove(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        remove()?;
        if self.directory.available()?.is_some_and(|available| available < size) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let write = || {
            let file = self.directory.open(&partial, OpenFile::Create)?;
            let is_bulk = kind == Kind::Spare && self.lock().is_bulk;
            let mut at = if is_bulk && file.reserve(size)? { size } else { 0 };
            while at < size {
                if self.lock().is_stopping {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                let piece = usize::try_from(size.saturating_sub(at)).unwrap_or(PIECE.len()).min(PIECE.len());
                files::write_all(&*file, PIECE.get(..piece).unwrap_or_default(), at)?;
                at = at.saturating_add(to_u64(piece));
            }
            file.sync()?;
            self.directory.rename(&partial, name)?;
            self.directory.sync()
        };
        write().inspect_err(|_| _ = remove())
    }

    const fn ready<'a>(&self, kind: Kind, state: &'a mut State) -> &'a mut bool {
        let [reserve, spare] = &mut state.ready;
        match kind {
            Kind::Reserve => reserve,
            Kind::Spare => spare,
        }
    }

    fn size_of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Spare => self.segment_bytes,
            Kind::Reserve => self.segment_bytes.min(RESERVE_BYTES),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_zero(file: &dyn files::LogFile) -> io::Result<bool> {
    let mut buffer = vec![0; PIECE.len()];
    let mut at = 0;
    loop {
        let read = files::read_up_to(file, &mut buffer, at)?;
        if read.is_empty() {
            return Ok(true);
        }
        if read.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at = at.saturating_add(to_u64(read.len()));
    }
}

/// The most bytes of the reserve: room for some thousand entries.
const RESERVE_BYTES: u64 = 1 << 20;
static PIECE: [u8; 256 << 10] = [0; 256 << 10];
