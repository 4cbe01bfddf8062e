//! Readers beside a writer that publishes one changed binding after the other.
//!
//! Two readers and a writer are three threads: where there are fewer processors they take turns, and only the CPU time of
//! the readers' own threads says whether they stand in each other's way. Both that and the throughput by the clock are told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use core_types::testing::TestRandom;
use core_types::{Limit, Restriction, Subject};
use iam_policy::{BuiltInRole, Directory, Grantor, Holder};
use state_store::{Revision, View, Write};

use crate::clock::{cpu_time, median};
use crate::ours::{NOW, Ours, allows, request};
use crate::world::World;

const DECISIONS: usize = 1_000_000;

/// What readers managed together: decisions a second of their CPU time, summed up, and by the clock.
struct Rate {
    by_cpu: f64,
    by_clock: f64,
}

pub(crate) fn measure(ours: &Ours, world: &World) {
    let current = ArcSwap::from_pointee(ours.directory.clone());
    // Once, so that what is worked out at the first question is.
    read(&current, world);
    let (alone, _) = beside(&current, world, 1, None);
    println!("  {:54} {:>12.0} ns of CPU", "ours: a decision of one reader alone", 1e9 / alone.by_cpu);
    let pauses = [
        ("no writer", None),
        ("1,000 changes a second", Some(Duration::from_millis(1))),
        ("a writer that never rests", Some(Duration::ZERO)),
    ];
    for (name, pause) in pauses {
        let (rate, times) = beside(&current, world, 2, pause);
        println!(
            "  {:54} {:>11.2}x by CPU time, {:.2}x by the clock, of one reader alone; {} changes",
            format!("ours: two readers beside {name}"),
            rate.by_cpu / alone.by_cpu,
            rate.by_clock / alone.by_clock,
            times.len(),
        );
        if let Some(mut times) = Some(times).filter(|times| !times.is_empty()) {
            let name = "ours: one binding changed, published";
            println!("  {name:54} {:>12.0} ns", median(&mut times));
        }
    }
}

/// So many readers, beside a writer that makes such pauses, or none; how long the writer's changes took.
fn beside(
    current: &ArcSwap<Directory>,
    world: &World,
    readers: usize,
    pause: Option<Duration>,
) -> (Rate, Vec<f64>) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = pause.map(|pause| {
            let is_over = &is_over;
            scope.spawn(move || write(current, world, pause, is_over))
        });
        let start = Instant::now();
        let readers: Vec<_> = (0..readers).map(|_| scope.spawn(|| read(current, world))).collect();
        let times: Vec<f64> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        let took = start.elapsed();
        is_over.store(true, Ordering::Relaxed);
        let rate = Rate {
            by_cpu: times.iter().map(|time| 1e9 / time).sum(),
            by_clock: (times.len() * DECISIONS) as f64 / took.as_secs_f64(),
        };
        (rate, writer.map(|writer| writer.join().unwrap()).unwrap_or_default())
    })
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
fn write(current: &ArcSwap<Directory>, world: &World, pause: Duration, is_over: &AtomicBool) -> Vec<f64> {
    let random = TestRandom::seeded(9);
    let mut times = Vec::new();
    let mut revision = Revision::ZERO;
    let mut directory = Directory::clone(&current.load());
    while !is_over.load(Ordering::Relaxed) || times.is_empty() {
        // Each user in turn, so that nobody comes to hold more than a few more.
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
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    times
}
