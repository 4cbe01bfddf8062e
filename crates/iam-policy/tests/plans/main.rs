//! Changes: what is refused, what a batch rests on, and that nobody gains what nobody had to give.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper that fails is a test that fails, and its numbers are small"
)]

mod denials;
mod emergencies;
mod escalation;
mod fixture;
mod nestings;
mod races;
mod refusals;
mod trusts;
