//! The parser, the fingerprints and admission, against vectors, oracles and properties.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]
#![expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "the same")]

mod admission;
mod oracles;
mod parsing;
mod properties;
mod published;
mod vectors;
