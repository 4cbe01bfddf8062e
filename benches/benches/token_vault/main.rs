//! Verifying tokens among a million, beside its floor and its rivals.
//!
//! `cargo bench -p palisade-benches --bench token_vault`; `TOKENS=n` for another number. The floor is one keyed
//! digest of 55 bytes and one uncached look-up of the same map. All operations are measured in turns, a few dozen
//! calls at a time: whatever else the machine does slows them all, and the ratios hold.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "a bench"
)]

mod operations;
mod rivals;
mod start;
mod timing;
mod turns;
mod world;
mod writes;

use crate::world::World;

fn main() {
    let count = std::env::var("TOKENS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let world = World::new(count);
    let mut all = operations::all(&world);
    all.extend(rivals::all());
    turns::measure(all);
    writes::readers_beside_writes(&world);
    timing::differences(&world);
    start::from_redb(&world);
}
