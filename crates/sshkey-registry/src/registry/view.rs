use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use core_types::{Fingerprint, Scope, UnixTime};
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};
use state_store::{Key, LimitError, RecordError, Revision, Value, View, record};

use super::hot::HotIndex;
use super::layout::{self, COMPROMISED, FINGERPRINTS, KEYS, NAMES, PORTS, VMS};
use super::port::{PortPool, SshPort, VmName};
use super::record::{IndexRecord, KeyRecord};
use super::vm::{Attachment, Vm};
use super::vm_record::{CompromiseRecord, PortRecord, VmRecord};
use super::{SshKey, SshKeyId, record as key_record, vm_record};
use crate::admission::material_digest;
use crate::authorized_keys::AuthorizedLine;
use crate::bundle::Entry as BundleEntry;
use crate::key::PublicKey;
use crate::name::KeyName;

/// The registry in memory: the view of a replica of [`PREFIX`](super::PREFIX).
///
/// Everything but [`where_used`](Self::where_used) is looked up within a project; no answer says whether another project
/// has a key. A record that cannot be read is absent: its key is not live, and its fingerprint and its name are refused
/// until an operator has looked; a revocation that cannot be read still revokes.
#[derive(Debug, Clone)]
pub struct RegistryView {
    // INVARIANT: the key is the layout's of the record it holds.
    keys: RedBlackTreeMapSync<Key, Entry>,
    index: RedBlackTreeMapSync<Key, (SshKeyId, Revision)>,
    vms: RedBlackTreeMapSync<Key, VmEntry>,
    ports: RedBlackTreeMapSync<Key, (Arc<PortRecord>, Revision)>,
    /// By fingerprint: the key's material, where it is known.
    revoked: RedBlackTreeMapSync<[u8; 32], Option<[u8; 32]>>,
    /// Material and fingerprint of those.
    revoked_material: RedBlackTreeSetSync<([u8; 32], [u8; 32])>,
    poisoned: RedBlackTreeSetSync<Key>,
    // What follows is computed from the above.
    hot: HotIndex,
    uses: RedBlackTreeSetSync<(SshKeyId, Key)>,
    by_fingerprint: RedBlackTreeSetSync<([u8; 32], Key)>,
    by_material: RedBlackTreeSetSync<([u8; 32], Key)>,
}

/// A key, and the commit that wrote it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Arc<SshKey>,
    pub(super) revision: Revision,
}

/// A machine, and the commit that wrote it.
#[derive(Debug, Clone)]
pub(super) struct VmEntry {
    pub(super) vm: Arc<Vm>,
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

/// Whether a key works, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "another standing must break the caller")]
pub enum Standing {
    /// It does.
    Working,
    /// It has expired.
    Expired,
    /// An operator has revoked it everywhere.
    Revoked,
    /// It was removed from its project.
    Removed,
}

/// Where a key is used; for operators only.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The key, with its project.
    pub key: Arc<SshKey>,
    /// The machines it is attached to.
    pub vms: Vec<Arc<Vm>>,
}

impl RegistryView {
    /// A registry without keys.
    #[must_use]
    pub fn new() -> Self {
        Self {
            keys: RedBlackTreeMapSync::new_sync(),
            index: RedBlackTreeMapSync::new_sync(),
            vms: RedBlackTreeMapSync::new_sync(),
            ports: RedBlackTreeMapSync::new_sync(),
            revoked: RedBlackTreeMapSync::new_sync(),
            revoked_material: RedBlackTreeSetSync::new_sync(),
            poisoned: RedBlackTreeSetSync::new_sync(),
            hot: HotIndex::new(),
            uses: RedBlackTreeSetSync::new_sync(),
            by_fingerprint: RedBlackTreeSetSync::new_sync(),
            by_material: RedBlackTreeSetSync::new_sync(),
        }
    }

    /// The live key of this id; `None` when this project has none. [`standing`](Self::standing) says whether it works.
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

    /// The key of this fingerprint that works now: the look-up for deciding, in a time that does not grow with the
    /// number of keys.
    #[must_use]
    pub fn find_working(
        &self,
        project: &Scope,
        fingerprint: &Fingerprint,
        now: UnixTime,
    ) -> Option<&Arc<SshKey>> {
        self.hot.get(project, fingerprint).filter(|key| self.works(key, now))
    }

    /// The live key of this name, upper and lower case being the same; `None` when this project has none.
    #[must_use]
    pub fn find_by_name(&self, project: &Scope, name: &KeyName) -> Option<&Arc<SshKey>> {
        self.live(project, layout::name(project, name).ok()?)
    }

    /// The live keys of a project, oldest first.
    pub fn list(&self, project: &Scope) -> impl Iterator<Item = &Arc<SshKey>> {
        // No key is stored under a prefix that is too long for one.
        let entries = layout::keys_of(project).ok().into_iter().flat_map(|prefix| under(&self.keys, prefix));
        entries.map(|(_, entry)| &entry.key).filter(|key| key.removed.is_none())
    }

    /// Whether a key of this registry works.
    pub fn standing(&self, key: &SshKey, now: UnixTime) -> Standing {
        if key.removed.is_some() {
            Standing::Removed
        } else if self.is_revoked_by(&key.fingerprint, &key.material) {
            Standing::Revoked
        } else if key.is_expired(now) {
            Standing::Expired
        } else {
            Standing::Working
        }
    }

    /// The machine of this name.
    #[must_use]
    pub fn vm(&self, project: &Scope, name: &VmName) -> Option<&Arc<Vm>> {
        self.vm_entry(&layout::vm(project, name).ok()?).map(|entry| &entry.vm)
    }

    /// The machines of a project, in order of their names.
    pub fn vms(&self, project: &Scope) -> impl Iterator<Item = &Arc<Vm>> {
        let entries = layout::vms_of(project).ok().into_iter().flat_map(|prefix| under(&self.vms, prefix));
        entries.map(|(_, entry)| &entry.vm)
    }

    /// The attachments of a machine whose key works now, with the key.
    pub fn working<'a>(
        &'a self,
        vm: &'a Vm,
        now: UnixTime,
    ) -> impl Iterator<Item = (&'a Attachment, &'a Arc<SshKey>)> {
        vm.attachments.iter().filter_map(move |attachment| {
            let key = self.get(&vm.project, attachment.key)?;
            let is_over = attachment.expires_at.is_some_and(|expires_at| now >= expires_at);
            (!is_over && self.works(key, now)).then_some((attachment, key))
        })
    }

    /// What the bundle of a machine has: every attachment whose key works now. The comment on each line is the
    /// key's id.
    #[must_use]
    pub fn bundle_entries(&self, vm: &Vm, now: UnixTime) -> Vec<BundleEntry> {
        let entries = self.working(vm, now).map(|(attachment, key)| BundleEntry {
            account: attachment.account.clone(),
            line: AuthorizedLine::new(attachment.options.clone(), key.key.clone(), key.id.into()),
            expires_at: match (attachment.expires_at, key.expires_at) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
        });
        entries.collect()
    }

    /// Where a key is used, in every project: for operators only, since it says who has it.
    pub fn where_used(&self, fingerprint: &Fingerprint) -> impl Iterator<Item = Usage> {
        self.used(&self.by_fingerprint, *fingerprint.as_bytes())
    }

    /// A live key of any project whose RSA modulus has a prime factor in common with `key`'s, and where it is used: for
    /// operators only, and on demand, since the work grows with the number of keys
    /// ([`shared_factor`](crate::admission::shared_factor)). Revoke both.
    #[must_use]
    pub fn where_factor_shared(&self, key: &PublicKey) -> Option<Usage> {
        let live = || self.keys.values().map(|entry| &entry.key).filter(|known| known.removed.is_none());
        let shared = crate::admission::shared_factor(key, live().map(|known| &known.key))?;
        live().find(|known| known.key == *shared).map(|known| Usage::of(self, known))
    }

    pub(super) fn where_material_used(&self, material: &Fingerprint) -> impl Iterator<Item = Usage> {
        self.used(&self.by_material, *material.as_bytes())
    }

    /// Whether an operator has revoked this fingerprint everywhere.
    #[must_use]
    pub fn is_fingerprint_revoked(&self, fingerprint: &Fingerprint) -> bool {
        self.revoked.contains_key(fingerprint.as_bytes())
    }

    /// Whether an operator has revoked this key, or another one with the same private half, everywhere.
    #[must_use]
    pub fn is_revoked(&self, key: &PublicKey) -> bool {
        !self.revoked.is_empty() && self.is_revoked_by(&key.fingerprint(), &material_digest(key))
    }

    pub(super) fn works(&self, key: &SshKey, now: UnixTime) -> bool {
        self.standing(key, now) == Standing::Working
    }

    pub(super) fn attachment_works(&self, vm: &Vm, attachment: &Attachment, now: UnixTime) -> bool {
        self.working(vm, now).any(|(working, _)| working == attachment)
    }

    pub(super) fn entry(&self, project: &Scope, id: SshKeyId) -> Option<&Entry> {
        self.keys.get(&layout::key(project, id).ok()?)
    }

    pub(super) fn vm_entry(&self, at: &Key) -> Option<&VmEntry> {
        self.vms.get(at)
    }

    /// The machines of this project that have this key, whether it works or not.
    pub(super) fn vms_with(&self, project: &Scope, id: SshKeyId) -> impl Iterator<Item = &VmEntry> {
        let from = layout::vms_of(project).ok().into_iter();
        from.flat_map(move |prefix| {
            let first = (id, prefix.clone());
            self.uses
                .range::<(SshKeyId, Key), _>((Bound::Included(first), Bound::Unbounded))
                .take_while(move |(used, at)| *used == id && at.as_bytes().starts_with(prefix.as_bytes()))
                .filter_map(|(_, at)| self.vms.get(at))
        })
    }

    pub(super) fn free_ports(&self, pool: &PortPool) -> Result<Vec<SshPort>, LimitError> {
        let prefix = layout::ports_of(pool)?;
        let text = |key: &Key| key.as_bytes().get(prefix.as_bytes().len()..).map(<[u8]>::to_vec);
        let mut taken: BTreeSet<Vec<u8>> =
            under(&self.ports, prefix.clone()).filter_map(|(key, _)| text(key)).collect();
        let poisoned = self.poisoned.range::<Key, _>((Bound::Included(prefix.clone()), Bound::Unbounded));
        let poisoned = poisoned.take_while(|key| key.as_bytes().starts_with(prefix.as_bytes()));
        taken.extend(poisoned.filter_map(text));
        Ok(SshPort::all().filter(|port| !taken.contains(port.to_string().as_bytes())).collect())
    }

    /// The revision of the record of a machine's port, if the record says that the machine has it.
    pub(super) fn port_of(&self, vm: &Vm, at: &Key) -> Option<Revision> {
        let (holder, revision) = self.ports.get(at)?;
        (holder.project == vm.project && holder.vm == vm.name.as_str()).then_some(*revision)
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

    fn is_revoked_by(&self, fingerprint: &Fingerprint, material: &Fingerprint) -> bool {
        let material = *material.as_bytes();
        let with_material = || {
            let all = (material, [0; 32])..=(material, [u8::MAX; 32]);
            self.revoked_material.range::<([u8; 32], [u8; 32]), _>(all).next().is_some()
        };
        !self.revoked.is_empty() && (self.revoked.contains_key(fingerprint.as_bytes()) || with_material())
    }

    fn used<'a>(
        &'a self,
        index: &'a RedBlackTreeSetSync<([u8; 32], Key)>,
        digest: [u8; 32],
    ) -> impl Iterator<Item = Usage> {
        let first = Key::new(KEYS).ok().into_iter();
        first.flat_map(move |first| {
            index
                .range::<([u8; 32], Key), _>((Bound::Included((digest, first)), Bound::Unbounded))
                .take_while(move |(known, _)| *known == digest)
                .filter_map(|(_, at)| self.keys.get(at))
                .map(|entry| Usage::of(self, &entry.key))
        })
    }

    fn forget_key(&mut self, at: &Key) {
        let Some(entry) = self.keys.get(at) else { return };
        let key = Arc::clone(&entry.key);
        self.keys.remove_mut(at);
        self.hot.remove(&key);
        self.by_fingerprint.remove_mut(&(*key.fingerprint.as_bytes(), at.clone()));
        self.by_material.remove_mut(&(*key.material.as_bytes(), at.clone()));
    }

    fn forget_vm(&mut self, at: &Key) {
        let Some(entry) = self.vms.get(at) else { return };
        let vm = Arc::clone(&entry.vm);
        self.vms.remove_mut(at);
        for attachment in &vm.attachments {
            self.uses.remove_mut(&(attachment.key, at.clone()));
        }
    }

    fn forget_compromise(&mut self, fingerprint: &Fingerprint) {
        let fingerprint = *fingerprint.as_bytes();
        if let Some(Some(material)) = self.revoked.get(&fingerprint).copied() {
            self.revoked_material.remove_mut(&(material, fingerprint));
        }
        self.revoked.remove_mut(&fingerprint);
    }

    fn put_key(&mut self, at: &Key, value: &Value, revision: Revision) -> Result<(), RecordError> {
        let stored = record::decode::<KeyRecord>(value)?.into_key()?;
        if layout::key(&stored.project, stored.id).ok().as_ref() != Some(at) {
            return Err(key_record::inconsistent(ELSEWHERE));
        }
        self.forget_key(at);
        let key = Arc::new(stored);
        if key.removed.is_none() {
            self.hot.insert(&key);
            self.by_fingerprint.insert_mut((*key.fingerprint.as_bytes(), at.clone()));
            self.by_material.insert_mut((*key.material.as_bytes(), at.clone()));
        }
        self.keys.insert_mut(at.clone(), Entry { key, revision });
        Ok(())
    }

    fn put_vm(&mut self, at: &Key, value: &Value, revision: Revision) -> Result<(), RecordError> {
        let vm = record::decode::<VmRecord>(value)?.into_vm()?;
        if layout::vm(&vm.project, &vm.name).ok().as_ref() != Some(at) {
            return Err(vm_record::inconsistent(ELSEWHERE));
        }
        self.forget_vm(at);
        for attachment in &vm.attachments {
            self.uses.insert_mut((attachment.key, at.clone()));
        }
        self.vms.insert_mut(at.clone(), VmEntry { vm: Arc::new(vm), revision });
        Ok(())
    }

    fn put_compromise(&mut self, at: &Key, value: &Value) -> Result<(), RecordError> {
        let stored: CompromiseRecord = record::decode(value)?;
        if layout::compromised(&stored.fingerprint).ok().as_ref() != Some(at) {
            return Err(vm_record::inconsistent(ELSEWHERE));
        }
        self.forget_compromise(&stored.fingerprint);
        let fingerprint = *stored.fingerprint.as_bytes();
        let material = stored.material.map(|material| *material.as_bytes());
        self.revoked.insert_mut(fingerprint, material);
        if let Some(material) = material {
            self.revoked_material.insert_mut((material, fingerprint));
        }
        Ok(())
    }
}

impl Default for RegistryView {
    fn default() -> Self {
        Self::new()
    }
}

impl View for RegistryView {
    fn put(&mut self, key: &Key, value: &Value, revision: Revision) -> Result<(), RecordError> {
        let is_under = |folder: &str| key.as_bytes().starts_with(folder.as_bytes());
        if is_under(KEYS) {
            self.put_key(key, value, revision)?;
        } else if is_under(FINGERPRINTS) || is_under(NAMES) {
            let IndexRecord { id } = record::decode(value)?;
            self.index.insert_mut(key.clone(), (id, revision));
        } else if is_under(VMS) {
            self.put_vm(key, value, revision)?;
        } else if is_under(PORTS) {
            let holder = Arc::new(record::decode::<PortRecord>(value)?);
            self.ports.insert_mut(key.clone(), (holder, revision));
        } else if is_under(COMPROMISED) {
            self.put_compromise(key, value)?;
        } else {
            return Err(vm_record::inconsistent("nothing of this registry has such a key"));
        }
        self.poisoned.remove_mut(key);
        Ok(())
    }

    fn delete(&mut self, key: &Key) {
        self.forget_key(key);
        self.forget_vm(key);
        self.index.remove_mut(key);
        self.ports.remove_mut(key);
        if let Some(fingerprint) = layout::compromised_fingerprint(key) {
            self.forget_compromise(&fingerprint);
        }
        self.poisoned.remove_mut(key);
    }

    fn poison(&mut self, key: &Key) {
        self.delete(key);
        // Whatever else it said, it revoked this.
        if let Some(fingerprint) = layout::compromised_fingerprint(key) {
            self.revoked.insert_mut(*fingerprint.as_bytes(), None);
        }
        self.poisoned.insert_mut(key.clone());
    }
}

/// The entries whose keys begin with `prefix`.
fn under<V>(map: &RedBlackTreeMapSync<Key, V>, prefix: Key) -> impl Iterator<Item = (&Key, &V)> {
    let from = (Bound::Included(prefix.clone()), Bound::Unbounded);
    map.range::<Key, _>(from).take_while(move |(key, _)| key.as_bytes().starts_with(prefix.as_bytes()))
}

const ELSEWHERE: &str = "it stands under another key's name";
