//! Checking a log: whether it is whole, and if not, where and how it is damaged.

mod finding;
mod report;
mod walk;

use std::io;
use std::path::Path;

use crate::checkpoint::{Checkpoint, LogId};
use crate::error::{FileError, VerifyError};
use crate::files::{Directory, SystemDirectory};
use crate::head::{Found, HEAD, Head};
use crate::scan::{self, SegmentReader};

pub use finding::{Finding, FindingKind};
pub use report::{MAX_FINDINGS, Report};

use walk::Walk;
pub(crate) use walk::{End, OpenCall};

/// Checks the log in a directory, and that it still contains the `known` checkpoints.
///
/// The log is read once from front to back with bounded memory. It needs no writer and takes no lock; while a
/// writer is at work, what it has not finished is left out and is no finding. Checkpoints that were kept
/// elsewhere are what makes the answer hold against someone who can write the directory: without one, a log
/// that was rewritten as a whole, or cut at its end together with its head, is not told from a true one.
///
/// # Errors
/// [`VerifyError`]: there is no verdict. Damage is no error; it is in the [`Report`].
pub fn verify(path: &Path, known: &[Checkpoint]) -> Result<Report, VerifyError> {
    let directory = SystemDirectory::open(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            VerifyError::NoLog
        } else {
            FileError::new("open", ".")(error).into()
        }
    })?;
    verify_in(&directory, known)
}

/// Checks the log behind a port; see [`verify`].
///
/// # Errors
/// [`VerifyError`].
pub fn verify_in(directory: &dyn Directory, known: &[Checkpoint]) -> Result<Report, VerifyError> {
    let head = read_head(directory)?;
    let numbers = scan::segment_numbers(directory)?;
    if numbers.is_empty() && head == Found::Missing {
        return Err(VerifyError::NoLog);
    }
    let (report, _) = examine(directory, head, known, &numbers, Mode::Beside)?;
    Ok(report)
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
        let mut report = Report::new(None);
        report.add(Finding::new(FindingKind::Edited, 1, 1).at(scan_name(numbers), 0));
        return Ok((report, End::default()));
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

fn scan_name(numbers: &[u64]) -> String {
    crate::format::segment_name(numbers.first().copied().unwrap_or(1))
}
