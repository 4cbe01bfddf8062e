//! `/api/v1/api-tokens`

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use core_types::{Grant, Limit, PermissionPattern, Principal, Restriction, Scope, Subject, TokenId};
use iam_policy::{AccessRequest, Authorizer, Decision};
use serde::Deserialize;
use serde_json::{Value, json};
use state_store::StateStore;
use token_vault::{
    IssueError, IssueRequest, PlanError, RevocationReason, TokenFilter, TokenInfo, TokenState,
};

use super::{parse_body, parse_field, parse_id, parse_time};
use crate::control_plane::api_error::ApiError;
use crate::control_plane::call::{Body, Caller, Reply, perform};
use crate::control_plane::endpoint;
use crate::control_plane::facts::RequestFacts;
use crate::control_plane::startup::api_token_kind;
use crate::control_plane::state::{self, ControlPlane};
use crate::entry::rfc3339;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    name: String,
    /// Permission patterns. An empty list is refused: it would mean nothing at all.
    scopes: Vec<String>,
    /// Where they hold: a scope in the project; the project itself where nothing is said.
    scope: Option<String>,
    /// Whose rights the token uses; the caller's where nothing is said.
    owner: Option<String>,
    expires_at: Option<String>,
}

pub(super) async fn issue<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::ISSUE_TOKEN, facts, move |plane, caller| async move {
        let new: NewToken = parse_body(body.bytes()?)?;
        let owner = new.owner.as_deref().map_or(Ok(caller.subject()), |text| parse_field("owner", text))?;
        let restriction = restriction(&new, &caller.scope)?;
        let (token, info) = plane
            .change(|state| {
                guard_owner(state, &caller, owner, &restriction)?;
                let request =
                    IssueRequest::new(new.name.as_str(), api_token_kind(), owner, restriction.clone())
                        .at_home_in(caller.scope.clone());
                // For its own owner a token issues tokens that die with it. For somebody else the caller is
                // named, and what it may give away was checked above.
                let request = if owner == caller.subject() {
                    request.issued_by(&caller.token)
                } else {
                    request.created_by(Principal::subject(caller.subject()))
                };
                let issued =
                    plane.vault.plan_issue(request, caller.now, &plane.random).map_err(
                        |error| match error {
                            IssueError::Widens => ApiError::escalation(error.to_string()),
                            IssueError::Random(_) | IssueError::Record(_) | IssueError::Batch(_) => {
                                state.internal(&error)
                            }
                            error => ApiError::invalid("refused", error.to_string()),
                        },
                    )?;
                Ok(((issued.token, issued.info), issued.batch))
            })
            .await?;
        let mut answer = show(&info);
        if let Value::Object(fields) = &mut answer {
            // The one time that the plaintext leaves the server.
            token.expose_once(|text| fields.insert("token".into(), text.into()));
        }
        Ok(Reply::created(answer))
    })
    .await
}

pub(super) async fn list<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    let limit = facts.parameter("limit").map(str::to_owned);
    let after = facts.parameter("after").map(str::to_owned);
    perform(plane, &endpoint::LIST_TOKENS, facts, move |plane, caller| async move {
        let limit = limit.as_deref().map_or(Ok(DEFAULT_LIMIT), |text| parse_field("limit", text))?;
        let limit = limit.clamp(1, token_vault::vault::MAX_LIST);
        let mut filter = TokenFilter::all().at_home_in(caller.scope.clone()).limit(limit);
        if let Some(after) = after.as_deref() {
            filter = filter.after(parse_field::<TokenId>("after", after)?);
        }
        let tokens = plane.vault.list(&filter);
        let next = tokens.last().filter(|_| tokens.len() == limit).map(|token| token.id);
        Ok(Reply::ok(json!({"items": tokens.iter().map(show).collect::<Vec<_>>(), "next": next})))
    })
    .await
}

pub(super) async fn revoke<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path(id): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::REVOKE_TOKEN, facts, move |plane, caller| async move {
        let id: TokenId = parse_id("token", &id)?;
        plane
            .change(|state| {
                let missing = || ApiError::not_found("token");
                // A token of another project is no token here.
                let known = plane.vault.get(id).filter(|info| caller.scope.contains(&info.home));
                let reason = match known.ok_or_else(missing)?.owner {
                    owner if owner == caller.subject() => RevocationReason::Unneeded,
                    _ => RevocationReason::Administrative,
                };
                let change =
                    plane.vault.plan_revoke(id, caller.principal(), reason, caller.now).map_err(|error| {
                        match error {
                            PlanError::NotFound => missing(),
                            PlanError::Unchanged => {
                                ApiError::taken("already_revoked", "the token is revoked already")
                            }
                            error => state.internal(&error),
                        }
                    })?;
                Ok(((), change.batch))
            })
            .await?;
        Ok(Reply::done())
    })
    .await
}

/// The pairs of the request: each permission pattern, at the one scope.
fn restriction(new: &NewToken, project: &Scope) -> Result<Restriction, ApiError> {
    let scope = new
        .scope
        .as_deref()
        .map_or_else(|| Ok(project.clone()), |text| parse_field::<Scope>("scope", text))?;
    if !project.contains(&scope) {
        return Err(ApiError::invalid("invalid_field", "`scope`: not in the project of the request"));
    }
    let grants = new
        .scopes
        .iter()
        .map(|text| Ok(Grant::new(parse_field::<PermissionPattern>("scopes", text)?, scope.clone())))
        .collect::<Result<Vec<_>, ApiError>>()?;
    let restriction =
        Restriction::only(grants).map_err(|error| ApiError::invalid("invalid_field", error.to_string()))?;
    Ok(match &new.expires_at {
        Some(text) => restriction.expiring(parse_time("expires_at", text)?),
        None => restriction,
    })
}

/// Nobody hands out a token for somebody else's rights that allows more than the caller's own.
///
/// (For one's own rights the vault sees to it: a token issues narrower tokens only.)
fn guard_owner(
    state: &state::State,
    caller: &Caller,
    owner: Subject,
    restriction: &Restriction,
) -> Result<(), ApiError> {
    let directory = &state.iam;
    if directory.view().subject(owner).is_none() {
        return Err(ApiError::not_found("owner"));
    }
    if owner == caller.subject() {
        return Ok(());
    }
    let authorizer = Authorizer::of(directory);
    let principal = caller.principal();
    if let Limit::Only(grants) = restriction.grants() {
        // May the caller give away what it does not hold, at every scope of the wish?
        let escalate = state::permission(ESCALATE)?;
        let may_escalate = grants.iter().all(|grant| {
            let request =
                AccessRequest::new(&principal, caller.restriction(), &escalate, &grant.scope, caller.now);
            matches!(authorizer.authorize(&request), Decision::Allow(_))
        });
        if may_escalate {
            return Ok(());
        }
    }
    let held =
        authorizer.effective_grants(caller.subject(), caller.now).map_err(|error| state.internal(&error))?;
    let held = Restriction::only(held).map_err(|error| state.internal(&error))?;
    if held.contains(restriction) && caller.restriction().contains(restriction) {
        Ok(())
    } else {
        Err(ApiError::escalation(
            "a token for somebody else allows at most what your rights and your own token do",
        ))
    }
}

fn show(token: &TokenInfo) -> Value {
    let scopes: Vec<Value> = match token.restriction.grants() {
        Limit::Unlimited => vec!["*:*".into()],
        Limit::Only(grants) => grants
            .iter()
            .map(|grant| json!({"permissions": grant.permissions, "scope": grant.scope}))
            .collect(),
    };
    json!({
        "id": token.id,
        "name": token.name,
        "owner": token.owner,
        "creator": token.creator,
        "scopes": scopes,
        "expires_at": match token.restriction.expires_at() {
            Limit::Unlimited => None,
            Limit::Only(at) => Some(rfc3339(at)),
        },
        "created_at": rfc3339(token.created_at),
        "last_used_at": token.last_used_at.map(rfc3339),
        "revoked": matches!(token.state, TokenState::Revoked(_)),
        "hint": token.redacted().to_string(),
    })
}

const DEFAULT_LIMIT: usize = 100;
/// The permission to hand out more than one holds.
const ESCALATE: &str = "iam:escalate";
