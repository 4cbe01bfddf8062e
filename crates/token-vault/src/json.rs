//! JSON documents: an object is read from an object alone, and nothing may stand behind it.

use core_types::Objects;
use serde::de::DeserializeOwned;

pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let mut document = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Objects::new(&mut document)).ok()?;
    document.end().ok()?;
    Some(value)
}
