//! Random schedules against the model.

use core::cell::RefCell;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::Suite;
use crate::store::StateStore;
use crate::testing::case::Site;
use crate::testing::model;

pub(super) const NAME: &str = "random_schedules_agree_with_the_model";

/// Runs the same schedules on every backend, each on a store of its own; a failing one is made shorter.
pub(super) fn agree<P, S: StateStore>(
    suite: &Suite,
    place: &mut dyn FnMut() -> P,
    open: &mut dyn FnMut(&P) -> S,
    is_durable: bool,
) -> Result<(), String> {
    let config = Config {
        cases: suite.schedules,
        failure_persistence: None,
        max_shrink_iters: MAX_SHRINK_ITERS,
        max_shrink_time: MAX_SHRINK_MILLIS,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let backend = RefCell::new((place, open));
    let outcome = runner.run(&model::arb_operations(), |operations| {
        let (place, open) = &mut *backend.borrow_mut();
        let place = place();
        let mut open = || open(&place);
        let mut site = Site::new(&mut open, is_durable, suite.patience);
        model::run(&mut site, &operations).map_err(|broken| TestCaseError::fail(broken.to_string()))
    });
    outcome.map_err(|error| match error {
        TestError::Abort(reason) => format!("no schedule could be made: {reason}"),
        TestError::Fail(reason, operations) => format!("{reason}, by the schedule {operations:?}"),
    })
}

const MAX_SHRINK_ITERS: u32 = 512;
const MAX_SHRINK_MILLIS: u32 = 2000;
