//! From the log to the files that strangers can check.

mod resume;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use core_types::Scope;

use super::edge::Edge;
use super::epoch::Epoch;
use super::error::PublishError;
use super::files::{Flaw, TreeFiles};
use super::hash::Hash;
use super::head::{Origin, TreeHead};
use super::heads::Heads;
use super::leaf::Leaf;
use super::note::{MAX_LOG_NAME_BYTES, MAX_NOTE_BYTES, Signer};
use super::source::Source;
use super::state::{HeadLine, State};
use super::store::TileStore;
use crate::checkpoint::LogId;
use crate::error::FileError;
use crate::event::{Kind, Record};
use crate::log::AuditLog;
use crate::scan::to_u64;

/// The most records that one step takes.
pub const MAX_STEP_RECORDS: usize = 16_384;

/// The most bytes of records that one step takes, of which the last batch may begin before the bound.
pub const MAX_STEP_BYTES: usize = 8 << 20;

/// How far a publisher has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// All records up to this one are published: their tenants' heads are signed, and bound by an epoch.
    pub published_to: u64,
    /// Whether that was all there was when the step began; otherwise the next step has work.
    pub is_current: bool,
}

/// Publishes a log's proofs: tiles, bundles of entries, signed tree heads.
///
/// Whoever runs the log calls [`step`](Self::step) from time to time, on a thread that may wait for the disk. A step
/// takes a bounded number of records. It is off the path of appending; all it adds to the log is one small record,
/// the epoch, for each step that brings the trees up to date.
///
/// Everything but the signatures is a function of the log: files that were lost or damaged are made anew when the
/// folder is taken away.
///
/// Memory: about 300 bytes for each tenant, and up to 16 MiB besides.
pub struct Publisher {
    log: AuditLog,
    store: Box<dyn TileStore>,
    signer: Box<dyn Signer>,
    _lock: Box<dyn Send>,
    id: LogId,
    // None after an error: it is read from the files again.
    trees: Option<Trees>,
}

/// All trees as they were published, and what was read since.
struct Trees {
    source: Source,
    tenants: Vec<Tenant>,
    slots: HashMap<Scope, usize>,
    heads: Heads,
    epochs: Edge,
    last_epoch: u64,
    // A signed head of the log of epochs, which must come out again.
    known: Option<TreeHead>,
    // Tenants whose signed head is older than the tree.
    unsigned: BTreeSet<usize>,
    published_to: u64,
    version: u64,
    blocks: Vec<u64>,
    // Right edges of trees that were written to lately.
    edges: HashMap<usize, Edge>,
}

struct Tenant {
    scope: Scope,
    size: u64,
    root: Hash,
}

/// What a step has read.
#[derive(Default)]
struct Chunk {
    leaves: BTreeMap<usize, Vec<Vec<u8>>>,
    epochs: Vec<Vec<u8>>,
}

impl Publisher {
    /// A publisher of this log. Where something was published before, it goes on from there.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn new(
        log: AuditLog,
        store: impl TileStore + 'static,
        signer: impl Signer + 'static,
    ) -> Result<Self, PublishError> {
        if signer.verifier().name().len() > MAX_LOG_NAME_BYTES {
            return Err(PublishError::KeyName { limit: MAX_LOG_NAME_BYTES });
        }
        let lock = store.lock().map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => PublishError::Busy,
            _ => FileError::new("lock", ".")(error).into(),
        })?;
        let id = log.checkpoint().log();
        let (store, signer) = (Box::new(store), Box::new(signer));
        let mut publisher = Self { log, store, signer, _lock: lock, id, trees: None };
        publisher.trees = Some(publisher.resume()?);
        let key = format!("{}\n", publisher.signer.verifier());
        let there = publisher.store.read(KEY, key.len()).map_err(FileError::new("read", KEY))?;
        if there.as_deref() != Some(key.as_bytes()) {
            publisher.write(KEY, key.as_bytes())?;
            publisher.settle()?;
        }
        Ok(publisher)
    }

    /// Publishes what the log has by now, or as much as one step takes.
    ///
    /// # Errors
    /// [`PublishError`]. The next step tries again.
    pub fn step(&mut self) -> Result<Progress, PublishError> {
        let mut trees = match self.trees.take() {
            Some(trees) => trees,
            None => self.resume()?,
        };
        let progress = self.advance(&mut trees)?;
        self.trees = Some(trees);
        Ok(progress)
    }

    /// Steps until all is published that the log had when this was called.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn catch_up(&mut self) -> Result<Progress, PublishError> {
        loop {
            let progress = self.step()?;
            if progress.is_current {
                return Ok(progress);
            }
        }
    }

    fn advance(&self, trees: &mut Trees) -> Result<Progress, PublishError> {
        let durable = self.log.durable();
        let mut chunk = Chunk::default();
        let (mut records, mut bytes) = (0_usize, 0_usize);
        let is_current = loop {
            if records >= MAX_STEP_RECORDS || bytes >= MAX_STEP_BYTES {
                break trees.source.place().sequence >= durable.checkpoint.sequence();
            }
            let Some(batch) = trees.source.next_batch(&durable)? else { break true };
            for (sequence, entry) in batch {
                records = records.saturating_add(1);
                bytes = bytes.saturating_add(entry.len());
                trees.take(sequence, &entry, &mut chunk)?;
            }
        };
        if chunk.leaves.is_empty() && chunk.epochs.is_empty() && (trees.unsigned.is_empty() || !is_current) {
            return Ok(Progress { published_to: trees.published_to, is_current });
        }
        let touched: BTreeSet<usize> = chunk.leaves.keys().copied().collect();
        for (slot, leaves) in &chunk.leaves {
            self.extend(trees, *slot, leaves)?;
        }
        self.extend_epochs(trees, &chunk.epochs)?;
        self.settle()?;
        if is_current && !trees.unsigned.is_empty() {
            self.bind(trees)?;
        }
        self.commit(trees, &touched)?;
        Ok(Progress { published_to: trees.published_to, is_current })
    }

    /// Adds leaves to a tenant's tree.
    fn extend(&self, trees: &mut Trees, slot: usize, leaves: &[Vec<u8>]) -> Result<(), PublishError> {
        let folder = tenant_folder(slot);
        let files = TreeFiles { store: &*self.store, folder: &folder };
        let Some(tenant) = trees.tenants.get_mut(slot) else { return Ok(()) };
        let mut edge = match trees.edges.remove(&slot) {
            Some(edge) => edge,
            None => files.edge(tenant.size, &tenant.root)?,
        };
        files.append(&mut edge, leaves)?;
        (tenant.size, tenant.root) = (edge.size(), edge.root());
        let head = self.head(tenant);
        trees.heads.set(slot, Hash::of_leaf(head.to_string().as_bytes()));
        trees.unsigned.insert(slot);
        if trees.edges.len() >= MAX_EDGES {
            trees.edges.clear();
        }
        trees.edges.insert(slot, edge);
        Ok(())
    }

    fn extend_epochs(&self, trees: &mut Trees, leaves: &[Vec<u8>]) -> Result<(), PublishError> {
        let files = TreeFiles { store: &*self.store, folder: EPOCHS };
        for leaf in leaves {
            files.append(&mut trees.epochs, std::slice::from_ref(leaf))?;
            trees.compare_known()?;
        }
        Ok(())
    }

    /// Records an epoch, and signs its head and those of the tenants that changed.
    fn bind(&self, trees: &mut Trees) -> Result<(), PublishError> {
        if let Some(known) = trees.known.as_ref().filter(|known| known.size > trees.epochs.size()) {
            // All of the log was read, and it has fewer epochs than were signed for.
            let log = trees.source.place().sequence;
            return Err(PublishError::RolledBack { published: log.saturating_add(known.size), log });
        }
        let place = trees.source.place();
        let epoch = Epoch {
            at: self.log.now(),
            through: place.sequence,
            chain: place.chain,
            tenants: to_u64(trees.tenants.len()),
            heads: trees.heads.root(),
        };
        let record = epoch.encode();
        let receipt = self.log.append_own_blocking(record.clone())?;
        let sequence = receipt.sequence();
        let leaf = Leaf::encode(sequence, &record).ok_or(PublishError::TooLong { sequence })?;
        self.extend_epochs(trees, &[leaf])?;
        trees.last_epoch = sequence;
        self.settle()?;
        let head = self.epochs_head(trees);
        self.publish(EPOCHS, &head)?;
        trees.known = Some(head);
        for slot in std::mem::take(&mut trees.unsigned) {
            if let Some(tenant) = trees.tenants.get(slot) {
                self.publish(&tenant_folder(slot), &self.head(tenant))?;
            }
        }
        trees.published_to = place.sequence;
        Ok(())
    }

    fn publish(&self, folder: &str, head: &TreeHead) -> Result<(), PublishError> {
        let note = head.sign(&*self.signer)?.to_string();
        self.write(&format!("{folder}/{CHECKPOINT}"), note.as_bytes())
    }

    /// Keeps how far this has come.
    fn commit(&self, trees: &mut Trees, touched: &BTreeSet<usize>) -> Result<(), PublishError> {
        let version = trees.version.saturating_add(1);
        let mut obsolete = Vec::new();
        let blocks: BTreeSet<usize> = touched.iter().map(|slot| slot / BLOCK).collect();
        for block in blocks {
            let first = block.saturating_mul(BLOCK);
            let lines = trees.tenants.iter().skip(first).take(BLOCK).map(|tenant| {
                let Tenant { scope, size, root, .. } = tenant;
                HeadLine { size: *size, root: *root, tenant: scope.clone() }.encode()
            });
            self.write(&block_file(block, version), lines.collect::<String>().as_bytes())?;
            match trees.blocks.get_mut(block) {
                Some(there) => obsolete.push(block_file(block, std::mem::replace(there, version))),
                None => trees.blocks.push(version),
            }
        }
        self.settle()?;
        trees.version = version;
        let state = State {
            key_name: self.signer.verifier().name().into(),
            log: self.id,
            place: trees.source.place(),
            epochs: (trees.epochs.size(), trees.epochs.root()),
            last_epoch: trees.last_epoch,
            is_bound: trees.unsigned.is_empty(),
            tenants: to_u64(trees.tenants.len()),
            heads: trees.heads.root(),
            version,
            blocks: trees.blocks.clone(),
        };
        let note = super::note::SignedNote::sign(state.encode(), &*self.signer)?.to_string();
        self.write(STATE, note.as_bytes())?;
        self.settle()?;
        for file in obsolete {
            self.store.remove(&file).map_err(FileError::new("remove", file))?;
        }
        Ok(())
    }

    fn head(&self, tenant: &Tenant) -> TreeHead {
        let origin = Origin::of_tenant(self.signer.verifier(), self.id, tenant.scope.clone());
        TreeHead::new(origin, tenant.size, tenant.root)
    }

    fn epochs_head(&self, trees: &Trees) -> TreeHead {
        let origin = Origin::of_epochs(self.signer.verifier(), self.id);
        TreeHead::new(origin, trees.epochs.size(), trees.epochs.root())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), PublishError> {
        Ok(self.store.write(path, bytes).map_err(FileError::new("write", path))?)
    }

    fn settle(&self) -> Result<(), PublishError> {
        Ok(self.store.settle().map_err(FileError::new("sync", "."))?)
    }
}

impl Trees {
    /// Takes a record in, as a leaf of the tree it belongs to.
    fn take(&mut self, sequence: u64, entry: &[u8], chunk: &mut Chunk) -> Result<(), PublishError> {
        let leaf = Leaf::encode(sequence, entry).ok_or(PublishError::TooLong { sequence })?;
        if Kind::guess(entry) == Some(Kind::Epoch) && Epoch::decode(entry).is_some() {
            // One that this publisher recorded itself is in the tree already.
            if sequence > self.last_epoch {
                self.last_epoch = sequence;
                chunk.epochs.push(leaf);
            }
            return Ok(());
        }
        let record = Record::decode(entry).ok_or_else(|| {
            let place = self.source.place();
            let file = crate::format::segment_name(place.segment).into();
            PublishError::Damaged { file, offset: place.offset }
        })?;
        let tenant = record.intent.tenant();
        let slot = match self.slots.get(tenant) {
            Some(slot) => *slot,
            None => {
                let slot = self.tenants.len();
                let root = Hash::of_empty_tree();
                self.slots.insert(tenant.clone(), slot);
                self.tenants.push(Tenant { scope: tenant.clone(), size: 0, root });
                slot
            }
        };
        chunk.leaves.entry(slot).or_default().push(leaf);
        Ok(())
    }

    /// What was signed once must come out again.
    fn compare_known(&self) -> Result<(), PublishError> {
        match &self.known {
            Some(known) if known.size == self.epochs.size() && known.root != self.epochs.root() => {
                Err(PublishError::Forked { at: self.last_epoch })
            }
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("log", &self.id).finish_non_exhaustive()
    }
}

impl From<Flaw> for PublishError {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Missing(file) | Flaw::Forged(file) => Self::Forged { file },
            Flaw::File(error) => Self::File(error),
        }
    }
}

/// The folder of a tenant's tree.
pub(crate) fn tenant_folder(slot: usize) -> String {
    format!("tenants/{slot}")
}

pub(crate) fn block_file(block: usize, version: u64) -> String {
    format!("heads/{block}.{version}")
}

/// The folder of the log of epochs.
pub(crate) const EPOCHS: &str = "epochs";
/// The signed head of a tree, within its folder.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// The verifier key, for whoever has no better source.
pub(crate) const KEY: &str = "key";
/// How far the publisher has come.
pub(crate) const STATE: &str = "state";
/// How many heads a file of heads has.
pub(crate) const BLOCK: usize = 256;
pub(crate) const MAX_BLOCK_BYTES: usize = BLOCK * 1200;
// Its list of versions grows by some bytes for each 256 tenants.
pub(crate) const MAX_STATE_BYTES: usize = MAX_NOTE_BYTES;
const MAX_EDGES: usize = 512;
