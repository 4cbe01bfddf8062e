//! Checking a log: whether it is whole, and if not, where and how it is damaged.

mod finding;
mod published;
mod report;
mod trees;
mod walk;

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::checkpoint::{Checkpoint, LogId};
use crate::error::{FileError, VerifyError};
use crate::files::{Directory, SystemDirectory};
use crate::head::{Found, HEAD, Head};
use crate::scan::{self, SegmentReader};
use crate::tlog::{PROOFS, SystemTiles, TileStore, VerifierKey};

pub use finding::{Finding, FindingKind};
pub use report::{MAX_FINDINGS, Report};

use walk::Walk;
pub(crate) use walk::{End, OpenCall};

/// Checks the log in a directory with what was published of it, and that it still contains the `known`
/// checkpoints; see [`Verification`].
///
/// # Errors
/// [`VerifyError`]: there is no verdict. Damage is no error; it is in the [`Report`].
pub fn verify(path: &Path, known: &[Checkpoint]) -> Result<Report, VerifyError> {
    Verification::new().with_known(known).run(path)
}

/// Checks the log behind a port, and nothing of what was published of it; see [`verify`].
///
/// # Errors
/// [`VerifyError`].
pub fn verify_in(directory: &dyn Directory, known: &[Checkpoint]) -> Result<Report, VerifyError> {
    Verification::new().with_known(known).run_in(directory, None)
}

/// A check of a log.
///
/// The log is read once from front to back with bounded memory. It needs no writer and takes no lock; while a
/// writer is at work, what it has not finished is left out and is no finding. Published proofs are read as well:
/// whether their files are what the signed heads say, and whether the heads are those of the log's records. A
/// signed head of which the log has not all is evidence against the log.
///
/// What makes the answer hold against someone who can write the directory was kept elsewhere: checkpoints, and the
/// verifier key. Without them, a log that was rewritten as a whole with its proofs, or cut at its end together with
/// them, is not told from a true one.
///
/// Memory: about a kilobyte for each tenant with published proofs, and up to 64 MiB besides.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    known: Vec<Checkpoint>,
    key: Option<VerifierKey>,
}

impl Verification {
    /// By what the directory itself has.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The log must contain these checkpoints, too.
    #[must_use]
    pub fn with_known(mut self, known: &[Checkpoint]) -> Self {
        self.known.extend_from_slice(known);
        self
    }

    /// The proofs must be signed by this key; without it, by the one that lies beside them.
    #[must_use]
    pub fn with_key(self, key: VerifierKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Checks the log in a directory.
    ///
    /// # Errors
    /// [`VerifyError`]: there is no verdict. Damage is no error; it is in the [`Report`].
    pub fn run(&self, path: &Path) -> Result<Report, VerifyError> {
        let directory = SystemDirectory::open(path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                VerifyError::NoLog
            } else {
                FileError::new("open", ".")(error).into()
            }
        })?;
        let proofs: Option<Arc<dyn TileStore>> = match SystemTiles::open(&path.join(PROOFS)) {
            Ok(proofs) => Some(Arc::new(proofs)),
            Err(error) if error.0 == io::ErrorKind::NotFound => None,
            Err(error) => return Err(FileError::new("open", PROOFS)(error.0.into()).into()),
        };
        self.run_in(&directory, proofs)
    }

    /// Checks the log behind a port, with the proofs in a store.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn run_in(
        &self,
        directory: &dyn Directory,
        proofs: Option<Arc<dyn TileStore>>,
    ) -> Result<Report, VerifyError> {
        // The log's end is looked for later than what was published, so that it has all of that.
        let head = read_head(directory)?;
        let published = match &proofs {
            Some(proofs) => {
                let numbers = scan::segment_numbers(directory)?;
                let log = log_id(directory, head, &self.known, &numbers)?;
                published::examine(proofs, self.key.as_ref(), log)?
            }
            None => None,
        };
        let numbers = scan::segment_numbers(directory)?;
        if numbers.is_empty() && head == Found::Missing {
            return Err(VerifyError::NoLog);
        }
        let Some(log) = log_id(directory, head, &self.known, &numbers)? else { return Ok(unnamed(&numbers)) };
        let mut walk = Walk::new(directory, log, head, &self.known, Mode::Beside);
        if let Some(published) = published {
            walk = walk.with_published(published, self.key.is_some());
        }
        walk.run(&numbers)?;
        Ok(walk.finish().0)
    }
}

/// From where, and beside whom, a log is examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All of it, while a writer may be at work.
    Beside,
    /// From this segment on, by the one who holds the fence.
    Fenced {
        /// The first segment that is read.
        from: u64,
    },
}

pub(crate) fn read_head(directory: &dyn Directory) -> Result<Found, FileError> {
    Head::read(directory).map_err(FileError::new("read", HEAD))
}

/// Examines a log whose head and segments were listed, in this order.
pub(crate) fn examine(
    directory: &dyn Directory,
    head: Found,
    known: &[Checkpoint],
    numbers: &[u64],
    mode: Mode,
) -> Result<(Report, End), VerifyError> {
    let Some(log) = log_id(directory, head, known, numbers)? else {
        return Ok((unnamed(numbers), End::default()));
    };
    let mut walk = Walk::new(directory, log, head, known, mode);
    walk.run(numbers)?;
    Ok(walk.finish())
}

/// Which log it is: by its head, by its segments, or by what is known of it.
fn log_id(
    directory: &dyn Directory,
    head: Found,
    known: &[Checkpoint],
    numbers: &[u64],
) -> Result<Option<LogId>, VerifyError> {
    if let Found::Head(head) = head {
        return Ok(Some(head.reached.log()));
    }
    for number in numbers {
        if let Some(mut segment) = SegmentReader::open(directory, *number)?
            && let Ok(header) = segment.header()?
        {
            return Ok(Some(header.log));
        }
    }
    Ok(known.first().map(Checkpoint::log))
}

/// Of a log of which not even the id can be read.
fn unnamed(numbers: &[u64]) -> Report {
    let mut report = Report::new(None);
    report.add(Finding::new(FindingKind::Edited, 1, 1).at(scan_name(numbers), 0));
    report
}

fn scan_name(numbers: &[u64]) -> String {
    crate::format::segment_name(numbers.first().copied().unwrap_or(1))
}
