//! The record of every call: what is written to the audit log, and when a call is refused for want of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use audit_log::event::{MAX_REASON_BYTES, ResourceId};
use audit_log::{
    Actor, AppendError, AuditLog, Checkpoint, Client, Completion, Guard, Intent, Options, UserAgent,
};
use core_types::{Principal, RequestId, Scope, SystemClock, SystemRandom, UnixTime};
use state_store::Revision;
use token_vault::Refusal;
use tokio::time::Instant;

use super::anchor;
use super::api_error::ApiError;
use super::call::Reply;
use super::endpoint::Endpoint;
use super::facts::RequestFacts;
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
        let options = known.map_or_else(Options::new, |known| Options::new().with_known(known));
        let log = AuditLog::open(folder, Arc::new(SystemClock::new()), random, &options);
        let log = log.map_err(StartError::part("audit log"))?;
        Ok(Self { log, has_failed: AtomicBool::new(false) })
    }

    /// A log that failed once takes nothing more: every change is refused from then on.
    pub(crate) fn is_usable(&self) -> bool {
        !self.has_failed.load(Ordering::Relaxed)
    }

    /// Another handle on the log, for its proofs.
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
        let intent = Intent::new(Actor::System, action, Scope::root(), now);
        let guard = self.log.begin(intent).await.map_err(StartError::part("audit log"))?;
        Ok(OwnEntry { guard, began: Instant::now() })
    }

    /// The caller is told to try again; what went wrong is for the operator.
    fn failed(&self, error: &AppendError) -> ApiError {
        if !matches!(error, AppendError::Overloaded { .. }) {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        tracing::error!(%error, "an entry could not be recorded");
        ApiError::unavailable("the audit log takes no entry")
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
        let duration = self.began.elapsed();
        let completion =
            error.map_or_else(|| Completion::allowed(duration), |error| ended_with(error, duration));
        self.guard.finish(completion).await.map(drop).map_err(StartError::part("audit log"))
    }
}

/// Why a call was refused, in a stable word: for the log, not for the caller.
#[derive(Debug)]
pub(crate) struct Reason {
    text: String,
}

impl Reason {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// Names the token where a known one was presented, rightly or not.
    pub(crate) fn refused_token(refusal: &Refusal) -> Self {
        let token = refusal.token().map_or_else(String::new, |token| format!(" ({token})"));
        Self { text: format!("{}{token}", refusal.reason()) }
    }
}

/// What is known of a call so far, to be recorded once.
pub(crate) struct Recorder<'a> {
    journal: &'a Journal,
    endpoint: &'static Endpoint,
    facts: &'a RequestFacts,
    request_id: RequestId,
    now: UnixTime,
    actor: Actor,
    scope: Scope,
}

impl<'a> Recorder<'a> {
    /// A call by nobody known, nowhere in particular.
    pub(crate) fn new(
        journal: &'a Journal,
        endpoint: &'static Endpoint,
        facts: &'a RequestFacts,
        request_id: RequestId,
        now: UnixTime,
    ) -> Self {
        Self { journal, endpoint, facts, request_id, now, actor: Actor::Anonymous, scope: Scope::root() }
    }

    pub(crate) fn by(self, principal: Principal) -> Self {
        Self { actor: Actor::Principal(principal), ..self }
    }

    pub(crate) fn at(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// The caller could not be authenticated.
    pub(crate) async fn unauthenticated(self, reason: Reason) -> Result<(), ApiError> {
        let completion = Completion::unauthenticated(self.facts.started.elapsed());
        self.record(with_reason(completion, &reason.text)).await
    }

    /// The caller may not.
    pub(crate) async fn denied(self, reason: Reason) -> Result<(), ApiError> {
        let completion = Completion::denied(self.facts.started.elapsed());
        self.record(with_reason(completion, &reason.text)).await
    }

    /// The request made no sense before it could be authorised.
    pub(crate) async fn refused(self, error: &ApiError) -> Result<(), ApiError> {
        let completion = Completion::failed(self.facts.started.elapsed());
        self.record(with_reason(completion, error.code())).await
    }

    /// Makes the intent durable; only then may the effect happen.
    pub(crate) async fn begin(self) -> Result<OpenEntry<'a>, ApiError> {
        let intent = self.intent()?;
        let guard = self.journal.log.begin(intent).await.map_err(|error| self.journal.failed(&error))?;
        Ok(OpenEntry { journal: self.journal, guard, started: self.facts.started })
    }

    async fn record(self, completion: Completion) -> Result<(), ApiError> {
        let recorded = self.journal.log.record(self.intent()?, completion).await;
        recorded.map(drop).map_err(|error| self.journal.failed(&error))
    }

    fn intent(&self) -> Result<Intent, ApiError> {
        let action = state::permission(self.endpoint.permission)?;
        let mut intent =
            Intent::new(self.actor, action, self.scope.clone(), self.now).with_request(self.request_id);
        if let Some(peer) = self.facts.peer {
            intent = intent.with_client(Client::peer(peer.ip()));
        }
        if let Some(user_agent) = &self.facts.user_agent {
            intent = intent.with_user_agent(UserAgent::from_header(user_agent));
        }
        // What is acted on: the path, of which the route has fixed all but the ids.
        if let Ok(resource) = ResourceId::new(self.facts.path.as_str()) {
            intent = intent.with_resource(resource);
        }
        Ok(intent)
    }
}

/// A call whose intent is durable.
pub(crate) struct OpenEntry<'a> {
    journal: &'a Journal,
    guard: Guard,
    started: Instant,
}

impl OpenEntry<'_> {
    /// Records how the call ended; only then is it answered.
    /// `revision` is what the state had reached by then.
    pub(crate) async fn finish(
        self,
        outcome: &Result<Reply, ApiError>,
        revision: Revision,
    ) -> Result<(), ApiError> {
        let completion = completion(outcome, self.started.elapsed());
        let completion = with_detail(completion, anchor::REVISION, revision.get());
        // The effect is made, and its intent is in the log: nothing is left but to say that.
        let unknown = |error: &AppendError| {
            let _ = self.journal.failed(error);
            ApiError::outcome_unknown()
        };
        self.guard.finish(completion).await.map(drop).map_err(|error| unknown(&error))
    }
}

fn completion(outcome: &Result<Reply, ApiError>, duration: Duration) -> Completion {
    match outcome {
        Ok(reply) => {
            let completion = Completion::allowed(duration);
            match reply.id() {
                Some(id) => audit_log::Public::text(id)
                    .map_or_else(|_| completion.clone(), |id| with_detail(completion.clone(), "id", id)),
                None => completion,
            }
        }
        Err(error) => ended_with(error, duration),
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

/// A detail of ours is well-formed; one that is not is left out rather than the entry.
fn with_detail(completion: Completion, name: &str, value: impl Into<audit_log::Public>) -> Completion {
    completion.clone().with_detail(name, value).unwrap_or(completion)
}
