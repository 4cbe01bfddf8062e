//! What tests of this and other crates share: a directory in memory whose disk fails on demand, and strategies.

mod entries;
mod memory;
mod strategies;
mod tiles;

pub use crate::log::{Stepper, open_stepped};
pub use entries::read_entry;
pub use memory::{MemoryDirectory, SyncGate};
pub use strategies::{arb_checkpoint, arb_completion, arb_details, arb_intent};
pub use tiles::MemoryTiles;
