//! Records: versioned, self-describing values.
//!
//! A record is stored as JSON (RFC 8259): `{"kind":"…","version":…,"data":{…}}`, written without white space.
//! `kind` names what it is, `version` the shape of `data`. Reading refuses every other kind and version, unknown
//! and repeated fields, an array where an object is meant, and anything before the opening or after the closing
//! brace.

use core_types::Objects;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::error::RecordError;
use crate::key::Value;

/// A type that is stored as a record. Derive serde with `deny_unknown_fields`.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What it is, unique over all crates that share a store: `token-vault/token`.
    const KIND: &'static str;
    /// The shape of the data; raised with every change of it.
    const VERSION: u32;
}

/// The value that holds `record`.
///
/// # Errors
/// [`RecordError::Limit`] when it is too large; [`RecordError::Malformed`] when its serialization fails.
pub fn encode<R: Record>(record: &R) -> Result<Value, RecordError> {
    let envelope = Envelope { kind: R::KIND, version: R::VERSION, data: record };
    let bytes = serde_json::to_vec(&envelope).map_err(|error| malformed::<R>(&error))?;
    Ok(Value::new(bytes)?)
}

/// The record that `value` holds.
///
/// # Errors
/// [`RecordError`] when it is no such record.
pub fn decode<R: Record>(value: &Value) -> Result<R, RecordError> {
    let bytes = value.as_bytes();
    if bytes.first() != Some(&b'{') {
        return Err(RecordError::Malformed { kind: R::KIND, line: 1, column: 1 });
    }
    if bytes.last() != Some(&b'}') {
        return Err(RecordError::Malformed { kind: R::KIND, line: 1, column: bytes.len() });
    }
    match read::<Envelope<&str, R>>(bytes) {
        Ok(envelope) => {
            check::<R>(envelope.kind, envelope.version)?;
            Ok(envelope.data)
        }
        Err(error) => {
            // Of a later version, say that rather than what its data look like from here.
            if let Ok(other) = read::<Envelope<&str, IgnoredAny>>(bytes) {
                check::<R>(other.kind, other.version)?;
            }
            Err(malformed::<R>(&error))
        }
    }
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = T::deserialize(Objects::new(&mut json))?;
    json.end()?;
    Ok(read)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<K, D> {
    kind: K,
    version: u32,
    data: D,
}

fn check<R: Record>(kind: &str, version: u32) -> Result<(), RecordError> {
    if kind != R::KIND {
        return Err(RecordError::Kind { expected: R::KIND });
    }
    if version != R::VERSION {
        return Err(RecordError::Version { kind: R::KIND, found: version, known: R::VERSION });
    }
    Ok(())
}

fn malformed<R: Record>(error: &serde_json::Error) -> RecordError {
    RecordError::Malformed { kind: R::KIND, line: error.line(), column: error.column() }
}
