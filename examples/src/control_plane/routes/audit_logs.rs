//! `/api/v1/audit-logs`

use std::str::FromStr;
use std::sync::Arc;

use audit_log::{Cursor, Filter, Page, QueryError, export};
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use core_types::Scope;
use serde_json::{Value, json};
use state_store::StateStore;

use super::{parse_field, parse_time};
use crate::control_plane::api_error::ApiError;
use crate::control_plane::call::{Reply, perform};
use crate::control_plane::endpoint;
use crate::control_plane::facts::RequestFacts;
use crate::control_plane::state::ControlPlane;
use crate::entry;

/// Entries in the order in which they were recorded; `limit`, `after` (the `next` of the page before), the filters
/// `actor`, `action`, `scope`, `request_id`, `outcome`, `from`, `until`, and `format`: `json`, `jsonl` or `csv`, of
/// which the latter two have the next page's `after` in the header `x-next`.
pub(super) async fn list<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    let limit = facts.parameter("limit").map(str::to_owned);
    let after = facts.parameter("after").map(str::to_owned);
    let format = facts.parameter("format").filter(|format| *format != "json").map(str::to_owned);
    let filter = filter(&facts);
    perform(plane, &endpoint::LIST_AUDIT_LOGS, facts, move |plane, _caller| async move {
        let limit = limit.as_deref().map_or(Ok(DEFAULT_LIMIT), |text| parse_field("limit", text))?;
        let limit = limit.clamp(1, audit_log::query::MAX_PAGE_ENTRIES);
        let after = after.as_deref().map_or(Ok(Cursor::oldest_first()), |text| parse_field("after", text))?;
        let format = format.map(|text| parse_field::<Format>("format", &text)).transpose()?;
        let page = read(&plane, filter?, after, limit).await?;
        if let Some(format) = format {
            return Ok(exported(format, &page));
        }
        let next = (!page.is_end).then(|| page.next.to_string());
        let entries: Vec<Value> = page.entries.iter().map(entry::to_json).collect();
        Ok(Reply::ok(json!({"items": entries, "next": next})))
    })
    .await
}

/// The receipt of an entry (`.tlog-proof`, C2SP): whoever has the log's public key can check it without the log.
pub(super) async fn receipt<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path(sequence): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::GET_RECEIPT, facts, move |plane, _caller| async move {
        receipt_of(&plane, &sequence).await
    })
    .await
}

/// The receipt of the entry of this sequence, to be kept as a file.
pub(super) async fn receipt_of<S: StateStore>(
    plane: &ControlPlane<S>,
    sequence: &str,
) -> Result<Reply, ApiError> {
    let missing = || ApiError::not_found("entry");
    let sequence: u64 = sequence.parse().map_err(|_| missing())?;
    let before = Cursor::after(sequence.saturating_sub(1));
    let page = read(plane, Filter::new(), before, 1).await?;
    let entry = page.entries.first().filter(|entry| entry.sequence() == sequence).ok_or_else(missing)?;
    let receipt = plane.proofs.receipt(entry.intent().tenant().clone(), sequence).await?;
    let name = format!("attachment; filename=\"{sequence}.tlog-proof\"");
    let name = HeaderValue::from_str(&name).map_err(|_| ApiError::internal())?;
    Ok(Reply::text("text/plain; charset=utf-8", receipt).with_header(header::CONTENT_DISPOSITION, name))
}

/// How entries are written for other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    JsonLines,
    Csv,
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "jsonl" => Ok(Self::JsonLines),
            "csv" => Ok(Self::Csv),
            _ => Err("json, jsonl or csv"),
        }
    }
}

/// A page of entries as a file.
pub(super) fn exported(format: Format, page: &Page) -> Reply {
    let (content_type, text) = match format {
        Format::JsonLines => ("application/jsonl", page.entries.iter().map(export::json_line).collect()),
        Format::Csv => {
            let rows: String = page.entries.iter().map(export::csv_row).collect();
            ("text/csv; charset=utf-8; header=present", export::csv_header() + &rows)
        }
    };
    let reply = Reply::text(content_type, text);
    match HeaderValue::from_str(&page.next.to_string()) {
        Ok(next) if !page.is_end => reply.with_header(HeaderName::from_static("x-next"), next),
        _ => reply,
    }
}

/// Reads a page.
pub(super) async fn read<S: StateStore>(
    plane: &ControlPlane<S>,
    filter: Filter,
    cursor: Cursor,
    limit: usize,
) -> Result<Page, ApiError> {
    let reader = plane.journal.reader(Scope::root());
    // It reads files.
    let page = tokio::task::spawn_blocking(move || reader.query(&filter, cursor, limit)).await;
    page.map_err(|_| ApiError::internal())?.map_err(|error| match error {
        QueryError::Limit { .. } => ApiError::invalid("invalid_field", error.to_string()),
        error => {
            tracing::error!(%error, "the audit log could not be read");
            ApiError::internal()
        }
    })
}

/// The filters of a request; an empty one is none, as forms have it.
pub(super) fn filter(facts: &RequestFacts) -> Result<Filter, ApiError> {
    let given = |name| facts.parameter(name).filter(|text| !text.is_empty());
    let mut filter = Filter::new();
    if let Some(text) = given("actor") {
        filter = filter.with_actor(parse_field::<audit_log::Actor>("actor", text)?);
    }
    if let Some(text) = given("action") {
        filter = filter.with_action(parse_field("action", text)?);
    }
    if let Some(text) = given("scope") {
        filter = filter.with_scope(parse_field("scope", text)?);
    }
    if let Some(text) = given("request_id") {
        filter = filter.with_request(parse_field("request_id", text)?);
    }
    if let Some(text) = given("outcome") {
        filter = filter.with_outcome(parse_field("outcome", text)?);
    }
    if let Some(text) = given("from") {
        filter = filter.with_from(parse_time("from", text)?);
    }
    if let Some(text) = given("until") {
        filter = filter.with_until(parse_time("until", text)?);
    }
    Ok(filter)
}

const DEFAULT_LIMIT: usize = 100;
