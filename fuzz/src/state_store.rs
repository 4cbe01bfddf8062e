//! Records.

use core_types::{Limit, Restriction, Scope, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use state_store::{Record, RecordError, Value, record};

/// A record with something of everything in it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    scope: Scope,
    restriction: Restriction,
    ends: Limit<UnixTime>,
    count: u64,
    labels: Vec<String>,
    above: Option<Box<Self>>,
}

impl Record for Sample {
    const KIND: &'static str = "fuzz/sample";
    const VERSION: u32 = 3;
}

/// Values as records.
#[expect(clippy::unwrap_used, reason = "what was read can be written")]
pub(crate) fn record(input: &[u8]) -> bool {
    let Ok(value) = Value::new(input) else { return false };
    let envelope = serde_json::from_slice::<Json>(input).ok();
    let says = |field: &str| envelope.as_ref()?.get(field);
    let decoded = record::decode::<Sample>(&value);
    match &decoded {
        Ok(sample) => {
            assert_eq!(says("kind"), Some(&Json::from(Sample::KIND)));
            assert_eq!(says("version"), Some(&Json::from(Sample::VERSION)));
            assert_eq!(
                envelope.as_ref().and_then(Json::as_object).unwrap().len(),
                3,
                "an object of three fields"
            );
            assert!(input.starts_with(b"{") && input.ends_with(b"}"));
            let written = record::encode(sample).unwrap();
            assert_eq!(record::decode::<Sample>(&written).as_ref(), Ok(sample));
            assert_eq!(record::encode(sample).as_ref(), Ok(&written));
        }
        // Of a record that is another's or a later one's, the data need not even be text.
        Err(RecordError::Kind { expected }) => {
            assert_eq!(*expected, Sample::KIND);
            assert!(
                envelope.is_none()
                    || says("kind").is_some_and(|kind| kind.is_string() && kind != Sample::KIND)
            );
        }
        Err(RecordError::Version { kind, found, known }) => {
            assert_eq!((*kind, *known), (Sample::KIND, Sample::VERSION));
            let is_said =
                says("kind") == Some(&Json::from(*kind)) && says("version") == Some(&Json::from(*found));
            assert!(found != known && (envelope.is_none() || is_said));
        }
        Err(RecordError::Malformed { kind, .. }) => assert_eq!(*kind, Sample::KIND),
        Err(other) => unexpected(other),
    }
    decoded.is_ok()
}

#[expect(clippy::panic, reason = "an answer that `decode` does not give is a wrong one")]
fn unexpected(error: &RecordError) -> ! {
    panic!("{error}")
}
