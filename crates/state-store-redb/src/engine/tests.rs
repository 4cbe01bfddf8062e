//! The engine on a disk that fails, and on files that are not what was written.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows is a failed test")]

mod damage;
mod disk;
mod faults;

use core_types::testing::TestRandom;
use state_store::{Batch, Commit, Expect, Key, Prefix, Revision, StoreId, Value, Write};

use self::disk::Disk;
use super::*;

fn create(disk: &Disk) -> Engine {
    let sentinel = Sentinel::new(StoreId::generate(&TestRandom::seeded(1)).unwrap());
    Engine::create(disk.clone(), sentinel, &Database::builder()).unwrap()
}

fn open(disk: &Disk) -> Result<(Engine, Sentinel), OpenError> {
    let mut builder = Database::builder();
    Engine::open(disk.clone(), builder.set_check_integrity_on_open(true))
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

fn puts(names: &[&str], text: &str) -> Batch {
    let mut batch = Batch::new();
    for name in names {
        batch.write(key(name), Write::Put(Value::new(text).unwrap())).unwrap();
    }
    batch
}

fn commit(engine: &Engine, batch: Batch) -> Outcome {
    engine.commit(vec![batch]).remove(0)
}

fn committed(engine: &Engine, batch: Batch) -> Revision {
    match commit(engine, batch) {
        Ok(Commit::Committed(revision)) => revision,
        other => panic!("{other:?}"),
    }
}

fn text(engine: &Engine, name: &str) -> Option<String> {
    let entry = engine.get(&key(name)).unwrap()?;
    Some(String::from_utf8(entry.value.as_bytes().to_vec()).unwrap())
}

fn head(engine: &Engine) -> Revision {
    engine.scan(&Prefix::all(), None, 0).unwrap().revision
}

#[test]
fn the_batches_of_a_group_are_decided_one_after_another() {
    let engine = create(&Disk::new());
    let mut batches: Vec<Batch> = Vec::new();
    for text in ["1", "2"] {
        let mut batch = puts(&["a"], text);
        batch.require(key("a"), Expect::Absent).unwrap();
        batches.push(batch);
    }
    let mut on_the_first = puts(&["b"], "3");
    on_the_first.require(key("a"), Expect::Revision(Revision::new(1))).unwrap();
    batches.push(on_the_first);
    let mut check = Batch::new();
    check.require(key("b"), Expect::Revision(Revision::new(2))).unwrap();
    batches.push(check);
    let committed = |number| Ok(Commit::Committed(Revision::new(number)));
    let expected = [committed(1), Ok(Commit::Conflict(key("a"))), committed(2), committed(2)];
    assert_eq!(engine.commit(batches), expected);
    assert_eq!(text(&engine, "a").unwrap(), "1");
    assert_eq!(head(&engine), Revision::new(2));
}

#[test]
fn a_group_costs_the_disk_as_much_as_one_batch() {
    let disk = Disk::new();
    let engine = create(&disk);
    let before = disk.syncs();
    committed(&engine, puts(&["a"], "1"));
    let one = disk.syncs() - before;
    let batches = (0..50).map(|number| puts(&["a"], &number.to_string())).collect();
    assert!(engine.commit(batches).iter().all(Result::is_ok));
    let fifty = disk.syncs() - before - one;
    // One more where the file grows.
    assert!(fifty <= one + 1, "{fifty} syncs for fifty commits, {one} for one");
    assert!(one >= 2, "two phases are two syncs");
    assert_eq!(head(&engine), Revision::new(51));
}

#[test]
fn what_writes_nothing_costs_the_disk_nothing() {
    let disk = Disk::new();
    let engine = create(&disk);
    committed(&engine, puts(&["a"], "1"));
    let before = disk.syncs();
    let mut conflict = puts(&["a"], "2");
    conflict.require(key("a"), Expect::Absent).unwrap();
    assert_eq!(commit(&engine, conflict), Ok(Commit::Conflict(key("a"))));
    committed(&engine, Batch::new());
    assert_eq!(disk.syncs(), before);
}
