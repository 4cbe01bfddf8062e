//! The calls, one file per concern.

mod api_tokens;
mod audit_logs;
mod explain;
mod iam;
mod joins;
mod portal;
mod projects;
mod serving;
mod sessions;
mod ssh_keys;
mod vms;

use std::sync::Arc;

use audit_log_tower::TrustedProxies;
use axum::extract::DefaultBodyLimit;
use axum::{Json, Router, middleware};
use core_types::{Objects, UnixTime};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use state_store::StateStore;

pub(crate) use self::api_tokens::refused_change;
use self::serving::{Routes, audit, detached};
use super::MAX_BODY_BYTES;
use super::api_error::ApiError;
use super::startup::StartError;
use super::state::ControlPlane;
use super::{endpoint, fleet};

/// The whole API.
///
/// # Errors
/// [`StartError`] when a route that changes something would be served without a record.
pub(crate) fn router<S: StateStore>(
    plane: Arc<ControlPlane<S>>,
    proxies: TrustedProxies,
) -> Result<Router, StartError> {
    let routes = Routes::new(audit(&plane, proxies)?)
        .add(&endpoint::ADD_SSH_KEY, ssh_keys::add::<S>)
        .add(&endpoint::LIST_SSH_KEYS, ssh_keys::list::<S>)
        .add(&endpoint::GET_SSH_KEY, ssh_keys::get::<S>)
        .add(&endpoint::REMOVE_SSH_KEY, ssh_keys::remove::<S>)
        .add(&endpoint::ROTATE_SSH_KEY, ssh_keys::rotate::<S>)
        .add(&endpoint::SSH_KEY_USAGE, ssh_keys::usage::<S>)
        .add(&endpoint::REVOKE_SSH_KEY, ssh_keys::revoke_everywhere::<S>)
        .add(&endpoint::CREATE_VM, vms::create::<S>)
        .add(&endpoint::LIST_VMS, vms::list::<S>)
        .add(&endpoint::GET_VM, vms::get::<S>)
        .add(&endpoint::REMOVE_VM, vms::remove::<S>)
        .add(&endpoint::ATTACH_SSH_KEY, vms::attach::<S>)
        .add(&endpoint::DETACH_SSH_KEY, vms::detach::<S>)
        .add(&endpoint::GET_USER_DATA, vms::user_data::<S>)
        .add(&endpoint::GET_KEY_BUNDLE, vms::bundle::<S>)
        .add(&endpoint::ISSUE_TOKEN, api_tokens::issue::<S>)
        .add(&endpoint::LIST_TOKENS, api_tokens::list::<S>)
        .add(&endpoint::REVOKE_TOKEN, api_tokens::revoke::<S>)
        .add(&endpoint::REVOKE_ALL_TOKENS, api_tokens::revoke_all::<S>)
        .add(&endpoint::ROTATE_TOKEN, api_tokens::rotate::<S>)
        .add(&endpoint::END_OVERLAP, api_tokens::end_overlap::<S>)
        .add(&endpoint::REPORT_LEAK, api_tokens::report_leak::<S>)
        .add(&endpoint::REVOKE_USER_TOKENS, api_tokens::revoke_of_user::<S>)
        .add_login(&endpoint::LOG_IN, sessions::login::<S>, sessions::access_key_of_json)
        .add(&endpoint::LOG_OUT, sessions::logout::<S>)
        .add(&endpoint::WHO_AM_I, sessions::whoami::<S>)
        .add(&endpoint::CREATE_PROJECT, projects::create::<S>)
        .add(&endpoint::LIST_PROJECTS, projects::list::<S>)
        .add(&endpoint::CREATE_USER, iam::create_user::<S>)
        .add(&endpoint::LIST_USERS, iam::list_users::<S>)
        .add(&endpoint::DISABLE_USER, iam::disable_user::<S>)
        .add(&endpoint::CREATE_GROUP, iam::create_group::<S>)
        .add(&endpoint::LIST_GROUPS, iam::list_groups::<S>)
        .add(&endpoint::ADD_MEMBER, iam::add_member::<S>)
        .add(&endpoint::REMOVE_MEMBER, iam::remove_member::<S>)
        .add(&endpoint::CREATE_ROLE, iam::create_role::<S>)
        .add(&endpoint::LIST_ROLES, iam::list_roles::<S>)
        .add(&endpoint::CREATE_BINDING, iam::create_binding::<S>)
        .add(&endpoint::LIST_BINDINGS, iam::list_bindings::<S>)
        .add(&endpoint::REMOVE_BINDING, iam::remove_binding::<S>)
        .add(&endpoint::ISSUE_TICKET, joins::issue_ticket::<S>)
        .add(&endpoint::LIST_TICKETS, joins::list_tickets::<S>)
        .add(&endpoint::REVOKE_TICKET, joins::revoke_ticket::<S>)
        .add(&endpoint::SHOW_CODE, joins::show_code::<S>)
        .add(&endpoint::HIDE_CODE, joins::hide_code::<S>)
        .add(&endpoint::LIST_JOINS, joins::list::<S>)
        .add(&endpoint::APPROVE_JOIN, joins::approve::<S>)
        .add(&endpoint::REFUSE_JOIN, joins::refuse::<S>)
        .add(&endpoint::LIST_MEMBERS, joins::list_members::<S>)
        .add(&endpoint::REVOKE_MEMBER, joins::revoke_member::<S>)
        .add(&endpoint::EXPLAIN, explain::explain::<S>)
        .add(&endpoint::LIST_AUDIT_LOGS, audit_logs::list::<S>)
        .add_login(&endpoint::PORTAL_LOG_IN, portal::log_in::<S>, portal::access_key_of_form)
        .add(&endpoint::PORTAL_LOG_OUT, portal::log_out::<S>)
        .add(&endpoint::PORTAL_AUDIT_LOGS, portal::audit_log::<S>)
        .add(&endpoint::GET_RECEIPT, audit_logs::receipt::<S>)
        .add(&endpoint::PORTAL_RECEIPT, portal::receipt::<S>)
        .open("/portal/login", portal::login_form)
        .open("/portal/style.css", portal::style)
        .open("/healthz", health::<S>);
    let router = routes.finish()?;
    Ok(router
        .layer(middleware::from_fn_with_state(Arc::clone(&plane), fleet::in_order::<S>))
        .layer(middleware::from_fn(detached))
        .fallback(async || ApiError::not_found("path").into_response_for(""))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed().into_response_for(""))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(plane))
}

/// Whether the server can decide: its replicas are fresh and its audit log takes entries.
async fn health<S: StateStore>(
    axum::extract::State(plane): axum::extract::State<Arc<ControlPlane<S>>>,
) -> Result<Json<Value>, axum::http::StatusCode> {
    if plane.is_ready() {
        Ok(Json(json!({"ready": true})))
    } else {
        Err(axum::http::StatusCode::SERVICE_UNAVAILABLE)
    }
}

/// A JSON body of exactly this shape.
fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut document = serde_json::Deserializer::from_slice(body);
    let read = T::deserialize(Objects::new(&mut document));
    let read = read.and_then(|read| document.end().map(|()| read));
    read.map_err(|error| ApiError::malformed(error.to_string()))
}

/// A value of the request that has a type of its own.
pub(crate) fn parse_field<T>(field: &str, text: &str) -> Result<T, ApiError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| ApiError::invalid("invalid_field", format!("`{field}`: {error}")))
}

/// An id in the path: what is no id names nothing.
fn parse_id<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(what))
}

/// An instant of a document, as RFC 3339 writes it.
pub(crate) fn parse_time(field: &str, text: &str) -> Result<UnixTime, ApiError> {
    let invalid = || ApiError::invalid("invalid_field", format!("`{field}`: not an RFC 3339 time"));
    let time: jiff::Timestamp = text.parse().map_err(|_| invalid())?;
    u64::try_from(time.as_millisecond()).map(UnixTime::from_millis).map_err(|_| invalid())
}
