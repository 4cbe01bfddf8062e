//! `/api/v1/explain`: why somebody may or may not.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use core_types::{Permission, Principal, Restriction, Scope};
use iam_policy::document::{AnswerDocument, RequestDocument};
use iam_policy::{Authorizer, Explanation};
use serde_json::json;
use state_store::StateStore;

use super::parse_field;
use crate::control_plane::api_error::ApiError;
use crate::control_plane::call::{Reply, perform};
use crate::control_plane::endpoint;
use crate::control_plane::facts::RequestFacts;
use crate::control_plane::state::ControlPlane;

/// The decision that `principal` would get for `permission` at `scope` now, with all its reasons. Asked for a
/// token (`tok_…@usr_…`), by what that token allows.
pub(super) async fn explain<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    let asked = ["principal", "permission", "scope"].map(|name| facts.parameter(name).map(str::to_owned));
    perform(plane, &endpoint::EXPLAIN, facts, move |plane, caller| async move {
        let [Some(principal), Some(permission), Some(scope)] = asked else {
            return Err(ApiError::invalid("invalid_field", "say `principal`, `permission` and `scope`"));
        };
        let principal: Principal = parse_field("principal", &principal)?;
        let permission: Permission = parse_field("permission", &permission)?;
        let scope: Scope = parse_field("scope", &scope)?;
        let restriction = match principal.token_id() {
            None => Restriction::unrestricted(),
            Some(id) => {
                let token = plane.tokens()?.get(id).filter(|token| token.owner == principal.rights_of());
                token.ok_or_else(|| ApiError::not_found("token"))?.restriction
            }
        };
        let question = RequestDocument::new(principal, permission, scope).with_restriction(restriction);
        let state = plane.read().await?;
        let authorizer = Authorizer::of(&state.iam);
        let explanation: Explanation = authorizer.explain(&question.as_request(caller.now));
        let answer = AnswerDocument::of(&explanation);
        Ok(Reply::ok(json!({
            "decision": answer.decision,
            "reasons": answer.reasons,
            "revision": authorizer.revision().get(),
        })))
    })
    .await
}
