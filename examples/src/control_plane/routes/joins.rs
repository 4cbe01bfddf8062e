//! `/api/v1/join-tickets`, `/join-code`, `/joins`, `/members`

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use core_types::UnixTime;
use join_hmac::code::{MIN_CODE_WORDS, PairingCode};
use join_hmac::error::ClusterError;
use join_hmac::human::FingerprintWords;
use join_hmac::join::{InitiatorRecord, Progress};
use join_hmac::ticket::{TicketId, TicketPolicy, TicketRecord};
use join_hmac::trust::{Change, Member, MemberEntry, MemberId};
use serde::Deserialize;
use serde_json::{Value, json};
use state_store::StateStore;

use super::parse_body;
use crate::control_plane::api_error::ApiError;
use crate::control_plane::call::{Body, Reply, perform};
use crate::control_plane::endpoint;
use crate::control_plane::facts::RequestFacts;
use crate::control_plane::joins::{Asked, intent_id};
use crate::control_plane::state::ControlPlane;
use crate::entry::rfc3339;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTicket {
    role: String,
    /// A name, or the beginning of one and `*`.
    names: String,
    #[serde(default)]
    label: String,
    uses: Option<u32>,
    expires_in_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCode {
    words: Option<usize>,
}

type Plane<S> = State<Arc<ControlPlane<S>>>;

/// Makes a ticket; the answer is the one place where it is shown.
pub(super) async fn issue_ticket<S: StateStore>(
    State(plane): Plane<S>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::ISSUE_TICKET, facts, move |plane, caller| async move {
        let new: NewTicket = parse_body(body.bytes()?)?;
        let lifetime = new.expires_in_seconds.map_or(DEFAULT_LIFETIME, Duration::from_secs);
        let policy = TicketPolicy {
            label: new.label.into(),
            role: new.role.into(),
            names: new.names.into(),
            uses: new.uses.unwrap_or(1),
            expires_at: caller.now.saturating_add(lifetime),
        };
        let (ticket, record) = plane
            .change_cluster(|cluster| {
                let state = (cluster.store().state_id(), cluster.store().epoch());
                let issued = TicketRecord::issue(policy.clone(), state, caller.now, &plane.random)?;
                let batch = cluster.plan_ticket(&issued.1)?;
                Ok((issued, batch))
            })
            .await?;
        let mut shown = show_ticket(&record, caller.now);
        let text = ticket.expose(|text| Value::String(text.to_owned()));
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("ticket".into(), text);
        }
        Ok(Reply::created(shown))
    })
    .await
}

pub(super) async fn list_tickets<S: StateStore>(State(plane): Plane<S>, facts: RequestFacts) -> Response {
    perform(plane, &endpoint::LIST_TICKETS, facts, move |plane, caller| async move {
        let cluster = plane.cluster().await?;
        let tickets: Vec<Value> = cluster.tickets().map(|record| show_ticket(record, caller.now)).collect();
        Ok(Reply::ok(json!({"items": tickets})))
    })
    .await
}

/// Revokes a ticket; one that is revoked or over is forgotten.
pub(super) async fn revoke_ticket<S: StateStore>(
    State(plane): Plane<S>,
    Path(id): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::REVOKE_TICKET, facts, move |plane, caller| async move {
        let id = parse_hex(&id).map(TicketId::from_bytes).ok_or_else(|| ApiError::not_found("ticket"))?;
        plane
            .change_cluster(|cluster| match cluster.plan_forget(&id, caller.now) {
                Err(ClusterError::InUse) => Ok(((), cluster.plan_revoke(&id)?)),
                planned => Ok(((), planned?)),
            })
            .await?;
        Ok(Reply::done())
    })
    .await
}

/// Shows a new code, in place of the one before; the answer is the one place where it is shown.
pub(super) async fn show_code<S: StateStore>(
    State(plane): Plane<S>,
    facts: RequestFacts,
    body: Body,
) -> Response {
    perform(plane, &endpoint::SHOW_CODE, facts, move |plane, _caller| async move {
        let new: NewCode = parse_body(body.bytes()?)?;
        let code = PairingCode::generate(new.words.unwrap_or(MIN_CODE_WORDS), &plane.random)
            .map_err(|error| ApiError::invalid("invalid_field", error.to_string()))?;
        let words = code.expose_secret().to_owned();
        let joins = plane.joins()?;
        let seconds = joins.show_code(code, &plane.random)?;
        let left = joins.guesses_left(&plane.random)?;
        Ok(Reply::created(json!({"code": words, "guesses_left": left, "expires_in_seconds": seconds})))
    })
    .await
}

pub(super) async fn hide_code<S: StateStore>(State(plane): Plane<S>, facts: RequestFacts) -> Response {
    perform(plane, &endpoint::HIDE_CODE, facts, move |plane, _caller| async move {
        if plane.joins()?.hide_code(&plane.random)? {
            Ok(Reply::done())
        } else {
            Err(ApiError::not_found("code"))
        }
    })
    .await
}

/// Who waits, which joins are under way, and whether a code is shown.
pub(super) async fn list<S: StateStore>(State(plane): Plane<S>, facts: RequestFacts) -> Response {
    perform(plane, &endpoint::LIST_JOINS, facts, move |plane, _caller| async move {
        let joins = plane.joins()?;
        let waiting: Vec<Value> = joins.waiting().iter().map(show_asked).collect();
        let cluster = plane.cluster().await?;
        let records: Vec<Value> = cluster.joins().map(show_record).collect();
        let left = joins.guesses_left(&plane.random)?;
        Ok(Reply::ok(json!({"waiting": waiting, "items": records, "code": left.map(|left| json!({"guesses_left": left}))})))
    })
    .await
}

pub(super) async fn approve<S: StateStore>(
    State(plane): Plane<S>,
    Path(id): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::APPROVE_JOIN, facts, move |plane, caller| async move {
        let by = caller.principal().to_string();
        let intent = plane.joins()?.approve(&id, &by).await?;
        Ok(Reply::ok(json!({"id": id, "machine": show_entry(intent.entry())})))
    })
    .await
}

/// Refuses a machine that waits, by its intent, or aborts a join that was not finished, by the machine.
pub(super) async fn refuse<S: StateStore>(
    State(plane): Plane<S>,
    Path(id): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::REFUSE_JOIN, facts, move |plane, _caller| async move {
        let Some(member) = parse_hex(&id).map(MemberId::from_bytes) else {
            plane.joins()?.refuse(&id)?;
            return Ok(Reply::done());
        };
        plane
            .change_cluster(|cluster| {
                let known = cluster.joins().find(|record| record.entry().id() == member);
                let machine = known.ok_or(ClusterError::Unknown)?.machine();
                Ok(((), cluster.plan_abort(&machine)?))
            })
            .await?;
        Ok(Reply::done())
    })
    .await
}

pub(super) async fn list_members<S: StateStore>(State(plane): Plane<S>, facts: RequestFacts) -> Response {
    perform(plane, &endpoint::LIST_MEMBERS, facts, move |plane, _caller| async move {
        let cluster = plane.cluster().await?;
        let store = cluster.store();
        let members: Vec<Value> = store.members().map(show_member).collect();
        Ok(Reply::ok(json!({
            "cluster": hex(store.cluster().as_bytes()),
            "epoch": store.epoch(),
            "root": hex(store.root().as_bytes()),
            "items": members,
        })))
    })
    .await
}

/// Revokes a member, for ever.
pub(super) async fn revoke_member<S: StateStore>(
    State(plane): Plane<S>,
    Path(id): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::REVOKE_MEMBER, facts, move |plane, _caller| async move {
        let id = parse_hex(&id).map(MemberId::from_bytes).ok_or_else(|| ApiError::not_found("member"))?;
        let joins = plane.joins()?;
        let identity = joins.identity();
        if id == MemberId::of(&identity.key().public()) {
            return Err(ApiError::taken("own_member", "this is the member that you ask"));
        }
        plane
            .change_cluster(|cluster| {
                let store = cluster.store();
                store.member(&id).ok_or(ClusterError::Unknown)?;
                let entry = store.sign(Change::Revoke { member: id }, identity.key())?;
                Ok(((), cluster.plan_append(&entry)?.0))
            })
            .await?;
        Ok(Reply::done())
    })
    .await
}

fn show_ticket(record: &TicketRecord, now: UnixTime) -> Value {
    let policy = record.policy();
    let state = match () {
        () if record.is_revoked() => "revoked",
        () if now >= policy.expires_at => "expired",
        () if u32::try_from(record.used_by().len()).is_ok_and(|used| used >= policy.uses) => "used",
        () => "open",
    };
    json!({
        "id": record.id().to_string(),
        "label": policy.label,
        "role": policy.role,
        "names": policy.names,
        "uses": policy.uses,
        "used": record.used_by().len(),
        "expires_at": rfc3339(policy.expires_at),
        "state": state,
    })
}

fn show_asked(asked: &Asked) -> Value {
    json!({
        "id": intent_id(&asked.intent.id()),
        "machine": show_entry(asked.intent.entry()),
        "words": asked.intent.words(),
        "source": asked.source.to_string(),
        "since": rfc3339(asked.since),
    })
}

fn show_record(record: &InitiatorRecord) -> Value {
    let state = match record.progress() {
        Progress::Pending => "pending",
        Progress::Joined => "joined",
    };
    json!({
        "machine": show_entry(record.entry()),
        "state": state,
        "ticket": record.ticket().map(|id| id.to_string()),
        "approved_by": record.approved_by().collect::<Vec<_>>(),
    })
}

fn show_member(member: &Member) -> Value {
    let mut shown = show_entry(member.entry());
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("since_epoch".into(), member.since_epoch().into());
    }
    shown
}

fn show_entry(entry: &MemberEntry) -> Value {
    let fingerprint = entry.certificate().fingerprint();
    json!({
        "id": entry.id().to_string(),
        "name": entry.name(),
        "role": entry.role(),
        "addresses": entry.addresses().collect::<Vec<_>>(),
        "fingerprint": fingerprint.to_string(),
        "fingerprint_words": FingerprintWords::of(&fingerprint).to_string(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sixteen bytes in lower-case hexadecimal.
fn parse_hex(text: &str) -> Option<[u8; 16]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte.checked_sub(b'0'),
        b'a'..=b'f' => byte.checked_sub(b'a').and_then(|digit| digit.checked_add(10)),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Vec<u8> =
        pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect::<Option<_>>()?;
    if rest.is_empty() { bytes.try_into().ok() } else { None }
}

/// How long a ticket lives unless something else is said: an hour.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);
