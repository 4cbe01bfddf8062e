//! Trees, tiles, notes and proofs, and the files they are published in.

#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a helper that fails is a test that fails"
)]

mod epochs;
mod notes;
mod paths;
mod publishing;
mod reading;
mod reference;
mod trees;
mod verifying;
