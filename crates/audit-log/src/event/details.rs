use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};

use super::field::Field;
use super::text::Public;
use crate::error::EventError;

/// The most details of one intent or one completion.
pub const MAX_DETAILS: usize = 32;

/// The most bytes of a detail's name.
pub const MAX_DETAIL_KEY_BYTES: usize = 63;

/// The most bytes that all details of one intent or one completion may take as JSON.
pub const MAX_DETAILS_BYTES: usize = 16 << 10;

/// Named values. Names are `[a-z][a-z0-9_]*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    values: BTreeMap<Box<str>, Field>,
    json_len: usize,
}

impl Details {
    /// No details.
    #[must_use]
    pub const fn new() -> Self {
        Self { values: BTreeMap::new(), json_len: 2 }
    }

    /// Adds a detail.
    ///
    /// # Errors
    /// [`EventError::DetailName`], [`EventError::DetailTwice`], [`EventError::TooManyDetails`],
    /// [`EventError::TooLong`] when all of them together would be longer than [`MAX_DETAILS_BYTES`].
    pub fn insert(&mut self, name: &str, value: impl Into<Field>) -> Result<(), EventError> {
        let value = value.into();
        if !is_name(name) {
            return Err(EventError::DetailName);
        }
        if self.values.contains_key(name) {
            return Err(EventError::DetailTwice);
        }
        if self.values.len() >= MAX_DETAILS {
            return Err(EventError::TooManyDetails { limit: MAX_DETAILS });
        }
        // Two quotes, a colon and a comma.
        let added = name.len().saturating_add(value.json_len()).saturating_add(4);
        let json_len = self.json_len.saturating_add(added);
        if json_len > MAX_DETAILS_BYTES {
            return Err(EventError::TooLong { field: "details", limit: MAX_DETAILS_BYTES });
        }
        self.json_len = json_len;
        self.values.insert(name.into(), value);
        Ok(())
    }

    /// The value of this name, where it is in the clear.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Public> {
        self.field(name)?.as_public()
    }

    /// What stands under this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.values.get(name)
    }

    /// Names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.values.iter().map(|(name, value)| (&**name, value))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl Default for Details {
    fn default() -> Self {
        Self::new()
    }
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.values)
    }
}

impl<'de> Deserialize<'de> for Details {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Details;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("named values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Details, A::Error> {
                let mut details = Details::new();
                while let Some((name, value)) = map.next_entry::<String, Field>()? {
                    details.insert(&name, value).map_err(de::Error::custom)?;
                }
                Ok(details)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

pub(super) fn is_name(name: &str) -> bool {
    (1..=MAX_DETAIL_KEY_BYTES).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}
