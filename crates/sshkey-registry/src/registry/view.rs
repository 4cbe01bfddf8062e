use std::ops::Bound;
use std::sync::Arc;

use core_types::{Fingerprint, Scope};
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};
use state_store::{Key, RecordError, Revision, Value, View, record};

use super::layout::{self, KEYS};
use super::record::{IndexRecord, KeyRecord, inconsistent};
use super::{SshKey, SshKeyId};
use crate::name::KeyName;

/// The registry in memory: the view of a replica of [`PREFIX`](super::PREFIX).
///
/// Everything is looked up within a project, in a time logarithmic in the number of all keys; no answer says whether
/// another project has a key. A record that cannot be read is absent: its key is not live, and its fingerprint
/// and its name are refused until an operator has looked.
#[derive(Debug, Clone)]
pub struct RegistryView {
    // INVARIANT: the key is the layout's of the record it holds.
    keys: RedBlackTreeMapSync<Key, Entry>,
    index: RedBlackTreeMapSync<Key, (SshKeyId, Revision)>,
    poisoned: RedBlackTreeSetSync<Key>,
}

/// A key, and the commit that wrote it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Arc<SshKey>,
    pub(super) revision: Revision,
}

/// What an index says of a fingerprint or a name.
#[derive(Debug)]
pub(super) enum Indexed<'a> {
    Free,
    Taken {
        entry: &'a Entry,
        revision: Revision,
    },
    /// It cannot be read, or stands for no live key.
    Damaged,
}

impl RegistryView {
    /// A registry without keys.
    #[must_use]
    pub fn new() -> Self {
        Self {
            keys: RedBlackTreeMapSync::new_sync(),
            index: RedBlackTreeMapSync::new_sync(),
            poisoned: RedBlackTreeSetSync::new_sync(),
        }
    }

    /// The live key of this id; `None` when this project has none.
    #[must_use]
    pub fn get(&self, project: &Scope, id: SshKeyId) -> Option<&Arc<SshKey>> {
        self.entry(project, id).map(|entry| &entry.key).filter(|key| key.removed.is_none())
    }

    /// The key of this id, live or removed: for showing what there was.
    #[must_use]
    pub fn get_with_removed(&self, project: &Scope, id: SshKeyId) -> Option<&Arc<SshKey>> {
        self.entry(project, id).map(|entry| &entry.key)
    }

    /// The live key of this fingerprint; `None` when this project has none.
    #[must_use]
    pub fn find(&self, project: &Scope, fingerprint: &Fingerprint) -> Option<&Arc<SshKey>> {
        self.live(project, layout::fingerprint(project, fingerprint).ok()?)
    }

    /// The live key of this name, upper and lower case being the same; `None` when this project has none.
    #[must_use]
    pub fn find_by_name(&self, project: &Scope, name: &KeyName) -> Option<&Arc<SshKey>> {
        self.live(project, layout::name(project, name).ok()?)
    }

    /// The live keys of a project, oldest first.
    pub fn list(&self, project: &Scope) -> impl Iterator<Item = &Arc<SshKey>> {
        // No key is stored under a prefix that is too long for one.
        layout::keys_of(project).ok().into_iter().flat_map(|prefix| {
            let from = (Bound::Included(prefix.clone()), Bound::Unbounded);
            self.keys
                .range::<Key, _>(from)
                .take_while(move |(key, _)| key.as_bytes().starts_with(prefix.as_bytes()))
                .map(|(_, entry)| &entry.key)
                .filter(|key| key.removed.is_none())
        })
    }

    pub(super) fn entry(&self, project: &Scope, id: SshKeyId) -> Option<&Entry> {
        self.keys.get(&layout::key(project, id).ok()?)
    }

    pub(super) fn is_poisoned(&self, key: &Key) -> bool {
        self.poisoned.contains(key)
    }

    pub(super) fn indexed(&self, project: &Scope, index: &Key) -> Indexed<'_> {
        if self.is_poisoned(index) {
            return Indexed::Damaged;
        }
        let Some(&(id, revision)) = self.index.get(index) else { return Indexed::Free };
        match self.entry(project, id) {
            Some(entry) if entry.key.removed.is_none() => Indexed::Taken { entry, revision },
            _ => Indexed::Damaged,
        }
    }

    fn live(&self, project: &Scope, index: Key) -> Option<&Arc<SshKey>> {
        match self.indexed(project, &index) {
            Indexed::Taken { entry, .. } => Some(&entry.key),
            Indexed::Free | Indexed::Damaged => None,
        }
    }
}

impl Default for RegistryView {
    fn default() -> Self {
        Self::new()
    }
}

impl View for RegistryView {
    fn put(&mut self, key: &Key, value: &Value, revision: Revision) -> Result<(), RecordError> {
        if key.as_bytes().starts_with(KEYS.as_bytes()) {
            let stored = record::decode::<KeyRecord>(value)?.into_key()?;
            if layout::key(&stored.project, stored.id).ok().as_ref() != Some(key) {
                return Err(inconsistent("it stands under another key's name"));
            }
            self.keys.insert_mut(key.clone(), Entry { key: Arc::new(stored), revision });
        } else {
            let IndexRecord { id } = record::decode(value)?;
            self.index.insert_mut(key.clone(), (id, revision));
        }
        self.poisoned.remove_mut(key);
        Ok(())
    }

    fn delete(&mut self, key: &Key) {
        self.keys.remove_mut(key);
        self.index.remove_mut(key);
        self.poisoned.remove_mut(key);
    }

    fn poison(&mut self, key: &Key) {
        self.delete(key);
        self.poisoned.insert_mut(key.clone());
    }
}
