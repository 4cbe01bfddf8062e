//! Readers beside a writer that publishes one changed binding after the other.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use core_types::testing::TestRandom;
use core_types::{Limit, Restriction, Subject};
use iam_policy::{BuiltInRole, Directory, Grantor, Holder};
use state_store::{Revision, View, Write};

use crate::clock::{cpu_time, median};
use crate::ours::{NOW, Ours, allows, request};
use crate::world::World;

const DECISIONS: usize = 200_000;

pub(crate) fn measure(ours: &Ours, world: &World) {
    let current = ArcSwap::from_pointee(ours.directory.clone());
    let alone = read(&current, world);
    let (is_over, changes) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (together, mut visible) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&current, world, &is_over, &changes));
        let readers = [0, 1].map(|_| scope.spawn(|| read(&current, world)));
        let together = readers.map(|reader| reader.join().unwrap());
        is_over.store(true, Ordering::Relaxed);
        (together, writer.join().unwrap())
    });
    let both: f64 = together.iter().map(|time| alone / time).sum();
    println!("  {:54} {both:>12.2} x one reader alone", "ours: two readers beside a writer");
    println!(
        "  {:54} {:>12.0} ns, {} changes",
        "ours: one binding changed, published",
        median(&mut visible),
        changes.load(Ordering::Relaxed)
    );
}

/// CPU time of a decision.
fn read(current: &ArcSwap<Directory>, world: &World) -> f64 {
    let everything = Restriction::unrestricted();
    let start = cpu_time();
    let mut allowed = 0;
    for number in 0..DECISIONS {
        allowed += usize::from(allows(&current.load(), &request(world, &everything, number)));
    }
    std::hint::black_box(allowed);
    (cpu_time() - start) as f64 / DECISIONS as f64
}

/// How long each change took, from the decision to make it until readers see it.
fn write(
    current: &ArcSwap<Directory>,
    world: &World,
    is_over: &AtomicBool,
    changes: &AtomicUsize,
) -> Vec<f64> {
    let random = TestRandom::seeded(9);
    let mut times = Vec::new();
    let mut revision = Revision::ZERO;
    let mut directory = Directory::clone(&current.load());
    while !is_over.load(Ordering::Relaxed) || times.is_empty() {
        let user = times.len() * 7919 % world.users.len();
        let start = cpu_time();
        let holder = Holder::Subject(Subject::User(world.ids[user]));
        let scope = world.scopes[world.homes[user]].clone();
        let plan = directory.plan(Grantor::dangerous_unguarded(), NOW);
        let planned =
            plan.bind(BuiltInRole::AppsRead.into(), holder, scope, Limit::Unlimited, &random).unwrap();
        revision = revision.next().unwrap();
        for (key, write) in planned.into_parts().1.into_writes() {
            match write {
                Write::Put(value) => directory.put(&key, &value, revision).unwrap(),
                Write::Delete => directory.delete(&key),
            }
        }
        current.store(directory.clone().into());
        times.push((cpu_time() - start) as f64);
        changes.fetch_add(1, Ordering::Relaxed);
    }
    times
}
