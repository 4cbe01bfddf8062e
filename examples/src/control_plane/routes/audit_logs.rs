//! `/api/v1/audit-logs`

use std::sync::Arc;

use audit_log::{Cursor, Filter, QueryError};
use axum::extract::State;
use axum::response::Response;
use core_types::Scope;
use serde_json::{Value, json};
use state_store::StateStore;

use super::parse_field;
use crate::control_plane::api_error::ApiError;
use crate::control_plane::call::{Reply, perform};
use crate::control_plane::endpoint;
use crate::control_plane::facts::RequestFacts;
use crate::control_plane::state::ControlPlane;
use crate::entry;

/// Entries in the order in which they were recorded; `limit`, `after` (the `next` of the page before), and the
/// filters `actor`, `action`, `scope`, `request_id`, `outcome`.
pub(super) async fn list<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    let limit = facts.parameter("limit").map(str::to_owned);
    let after = facts.parameter("after").map(str::to_owned);
    let filter = filter(&facts);
    perform(plane, &endpoint::LIST_AUDIT_LOGS, facts, move |plane, _caller| async move {
        let limit = limit.as_deref().map_or(Ok(DEFAULT_LIMIT), |text| parse_field("limit", text))?;
        let limit = limit.clamp(1, audit_log::query::MAX_PAGE_ENTRIES);
        let after = after.as_deref().map_or(Ok(Cursor::oldest_first()), |text| parse_field("after", text))?;
        let filter = filter?;
        let reader = plane.journal.reader(Scope::root());
        // It reads files.
        let page = tokio::task::spawn_blocking(move || reader.query(&filter, after, limit)).await;
        let page = page.map_err(|_| ApiError::internal())?.map_err(|error| match error {
            QueryError::Limit { .. } => ApiError::invalid("invalid_field", error.to_string()),
            error => {
                tracing::error!(%error, "the audit log could not be read");
                ApiError::internal()
            }
        })?;
        let next = (!page.is_end).then(|| page.next.to_string());
        let entries: Vec<Value> = page.entries.iter().map(entry::to_json).collect();
        Ok(Reply::ok(json!({"items": entries, "next": next})))
    })
    .await
}

fn filter(facts: &RequestFacts) -> Result<Filter, ApiError> {
    let mut filter = Filter::new();
    if let Some(text) = facts.parameter("actor") {
        filter = filter.with_actor(parse_field::<audit_log::Actor>("actor", text)?);
    }
    if let Some(text) = facts.parameter("action") {
        filter = filter.with_action(parse_field("action", text)?);
    }
    if let Some(text) = facts.parameter("scope") {
        filter = filter.with_scope(parse_field("scope", text)?);
    }
    if let Some(text) = facts.parameter("request_id") {
        filter = filter.with_request(parse_field("request_id", text)?);
    }
    if let Some(text) = facts.parameter("outcome") {
        filter = filter.with_outcome(parse_field("outcome", text)?);
    }
    Ok(filter)
}

const DEFAULT_LIMIT: usize = 100;
