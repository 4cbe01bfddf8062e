//! Entries for other programs: whatever strangers wrote, a row is a row, a line is a line, and nothing is a formula.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::sync::Arc;

use audit_log::testing::{MemoryDirectory, arb_completion, arb_intent};
use audit_log::{AuditLog, Completion, Cursor, Entry, Filter, Intent, Options, export};
use core_types::testing::{TestClock, TestRandom};
use core_types::{Scope, UnixTime};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_entry_is_one_row_of_harmless_fields(intent in arb_intent(), completion in arb_completion()) {
        let entry = recorded(intent, completion);
        let fields = parse(&export::csv_row(&entry));
        prop_assert_eq!(fields.len(), export::COLUMNS.len());
        for field in &fields {
            prop_assert!(!field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{:?}", field);
        }
        let raw = |text: &str| text.strip_prefix('\'').unwrap_or(text).to_owned();
        let reason = entry.completion().reason().unwrap_or_default();
        prop_assert!(fields[14] == reason || raw(&fields[14]) == reason, "the text is whole");
    }

    #[test]
    fn every_entry_is_one_line_of_json(intent in arb_intent(), completion in arb_completion()) {
        let entry = recorded(intent, completion);
        let line = export::json_line(&entry);
        prop_assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(value["sequence"].as_u64(), Some(entry.sequence()));
        prop_assert_eq!(value["outcome"].as_str(), Some(entry.outcome().as_str()));
        prop_assert_eq!(value["reason"].as_str(), entry.completion().reason());
        prop_assert_eq!(value["user_agent"].as_str(), entry.intent().user_agent().map(|agent| agent.as_str()));
        prop_assert_eq!(value.as_object().unwrap().len(), export::COLUMNS.len());
    }
}

#[test]
fn the_header_has_a_name_for_every_field() {
    assert_eq!(parse(&export::csv_header()), export::COLUMNS);
}

fn recorded(intent: Intent, completion: Completion) -> Entry {
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_700_000_000)));
    let options = Options::new().with_segment_bytes(64 << 10);
    let disk = Arc::new(MemoryDirectory::new());
    let log = AuditLog::open_in(disk, clock, &TestRandom::seeded(1), &options).unwrap();
    log.record_blocking(intent, completion).unwrap();
    let page = log.reader(Scope::root()).query(&Filter::new(), Cursor::oldest_first(), 10).unwrap();
    page.entries.into_iter().next().unwrap()
}

/// The fields of one row, as RFC 4180 has them.
fn parse(row: &str) -> Vec<String> {
    let mut rest = row.strip_suffix("\r\n").unwrap();
    let mut fields = Vec::new();
    loop {
        let mut field = String::new();
        rest = rest.strip_prefix('"').unwrap();
        loop {
            let (text, after) = rest.split_once('"').unwrap();
            field.push_str(text);
            rest = after;
            match rest.strip_prefix('"') {
                Some(after) => {
                    field.push('"');
                    rest = after;
                }
                None => break,
            }
        }
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => {
                assert_eq!(rest, "");
                return fields;
            }
        }
    }
}
