//! Who calls, where the call acts, and whether they may: asked before anything of the call is recorded.

use std::sync::Arc;

use audit_log::event::ResourceId;
use audit_log::{Actor, AppendError};
use audit_log_tower::{Admission, Arrival, Gate, Refusal, Route, Unrecorded};
use axum::body::Body;
use axum::extract::FromRequestParts as _;
use axum::http::request::Parts;
use axum::response::Response;
use core_types::{Clock as _, Scope, UnixTime};
use iam_policy::{AccessRequest, Authorizer, Decision};
use state_store::StateStore;
use token_vault::vault::Standing;
use token_vault::{CountError, Refusal as TokenRefusal, RefusalReason, VerifiedToken, VerifyContext};

use super::api_error::ApiError;
use super::call::{Admitted, Caller};
use super::endpoint::{self, Endpoint, Place};
use super::facts::{Credential, RequestFacts};
use super::figures::timed;
use super::following::standing;
use super::state::{self, ControlPlane};
use super::{REQUEST_TIMEOUT, project};

/// Lets a request in by its token and the directory.
pub(super) struct PlaneGate<S> {
    pub(super) plane: Arc<ControlPlane<S>>,
}

/// Why a call was refused, in a stable word: for the log, not for the caller.
#[derive(Debug)]
struct Reason(String);

impl Reason {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Names the token where a known one was presented, rightly or not.
    fn refused_token(refusal: &TokenRefusal) -> Self {
        let token = refusal.token().map_or_else(String::new, |token| format!(" ({token})"));
        Self(format!("{}{token}", refusal.reason()))
    }
}

impl<S: StateStore> Gate<Body> for PlaneGate<S> {
    async fn admit(&self, parts: &mut Parts, route: &Route) -> Admission<Body> {
        let Ok(facts) = RequestFacts::from_request_parts(parts, &()).await;
        // What is acted on: the path, of which the route has fixed all but the ids.
        let resource = ResourceId::new(facts.path.as_str()).ok();
        let admission = tokio::time::timeout(REQUEST_TIMEOUT, self.decide(parts, &facts, route)).await;
        let admission = admission.unwrap_or_else(|_| {
            let caller = audit_log_tower::Caller::new(Actor::Anonymous, Scope::root());
            facts.refuse(ApiError::unavailable("the store does not answer"), |code, answer| {
                Refusal::failed(caller, code, answer)
            })
        });
        match (admission, resource) {
            (Admission::Admitted(caller), Some(resource)) => {
                Admission::Admitted(caller.with_resource(resource))
            }
            (Admission::Refused(refusal), Some(resource)) => {
                Admission::Refused(refusal.with_resource(resource))
            }
            (admission, None) => admission,
        }
    }

    fn unrecorded(&self, why: &Unrecorded, arrival: Option<&Arrival>) -> Response {
        let id = arrival.map_or_else(String::new, |arrival| arrival.request().to_string());
        let error = match why {
            Unrecorded::Intent(error) => {
                self.plane.journal.failed(error);
                match error {
                    AppendError::Full => ApiError::unavailable("the disk is full"),
                    _ => ApiError::unavailable("the audit log takes no entry"),
                }
            }
            Unrecorded::Outcome(error) => {
                // The effect is made, and its intent is in the log: nothing is left but to say that.
                self.plane.journal.failed(error);
                ApiError::outcome_unknown()
            }
            _ => ApiError::internal(),
        };
        error.into_response_for(&id)
    }
}

impl<S: StateStore> PlaneGate<S> {
    async fn decide(&self, parts: &mut Parts, facts: &RequestFacts, route: &Route) -> Admission<Body> {
        let now = self.plane.clock.now();
        let nobody = || audit_log_tower::Caller::new(Actor::Anonymous, Scope::root());
        let failed = |caller, error: ApiError| {
            facts.refuse(error, |code, answer| Refusal::failed(caller, code, answer))
        };
        let Some(endpoint) = endpoint::of(route.name()) else {
            return failed(nobody(), ApiError::internal());
        };
        if facts.is_cross_site && endpoint.is_page_action() {
            return failed(nobody(), ApiError::invalid("cross_site", "another site sent this"));
        }
        let authenticated = timed(&self.plane.figures.verify, self.authenticate(facts, now)).await;
        let token = match authenticated {
            Ok(Ok(token)) => token,
            Ok(Err(reason)) => {
                return facts.refuse(ApiError::unauthenticated(), |_, answer| {
                    Refusal::unauthenticated(Scope::root(), reason.0, answer)
                });
            }
            Err(error) => return failed(nobody(), error),
        };
        let actor = token.principal();
        let scope = match place(endpoint, facts, &token) {
            Ok(scope) => scope,
            Err(error) => {
                return failed(audit_log_tower::Caller::new(actor, Scope::root()), error);
            }
        };
        let known = audit_log_tower::Caller::new(actor, scope.clone());
        let caller = Caller { token, scope, now };
        let authorized = timed(&self.plane.figures.decide, self.authorize(endpoint, &caller)).await;
        match authorized {
            Ok(Ok(())) => {
                parts.extensions.insert(Admitted { endpoint, caller });
                Admission::Admitted(known)
            }
            Ok(Err(reason)) => facts.refuse(ApiError::forbidden(endpoint.permission), |_, answer| {
                Refusal::denied(known, reason.0, answer)
            }),
            Err(error) => failed(known, error),
        }
    }

    /// The verified token, or why there is none: for the log, not for the caller.
    async fn authenticate(
        &self,
        facts: &RequestFacts,
        now: UnixTime,
    ) -> Result<Result<VerifiedToken, Reason>, ApiError> {
        let presented = match &facts.credential {
            Credential::Absent => return Ok(Err(Reason::new("no_credential"))),
            Credential::Unusable => return Ok(Err(Reason::new("unusable_credential"))),
            Credential::Bearer(presented) => presented,
        };
        let mut context = VerifyContext::at(now);
        if let Some(client) = facts.arrival.as_ref().and_then(Arrival::client) {
            context = context.from_client(client.address());
        }
        match self.plane.vault.verify_counted(&self.plane.store, presented, &context).await {
            Ok(token) => Ok(Ok(token)),
            // Not the token's fault: this node does not know enough to say anything of it.
            Err(CountError::Refused(refusal)) if refusal.reason() == RefusalReason::Stale => {
                self.plane.figures.stale.increment(1);
                Err(ApiError::unavailable("the state is not known to be current"))
            }
            Err(CountError::Refused(refusal)) => Ok(Err(Reason::refused_token(&refusal))),
            Err(_) => Err(ApiError::unavailable("the use of the token could not be counted")),
        }
    }

    /// Whether the caller may; the inner `Err` says why not, for the log.
    async fn authorize(&self, endpoint: &Endpoint, caller: &Caller) -> Result<Result<(), Reason>, ApiError> {
        let state = self.plane.read().await?;
        // The vault asked what is in memory, which may be older than this.
        if standing(state.iam.view(), caller.subject()) == Standing::Inactive {
            return Ok(Err(Reason::new("owner")));
        }
        if endpoint.place == Place::Own {
            return Ok(Ok(()));
        }
        let principal = caller.principal();
        let permission = state::permission(endpoint.permission)?;
        let request =
            AccessRequest::new(&principal, caller.restriction(), &permission, &caller.scope, caller.now);
        Ok(match Authorizer::of(&state.iam).authorize(&request) {
            Decision::Allow(_) => Ok(()),
            Decision::Deny(deny) => Err(Reason::new(deny.reason.code())),
        })
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
