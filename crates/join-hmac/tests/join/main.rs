//! Joins from end to end, and the attacks on them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper that fails is a test that fails"
)]

mod attacks;
mod crashes;
mod flow;
mod limits;
mod support;
