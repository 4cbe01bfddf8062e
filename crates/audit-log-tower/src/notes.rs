use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audit_log::event::{Details, Field, MAX_REASON_BYTES};
use audit_log::{Completion, EventError, Outcome};
use http::StatusCode;

/// What the service has to say about its call, for the record. The layer puts it into the request's extensions.
///
/// A clone is the same notes. What is noted after the answer is given is too late.
#[derive(Debug, Clone, Default)]
pub struct AuditNotes {
    shared: Arc<Mutex<Noted>>,
}

#[derive(Debug, Default)]
struct Noted {
    outcome: Option<Outcome>,
    reason: Option<Box<str>>,
    details: Details,
}

impl AuditNotes {
    /// Adds a detail: public, sealed or redacted.
    ///
    /// # Errors
    /// As [`Details::insert`].
    pub fn detail(&self, name: &str, value: impl Into<Field>) -> Result<(), EventError> {
        self.lock().details.insert(name, value)
    }

    /// Says why it ended as it did; of a long text the first [`MAX_REASON_BYTES`] are kept.
    pub fn reason(&self, reason: &str) {
        let end = reason.floor_char_boundary(MAX_REASON_BYTES);
        self.lock().reason = Some(reason.get(..end).unwrap_or_default().into());
    }

    /// Says how it ended, where the status does not.
    pub fn outcome(&self, outcome: Outcome) {
        self.lock().outcome = Some(outcome);
    }

    /// The completion of a call that was answered with this status, or that failed without an answer.
    pub(crate) fn complete(&self, status: Option<StatusCode>, duration: Duration) -> Completion {
        let noted = self.lock();
        let outcome = noted.outcome.unwrap_or_else(|| status.map_or(Outcome::Failed, of_status));
        let completion = completion(outcome, duration, noted.reason.as_deref());
        noted.details.iter().fold(completion, |completion, (name, field)| {
            // They fit, since they were details before.
            completion.clone().with_detail(name, field.clone()).unwrap_or(completion)
        })
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        // Every change under the lock is complete before anything can panic.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn completion(outcome: Outcome, duration: Duration, reason: Option<&str>) -> Completion {
    let completion = match outcome {
        Outcome::Allowed => Completion::allowed(duration),
        Outcome::Denied => Completion::denied(duration),
        Outcome::Unauthenticated => Completion::unauthenticated(duration),
        Outcome::Failed => Completion::failed(duration),
        _ => Completion::unknown(duration),
    };
    match reason {
        Some(reason) => {
            let end = reason.floor_char_boundary(MAX_REASON_BYTES);
            completion.clone().with_reason(reason.get(..end).unwrap_or_default()).unwrap_or(completion)
        }
        None => completion,
    }
}

/// How a call ended that was answered with this status (RFC 9110, section 15).
fn of_status(status: StatusCode) -> Outcome {
    match status {
        StatusCode::UNAUTHORIZED => Outcome::Unauthenticated,
        StatusCode::FORBIDDEN => Outcome::Denied,
        status if status.is_client_error() || status.is_server_error() => Outcome::Failed,
        _ => Outcome::Allowed,
    }
}
