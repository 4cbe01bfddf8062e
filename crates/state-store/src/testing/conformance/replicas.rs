//! What stands on a store: replicas that read through it, and nodes that say in it what they have applied.

use core::time::Duration;

use core_types::testing::TestClock;
use core_types::{Clock as _, UnixTime};
use rpds::RedBlackTreeMapSync;

use crate::error::RecordError;
use crate::fleet::{Awaited, Fleet, NodeName, Terms};
use crate::key::{Key, Value};
use crate::replica::{Driver, Replica, View};
use crate::store::{Revision, StateStore};
use crate::testing::case::{
    Broken, Case, Outcome, Site, all, cases, check, committed, deletes, head, prefix, put, puts, same,
};

pub(super) fn cases<S: StateStore>() -> Vec<Case<S>> {
    cases![a_replica_that_is_too_old_reads_through_what_was_committed, who_waits_for_a_fleet_is_told_who_lags,]
}

/// Keeps the bytes.
#[derive(Clone)]
struct Bytes {
    entries: RedBlackTreeMapSync<Key, (Value, Revision)>,
}

impl View for Bytes {
    fn put(&mut self, key: &Key, value: &Value, revision: Revision) -> Result<(), RecordError> {
        self.entries.insert_mut(key.clone(), (value.clone(), revision));
        Ok(())
    }

    fn delete(&mut self, key: &Key) {
        self.entries.remove_mut(key);
    }

    fn poison(&mut self, key: &Key) {
        self.delete(key);
    }
}

fn a_replica_that_is_too_old_reads_through_what_was_committed<S: StateStore>(
    site: &mut Site<'_, S>,
) -> Outcome {
    let store = site.store();
    site.block_on(async {
        for number in 0..30 {
            put(&store, format!("a/{number:02}"), "1").await?;
        }
        let empty = Bytes { entries: RedBlackTreeMapSync::new_sync() };
        let opened = Replica::open(store.clone(), prefix("a/")?, empty, BOUND, &TestClock::at(START)).await;
        // Nobody drives it.
        let (replica, _driver) = opened.map_err(|error| Broken::new(error.to_string()))?;
        let replica = replica.reading_through(store.clone(), BOUND, |_| std::future::pending());
        for round in 0..6_u32 {
            let revision = match round % 3 {
                0 => put(&store, format!("a/{round:02}"), "changed").await?,
                1 => committed(&store, deletes([format!("a/{:02}", round.saturating_add(10))])?).await?,
                _ => committed(&store, puts([("a/new", "1"), ("b", "1"), ("a/00", "again")])?).await?,
            };
            let reading = replica.read(LATER).await.map_err(|error| Broken::new(error.to_string()))?;
            check(reading.revision() >= revision, || format!("{} after {revision}", reading.revision()))?;
            let shown = reading.view().entries.iter();
            let shown: Vec<_> =
                shown.map(|(key, (value, revision))| (key.clone(), value.clone(), *revision)).collect();
            let stored = all(&store, &prefix("a/")?, 1000).await?;
            let stored: Vec<_> =
                stored.into_iter().map(|entry| (entry.key, entry.value, entry.revision)).collect();
            same("what a replica read", &shown, &stored)?;
            check(reading.is_read_through(), || "it was too old".into())?;
        }
        Ok(())
    })
}

fn who_waits_for_a_fleet_is_told_who_lags<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let clock = TestClock::at(START);
        let broken = |error: &dyn core::fmt::Display| Broken::new(error.to_string());
        let mut nodes = Vec::new();
        for name in ["ada", "bob"] {
            let name = NodeName::new(name).map_err(|error| broken(&error))?;
            let terms = Terms::new(BOUND, Duration::from_millis(1));
            let joined = Fleet::join(store.clone(), name, terms, BOUND, &clock).await;
            let (fleet, driver, _) = joined.map_err(|error| broken(&error))?;
            nodes.push((fleet, driver));
        }
        let revision = put(&store, "tokens/1", "revoked").await?;
        let expected = [vec!["ada", "bob"], vec!["bob"], vec![]];
        for (said, lagging) in expected.into_iter().enumerate() {
            let last = head(&store).await?;
            for (fleet, driver) in &mut nodes {
                hear(fleet, driver, last).await?;
            }
            let Some((asking, _)) = nodes.first() else { return Err(Broken::new("no node")) };
            let sleep = |_| std::future::ready(());
            let awaited = asking.await_applied(revision, BOUND, &clock, &sleep).await;
            let expected = match lagging.as_slice() {
                [] => Awaited::Everywhere { nodes: nodes.len() },
                some => Awaited::Lagging { nodes: some.iter().map(|&name| name.into()).collect() },
            };
            same("where a revision is applied", &awaited.map_err(|error| broken(&error))?, &expected)?;
            let last = head(&store).await?;
            if let Some((fleet, driver)) = nodes.get_mut(said) {
                hear(fleet, driver, last).await?;
                // Waiting takes no time here, so nobody may have heard that somebody waits.
                clock.advance(Duration::from_secs(6));
                let word = fleet.publish(revision, clock.now()).await.map_err(|error| broken(&error))?;
                check(word.is_some_and(|word| word > last), || "it had something to say".into())?;
            }
        }
        Ok(())
    })
}

async fn hear<S: StateStore>(
    fleet: &Fleet<S>,
    driver: &mut Driver<S, crate::fleet::FleetView>,
    revision: Revision,
) -> Outcome {
    for _ in 0..MAX_STEPS {
        if fleet.replica().snapshot().revision() >= revision {
            return Ok(());
        }
        driver.step().await.map_err(|error| Broken::new(error.to_string()))?;
    }
    Err(Broken::new("a watch tells something without end, and not what was committed"))
}

const START: UnixTime = UnixTime::from_secs(1_000_000);
const LATER: UnixTime = UnixTime::from_secs(2_000_000);
/// More than a watch needs for a few commits.
const MAX_STEPS: u32 = 1000;
const BOUND: Duration = Duration::from_secs(15);
