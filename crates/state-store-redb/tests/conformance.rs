//! The store keeps the port's contract, closed and opened again as well.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use core_types::SystemRandom;
use proptest::prelude::*;
use proptest::test_runner::Config;
use state_store::testing::{conformance, model};
use state_store_redb::{Expected, Options, RedbStore};
use tempfile::TempDir;

fn place() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(place: &TempDir) -> RedbStore {
    RedbStore::open(place.path().join("store"), Expected::Either, &SystemRandom::new()).unwrap()
}

#[test]
fn the_store_keeps_the_contract() {
    let report = conformance::run_durable(place, open).unwrap();
    assert!(report.passed().contains(&"what_was_committed_is_there_when_reopened"));
}

#[test]
fn the_store_keeps_the_contract_without_integrity_checks_and_without_a_cache() {
    let options = Options::new().dangerous_without_integrity_check().with_cache_bytes(0);
    let open = |place: &TempDir| {
        RedbStore::open_with(place.path().join("store"), Expected::Either, &options, &SystemRandom::new())
            .unwrap()
    };
    conformance::Suite::new().with_schedules(4).run_durable(place, open).unwrap();
}

proptest! {
    #![proptest_config(Config { cases: 24, ..Config::default() })]
    #[test]
    fn the_store_agrees_with_the_model(operations in model::arb_operations()) {
        let place = place();
        model::check_durable(|| open(&place), &operations).map_err(TestCaseError::fail)?;
    }
}
