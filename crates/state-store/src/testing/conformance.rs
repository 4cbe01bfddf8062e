//! The suite that every backend passes, an embedder's own too.
//!
//! ```
//! use state_store::MemoryStore;
//! use state_store::testing::conformance;
//!
//! conformance::run(MemoryStore::new).unwrap();
//! ```
//!
//! A backend that outlives its process is run with [`run_durable`], which closes and opens it again too. Each
//! case has a store of its own, and does with it only what the port's documentation describes.

mod commits;
mod durability;
mod limits;
mod pages;
mod races;
mod replicas;
mod schedules;
mod watches;

use core::fmt;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};

use thiserror::Error;

use super::case::{Case, Site};
use crate::store::StateStore;

/// Runs every case that needs no reopening; `fresh` makes an empty store for each.
///
/// # Errors
/// [`Failures`] names the cases that failed, and how.
pub fn run<S: StateStore>(fresh: impl FnMut() -> S) -> Result<Report, Failures> {
    Suite::new().run(fresh)
}

/// Runs every case on a backend that keeps what was committed when it is closed.
///
/// `place` makes room for a new store (a directory, a database), and is dropped when its case is done; `open`
/// opens the store there: empty at first, with what it held when opened again. Before that, every handle on
/// the store is dropped, but not every watch.
///
/// # Errors
/// [`Failures`] names the cases that failed, and how.
pub fn run_durable<P, S: StateStore>(
    place: impl FnMut() -> P,
    open: impl FnMut(&P) -> S,
) -> Result<Report, Failures> {
    Suite::new().run_durable(place, open)
}

/// The suite, for those who want it run otherwise.
#[derive(Debug, Clone)]
pub struct Suite {
    patience: Duration,
    schedules: u32,
}

impl Suite {
    /// The suite as [`run`] and [`run_durable`] run it.
    #[must_use]
    pub const fn new() -> Self {
        Self { patience: DEFAULT_PATIENCE, schedules: DEFAULT_SCHEDULES }
    }

    /// How long a future may go without being woken before its case fails; half a minute unless set.
    #[must_use]
    pub const fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// How many random schedules are compared with the model; 48 unless set.
    #[must_use]
    pub const fn with_schedules(self, schedules: u32) -> Self {
        Self { schedules, ..self }
    }

    /// As [`run`].
    ///
    /// # Errors
    /// As [`run`].
    pub fn run<S: StateStore>(&self, mut fresh: impl FnMut() -> S) -> Result<Report, Failures> {
        self.run_all(&mut || (), &mut |()| fresh(), false)
    }

    /// As [`run_durable`].
    ///
    /// # Errors
    /// As [`run_durable`].
    pub fn run_durable<P, S: StateStore>(
        &self,
        mut place: impl FnMut() -> P,
        mut open: impl FnMut(&P) -> S,
    ) -> Result<Report, Failures> {
        self.run_all(&mut place, &mut open, true)
    }

    fn run_all<P, S: StateStore>(
        &self,
        place: &mut dyn FnMut() -> P,
        open: &mut dyn FnMut(&P) -> S,
        is_durable: bool,
    ) -> Result<Report, Failures> {
        let mut cases = commits::cases();
        cases.extend(pages::cases());
        cases.extend(limits::cases());
        cases.extend(watches::cases());
        cases.extend(races::cases());
        cases.extend(replicas::cases());
        if is_durable {
            cases.extend(durability::cases());
        }
        let mut report = Report { passed: Vec::new() };
        let mut failures = Vec::new();
        let mut note = |case, outcome| match outcome {
            Ok(()) => report.passed.push(case),
            Err(what) => failures.push(Failure { case, what }),
        };
        for case in cases {
            note(case.name, guarded(|| self.run_case(&case, place, open, is_durable)));
        }
        let outcome = guarded(|| schedules::agree(self, place, open, is_durable));
        note(schedules::NAME, outcome);
        if failures.is_empty() { Ok(report) } else { Err(Failures { failures }) }
    }

    fn run_case<P, S: StateStore>(
        &self,
        case: &Case<S>,
        place: &mut dyn FnMut() -> P,
        open: &mut dyn FnMut(&P) -> S,
        is_durable: bool,
    ) -> Result<(), String> {
        let place = place();
        let mut open = || open(&place);
        let mut site = Site::new(&mut open, is_durable, self.patience);
        (case.run)(&mut site).map_err(|broken| broken.to_string())
    }
}

impl Default for Suite {
    fn default() -> Self {
        Self::new()
    }
}

/// A backend that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    passed: Vec<&'static str>,
}

impl Report {
    /// The names of the cases, in the order they ran.
    #[must_use]
    pub fn passed(&self) -> &[&'static str] {
        &self.passed
    }
}

/// A backend that failed.
#[derive(Clone, PartialEq, Eq, Error)]
pub struct Failures {
    failures: Vec<Failure>,
}

impl Failures {
    /// The cases that failed, in the order they ran.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store does not keep the port's contract")?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n  {}: {}", failure.case, failure.what))
    }
}

/// As [`Display`](fmt::Display), so that a failed `unwrap` can be read.
impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A case that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What the store must do.
    pub case: &'static str,
    /// What it did.
    pub what: String,
}

/// Turns a panic of the backend into a failure.
fn guarded(run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("it panicked: {}", said.unwrap_or("without a message")))
    })
}

const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);
const DEFAULT_SCHEDULES: u32 = 48;
