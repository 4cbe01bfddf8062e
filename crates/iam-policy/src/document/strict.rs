//! JSON in which an object is written as one.

use core_types::Objects;
use serde::de::DeserializeOwned;

use crate::error::DocumentError;

/// The value of this JSON text, alone: an array is refused for an object, and so are trailing bytes.
pub(super) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = T::deserialize(Objects::new(&mut json)).and_then(|value| json.end().map(|()| value));
    read.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let mut what = error.to_string();
        what.truncate(what.floor_char_boundary(MAX_MESSAGE_BYTES));
        DocumentError::Malformed { line, column, what: what.into() }
    })
}

/// What is said of the error at most: it may repeat the input.
const MAX_MESSAGE_BYTES: usize = 256;
