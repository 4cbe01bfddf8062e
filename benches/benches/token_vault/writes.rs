//! Reading on two threads while a third writes.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use core_types::{Principal, Subject, UserId};
use pollster::block_on;
use rustix::time::{ClockId, clock_gettime};
use state_store::{Commit, StateStore};
use token_vault::testing::START;
use token_vault::{RevocationReason, VerifyContext};

use crate::world::{STEP, World};

/// Verifies on one thread, then on two beside a thousand revocations a second. A write is a commit to memory and
/// the publication of the snapshot that shows it.
pub(crate) fn readers_beside_writes(world: &World) {
    let mut from = 0;
    let mut run = |readers, write| {
        let outcome = readers_and_writes(world, readers, write, from);
        from += outcome.wall.len();
        outcome
    };
    let (alone, pair) = (run(1, false), run(2, false));
    println!("verify, 1 thread: {:.2} M/s", alone.reads / 1e6);
    println!("verify, 2 threads: {:.2} M/s = {:.2}x", pair.reads / 1e6, pair.reads / alone.reads);
    for readers in [0, 1, 2] {
        let beside = run(readers, true);
        println!(
            "verify, {readers} threads beside {} writes/s: {:.2} M/s = {:.2}x",
            beside.wall.len() / TIME.as_secs() as usize,
            beside.reads / 1e6,
            beside.reads / alone.reads
        );
        print_times("  a write, by the clock", beside.wall);
        print_times("  a write, by the processor's time of its thread", beside.processor);
    }
}

struct Outcome {
    // Per second.
    reads: f64,
    wall: Vec<Duration>,
    processor: Vec<Duration>,
}

fn readers_and_writes(world: &World, threads: usize, write: bool, from: usize) -> Outcome {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..threads)
            .map(|thread| {
                let stop = &stop;
                scope.spawn(move || {
                    let context = VerifyContext::at(START);
                    let (mut done, mut at) = (0_u64, thread * STEP);
                    while !stop.load(Ordering::Relaxed) {
                        at = (at + STEP) % world.tokens.len();
                        black_box(world.vault.verify(&world.tokens[at], &context).is_ok());
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let (mut wall, mut processor) = (Vec::new(), Vec::new());
        let began = Instant::now();
        let by = Principal::subject(Subject::User(UserId::from_bytes([1; 16])));
        while began.elapsed() < TIME {
            if !write {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
            let id = world.ids[from + wall.len()];
            let change = world.vault.plan_revoke(id, by, RevocationReason::Unneeded, START).unwrap();
            let (write, used) = (Instant::now(), processor_time());
            let commit = block_on(world.store.commit(change.batch)).unwrap();
            assert!(matches!(commit, Commit::Committed(_)));
            block_on(world.driver.lock().unwrap().step()).unwrap();
            wall.push(write.elapsed());
            processor.push(processor_time() - used);
            let due = began + Duration::from_millis(wall.len() as u64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        stop.store(true, Ordering::Relaxed);
        let done: u64 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        Outcome { reads: done as f64 / began.elapsed().as_secs_f64(), wall, processor }
    })
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 1000];
    println!("{what}: median {:?}, 99% {:?}, 99.9% {:?}, longest {:?}", at(500), at(990), at(999), at(1000));
}

const TIME: Duration = Duration::from_secs(3);
