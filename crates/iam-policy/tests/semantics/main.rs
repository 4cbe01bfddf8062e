//! What is decided: the table of the README row by row, the laws, and agreement with a slow evaluator that is
//! written straight from the table.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper that fails is a test that fails, and its numbers are small"
)]

mod agreement;
mod arb;
mod audits;
mod documents;
mod explanations;
mod laws;
mod lints;
mod reach;
mod reference;
mod replicas;
mod rows;
mod what;
mod who;
mod world;
