use core::fmt;
use std::sync::OnceLock;

use core_types::{Limit, Principal, Restriction, Scope, Subject, TokenId, UnixTime};
use state_store::Revision;

use crate::entry::Entry;
use crate::format::Prefix;
use crate::index::{Found, Held};
use crate::info::TokenInfo;

/// Proof that a token was presented and is good; only a [`Vault`](crate::Vault) makes one.
///
/// Use it for the request it was made for. It says who acts and what at most may be done; what may be done is
/// that *and* what the owner's live rights allow.
#[derive(Clone)]
pub struct VerifiedToken {
    id: TokenId,
    entry: Held<Entry>,
    // What ancestors that were narrowed meanwhile, or caveats, leave; the entry's own where absent.
    narrowed: Option<Box<Restriction>>,
    own: OnceLock<Restriction>,
    revision: Revision,
    verified_at: UnixTime,
    old_secret: bool,
}

impl VerifiedToken {
    pub(crate) fn new(
        id: TokenId,
        entry: &Found<'_, Entry>,
        narrowed: Option<Restriction>,
        revision: Revision,
        verified_at: UnixTime,
        old_secret: bool,
    ) -> Self {
        Self {
            id,
            entry: entry.hold(),
            narrowed: narrowed.map(Box::new),
            own: OnceLock::new(),
            revision,
            verified_at,
            old_secret,
        }
    }

    /// The token's id.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }

    /// Who acts: the token, for its owner.
    #[must_use]
    pub fn principal(&self) -> Principal {
        Principal::token(self.id, self.entry.owner())
    }

    /// Whose rights are used.
    #[must_use]
    pub fn owner(&self) -> Subject {
        self.entry.owner()
    }

    /// The upper bound on what may be done, and until when.
    #[must_use]
    pub fn restriction(&self) -> &Restriction {
        match (&self.narrowed, self.entry.expires_at()) {
            (Some(narrowed), _) => narrowed,
            (None, Limit::Unlimited) => &self.entry.profile.restriction,
            // Built on first use: what is shared between tokens has no end.
            (None, Limit::Only(_)) => self.own.get_or_init(|| self.entry.restriction()),
        }
    }

    /// The kind of token.
    #[must_use]
    pub fn kind(&self) -> &Prefix {
        &self.entry.profile.kind
    }

    /// Where it belongs.
    #[must_use]
    pub fn home(&self) -> &Scope {
        &self.entry.profile.home
    }

    /// What its owner calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.entry.name()
    }

    /// Everything else about it.
    #[must_use]
    pub fn info(&self) -> TokenInfo {
        TokenInfo::new(self.id, &self.entry)
    }

    /// The token was good by everything the store held up to this revision.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// When it was verified.
    #[must_use]
    pub const fn verified_at(&self) -> UnixTime {
        self.verified_at
    }

    /// Whether a rotated-away secret was used, within its overlap: whoever holds it should be told.
    #[must_use]
    pub const fn used_old_secret(&self) -> bool {
        self.old_secret
    }

    /// How many tokens stand above it.
    pub(crate) fn depth(&self) -> u8 {
        self.entry.extra().and_then(|extra| extra.parent).map_or(0, |parent| parent.depth)
    }

    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("principal", &self.principal())
            .field("restriction", self.restriction())
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}
