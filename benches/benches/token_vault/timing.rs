//! Whether time tells what a wrong token is wrong in.

use std::hint::black_box;
use std::time::Instant;

use core_types::{SecureRandom, SystemRandom};
use token_vault::VerifyContext;
use token_vault::testing::START;

use crate::world::World;

/// After dudect (Reparaz, Balasch, Verbauwhede 2017): Welch's t between two classes of wrong tokens in random
/// order. Below 4.5 no difference is seen; the means say how large one is that is.
pub(crate) fn differences(world: &World) {
    let token = &world.tokens[0];
    let wrong_at = |at: usize| {
        let mut body = token[..77].to_owned();
        // The first digit of a secret is 4 at most, so that the number stays within its bytes.
        let other = if &token[at..=at] == "1" { "0" } else { "1" };
        body.replace_range(at..=at, other);
        token_vault::testing::with_checksum(&body)
    };
    let unknown = {
        let mut body = token[..77].to_owned();
        let other = if &token[33..34] == "1" { "0" } else { "1" };
        body.replace_range(33..34, other);
        token_vault::testing::with_checksum(&body)
    };
    let (first, last) = (wrong_at(34), wrong_at(76));
    compare(world, "wrong first digit / wrong last digit", &first, &last);
    compare(world, "wrong secret / unknown id", &last, &unknown);
    compare(world, "the same text twice", &last, &last.clone());
}

fn compare(world: &World, name: &str, one: &str, other: &str) {
    let context = VerifyContext::at(START);
    let mut random = [0_u8; 4096];
    let mut times: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..50 {
        SystemRandom::new().fill(&mut random).unwrap();
        for byte in random {
            let class = usize::from(byte & 1);
            let text = [one, other][class];
            let began = Instant::now();
            black_box(world.vault.verify(black_box(text), &context).is_err());
            times[class].push(began.elapsed().as_nanos() as f64);
        }
    }
    // What the scheduler did to a few of them says nothing of the code.
    let mut all: Vec<f64> = times.concat();
    all.sort_unstable_by(f64::total_cmp);
    let crop = all[all.len() * 9 / 10];
    let [(mean0, error0), (mean1, error1)] = times.map(|times| {
        let times: Vec<f64> = times.into_iter().filter(|time| *time <= crop).collect();
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / times.len() as f64;
        (mean, variance / times.len() as f64)
    });
    let t = (mean0 - mean1) / (error0 + error1).sqrt();
    println!("timing, {name}: {mean0:.1} ns, {mean1:.1} ns, t = {t:.1}");
}
