//! The audit log of the control plane.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use audit_log::event::MAX_REASON_BYTES;
use audit_log::{
    Actor, AppendError, AuditLog, Checkpoint, Completion, Guard, Intent, Options, Policies, Space,
};
use core_types::{Scope, SystemClock, SystemRandom, UnixTime};
use state_store::Revision;
use tokio::time::Instant;

use super::anchor;
use super::api_error::ApiError;
use super::startup::StartError;
use super::state;

/// The audit log, and whether it still takes entries.
pub(crate) struct Journal {
    log: AuditLog,
    has_failed: AtomicBool,
}

impl Journal {
    /// Opens or makes the log in `folder`, which must hold `known`.
    pub(crate) fn open(
        folder: &Path,
        random: &SystemRandom,
        known: Option<Checkpoint>,
    ) -> Result<Self, StartError> {
        let options = Options::new().with_policies(Policies::new());
        let options = known.map_or(options.clone(), |known| options.with_known(known));
        let log = AuditLog::open(folder, Arc::new(SystemClock::new()), random, &options);
        let log = log.map_err(StartError::part("audit log"))?;
        Ok(Self { log, has_failed: AtomicBool::new(false) })
    }

    /// A log that failed once takes nothing more: every change is refused from then on.
    pub(crate) fn is_usable(&self) -> bool {
        !self.has_failed.load(Ordering::Relaxed)
    }

    /// Another handle on the log: for its proofs, and for the layers that record the calls.
    pub(crate) fn log(&self) -> AuditLog {
        self.log.clone()
    }

    pub(crate) fn reader(&self, scope: Scope) -> audit_log::Reader {
        self.log.reader(scope)
    }

    /// Where the log stands.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        self.log.checkpoint()
    }

    /// Writes what is under way, and says where the log ends.
    pub(crate) async fn close(&self) -> Result<Checkpoint, StartError> {
        self.log.close().await.map_err(StartError::part("audit log"))
    }

    /// Makes durable that whoever holds the data folder is about to do this, without a request: the first start,
    /// or an operator at the machine.
    pub(crate) async fn begin_own(
        &self,
        action: &'static str,
        now: UnixTime,
    ) -> Result<OwnEntry, StartError> {
        let action =
            state::permission(action).map_err(|error| StartError::part("audit log")(error.code()))?;
        self.begin(Intent::new(Actor::System, action, Scope::root(), now)).await
    }

    /// Makes an intent durable that no request of the API has.
    pub(crate) async fn begin(&self, intent: Intent) -> Result<OwnEntry, StartError> {
        let guard = self.log.begin(intent).await.map_err(StartError::part("audit log"))?;
        Ok(OwnEntry { guard, began: Instant::now() })
    }

    /// Records what has no effect, or none that must be announced.
    pub(crate) async fn note(&self, intent: Intent, completion: Completion) -> Result<(), ApiError> {
        self.log.record_refusal(intent, completion).await.map(drop).map_err(|error| {
            self.failed(&error);
            ApiError::unavailable("the audit log takes no entry")
        })
    }

    /// Notes what went wrong, for the operator.
    pub(crate) fn failed(&self, error: &AppendError) {
        if !matches!(error, AppendError::Overloaded { .. } | AppendError::Full) {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        tracing::error!(%error, "an entry could not be recorded");
    }

    /// Records what was counted in the windows that are over, and warns of a full disk, for as long as the log runs.
    pub(crate) async fn keep_flushing(&self) {
        while self.log.flush().is_ok() {
            match self.log.space() {
                Space::Ample => {}
                space => tracing::error!(?space, "the disk has too little room for the audit log"),
            }
            tokio::time::sleep(FLUSH_PAUSE).await;
        }
    }
}

/// The open entry of something done without a request.
pub(crate) struct OwnEntry {
    guard: Guard,
    began: Instant,
}

impl OwnEntry {
    /// Records how it ended: well, or with this error.
    pub(crate) async fn finish(self, error: Option<&ApiError>) -> Result<(), StartError> {
        self.finish_at(None, error).await
    }

    /// The same, and which revision the state has reached.
    pub(crate) async fn finish_at(
        self,
        revision: Option<Revision>,
        error: Option<&ApiError>,
    ) -> Result<(), StartError> {
        let duration = self.began.elapsed();
        let mut completion =
            error.map_or_else(|| Completion::allowed(duration), |error| ended_with(error, duration));
        if let Some(revision) = revision {
            let noted = completion.clone().with_detail(anchor::REVISION, revision.get());
            completion = noted.unwrap_or(completion);
        }
        self.guard.finish(completion).await.map(drop).map_err(StartError::part("audit log"))
    }
}

fn ended_with(error: &ApiError, duration: Duration) -> Completion {
    if error.is_outcome_unknown() {
        Completion::unknown(duration)
    } else if error.is_denial() {
        with_reason(Completion::denied(duration), error.code())
    } else {
        with_reason(Completion::failed(duration), error.code())
    }
}

/// A reason of ours is short; one that is not is left out rather than the entry.
fn with_reason(completion: Completion, reason: &str) -> Completion {
    let end = reason.floor_char_boundary(MAX_REASON_BYTES);
    let reason = reason.get(..end).unwrap_or_default();
    completion.clone().with_reason(reason).unwrap_or(completion)
}

/// Several times in a window of the policies.
const FLUSH_PAUSE: Duration = Duration::from_secs(10);
