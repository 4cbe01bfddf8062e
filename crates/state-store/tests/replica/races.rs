//! Readers, a driver and writers at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use pollster::block_on;
use state_store::{Batch, MemoryStore, Revision, Write};

use crate::world::*;

#[test]
fn readers_see_all_of_a_commit_or_nothing_while_writers_commit() {
    let store = MemoryStore::new();
    let (replica, mut driver) = open(&store, Notes::new());
    let is_over = AtomicBool::new(false);
    let reads: usize = thread::scope(|scope| {
        let (store, replica, is_over) = (&store, &replica, &is_over);
        let writers: Vec<_> = (0..2)
            .map(|number| {
                scope.spawn(move || {
                    for round in 0..1500 {
                        let mut batch = Batch::new();
                        for name in ["notes/a", "notes/z"] {
                            batch.write(key(name), Write::Put(note(&format!("{number}-{round}")))).unwrap();
                        }
                        let revision = commit(store, batch);
                        // Now and then somebody reads what they wrote.
                        if round % 100 == 0 {
                            block_on(replica.applied(revision));
                            assert!(replica.snapshot().revision() >= revision);
                        }
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(move || {
                    let (mut reads, mut seen) = (0, Revision::ZERO);
                    while !is_over.load(Ordering::SeqCst) {
                        let snapshot = replica.snapshot();
                        assert!(snapshot.revision() >= seen, "a snapshot went back");
                        seen = snapshot.revision();
                        let [a, z] = ["notes/a", "notes/z"].map(|name| snapshot.view().get(&key(name)));
                        assert_eq!(a.map(|stored| &stored.record), z.map(|stored| &stored.record));
                        assert_eq!(a.map(|stored| stored.revision), z.map(|stored| stored.revision));
                        assert!(a.is_none_or(|stored| stored.revision == seen), "every commit writes both");
                        reads += 1;
                        thread::yield_now();
                    }
                    reads
                })
            })
            .collect();
        let driving = scope.spawn(move || {
            while replica.snapshot().revision() < Revision::new(3000) {
                block_on(driver.step()).unwrap();
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        driving.join().unwrap();
        is_over.store(true, Ordering::SeqCst);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert!(reads > 0);
    assert_eq!(replica.snapshot().revision(), head(&store));
    assert_eq!(texts(&replica).len(), 2);
}
