use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::batch::Write;
use crate::error::RecordError;
use crate::key::{Key, Value};
use crate::record::{self, Record};
use crate::store::{Change, Revision};

/// What a replica makes of the entries under its prefix.
///
/// The replica clones the view once per commit and changes the clone, so cloning must be cheap: build it of
/// structure-sharing maps (`rpds`), as [`Records`] is.
///
/// # What a wrong answer breaks
/// A view that forgets a record it could not read may lose a denial or a revocation. [`poison`](Self::poison)
/// is where it decides what is safe; there is no default.
pub trait View: Clone + Send + Sync + 'static {
    /// The key now holds `value`, written at `revision`.
    ///
    /// # Errors
    /// [`RecordError`] when the value cannot be understood; the replica then calls [`poison`](Self::poison).
    fn put(&mut self, key: &Key, value: &Value, revision: Revision) -> Result<(), RecordError>;

    /// The key holds nothing any more; it may never have been known here.
    fn delete(&mut self, key: &Key);

    /// The key holds something that [`put`](Self::put) refused. The view must drop what it knew of the key,
    /// and must answer as strictly as the worst thing the record could have said asks for.
    fn poison(&mut self, key: &Key);

    /// All that the store holds comes next, each key once, and nothing reads the view before
    /// [`loaded`](Self::loaded): a view that is built faster all at once takes note here.
    fn loading(&mut self) {}

    /// All that the store holds was put. Changes, and readers, come next.
    fn loaded(&mut self) {}
}

/// An immutable state of a replica, of one instant of the store.
#[derive(Debug, Clone)]
pub struct Snapshot<V> {
    pub(super) view: V,
    pub(super) revision: Revision,
    pub(super) poisoned: RedBlackTreeMapSync<Key, Poisoned>,
}

impl<V> Snapshot<V> {
    pub(super) fn empty(view: V) -> Self {
        Self { view, revision: Revision::ZERO, poisoned: RedBlackTreeMapSync::new_sync() }
    }

    /// The view.
    #[must_use]
    pub const fn view(&self) -> &V {
        &self.view
    }

    /// It shows everything up to this revision, and nothing after it.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The records that could not be read, in key order, kept apart for an operator to see.
    pub fn poisoned(&self) -> impl Iterator<Item = (&Key, &Poisoned)> {
        self.poisoned.iter()
    }
}

impl<V: View> Snapshot<V> {
    pub(super) fn put(&mut self, key: &Key, value: &Value, revision: Revision) {
        match self.view.put(key, value, revision) {
            Ok(()) => {
                self.poisoned.remove_mut(key);
            }
            Err(error) => {
                self.view.poison(key);
                self.poisoned.insert_mut(key.clone(), Poisoned { revision, error });
            }
        }
    }

    pub(super) fn delete(&mut self, key: &Key) {
        self.view.delete(key);
        self.poisoned.remove_mut(key);
    }

    /// Applies a commit.
    pub(super) fn apply(&mut self, revision: Revision, changes: &[Change]) {
        for change in changes {
            match &change.write {
                Write::Put(value) => self.put(&change.key, value, revision),
                Write::Delete => self.delete(&change.key),
            }
        }
        self.revision = revision;
    }
}

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Poisoned {
    /// The commit that wrote it.
    pub revision: Revision,
    /// Why it could not be read.
    pub error: RecordError,
}

/// The plain view: every record, decoded once, in key order.
///
/// A poisoned record is absent here; where that is not the strict answer, write a view that knows better.
#[derive(Debug)]
pub struct Records<T> {
    records: RedBlackTreeMapSync<Key, Arc<Stored<T>>>,
}

/// A record, and the commit that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored<T> {
    /// The record.
    pub record: T,
    /// The commit that wrote it: what a compare-and-swap expects.
    pub revision: Revision,
}

impl<T> Records<T> {
    /// No records.
    #[must_use]
    pub fn new() -> Self {
        Self { records: RedBlackTreeMapSync::new_sync() }
    }

    /// The record under `key`.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Arc<Stored<T>>> {
        self.records.get(key)
    }

    /// All records, in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Arc<Stored<T>>)> {
        self.records.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.size()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl<T: Record> View for Records<T> {
    fn put(&mut self, key: &Key, value: &Value, revision: Revision) -> Result<(), RecordError> {
        let record = record::decode(value)?;
        self.records.insert_mut(key.clone(), Arc::new(Stored { record, revision }));
        Ok(())
    }

    fn delete(&mut self, key: &Key) {
        self.records.remove_mut(key);
    }

    fn poison(&mut self, key: &Key) {
        self.delete(key);
    }
}

impl<T> Default for Records<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Records<T> {
    fn clone(&self) -> Self {
        Self { records: self.records.clone() }
    }
}
