//! The store keeps the port's contract on a real server, closed and opened again as well.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::cell::Cell;

use core_types::SystemRandom;
use pollster::block_on;
use state_store::testing::conformance::Suite;
use state_store_postgres::testing::Server;
use state_store_postgres::{Options, PostgresStore};

fn open(url: &str) -> PostgresStore {
    let options: Options = url.parse().unwrap();
    block_on(PostgresStore::open(options, &SystemRandom::new())).unwrap()
}

#[test]
fn the_store_keeps_the_contract() {
    let server = Server::start().unwrap();
    let count = Cell::new(0);
    let place = || {
        count.set(count.get() + 1);
        format!("case_{}", count.get())
    };
    let suite = Suite::new().with_schedules(16);
    let report = suite.run_durable(place, |schema| open(&server.url(schema))).unwrap();
    assert!(report.passed().contains(&"what_was_committed_is_there_when_reopened"));
}
