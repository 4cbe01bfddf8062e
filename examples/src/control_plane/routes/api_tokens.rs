//! `/api/v1/api-tokens`

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use core_types::{Limit, Principal, Restriction, Subject, TokenId};
use iam_policy::{AccessRequest, Authorizer, Decision};
use serde::Deserialize;
use serde_json::{Value, json};
use state_store::{Batch, StateStore};
use token_vault::vault::{LeakOutcome, LeakPolicy, Many};
use token_vault::{IssueError, IssuedToken, PlanError, RevocationReason, TokenFilter, TokenInfo, TokenState};

use super::{parse_body, parse_field, parse_id};
use crate::control_plane::api_error::ApiError;
use crate::control_plane::call::{Body, Caller, Reply, perform};
use crate::control_plane::endpoint;
use crate::control_plane::facts::RequestFacts;
use crate::control_plane::fleet::Wait;
use crate::control_plane::startup::api_token_kind;
use crate::control_plane::state::{self, ControlPlane};
use crate::control_plane::token_wish::TokenWish;
use crate::entry::rfc3339;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// How long the secret before is still accepted; not at all where nothing is said.
    #[serde(default)]
    overlap_seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeakReport {
    /// The token as it was found.
    token: String,
    #[serde(default)]
    policy: LeakAnswer,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LeakAnswer {
    #[default]
    Revoke,
    Quarantine,
    Notify,
}

pub(super) async fn issue<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::ISSUE_TOKEN, facts, move |plane, caller| async move {
        let wish: TokenWish = parse_body(body.bytes()?)?;
        let owner = wish.owner.as_deref().map_or(Ok(caller.subject()), |text| parse_field("owner", text))?;
        let restriction = wish.restriction(&caller.scope, caller.restriction())?;
        let (token, info) = plane
            .change(|state| {
                guard_owner(state, &caller, owner, &restriction)?;
                let request =
                    wish.request(api_token_kind(), owner, restriction.clone(), caller.scope.clone())?;
                // For its own owner a token issues tokens that die with it. For somebody else the caller is
                // named, and what it may give away was checked above.
                let request = if owner == caller.subject() {
                    request.issued_by(&caller.token)
                } else {
                    request.created_by(Principal::subject(caller.subject()))
                };
                let issued = plane
                    .vault
                    .plan_issue(request, caller.now, &plane.random)
                    .map_err(|error| refused_issue(state, &error))?;
                Ok(((issued.token, issued.info), issued.batch))
            })
            .await?;
        Ok(Reply::created(show_once(token, &info)))
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
        let tokens = plane.tokens()?.list(&filter);
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
    let wait = Wait::of(&facts);
    perform(plane, &endpoint::REVOKE_TOKEN, facts, move |plane, caller| async move {
        let (id, wait): (TokenId, Wait) = (parse_id("token", &id)?, wait?);
        plane
            .change(|state| {
                let reason = match known(&plane, &caller, id)?.owner {
                    owner if owner == caller.subject() => RevocationReason::Unneeded,
                    _ => RevocationReason::Administrative,
                };
                let change = plane.vault.plan_revoke(id, caller.principal(), reason, caller.now);
                Ok(((), change.map_err(|error| refused_change(state, &error))?.batch))
            })
            .await?;
        wait.reply(&plane).await
    })
    .await
}

/// Gives a token a new secret; the id stays.
pub(super) async fn rotate<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path(id): Path<String>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::ROTATE_TOKEN, facts, move |plane, caller| async move {
        let id: TokenId = parse_id("token", &id)?;
        let overlap = Duration::from_secs(parse_body::<Rotation>(body.bytes()?)?.overlap_seconds);
        let (token, info) = plane
            .change(|state| {
                let known = known(&plane, &caller, id)?;
                // Whoever rotates a token holds it afterwards.
                if caller.token.id() != id {
                    guard_owner(state, &caller, known.owner, &known.restriction)?;
                    guard_bounds(&caller)?;
                    if known.owner == caller.subject() && !caller.restriction().contains(&known.restriction) {
                        return Err(ApiError::escalation(
                            "the token allows more than the one that rotates it",
                        ));
                    }
                }
                let rotated = plane
                    .vault
                    .plan_rotate(id, overlap, caller.principal(), caller.now, &plane.random)
                    .map_err(|error| match error {
                        PlanError::NotApplicable => {
                            ApiError::invalid("refused", "it has ended, or the overlap is too long")
                        }
                        error => refused_change(state, &error),
                    })?;
                Ok(((rotated.token, rotated.info), rotated.batch))
            })
            .await?;
        Ok(Reply::ok(show_once(token, &info)))
    })
    .await
}

/// From now on only the newest secret of a token is accepted.
pub(super) async fn end_overlap<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path(id): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::END_OVERLAP, facts, move |plane, caller| async move {
        let id: TokenId = parse_id("token", &id)?;
        plane
            .change(|state| {
                known(&plane, &caller, id)?;
                let change = plane.vault.plan_end_overlap(id, caller.principal(), caller.now);
                let change = change.map_err(|error| match error {
                    PlanError::Unchanged => ApiError::taken("no_overlap", "no earlier secret is accepted"),
                    error => refused_change(state, &error),
                })?;
                Ok(((), change.batch))
            })
            .await?;
        Ok(Reply::done())
    })
    .await
}

/// Revokes all tokens of the project: those there are, and those whose issue is under way.
pub(super) async fn revoke_all<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    let wait = Wait::of(&facts);
    perform(plane, &endpoint::REVOKE_ALL_TOKENS, facts, move |plane, caller| async move {
        revoke_many(&plane, &caller, &Many::AtHomeIn(caller.scope.clone()), wait?).await
    })
    .await
}

/// Revokes all tokens of a user, wherever they are at home.
pub(super) async fn revoke_of_user<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path(id): Path<String>,
    facts: RequestFacts,
) -> Response {
    let wait = Wait::of(&facts);
    perform(plane, &endpoint::REVOKE_USER_TOKENS, facts, move |plane, caller| async move {
        let owner = Subject::User(parse_id("user", &id)?);
        if plane.read().await?.iam.view().subject(owner).is_none() {
            return Err(ApiError::not_found("user"));
        }
        revoke_many(&plane, &caller, &Many::OwnedBy(owner), wait?).await
    })
    .await
}

async fn revoke_many<S: StateStore>(
    plane: &ControlPlane<S>,
    caller: &Caller,
    many: &Many,
    wait: Wait,
) -> Result<Reply, ApiError> {
    let reason = RevocationReason::Administrative;
    plane
        .change(|state| {
            let planned =
                plane.vault.plan_revoke_many(many, Limit::Unlimited, caller.principal(), reason, caller.now);
            Ok(((), planned.map_err(|error| state.internal(&error))?.batch))
        })
        .await?;
    wait.reply(plane).await
}

/// A token that was found in the open: only whoever shows its secret is heard.
pub(super) async fn report_leak<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::REPORT_LEAK, facts, move |plane, caller| async move {
        let report: LeakReport = parse_body(body.bytes()?)?;
        let policy = match report.policy {
            LeakAnswer::Revoke => LeakPolicy::Revoke,
            LeakAnswer::Quarantine => LeakPolicy::Quarantine,
            LeakAnswer::Notify => LeakPolicy::Notify,
        };
        let info = plane
            .change(|state| {
                let outcome = plane.vault.plan_leak(&report.token, policy, caller.principal(), caller.now);
                match outcome.map_err(|error| state.internal(&error))? {
                    LeakOutcome::Ours { info, change } => {
                        Ok((info, change.map_or_else(Batch::new, |change| change.batch)))
                    }
                    _ => Err(ApiError::not_found("token")),
                }
            })
            .await?;
        Ok(Reply::ok(json!({"id": info.id, "owner": info.owner, "name": info.name, "home": info.home})))
    })
    .await
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
    guard_bounds(caller)?;
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

/// A token that is bound to networks or to a number of uses hands out nothing that is not.
fn guard_bounds(caller: &Caller) -> Result<(), ApiError> {
    let info = caller.token.info();
    let is_bound = info.networks != Limit::Unlimited
        || info.use_limit != Limit::Unlimited
        || info.idle_millis != Limit::Unlimited;
    if is_bound {
        Err(ApiError::escalation(
            "your token is bound to networks, uses or idle time; what it hands out would not be",
        ))
    } else {
        Ok(())
    }
}

/// The token, where it is one of the request's project: one of another is no token here.
fn known<S: StateStore>(
    plane: &ControlPlane<S>,
    caller: &Caller,
    id: TokenId,
) -> Result<TokenInfo, ApiError> {
    let known = plane.vault.get(id).filter(|info| caller.scope.contains(&info.home));
    known.ok_or_else(|| ApiError::not_found("token"))
}

/// Why a token was not changed, for whoever asked.
pub(crate) fn refused_change(state: &state::State, error: &PlanError) -> ApiError {
    match error {
        PlanError::NotFound => ApiError::not_found("token"),
        PlanError::Unchanged | PlanError::Revoked => {
            ApiError::taken("already_revoked", "the token is revoked already")
        }
        error => state.internal(error),
    }
}

/// Why a token was not issued, for the caller.
pub(super) fn refused_issue(state: &state::State, error: &IssueError) -> ApiError {
    match error {
        IssueError::Widens | IssueError::ParentMayNotIssue => ApiError::escalation(error.to_string()),
        IssueError::Random(_) | IssueError::Record(_) | IssueError::Batch(_) => state.internal(error),
        error => ApiError::invalid("refused", error.to_string()),
    }
}

/// The answer with the plaintext: the one time that it leaves the server.
pub(super) fn show_once(token: IssuedToken, info: &TokenInfo) -> Value {
    let mut answer = show(info);
    if let Value::Object(fields) = &mut answer {
        token.expose_once(|text| fields.insert("token".into(), text.into()));
    }
    answer
}

pub(super) fn show(token: &TokenInfo) -> Value {
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
        "networks": match &token.networks {
            Limit::Unlimited => None,
            Limit::Only(networks) => Some(networks.iter().map(ToString::to_string).collect::<Vec<_>>()),
        },
        "max_uses": match token.use_limit {
            Limit::Unlimited => None,
            Limit::Only(uses) => Some(uses),
        },
        "uses": token.uses,
        "created_at": rfc3339(token.created_at),
        "rotate_by": token.rotate_by.map(rfc3339),
        "last_used_at": token.last_used_at.map(rfc3339),
        "revoked": matches!(token.state, TokenState::Revoked(_)),
        "quarantined": matches!(token.state, TokenState::Quarantined(_)),
        "hint": token.redacted().to_string(),
    })
}

const DEFAULT_LIMIT: usize = 100;
/// The permission to hand out more than one holds.
const ESCALATE: &str = "iam:escalate";
