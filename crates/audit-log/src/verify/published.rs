//! Published proofs by themselves: does every file say what the signed heads say?

use std::sync::Arc;

use core_types::Scope;

use super::finding::{Finding, FindingKind};
use crate::checkpoint::{Checkpoint, LogId};
use crate::error::FileError;
use crate::tlog::{
    CHECKPOINT, EPOCHS, Epoch, Flaw, Hash, HeadLine, Heads, KEY, Leaf, Origin, ProveError, STATE, SignedNote,
    State, TILE_WIDTH, TilePath, TileReader, TileStore, TreeFiles, TreeHead, VerifierKey, block_file,
    tenant_folder,
};

/// What the files say, and what is wrong with them.
pub(super) struct Published {
    pub(super) key: VerifierKey,
    /// The head of the log of epochs.
    pub(super) epochs: Option<TreeHead>,
    /// Each tenant's head, by slot.
    pub(super) tenants: Vec<Option<TreeHead>>,
    /// Some of the epochs, the newest among them.
    pub(super) known: Vec<Checkpoint>,
    pub(super) findings: Vec<Finding>,
}

/// Looks at all files; `None` where nothing was published.
///
/// Files of a publisher at work are no finding: a tree is looked at by a head that is as new as its files, and what
/// a publisher does between two states is told by the state.
pub(super) fn examine(
    store: &Arc<dyn TileStore>,
    key: Option<&VerifierKey>,
    log: Option<LogId>,
) -> Result<Option<Published>, FileError> {
    let own = text(store, KEY)?;
    if own.is_none() && text(store, STATE)?.is_none() && text(store, &checkpoint(EPOCHS))?.is_none() {
        return Ok(None);
    }
    let own_key = own.as_deref().and_then(|text| text.strip_suffix('\n')?.parse::<VerifierKey>().ok());
    let mut findings = Vec::new();
    if own_key.is_none() || key.is_some_and(|key| own_key.as_ref() != Some(key)) {
        findings.push(of_file(FindingKind::DerivedEdited, KEY));
    }
    let Some(key) = key.cloned().or(own_key) else {
        return Ok(Some(Published::nothing(placeholder(), findings)));
    };
    let mut published = Published::nothing(key, findings);
    let tenants = published.epochs(store, log)?;
    let state = published.state(store)?;
    // Tenants that the publisher has not got to yet.
    let finished = state.map_or(0, |state| state.tenants).min(tenants);
    for slot in 0_usize.. {
        let is_due = u64::try_from(slot).is_ok_and(|slot| slot < finished);
        let head = published.tree(store, &tenant_folder(slot), log, is_due)?;
        if head.is_none() && u64::try_from(slot).is_ok_and(|slot| slot >= tenants) {
            break;
        }
        published.tenants.push(head);
    }
    Ok(Some(published))
}

impl Published {
    const fn nothing(key: VerifierKey, findings: Vec<Finding>) -> Self {
        Self { key, epochs: None, tenants: Vec::new(), known: Vec::new(), findings }
    }

    /// The whose-ever head at this slot.
    pub(super) fn head(&self, slot: usize, tenant: &Scope) -> Option<&TreeHead> {
        self.tenants.get(slot)?.as_ref().filter(|head| head.origin.tenant() == Some(tenant))
    }

    /// Looks at the log of epochs; returns how many tenants the newest one has.
    fn epochs(&mut self, store: &Arc<dyn TileStore>, log: Option<LogId>) -> Result<u64, FileError> {
        let state = text(store, STATE)?.and_then(|text| text.parse::<SignedNote>().ok());
        let state = state.as_ref().and_then(|note| State::verify(note, &self.key));
        let is_due = state.is_some_and(|state| state.epochs.0 > 0);
        let Some(head) = self.tree(store, EPOCHS, log, is_due)? else { return Ok(0) };
        let size = head.size;
        let mut tenants = 0;
        if let Ok(mut reader) = TileReader::open(Arc::clone(store), EPOCHS, size, &head.root) {
            let step = size.div_ceil(MAX_KNOWN).max(1);
            let last = size.saturating_sub(1);
            let sample = (0..size).step_by(usize::try_from(step).unwrap_or(usize::MAX));
            for index in sample.chain(Some(last).filter(|_| size > 0)) {
                let Ok(leaf) = reader.leaf(index) else { continue };
                if let Some(epoch) = Leaf::decode(&leaf).and_then(|leaf| Epoch::decode(leaf.record)) {
                    let checkpoint = Checkpoint::new(head.origin.log(), epoch.through, epoch.chain);
                    if self.known.last() != Some(&checkpoint) {
                        self.known.push(checkpoint);
                    }
                    tenants = epoch.tenants;
                }
            }
        }
        self.epochs = Some(head);
        Ok(tenants)
    }

    /// How far the publisher has come; its files of heads are looked at, too.
    fn state(&mut self, store: &Arc<dyn TileStore>) -> Result<Option<State>, FileError> {
        for _ in 0..ATTEMPTS {
            let Some(read) = text(store, STATE)? else {
                // There is none before the first epoch is published.
                if self.epochs.as_ref().is_some_and(|head| head.size > 1) {
                    self.findings.push(of_file(FindingKind::DerivedMissing, STATE));
                }
                return Ok(None);
            };
            let note = read.parse::<SignedNote>().ok();
            let Some(state) = note.and_then(|note| State::verify(&note, &self.key)) else {
                self.findings.push(of_file(FindingKind::DerivedEdited, STATE));
                return Ok(None);
            };
            let finding = self.blocks(store, &state)?;
            if finding.is_none() || text(store, STATE)?.as_ref() == Some(&read) {
                self.findings.extend(finding);
                return Ok(Some(state));
            }
        }
        Ok(None)
    }

    /// Whether the files of heads make up the root that the state has of them.
    fn blocks(&self, store: &Arc<dyn TileStore>, state: &State) -> Result<Option<Finding>, FileError> {
        let (mut heads, mut slot) = (Heads::new(), 0_usize);
        let mut first = STATE.to_owned();
        for (block, version) in state.blocks.iter().enumerate() {
            first = block_file(block, *version);
            let Some(lines) = text(store, &first)? else {
                return Ok(Some(of_file(FindingKind::DerivedMissing, &first)));
            };
            for line in lines.lines() {
                let Some(HeadLine { size, root, tenant }) = HeadLine::decode(line) else {
                    return Ok(Some(of_file(FindingKind::DerivedEdited, &first)));
                };
                let head = TreeHead::new(Origin::of_tenant(&self.key, state.log, tenant), size, root);
                heads.set(slot, Hash::of_leaf(head.to_string().as_bytes()));
                slot = slot.saturating_add(1);
            }
        }
        let is_true = heads.root() == state.heads && u64::try_from(slot) == Ok(state.tenants);
        Ok((!is_true).then(|| of_file(FindingKind::DerivedEdited, &first)))
    }

    /// The signed head of a tree whose files are all as it says; the head alone where they are not.
    fn tree(
        &mut self,
        store: &Arc<dyn TileStore>,
        folder: &str,
        log: Option<LogId>,
        is_due: bool,
    ) -> Result<Option<TreeHead>, FileError> {
        let file = checkpoint(folder);
        for _ in 0..ATTEMPTS {
            let Some(read) = text(store, &file)? else {
                if is_due {
                    self.findings.push(of_file(FindingKind::DerivedMissing, &file));
                }
                return Ok(None);
            };
            let head = read.parse::<SignedNote>().and_then(|note| TreeHead::verify(&note, &self.key));
            let Ok(head) = head else {
                self.findings.push(of_file(FindingKind::DerivedEdited, &file));
                return Ok(None);
            };
            if log.is_some_and(|log| log != head.origin.log()) {
                self.findings.push(of_file(FindingKind::OtherLog, &file));
                return Ok(None);
            }
            let findings = files(store, folder, &head)?;
            // While this looked, the publisher may have gone on and removed what the newer head does not need.
            if findings.is_empty() || text(store, &file)?.as_ref() == Some(&read) {
                self.findings.extend(findings);
                return Ok(Some(head));
            }
        }
        Ok(None)
    }
}

/// What is wrong with a tree's files.
fn files(store: &Arc<dyn TileStore>, folder: &str, head: &TreeHead) -> Result<Vec<Finding>, FileError> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut add = |error: ProveError| {
        let (kind, file) = match error {
            ProveError::File(error) => return Err(error),
            ProveError::Missing { file } => (FindingKind::DerivedMissing, file),
            ProveError::Forged { file } => (FindingKind::DerivedEdited, file),
            _ => (FindingKind::DerivedEdited, folder.into()),
        };
        let finding = of_file(kind, &file);
        if findings.last() != Some(&finding) && findings.len() < MAX_FILES {
            findings.push(finding);
        }
        Ok(())
    };
    let mut reader = match TileReader::open(Arc::clone(store), folder, head.size, &head.root) {
        Ok(reader) => reader,
        Err(error) => return add(error).map(|()| findings),
    };
    let tree = TreeFiles { store: &**store, folder };
    let width = u64::try_from(TILE_WIDTH).unwrap_or(u64::MAX);
    for index in 0..head.size.div_ceil(width) {
        let first = index.saturating_mul(width);
        let end = first.saturating_add(width).min(head.size);
        let hashes: Result<Vec<Hash>, ProveError> = (first..end).map(|leaf| reader.leaf_hash(leaf)).collect();
        let hashes = match hashes {
            Ok(hashes) => hashes,
            Err(error) => {
                add(error)?;
                continue;
            }
        };
        let Some(path) = TilePath::entries(index).with_width(hashes.len()) else { continue };
        match tree.bundle(path) {
            Ok(leaves) if leaves.iter().map(|leaf| Hash::of_leaf(leaf)).eq(hashes) => {}
            Ok(_) => add(ProveError::Forged { file: tree.name(path).into() })?,
            Err(Flaw::File(error)) => return Err(error),
            Err(flaw) => add(flaw.into())?,
        }
    }
    // What older checkpoints need.
    for path in (0_u8..8).filter_map(|level| TilePath::partial(level, head.size)) {
        let bundle = TilePath::entries(path.index()).with_width(path.width());
        for path in std::iter::once(path).chain(bundle.filter(|_| path.level() == Some(0))) {
            for narrower in tree.false_beginnings(path)? {
                add(ProveError::Forged { file: tree.name(narrower).into() })?;
            }
        }
    }
    Ok(findings)
}

fn text(store: &Arc<dyn TileStore>, file: &str) -> Result<Option<String>, FileError> {
    match store.read(file, MAX_FILE_BYTES) {
        Ok(bytes) => Ok(bytes.map(|bytes| String::from_utf8(bytes).unwrap_or_default())),
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => Ok(Some(String::new())),
        Err(error) => Err(FileError::new("read", file)(error)),
    }
}

fn checkpoint(folder: &str) -> String {
    format!("{folder}/{CHECKPOINT}")
}

fn of_file(kind: FindingKind, file: &str) -> Finding {
    Finding::new(kind, 0, 0).at(format!("{}/{file}", crate::tlog::PROOFS), 0)
}

/// Verifies nothing: there is no key.
fn placeholder() -> VerifierKey {
    VerifierKey::nobody()
}

const MAX_FILE_BYTES: usize = 512 << 10;
const ATTEMPTS: u32 = 5;
// How many epochs are compared with the log one by one; the others are by the root of their tree.
const MAX_KNOWN: u64 = 4096;
// How many files of one tree are named.
const MAX_FILES: usize = 64;
