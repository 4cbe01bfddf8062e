//! Receipts out of published files.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use core_types::Scope;

use super::bound::EpochProof;
use super::error::{NoteError, ProofError, ProveError};
use super::hash::Hash;
use super::head::{Origin, TreeHead};
use super::heads::Heads;
use super::leaf::Leaf;
use super::note::{MAX_NOTE_BYTES, SignedNote, VerifierKey};
use super::publisher::{
    CHECKPOINT, EPOCHS, MAX_BLOCK_BYTES, MAX_STATE_BYTES, STATE, block_file, tenant_folder,
};
use super::reader::TileReader;
use super::receipt::TlogProof;
use super::state::{HeadLine, State};
use super::store::{PROOFS, SystemTiles, TileStore};
use crate::error::FileError;
use crate::scan::to_u64;

/// Makes proofs from what a [`Publisher`](super::Publisher) has published. It needs no secret, and believes no file
/// that the key has not signed for.
///
/// Memory: up to 24 MiB for each tenant that was asked for lately, of at most 16 at a time; for
/// [`prove_bound`](Self::prove_bound), about 200 bytes for each tenant.
pub struct Prover {
    store: Arc<dyn TileStore>,
    key: VerifierKey,
    slots: HashMap<Scope, usize>,
    // Folders below this one were looked at.
    seen: usize,
    trees: HashMap<Box<str>, Tree>,
    // As of the newest state that was asked for.
    bound: Option<Bound>,
}

/// All tenants' heads as an epoch binds them.
struct Bound {
    heads: Heads,
    leaves: Vec<Hash>,
}

impl Bound {
    /// The proof that this is the head at this place.
    fn path_of(&self, slot: usize, head: &TreeHead) -> Option<Vec<Hash>> {
        let leaf = self.leaves.get(slot)?;
        (*leaf == Hash::of_leaf(head.to_string().as_bytes())).then(|| self.heads.path(slot))?
    }
}

struct Tree {
    note: SignedNote,
    head: TreeHead,
    reader: TileReader,
    // The bundles read last, not authenticated.
    bundles: HashMap<u64, Vec<Vec<u8>>>,
    bundle_bytes: usize,
}

impl Prover {
    /// A prover of the log in this directory, whose heads are signed by `key`.
    ///
    /// # Errors
    /// [`ProveError::NotPublished`], [`ProveError::File`].
    pub fn open(log: &Path, key: VerifierKey) -> Result<Self, ProveError> {
        let store = SystemTiles::open(&log.join(PROOFS)).map_err(|error| match error.0 {
            std::io::ErrorKind::NotFound => ProveError::NotPublished,
            kind => ProveError::File(FileError::new("open", PROOFS)(kind.into())),
        })?;
        Ok(Self::new(Arc::new(store), key))
    }

    /// A prover of what lies in this store.
    #[must_use]
    pub fn new(store: Arc<dyn TileStore>, key: VerifierKey) -> Self {
        Self { store, key, slots: HashMap::new(), seen: 0, trees: HashMap::new(), bound: None }
    }

    /// The proof that the log has this record, of this tenant.
    ///
    /// # Errors
    /// [`ProveError::NotPublished`] when the tenant's published records do not reach so far;
    /// [`ProveError::Range`] when they do, and this is not one of them; [`ProveError`].
    pub fn prove(&mut self, tenant: &Scope, sequence: u64) -> Result<TlogProof, ProveError> {
        let folder = self.folder_of(tenant)?;
        let tree = self.tree(&folder, |tree| Ok(tree.last_sequence()? >= sequence))?;
        let index = tree.index_of(sequence)?;
        tree.prove(index)
    }

    /// The proof that the log has this record, whosever it is. All trees are searched.
    ///
    /// # Errors
    /// [`ProveError::NotPublished`], [`ProveError`].
    pub fn prove_anywhere(&mut self, sequence: u64) -> Result<TlogProof, ProveError> {
        let mut slot = 0_usize;
        let mut folder = EPOCHS.to_owned();
        loop {
            let tree = self.tree(&folder, |_| Ok(false))?;
            match tree.index_of(sequence) {
                Ok(index) => return tree.prove(index),
                Err(ProveError::Range(_) | ProveError::NotPublished) => {}
                Err(error) => return Err(error),
            }
            folder = tenant_folder(slot);
            slot = slot.saturating_add(1);
        }
    }

    /// The proof of the `index`-th record of this tenant.
    ///
    /// # Errors
    /// [`ProveError::NotPublished`], [`ProveError`].
    pub fn prove_index(&mut self, tenant: &Scope, index: u64) -> Result<TlogProof, ProveError> {
        let folder = self.folder_of(tenant)?;
        self.tree(&folder, |tree| Ok(tree.head.size > index))?.prove(index)
    }

    /// The proof of an epoch.
    ///
    /// # Errors
    /// [`ProveError::NotPublished`], [`ProveError`].
    pub fn prove_epoch(&mut self, index: u64) -> Result<TlogProof, ProveError> {
        self.tree(EPOCHS, |tree| Ok(tree.head.size > index))?.prove(index)
    }

    /// The proof that the log has this record, of this tenant, and the proof that an epoch has bound the tenant's
    /// head that the first one is about.
    ///
    /// # Errors
    /// [`ProveError::NotPublished`] also while a publisher is at work between an epoch and the heads it binds: ask
    /// again; [`ProveError`].
    pub fn prove_bound(
        &mut self,
        tenant: &Scope,
        sequence: u64,
    ) -> Result<(TlogProof, EpochProof), ProveError> {
        for _ in 0..ATTEMPTS {
            let Some(state) = self.state()? else { return Err(ProveError::NotPublished) };
            if !self.read_bound(&state)? {
                continue;
            }
            let folder = self.folder_of(tenant)?;
            let slot = self.slots.get(tenant).copied().ok_or(ProveError::NotPublished)?;
            let head = self.read_head(&folder)?.1;
            let Some(path) = self.bound.as_ref().and_then(|bound| bound.path_of(slot, &head)) else {
                continue;
            };
            // Opened with the head that is there now.
            let tree = self.tree(&folder, |tree| Ok(tree.head == head))?;
            if tree.head != head {
                continue;
            }
            let index = tree.index_of(sequence)?;
            let record = tree.prove(index)?;
            let last = state.epochs.0.checked_sub(1).ok_or(ProveError::NotPublished)?;
            let proof = EpochProof { slot: to_u64(slot), path, epoch: self.prove_epoch(last)? };
            // Where the state is ahead of the epochs that are signed, this one is another.
            match proof.verify(&self.key, &head) {
                Ok(_) => return Ok((record, proof)),
                Err(NoteError::Proof(_)) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        Err(ProveError::NotPublished)
    }

    /// A tenant's newest signed head.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn head(&mut self, tenant: &Scope) -> Result<(TreeHead, SignedNote), ProveError> {
        let folder = self.folder_of(tenant)?;
        let tree = self.tree(&folder, |_| Ok(false))?;
        Ok((tree.head.clone(), tree.note.clone()))
    }

    /// The proof that a tenant's tree of `old_size` leaves is the beginning of the newest one.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn consistency(
        &mut self,
        tenant: &Scope,
        old_size: u64,
    ) -> Result<(TreeHead, Vec<Hash>), ProveError> {
        let folder = self.folder_of(tenant)?;
        let tree = self.tree(&folder, |tree| Ok(tree.head.size >= old_size))?;
        Ok((tree.head.clone(), tree.reader.consistency_proof(old_size)?))
    }

    /// The folder of a tenant's tree. Whose it is, its signed head says.
    fn folder_of(&mut self, tenant: &Scope) -> Result<String, ProveError> {
        while !self.slots.contains_key(tenant) {
            let folder = tenant_folder(self.seen);
            let (_, head) = self.read_head(&folder)?;
            let found = head.origin.tenant().ok_or(NoteError::Origin)?.clone();
            // The first folder is the tenant's; another one would be of somebody who means to confuse.
            self.slots.entry(found).or_insert(self.seen);
            self.seen = self.seen.saturating_add(1);
        }
        Ok(self.slots.get(tenant).map(|slot| tenant_folder(*slot)).unwrap_or_default())
    }

    /// A tree that is as new as needed, if the files have one.
    fn tree(
        &mut self,
        folder: &str,
        is_enough: impl Fn(&mut Tree) -> Result<bool, ProveError>,
    ) -> Result<&mut Tree, ProveError> {
        let is_known = match self.trees.get_mut(folder) {
            Some(tree) => is_enough(tree)?,
            None => false,
        };
        if !is_known {
            let (note, head) = self.read_head(folder)?;
            if self.trees.get(folder).is_none_or(|tree| tree.head != head) {
                let reader = TileReader::open(Arc::clone(&self.store), folder, head.size, &head.root)?;
                if self.trees.len() >= MAX_TREES {
                    self.trees.clear();
                }
                let tree = Tree { note, head, reader, bundles: HashMap::new(), bundle_bytes: 0 };
                self.trees.insert(folder.into(), tree);
            }
        }
        self.trees.get_mut(folder).ok_or(ProveError::NotPublished)
    }

    /// How far the publisher has come, where all heads are those of the last epoch.
    fn state(&self) -> Result<Option<State>, ProveError> {
        let Some(text) = self.text(STATE, MAX_STATE_BYTES)? else { return Ok(None) };
        let state = text.parse::<SignedNote>().ok().and_then(|note| State::verify(&note, &self.key));
        let state = state.ok_or_else(|| ProveError::Forged { file: STATE.into() })?;
        Ok(Some(state).filter(|state| state.is_bound))
    }

    /// Reads all tenants' heads as of this state; `false` where the files are of another one by now.
    fn read_bound(&mut self, state: &State) -> Result<bool, ProveError> {
        if self.bound.as_ref().is_some_and(|bound| bound.heads.root() == state.heads) {
            return Ok(true);
        }
        let mut bound = Bound { heads: Heads::new(), leaves: Vec::new() };
        for (block, version) in state.blocks.iter().enumerate() {
            let file = block_file(block, *version);
            let Some(lines) = self.text(&file, MAX_BLOCK_BYTES)? else { return Ok(false) };
            for line in lines.lines() {
                let Some(HeadLine { size, root, tenant }) = HeadLine::decode(line) else {
                    return Err(ProveError::Forged { file: file.into() });
                };
                let head = TreeHead::new(Origin::of_tenant(&self.key, state.log, tenant), size, root);
                let leaf = Hash::of_leaf(head.to_string().as_bytes());
                bound.heads.set(bound.leaves.len(), leaf);
                bound.leaves.push(leaf);
            }
        }
        if bound.heads.root() != state.heads {
            return Err(ProveError::Forged { file: "heads".into() });
        }
        self.bound = Some(bound);
        Ok(true)
    }

    fn text(&self, file: &str, limit: usize) -> Result<Option<String>, ProveError> {
        let bytes = self.store.read(file, limit).map_err(FileError::new("read", file))?;
        let text = bytes.map(String::from_utf8).transpose();
        text.map_err(|_| ProveError::Forged { file: file.into() })
    }

    fn read_head(&self, folder: &str) -> Result<(SignedNote, TreeHead), ProveError> {
        let file = format!("{folder}/{CHECKPOINT}");
        let read = self.store.read(&file, MAX_NOTE_BYTES).map_err(FileError::new("read", &*file))?;
        let bytes = read.ok_or(ProveError::NotPublished)?;
        let text = String::from_utf8(bytes).map_err(|_| NoteError::Form { what: "signed note" })?;
        let note: SignedNote = text.parse()?;
        let head = TreeHead::verify(&note, &self.key)?;
        Ok((note, head))
    }
}

impl std::fmt::Debug for Prover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prover").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Tree {
    fn prove(&mut self, index: u64) -> Result<TlogProof, ProveError> {
        if index >= self.head.size {
            return Err(ProveError::NotPublished);
        }
        let expected = self.reader.leaf_hash(index)?;
        let leaf = self.leaf(index)?;
        if Hash::of_leaf(&leaf) != expected {
            // What is kept here may be what was read before somebody mended it.
            self.bundles.clear();
            return Err(ProveError::Forged { file: format!("tile/entries, entry {index}").into() });
        }
        let path = self.reader.inclusion_proof(index)?;
        Ok(TlogProof { extra: Some(leaf), index, path, checkpoint: self.note.clone() })
    }

    /// The index of the record of this sequence. Bundles are searched as they lie there: what is found is proven
    /// afterwards.
    fn index_of(&mut self, sequence: u64) -> Result<u64, ProveError> {
        let (mut low, mut high) = (0, self.head.size);
        while low < high {
            let middle = low.midpoint(high);
            match self.sequence(middle)?.cmp(&sequence) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle.saturating_add(1),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        let is_beyond = low >= self.head.size;
        Err(if is_beyond { ProveError::NotPublished } else { ProveError::Range(ProofError::Range) })
    }

    fn last_sequence(&mut self) -> Result<u64, ProveError> {
        self.head.size.checked_sub(1).map_or(Ok(0), |last| self.sequence(last))
    }

    fn sequence(&mut self, index: u64) -> Result<u64, ProveError> {
        let leaf = self.leaf(index)?;
        let read = Leaf::decode(&leaf).map(|leaf| leaf.sequence);
        read.ok_or_else(|| ProveError::Forged { file: format!("tile/entries, entry {index}").into() })
    }

    /// A leaf, not authenticated.
    fn leaf(&mut self, index: u64) -> Result<Vec<u8>, ProveError> {
        let bundle = index >> 8;
        if !self.bundles.contains_key(&bundle) {
            let leaves = self.reader.bundle(bundle)?;
            let bytes = leaves.iter().fold(0_usize, |sum, leaf| sum.saturating_add(leaf.len()));
            if self.bundle_bytes.saturating_add(bytes) > MAX_BUNDLES_BYTES {
                self.bundles.clear();
                self.bundle_bytes = 0;
            }
            self.bundle_bytes = self.bundle_bytes.saturating_add(bytes);
            self.bundles.insert(bundle, leaves);
        }
        let place = usize::try_from(index & 0xff).unwrap_or(usize::MAX);
        let leaf = self.bundles.get(&bundle).and_then(|leaves| leaves.get(place)).cloned();
        leaf.ok_or(ProveError::Range(ProofError::Range))
    }
}

const MAX_TREES: usize = 16;
const ATTEMPTS: u32 = 5;
const MAX_BUNDLES_BYTES: usize = 16 << 20;
