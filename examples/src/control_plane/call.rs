//! The way of every request: authenticate, authorise, record the intent, take effect, record the outcome.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use core_types::{Clock as _, Principal, RequestId, Restriction, Scope, Subject, UnixTime};
use iam_policy::{AccessRequest, Authorizer, Decision};
use serde_json::Value;
use state_store::StateStore;
use token_vault::{CountError, VerifiedToken, VerifyContext};

use super::api_error::ApiError;
use super::endpoint::{Endpoint, Place};
use super::facts::{Credential, RequestFacts};
use super::record::{self, Recorder};
use super::state::{self, ControlPlane};
use super::{REQUEST_TIMEOUT, project};

/// Who calls, and where: authenticated and authorised.
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
    body: Option<Value>,
}

impl Reply {
    pub(crate) const fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body: Some(body) }
    }

    pub(crate) const fn created(body: Value) -> Self {
        Self { status: StatusCode::CREATED, body: Some(body) }
    }

    pub(crate) const fn done() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None }
    }

    /// The id of what the call made, where it made something.
    pub(crate) fn id(&self) -> Option<&str> {
        self.body.as_ref().filter(|_| self.status == StatusCode::CREATED)?.get("id")?.as_str()
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self.body {
            Some(body) => (self.status, Json(body)).into_response(),
            None => self.status.into_response(),
        }
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

/// Carries out one call.
///
/// The work runs in a task of its own: a client that goes away does not leave it half done.
pub(crate) async fn perform<S, E, F>(
    plane: Arc<ControlPlane<S>>,
    endpoint: &'static Endpoint,
    facts: RequestFacts,
    effect: E,
) -> Response
where
    S: StateStore,
    E: FnOnce(Arc<ControlPlane<S>>, Caller) -> F + Send + 'static,
    F: Future<Output = Result<Reply, ApiError>> + Send + 'static,
{
    let now = plane.clock.now();
    let Ok(request_id) = RequestId::generate(now, &plane.random) else {
        return ApiError::internal().into_response_for("");
    };
    let work = tokio::spawn(async move {
        let recorder = Recorder::new(&plane.journal, endpoint, &facts, request_id, now);
        let answer =
            tokio::time::timeout(REQUEST_TIMEOUT, answer(&plane, endpoint, &facts, now, recorder, effect));
        answer.await.unwrap_or_else(|_| Err(ApiError::outcome_unknown()))
    });
    let answer = work.await.unwrap_or_else(|_| Err(ApiError::internal()));
    let text = request_id.to_string();
    let mut response = match answer {
        Ok(reply) => reply.into_response(),
        Err(error) => {
            tracing::info!(request_id = %text, action = endpoint.permission, code = error.code(), "refused or failed");
            error.into_response_for(&text)
        }
    };
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    response
}

async fn answer<S, E, F>(
    plane: &Arc<ControlPlane<S>>,
    endpoint: &'static Endpoint,
    facts: &RequestFacts,
    now: UnixTime,
    recorder: Recorder<'_>,
    effect: E,
) -> Result<Reply, ApiError>
where
    S: StateStore,
    E: FnOnce(Arc<ControlPlane<S>>, Caller) -> F,
    F: Future<Output = Result<Reply, ApiError>>,
{
    let token = match authenticate(plane, facts, now).await? {
        Ok(token) => token,
        Err(reason) => {
            recorder.unauthenticated(reason).await?;
            return Err(ApiError::unauthenticated());
        }
    };
    let recorder = recorder.by(token.principal());
    let scope = match place(endpoint, facts, &token) {
        Ok(scope) => scope,
        Err(error) => {
            recorder.refused(&error).await?;
            return Err(error);
        }
    };
    let recorder = recorder.at(scope.clone());
    let caller = Caller { token, scope, now };
    if let Err(reason) = authorize(plane, endpoint, &caller)? {
        recorder.denied(reason).await?;
        return Err(ApiError::forbidden(endpoint.permission));
    }
    if !endpoint.mutates() {
        exists(plane, endpoint, &caller)?;
        return effect(Arc::clone(plane), caller).await;
    }
    let open = recorder.begin().await?;
    let outcome = match exists(plane, endpoint, &caller) {
        Ok(()) => effect(Arc::clone(plane), caller).await,
        Err(error) => Err(error),
    };
    open.finish(&outcome, plane.reached()).await?;
    outcome
}

/// The verified token, or why there is none: for the log, not for the caller.
async fn authenticate<S: StateStore>(
    plane: &ControlPlane<S>,
    facts: &RequestFacts,
    now: UnixTime,
) -> Result<Result<VerifiedToken, record::Reason>, ApiError> {
    let presented = match &facts.credential {
        Credential::Absent => return Ok(Err(record::Reason::new("no_credential"))),
        Credential::Unusable => return Ok(Err(record::Reason::new("unusable_credential"))),
        Credential::Bearer(presented) => presented,
    };
    let mut context = VerifyContext::at(now);
    if let Some(peer) = facts.peer {
        context = context.from_client(peer.ip().to_canonical());
    }
    match plane.vault.verify_counted(&plane.store, presented, &context).await {
        Ok(token) => Ok(Ok(token)),
        Err(CountError::Refused(refusal)) => Ok(Err(record::Reason::refused_token(&refusal))),
        Err(_) => Err(ApiError::unavailable("the use of the token could not be counted")),
    }
}

/// Where the call acts.
fn place(endpoint: &Endpoint, facts: &RequestFacts, token: &VerifiedToken) -> Result<Scope, ApiError> {
    match endpoint.place {
        Place::Root => return Ok(Scope::root()),
        Place::Own => return Ok(token.home().clone()),
        Place::Project => {}
    }
    let missing = || ApiError::invalid("project_required", "name one project: `?project=NAME`");
    let mut named = facts.parameters("project");
    match (named.next(), named.next()) {
        (Some(name), None) => project::scope_of(name).ok_or_else(|| ApiError::not_found("project")),
        (Some(_), Some(_)) => Err(missing()),
        // A token that lives in a project means that one.
        (None, _) => {
            token.home().levels().next().and_then(|level| project::scope_of(level.name)).ok_or_else(missing)
        }
    }
}

/// Whether the caller may; the inner `Err` says why not, for the log.
fn authorize<S: StateStore>(
    plane: &ControlPlane<S>,
    endpoint: &Endpoint,
    caller: &Caller,
) -> Result<Result<(), record::Reason>, ApiError> {
    if endpoint.place == Place::Own {
        return Ok(Ok(()));
    }
    let state = plane.current()?;
    let principal = caller.principal();
    let permission = state::permission(endpoint.permission)?;
    let request =
        AccessRequest::new(&principal, caller.restriction(), &permission, &caller.scope, caller.now);
    Ok(match Authorizer::of(&state.iam).authorize(&request) {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(deny) => Err(record::Reason::new(deny.reason.code())),
    })
}

/// Only who may act in a project learns whether it is there.
fn exists<S: StateStore>(
    plane: &ControlPlane<S>,
    endpoint: &Endpoint,
    caller: &Caller,
) -> Result<(), ApiError> {
    let name = caller.scope.levels().last().map_or("", |level| level.name);
    if endpoint.place != Place::Project || project::find(plane.current()?.projects.view(), name).is_some() {
        Ok(())
    } else {
        Err(ApiError::not_found("project"))
    }
}
