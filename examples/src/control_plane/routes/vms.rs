//! `/api/v1/vms`: machines, which keys log in to them, and what they are told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use sshkey_registry::bundle::Contents;
use sshkey_registry::cloud_init::{Account, UserData};
use sshkey_registry::registry::{
    Attach, NewVm, PortPool, SshKeyId, Vm, VmName, plan_add_vm, plan_attach, plan_detach, plan_remove_vm,
};
use sshkey_registry::{AccountName, Options, OptionsError, VmError};
use state_store::StateStore;

use super::ssh_keys::last_key;
use super::{parse_body, parse_field, parse_id, parse_time};
use crate::control_plane::api_error::ApiError;
use crate::control_plane::call::{Body, Reply, perform};
use crate::control_plane::endpoint;
use crate::control_plane::facts::RequestFacts;
use crate::control_plane::state::{self, ControlPlane};
use crate::entry::rfc3339;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMachine {
    name: String,
    /// The machines behind one address; their SSH ports differ.
    pool: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAttachment {
    key: String,
    account: String,
    /// As in `authorized_keys`; `restrict,pty` when left out.
    options: Option<String>,
    /// RFC 3339.
    expires_at: Option<String>,
}

pub(super) async fn create<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::CREATE_VM, facts, move |plane, caller| async move {
        let new: NewMachine = parse_body(body.bytes()?)?;
        let invalid =
            |error: sshkey_registry::NameError| ApiError::invalid("invalid_name", error.to_string());
        let new = NewVm {
            project: caller.scope.clone(),
            name: VmName::parse(&new.name).map_err(invalid)?,
            pool: PortPool::parse(new.pool.as_deref().unwrap_or("default")).map_err(invalid)?,
            created_by: caller.subject(),
        };
        let vm = plane
            .change(|state| {
                let planned = plan_add_vm(state.keys.view(), new.clone(), caller.now, &plane.random);
                let planned = planned.map_err(|error| vm_error(state, error))?;
                Ok((planned.value, planned.batch))
            })
            .await?;
        Ok(Reply::created(show(&vm)))
    })
    .await
}

pub(super) async fn list<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::LIST_VMS, facts, move |plane, caller| async move {
        let state = plane.read().await?;
        let vms: Vec<Value> = state.keys.view().vms(&caller.scope).map(|vm| show(vm)).collect();
        Ok(Reply::ok(json!({"items": vms})))
    })
    .await
}

pub(super) async fn get<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path(name): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::GET_VM, facts, move |plane, caller| async move {
        let state = plane.read().await?;
        let vm = state.keys.view().vm(&caller.scope, &parse_name(&name)?);
        Ok(Reply::ok(show(vm.ok_or_else(|| ApiError::not_found("machine"))?)))
    })
    .await
}

pub(super) async fn remove<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path(name): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::REMOVE_VM, facts, move |plane, caller| async move {
        let name = parse_name(&name)?;
        plane
            .change(|state| {
                let planned = plan_remove_vm(state.keys.view(), &caller.scope, &name);
                let planned = planned.map_err(|error| vm_error(state, error))?;
                Ok((planned.value, planned.batch))
            })
            .await?;
        Ok(Reply::done())
    })
    .await
}

pub(super) async fn attach<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path(name): Path<String>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::ATTACH_SSH_KEY, facts, move |plane, caller| async move {
        let name = parse_name(&name)?;
        let new: NewAttachment = parse_body(body.bytes()?)?;
        let options = new.options.as_deref().map_or_else(|| Ok(Options::new()), Options::parse);
        let new = Attach {
            key: parse_field("key", &new.key)?,
            account: parse_account(&new.account)?,
            options: options.map_err(invalid_options)?,
            expires_at: new.expires_at.as_deref().map(|text| parse_time("expires_at", text)).transpose()?,
            by: caller.subject(),
        };
        let vm = plane
            .change(|state| {
                let (view, mut new) = (state.keys.view(), new.clone());
                if let Some(key) = view.get(&caller.scope, new.key) {
                    new.options =
                        plane.admission.options_for(key.key(), new.options).map_err(invalid_options)?;
                }
                let planned = plan_attach(view, &caller.scope, &name, new, caller.now);
                let planned = planned.map_err(|error| vm_error(state, error))?;
                Ok((planned.value, planned.batch))
            })
            .await?;
        Ok(Reply::ok(show(&vm)))
    })
    .await
}

pub(super) async fn detach<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path((name, id, account)): Path<(String, String, String)>,
    facts: RequestFacts,
) -> Response {
    let last = last_key(&facts);
    perform(plane, &endpoint::DETACH_SSH_KEY, facts, move |plane, caller| async move {
        let (name, last) = (parse_name(&name)?, last?);
        let id: SshKeyId = parse_id("key", &id)?;
        let account = AccountName::parse(&account).map_err(|_| ApiError::not_found("account"))?;
        plane
            .change(|state| {
                let (view, scope) = (state.keys.view(), &caller.scope);
                let planned = plan_detach(view, scope, &name, id, &account, last, caller.now);
                let planned = planned.map_err(|error| vm_error(state, error))?;
                Ok((planned.value, planned.batch))
            })
            .await?;
        Ok(Reply::done())
    })
    .await
}

/// What a new machine is told by cloud-init: every key that works now.
pub(super) async fn user_data<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path(name): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::GET_USER_DATA, facts, move |plane, caller| async move {
        let state = plane.read().await?;
        let view = state.keys.view();
        let vm = view.vm(&caller.scope, &parse_name(&name)?);
        let vm = vm.ok_or_else(|| ApiError::not_found("machine"))?;
        let mut accounts: BTreeMap<AccountName, Vec<_>> = BTreeMap::new();
        for entry in view.bundle_entries(vm, caller.now) {
            accounts.entry(entry.account).or_default().push(entry.line);
        }
        let data = accounts.into_iter().fold(UserData::new(vm.port()), |data, (name, keys)| {
            data.with_account(Account { name, sudo: true, keys })
        });
        let text = data.render().map_err(|error| ApiError::invalid("no_user_data", error.to_string()))?;
        Ok(Reply::ok(json!({"user_data": text, "ssh_port": vm.port().get()})))
    })
    .await
}

/// What a running machine is told: its keys, signed.
pub(super) async fn bundle<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path(name): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::GET_KEY_BUNDLE, facts, move |plane, caller| async move {
        let state = plane.read().await?;
        let view = state.keys.view();
        let vm = view.vm(&caller.scope, &parse_name(&name)?);
        let vm = vm.ok_or_else(|| ApiError::not_found("machine"))?;
        let contents = Contents {
            machine: vm.scope().clone(),
            revision: state.keys.revision().get(),
            issued_at: caller.now,
            entries: view.bundle_entries(vm, caller.now),
        };
        let bytes = contents.sign(&plane.bundle_key).map_err(|error| state.internal(&error))?;
        let bundle: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Reply::ok(json!({
            "machine": contents.machine,
            "revision": contents.revision,
            "issued_at": rfc3339(contents.issued_at),
            "refresh_seconds": REFRESH.as_secs(),
            "signer": plane.bundle_key.public_key().map(|key| key.to_string()),
            "bundle_hex": bundle,
        })))
    })
    .await
}

fn vm_error(state: &state::State, error: VmError) -> ApiError {
    match error {
        VmError::NotFound => ApiError::not_found("machine"),
        VmError::NoSuchKey => ApiError::not_found("key"),
        VmError::NotAttached => ApiError::not_found("attachment"),
        VmError::NameTaken => ApiError::taken("name_taken", error.to_string()),
        VmError::AlreadyAttached => ApiError::taken("already_attached", error.to_string()),
        VmError::LastKey { .. } => ApiError::taken("last_key", error.to_string()),
        VmError::PortsExhausted => ApiError::unavailable("no SSH port is free"),
        VmError::TooManyKeys { .. } => ApiError::invalid("too_many_keys", error.to_string()),
        VmError::CertAuthority => ApiError::invalid("invalid_options", error.to_string()),
        VmError::ExpiresInPast => ApiError::invalid("invalid_field", error.to_string()),
        error => state.internal(&error),
    }
}

fn parse_name(text: &str) -> Result<VmName, ApiError> {
    VmName::parse(text).map_err(|_| ApiError::not_found("machine"))
}

fn parse_account(text: &str) -> Result<AccountName, ApiError> {
    AccountName::parse(text).map_err(|error| ApiError::invalid("invalid_account", error.to_string()))
}

fn invalid_options(error: OptionsError) -> ApiError {
    ApiError::invalid("invalid_options", error.to_string())
}

fn show(vm: &Vm) -> Value {
    let attachments = vm.attachments().iter().map(|attachment| {
        json!({
            "key": attachment.key,
            "account": attachment.account.as_str(),
            "options": attachment.options.to_string(),
            "expires_at": attachment.expires_at.map(rfc3339),
            "by": attachment.by,
            "at": rfc3339(attachment.at),
        })
    });
    json!({
        "name": vm.name().as_str(),
        "scope": vm.scope(),
        "pool": vm.pool().as_str(),
        "ssh_port": vm.port().get(),
        "ssh_keys": attachments.collect::<Vec<_>>(),
        "created_by": vm.created_by(),
        "created_at": rfc3339(vm.created_at()),
    })
}

/// How often a machine should ask for a new bundle.
const REFRESH: Duration = Duration::from_mins(1);
