//! The store keeps the port's contract on a real cluster of three, closed and opened again as well.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::cell::Cell;

use core_types::SystemRandom;
use pollster::block_on;
use state_store::testing::conformance::Suite;
use state_store_etcd::testing::Cluster;
use state_store_etcd::{EtcdStore, Options};

fn open(url: &str) -> EtcdStore {
    let options: Options = url.parse().unwrap();
    block_on(EtcdStore::open(options, &SystemRandom::new())).unwrap()
}

#[test]
fn the_store_keeps_the_contract() {
    let cluster = Cluster::start(3).unwrap();
    let count = Cell::new(0);
    let place = || {
        count.set(count.get() + 1);
        format!("case-{}", count.get())
    };
    let suite = Suite::new().with_schedules(16);
    let report = suite.run_durable(place, |namespace| open(&cluster.url(namespace))).unwrap();
    assert!(report.passed().contains(&"what_was_committed_is_there_when_reopened"));
}
