//! Starting with a million records on disk.

use std::time::{Duration, Instant};

use core_types::SystemRandom;
use pollster::block_on;
use state_store::{Batch, Commit, Prefix, Replica, Revision, StateStore};
use state_store_redb::{Expected, Options, RedbStore};
use token_vault::TokenView;
use token_vault::testing::START;

use crate::world::World;

pub(crate) fn from_redb(world: &World) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let random = SystemRandom::new();
    let began = Instant::now();
    let store = RedbStore::open(&path, Expected::New, &random).unwrap();
    let mut after = None;
    let mut records = 0;
    loop {
        let page = block_on(world.store.scan(&Prefix::all(), after.as_ref(), 256)).unwrap();
        let mut batch = Batch::new();
        for entry in &page.entries {
            batch.create(entry.key.clone(), entry.value.clone()).unwrap();
            records += 1;
        }
        assert!(matches!(block_on(store.commit(batch)).unwrap(), Commit::Committed(_)));
        after = page.entries.last().map(|entry| entry.key.clone());
        if !page.more {
            break;
        }
    }
    drop(store);
    println!("{records} records into a file of {} MiB: {:?}", size(&path) >> 20, began.elapsed());
    for checked in [true, false] {
        let options =
            if checked { Options::new() } else { Options::new().dangerous_without_integrity_check() };
        let expected = Expected::Existing { store: None, at_least: Revision::ZERO };
        let began = Instant::now();
        let store = RedbStore::open_with(&path, expected, &options, &random).unwrap();
        let opened = began.elapsed();
        let mut after = None;
        loop {
            let page = block_on(store.scan(&Prefix::all(), after.as_ref(), usize::MAX)).unwrap();
            after = page.entries.last().map(|entry| entry.key.clone());
            if !page.more {
                break;
            }
        }
        let scanned = began.elapsed() - opened;
        let clock = core_types::testing::TestClock::at(START);
        let prefix = TokenView::prefix().unwrap();
        let began = Instant::now();
        let (replica, _driver) =
            block_on(Replica::open(store.clone(), prefix, TokenView::new(), Duration::from_secs(1), &clock))
                .unwrap();
        let filled = began.elapsed();
        assert_eq!(replica.snapshot().view().len(), world.ids.len());
        println!(
            "warm start of {records} from redb, checksums {}: open {opened:?}, fill {filled:?} (a bare scan: {scanned:?})",
            if checked { "checked" } else { "unchecked" }
        );
    }
    let clock = core_types::testing::TestClock::at(START);
    let began = Instant::now();
    let open = Replica::open(
        world.store.clone(),
        TokenView::prefix().unwrap(),
        TokenView::new(),
        Duration::from_secs(1),
        &clock,
    );
    let _kept = block_on(open).unwrap();
    println!("warm start of {records} from a memory store: {:?}", began.elapsed());
}

fn size(path: &std::path::Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}
