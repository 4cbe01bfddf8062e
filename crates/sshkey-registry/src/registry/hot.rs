use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use core_types::{Fingerprint, Scope};

use super::SshKey;

/// The live keys by project and fingerprint: a look-up touches four places in memory, however many keys there are.
///
/// Two levels of tables and small leaves, shared between clones: a change copies one path. The hash is keyed at
/// random, so that nobody can choose keys that all fall into one leaf.
#[derive(Debug, Clone)]
pub(super) struct HotIndex {
    hasher: RandomState,
    tables: Vec<Option<Table>>,
}

type Table = Arc<Vec<Option<LeafRef>>>;
type LeafRef = Arc<[(u64, Arc<SshKey>)]>;

impl HotIndex {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), tables: vec![None; WIDTH] }
    }

    pub(super) fn get(&self, project: &Scope, fingerprint: &Fingerprint) -> Option<&Arc<SshKey>> {
        let hash = self.hash(project, fingerprint);
        let (first, second) = places(hash);
        let leaf = self.tables.get(first)?.as_ref()?.get(second)?.as_ref()?;
        let found = leaf.iter().find(|(known, key)| *known == hash && is(key, project, fingerprint));
        found.map(|(_, key)| key)
    }

    pub(super) fn insert(&mut self, key: &Arc<SshKey>) {
        let hash = self.hash(&key.project, &key.fingerprint);
        self.change(hash, |leaf| {
            leaf.retain(|(_, other)| !is(other, &key.project, &key.fingerprint));
            leaf.push((hash, Arc::clone(key)));
        });
    }

    /// Forgets this key; another one of the same fingerprint stays.
    pub(super) fn remove(&mut self, key: &SshKey) {
        let hash = self.hash(&key.project, &key.fingerprint);
        self.change(hash, |leaf| {
            leaf.retain(|(_, other)| other.id != key.id || !is(other, &key.project, &key.fingerprint));
        });
    }

    fn change(&mut self, hash: u64, change: impl FnOnce(&mut Vec<(u64, Arc<SshKey>)>)) {
        let (first, second) = places(hash);
        let Some(slot) = self.tables.get_mut(first) else { return };
        let table = Arc::make_mut(slot.get_or_insert_with(|| Arc::new(vec![None; WIDTH])));
        let Some(leaf) = table.get_mut(second) else { return };
        let mut entries = leaf.as_deref().unwrap_or_default().to_vec();
        change(&mut entries);
        *leaf = Some(entries).filter(|entries| !entries.is_empty()).map(Arc::from);
    }

    fn hash(&self, project: &Scope, fingerprint: &Fingerprint) -> u64 {
        self.hasher.hash_one((fingerprint.as_bytes(), project.as_path()))
    }
}

fn is(key: &SshKey, project: &Scope, fingerprint: &Fingerprint) -> bool {
    key.fingerprint == *fingerprint && key.project == *project
}

/// Which table, and which leaf of it.
fn places(hash: u64) -> (usize, usize) {
    let [.., first, second] = hash.to_be_bytes();
    (first.into(), second.into())
}

const WIDTH: usize = 256;
