//! Batches: what they take, and that what they refuse leaves them as they were.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use state_store::{Batch, BatchError, Expect, Key, MAX_BATCH_WRITES, Revision, Value, Write};

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

fn value() -> Value {
    Value::new("1").unwrap()
}

fn full() -> Batch {
    let mut batch = Batch::new();
    for number in 0..MAX_BATCH_WRITES {
        batch.create(key(&format!("{number:03}")), value()).unwrap();
    }
    batch
}

const TOO_MANY: BatchError = BatchError::TooMany { limit: 256 };

#[test]
fn a_batch_has_256_writes_and_256_preconditions_at_most() {
    let mut batch = full();
    let before = batch.clone();
    assert_eq!(batch.writes().count(), 256);
    assert_eq!(batch.expectations().count(), 256);
    assert_eq!(batch.write(key("more"), Write::Delete), Err(TOO_MANY));
    assert_eq!(batch.require(key("more"), Expect::Absent), Err(TOO_MANY));
    assert_eq!(batch.create(key("more"), value()), Err(TOO_MANY));
    assert_eq!(batch, before);
    // What it already has, it may be told again.
    assert_eq!(batch.require(key("007"), Expect::Absent), Ok(()));
    assert_eq!(batch, before);
}

#[test]
fn a_key_is_written_once() {
    let mut batch = Batch::new();
    batch.write(key("a"), Write::Put(value())).unwrap();
    let before = batch.clone();
    assert_eq!(batch.write(key("a"), Write::Delete), Err(BatchError::WrittenTwice));
    assert_eq!(batch.write(key("a"), Write::Put(value())), Err(BatchError::WrittenTwice));
    assert_eq!(batch, before);
}

#[test]
fn preconditions_on_one_key_agree() {
    let mut batch = Batch::new();
    batch.require(key("a"), Expect::Absent).unwrap();
    batch.require(key("a"), Expect::Absent).unwrap();
    let before = batch.clone();
    let other = Expect::Revision(Revision::new(1));
    assert_eq!(batch.require(key("a"), other), Err(BatchError::Contradiction));
    assert_eq!(batch, before);
}

#[test]
fn what_is_refused_in_part_is_refused_whole() {
    let revision = Revision::new(1);
    let mut batch = Batch::new();
    batch.write(key("written"), Write::Delete).unwrap();
    batch.require(key("required"), Expect::Absent).unwrap();
    let before = batch.clone();
    assert_eq!(batch.create(key("written"), value()), Err(BatchError::WrittenTwice));
    assert_eq!(batch.replace(key("written"), revision, value()), Err(BatchError::WrittenTwice));
    assert_eq!(batch.remove(key("written"), revision), Err(BatchError::WrittenTwice));
    assert_eq!(batch.replace(key("required"), revision, value()), Err(BatchError::Contradiction));
    assert_eq!(batch.remove(key("required"), revision), Err(BatchError::Contradiction));
    assert_eq!(batch, before);
}

#[test]
fn the_short_forms_say_what_they_mean() {
    let revision = Revision::new(7);
    let mut short = Batch::new();
    short.create(key("a"), value()).unwrap();
    short.replace(key("b"), revision, value()).unwrap();
    short.remove(key("c"), revision).unwrap();
    let mut long = Batch::new();
    long.require(key("c"), Expect::Revision(revision)).unwrap();
    long.require(key("b"), Expect::Revision(revision)).unwrap();
    long.require(key("a"), Expect::Absent).unwrap();
    long.write(key("c"), Write::Delete).unwrap();
    long.write(key("b"), Write::Put(value())).unwrap();
    long.write(key("a"), Write::Put(value())).unwrap();
    assert_eq!(short, long);
    let names: Vec<&[u8]> = short.writes().map(|(key, _)| key.as_bytes()).collect();
    assert_eq!(names, [b"a", b"b", b"c"], "in key order");
    assert!(short.into_writes().map(|(key, _)| key).eq(["a", "b", "c"].map(key)));
}

#[test]
fn batches_of_several_concerns_become_one() {
    let mut one = Batch::new();
    one.create(key("a"), value()).unwrap();
    one.require(key("shared"), Expect::Absent).unwrap();
    let mut other = Batch::new();
    other.write(key("b"), Write::Delete).unwrap();
    other.require(key("shared"), Expect::Absent).unwrap();
    one.append(other).unwrap();
    assert_eq!(one.writes().count(), 2);
    assert_eq!(one.expectations().count(), 2);
    let mut again = Batch::new();
    again.write(key("b"), Write::Delete).unwrap();
    assert_eq!(one.append(again), Err(BatchError::WrittenTwice));
    let mut contrary = Batch::new();
    contrary.require(key("shared"), Expect::Revision(Revision::new(1))).unwrap();
    assert_eq!(one.append(contrary), Err(BatchError::Contradiction));
    let mut more = full();
    let mut single = Batch::new();
    single.write(key("more"), Write::Delete).unwrap();
    assert_eq!(more.append(single), Err(TOO_MANY));
}

#[test]
fn a_batch_without_writes_is_read_only() {
    let mut batch = Batch::new();
    assert!(batch.is_read_only());
    batch.require(key("a"), Expect::Absent).unwrap();
    assert!(batch.is_read_only());
    batch.write(key("a"), Write::Delete).unwrap();
    assert!(!batch.is_read_only());
}
