//! Decisions beside their floors and their rivals, over one world and the same requests.
//!
//! `cargo bench -p palisade-benches --bench iam_policy`; `USERS=n` for one size alone, `RIVALS=0` without rivals.
//!
//! The flat world: 32 services of 8 verbs; a role has 8 permissions (one in eight a whole service, every 200th role
//! everything), one role in ten denies a permission; a group has 1 to 4 roles, a user is in 1 to 3 groups and has, three
//! times in ten, a role of its own. Requests are drawn evenly over users and permissions, at resources three levels deep.
//!
//! The scoped world: 200 tenants of 50 projects, resources in these; a user has three roles at any level of its tenant,
//! two in a hundred of the bindings deny, and one user in ten has a boundary.
//!
//! Every contender's answers are compared with those of a naive reading before anything is timed. Times are CPU time of
//! the thread, contenders in turns, medians of eight rounds: whatever else the machine does, the ratios hold. Loading is
//! measured apart.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a bench"
)]

mod casbin_rival;
mod cedar_rival;
mod clock;
mod floor;
mod ours;
mod regorus_rival;
mod swap;
mod world;

use crate::clock::{Contender, cpu_time, resident};
use crate::ours::Ours;
use crate::world::World;

/// Users, groups, roles.
const SIZES: [(usize, usize, usize); 5] =
    [(10, 5, 10), (1_000, 50, 100), (10_000, 500, 1_000), (10_000, 500, 10_000), (100_000, 2_000, 1_000)];

fn main() {
    let only: Option<usize> = std::env::var("USERS").ok().and_then(|text| text.parse().ok());
    let has_rivals = std::env::var("RIVALS").ok().is_none_or(|text| text != "0");
    println!("{:56} {:>12} {:>9}", "iam-policy", "ns/decision", "x floor");
    let mut flat = Vec::new();
    for (users, groups, roles) in SIZES {
        if only.is_none_or(|only| only == users) {
            let name = format!("flat/{users} users/{roles} roles");
            flat.push((name.clone(), run(&name, &World::flat(users, groups, roles), has_rivals)));
        }
    }
    if only.is_none() {
        run("scoped/10000 users/1000 roles", &World::scoped(200, 50, 50, 1_000), false);
    }
    if let [(_, first), .., _] = flat.as_slice() {
        for (name, ours) in &flat {
            println!("{name:56} {:>12} {:>8.2}x of the smallest", "", ours / first);
        }
    }
}

/// Prints all of one world; answers with what a decision of ours takes.
fn run(name: &str, world: &World, has_rivals: bool) -> f64 {
    println!("\n{name}: {} of {} requests are allowed", world.allowed(), world.requests.len());
    let ours = Ours::load(world);
    let (cedar, casbin);
    let mut all: Vec<Contender<'_>> = vec![
        floor::ids(world),
        floor::scopes(world),
        floor::strings(world),
        ours.decisions(world),
        ours.by_values(world),
        ours.restricted(world),
        ours.by_strings(world),
    ];
    if has_rivals {
        cedar = (cedar_rival::expert(world), cedar_rival::idiomatic(world));
        casbin = (casbin_rival::load(world, false), casbin_rival::load(world, true));
        all.push(cedar.0.contender("cedar, expert (prepared request)", world));
        all.push(cedar.1.contender("cedar, idiomatic (prepared request)", world));
        all.push(casbin.0.contender("casbin, expert", world));
        all.push(casbin.1.contender("casbin, idiomatic", world));
        all.push(regorus_rival::idiomatic(world).contender("regorus, idiomatic (prepared input)"));
        // With what it works out for 100,000 users it takes some GiB.
        if world.users.len() <= 10_000 {
            all.push(regorus_rival::expert(world).contender("regorus, expert (prepared input)"));
        }
    }
    for contender in &mut all {
        contender.check(world);
    }
    let times = clock::in_turns(&mut all);
    let of = |wanted: &str| {
        all.iter().zip(&times).find(|(one, _)| one.name == wanted).map_or(f64::NAN, |(_, time)| *time)
    };
    let (scopes, strings, decision) = (of(floor::SCOPES), of(floor::STRINGS), of(ours::DECISION));
    for (contender, time) in all.iter().zip(&times) {
        let floor = if contender.is_of_strings { strings } else { scopes };
        println!("  {:54} {time:>12.1} {:>8.2}x", contender.name, time / floor);
    }
    for contender in all.iter().zip(&times).skip(7) {
        println!("  {:54} {:>12} {:>8.0}x ours", contender.0.name, "", contender.1 / decision);
    }
    drop(all);
    ours.what_can(world);
    if world.users.len() >= 10_000 {
        swap::measure(&ours, world);
    }
    decision
}

/// What `load` takes, and how much memory stays.
fn loaded<T>(name: &str, users: usize, load: impl FnOnce() -> T) -> T {
    let (before, start) = (resident(), cpu_time());
    let value = load();
    let (took, grown) = (cpu_time() - start, resident().saturating_sub(before));
    println!(
        "  {:54} {:>9.1} ms {:>8.1} MB {:>8.0} bytes/user",
        format!("load: {name}"),
        took as f64 / 1e6,
        grown as f64 / 1e6,
        grown as f64 / users as f64
    );
    value
}
