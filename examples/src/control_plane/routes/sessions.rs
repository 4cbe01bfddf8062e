//! `/api/v1/login`, `/api/v1/self`: what everybody with a valid token may do.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use core_types::Limit;
use serde::Deserialize;
use serde_json::json;
use state_store::StateStore;
use token_vault::{IssueRequest, IssuedToken, PlanError, RevocationReason, TokenInfo};

use super::api_tokens::{refused_issue, show, show_once};
use super::parse_body;
use crate::control_plane::api_error::ApiError;
use crate::control_plane::call::{Caller, Reply, perform};
use crate::control_plane::endpoint;
use crate::control_plane::facts::{Credential, RequestFacts};
use crate::control_plane::startup::session_kind;
use crate::control_plane::state::ControlPlane;

/// The body of a login.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    /// The plaintext of an access key.
    access_key: String,
}

/// The access key in the body of a login, for the gate.
pub(super) fn access_key_of_json(body: &[u8]) -> Credential {
    parse_body::<Login>(body).map_or(Credential::Unusable, |login| Credential::Bearer(login.access_key))
}

/// Trades an access key for a session: a token that allows what the key allows, ends by itself, and dies with the
/// key. The key is the credential of this call; a body without one is a call without a credential.
pub(super) async fn login<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::LOG_IN, facts, move |plane, caller| async move {
        let (token, info) = open_session(&plane, &caller).await?;
        Ok(Reply::created(show_once(token, &info)))
    })
    .await
}

/// A session for the caller's access key.
pub(super) async fn open_session<S: StateStore>(
    plane: &ControlPlane<S>,
    caller: &Caller,
) -> Result<(IssuedToken, TokenInfo), ApiError> {
    let end = caller.now.saturating_add(SESSION_LIFETIME);
    let end = match caller.restriction().expires_at() {
        Limit::Only(of_key) => end.min(of_key),
        Limit::Unlimited => end,
    };
    let restriction = caller.restriction().clone().expiring(end);
    plane
        .change(|state| {
            let name = format!("session of {}", caller.token.id());
            let request = IssueRequest::new(name, session_kind(), caller.subject(), restriction.clone())
                .at_home_in(caller.token.home().clone())
                .issued_by(&caller.token);
            let issued = plane
                .vault
                .plan_issue(request, caller.now, &plane.random)
                .map_err(|error| refused_issue(state, &error))?;
            Ok(((issued.token, issued.info), issued.batch))
        })
        .await
}

/// Revokes the caller's token.
pub(super) async fn end_session<S: StateStore>(
    plane: &ControlPlane<S>,
    caller: &Caller,
) -> Result<(), ApiError> {
    plane
        .change(|state| {
            let (id, reason) = (caller.token.id(), RevocationReason::Unneeded);
            let change = plane.vault.plan_revoke(id, caller.principal(), reason, caller.now);
            let change = change.map_err(|error| match error {
                PlanError::Unchanged => ApiError::taken("already_revoked", "the token is revoked already"),
                error => state.internal(&error),
            })?;
            Ok(((), change.batch))
        })
        .await
}

/// Revokes the token of the request.
pub(super) async fn logout<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::LOG_OUT, facts, move |plane, caller| async move {
        end_session(&plane, &caller).await?;
        Ok(Reply::done())
    })
    .await
}

/// Who the caller is, and what the token allows at most.
pub(super) async fn whoami<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::WHO_AM_I, facts, move |_plane, caller| async move {
        Ok(Reply::ok(json!({
            "principal": caller.principal(),
            "subject": caller.subject(),
            "token": show(&caller.token.info()),
            "replace_secret": caller.token.used_old_secret(),
        })))
    })
    .await
}

/// How long a session lasts at most.
pub(super) const SESSION_LIFETIME: Duration = Duration::from_secs(8 * 3600);
