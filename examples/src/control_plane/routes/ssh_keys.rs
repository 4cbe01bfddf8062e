//! `/api/v1/ssh-keys`

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use sshkey_registry::registry::{Added, NewKey, plan_add, plan_remove};
use sshkey_registry::{AddError, AdmittedKey, KeyLine, KeyName, PublicKey, RemoveError, SshKey};
use state_store::StateStore;

use super::{parse_body, parse_id};
use crate::control_plane::api_error::ApiError;
use crate::control_plane::call::{Body, Caller, Reply, perform};
use crate::control_plane::endpoint;
use crate::control_plane::facts::RequestFacts;
use crate::control_plane::state::ControlPlane;
use crate::entry::rfc3339;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSshKey {
    name: String,
    public_key: String,
}

pub(super) async fn add<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::ADD_SSH_KEY, facts, move |plane, caller| async move {
        let new: NewSshKey = parse_body(body.bytes()?)?;
        let name = KeyName::parse(&new.name)
            .map_err(|error| ApiError::invalid("invalid_name", error.to_string()))?;
        let line = KeyLine::parse(&new.public_key)
            .map_err(|error| ApiError::invalid("invalid_key", error.to_string()))?;
        let (key, comment) = line.into_parts();
        let key = admit(&plane, key).await?;
        let new = NewKey { project: caller.scope.clone(), name, key, comment, added_by: caller.subject() };
        let added = plane
            .change(|state| {
                let planned = plan_add(state.keys.view(), new.clone(), caller.now, &plane.random);
                let planned = planned.map_err(|error| match error {
                    AddError::NameTaken => ApiError::taken("name_taken", error.to_string()),
                    error => state.internal(&error),
                })?;
                Ok((planned.value, planned.batch))
            })
            .await?;
        Ok(match &added {
            Added::New(key) => Reply::created(show(key)),
            Added::AlreadyThere(key) => Reply::ok(show(key)),
        })
    })
    .await
}

/// Decides on a key where computing may take its time, one after another: a long RSA key costs a second.
async fn admit<S: StateStore>(plane: &Arc<ControlPlane<S>>, key: PublicKey) -> Result<AdmittedKey, ApiError> {
    let turn = plane.admissions.acquire().await.map_err(|_| ApiError::internal())?;
    let deciding = Arc::clone(plane);
    let verdict = tokio::task::spawn_blocking(move || deciding.admission.admit(key)).await;
    drop(turn);
    let verdict = verdict.map_err(|_| ApiError::internal())?;
    verdict.map_err(|error| ApiError::invalid("key_refused", error.to_string()))
}

pub(super) async fn list<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::LIST_SSH_KEYS, facts, move |plane, caller| async move {
        let state = plane.current()?;
        let keys: Vec<Value> = state.keys.view().list(&caller.scope).map(|key| show(key)).collect();
        Ok(Reply::ok(json!({"items": keys})))
    })
    .await
}

pub(super) async fn get<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path(id): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::GET_SSH_KEY, facts, move |plane, caller| async move {
        let state = plane.current()?;
        let key = state.keys.view().get(&caller.scope, parse_id("key", &id)?);
        Ok(Reply::ok(show(key.ok_or_else(|| ApiError::not_found("key"))?)))
    })
    .await
}

pub(super) async fn remove<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path(id): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::REMOVE_SSH_KEY, facts, move |plane, caller: Caller| async move {
        let id = parse_id("key", &id)?;
        plane
            .change(|state| {
                let planned = plan_remove(state.keys.view(), &caller.scope, id, caller.subject(), caller.now);
                let planned = planned.map_err(|error| match error {
                    RemoveError::NotFound => ApiError::not_found("key"),
                    error => state.internal(&error),
                })?;
                Ok((planned.value, planned.batch))
            })
            .await?;
        Ok(Reply::done())
    })
    .await
}

fn show(key: &SshKey) -> Value {
    json!({
        "id": key.id(),
        "name": key.name().as_str(),
        "type": key.key().key_type().as_str(),
        "bits": key.key().bits(),
        "fingerprint_sha256": key.key().fingerprint(),
        "fingerprint_md5": key.key().md5_fingerprint().to_string(),
        "public_key": key.key().to_openssh(&key.name().into()),
        "comment": key.comment().map(sshkey_registry::Comment::as_str),
        "added_by": key.added_by(),
        "added_at": rfc3339(key.added_at()),
    })
}
