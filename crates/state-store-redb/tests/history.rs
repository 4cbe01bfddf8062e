//! What concurrent clients see of the store has one order.

use std::thread::sleep;
use std::time::Duration;

use core_types::SystemRandom;
use state_store::testing::history::{Cast, record};
use state_store_redb::{Expected, RedbStore};

#[test]
fn histories_have_an_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbStore::open(folder.path().join("store"), Expected::New, &SystemRandom::new()).unwrap();
    let cast = Cast { seed: 1, clients: 4, keys: 3, operations: u64::MAX, patience: Duration::from_secs(10) };
    let summary = record(&[store.clone(), store], cast, || sleep(Duration::from_secs(1))).unwrap();
    assert!(summary.committed > 20, "{summary:?}");
    assert_eq!((summary.failed, summary.unknown), (0, 0));
}
