//! JSON in which an object is written as one.

use core_types::Objects;
use serde::Deserialize;

/// Reads a document that has nothing after it.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = T::deserialize(Objects::new(&mut json))?;
    json.end()?;
    Ok(read)
}
