//! Machines that wait for an operator.

use std::net::IpAddr;
use std::sync::PoisonError;

use core_types::UnixTime;
use join_hmac::join::{Approval, IntentId, JoinIntent};
use tokio::sync::oneshot;

use super::Joins;
use crate::control_plane::api_error::ApiError;

/// One machine.
pub(crate) struct Waiting {
    pub(crate) intent: JoinIntent,
    pub(crate) source: IpAddr,
    pub(crate) since: UnixTime,
    answer: oneshot::Sender<Verdict>,
}

/// What an operator said, and who is to be told what came of it.
pub(super) enum Verdict {
    Approved(Approval, oneshot::Sender<Result<(), ApiError>>),
    Refused,
}

/// What is shown of a machine that waits.
pub(crate) struct Asked {
    pub(crate) intent: JoinIntent,
    pub(crate) source: IpAddr,
    pub(crate) since: UnixTime,
}

impl Joins {
    /// Lets a machine wait; ready when somebody has decided.
    pub(super) fn wait_for(
        &self,
        intent: JoinIntent,
        source: IpAddr,
        since: UnixTime,
    ) -> Result<oneshot::Receiver<Verdict>, ApiError> {
        let (answer, decided) = oneshot::channel();
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_WAITING {
            return Err(ApiError::unavailable("too many machines wait"));
        }
        all.insert(intent_id(&intent.id()), Waiting { intent, source, since, answer });
        Ok(decided)
    }

    /// The machine is gone, or decided about.
    pub(super) fn waits_no_more(&self, intent: &IntentId) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&intent_id(intent));
    }

    /// Who waits.
    pub(crate) fn waiting(&self) -> Vec<Asked> {
        let all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = |waiting: &Waiting| Asked {
            intent: waiting.intent.clone(),
            source: waiting.source,
            since: waiting.since,
        };
        all.values().map(asked).collect()
    }

    /// Approves the intent of this id in somebody's name; returns when that is stored, or refused.
    pub(crate) async fn approve(&self, id: &str, by: &str) -> Result<JoinIntent, ApiError> {
        let waiting = self.take(id)?;
        let approval = Approval::by(by, waiting.intent.id())
            .map_err(|error| ApiError::invalid("invalid_approver", error.to_string()))?;
        let (told, outcome) = oneshot::channel();
        waiting.answer.send(Verdict::Approved(approval, told)).map_err(|_| gone())?;
        outcome.await.map_err(|_| ApiError::outcome_unknown())??;
        Ok(waiting.intent)
    }

    /// Refuses the intent of this id.
    pub(crate) fn refuse(&self, id: &str) -> Result<(), ApiError> {
        self.take(id)?.answer.send(Verdict::Refused).map_err(|_| gone())
    }

    fn take(&self, id: &str) -> Result<Waiting, ApiError> {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(id).ok_or_else(gone)
    }
}

/// The id of an intent, as operators name it.
pub(crate) fn intent_id(id: &IntentId) -> String {
    id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn gone() -> ApiError {
    ApiError::not_found("machine that waits")
}

/// Each has proven that it knows a code, of which there is one at a time.
const MAX_WAITING: usize = 16;
