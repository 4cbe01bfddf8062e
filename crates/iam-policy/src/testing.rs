//! A directory without a store, for tests and examples.

use std::collections::BTreeMap;

use core_types::UnixTime;
use core_types::testing::TestRandom;
use state_store::{Batch, Expect, Key, Prefix, Revision, Value, View, Write};

use crate::authorizer::Authorizer;
use crate::directory::Directory;
use crate::key::PREFIX;
use crate::plan::Planned;

/// A directory to which planned changes are made at once: what a store and a replica do, in one value, with a
/// clock that stands still and randomness from a seed.
#[derive(Debug)]
pub struct Rehearsal {
    directory: Directory,
    entries: BTreeMap<Key, (Value, Revision)>,
    revision: Revision,
    now: UnixTime,
    random: TestRandom,
}

/// The batch expected of this key what is not so (any more).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("conflict on {0:?}")]
#[non_exhaustive]
pub struct Conflict(pub Key);

impl Rehearsal {
    /// An empty directory, at this instant.
    #[must_use]
    pub fn starting_at(now: UnixTime) -> Self {
        Self {
            directory: Directory::new(),
            entries: BTreeMap::new(),
            revision: Revision::ZERO,
            now,
            random: TestRandom::seeded(now.as_millis()),
        }
    }

    /// The directory as it stands.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Answers by the directory as it stands.
    #[must_use]
    pub const fn authorizer(&self) -> Authorizer<'_> {
        self.directory.at(self.revision)
    }

    /// The instant it stands at.
    #[must_use]
    pub const fn now(&self) -> UnixTime {
        self.now
    }

    /// Moves it to another instant.
    pub const fn set_now(&mut self, now: UnixTime) {
        self.now = now;
    }

    /// Its randomness.
    #[must_use]
    pub const fn rng(&self) -> &TestRandom {
        &self.random
    }

    /// Makes a planned change.
    ///
    /// # Errors
    /// [`Conflict`] when it was planned by another state and a record it rests on is not the same any more.
    pub fn commit<T>(&mut self, planned: Planned<T>) -> Result<T, Conflict> {
        let (value, batch) = planned.into_parts();
        self.apply(batch)?;
        Ok(value)
    }

    /// Makes any change, as a store would.
    ///
    /// # Errors
    /// [`Conflict`], and nothing is changed.
    pub fn apply(&mut self, batch: Batch) -> Result<(), Conflict> {
        for (key, expect) in batch.expectations() {
            let held = self.entries.get(key).map(|(_, revision)| *revision);
            let holds = match expect {
                Expect::Absent => held.is_none(),
                Expect::Revision(revision) => held == Some(revision),
            };
            if !holds {
                return Err(Conflict(key.clone()));
            }
        }
        self.revision = self.revision.next().unwrap_or(self.revision);
        for (key, write) in batch.into_writes() {
            match write {
                Write::Put(value) => {
                    put(&mut self.directory, &key, &value, self.revision);
                    self.entries.insert(key, (value, self.revision));
                }
                Write::Delete => {
                    self.directory.delete(&key);
                    self.entries.remove(&key);
                }
            }
        }
        Ok(())
    }

    /// What a store would hold.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Value, Revision)> {
        self.entries.iter().map(|(key, (value, revision))| (key, value, *revision))
    }
}

/// Puts a record into a directory as a replica does: what cannot be read is poisoned. Keys of other crates
/// are passed over, as a replica of the prefix would not see them.
pub fn put(directory: &mut Directory, key: &Key, value: &Value, revision: Revision) {
    if !Prefix::new(PREFIX).is_ok_and(|prefix| prefix.matches(key)) {
        return;
    }
    if directory.put(key, value, revision).is_err() {
        directory.poison(key);
    }
}
