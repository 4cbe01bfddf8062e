use core::net::IpAddr;
use std::sync::Arc;

use core_types::{Limit, Restriction, TokenId, UnixTime};
use subtle::Choice;

use super::{MAX_LINEAGE, Standing, Vault};
use crate::entry::{Entry, Extra};
use crate::error::{Refusal, RefusalReason as Reason};
use crate::format::base62;
use crate::pepper::{Digest, Message, PepperVersion, Peppers};
use crate::record::TokenState;
use crate::verified::VerifiedToken;
use crate::view::{Markers, TokenView};

/// When and from where a token is presented.
#[derive(Debug, Clone, Copy)]
pub struct VerifyContext {
    now: UnixTime,
    client: Option<IpAddr>,
}

impl VerifyContext {
    /// At `now`, from nowhere known: a token that is bound to networks is refused.
    #[must_use]
    pub const fn at(now: UnixTime) -> Self {
        Self { now, client: None }
    }

    /// From this address: the peer's, or what a proxy of your own vouches for; never an unchecked header.
    #[must_use]
    pub const fn from_client(mut self, client: IpAddr) -> Self {
        self.client = Some(client);
        self
    }
}

impl Vault {
    /// Whether `presented` is a good token, and what it may be used for: from memory, at the cost of a digest.
    ///
    /// A text that is no token is refused by its form. After that every refusal takes the same work whether
    /// the id is known or not, and the public answer is always the same; the reason is for operators.
    ///
    /// # Errors
    /// [`Refusal`]. Tell the remote side nothing but that.
    #[inline]
    pub fn verify(&self, presented: &str, context: &VerifyContext) -> Result<VerifiedToken, Refusal> {
        let malformed = Refusal::new(Reason::Malformed);
        let split = self.shared.format.split(presented.as_bytes()).ok_or(malformed)?;
        let id_bytes = base62::decode_128(split.id).ok_or(malformed)?;
        let message = Message::from_digits(&id_bytes, split.secret).ok_or(malformed)?;
        let id = TokenId::from_bytes(id_bytes);

        let current = self.shared.replica.current(context.now).map_err(|_| Refusal::new(Reason::Stale))?;
        let view = current.view();
        let entry = view.token(id);
        let peppers = self.shared.peppers.load();
        let secret = check_secret(&peppers, entry.map(Arc::as_ref), &message, context.now);
        let Some(entry) = entry else { return Err(Refusal::new(Reason::Unknown)) };
        let refuse = |reason| Err(Refusal::of(reason, id));
        let old_secret = match secret {
            Secret::Current => false,
            Secret::Overlapping => true,
            Secret::RotatedAway => return refuse(Reason::RotatedAway),
            Secret::Wrong => return refuse(Reason::Secret),
            Secret::NoPepper => return refuse(Reason::Pepper),
        };
        if entry.profile.kind != *split.kind {
            return refuse(Reason::Kind);
        }
        match self.check_life(view, id, entry, context) {
            Ok(narrowed) => {
                Ok(VerifiedToken::new(id, entry, narrowed, current.revision(), context.now, old_secret))
            }
            Err(reason) => refuse(reason),
        }
    }

    /// Everything but the secret: that the token lives, and may be used from there. Returns what narrowed
    /// ancestors leave of its restriction, where there are any.
    fn check_life(
        &self,
        view: &TokenView,
        id: TokenId,
        entry: &Entry,
        context: &VerifyContext,
    ) -> Result<Option<Restriction>, Reason> {
        check_alive(view.markers(), entry, context)?;
        let narrowed = match entry.extra() {
            None => None,
            Some(extra) => {
                check_limits(view, id, entry, extra, context)?;
                check_lineage(view, entry, extra, context)?
            }
        };
        match self.shared.owners.standing(entry.owner()) {
            Standing::Active => Ok(narrowed),
            Standing::Inactive => Err(Reason::Owner),
        }
    }
}

/// What a presented secret is to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secret {
    Current,
    Overlapping,
    RotatedAway,
    Wrong,
    NoPepper,
}

/// Compares the secret with those of the entry, or with nothing at all at the same cost.
///
/// How many digests are made depends on the record, never on what was presented.
fn check_secret(peppers: &Peppers, entry: Option<&Entry>, message: &Message, now: UnixTime) -> Secret {
    let current = peppers.current_key();
    let version = entry.map_or(current.version(), |entry| entry.pepper);
    let (key, known) = match peppers.of(version) {
        Some(key) => (key, Choice::from(1)),
        None => (current, Choice::from(0)),
    };
    let digest = key.digest(message);
    let stored = entry.map_or(Digest::dummy(), |entry| entry.digest);
    let matches = digest.matches(&stored) & known & Choice::from(u8::from(entry.is_some()));
    let retired = entry
        .and_then(Entry::extra)
        .map_or(Secret::Wrong, |extra| check_retired(peppers, extra, message, (version, &digest), now));
    if bool::from(matches) {
        Secret::Current
    } else if retired == Secret::Wrong && !bool::from(known) {
        Secret::NoPepper
    } else {
        retired
    }
}

fn check_retired(
    peppers: &Peppers,
    extra: &Extra,
    message: &Message,
    made: (PepperVersion, &Digest),
    now: UnixTime,
) -> Secret {
    let mut answer = Secret::Wrong;
    for retired in &extra.retired {
        let digest = if retired.secret.pepper == made.0 {
            *made.1
        } else {
            match peppers.of(retired.secret.pepper) {
                Some(key) => key.digest(message),
                None => continue,
            }
        };
        if bool::from(digest.matches(&retired.secret.digest)) {
            answer = if now < retired.valid_until { Secret::Overlapping } else { Secret::RotatedAway };
        }
    }
    answer
}

/// That neither the token's end nor a revocation has come.
fn check_alive(markers: &Markers, entry: &Entry, context: &VerifyContext) -> Result<(), Reason> {
    match entry.state() {
        TokenState::Active => {}
        TokenState::Quarantined(_) => return Err(Reason::Quarantined),
        TokenState::Revoked(_) => return Err(Reason::Revoked),
    }
    if entry.is_expired(context.now) {
        return Err(Reason::Expired);
    }
    if markers.is_damaged() {
        return Err(Reason::Damaged);
    }
    if markers.kills_owner(entry.owner(), entry.epoch, entry.created_at) {
        return Err(Reason::OwnerRevoked);
    }
    if markers.kills_scope(&entry.profile.home, entry.epoch, entry.created_at) {
        return Err(Reason::ScopeRevoked);
    }
    if let Some(extra) = entry.extra() {
        check_network(&extra.networks, context)?;
    }
    Ok(())
}

fn check_network(
    networks: &Limit<Vec<crate::network::Network>>,
    context: &VerifyContext,
) -> Result<(), Reason> {
    match (networks, context.client) {
        (Limit::Unlimited, _) => Ok(()),
        (Limit::Only(networks), Some(client))
            if networks.iter().any(|network| network.contains_address(client)) =>
        {
            Ok(())
        }
        (Limit::Only(_), _) => Err(Reason::Network),
    }
}

fn check_limits(
    view: &TokenView,
    id: TokenId,
    entry: &Entry,
    extra: &Extra,
    context: &VerifyContext,
) -> Result<(), Reason> {
    if let Limit::Only(idle) = extra.idle_millis {
        let used = view.usage(id).and_then(|usage| usage.last_used_at).unwrap_or(entry.created_at);
        if context.now.as_millis().saturating_sub(used.as_millis()) >= idle {
            return Err(Reason::Idle);
        }
    }
    match extra.uses {
        Limit::Unlimited => Ok(()),
        Limit::Only(_) => Err(Reason::NotCounted),
    }
}

/// That every token above this one lives, and what those leave that were narrowed since.
fn check_lineage(
    view: &TokenView,
    entry: &Entry,
    extra: &Extra,
    context: &VerifyContext,
) -> Result<Option<Restriction>, Reason> {
    let mut narrowed: Option<Restriction> = None;
    let mut link = extra.parent;
    let mut steps = 0_u8;
    while let Some(up) = link {
        steps = steps.saturating_add(1);
        let parent = view.token(up.id).filter(|_| steps <= MAX_LINEAGE).ok_or(Reason::Lineage)?;
        check_alive(view.markers(), parent, context).map_err(|reason| match reason {
            Reason::Damaged | Reason::Network => reason,
            _ => Reason::Lineage,
        })?;
        let above = parent.extra();
        if above.map_or(0, |above| above.lineage_epoch) != up.lineage_epoch {
            return Err(Reason::Lineage);
        }
        if above.map_or(0, |above| above.narrowed) != up.narrowed {
            let so_far = narrowed.unwrap_or_else(|| entry.restriction());
            narrowed = Some(so_far.intersect(&parent.restriction()).map_err(|_| Reason::Restriction)?);
        }
        link = above.and_then(|above| above.parent);
    }
    Ok(narrowed)
}
