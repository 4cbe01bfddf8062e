//! The memory store keeps the port's contract; the suite sees when a store does not.

use proptest::prelude::*;
use state_store::MemoryStore;
use state_store::testing::{conformance, model};

#[test]
fn the_memory_store_keeps_the_contract() {
    let report = conformance::run(MemoryStore::new).unwrap();
    assert!(report.passed().len() >= 38, "{} cases", report.passed().len());
}

#[test]
fn a_store_kept_by_its_place_passes_the_durable_cases_too() {
    // As long as the place has a handle the store lives, so this is what reopening looks like from outside.
    let report = conformance::run_durable(MemoryStore::new, MemoryStore::clone).unwrap();
    assert!(report.passed().contains(&"what_was_committed_is_there_when_reopened"));
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let report = conformance::run_durable(MemoryStore::new, MemoryStore::clone).unwrap();
    let mut names = report.passed().to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), report.passed().len());
}

#[test]
fn a_panic_of_a_store_is_a_failure_with_its_message() {
    let failures = conformance::run(|| -> MemoryStore { panic!("no disk") }).unwrap_err();
    assert!(failures.failures().iter().all(|failure| failure.what.contains("no disk")));
    assert!(failures.to_string().contains("a_commit_is_seen_by_the_next_read: it panicked: no disk"));
}

proptest! {
    #[test]
    fn the_memory_store_agrees_with_the_model(operations in model::arb_operations()) {
        model::check(MemoryStore::new, &operations).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn the_memory_store_agrees_with_the_model_when_reopened(operations in model::arb_operations()) {
        let place = MemoryStore::new();
        model::check_durable(|| place.clone(), &operations).map_err(TestCaseError::fail)?;
    }
}
