use core::net::IpAddr;
use core::ops::Deref;

use core_types::{Limit, Restriction, TokenId, UnixTime};
use state_store::replica::{Current, Snapshot};
use subtle::Choice;

use super::migrate::Rehash;
use super::through::without_counting;
use super::{MAX_LINEAGE, Standing, Vault};
use crate::attenuated::{self, ChainKey, Parsed};
use crate::entry::{Entry, Extra};
use crate::error::{Refusal, RefusalReason as Reason};
use crate::format::{Prefix, base62};
use crate::pepper::{Digest, Message, PepperVersion, Peppers};
use crate::record::TokenState;
use crate::stack;
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

    pub(super) const fn now(&self) -> UnixTime {
        self.now
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
        self.verify_uncounted(presented, context).and_then(without_counting)
    }

    /// As [`verify`](Self::verify), but for the counting of uses, which is the caller's.
    #[inline]
    pub(super) fn verify_uncounted(
        &self,
        presented: &str,
        context: &VerifyContext,
    ) -> Result<VerifiedToken, Refusal> {
        self.verify_by(presented, context, || self.current(context))
    }

    /// What is in memory, if it is fresh.
    #[inline]
    pub(super) fn current(&self, context: &VerifyContext) -> Result<Current<TokenView>, Refusal> {
        self.shared.replica.current(context.now).map_err(|_| Refusal::new(Reason::Stale))
    }

    /// By the state that `take` gives.
    #[inline]
    pub(super) fn verify_by<State: Deref<Target = Snapshot<TokenView>>>(
        &self,
        presented: &str,
        context: &VerifyContext,
        take: impl Fn() -> Result<State, Refusal>,
    ) -> Result<VerifiedToken, Refusal> {
        let Some((limiter, client)) = self.shared.limiter.as_ref().zip(context.client) else {
            return stack::clear_after(|| self.check(presented, context, take));
        };
        if let Some(retry_after) = limiter.wait(client, context.now) {
            return Err(Refusal::new(Reason::RateLimited { retry_after }));
        }
        let outcome = stack::clear_after(|| self.check(presented, context, take));
        if outcome.as_ref().is_err_and(|refusal| is_guess(refusal.reason())) {
            limiter.failed(client, context.now);
        }
        outcome
    }

    #[inline]
    fn check<State: Deref<Target = Snapshot<TokenView>>>(
        &self,
        presented: &str,
        context: &VerifyContext,
        take: impl Fn() -> Result<State, Refusal>,
    ) -> Result<VerifiedToken, Refusal> {
        let Some(presented) = self.read(presented) else {
            return self.check_attenuated(presented, context, take);
        };
        let id = presented.id;
        // What waits for memory comes first, and is computed with last: reading and digesting the secret goes
        // on meanwhile.
        let peppers = self.shared.peppers.load();
        let current = take()?;
        let view = current.view();
        let entry = view.token(id);
        let Some(message) = presented.message() else { return Err(Refusal::new(Reason::Malformed)) };
        let secret = check_secret(&peppers, entry.as_deref(), &message, context.now);
        let Some(entry) = entry else {
            // A failure of a known token is counted; looking where it would be costs as much.
            self.shared.usage.last_used_at(id);
            return Err(Refusal::new(Reason::Unknown));
        };
        let refuse = |reason| Err(Refusal::of(reason, id));
        let old_secret = match secret {
            Secret::Current => false,
            Secret::Overlapping => true,
            Secret::RotatedAway => return refuse(Reason::RotatedAway),
            Secret::Wrong => {
                self.shared.usage.failed(id);
                return refuse(Reason::Secret);
            }
            Secret::NoPepper => return refuse(Reason::Pepper),
        };
        if presented.kind.is_some_and(|kind| !view.is_of_kind(&entry, kind)) {
            return refuse(Reason::Kind);
        }
        let narrowed = match self.check_life(view, id, &entry, context) {
            Ok(narrowed) => narrowed,
            Err(reason) => return refuse(reason),
        };
        if entry.pepper != peppers.current() && !old_secret {
            self.shared.rehashes.add(id, || {
                let key = peppers.current_key();
                let root = entry.extra().and_then(|extra| extra.root).map(|_| {
                    let root = attenuated::root(&message.secret(), &id.to_bytes());
                    Digest::from_bytes(root.masked(key, id, entry.generation()).to_bytes())
                });
                Rehash {
                    root,
                    revision: entry.revision(),
                    pepper: key.version(),
                    digest: key.digest(&message),
                }
            });
        }
        self.note_use(id, &entry, context.now);
        Ok(VerifiedToken::new(id, &entry, narrowed, current.revision(), context.now, old_secret))
    }

    /// As [`check`](Self::check), of a text that is no token itself: perhaps one that a holder narrowed.
    #[cold]
    fn check_attenuated<State: Deref<Target = Snapshot<TokenView>>>(
        &self,
        text: &str,
        context: &VerifyContext,
        take: impl Fn() -> Result<State, Refusal>,
    ) -> Result<VerifiedToken, Refusal> {
        let malformed = Refusal::new(Reason::Malformed);
        let parsed = Parsed::of(&self.shared.format, text).ok_or(malformed)?;
        let caveats = parsed.restrictions().ok_or(malformed)?;
        let id = parsed.id;
        let current = take()?;
        let view = current.view();
        let entry = view.token(id);
        let peppers = self.shared.peppers.load();
        let secret = check_root(&peppers, id, entry.as_deref(), &parsed, context.now);
        let Some(entry) = entry else { return Err(Refusal::new(Reason::Unknown)) };
        let refuse = |reason| Err(Refusal::of(reason, id));
        let old_secret = match secret {
            Secret::Current => false,
            Secret::Overlapping => true,
            Secret::RotatedAway => return refuse(Reason::RotatedAway),
            Secret::Wrong if entry.extra().is_none_or(|extra| extra.root.is_none()) => {
                return refuse(Reason::NotDelegable);
            }
            Secret::Wrong => {
                self.shared.usage.failed(id);
                return refuse(Reason::Secret);
            }
            Secret::NoPepper => return refuse(Reason::Pepper),
        };
        if entry.profile.kind != *parsed.kind {
            return refuse(Reason::Kind);
        }
        let mut left = match self.check_life(view, id, &entry, context) {
            Ok(narrowed) => narrowed.unwrap_or_else(|| entry.restriction()),
            Err(reason) => return refuse(reason),
        };
        for caveat in &caveats {
            left = match left.intersect(caveat) {
                Ok(left) => left,
                Err(_) => return refuse(Reason::Restriction),
            };
        }
        if left.is_expired(context.now) {
            return refuse(Reason::Expired);
        }
        self.note_use(id, &entry, context.now);
        Ok(VerifiedToken::new(id, &entry, Some(left), current.revision(), context.now, old_secret))
    }

    #[inline]
    fn note_use(&self, id: TokenId, entry: &Entry, now: UnixTime) {
        match entry.extra() {
            None => self.shared.usage.used(id, now),
            // Counted uses are written where they are counted.
            Some(extra) if extra.uses != Limit::Unlimited => {}
            Some(_) => self.shared.usage.used_now(id, now),
        }
    }

    /// Reads a presented text: which token it names, and by what proof. `None` when it is no token.
    #[inline]
    pub(super) fn read<'a>(&'a self, presented: &'a str) -> Option<Presented<'a>> {
        let Some(split) = self.shared.format.split(presented.as_bytes()) else {
            if self.shared.foreign.is_empty() || attenuated::is_shaped(&self.shared.format, presented) {
                return None;
            }
            let hash = self.shared.foreign.iter().find_map(|format| format.read(presented))?;
            return Some(Presented { kind: None, id: hash.id, proof: Proof::Hash(hash.inner) });
        };
        let id = TokenId::from_bytes(base62::decode_128(split.id)?);
        Some(Presented { kind: Some(split.kind), id, proof: Proof::Digits(split.secret) })
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
                self.check_idle(view, id, entry, extra, context)?;
                check_lineage(view, entry, extra, context)?
            }
        };
        match self.shared.owners.standing(entry.owner()) {
            Standing::Active => Ok(narrowed),
            Standing::Inactive => Err(Reason::Owner),
        }
    }

    fn check_idle(
        &self,
        view: &TokenView,
        id: TokenId,
        entry: &Entry,
        extra: &Extra,
        context: &VerifyContext,
    ) -> Result<(), Reason> {
        let Limit::Only(idle) = extra.idle_millis else { return Ok(()) };
        let written = view.usage(id).and_then(|(usage, _)| usage.last_used_at);
        let used = written.max(self.shared.usage.last_used_at(id)).unwrap_or_else(|| entry.created_at());
        if context.now.as_millis().saturating_sub(used.as_millis()) >= idle {
            return Err(Reason::Idle);
        }
        Ok(())
    }
}

/// A text that has the form of a token.
pub(super) struct Presented<'a> {
    // `None` for the keys of other systems, which have no kind of ours.
    kind: Option<&'a Prefix>,
    pub(super) id: TokenId,
    proof: Proof<'a>,
}

enum Proof<'a> {
    Digits(&'a [u8]),
    Hash([u8; 32]),
}

impl Presented<'_> {
    /// What to digest; `None` when the digits of the secret are no number.
    #[inline]
    pub(super) fn message(&self) -> Option<Message> {
        match &self.proof {
            Proof::Digits(digits) => Message::from_digits(&self.id.to_bytes(), digits),
            Proof::Hash(inner) => Some(Message::foreign(self.id, inner)),
        }
    }
}

/// Whether a refusal can come of guessing.
const fn is_guess(reason: Reason) -> bool {
    matches!(reason, Reason::Malformed | Reason::Unknown | Reason::Secret | Reason::Kind | Reason::Pepper)
}

/// What a presented secret is to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secret {
    Current,
    Overlapping,
    RotatedAway,
    Wrong,
    NoPepper,
}

/// Compares the secret with those of the entry, or with nothing at all at the same cost.
///
/// How many digests are made depends on the record, never on what was presented.
pub(super) fn check_secret(
    peppers: &Peppers,
    entry: Option<&Entry>,
    message: &Message,
    now: UnixTime,
) -> Secret {
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

/// As [`check_secret`], of a narrowed token: whether its tag follows from a root of the entry.
pub(super) fn check_root(
    peppers: &Peppers,
    id: TokenId,
    entry: Option<&Entry>,
    parsed: &Parsed<'_>,
    now: UnixTime,
) -> Secret {
    let current = peppers.current_key();
    let follows = |sealed: Option<Digest>, version: PepperVersion, generation: u32| {
        let (key, known) = match peppers.of(version) {
            Some(key) => (key, Choice::from(1)),
            None => (current, Choice::from(0)),
        };
        let there = Choice::from(u8::from(sealed.is_some()));
        let sealed = ChainKey::from_bytes(*sealed.unwrap_or(Digest::dummy()).as_bytes());
        bool::from(parsed.follows_from(&sealed.masked(key, id, generation)) & known & there)
    };
    let sealed = entry.and_then(Entry::extra).and_then(|extra| extra.root);
    let version = entry.map_or(current.version(), |entry| entry.pepper);
    let is_current = follows(sealed, version, entry.map_or(0, Entry::generation));
    let mut answer = if is_current { Secret::Current } else { Secret::Wrong };
    for retired in entry.and_then(Entry::extra).map_or(&[][..], |extra| &extra.retired) {
        if follows(retired.root, retired.secret.pepper, retired.generation) && answer == Secret::Wrong {
            answer = if now < retired.valid_until { Secret::Overlapping } else { Secret::RotatedAway };
        }
    }
    match answer {
        Secret::Wrong if !peppers.knows(version) => Secret::NoPepper,
        answer => answer,
    }
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
    if markers.kills_owner(entry) {
        return Err(Reason::OwnerRevoked);
    }
    if markers.kills_scope(entry) {
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
        check_alive(view.markers(), &parent, context).map_err(|reason| match reason {
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
