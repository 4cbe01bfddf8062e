//! Records: what is written, and what is refused.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use state_store::{LimitError, MAX_VALUE_BYTES, Record, RecordError, Value, record};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
}

impl Record for Note {
    const KIND: &'static str = "test/note";
    const VERSION: u32 = 1;
}

fn decode(bytes: impl AsRef<[u8]>) -> Result<Note, RecordError> {
    record::decode(&Value::new(bytes).unwrap())
}

/// The bytes that `escape_ascii` writes so.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, byte == b'\\') {
            (byte, false) => byte,
            _ => match rest.next().unwrap() {
                b'n' => b'\n',
                b't' => b'\t',
                b'x' => {
                    let digits: Vec<u8> = rest.by_ref().take(2).collect();
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            },
        });
    }
    bytes
}

#[test]
fn the_vectors_say_what_they_say() {
    let mut seen = [0; 4];
    for line in include_str!("vectors/records.txt").lines().filter(|line| !line.starts_with('#')) {
        let (outcome, value) = line.split_once('\t').unwrap();
        let (index, as_said) = match (decode(unescape(value)), outcome.split_once(' ')) {
            (Ok(_), None) => (0, outcome == "ok"),
            (Err(RecordError::Malformed { kind: "test/note", .. }), None) => (1, outcome == "malformed"),
            (Err(RecordError::Kind { expected: "test/note" }), None) => (2, outcome == "kind"),
            (
                Err(RecordError::Version { kind: "test/note", found, known: 1 }),
                Some(("version", version)),
            ) => (3, found.to_string() == version),
            _ => (0, false),
        };
        assert!(as_said, "{line}: {:?}", decode(unescape(value)));
        seen[index] += 1;
    }
    assert!(seen.iter().all(|&count| count >= 4) && seen[1] > 30, "{seen:?}");
}

#[test]
fn a_record_is_these_bytes() {
    let note = Note { text: "one".into() };
    let value = record::encode(&note).unwrap();
    assert_eq!(value.as_bytes(), br#"{"kind":"test/note","version":1,"data":{"text":"one"}}"#);
    assert_eq!(record::decode::<Note>(&value), Ok(note));
}

#[test]
fn a_record_that_is_too_large_is_refused() {
    let envelope = record::encode(&Note { text: String::new() }).unwrap().as_bytes().len();
    let fits = "x".repeat(MAX_VALUE_BYTES.strict_sub(envelope));
    let value = record::encode(&Note { text: fits.clone() }).unwrap();
    assert_eq!(value.as_bytes().len(), MAX_VALUE_BYTES);
    assert_eq!(record::decode::<Note>(&value).unwrap().text, fits);
    let refused = record::encode(&Note { text: fits + "x" });
    assert_eq!(refused, Err(RecordError::Limit(LimitError::ValueTooLong { limit: MAX_VALUE_BYTES })));
}

#[test]
fn a_record_that_goes_too_deep_is_refused() {
    let deep =
        format!(r#"{{"kind":"test/other","version":1,"data":{}{}}}"#, "[".repeat(9999), "]".repeat(9999));
    assert!(decode(deep).is_err());
    let broad = format!(r#"{{"kind":"test/note","version":1,"data":{}}}"#, "[".repeat(1 << 19));
    assert!(decode(broad).is_err());
}

#[test]
fn an_error_says_where_and_not_what() {
    let error = decode(r#"{"kind":"test/note","version":1,"data":{"text":"a secret","x":1}}"#).unwrap_err();
    assert!(matches!(error, RecordError::Malformed { line: 1, column: 61, .. }), "{error:?}");
    assert_eq!(error.to_string(), "not a `test/note` record (line 1, column 61)");
    let error = decode(r#"{"kind":"a secret","version":1,"data":{}}"#).unwrap_err();
    assert_eq!(error.to_string(), "expected a `test/note` record, found another kind");
}

proptest! {
    #[test]
    fn what_is_written_is_read(text in any::<String>()) {
        let note = Note { text };
        prop_assert_eq!(record::decode::<Note>(&record::encode(&note).unwrap()), Ok(note));
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in any::<Vec<u8>>()) {
        prop_assert!(decode(bytes).is_err());
    }

    #[test]
    fn a_record_cut_short_is_refused(text in any::<String>(), len in any::<prop::sample::Index>()) {
        let value = record::encode(&Note { text }).unwrap();
        let bytes = value.as_bytes();
        prop_assert!(decode(&bytes[..len.index(bytes.len())]).is_err());
    }
}
