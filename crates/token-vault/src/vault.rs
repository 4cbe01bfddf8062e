//! The vault: what issues, verifies and changes tokens.

mod change;
mod fleet;
mod issue;
mod leak;
mod migrate;
mod revoke;
mod rotate;
mod service;
mod through;
mod usage;
mod verify;

use std::sync::Arc;

use arc_swap::ArcSwap;
use core_types::{Scope, Subject, TokenId};
use state_store::Replica;
use state_store::replica::Snapshot;

pub use self::change::{PURGE_AFTER, Purge};
pub use self::fleet::{Applied, MAX_REVOKE_ATTEMPTS, Member, Receipt};
pub use self::issue::{IssueRequest, Issued, MAX_LINEAGE, MAX_NAME_BYTES, MIN_IDLE};
pub use self::leak::{LeakOutcome, LeakPolicy, SignedLeakOutcome};
pub use self::migrate::{Export, Imported};
pub use self::revoke::{Change, Many, ManyRevoked};
pub use self::rotate::{Due, MAX_OVERLAP, MAX_RETIRED, Reminder, Rotated};
pub use self::usage::{Flushed, MAX_COUNT_ATTEMPTS};
pub use self::verify::VerifyContext;
use crate::foreign::ForeignFormat;
use crate::format::TokenFormat;
use crate::info::TokenInfo;
use crate::limiter::{FailureLimit, FailureLimiter};
use crate::pepper::Peppers;
use crate::usage::UsageBook;
use crate::view::TokenView;

/// Issues tokens, verifies them from memory, and plans what happens to them; a clone is another handle.
///
/// Changes come as batches, for the embedder to commit, together with others if it likes. Nothing that a
/// batch says is true before its commit has succeeded. On a conflict the token has changed meanwhile: wait
/// until the replica has applied that, and plan anew.
#[derive(Debug, Clone)]
pub struct Vault {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    replica: Replica<TokenView>,
    format: TokenFormat,
    peppers: ArcSwap<Peppers>,
    owners: Box<dyn OwnerStatus>,
    usage: UsageBook,
    limiter: Option<FailureLimiter>,
    foreign: Vec<ForeignFormat>,
    rehashes: migrate::Rehashes,
}

/// Puts a vault together.
#[derive(Debug)]
#[must_use]
pub struct VaultBuilder {
    shared: Shared,
}

impl VaultBuilder {
    /// Tokens are good only while `owners` says that their owner is.
    pub fn with_owners(mut self, owners: impl OwnerStatus + 'static) -> Self {
        self.shared.owners = Box::new(owners);
        self
    }

    /// A source that fails more often than this is refused unread, for a while. Needs the clients' addresses.
    pub fn with_failure_limit(mut self, limit: FailureLimit) -> Self {
        self.shared.limiter = Some(FailureLimiter::new(limit));
        self
    }

    /// Also reads keys of this form, which were imported; [`MAX_FOREIGN`] forms at most, further ones are left
    /// out. A text of no known form then costs a digest where it would cost a checksum.
    pub fn accepting(mut self, format: ForeignFormat) -> Self {
        if self.shared.foreign.len() < MAX_FOREIGN {
            self.shared.foreign.push(format);
        }
        self
    }

    /// The vault.
    #[must_use]
    pub fn build(self) -> Vault {
        Vault { shared: Arc::new(self.shared) }
    }
}

impl Vault {
    /// A vault on a replica of [`TokenView::prefix`].
    #[must_use]
    pub fn new(replica: Replica<TokenView>, format: TokenFormat, peppers: Peppers) -> Self {
        Self::builder(replica, format, peppers).build()
    }

    /// A vault whose tokens are good only while `owners` says that their owner is.
    #[must_use]
    pub fn with_owners(
        replica: Replica<TokenView>,
        format: TokenFormat,
        peppers: Peppers,
        owners: impl OwnerStatus + 'static,
    ) -> Self {
        Self::builder(replica, format, peppers).with_owners(owners).build()
    }

    /// A vault with more than that.
    pub fn builder(replica: Replica<TokenView>, format: TokenFormat, peppers: Peppers) -> VaultBuilder {
        VaultBuilder {
            shared: Shared {
                replica,
                format,
                peppers: ArcSwap::from_pointee(peppers),
                owners: Box::new(AllActive),
                usage: UsageBook::new(),
                limiter: None,
                foreign: Vec::new(),
                rehashes: migrate::Rehashes::default(),
            },
        }
    }

    /// The kinds of token it issues and accepts.
    #[must_use]
    pub fn format(&self) -> &TokenFormat {
        &self.shared.format
    }

    /// The replica it answers from.
    #[must_use]
    pub fn replica(&self) -> &Replica<TokenView> {
        &self.shared.replica
    }

    /// Works with other peppers from now on, in this process.
    pub fn change_peppers(&self, peppers: Peppers) {
        self.shared.peppers.store(Arc::new(peppers));
    }

    /// A token's metadata, dead or alive, as of the latest snapshot.
    #[must_use]
    pub fn get(&self, id: TokenId) -> Option<TokenInfo> {
        let snapshot = self.snapshot();
        let entry = snapshot.view().token(id)?;
        Some(info(snapshot.view(), id, &entry))
    }

    /// The tokens `filter` asks for, in order of their ids and so of their issue, as of the latest snapshot.
    ///
    /// Looks at every token in memory: for people and operators, not for each request.
    #[must_use]
    pub fn list(&self, filter: &TokenFilter) -> Vec<TokenInfo> {
        let snapshot = self.snapshot();
        let view = snapshot.view();
        let mut found: Vec<_> = view
            .tokens()
            .filter(|(id, entry)| {
                filter.after.is_none_or(|after| *id > after)
                    && filter.owner.is_none_or(|owner| entry.owner() == owner)
                    && filter.home.as_ref().is_none_or(|home| home.contains(&entry.profile.home))
            })
            .collect();
        found.sort_unstable_by_key(|(id, _)| *id);
        found.truncate(filter.limit.min(MAX_LIST));
        found.into_iter().map(|(id, entry)| info(view, id, entry)).collect()
    }

    fn snapshot(&self) -> Arc<Snapshot<TokenView>> {
        self.shared.replica.snapshot()
    }
}

/// Which tokens to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFilter {
    owner: Option<Subject>,
    home: Option<Scope>,
    after: Option<TokenId>,
    limit: usize,
}

impl TokenFilter {
    /// All of them, [`MAX_LIST`] at a time.
    #[must_use]
    pub const fn all() -> Self {
        Self { owner: None, home: None, after: None, limit: MAX_LIST }
    }

    /// Only those of this owner.
    #[must_use]
    pub const fn owned_by(mut self, owner: Subject) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Only those at home in this scope or below.
    #[must_use]
    pub fn at_home_in(mut self, scope: Scope) -> Self {
        self.home = Some(scope);
        self
    }

    /// Only those after this one.
    #[must_use]
    pub const fn after(mut self, id: TokenId) -> Self {
        self.after = Some(id);
        self
    }

    /// No more than this many.
    #[must_use]
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

/// Whether owners are active: the embedder's knowledge, asked at every verify.
///
/// # What a wrong answer breaks
/// The tokens of an owner who was disabled stay good as far as this goes.
pub trait OwnerStatus: Send + Sync + core::fmt::Debug {
    /// Whether this owner's tokens may be good now. Must answer from memory.
    fn standing(&self, owner: Subject) -> Standing;
}

/// Whether an owner's tokens may be good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a third answer must break whoever asks")]
pub enum Standing {
    /// They may.
    Active,
    /// The owner is disabled or unknown: they may not.
    Inactive,
}

/// For embedders that intersect every answer with the owner's live rights anyway.
#[derive(Debug)]
struct AllActive;

impl OwnerStatus for AllActive {
    fn standing(&self, _owner: Subject) -> Standing {
        Standing::Active
    }
}

fn info(view: &TokenView, id: TokenId, entry: &crate::entry::Entry) -> TokenInfo {
    let mut info = TokenInfo::new(id, entry);
    if let Some((usage, _)) = view.usage(id) {
        info.last_used_at = usage.last_used_at;
        info.uses = usage.uses;
        info.failures = usage.failures;
    }
    info
}

/// The most forms of foreign keys a vault reads.
pub const MAX_FOREIGN: usize = 4;
/// The most tokens one list holds.
pub const MAX_LIST: usize = 1000;
