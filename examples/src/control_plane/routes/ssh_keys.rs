//! `/api/v1/ssh-keys`

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use core_types::Fingerprint;
use serde::Deserialize;
use serde_json::{Value, json};
use sshkey_registry::registry::{
    Added, LastKey, NewKey, Usage, plan_add, plan_remove, plan_revoke_everywhere, plan_rotate,
};
use sshkey_registry::{
    AddError, AdmittedKey, KeyLine, KeyName, PublicKey, RemoveError, RevokeError, RotateError, SshKey,
    VmError,
};
use state_store::StateStore;

use super::{parse_body, parse_field, parse_id, parse_time};
use crate::control_plane::api_error::ApiError;
use crate::control_plane::call::{Body, Caller, Reply, perform};
use crate::control_plane::endpoint;
use crate::control_plane::facts::RequestFacts;
use crate::control_plane::state::{self, ControlPlane};
use crate::entry::rfc3339;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSshKey {
    name: String,
    public_key: String,
    /// RFC 3339.
    expires_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    name: String,
    public_key: String,
    /// How long the old key stays valid beside the new one.
    overlap_seconds: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Compromise {
    fingerprint_sha256: String,
}

pub(super) async fn add<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::ADD_SSH_KEY, facts, move |plane, caller| async move {
        let new: NewSshKey = parse_body(body.bytes()?)?;
        let expires_at = new.expires_at.as_deref().map(|text| parse_time("expires_at", text)).transpose()?;
        let mut key = new_key(&plane, &caller, &new.name, &new.public_key).await?;
        key.expires_at = expires_at;
        let added = plane
            .change(|state| {
                let planned = plan_add(state.keys.view(), key.clone(), caller.now, &plane.random);
                let planned = planned.map_err(|error| add_error(state, error))?;
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

/// A new key of the caller's project, admitted.
async fn new_key<S: StateStore>(
    plane: &Arc<ControlPlane<S>>,
    caller: &Caller,
    name: &str,
    upload: &str,
) -> Result<NewKey, ApiError> {
    let name = KeyName::parse(name).map_err(|error| ApiError::invalid("invalid_name", error.to_string()))?;
    let line = KeyLine::parse(upload).map_err(|error| ApiError::invalid("invalid_key", error.to_string()))?;
    let (key, comment) = line.into_parts();
    let key = admit(plane, key).await?;
    Ok(NewKey {
        project: caller.scope.clone(),
        name,
        key,
        comment,
        added_by: caller.subject(),
        expires_at: None,
    })
}

fn add_error(state: &state::State, error: AddError) -> ApiError {
    match error {
        AddError::NameTaken => ApiError::taken("name_taken", error.to_string()),
        AddError::Compromised => ApiError::invalid("key_refused", error.to_string()),
        AddError::ExpiresInPast => ApiError::invalid("invalid_field", error.to_string()),
        error => state.internal(&error),
    }
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
        let state = plane.read().await?;
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
        let state = plane.read().await?;
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
    let last = last_key(&facts);
    perform(plane, &endpoint::REMOVE_SSH_KEY, facts, move |plane, caller: Caller| async move {
        let (id, last) = (parse_id("key", &id)?, last?);
        plane
            .change(|state| {
                let (view, by) = (state.keys.view(), caller.subject());
                let planned = plan_remove(view, &caller.scope, id, by, last, caller.now);
                let planned = planned.map_err(|error| match error {
                    RemoveError::NotFound => ApiError::not_found("key"),
                    RemoveError::LastKey { .. } => ApiError::taken("last_key", error.to_string()),
                    error => state.internal(&error),
                })?;
                Ok((planned.value, planned.batch))
            })
            .await?;
        Ok(Reply::done())
    })
    .await
}

/// `?last_key=give_up` says that a machine may be left without a key.
pub(super) fn last_key(facts: &RequestFacts) -> Result<LastKey, ApiError> {
    match facts.parameter("last_key") {
        None => Ok(LastKey::Guard),
        Some("give_up") => Ok(LastKey::DangerouslyGiveUp),
        Some(_) => Err(ApiError::invalid("invalid_field", "`last_key` can only be `give_up`")),
    }
}

pub(super) async fn rotate<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path(id): Path<String>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::ROTATE_SSH_KEY, facts, move |plane, caller| async move {
        let id = parse_id("key", &id)?;
        let new: Rotation = parse_body(body.bytes()?)?;
        let overlap = Duration::from_secs(new.overlap_seconds.into());
        let key = new_key(&plane, &caller, &new.name, &new.public_key).await?;
        let rotated = plane
            .change(|state| {
                let (view, key) = (state.keys.view(), key.clone());
                let planned = plan_rotate(view, id, key, overlap, caller.now, &plane.random);
                let planned = planned.map_err(|error| match error {
                    RotateError::NotFound => ApiError::not_found("key"),
                    RotateError::SameKey => ApiError::invalid("same_key", error.to_string()),
                    RotateError::Add(error) => add_error(state, error),
                    RotateError::Options(_) => ApiError::invalid("invalid_options", error.to_string()),
                    RotateError::Vm(VmError::TooManyKeys { .. }) => {
                        ApiError::invalid("too_many_keys", error.to_string())
                    }
                    error => state.internal(&error),
                })?;
                Ok((planned.value, planned.batch))
            })
            .await?;
        let vms: Vec<_> = rotated.vms.iter().map(|vm| vm.name().as_str()).collect();
        Ok(Reply::ok(json!({"new": show(&rotated.new), "old": show(&rotated.old), "vms": vms})))
    })
    .await
}

/// Where a key is used, in every project: for operators.
pub(super) async fn usage<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    let fingerprint = facts.parameter("fingerprint").unwrap_or_default().to_owned();
    perform(plane, &endpoint::SSH_KEY_USAGE, facts, move |plane, _caller| async move {
        let fingerprint: Fingerprint = parse_field("fingerprint", &fingerprint)?;
        let state = plane.read().await?;
        let used: Vec<Value> = state.keys.view().where_used(&fingerprint).map(|usage| used(&usage)).collect();
        let revoked = state.keys.view().is_fingerprint_revoked(&fingerprint);
        Ok(Reply::ok(json!({"items": used, "revoked": revoked})))
    })
    .await
}

/// Revokes a key in every project: for operators.
pub(super) async fn revoke_everywhere<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::REVOKE_SSH_KEY, facts, move |plane, caller| async move {
        let new: Compromise = parse_body(body.bytes()?)?;
        let fingerprint: Fingerprint = parse_field("fingerprint_sha256", &new.fingerprint_sha256)?;
        let revoked = plane
            .change(|state| {
                let (view, by) = (state.keys.view(), caller.subject());
                let planned = plan_revoke_everywhere(view, fingerprint, by, caller.now);
                let planned = planned.map_err(|error| match error {
                    RevokeError::AlreadyRevoked => ApiError::taken("already_revoked", error.to_string()),
                    error => state.internal(&error),
                })?;
                Ok((planned.value, planned.batch))
            })
            .await?;
        Ok(Reply::ok(json!({"items": revoked.keys.iter().map(used).collect::<Vec<_>>()})))
    })
    .await
}

fn used(usage: &Usage) -> Value {
    json!({
        "project": usage.key.project(),
        "key": usage.key.id(),
        "vms": usage.vms.iter().map(|vm| vm.name().as_str()).collect::<Vec<_>>(),
    })
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
        "expires_at": key.expires_at().map(rfc3339),
    })
}
