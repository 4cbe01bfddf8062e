//! Going on where a publisher stopped, be it by a crash.

use std::collections::{BTreeSet, HashMap};

use super::{
    BLOCK, CHECKPOINT, EPOCHS, MAX_BLOCK_BYTES, MAX_STATE_BYTES, Publisher, STATE, Tenant, Trees, block_file,
};
use crate::error::FileError;
use crate::scan::to_u64;
use crate::tlog::edge::Edge;
use crate::tlog::error::PublishError;
use crate::tlog::files::TreeFiles;
use crate::tlog::hash::Hash;
use crate::tlog::head::{Origin, TreeHead};
use crate::tlog::heads::Heads;
use crate::tlog::note::SignedNote;
use crate::tlog::source::{Place, Source};
use crate::tlog::state::{HeadLine, State};

impl Publisher {
    /// The trees as the files have them.
    pub(super) fn resume(&self) -> Result<Trees, PublishError> {
        let known = self.known_head()?;
        let Some(state) = self.state()? else {
            let source = Source::new(self.log.directory(), self.id, Place::start(self.id));
            return Ok(Trees {
                source,
                tenants: Vec::new(),
                slots: HashMap::new(),
                heads: Heads::new(),
                epochs: Edge::default(),
                last_epoch: 0,
                known,
                unsigned: BTreeSet::new(),
                published_to: 0,
                version: 0,
                blocks: Vec::new(),
                edges: HashMap::new(),
            });
        };
        let durable = self.log.durable().checkpoint;
        let place = state.place;
        if place.sequence > durable.sequence() {
            return Err(PublishError::RolledBack { published: place.sequence, log: durable.sequence() });
        }
        if place.sequence == durable.sequence() && place.chain != *durable.chain() {
            return Err(PublishError::Forked { at: place.sequence });
        }
        let (tenants, heads) = self.heads(&state)?;
        let files = TreeFiles { store: &*self.store, folder: EPOCHS };
        let (size, root) = state.epochs;
        let trees = Trees {
            source: Source::new(self.log.directory(), self.id, place),
            slots: tenants.iter().zip(0..).map(|(tenant, slot)| (tenant.scope.clone(), slot)).collect(),
            // Where a crash came in between, it is not known whose heads were signed: all of them, once more.
            unsigned: if state.is_bound { BTreeSet::new() } else { (0..tenants.len()).collect() },
            tenants,
            heads,
            epochs: files.edge(size, &root)?,
            last_epoch: state.last_epoch,
            known,
            published_to: if state.is_bound { place.sequence } else { 0 },
            version: state.version,
            blocks: state.blocks,
            edges: HashMap::new(),
        };
        trees.compare_known()?;
        if trees.known.as_ref().is_some_and(|known| known.size < size) {
            return Err(PublishError::Forged { file: format!("{EPOCHS}/{CHECKPOINT}").into() });
        }
        self.sweep(&trees)?;
        Ok(trees)
    }

    /// The signed head of the log of epochs.
    fn known_head(&self) -> Result<Option<TreeHead>, PublishError> {
        let file = format!("{EPOCHS}/{CHECKPOINT}");
        let Some(note) = self.note(&file)? else { return Ok(None) };
        let head = TreeHead::verify(&note, self.signer.verifier());
        let head = head.map_err(|_| PublishError::Forged { file: file.into() })?;
        let ours = Origin::of_epochs(self.signer.verifier(), self.id);
        if head.origin == ours { Ok(Some(head)) } else { Err(PublishError::OtherLog) }
    }

    fn state(&self) -> Result<Option<State>, PublishError> {
        let Some(note) = self.note(STATE)? else { return Ok(None) };
        let state = State::verify(&note, self.signer.verifier()).filter(|state| {
            // As many files of heads as the tenants need.
            let blocks = to_u64(state.blocks.len());
            blocks == state.tenants.div_ceil(to_u64(BLOCK))
        });
        let state = state.ok_or_else(|| PublishError::Forged { file: STATE.into() })?;
        if state.log == self.id { Ok(Some(state)) } else { Err(PublishError::OtherLog) }
    }

    fn note(&self, file: &str) -> Result<Option<SignedNote>, PublishError> {
        let read = self.store.read(file, MAX_STATE_BYTES);
        let Some(bytes) = read.map_err(FileError::new("read", file))? else { return Ok(None) };
        let note = String::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
        note.map(Some).ok_or_else(|| PublishError::Forged { file: file.into() })
    }

    /// The tenants, from the files of heads that the state names.
    fn heads(&self, state: &State) -> Result<(Vec<Tenant>, Heads), PublishError> {
        let (mut tenants, mut heads) = (Vec::new(), Heads::new());
        for (block, version) in state.blocks.iter().enumerate() {
            let file = block_file(block, *version);
            let forged = || PublishError::Forged { file: file.clone().into() };
            let bytes = self.store.read(&file, MAX_BLOCK_BYTES).map_err(FileError::new("read", &*file))?;
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(forged)?;
            for line in text.lines() {
                let HeadLine { size, root, tenant } = HeadLine::decode(line).ok_or_else(forged)?;
                let tenant = Tenant { scope: tenant, size, root };
                heads.set(tenants.len(), Hash::of_leaf(self.head(&tenant).to_string().as_bytes()));
                tenants.push(tenant);
            }
        }
        if to_u64(tenants.len()) != state.tenants || heads.root() != state.heads {
            return Err(PublishError::Forged { file: "heads".into() });
        }
        Ok((tenants, heads))
    }

    /// Removes files of heads of a version that never came to be.
    fn sweep(&self, trees: &Trees) -> Result<(), PublishError> {
        let next = trees.version.saturating_add(1);
        for block in 0..=trees.blocks.len() {
            let file = block_file(block, next);
            self.store.remove(&file).map_err(FileError::new("remove", file))?;
        }
        Ok(())
    }
}
