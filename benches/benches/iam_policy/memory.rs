//! How many bytes a directory of 100,000 users keeps, counted where they are allocated.
//!
//! `cargo bench -p palisade-benches --bench iam_policy_memory`. Counted are the bytes asked for, less those given back, not
//! what the allocator adds. The parts are told apart by directories that have less: subjects alone, then memberships, then
//! bindings, then what is worked out for each user that was asked about.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a bench"
)]
#![expect(dead_code, reason = "what is shared with the bench of decisions")]

#[path = "cedar_rival.rs"]
mod cedar_rival;
#[path = "clock.rs"]
mod clock;
#[path = "ours.rs"]
mod ours;
#[path = "world.rs"]
mod world;

use std::alloc::System;

use core_types::Restriction;
use iam_policy::document::DirectoryDocument;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::world::World;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const USERS: usize = 100_000;

fn main() {
    let world = World::flat(USERS, 2_000, 1_000);
    let whole = ours::document(&world);
    let without = |families: &[&str]| {
        let mut document = whole.clone();
        families.iter().for_each(|family| document[*family] = serde_json::json!([]));
        DirectoryDocument::parse(document.to_string().as_bytes()).unwrap()
    };
    let empty: &[&str] = &[];
    let parts = [
        ("subjects, groups, roles, policies", without(&["memberships", "bindings"])),
        ("and memberships", without(&["bindings"])),
        ("and bindings", without(empty)),
    ];
    println!("{:56} {:>10} {:>16}", "memory", "MB", "bytes a user");
    for (name, document) in &parts {
        let region = Region::new(ALLOCATOR);
        let directory = document.directory();
        tell(&format!("ours: {name}"), kept(&region));
        drop(directory);
    }
    let region = Region::new(ALLOCATOR);
    let directory = parts[2].1.directory();
    let everything = Restriction::unrestricted();
    let allowed = (0..world.requests.len())
        .filter(|number| ours::allows(&directory, &ours::request(&world, &everything, *number)))
        .count();
    let asked: std::collections::BTreeSet<usize> =
        world.requests.iter().map(|request| request.user).collect();
    let share = asked.len() as f64 / USERS as f64;
    tell(&format!("ours: and what was worked out for {:.0} % of them", share * 100.0), kept(&region));
    assert!(allowed > 0);
    drop(directory);
    if std::env::var("RIVALS").ok().is_none_or(|text| text != "0") {
        let region = Region::new(ALLOCATOR);
        let cedar = cedar_rival::expert(&world);
        tell("cedar, expert (its prepared requests too)", kept(&region));
        drop(cedar);
    }
}

fn kept(region: &Region<'_, System>) -> usize {
    let change = region.change();
    change.bytes_allocated.saturating_sub(change.bytes_deallocated)
}

fn tell(name: &str, bytes: usize) {
    println!("{name:56} {:>10.1} {:>16.0}", bytes as f64 / 1e6, bytes as f64 / USERS as f64);
}

/// Nobody measures time here.
fn loaded<T>(_: &str, _: usize, load: impl FnOnce() -> T) -> T {
    load()
}
