//! Entries for other programs: one JSON object a line, and CSV that no spreadsheet takes for formulas.
//!
//! ```
//! # use audit_log::{Actor, Intent, export};
//! # use core_types::UnixTime;
//! assert_eq!(export::Rfc3339(UnixTime::from_millis(1_700_000_000_005)).to_string(), "2023-11-14T22:13:20.005Z");
//! assert_eq!(export::CsvField("=HYPERLINK(\"x\")").to_string(), r#""'=HYPERLINK(""x"")""#);
//! ```

use std::fmt::{self, Write as _};

use core_types::UnixTime;
use serde::Serialize;

use crate::event::{Details, Entry};

/// The columns of [`csv_row`] and the fields of [`json_line`], in their order.
pub const COLUMNS: [&str; 17] = [
    "sequence",
    "begun",
    "recorded_at",
    "started_at",
    "tenant",
    "scope",
    "actor",
    "action",
    "resource",
    "peer",
    "forwarded",
    "user_agent",
    "request_id",
    "outcome",
    "reason",
    "duration_us",
    "details",
];

/// The first row of a CSV file, with its line end.
#[must_use]
pub fn csv_header() -> String {
    row(COLUMNS.iter())
}

/// An entry as one row (RFC 4180), with its line end. Every field is quoted; see [`CsvField`]. Details are JSON.
#[must_use]
pub fn csv_row(entry: &Entry) -> String {
    let line = Line::of(entry);
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let details = serde_json::to_string(&line.details).unwrap_or_default();
    row([
        line.sequence.to_string(),
        number(line.begun),
        line.recorded_at,
        line.started_at,
        line.tenant,
        line.scope,
        line.actor,
        line.action,
        line.resource.unwrap_or_default().to_owned(),
        line.peer.unwrap_or_default(),
        line.forwarded.unwrap_or_default(),
        line.user_agent.unwrap_or_default().to_owned(),
        line.request_id.unwrap_or_default(),
        line.outcome.to_owned(),
        line.reason.unwrap_or_default().to_owned(),
        number(line.duration_us),
        details,
    ])
}

/// An entry as one JSON object (RFC 8259) and a line feed; a field without a value is `null`.
#[must_use]
pub fn json_line(entry: &Entry) -> String {
    let mut line = serde_json::to_string(&Line::of(entry)).unwrap_or_default();
    line.push('\n');
    line
}

/// A field of a CSV row: quoted, quotes doubled, and, where it begins like a formula, with an apostrophe before, so that
/// a spreadsheet shows it and does not carry it out.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a way to show a text")]
pub struct CsvField<'a>(pub &'a str);

impl fmt::Display for CsvField<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { "\"'" } else { "\"" })?;
        self.0.chars().try_for_each(|symbol| match symbol {
            '"' => f.write_str("\"\""),
            symbol => f.write_char(symbol),
        })?;
        f.write_char('"')
    }
}

/// An instant as RFC 3339 writes it, in UTC, to the millisecond; past the year 9999 as that year's end.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a way to show an instant")]
pub struct Rfc3339(pub UnixTime);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis().min(LAST_MILLISECOND);
        let (seconds, millis) = (millis / 1000, millis % 1000);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Days since 0000-03-01, so that the leap day is a year's last (Hinnant, "chrono-compatible low-level date
        // algorithms", civil_from_days).
        let days = days.saturating_add(719_468);
        let (era, of_era) = (days / 146_097, days % 146_097);
        let leaps = |of_era: u64| {
            of_era
                .saturating_sub(of_era / 1460)
                .saturating_add(of_era / 36_524)
                .saturating_sub(of_era / 146_096)
        };
        let year_of_era = leaps(of_era) / 365;
        let before =
            year_of_era.saturating_mul(365).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100);
        let of_year = of_era.saturating_sub(before);
        let shifted = of_year.saturating_mul(5).saturating_add(2) / 153;
        let day = of_year.saturating_sub(shifted.saturating_mul(153).saturating_add(2) / 5).saturating_add(1);
        let month = if shifted < 10 { shifted.saturating_add(3) } else { shifted.saturating_sub(9) };
        let year = era.saturating_mul(400).saturating_add(year_of_era).saturating_add(u64::from(month <= 2));
        let (hour, minute, second) = (second / 3600, second % 3600 / 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

#[derive(Serialize)]
struct Line<'a> {
    sequence: u64,
    begun: Option<u64>,
    recorded_at: String,
    started_at: String,
    tenant: String,
    scope: String,
    actor: String,
    action: String,
    resource: Option<&'a str>,
    peer: Option<String>,
    forwarded: Option<String>,
    user_agent: Option<&'a str>,
    request_id: Option<String>,
    outcome: &'static str,
    reason: Option<&'a str>,
    duration_us: Option<u64>,
    details: BothDetails<'a>,
}

impl<'a> Line<'a> {
    fn of(entry: &'a Entry) -> Self {
        let (intent, completion) = (entry.intent(), entry.completion());
        let duration = entry.duration();
        Self {
            sequence: entry.sequence(),
            begun: entry.begun(),
            recorded_at: Rfc3339(entry.recorded_at()).to_string(),
            started_at: Rfc3339(intent.started_at()).to_string(),
            tenant: intent.tenant().to_string(),
            scope: intent.scope().to_string(),
            actor: intent.actor().to_string(),
            action: intent.action().to_string(),
            resource: intent.resource().map(crate::event::ResourceId::as_str),
            peer: intent.client().map(|client| client.peer_address().to_string()),
            forwarded: intent
                .client()
                .and_then(crate::event::Client::forwarded_address)
                .map(|address| address.to_string()),
            user_agent: intent.user_agent().map(crate::event::UserAgent::as_str),
            request_id: intent.request().map(|request| request.to_string()),
            outcome: entry.outcome().as_str(),
            reason: completion.reason(),
            duration_us: duration.map(|duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)),
            details: BothDetails { intent: intent.details(), completion: completion.details() },
        }
    }
}

/// The details of before and after, which may have the same names.
#[derive(Serialize)]
struct BothDetails<'a> {
    #[serde(skip_serializing_if = "Details::is_empty")]
    intent: &'a Details,
    #[serde(skip_serializing_if = "Details::is_empty")]
    completion: &'a Details,
}

fn row(fields: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut row = String::new();
    for (at, field) in fields.into_iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to a text does not fail.
        _ = write!(row, "{comma}{}", CsvField(field.as_ref()));
    }
    row.push_str("\r\n");
    row
}

/// 9999-12-31T23:59:59.999Z.
const LAST_MILLISECOND: u64 = 253_402_300_799_999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_those_of_date() {
        // `date -u -d @N +%FT%T.%3NZ` (coreutils 9).
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (1_078_012_800_000, "2004-02-29T00:00:00.000Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (LAST_MILLISECOND, "9999-12-31T23:59:59.999Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Rfc3339(UnixTime::from_millis(millis)).to_string(), text);
        }
    }

    #[test]
    fn what_begins_like_a_formula_begins_with_an_apostrophe() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"] {
            assert_eq!(CsvField(text).to_string(), format!("\"'{text}\""));
        }
        assert_eq!(CsvField("a=1").to_string(), "\"a=1\"");
        assert_eq!(CsvField("").to_string(), "\"\"");
        assert_eq!(CsvField("a\"b\r\n,c").to_string(), "\"a\"\"b\r\n,c\"");
    }
}
