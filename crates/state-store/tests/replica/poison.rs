//! Records that cannot be read.

use std::collections::BTreeSet;
use std::sync::Arc;

use pollster::block_on;
use state_store::{Key, MemoryStore, RecordError, Revision, Value, View, Write, record};

use crate::world::*;

fn raw(text: &str) -> Write {
    Write::Put(Value::new(text).unwrap())
}

#[test]
fn a_record_that_cannot_be_read_is_reported_and_kept_apart() {
    let store = MemoryStore::new();
    put(&store, "notes/good", "one");
    let revision = write(&store, "notes/bad", raw("{}"));
    let (replica, mut driver) = open(&store, Notes::new());
    let snapshot = replica.snapshot();
    let poisoned: Vec<_> = snapshot.poisoned().map(|(key, poisoned)| (name(key), poisoned.clone())).collect();
    assert_eq!(poisoned.len(), 1);
    assert_eq!(poisoned[0].0, "notes/bad");
    assert_eq!(poisoned[0].1.revision, revision);
    assert!(matches!(poisoned[0].1.error, RecordError::Malformed { kind: "test/note", .. }));
    assert_eq!(texts(&replica).len(), 1, "the others are there");
    // By a watch as well as by a scan.
    let revision = write(&store, "notes/worse", raw("no record"));
    catch_up(&replica, &mut driver, revision);
    let snapshot = replica.snapshot();
    let names: Vec<String> = snapshot.poisoned().map(|(key, _)| name(key)).collect();
    assert_eq!(names, ["notes/bad", "notes/worse"]);
}

#[test]
fn a_record_of_a_later_program_is_poisoned_and_says_so() {
    let store = MemoryStore::new();
    let (replica, mut driver) = open(&store, Notes::new());
    let later = r#"{"kind":"test/note","version":2,"data":{"words":["one"]}}"#;
    let revision = write(&store, "notes/a", raw(later));
    catch_up(&replica, &mut driver, revision);
    let snapshot = replica.snapshot();
    let (_, poisoned) = snapshot.poisoned().next().unwrap();
    assert_eq!(poisoned.error, RecordError::Version { kind: "test/note", found: 2, known: 1 });
}

#[test]
fn a_good_record_that_turns_bad_is_no_longer_shown() {
    let store = MemoryStore::new();
    put(&store, "notes/a", "good");
    let (replica, mut driver) = open(&store, Notes::new());
    assert_eq!(texts(&replica).len(), 1);
    catch_up(&replica, &mut driver, write(&store, "notes/a", raw("bad")));
    assert!(texts(&replica).is_empty());
    assert_eq!(replica.snapshot().poisoned().count(), 1);
}

#[test]
fn a_bad_record_heals_when_it_is_written_again() {
    let store = MemoryStore::new();
    write(&store, "notes/a", raw("bad"));
    let (replica, mut driver) = open(&store, Notes::new());
    catch_up(&replica, &mut driver, write(&store, "notes/a", raw("still bad")));
    assert_eq!(replica.snapshot().poisoned().next().unwrap().1.revision, Revision::new(2));
    catch_up(&replica, &mut driver, put(&store, "notes/a", "good"));
    assert_eq!(replica.snapshot().poisoned().count(), 0);
    assert_eq!(texts(&replica).len(), 1);
}

#[test]
fn a_bad_record_is_gone_when_it_is_deleted() {
    let store = MemoryStore::new();
    write(&store, "notes/a", raw("bad"));
    let (replica, mut driver) = open(&store, Notes::new());
    catch_up(&replica, &mut driver, delete(&store, "notes/a"));
    assert_eq!(replica.snapshot().poisoned().count(), 0);
}

#[test]
fn a_bad_record_outside_the_prefix_is_nobodys() {
    let store = MemoryStore::new();
    let (replica, mut driver) = open(&store, Notes::new());
    catch_up(&replica, &mut driver, write(&store, "other/a", raw("bad")));
    assert_eq!(replica.snapshot().poisoned().count(), 0);
}

/// Keys that are denied; one whose record cannot be read is denied too.
#[derive(Debug, Clone, Default)]
struct Denials {
    denied: Arc<BTreeSet<Key>>,
}

impl View for Denials {
    fn put(&mut self, key: &Key, value: &Value, _: Revision) -> Result<(), RecordError> {
        let note: Note = record::decode(value)?;
        if note.text == "deny" {
            self.poison(key);
        } else {
            self.delete(key);
        }
        Ok(())
    }

    fn delete(&mut self, key: &Key) {
        Arc::make_mut(&mut self.denied).remove(key);
    }

    fn poison(&mut self, key: &Key) {
        Arc::make_mut(&mut self.denied).insert(key.clone());
    }
}

#[test]
fn a_view_decides_what_is_safe_for_a_record_it_cannot_read() {
    let store = MemoryStore::new();
    put(&store, "notes/denied", "deny");
    put(&store, "notes/allowed", "allow");
    let (replica, mut driver) = open(&store, Denials::default());
    let is_denied = |name| replica.snapshot().view().denied.contains(&key(name));
    assert!(is_denied("notes/denied") && !is_denied("notes/allowed"));
    for name in ["notes/denied", "notes/allowed"] {
        write(&store, name, raw("who knows"));
    }
    block_on(driver.step()).unwrap();
    block_on(driver.step()).unwrap();
    assert!(is_denied("notes/denied") && is_denied("notes/allowed"));
    catch_up(&replica, &mut driver, put(&store, "notes/allowed", "allow"));
    assert!(is_denied("notes/denied") && !is_denied("notes/allowed"));
}
