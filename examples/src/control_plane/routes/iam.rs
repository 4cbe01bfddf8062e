//! `/api/v1/users`, `/groups`, `/roles`, `/bindings`

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use core_types::{Limit, PermissionPattern, Scope, Subject, UnixTime, UserId};
use iam_policy::record::{BindingRecord, GroupRecord, RoleRecord, SubjectRecord};
use iam_policy::{
    BuiltInRole, Grantor, GroupId, Holder, Name, PatternSet, Planned, Planner, RoleRef, WriteError,
};
use serde::Deserialize;
use serde_json::{Value, json};
use state_store::StateStore;

use super::{parse_body, parse_field, parse_id, parse_time};
use crate::control_plane::api_error::ApiError;
use crate::control_plane::call::{Body, Caller, Reply, perform};
use crate::control_plane::endpoint;
use crate::control_plane::facts::RequestFacts;
use crate::control_plane::state::ControlPlane;
use crate::entry::rfc3339;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNamed {
    name: String,
    /// Where it is administered; the root unless said otherwise.
    home: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMember {
    /// A subject, or a group whose members are to be in this one.
    member: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRole {
    name: String,
    home: Option<String>,
    permissions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBinding {
    role: String,
    holder: String,
    scope: String,
    expires_at: Option<String>,
}

type Plane<S> = State<Arc<ControlPlane<S>>>;

pub(super) async fn create_user<S: StateStore>(
    State(plane): Plane<S>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::CREATE_USER, facts, move |plane, caller| async move {
        let new: NewNamed = parse_body(body.bytes()?)?;
        let (name, home) = (parse_field::<Name>("name", &new.name)?, home(new.home.as_deref())?);
        let id =
            change(&plane, &caller, |planner| planner.create_user(name.clone(), home.clone(), &plane.random))
                .await?;
        Ok(Reply::created(json!({"id": id, "name": new.name, "home": home})))
    })
    .await
}

pub(super) async fn list_users<S: StateStore>(State(plane): Plane<S>, facts: RequestFacts) -> Response {
    perform(plane, &endpoint::LIST_USERS, facts, move |plane, _caller| async move {
        let state = plane.read().await?;
        Ok(Reply::ok(json!({"items": state.iam.view().subjects().map(show_subject).collect::<Vec<_>>()})))
    })
    .await
}

pub(super) async fn disable_user<S: StateStore>(
    State(plane): Plane<S>,
    Path(id): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::DISABLE_USER, facts, move |plane, caller| async move {
        let id: UserId = parse_id("user", &id)?;
        change(&plane, &caller, |planner| planner.disable(Subject::User(id))).await?;
        Ok(Reply::done())
    })
    .await
}

pub(super) async fn create_group<S: StateStore>(
    State(plane): Plane<S>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::CREATE_GROUP, facts, move |plane, caller| async move {
        let new: NewNamed = parse_body(body.bytes()?)?;
        let (name, home) = (parse_field::<Name>("name", &new.name)?, home(new.home.as_deref())?);
        let id = change(&plane, &caller, |planner| {
            planner.create_group(name.clone(), home.clone(), &plane.random)
        })
        .await?;
        Ok(Reply::created(json!({"id": id, "name": new.name, "home": home})))
    })
    .await
}

pub(super) async fn list_groups<S: StateStore>(State(plane): Plane<S>, facts: RequestFacts) -> Response {
    perform(plane, &endpoint::LIST_GROUPS, facts, move |plane, _caller| async move {
        let state = plane.read().await?;
        let directory = state.iam.view();
        let groups: Vec<Value> = directory
            .groups()
            .map(|group| {
                let members = directory.members(group.id).map(Holder::Subject);
                let inner = directory.groups_in(group.id).map(|inner| Holder::Group(inner.id));
                show_group(group, members.chain(inner))
            })
            .collect();
        Ok(Reply::ok(json!({"items": groups})))
    })
    .await
}

pub(super) async fn add_member<S: StateStore>(
    State(plane): Plane<S>,
    Path(id): Path<String>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::ADD_MEMBER, facts, move |plane, caller| async move {
        let new: NewMember = parse_body(body.bytes()?)?;
        let (group, member): (GroupId, Holder) =
            (parse_id("group", &id)?, parse_field("member", &new.member)?);
        change(&plane, &caller, |planner| match member {
            Holder::Subject(subject) => planner.add_member(group, subject),
            Holder::Group(inner) => planner.add_group(group, inner),
            _ => Err(WriteError::Unchanged),
        })
        .await?;
        Ok(Reply::created(json!({"group": group, "member": new.member})))
    })
    .await
}

pub(super) async fn remove_member<S: StateStore>(
    State(plane): Plane<S>,
    Path((id, member)): Path<(String, String)>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::REMOVE_MEMBER, facts, move |plane, caller| async move {
        let (group, member): (GroupId, Holder) = (parse_id("group", &id)?, parse_id("member", &member)?);
        change(&plane, &caller, |planner| match member {
            Holder::Subject(subject) => planner.remove_member(group, subject),
            Holder::Group(inner) => planner.remove_group(group, inner),
            _ => Err(WriteError::Unchanged),
        })
        .await?;
        Ok(Reply::done())
    })
    .await
}

pub(super) async fn create_role<S: StateStore>(
    State(plane): Plane<S>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::CREATE_ROLE, facts, move |plane, caller| async move {
        let new: NewRole = parse_body(body.bytes()?)?;
        let (name, home) = (parse_field::<Name>("name", &new.name)?, home(new.home.as_deref())?);
        let patterns = new
            .permissions
            .iter()
            .map(|text| parse_field::<PermissionPattern>("permissions", text))
            .collect::<Result<Vec<_>, _>>()?;
        let patterns = PatternSet::new(patterns)
            .map_err(|error| ApiError::invalid("invalid_field", error.to_string()))?;
        let id = change(&plane, &caller, |planner| {
            planner.create_role(name.clone(), home.clone(), patterns.clone(), &plane.random)
        })
        .await?;
        Ok(Reply::created(json!({"id": id, "name": new.name, "home": home, "permissions": texts(&patterns)})))
    })
    .await
}

pub(super) async fn list_roles<S: StateStore>(State(plane): Plane<S>, facts: RequestFacts) -> Response {
    perform(plane, &endpoint::LIST_ROLES, facts, move |plane, _caller| async move {
        let state = plane.read().await?;
        let built_in = BuiltInRole::ALL.iter().map(|role| {
            json!({"id": role.name(), "name": role.name(), "built_in": true, "permissions": role.permissions()})
        });
        let roles: Vec<Value> = built_in.chain(state.iam.view().roles().map(show_role)).collect();
        Ok(Reply::ok(json!({"items": roles})))
    })
    .await
}

pub(super) async fn create_binding<S: StateStore>(
    State(plane): Plane<S>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::CREATE_BINDING, facts, move |plane, caller| async move {
        let new: NewBinding = parse_body(body.bytes()?)?;
        let role: RoleRef = parse_field("role", &new.role)?;
        let holder: Holder = parse_field("holder", &new.holder)?;
        let scope: Scope = parse_field("scope", &new.scope)?;
        let expires_at = match &new.expires_at {
            Some(text) => Limit::Only(parse_time("expires_at", text)?),
            None => Limit::Unlimited,
        };
        let id = change(&plane, &caller, |planner| {
            planner.bind(role, holder, scope.clone(), expires_at, &plane.random)
        })
        .await?;
        Ok(Reply::created(json!({"id": id, "role": new.role, "holder": new.holder, "scope": scope})))
    })
    .await
}

pub(super) async fn list_bindings<S: StateStore>(State(plane): Plane<S>, facts: RequestFacts) -> Response {
    perform(plane, &endpoint::LIST_BINDINGS, facts, move |plane, _caller| async move {
        let state = plane.read().await?;
        Ok(Reply::ok(json!({"items": state.iam.view().bindings().map(show_binding).collect::<Vec<_>>()})))
    })
    .await
}

pub(super) async fn remove_binding<S: StateStore>(
    State(plane): Plane<S>,
    Path(id): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::REMOVE_BINDING, facts, move |plane, caller| async move {
        let id = parse_id("binding", &id)?;
        change(&plane, &caller, |planner| planner.unbind(id)).await?;
        Ok(Reply::done())
    })
    .await
}

/// Plans by the caller's authority and commits: nobody gives what it does not hold.
async fn change<S: StateStore, T>(
    plane: &ControlPlane<S>,
    caller: &Caller,
    plan: impl Fn(Planner<'_>) -> Result<Planned<T>, WriteError>,
) -> Result<T, ApiError> {
    plane
        .change(|state| {
            let principal = caller.principal();
            let by = Grantor::caller(&principal, caller.restriction());
            let planned = plan(state.iam.view().plan(by, caller.now)).map_err(|error| match error {
                WriteError::Escalation { .. } | WriteError::CallerUnknown | WriteError::CallerDisabled => {
                    ApiError::escalation(error.to_string())
                }
                WriteError::UnknownSubject(_) => ApiError::not_found("subject"),
                WriteError::UnknownGroup(_) => ApiError::not_found("group"),
                WriteError::UnknownRole(_) => ApiError::not_found("role"),
                WriteError::UnknownBinding(_) => ApiError::not_found("binding"),
                WriteError::NotMember(..) | WriteError::NotNested(..) => ApiError::not_found("member"),
                WriteError::InUse { .. } | WriteError::Unchanged | WriteError::Tangled(_) => {
                    ApiError::taken("state_conflict", error.to_string())
                }
                WriteError::OutsideHome
                | WriteError::OtherTenant
                | WriteError::AlreadyExpired
                | WriteError::Circle { .. }
                | WriteError::TooMany { .. } => ApiError::invalid("refused", error.to_string()),
                error => state.internal(&error),
            })?;
            Ok(planned.into_parts())
        })
        .await
}

fn home(text: Option<&str>) -> Result<Scope, ApiError> {
    text.map_or_else(|| Ok(Scope::root()), |text| parse_field("home", text))
}

fn show_subject(subject: &SubjectRecord) -> Value {
    json!({"id": subject.id, "name": subject.name, "home": subject.home, "state": subject.state})
}

fn show_group(group: &GroupRecord, members: impl Iterator<Item = Holder>) -> Value {
    let members: Vec<String> = members.map(|member| member.to_string()).collect();
    json!({"id": group.id, "name": group.name, "home": group.home, "members": members})
}

fn show_role(role: &RoleRecord) -> Value {
    json!({
        "id": role.id,
        "name": role.name,
        "built_in": false,
        "home": role.home,
        "permissions": texts(&role.permissions),
    })
}

fn show_binding(binding: &BindingRecord) -> Value {
    json!({
        "id": binding.id,
        "role": binding.role.to_string(),
        "holder": binding.holder.to_string(),
        "scope": binding.scope,
        "expires_at": show_limit(binding.expires_at),
    })
}

fn show_limit(limit: Limit<UnixTime>) -> Option<String> {
    match limit {
        Limit::Unlimited => None,
        Limit::Only(at) => Some(rfc3339(at)),
    }
}

fn texts(patterns: &PatternSet) -> Vec<String> {
    patterns.iter().map(ToString::to_string).collect()
}
