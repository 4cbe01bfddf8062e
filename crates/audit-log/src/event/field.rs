use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::text::{MAX_TEXT_BYTES, Public, bounded, json_text_len};
use crate::error::EventError;
use crate::hex;

/// The most bytes of a sealed value, what its sealing adds included.
pub const MAX_SEALED_BYTES: usize = 2048;

/// The most bytes of the name of a sealing key.
pub const MAX_SEAL_KEY_BYTES: usize = 64;

/// A value among the details: for everyone who may read the log, for who holds a key, or for nobody.
///
/// Which of the three it is stands in the type the caller writes. None of them is made from a secret:
///
/// ```compile_fail
/// let secret = core_types::SecretBytes::<32>::take_from(&mut [7; 32]);
/// let field = audit_log::event::Field::from(secret);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Field {
    /// In the clear.
    Public(Public),
    /// Encrypted under a key that is kept elsewhere; who erases the key erases the value.
    Sealed(Sealed),
    /// There was a value, and it is not told.
    Redacted(Redacted),
}

impl Field {
    /// The value, where it is in the clear.
    #[must_use]
    pub const fn as_public(&self) -> Option<&Public> {
        match self {
            Self::Public(value) => Some(value),
            Self::Sealed(_) | Self::Redacted(_) => None,
        }
    }

    /// The most bytes it takes as JSON.
    pub(super) fn json_len(&self) -> usize {
        match self {
            Self::Public(value) => value.json_len(),
            // {"sealed":…,"data":"…"}
            Self::Sealed(sealed) => {
                let data = sealed.bytes.len().saturating_mul(2);
                json_text_len(&sealed.key).saturating_add(data).saturating_add(22)
            }
            Self::Redacted(_) => 17,
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Kinds)
    }
}

/// Tells the three kinds apart by what they are in JSON; an array is none of them.
struct Kinds;

impl<'de> Visitor<'de> for Kinds {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, a flag, or an object that is sealed or redacted")
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Field, E> {
        Ok(flag.into())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Field, E> {
        Ok(number.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Field, E> {
        // Not copied where it is too long.
        bounded_text(text).map(Field::Public).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field, A::Error> {
        let wire = WireObject::deserialize(de::value::MapAccessDeserializer::new(map))?;
        match wire {
            WireObject { redacted: Some(true), sealed: None, data: None } => Ok(Redacted.into()),
            WireObject { redacted: None, sealed: Some(sealed), data: Some(data) } => {
                let sealed = Sealed::try_from(WireSealed { sealed, data }).map_err(de::Error::custom)?;
                Ok(sealed.into())
            }
            _ => Err(de::Error::custom("neither sealed nor redacted")),
        }
    }
}

fn bounded_text(text: &str) -> Result<Public, EventError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(EventError::TooLong { field: "text", limit: MAX_TEXT_BYTES });
    }
    Public::text(text)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireObject {
    redacted: Option<bool>,
    sealed: Option<Box<str>>,
    data: Option<String>,
}

impl<T: Into<Public>> From<T> for Field {
    fn from(value: T) -> Self {
        Self::Public(value.into())
    }
}

impl From<Sealed> for Field {
    fn from(sealed: Sealed) -> Self {
        Self::Sealed(sealed)
    }
}

impl From<Redacted> for Field {
    fn from(redacted: Redacted) -> Self {
        Self::Redacted(redacted)
    }
}

/// What may be shown of it; strangers' texts are escaped.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public(value) => value.fmt(f),
            Self::Sealed(sealed) => write!(f, "(sealed under {})", sealed.key),
            Self::Redacted(_) => f.write_str("(redacted)"),
        }
    }
}

/// An encrypted value and the name of its key.
///
/// This crate neither seals nor opens: it keeps the ciphertext, which the chain commits to as it is, so that
/// a value can become unreadable for ever without a change to the log.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(into = "WireSealed")]
pub struct Sealed {
    key: Box<str>,
    bytes: Box<[u8]>,
}

impl Sealed {
    /// A ciphertext under the key of this name: 1 to [`MAX_SEAL_KEY_BYTES`] of `[A-Za-z0-9._-]`.
    ///
    /// # Errors
    /// [`EventError::SealKey`]; [`EventError::Empty`] and [`EventError::TooLong`] for the ciphertext.
    pub fn new(key: impl Into<Box<str>>, ciphertext: impl Into<Box<[u8]>>) -> Result<Self, EventError> {
        let (key, bytes) = (key.into(), ciphertext.into());
        let is_name = (1..=MAX_SEAL_KEY_BYTES).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        match () {
            () if !is_name => Err(EventError::SealKey),
            () if bytes.is_empty() => Err(EventError::Empty { field: "sealed" }),
            () if bytes.len() > MAX_SEALED_BYTES => {
                Err(EventError::TooLong { field: "sealed", limit: MAX_SEALED_BYTES })
            }
            () => Ok(Self { key, bytes }),
        }
    }

    /// The name of the key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The ciphertext.
    #[must_use]
    pub fn ciphertext(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The mark of a value that is not recorded: that there was one is all the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redacted;

impl Redacted {
    /// The mark for this value, of which nothing is kept.
    #[must_use]
    pub const fn of<T: ?Sized>(_value: &T) -> Self {
        Self
    }
}

impl Serialize for Redacted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WireRedacted { redacted: true }.serialize(serializer)
    }
}

#[derive(Serialize)]
struct WireRedacted {
    redacted: bool,
}

#[derive(Serialize)]
struct WireSealed {
    sealed: Box<str>,
    data: String,
}

impl From<Sealed> for WireSealed {
    fn from(sealed: Sealed) -> Self {
        Self { sealed: sealed.key, data: hex::Hex(&sealed.bytes).to_string() }
    }
}

impl TryFrom<WireSealed> for Sealed {
    type Error = EventError;

    fn try_from(wire: WireSealed) -> Result<Self, EventError> {
        let data = bounded(wire.data.into(), "sealed", MAX_SEALED_BYTES.saturating_mul(2))?;
        Self::new(wire.sealed, hex::parse_vec(&data).ok_or(EventError::Hex { field: "sealed" })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds_have_one_spelling_each() {
        let sealed = Field::from(Sealed::new("usr-1.2026", [0_u8, 255, 16]).unwrap());
        for (field, json) in [
            (Field::from(7_u64), "7"),
            (sealed, r#"{"sealed":"usr-1.2026","data":"00ff10"}"#),
            (Field::from(Redacted::of("hunter2")), r#"{"redacted":true}"#),
        ] {
            assert_eq!(serde_json::to_string(&field).unwrap(), json);
            assert_eq!(serde_json::from_str::<Field>(json).unwrap(), field);
            assert!(json.len() <= field.json_len(), "{json}");
        }
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for json in [
            "{}",
            "[]",
            "null",
            "[true]",
            r#"["k","00"]"#,
            r#"{"redacted":true,"sealed":"k","data":"00"}"#,
            r#"{"sealed":"k"}"#,
            "7.0",
            "-1",
            r#"{"redacted":false}"#,
            r#"{"redacted":true,"x":1}"#,
            r#"{"sealed":"","data":"00"}"#,
            r#"{"sealed":"a b","data":"00"}"#,
            r#"{"sealed":"k","data":""}"#,
            r#"{"sealed":"k","data":"0"}"#,
            r#"{"sealed":"k","data":"0F"}"#,
            r#"{"sealed":"k","data":"00","x":1}"#,
        ] {
            assert!(serde_json::from_str::<Field>(json).is_err(), "{json}");
        }
        assert!(Sealed::new("k", vec![0; MAX_SEALED_BYTES]).is_ok());
        assert!(Sealed::new("k", vec![0; MAX_SEALED_BYTES + 1]).is_err());
    }

    #[test]
    fn nothing_of_a_redacted_value_is_shown() {
        let field = Field::from(Redacted::of("hunter2"));
        assert!(!format!("{field} {field:?}").contains("hunter2"));
    }
}
