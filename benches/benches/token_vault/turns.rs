//! Operations in turns.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Something to measure.
pub(crate) struct Operation<'a> {
    name: &'static str,
    calls: u32,
    block: Box<dyn FnMut() -> Duration + 'a>,
}

impl<'a> Operation<'a> {
    /// So many calls in a row, each on an input that was just made, as what was just received is in the caches.
    /// What a call returns is dropped within the time.
    pub(crate) fn new<T: 'a, R>(
        name: &'static str,
        calls: u32,
        mut input: impl FnMut() -> T + 'a,
        mut call: impl FnMut(&T) -> R + 'a,
    ) -> Self {
        let block = move || {
            let inputs: Vec<T> = (0..calls).map(|_| input()).collect();
            let began = Instant::now();
            for input in &inputs {
                black_box(call(black_box(input)));
            }
            began.elapsed()
        };
        Self { name, calls, block: Box::new(block) }
    }
}

/// Measures those the program's arguments ask for, all where they say nothing, and prints the middle of each with
/// what it is to the first one.
pub(crate) fn measure(mut operations: Vec<Operation<'_>>) {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    operations.retain(|operation| {
        wanted.is_empty() || wanted.iter().any(|word| operation.name.contains(word.as_str()))
    });
    if operations.is_empty() {
        return;
    }
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let mut times: Vec<Vec<f64>> = vec![Vec::with_capacity(rounds); operations.len()];
    for round in 0..WARM_UP + rounds {
        for (operation, times) in operations.iter_mut().zip(&mut times) {
            let time = (operation.block)().as_nanos() as f64 / f64::from(operation.calls);
            if round >= WARM_UP {
                times.push(time);
            }
        }
    }
    let first = times[0].clone();
    println!("{:44} {:>12} {:>12} {:>12}", "operation", "quartile", "median", "of the first");
    for (operation, times) in operations.iter().zip(times) {
        let ratios = times.iter().zip(&first).map(|(time, first)| time / first).collect();
        let [quartile, median] = [0.25, 0.5].map(|part| at(times.clone(), part));
        let ratio = at(ratios, 0.5);
        println!("{:44} {quartile:9.1} ns {median:9.1} ns {ratio:11.2}x", operation.name);
    }
}

fn at(mut numbers: Vec<f64>, part: f64) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[((numbers.len() - 1) as f64 * part) as usize]
}

const WARM_UP: usize = 20;
const ROUNDS: usize = 400;
