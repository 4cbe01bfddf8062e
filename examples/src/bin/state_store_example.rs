//! state-store by itself: compare-and-swap, and a replica that knows how fresh it is.

use std::time::Duration;

use core_types::{Clock, SystemClock};
use serde::{Deserialize, Serialize};
use state_store::replica::Records;
use state_store::{Batch, Commit, Key, MemoryStore, Prefix, Record, Replica, StateStore, record};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lease {
    holder: String,
}

impl Record for Lease {
    const KIND: &'static str = "example/lease";
    const VERSION: u32 = 1;
}

#[expect(clippy::print_stdout, reason = "printing is what it is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    pollster::block_on(async {
        let (store, clock) = (MemoryStore::new(), SystemClock::new());
        let prefix = Prefix::new("example/lease/")?;
        let opened =
            Replica::open(store.clone(), prefix, Records::<Lease>::new(), Duration::from_secs(5), &clock)
                .await;
        let (replica, mut driver) = opened?;
        let key = Key::new("example/lease/db")?;
        for holder in ["node-a", "node-b"] {
            let mut batch = Batch::new();
            batch.create(key.clone(), record::encode(&Lease { holder: holder.into() })?)?;
            match store.commit(batch).await? {
                Commit::Committed(revision) => println!("{holder} has the lease, at revision {revision}"),
                Commit::Conflict(_) => println!("{holder} was too late"),
            }
        }
        driver.step().await?;
        let current = replica.current(clock.now())?;
        let held = current.view().get(&key).map(|stored| stored.record.holder.clone());
        println!("the replica, at revision {}, says: {}", current.revision(), held.unwrap_or_default());
        Ok(())
    })
}
