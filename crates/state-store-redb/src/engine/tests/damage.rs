//! Files that are not what was written.

use std::panic::{AssertUnwindSafe, catch_unwind};

use state_store::CommitError;

use super::*;
use crate::sentinel::SENTINEL_LEN;

/// A store with a few entries, changed by somebody who knows the engine.
fn tampered(change: impl FnOnce(&WriteTransaction)) -> Disk {
    let disk = Disk::new();
    let engine = create(&disk);
    committed(&engine, puts(&["a", "b", "c"], "1"));
    committed(&engine, puts(&["d"], "2"));
    drop(engine);
    let database = Database::builder().create_with_backend(disk.clone()).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
    drop(database);
    disk
}

fn with_entry(name: &'static str, stored: &'static [u8]) -> Disk {
    tampered(|transaction| {
        transaction.open_table(ENTRIES).unwrap().insert(name.as_bytes(), stored).unwrap();
    })
}

fn with_sentinel(change: impl FnOnce(&mut Vec<u8>)) -> Disk {
    tampered(|transaction| {
        let mut meta = transaction.open_table(META).unwrap();
        let mut stored = meta.get(SENTINEL).unwrap().unwrap().value().to_vec();
        change(&mut stored);
        meta.insert(SENTINEL, stored.as_slice()).unwrap();
    })
}

#[test]
fn an_entry_that_is_not_what_is_written_here_is_damage() {
    for stored in [&b""[..], b"\0\0\0\0\0\0\x01", b"\0\0\0\0\0\0\0\0value"] {
        let disk = with_entry("b", stored);
        let (engine, _) = open(&disk).unwrap();
        assert!(matches!(engine.get(&key("b")), Err(Failure::Damaged(_))), "{stored:?}");
        assert!(matches!(engine.scan(&Prefix::all(), None, 10), Err(Failure::Damaged(_))));
        let mut batch = puts(&["z"], "3");
        batch.require(key("b"), Expect::Absent).unwrap();
        // Who asks for the damaged entry hears of it, and nobody else.
        let mut outcomes = engine.commit(vec![batch, puts(&["y"], "3")]).into_iter();
        assert!(matches!(outcomes.next(), Some(Err(CommitError::Damaged { .. }))));
        assert!(matches!(outcomes.next(), Some(Ok(Commit::Committed(_)))));
        assert_eq!(text(&engine, "z"), None);
        assert_eq!(text(&engine, "a").unwrap(), "1");
    }
}

#[test]
fn an_entry_of_a_revision_still_to_come_is_damage() {
    let (engine, _) = open(&with_entry("b", b"\0\0\0\0\0\0\x01\0value")).unwrap();
    assert!(matches!(engine.scan(&Prefix::all(), None, 10), Err(Failure::Damaged(_))));
}

#[test]
fn a_key_or_a_value_outside_its_limits_is_damage() {
    let huge = vec![1; 8 + state_store::MAX_VALUE_BYTES + 1];
    let disk = tampered(|transaction| {
        transaction.open_table(ENTRIES).unwrap().insert(&b"b"[..], huge.as_slice()).unwrap();
    });
    assert!(matches!(open(&disk).unwrap().0.get(&key("b")), Err(Failure::Damaged(_))));
    let disk = tampered(|transaction| {
        let mut entries = transaction.open_table(ENTRIES).unwrap();
        entries.remove(&b"d"[..]).unwrap();
        entries.insert(&[b'k'; 1025][..], &b"\0\0\0\0\0\0\0\x01"[..]).unwrap();
    });
    let scanned = open(&disk).unwrap().0.scan(&Prefix::all(), None, 10);
    assert!(matches!(scanned, Err(Failure::Damaged(_))));
}

#[test]
fn a_store_without_its_entries_is_damage_and_never_empty() {
    let disk = tampered(|transaction| {
        transaction.delete_table(ENTRIES).unwrap();
    });
    assert!(matches!(open(&disk), Err(OpenError::Damaged { .. })));
    let disk = tampered(|transaction| {
        transaction.delete_table(ENTRIES).unwrap();
        transaction.open_table(ENTRIES).unwrap();
    });
    assert!(matches!(open(&disk), Err(OpenError::Damaged { .. })));
    let disk = tampered(|transaction| {
        transaction.open_table(ENTRIES).unwrap().remove(&b"c"[..]).unwrap();
    });
    assert!(matches!(open(&disk), Err(OpenError::Damaged { .. })));
    assert!(matches!(open(&with_entry("e", b"\0\0\0\0\0\0\0\x01")), Err(OpenError::Damaged { .. })));
    let other_type: TableDefinition<'_, u64, u64> = TableDefinition::new("entries");
    let disk = tampered(|transaction| {
        transaction.delete_table(ENTRIES).unwrap();
        transaction.open_table(other_type).unwrap().insert(1, 1).unwrap();
    });
    assert!(matches!(open(&disk), Err(OpenError::Damaged { .. })));
}

#[test]
fn a_database_without_a_sentinel_is_not_a_store() {
    let disk = tampered(|transaction| {
        transaction.delete_table(META).unwrap();
    });
    assert!(matches!(open(&disk), Err(OpenError::NotAStore { .. })));
    let disk = tampered(|transaction| {
        transaction.open_table(META).unwrap().remove(SENTINEL).unwrap();
    });
    assert!(matches!(open(&disk), Err(OpenError::NotAStore { .. })));
    let disk = with_sentinel(|stored| stored.truncate(SENTINEL_LEN - 1));
    assert!(matches!(open(&disk), Err(OpenError::NotAStore { .. })));
    let disk = Disk::new();
    drop(Database::builder().create_with_backend(disk.clone()).unwrap());
    assert!(matches!(open(&disk), Err(OpenError::NotAStore { .. })));
}

#[test]
fn a_store_of_a_later_version_is_left_alone() {
    let disk = with_sentinel(|stored| stored[..4].copy_from_slice(&[0, 0, 0, 2]));
    assert_eq!(open(&disk).unwrap_err(), OpenError::Version { found: 2, known: 1 });
}

#[test]
fn a_flipped_bit_is_seen_or_changes_nothing() {
    let disk = Disk::new();
    let engine = create(&disk);
    for round in 0..20 {
        committed(&engine, puts(&["a", "b", "c"], &round.to_string().repeat(100)));
    }
    let expected = engine.scan(&Prefix::all(), None, 10).unwrap();
    drop(engine);
    let (mut seen, mut harmless) = (0, 0);
    // Every page, at places that wander through it.
    for bit in (0..disk.len_bytes() * 8).step_by(4999) {
        let disk = disk.with_flipped_bit(bit);
        // Builds with debug assertions panic where others say that the file is damaged.
        let read = catch_unwind(AssertUnwindSafe(|| {
            let (engine, _) = open(&disk).ok()?;
            engine.scan(&Prefix::all(), None, 10).ok()
        }));
        match read {
            Ok(Some(page)) => {
                assert_eq!(page, expected, "bit {bit}");
                harmless += 1;
            }
            Ok(None) | Err(_) => seen += 1,
        }
    }
    assert!(seen > 0 && harmless > 0, "{seen} seen, {harmless} in pages that hold nothing");
}
