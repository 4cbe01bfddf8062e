use std::collections::BTreeMap;

use crate::error::BatchError;
use crate::key::{Key, Value};
use crate::store::Revision;

/// The most writes a batch may hold, and the most preconditions.
pub const MAX_BATCH_WRITES: usize = 256;

/// What must hold of a key for the batch to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a backend that skipped an expectation it does not know would be wrong"
)]
pub enum Expect {
    /// The key holds nothing.
    Absent,
    /// The key holds what was written at exactly this revision.
    Revision(Revision),
}

/// What a batch does to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a backend must carry out every kind of write")]
pub enum Write {
    /// The key holds this from now on.
    Put(Value),
    /// The key holds nothing from now on. Deleting an absent key is no error and no change.
    Delete,
}

/// Preconditions and writes that take effect together or not at all.
///
/// ```
/// use state_store::{Batch, Key, Value};
/// let mut batch = Batch::new();
/// batch.create(Key::new("names/ada")?, Value::new("1815")?)?;
/// assert!(batch.create(Key::new("names/ada")?, Value::new("1852")?).is_err());
/// # Ok::<(), state_store::BatchError>(())
/// ```
///
/// Batches of several concerns become one with [`append`](Self::append), and so one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    // INVARIANT: each has at most MAX_BATCH_WRITES entries.
    expectations: BTreeMap<Key, Expect>,
    writes: BTreeMap<Key, Write>,
}

impl Batch {
    /// A batch that expects and writes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a precondition.
    ///
    /// # Errors
    /// [`BatchError::Contradiction`], [`BatchError::TooMany`]; the batch is as it was then.
    pub fn require(&mut self, key: Key, expect: Expect) -> Result<(), BatchError> {
        match self.expectations.get(&key) {
            Some(&known) if known == expect => Ok(()),
            Some(_) => Err(BatchError::Contradiction),
            None if self.expectations.len() >= MAX_BATCH_WRITES => Err(TOO_MANY),
            None => {
                self.expectations.insert(key, expect);
                Ok(())
            }
        }
    }

    /// Adds a write.
    ///
    /// # Errors
    /// [`BatchError::WrittenTwice`], [`BatchError::TooMany`]; the batch is as it was then.
    pub fn write(&mut self, key: Key, write: Write) -> Result<(), BatchError> {
        self.check_room_for_write(&key)?;
        self.writes.insert(key, write);
        Ok(())
    }

    /// Writes `value` where nothing is.
    ///
    /// # Errors
    /// As [`require`](Self::require) and [`write`](Self::write).
    pub fn create(&mut self, key: Key, value: Value) -> Result<(), BatchError> {
        self.require_and_write(key, Expect::Absent, Write::Put(value))
    }

    /// Writes `value` over what was written at `revision`.
    ///
    /// # Errors
    /// As [`require`](Self::require) and [`write`](Self::write).
    pub fn replace(&mut self, key: Key, revision: Revision, value: Value) -> Result<(), BatchError> {
        self.require_and_write(key, Expect::Revision(revision), Write::Put(value))
    }

    /// Deletes what was written at `revision`.
    ///
    /// # Errors
    /// As [`require`](Self::require) and [`write`](Self::write).
    pub fn remove(&mut self, key: Key, revision: Revision) -> Result<(), BatchError> {
        self.require_and_write(key, Expect::Revision(revision), Write::Delete)
    }

    /// Takes in everything of another batch.
    ///
    /// # Errors
    /// As [`require`](Self::require) and [`write`](Self::write); drop both batches then.
    pub fn append(&mut self, other: Self) -> Result<(), BatchError> {
        other.expectations.into_iter().try_for_each(|(key, expect)| self.require(key, expect))?;
        other.writes.into_iter().try_for_each(|(key, write)| self.write(key, write))
    }

    /// The preconditions, in key order.
    pub fn expectations(&self) -> impl Iterator<Item = (&Key, Expect)> {
        self.expectations.iter().map(|(key, &expect)| (key, expect))
    }

    /// The writes, in key order.
    pub fn writes(&self) -> impl Iterator<Item = (&Key, &Write)> {
        self.writes.iter()
    }

    /// The writes, in key order.
    pub fn into_writes(self) -> impl Iterator<Item = (Key, Write)> {
        self.writes.into_iter()
    }

    /// Whether there is nothing to write; such a batch only checks.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.writes.is_empty()
    }

    fn require_and_write(&mut self, key: Key, expect: Expect, write: Write) -> Result<(), BatchError> {
        self.check_room_for_write(&key)?;
        self.require(key.clone(), expect)?;
        self.write(key, write)
    }

    fn check_room_for_write(&self, key: &Key) -> Result<(), BatchError> {
        if self.writes.contains_key(key) {
            return Err(BatchError::WrittenTwice);
        }
        if self.writes.len() >= MAX_BATCH_WRITES {
            return Err(TOO_MANY);
        }
        Ok(())
    }
}

const TOO_MANY: BatchError = BatchError::TooMany { limit: MAX_BATCH_WRITES };
