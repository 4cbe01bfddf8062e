//! The effect of a request: what comes after the gate and the record of the intent, and before that of the outcome.

use std::convert::Infallible;
use std::sync::Arc;

use audit_log::Outcome;
use audit_log_tower::AuditNotes;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use core_types::{Principal, Restriction, Scope, Subject, UnixTime};
use serde_json::Value;
use state_store::StateStore;
use token_vault::VerifiedToken;

use super::api_error::ApiError;
use super::endpoint::{Endpoint, Place};
use super::facts::RequestFacts;
use super::state::ControlPlane;
use super::{REQUEST_TIMEOUT, anchor, project};

/// Who calls, and where: authenticated and authorised.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) token: VerifiedToken,
    /// Where the call acts: the project's scope, or the root.
    pub(crate) scope: Scope,
    pub(crate) now: UnixTime,
}

impl Caller {
    pub(crate) fn principal(&self) -> Principal {
        self.token.principal()
    }

    pub(crate) fn subject(&self) -> Subject {
        self.token.owner()
    }

    pub(crate) fn restriction(&self) -> &Restriction {
        self.token.restriction()
    }
}

/// What a call answers when it went well.
pub(crate) struct Reply {
    status: StatusCode,
    content: Content,
    headers: Vec<(HeaderName, HeaderValue)>,
}

enum Content {
    Nothing,
    Json(Value),
    Text(&'static str, String),
}

impl Reply {
    pub(crate) const fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, content: Content::Json(body), headers: Vec::new() }
    }

    pub(crate) const fn created(body: Value) -> Self {
        Self { status: StatusCode::CREATED, content: Content::Json(body), headers: Vec::new() }
    }

    /// What is done, though not everywhere yet.
    pub(crate) const fn accepted(body: Value) -> Self {
        Self { status: StatusCode::ACCEPTED, content: Content::Json(body), headers: Vec::new() }
    }

    pub(crate) const fn done() -> Self {
        Self { status: StatusCode::NO_CONTENT, content: Content::Nothing, headers: Vec::new() }
    }

    /// Something other than JSON.
    pub(crate) const fn text(content_type: &'static str, text: String) -> Self {
        Self { status: StatusCode::OK, content: Content::Text(content_type, text), headers: Vec::new() }
    }

    /// On to another page (RFC 9110, section 15.4.4).
    pub(crate) fn see_other(location: &'static str) -> Self {
        let reply = Self { status: StatusCode::SEE_OTHER, content: Content::Nothing, headers: Vec::new() };
        reply.with_header(header::LOCATION, HeaderValue::from_static(location))
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The id of what the call made, where it made something.
    pub(crate) fn id(&self) -> Option<&str> {
        match &self.content {
            Content::Json(body) if self.status == StatusCode::CREATED => body.get("id")?.as_str(),
            _ => None,
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = match self.content {
            Content::Nothing => self.status.into_response(),
            Content::Json(body) => (self.status, Json(body)).into_response(),
            Content::Text(content_type, text) => {
                let content_type = HeaderValue::from_static(content_type);
                (self.status, [(header::CONTENT_TYPE, content_type)], text).into_response()
            }
        };
        response.headers_mut().extend(self.headers);
        response
    }
}

/// A request's body; what is wrong with it is answered by the call, so that the attempt is recorded.
pub(crate) struct Body {
    bytes: Result<Bytes, BytesRejection>,
}

impl Body {
    pub(crate) fn bytes(&self) -> Result<&[u8], ApiError> {
        match &self.bytes {
            Ok(bytes) => Ok(bytes),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(ApiError::too_large())
            }
            Err(_) => Err(ApiError::malformed("the body could not be read")),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Infallible> {
        Ok(Self { bytes: Bytes::from_request(request, state).await })
    }
}

/// What the gate found out, for the handler.
#[derive(Clone)]
pub(crate) struct Admitted {
    pub(crate) endpoint: &'static Endpoint,
    pub(crate) caller: Caller,
}

/// Carries out one call that the gate has let in and whose intent is durable.
pub(crate) async fn perform<S, E, F>(
    plane: Arc<ControlPlane<S>>,
    endpoint: &'static Endpoint,
    facts: RequestFacts,
    effect: E,
) -> Response
where
    S: StateStore,
    E: FnOnce(Arc<ControlPlane<S>>, Caller) -> F,
    F: Future<Output = Result<Reply, ApiError>>,
{
    // Nothing is done for a handler that stands at another route than the one that was let in.
    let admitted = facts.admitted.as_ref().filter(|admitted| std::ptr::eq(admitted.endpoint, endpoint));
    let Some(caller) = admitted.map(|admitted| admitted.caller.clone()) else {
        return facts.answer(ApiError::internal());
    };
    let outcome = async {
        exists(&plane, endpoint, &caller).await?;
        effect(Arc::clone(&plane), caller).await
    };
    let outcome = tokio::time::timeout(REQUEST_TIMEOUT, outcome).await;
    let outcome = outcome.unwrap_or_else(|_| Err(ApiError::outcome_unknown()));
    if endpoint.mutates() {
        note(&facts.notes, anchor::REVISION, plane.reached().get());
    }
    match outcome {
        Ok(reply) => {
            if let Some(id) = reply.id().and_then(|id| audit_log::Public::text(id).ok()) {
                note(&facts.notes, "id", id);
            }
            reply.into_response()
        }
        Err(error) => {
            if error.is_outcome_unknown() {
                facts.notes.outcome(Outcome::Unknown);
            }
            facts.notes.reason(error.code());
            facts.answer(error)
        }
    }
}

/// A detail of ours is well-formed; one that is not is left out rather than the entry.
fn note(notes: &AuditNotes, name: &str, value: impl Into<audit_log::event::Field>) {
    if let Err(error) = notes.detail(name, value) {
        tracing::error!(%error, name, "a detail could not be noted");
    }
}

/// Only who may act in a project learns whether it is there.
async fn exists<S: StateStore>(
    plane: &ControlPlane<S>,
    endpoint: &Endpoint,
    caller: &Caller,
) -> Result<(), ApiError> {
    let name = caller.scope.levels().last().map_or("", |level| level.name);
    if endpoint.place != Place::Project || project::find(plane.read().await?.projects.view(), name).is_some()
    {
        Ok(())
    } else {
        Err(ApiError::not_found("project"))
    }
}
