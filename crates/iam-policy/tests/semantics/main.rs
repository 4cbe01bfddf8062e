//! What is decided: the table of the README row by row, the laws, and agreement with a slow evaluator that is
//! written straight from the table.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper that fails is a test that fails, and its numbers are small"
)]

mod agreement;
mod arb;
mod audits;
mod documents;
mod explanations;
mod laws;
mod lints;
mod nested;
mod people;
mod reach;
mod reference;
mod replicas;
mod rows;
mod ways;
mod what;
mod who;
mod world;

/// So many cases; `PALISADE_LONG=21` makes it 21 times as many, and of the agreement with the slow evaluator more than
/// a million questions.
pub(crate) fn config(cases: u32) -> proptest::test_runner::Config {
    let times = std::env::var("PALISADE_LONG").map_or(1, |text| text.parse().unwrap());
    let max_global_rejects = 1024_u32.saturating_mul(times);
    proptest::test_runner::Config {
        cases: cases.saturating_mul(times),
        max_global_rejects,
        ..Default::default()
    }
}
