//! `/api/v1/projects`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use state_store::StateStore;

use super::parse_body;
use crate::control_plane::api_error::ApiError;
use crate::control_plane::call::{Body, Reply, perform};
use crate::control_plane::endpoint;
use crate::control_plane::facts::RequestFacts;
use crate::control_plane::project::{self, Project};
use crate::control_plane::state::ControlPlane;
use crate::entry::rfc3339;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewProject {
    name: String,
}

pub(super) async fn create<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::CREATE_PROJECT, facts, move |plane, caller| async move {
        let new: NewProject = parse_body(body.bytes()?)?;
        let scope = project::scope_of(&new.name).ok_or_else(|| {
            ApiError::invalid("invalid_name", "a project's name is 1 to 63 characters of [a-z0-9-]")
        })?;
        let project = Project { scope, created_at: caller.now, created_by: Some(caller.principal()) };
        plane
            .change(|state| {
                if project::find(state.projects.view(), &new.name).is_some() {
                    return Err(ApiError::taken("project_exists", "there is a project of this name"));
                }
                Ok(((), project::plan_create(&project).map_err(|error| state.internal(&error))?))
            })
            .await?;
        Ok(Reply::created(show(&project)))
    })
    .await
}

pub(super) async fn list<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::LIST_PROJECTS, facts, move |plane, _caller| async move {
        let state = plane.read().await?;
        let projects: Vec<Value> =
            state.projects.view().iter().map(|(_, stored)| show(&stored.record)).collect();
        Ok(Reply::ok(json!({"items": projects})))
    })
    .await
}

fn show(project: &Project) -> Value {
    json!({
        "name": project.name(),
        "scope": project.scope,
        "created_at": rfc3339(project.created_at),
        "created_by": project.created_by,
    })
}
