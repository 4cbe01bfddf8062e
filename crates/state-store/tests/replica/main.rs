//! What a replica shows, and when it refuses.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails or overflows is a test that fails"
)]

mod following;
mod freshness;
mod poison;
mod races;
mod rescans;
mod through;
mod world;
