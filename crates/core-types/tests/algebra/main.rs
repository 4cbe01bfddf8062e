//! Containment and intersection of scopes, patterns, grants and restrictions, against brute force.

#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails is a test that fails, and its numbers are small"
)]

mod containment;
mod intersection;
mod world;
