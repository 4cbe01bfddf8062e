use core::time::Duration;

use core_types::{Limit, Principal, Restriction, Scope, SecureRandom, Subject, TokenId, UnixTime};
use state_store::{Batch, Expect};

use super::Vault;
use crate::attenuated;
use crate::entry::{Extra, is_known_subject};
use crate::error::IssueError;
use crate::event::TokenEvent;
use crate::format::Prefix;
use crate::info::TokenInfo;
use crate::network::{MAX_NETWORKS, Network};
use crate::pepper::{Digest, Message};
use crate::record::{ParentLink, Scheme, StoredSecret, TokenRecord, token_key};
use crate::secret::{IssuedToken, TokenSecret};
use crate::stack;
use crate::verified::VerifiedToken;

/// The most bytes of a display name.
pub const MAX_NAME_BYTES: usize = 128;
/// The most tokens that may stand above one another.
pub const MAX_LINEAGE: u8 = 4;
/// The shortest idle limit: uses are stored in batches, and a limit below their pace would end tokens in use.
pub const MIN_IDLE: Duration = Duration::from_secs(600);

/// What token to issue.
#[derive(Debug, Clone)]
pub struct IssueRequest<'a> {
    name: Box<str>,
    kind: Prefix,
    owner: Subject,
    creator: Principal,
    parent: Option<&'a VerifiedToken>,
    restriction: Restriction,
    home: Scope,
    networks: Limit<Vec<Network>>,
    idle: Limit<Duration>,
    uses: Limit<u64>,
    rotate_by: Option<UnixTime>,
    delegable: bool,
}

impl<'a> IssueRequest<'a> {
    /// A token for `owner`, asked for by the owner.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>, kind: Prefix, owner: Subject, restriction: Restriction) -> Self {
        Self {
            name: name.into(),
            kind,
            owner,
            creator: Principal::subject(owner),
            parent: None,
            restriction,
            home: Scope::root(),
            networks: Limit::Unlimited,
            idle: Limit::Unlimited,
            uses: Limit::Unlimited,
            rotate_by: None,
            delegable: false,
        }
    }

    /// Asked for by someone else: whether they may, the embedder has decided.
    #[must_use]
    pub const fn created_by(mut self, creator: Principal) -> Self {
        self.creator = creator;
        self
    }

    /// Asked for through a token: the new one can only be narrower, and dies with it.
    #[must_use]
    pub fn issued_by(mut self, parent: &'a VerifiedToken) -> Self {
        self.creator = parent.principal();
        self.parent = Some(parent);
        self
    }

    /// Where it belongs: it is listed and revoked with this scope. The root where nothing is said.
    #[must_use]
    pub fn at_home_in(mut self, scope: Scope) -> Self {
        self.home = scope;
        self
    }

    /// Usable from these networks only.
    #[must_use]
    pub fn from_networks(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.networks = Limit::Only(networks.into_iter().take(MAX_NETWORKS.saturating_add(1)).collect());
        self
    }

    /// Ending when it was not used for this long, at least [`MIN_IDLE`].
    #[must_use]
    pub const fn ending_when_idle_for(mut self, idle: Duration) -> Self {
        self.idle = Limit::Only(idle);
        self
    }

    /// Usable this often; each use is counted in the store before it is granted.
    #[must_use]
    pub const fn limited_to_uses(mut self, uses: u64) -> Self {
        self.uses = Limit::Only(uses);
        self
    }

    /// Its holder may narrow it offline: see [`attenuated`](crate::attenuated), and what that asks of the store.
    #[must_use]
    pub const fn delegable(mut self) -> Self {
        self.delegable = true;
        self
    }

    /// Due for rotation at this instant; nothing but reminders depends on it.
    #[must_use]
    pub const fn rotate_by(mut self, at: UnixTime) -> Self {
        self.rotate_by = Some(at);
        self
    }
}

/// A token that will exist once its batch is committed.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct Issued {
    /// The plaintext: to be shown after the commit, once.
    pub token: IssuedToken,
    /// Everything but the plaintext.
    pub info: TokenInfo,
    /// What to commit.
    pub batch: Batch,
    /// What to tell the audit log.
    pub event: TokenEvent,
}

impl Vault {
    /// Makes a token.
    ///
    /// What it may be used for is at most `restriction`; of a token that another one issues, at most what
    /// that one allows. It is asked for by value and refused by value: a wider wish is an error, not a
    /// narrower token. Only its end is brought before the issuing token's.
    ///
    /// # Errors
    /// [`IssueError`]; nothing came to be.
    pub fn plan_issue(
        &self,
        request: IssueRequest<'_>,
        now: UnixTime,
        rng: &dyn SecureRandom,
    ) -> Result<Issued, IssueError> {
        let id = TokenId::generate(now, rng)?;
        let secret = TokenSecret::generate(rng)?;
        let stored = self.stored_secret(id, &secret);
        let root = request.delegable.then(|| self.sealed_root(id, 0, &secret));
        let (record, batch) = self.record_of(request, id, stored, root, now)?;
        let token = IssuedToken::new(&record.kind, id, &secret);
        Ok(issued(token, &record, batch, now))
    }

    /// The digest of a new secret, by the current pepper.
    pub(super) fn stored_secret(&self, id: TokenId, secret: &TokenSecret) -> StoredSecret {
        let peppers = self.shared.peppers.load();
        let pepper = peppers.current_key();
        let digest = stack::clear_after(|| pepper.digest(&Message::new(id, secret.expose_secret())));
        StoredSecret { scheme: Scheme::Own, pepper: pepper.version(), digest }
    }

    /// The root of what a holder narrows, sealed by the current pepper.
    pub(super) fn sealed_root(&self, id: TokenId, generation: u32, secret: &TokenSecret) -> Digest {
        let root = attenuated::root(secret.expose_secret(), &id.to_bytes());
        let peppers = self.shared.peppers.load();
        Digest::from_bytes(root.masked(peppers.current_key(), id, generation).to_bytes())
    }

    /// Checks the request and makes its record, with the batch that stores it.
    pub(super) fn record_of(
        &self,
        request: IssueRequest<'_>,
        id: TokenId,
        secret: StoredSecret,
        root: Option<Digest>,
        now: UnixTime,
    ) -> Result<(TokenRecord, Batch), IssueError> {
        if !self.shared.format.knows(&request.kind) {
            return Err(IssueError::Kind);
        }
        validate_name(&request.name)?;
        validate_limits(&request)?;
        if !is_known_subject(request.owner) {
            return Err(IssueError::Parent);
        }
        let mut record = TokenRecord {
            id,
            name: request.name,
            kind: request.kind,
            owner: request.owner,
            home: request.home,
            restriction: request.restriction,
            created_at: now,
            epoch: self.snapshot().view().markers().epoch,
            generation: 0,
            secret,
            extra: Extra {
                creator: request.creator,
                networks: request.networks,
                idle_millis: match request.idle {
                    Limit::Unlimited => Limit::Unlimited,
                    Limit::Only(idle) => Limit::Only(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)),
                },
                uses: request.uses,
                root,
                rotate_by: request.rotate_by,
                ..Extra::plain(request.owner)
            },
        };
        let mut batch = Batch::new();
        match (request.parent, record.extra.creator.token_id()) {
            (None, None) => {}
            (Some(parent), Some(token)) if parent.id() == token && parent.owner() == record.owner => {
                shrink(&mut record, parent)?;
                // The parent as it was verified: what happened to it meanwhile makes the commit conflict.
                let expect = Expect::Revision(parent.entry().revision());
                batch.require(token_key(parent.id()).map_err(state_store::BatchError::from)?, expect)?;
            }
            _ => return Err(IssueError::Parent),
        }
        if allows_nothing(&record.restriction, now) {
            return Err(IssueError::Nothing);
        }
        let value = record.encode()?;
        batch.create(token_key(id).map_err(state_store::BatchError::from)?, value)?;
        Ok((record, batch))
    }
}

/// Brings a new token within what its issuing token allows, or refuses.
fn shrink(record: &mut TokenRecord, parent: &VerifiedToken) -> Result<(), IssueError> {
    let bound = parent.restriction();
    let link = ParentLink {
        id: parent.id(),
        lineage_epoch: parent.entry().extra().map_or(0, |extra| extra.lineage_epoch),
        narrowed: parent.entry().extra().map_or(0, |extra| extra.narrowed),
        depth: parent.depth().saturating_add(1),
    };
    if link.depth > MAX_LINEAGE {
        return Err(IssueError::ParentMayNotIssue);
    }
    if let Limit::Only(end) = bound.expires_at() {
        record.restriction = core::mem::take(&mut record.restriction).expiring(end);
    }
    if !bound.contains(&record.restriction) {
        return Err(IssueError::Widens);
    }
    let Some(extra) = parent.entry().extra() else {
        record.extra.parent = Some(link);
        return Ok(());
    };
    if extra.uses != Limit::Unlimited {
        return Err(IssueError::ParentMayNotIssue);
    }
    match (&extra.networks, &record.extra.networks) {
        (Limit::Unlimited, _) => {}
        (Limit::Only(outer), Limit::Unlimited) => record.extra.networks = Limit::Only(outer.clone()),
        (Limit::Only(outer), Limit::Only(inner)) => {
            if !inner.iter().all(|network| outer.iter().any(|other| other.contains(network))) {
                return Err(IssueError::Widens);
            }
        }
    }
    record.extra.idle_millis = match (extra.idle_millis, record.extra.idle_millis) {
        (Limit::Unlimited, own) => own,
        (outer, Limit::Unlimited) => outer,
        (Limit::Only(outer), Limit::Only(own)) => Limit::Only(outer.min(own)),
    };
    record.extra.parent = Some(link);
    Ok(())
}

pub(super) fn issued(token: IssuedToken, record: &TokenRecord, batch: Batch, now: UnixTime) -> Issued {
    let event = TokenEvent::Issued {
        token: record.id,
        owner: record.owner,
        by: record.extra.creator,
        parent: record.extra.parent.map(|parent| parent.id),
        at: now,
    };
    Issued { token, info: TokenInfo::of_record(record), batch, event }
}

pub(super) fn allows_nothing(restriction: &Restriction, now: UnixTime) -> bool {
    restriction.is_expired(now) || matches!(restriction.grants(), Limit::Only([]))
}

fn validate_name(name: &str) -> Result<(), IssueError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(IssueError::Name { limit: MAX_NAME_BYTES });
    }
    Ok(())
}

fn validate_limits(request: &IssueRequest<'_>) -> Result<(), IssueError> {
    if let Limit::Only(networks) = &request.networks
        && !(1..=MAX_NETWORKS).contains(&networks.len())
    {
        return Err(IssueError::Networks { limit: MAX_NETWORKS });
    }
    if matches!(request.idle, Limit::Only(idle) if idle < MIN_IDLE) || request.uses == Limit::Only(0) {
        return Err(IssueError::Limit);
    }
    Ok(())
}
