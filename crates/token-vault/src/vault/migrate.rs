use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use core_types::{TokenId, UnixTime};
use state_store::replica::Snapshot;
use state_store::{Batch, BatchError, MAX_BATCH_WRITES, Revision};

use super::issue::IssueRequest;
use super::{TokenInfo, Vault};
use crate::error::{IssueError, PlanError};
use crate::event::TokenEvent;
use crate::foreign::ForeignHash;
use crate::pepper::{Digest, Message, PepperVersion};
use crate::record::{Scheme, StoredSecret, TokenState, token_key};
use crate::view::TokenView;

/// A key of another system that will be a token once its batch is committed.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct Imported {
    /// The token.
    pub info: TokenInfo,
    /// What to commit.
    pub batch: Batch,
    /// What to tell the audit log.
    pub event: TokenEvent,
}

impl Vault {
    /// Makes a token of what another system stored of its key; the holder goes on using the key. The vault must
    /// be built with the key's form ([`VaultBuilder::accepting`](super::VaultBuilder::accepting)).
    ///
    /// # Errors
    /// As [`plan_issue`](Self::plan_issue).
    pub fn plan_import(
        &self,
        request: IssueRequest<'_>,
        hash: &ForeignHash,
        now: UnixTime,
    ) -> Result<Imported, IssueError> {
        let peppers = self.shared.peppers.load();
        let pepper = peppers.current_key();
        let digest = pepper.digest(&Message::foreign(hash.id, &hash.inner));
        let stored = StoredSecret { scheme: Scheme::Foreign, pepper: pepper.version(), digest };
        let (record, batch) = self.record_of(request, hash.id, stored, None, now)?;
        let event =
            TokenEvent::Imported { token: record.id, owner: record.owner, by: record.extra.creator, at: now };
        Ok(Imported { info: TokenInfo::of_record(&record), batch, event })
    }

    /// All tokens of one snapshot, in order of their ids, without anything that helps to present them.
    #[must_use]
    pub fn export(&self) -> Export {
        let snapshot = self.snapshot();
        let mut ids: Vec<TokenId> = snapshot.view().tokens().map(|(id, _)| id).collect();
        ids.sort_unstable();
        Export { snapshot, ids: ids.into_iter() }
    }

    /// How many living tokens still need each pepper: the one before may be forgotten once nothing needs it.
    #[must_use]
    pub fn pepper_use(&self, now: UnixTime) -> BTreeMap<PepperVersion, usize> {
        let snapshot = self.snapshot();
        let mut counts = BTreeMap::new();
        for (_, entry) in snapshot.view().tokens() {
            if matches!(entry.state(), TokenState::Revoked(_)) || entry.is_expired(now) {
                continue;
            }
            let count: &mut usize = counts.entry(entry.pepper).or_default();
            *count = count.saturating_add(1);
        }
        counts
    }

    /// Moves tokens that were used since the last call to the current pepper, as many as a batch holds; `None`
    /// when there are none. A conflict is no harm: the next use brings the token here again.
    ///
    /// # Errors
    /// [`PlanError::Record`], [`PlanError::Batch`].
    pub fn plan_rehash(&self) -> Result<Option<Batch>, PlanError> {
        let snapshot = self.snapshot();
        let mut batch = Batch::new();
        for (id, rehash) in self.shared.rehashes.take(MAX_BATCH_WRITES) {
            let Some(entry) = snapshot.view().token(id) else { continue };
            // Another secret by now: the digest is not of it.
            if entry.revision() != rehash.revision {
                continue;
            }
            let mut record = entry.to_record(id);
            record.secret.pepper = rehash.pepper;
            record.secret.digest = rehash.digest;
            record.extra.root = rehash.root;
            batch.replace(token_key(id).map_err(BatchError::from)?, entry.revision(), record.encode()?)?;
        }
        Ok((!batch.is_read_only()).then_some(batch))
    }
}

/// The tokens of one snapshot.
#[derive(Debug)]
pub struct Export {
    snapshot: Arc<Snapshot<TokenView>>,
    ids: std::vec::IntoIter<TokenId>,
}

impl Iterator for Export {
    type Item = TokenInfo;

    fn next(&mut self) -> Option<TokenInfo> {
        self.ids.find_map(|id| {
            let view = self.snapshot.view();
            let entry = view.token(id)?;
            Some(super::info(view, id, &entry))
        })
    }
}

/// Digests by the current pepper, of tokens that were used with one by the pepper before.
#[derive(Debug, Default)]
pub(super) struct Rehashes {
    waiting: Mutex<BTreeMap<TokenId, Rehash>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Rehash {
    pub(super) revision: Revision,
    pub(super) pepper: PepperVersion,
    pub(super) digest: Digest,
    pub(super) root: Option<Digest>,
}

impl Rehashes {
    /// Remembers one; where there is no room or someone else is at it, the next use will do.
    pub(super) fn add(&self, id: TokenId, rehash: impl FnOnce() -> Rehash) {
        let Ok(mut waiting) = self.waiting.try_lock() else { return };
        if waiting.len() < MAX_WAITING && !waiting.contains_key(&id) {
            waiting.insert(id, rehash());
        }
    }

    fn take(&self, limit: usize) -> Vec<(TokenId, Rehash)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        core::iter::from_fn(|| waiting.pop_first()).take(limit).collect()
    }
}

const MAX_WAITING: usize = 4096;
