//! The registry, on a store.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper that fails is a test that fails"
)]

mod keys;
mod model;
mod revocations;
mod vms;
mod world;
