use std::sync::Arc;

use core_types::{Limit, Scope, Subject, TokenId, UnixTime};
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};
use state_store::{Key, LimitError, Record, RecordError, Revision, Value, View, record};

use crate::entry::{Entry, KindPlace, Profiles, is_known_subject};
use crate::format::Prefix;
use crate::index::{Found, IdMap};
use crate::record::{
    Cut, EPOCH, EpochRecord, HEARTBEAT, HeartbeatRecord, KEY_PREFIX, MARKER_ALL, MARKER_OWNER, MARKER_SCOPE,
    MarkerRecord, SERVICE_KEY, SERVICE_TOKEN, ServiceRevocationRecord, StoredToken, TOKEN, USAGE,
    UsageRecord,
};

/// The tokens of a store in memory: what a [`Replica`](state_store::Replica) keeps for a [`Vault`](crate::Vault).
///
/// A token whose record cannot be read is unknown, and so refused. A revocation of many that cannot be read
/// might be of any token, so all are refused until it can.
#[derive(Debug, Clone)]
pub struct TokenView {
    tokens: IdMap<Entry>,
    // The kinds of the tokens; what is past its end is compared by the profile.
    kinds: Arc<Vec<Prefix>>,
    usage: IdMap<(UsageRecord, Revision)>,
    heartbeats: RedBlackTreeMapSync<Box<str>, HeartbeatRecord>,
    markers: Markers,
    // By their names, with the ends of tokens.
    service_tokens: RedBlackTreeMapSync<Box<str>, Option<UnixTime>>,
    service_keys: RedBlackTreeSetSync<Box<str>>,
    profiles: Arc<Profiles>,
}

impl TokenView {
    /// No tokens.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tokens: IdMap::new(),
            kinds: Arc::default(),
            usage: IdMap::new(),
            heartbeats: RedBlackTreeMapSync::new_sync(),
            markers: Markers::default(),
            service_tokens: RedBlackTreeMapSync::new_sync(),
            service_keys: RedBlackTreeSetSync::new_sync(),
            profiles: Arc::default(),
        }
    }

    /// What the view is made from: give it to [`Replica::open`](state_store::Replica::open).
    ///
    /// # Errors
    /// None that can occur: the prefix is within its bound.
    pub fn prefix() -> Result<state_store::Prefix, LimitError> {
        state_store::Prefix::new(KEY_PREFIX)
    }

    /// How many tokens there are, dead ones that are not yet purged included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(crate) fn token(&self, id: TokenId) -> Option<Found<'_, Entry>> {
        self.tokens.find(id)
    }

    /// Whether a token is of this kind.
    #[inline]
    pub(crate) fn is_of_kind(&self, entry: &Entry, kind: &Prefix) -> bool {
        self.kinds.get(usize::from(entry.kind.0)).unwrap_or(&entry.profile.kind) == kind
    }

    fn kind_place(&mut self, kind: &Prefix) -> KindPlace {
        let known = self.kinds.iter().position(|known| known == kind);
        let place = known.unwrap_or_else(|| {
            if self.kinds.len() < usize::from(u8::MAX) {
                Arc::make_mut(&mut self.kinds).push(kind.clone());
                self.kinds.len().saturating_sub(1)
            } else {
                usize::from(u8::MAX)
            }
        });
        KindPlace(u8::try_from(place).unwrap_or(u8::MAX))
    }

    pub(crate) fn usage(&self, id: TokenId) -> Option<&(UsageRecord, Revision)> {
        self.usage.get(id)
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = (TokenId, &Entry)> {
        self.tokens.iter()
    }

    pub(crate) fn heartbeats(&self) -> impl Iterator<Item = (&str, &HeartbeatRecord)> {
        self.heartbeats.iter().map(|(name, beat)| (&**name, beat))
    }

    pub(crate) fn is_service_token_revoked(&self, jti: &str) -> bool {
        self.service_tokens.contains_key(jti)
    }

    pub(crate) fn is_service_key_revoked(&self, kid: &str) -> bool {
        self.service_keys.contains(kid)
    }

    /// The revoked signed tokens that ended before `ended`.
    pub(crate) fn over_service_tokens(&self, ended: UnixTime) -> impl Iterator<Item = &str> {
        let over =
            self.service_tokens.iter().filter(move |(_, until)| until.is_some_and(|until| until <= ended));
        over.map(|(jti, _)| &**jti)
    }

    pub(crate) const fn markers(&self) -> &Markers {
        &self.markers
    }
}

impl Default for TokenView {
    fn default() -> Self {
        Self::new()
    }
}

impl View for TokenView {
    fn put(&mut self, key: &Key, value: &Value, revision: Revision) -> Result<(), RecordError> {
        match Place::of(key) {
            Some(Place::Token(id)) => {
                let stored: StoredToken = record::decode(value)?;
                if stored.id != id {
                    return Err(inconsistent::<StoredToken>("its id is not its key's"));
                }
                if !is_known_subject(stored.owner) {
                    return Err(inconsistent::<StoredToken>("its owner is of an unknown kind"));
                }
                let profile = self.profiles.share(stored.profile.get())?;
                let kind = self.kind_place(&profile.kind);
                self.tokens.insert(id, Entry::new(stored, revision, kind, profile));
            }
            Some(Place::Usage(id)) => {
                self.usage.insert(id, (record::decode(value)?, revision));
            }
            Some(Place::Marker(place)) => {
                let record: MarkerRecord = record::decode(value)?;
                self.markers.put(place, Marker { cuts: record.cuts, revision });
                self.markers.poisoned.remove_mut(key);
            }
            Some(Place::Epoch) => {
                let record: EpochRecord = record::decode(value)?;
                self.markers.epoch = record.epoch;
                self.markers.epoch_revision = Some(revision);
                self.markers.poisoned.remove_mut(key);
            }
            Some(Place::ServiceToken(jti)) => {
                let record: ServiceRevocationRecord = record::decode(value)?;
                self.service_tokens.insert_mut(jti, record.until);
            }
            Some(Place::ServiceKey(kid)) => {
                let _: ServiceRevocationRecord = record::decode(value)?;
                self.service_keys.insert_mut(kid);
            }
            Some(Place::Heartbeat(name)) => self.heartbeats.insert_mut(name, record::decode(value)?),
            None => return Err(inconsistent::<StoredToken>("its key is of an unknown form")),
        }
        Ok(())
    }

    fn loading(&mut self) {
        self.tokens.gather();
    }

    fn loaded(&mut self) {
        self.tokens.build();
    }

    fn delete(&mut self, key: &Key) {
        match Place::of(key) {
            Some(Place::Token(id)) => {
                self.tokens.remove(id);
            }
            Some(Place::Usage(id)) => {
                self.usage.remove(id);
            }
            Some(Place::Marker(place)) => self.markers.remove(place),
            Some(Place::Epoch) => self.markers.epoch_revision = None,
            Some(Place::ServiceToken(jti)) => {
                self.service_tokens.remove_mut(&jti);
            }
            Some(Place::ServiceKey(kid)) => {
                self.service_keys.remove_mut(&kid);
            }
            Some(Place::Heartbeat(name)) => {
                self.heartbeats.remove_mut(&name);
            }
            None => {}
        }
        self.markers.poisoned.remove_mut(key);
    }

    fn poison(&mut self, key: &Key) {
        match Place::of(key) {
            Some(Place::Token(id)) => {
                self.tokens.remove(id);
            }
            // As a token that was used up, and not since the beginning of time.
            Some(Place::Usage(id)) => {
                let worst = UsageRecord { last_used_at: None, uses: u64::MAX, failures: u64::MAX };
                self.usage.insert(id, (worst, Revision::ZERO));
            }
            Some(Place::Heartbeat(name)) => {
                self.heartbeats.remove_mut(&name);
            }
            // What is there says at least that it is revoked.
            Some(Place::ServiceToken(jti)) => self.service_tokens.insert_mut(jti, None),
            Some(Place::ServiceKey(kid)) => self.service_keys.insert_mut(kid),
            Some(Place::Marker(_) | Place::Epoch) | None => {
                self.markers.poisoned.insert_mut(key.clone());
            }
        }
    }
}

/// The revocations of many.
#[derive(Debug, Clone, Default)]
pub(crate) struct Markers {
    all: Option<Arc<Marker>>,
    owners: RedBlackTreeMapSync<Subject, Arc<Marker>>,
    scopes: RedBlackTreeMapSync<Scope, Arc<Marker>>,
    pub(crate) epoch: u64,
    pub(crate) epoch_revision: Option<Revision>,
    poisoned: RedBlackTreeSetSync<Key>,
}

/// A marker, and the commit that wrote it.
#[derive(Debug)]
pub(crate) struct Marker {
    pub(crate) cuts: Vec<Cut>,
    pub(crate) revision: Revision,
}

/// What a marker covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MarkerPlace {
    All,
    Owner(Subject),
    Scope(Scope),
}

impl Markers {
    /// Whether a marker exists that cannot be read.
    pub(crate) fn is_damaged(&self) -> bool {
        !self.poisoned.is_empty()
    }

    pub(crate) fn get(&self, place: &MarkerPlace) -> Option<&Arc<Marker>> {
        match place {
            MarkerPlace::All => self.all.as_ref(),
            MarkerPlace::Owner(owner) => self.owners.get(owner),
            MarkerPlace::Scope(scope) => self.scopes.get(scope),
        }
    }

    /// Whether all tokens of the owner, or all there are, were revoked after this one was issued.
    pub(crate) fn kills_owner(&self, entry: &Entry) -> bool {
        let kills = |marker: &Arc<Marker>| marker.kills(entry);
        self.all.as_ref().is_some_and(kills)
            || (!self.owners.is_empty() && self.owners.get(&entry.owner()).is_some_and(kills))
    }

    /// Whether all of the subject's, or all there are, were revoked at or after this second.
    pub(crate) fn kills_signed(&self, subject: Subject, issued_at: UnixTime) -> bool {
        let kills = |marker: &Arc<Marker>| {
            marker.cuts.iter().any(|cut| {
                issued_at.as_secs() <= cut.cause.at.as_secs()
                    && match cut.issued_before {
                        Limit::Unlimited => true,
                        Limit::Only(instant) => issued_at < instant,
                    }
            })
        };
        self.all.as_ref().is_some_and(kills) || self.owners.get(&subject).is_some_and(kills)
    }

    /// Whether all tokens of a scope at or above its home were revoked after this one was issued.
    pub(crate) fn kills_scope(&self, entry: &Entry) -> bool {
        if self.scopes.is_empty() {
            return false;
        }
        let mut scope = Some(entry.profile.home.clone());
        while let Some(here) = scope {
            if self.scopes.get(&here).is_some_and(|marker| marker.kills(entry)) {
                return true;
            }
            scope = here.parent();
        }
        false
    }

    fn put(&mut self, place: MarkerPlace, marker: Marker) {
        let marker = Arc::new(marker);
        match place {
            MarkerPlace::All => self.all = Some(marker),
            MarkerPlace::Owner(owner) => self.owners.insert_mut(owner, marker),
            MarkerPlace::Scope(scope) => self.scopes.insert_mut(scope, marker),
        }
    }

    fn remove(&mut self, place: MarkerPlace) {
        match place {
            MarkerPlace::All => self.all = None,
            MarkerPlace::Owner(owner) => {
                self.owners.remove_mut(&owner);
            }
            MarkerPlace::Scope(scope) => {
                self.scopes.remove_mut(&scope);
            }
        }
    }
}

impl Marker {
    fn kills(&self, entry: &Entry) -> bool {
        self.cuts.iter().any(|cut| {
            entry.epoch() < cut.epoch
                && match cut.issued_before {
                    Limit::Unlimited => true,
                    Limit::Only(instant) => entry.created_at() < instant,
                }
        })
    }
}

/// What a key is about.
enum Place {
    Token(TokenId),
    Usage(TokenId),
    Marker(MarkerPlace),
    Epoch,
    Heartbeat(Box<str>),
    ServiceToken(Box<str>),
    ServiceKey(Box<str>),
}

impl Place {
    fn of(key: &Key) -> Option<Self> {
        if let Some(id) = key.strip_text_prefix(TOKEN) {
            return id.parse().ok().map(Self::Token);
        }
        if let Some(id) = key.strip_text_prefix(USAGE) {
            return id.parse().ok().map(Self::Usage);
        }
        if let Some(owner) = key.strip_text_prefix(MARKER_OWNER) {
            return owner.parse().ok().map(MarkerPlace::Owner).map(Self::Marker);
        }
        if let Some(scope) = key.strip_text_prefix(MARKER_SCOPE) {
            return scope.parse().ok().map(MarkerPlace::Scope).map(Self::Marker);
        }
        if let Some(name) = key.strip_text_prefix(HEARTBEAT) {
            return Some(Self::Heartbeat(name.into()));
        }
        if let Some(jti) = key.strip_text_prefix(SERVICE_TOKEN) {
            return Some(Self::ServiceToken(jti.into()));
        }
        if let Some(kid) = key.strip_text_prefix(SERVICE_KEY) {
            return Some(Self::ServiceKey(kid.into()));
        }
        match key.strip_text_prefix("") {
            Some(MARKER_ALL) => Some(Self::Marker(MarkerPlace::All)),
            Some(EPOCH) => Some(Self::Epoch),
            _ => None,
        }
    }
}

impl MarkerPlace {
    pub(crate) fn key(&self) -> Result<Key, LimitError> {
        match self {
            Self::All => Key::new(MARKER_ALL),
            Self::Owner(owner) => Key::new(format!("{MARKER_OWNER}{owner}")),
            Self::Scope(scope) => Key::new(format!("{MARKER_SCOPE}{scope}")),
        }
    }
}

fn inconsistent<R: Record>(what: &'static str) -> RecordError {
    RecordError::Inconsistent { kind: R::KIND, what }
}
