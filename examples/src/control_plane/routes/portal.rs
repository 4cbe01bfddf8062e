//! `/portal`: pages for people.

use std::fmt::Write as _;
use std::sync::Arc;

use audit_log::export::Rfc3339;
use audit_log::{Cursor, Entry, Outcome, Page};
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use state_store::StateStore;

use super::audit_logs::{self, Format};
use super::{parse_field, sessions};
use crate::control_plane::api_error::ApiError;
use crate::control_plane::call::{Reply, perform};
use crate::control_plane::endpoint;
use crate::control_plane::facts::{Credential, RequestFacts, SESSION_COOKIE};
use crate::control_plane::page::{self, Html};
use crate::control_plane::state::ControlPlane;

/// The form at which people log in.
pub(super) async fn login_form() -> Response {
    (page::headers(), axum::response::Html(page::login_page(None))).into_response()
}

/// What pages look like.
pub(super) async fn style() -> Response {
    let style = ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE);
    (page::headers(), style).into_response()
}

/// The access key in the form of a login, for the gate.
pub(super) fn access_key_of_form(body: &[u8]) -> Credential {
    let uri = str::from_utf8(body).ok().and_then(|form| format!("/?{form}").parse().ok());
    let pairs = uri.and_then(|uri| {
        axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).ok().map(|query| query.0)
    });
    match pairs.as_deref() {
        Some([(name, key)]) if name == "access_key" => Credential::Bearer(key.trim().to_owned()),
        _ => Credential::Unusable,
    }
}

/// Trades an access key for a session in a cookie that no script reads and no other site sends.
pub(super) async fn log_in<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::PORTAL_LOG_IN, facts, move |plane, caller| async move {
        let (token, _) = sessions::open_session(&plane, &caller).await?;
        let cookie = token.expose_once(|token| set_cookie(token, sessions::SESSION_LIFETIME.as_secs()));
        Ok(Reply::see_other("/portal/audit-logs").with_header(header::SET_COOKIE, cookie?))
    })
    .await
}

/// Ends the session, and takes the cookie away.
pub(super) async fn log_out<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::PORTAL_LOG_OUT, facts, move |plane, caller| async move {
        sessions::end_session(&plane, &caller).await?;
        Ok(Reply::see_other(page::LOGIN).with_header(header::SET_COOKIE, set_cookie("", 0)?))
    })
    .await
}

fn set_cookie(token: &str, max_age: u64) -> Result<HeaderValue, ApiError> {
    let cookie =
        format!("{SESSION_COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={max_age}");
    let mut value = HeaderValue::from_str(&cookie).map_err(|_| ApiError::internal())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The audit log, newest first.
pub(super) async fn audit_log<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    facts: RequestFacts,
) -> Response {
    let filter = audit_logs::filter(&facts);
    let format = facts.parameter("format").map(|text| parse_field::<Format>("format", text)).transpose();
    let after = facts.parameter("after").filter(|text| !text.is_empty()).map(str::to_owned);
    let shown = Shown::of(&facts);
    perform(plane, &endpoint::PORTAL_AUDIT_LOGS, facts, move |plane, _caller| async move {
        let cursor = after
            .as_deref()
            .map_or(Ok(Cursor::newest_first()), |text| parse_field::<Cursor>("after", text))?;
        let format = format?;
        let limit = format.map_or(PAGE_ENTRIES, |_| audit_log::query::MAX_PAGE_ENTRIES);
        let page = audit_logs::read(&plane, filter?, cursor, limit).await?;
        let reply = match format {
            Some(format) => audit_logs::exported(format, &page),
            None => Reply::text("text/html; charset=utf-8", shown.page(&page)),
        };
        Ok(page::headers()
            .into_iter()
            .fold(reply, |reply, (name, value): (HeaderName, HeaderValue)| reply.with_header(name, value)))
    })
    .await
}

/// The receipt of an entry, as a file.
pub(super) async fn receipt<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    Path(sequence): Path<String>,
    facts: RequestFacts,
) -> Response {
    perform(plane, &endpoint::PORTAL_RECEIPT, facts, move |plane, _caller| async move {
        audit_logs::receipt_of(&plane, &sequence).await
    })
    .await
}

/// What the filters of the page say.
struct Shown {
    values: Vec<(&'static str, String)>,
}

impl Shown {
    fn of(facts: &RequestFacts) -> Self {
        let value = |name| facts.parameter(name).unwrap_or_default().to_owned();
        Self { values: FILTERS.iter().map(|(name, ..)| (*name, value(name))).collect() }
    }

    /// The page's address with these filters, and more.
    fn href(&self, more: &[(&str, &str)]) -> String {
        let given = self.values.iter().map(|(name, value)| (*name, value.as_str()));
        let pairs = given.filter(|(_, value)| !value.is_empty()).chain(more.iter().copied());
        let query: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", percent(value))).collect();
        let question = if query.is_empty() { "" } else { "?" };
        Html(format!("/portal/audit-logs{question}{}", query.join("&"))).to_string()
    }

    fn page(&self, found: &Page) -> String {
        let mut main = String::new();
        // Writing to a text does not fail.
        let _ = self.write(&mut main, found);
        page::page("Audit log", &main)
    }

    fn write(&self, out: &mut String, found: &Page) -> std::fmt::Result {
        out.push_str(
            "<form method=\"post\" action=\"/portal/logout\"><p><button type=\"submit\">Log out</button></p></form>\n\
             <form class=\"filters\" method=\"get\" action=\"/portal/audit-logs\" role=\"search\" aria-label=\"Filters\">\n",
        );
        for ((name, value), (_, label, hint)) in self.values.iter().zip(FILTERS) {
            write!(out, "<p><label for=\"{name}\">{label}</label> ")?;
            if *name == "outcome" {
                write!(out, "<select id=\"{name}\" name=\"{name}\"><option value=\"\">any</option>")?;
                for outcome in Outcome::ALL {
                    let selected = if outcome.as_str() == value { " selected" } else { "" };
                    write!(out, "<option{selected}>{outcome}</option>")?;
                }
                writeln!(out, "</select></p>")?;
            } else {
                let value = Html(value);
                writeln!(
                    out,
                    "<input id=\"{name}\" name=\"{name}\" value=\"{value}\" placeholder=\"{hint}\"></p>"
                )?;
            }
        }
        out.push_str(
            "<p><button type=\"submit\">Filter</button></p>\n</form>\n<div class=\"scroll\">\n<table>\n",
        );
        writeln!(out, "<caption>{} entries, newest first</caption>\n<thead><tr>", found.entries.len())?;
        for column in COLUMNS {
            write!(out, "<th scope=\"col\">{column}</th>")?;
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        found.entries.iter().try_for_each(|entry| write_entry(out, entry))?;
        out.push_str("</tbody>\n</table>\n</div>\n<nav aria-label=\"Pages\">");
        writeln!(out, "<a href=\"{}\">Newest</a>", self.href(&[]))?;
        if !found.is_end {
            writeln!(
                out,
                "<a rel=\"next\" href=\"{}\">Older</a>",
                self.href(&[("after", &found.next.to_string())])
            )?;
        }
        for (format, name) in [("csv", "CSV"), ("jsonl", "JSON Lines")] {
            writeln!(out, "<a href=\"{}\" download>{name}</a>", self.href(&[("format", format)]))?;
        }
        out.push_str("</nav>\n");
        Ok(())
    }
}

fn write_entry(out: &mut String, entry: &Entry) -> std::fmt::Result {
    let (intent, completion) = (entry.intent(), entry.completion());
    write!(out, "<tr><th scope=\"row\">{}</th>", entry.sequence())?;
    let at = Rfc3339(intent.started_at());
    write!(out, "<td><time datetime=\"{at}\">{at}</time></td>")?;
    let client = intent.client().map_or_else(String::new, |client| client.address().to_string());
    let agent = intent.user_agent().map_or("", audit_log::UserAgent::as_str);
    let duration =
        entry.duration().map_or_else(String::new, |duration| format!("{} µs", duration.as_micros()));
    for text in [
        &*intent.actor().to_string(),
        &*intent.action().to_string(),
        &*intent.scope().to_string(),
        intent.resource().map_or("", audit_log::ResourceId::as_str),
        entry.outcome().as_str(),
        completion.reason().unwrap_or_default(),
        &*client,
        agent,
        &*intent.request().map_or_else(String::new, |request| request.to_string()),
        &*duration,
    ] {
        write!(out, "<td>{}</td>", Html(text))?;
    }
    let sequence = entry.sequence();
    writeln!(
        out,
        "<td><a href=\"/portal/audit-logs/{sequence}/receipt\" download aria-label=\"Receipt of entry {sequence}\">Receipt</a></td></tr>"
    )
}

/// A value in a query (RFC 3986 2.1).
fn percent(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

const PAGE_ENTRIES: usize = 50;
/// Name, label and an example of each filter.
const FILTERS: [(&str, &str, &str); 7] = [
    ("actor", "Actor", "usr_…, anonymous"),
    ("action", "Action", "ssh-keys:*"),
    ("scope", "Scope", "project/default"),
    ("request_id", "Request", "req_…"),
    ("outcome", "Outcome", ""),
    ("from", "From", "2026-01-31T00:00:00Z"),
    ("until", "Until", "2026-02-01T00:00:00Z"),
];
const COLUMNS: [&str; 13] = [
    "Sequence",
    "Time",
    "Actor",
    "Action",
    "Scope",
    "Resource",
    "Outcome",
    "Reason",
    "Address",
    "User agent",
    "Request",
    "Duration",
    "Proof",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_form_has_one_field() {
        assert!(matches!(access_key_of_form(b"access_key=a_b%20"), Credential::Bearer(key) if key == "a_b"));
        for form in [&b""[..], b"access_key=a&access_key=b", b"access_key=a&x=1", b"key=a", b"\xff"] {
            assert!(matches!(access_key_of_form(form), Credential::Unusable));
        }
    }

    #[test]
    fn what_is_in_a_link_stays_in_its_value() {
        assert_eq!(percent("a&b=\"<é"), "a%26b%3D%22%3C%C3%A9");
    }
}
