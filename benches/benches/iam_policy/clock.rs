//! CPU time, memory, and turns.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

use crate::world::World;

/// Something that decides requests.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'static str,
    /// Whether it is compared with the floor of strings.
    pub(crate) is_of_strings: bool,
    /// Decides so many requests from this one on, and says how many were allowed.
    pub(crate) decide: Box<dyn FnMut(usize, usize) -> usize + 'a>,
    /// How many requests its answers are checked of.
    pub(crate) checked: usize,
}

impl Contender<'_> {
    /// Panics when an answer is wrong.
    pub(crate) fn check(&mut self, world: &World) {
        for number in 0..self.checked.min(world.requests.len()) {
            let allowed = (self.decide)(number, 1) == 1;
            assert_eq!(allowed, world.answers[number], "{}: request {number}", self.name);
        }
    }
}

/// Nanoseconds of this thread.
pub(crate) fn cpu_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Bytes of this process in memory.
pub(crate) fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// The median time of a decision of each, in nanoseconds: a batch of each in turn. What is slow has fewer turns.
pub(crate) fn in_turns(all: &mut [Contender<'_>]) -> Vec<f64> {
    let mut at: Vec<usize> = all.iter().map(|_| 0).collect();
    let sizes: Vec<usize> = all.iter_mut().map(size).collect();
    let mut times: Vec<Vec<f64>> = all.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (number, one) in all.iter_mut().enumerate() {
            let spent = times[number].iter().sum::<f64>() * sizes[number] as f64;
            if times[number].len() >= FEWEST_ROUNDS && spent > PATIENCE {
                continue;
            }
            let start = cpu_time();
            std::hint::black_box((one.decide)(at[number], sizes[number]));
            times[number].push((cpu_time() - start) as f64 / sizes[number] as f64);
            at[number] += sizes[number];
        }
    }
    times.iter_mut().map(|times| median(times)).collect()
}

/// How many decisions take some milliseconds.
fn size(one: &mut Contender<'_>) -> usize {
    let mut size = 1;
    loop {
        let start = cpu_time();
        std::hint::black_box((one.decide)(0, size));
        let took = cpu_time() - start;
        if took > 1_000_000 || size >= 1 << 16 {
            return if took > 4_000_000 { size } else { size * 4 };
        }
        size *= 2;
    }
}

pub(crate) fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

const ROUNDS: usize = 41;
const FEWEST_ROUNDS: usize = 5;

/// Nanoseconds that one contender may take.
const PATIENCE: f64 = 1e9;
