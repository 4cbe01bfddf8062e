//! An entry of the audit log as the API and the command line show it.

use audit_log::Entry;
use core_types::UnixTime;
use serde_json::{Value, json};

/// Stable field names; absent parts are `null`.
pub(crate) fn to_json(entry: &Entry) -> Value {
    let (intent, completion) = (entry.intent(), entry.completion());
    let details: serde_json::Map<String, Value> = intent
        .details()
        .iter()
        .chain(completion.details().iter())
        .map(|(name, value)| (name.to_owned(), serde_json::to_value(value).unwrap_or_default()))
        .collect();
    json!({
        "sequence": entry.sequence(),
        "started_at": rfc3339(intent.started_at()),
        "actor": intent.actor().to_string(),
        "action": intent.action().to_string(),
        "scope": intent.scope(),
        "resource": intent.resource().map(audit_log::ResourceId::as_str),
        "client": intent.client().map(|client| client.address().to_string()),
        "client_peer": intent.client().map(|client| client.peer_address().to_string()),
        "client_forwarded":
            intent.client().and_then(|client| client.forwarded_address()).map(|address| address.to_string()),
        "user_agent": intent.user_agent().map(audit_log::UserAgent::as_str),
        "request_id": intent.request(),
        "outcome": entry.outcome().as_str(),
        "reason": completion.reason(),
        "duration_us": entry.duration().map(|duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)),
        "details": details,
    })
}

/// An instant as RFC 3339 writes it, in UTC, to the millisecond.
pub(crate) fn rfc3339(time: UnixTime) -> String {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    format!("{:.3}", jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX))
}
