//! A token in the index: as small as it can be, and all of its record.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use core_types::{Limit, Principal, Restriction, Scope, Subject, TokenId, UnixTime};
use state_store::Revision;

use crate::format::Prefix;
use crate::network::Network;
use crate::pepper::{Digest, PepperVersion};
use crate::record::{ParentLink, RetiredSecret, Scheme, StoredSecret, TokenRecord, TokenState};

/// A token in the index.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) profile: Arc<Profile>,
    // `None` for a token with nothing out of the ordinary.
    extra: Option<Box<Extra>>,
    pub(crate) digest: Digest,
    name: Box<str>,
    pub(crate) created_at: UnixTime,
    // `u64::MAX` milliseconds is no end; see `expires_at`.
    expires_millis: u64,
    pub(crate) epoch: u64,
    pub(crate) revision: Revision,
    owner: PackedSubject,
    pub(crate) pepper: PepperVersion,
    pub(crate) generation: u32,
    pub(crate) scheme: Scheme,
}

/// What many tokens share, held once.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Profile {
    pub(crate) kind: Prefix,
    pub(crate) home: Scope,
    // Without its end, which is the token's own.
    pub(crate) restriction: Restriction,
}

/// What few tokens have.
#[derive(Debug, Clone)]
pub(crate) struct Extra {
    pub(crate) creator: Principal,
    pub(crate) state: TokenState,
    pub(crate) networks: Limit<Vec<Network>>,
    pub(crate) idle_millis: Limit<u64>,
    pub(crate) uses: Limit<u64>,
    pub(crate) root: Option<Digest>,
    pub(crate) retired: Vec<RetiredSecret>,
    pub(crate) parent: Option<ParentLink>,
    pub(crate) lineage_epoch: u64,
    pub(crate) narrowed: u32,
    pub(crate) rotate_by: Option<UnixTime>,
}

impl Entry {
    pub(crate) fn new(record: TokenRecord, revision: Revision, profiles: &Profiles) -> Self {
        let (restriction, expires_millis) = without_end(record.restriction);
        let extra = Extra {
            creator: record.creator,
            state: record.state,
            networks: record.networks,
            idle_millis: record.idle_millis,
            uses: record.uses,
            root: record.root,
            retired: record.retired,
            parent: record.parent,
            lineage_epoch: record.lineage_epoch,
            narrowed: record.narrowed,
            rotate_by: record.rotate_by,
        };
        Self {
            profile: profiles.share(Profile { kind: record.kind, home: record.home, restriction }),
            extra: (!extra.is_plain(record.owner)).then(|| Box::new(extra)),
            digest: record.secret.digest,
            name: record.name,
            created_at: record.created_at,
            expires_millis,
            epoch: record.epoch,
            revision,
            owner: PackedSubject::new(record.owner),
            pepper: record.secret.pepper,
            generation: record.generation,
            scheme: record.secret.scheme,
        }
    }

    /// The record this entry was made of.
    pub(crate) fn to_record(&self, id: TokenId) -> TokenRecord {
        let owner = self.owner();
        let extra = self.extra.as_deref().cloned().unwrap_or_else(|| Extra::plain(owner));
        TokenRecord {
            id,
            name: self.name.clone(),
            kind: self.profile.kind.clone(),
            owner,
            home: self.profile.home.clone(),
            creator: extra.creator,
            restriction: self.restriction(),
            networks: extra.networks,
            idle_millis: extra.idle_millis,
            uses: extra.uses,
            created_at: self.created_at,
            epoch: self.epoch,
            state: extra.state,
            generation: self.generation,
            secret: StoredSecret { scheme: self.scheme, pepper: self.pepper, digest: self.digest },
            root: extra.root,
            retired: extra.retired,
            parent: extra.parent,
            lineage_epoch: extra.lineage_epoch,
            narrowed: extra.narrowed,
            rotate_by: extra.rotate_by,
        }
    }

    pub(crate) fn owner(&self) -> Subject {
        self.owner.subject()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn extra(&self) -> Option<&Extra> {
        self.extra.as_deref()
    }

    pub(crate) fn state(&self) -> TokenState {
        self.extra().map_or(TokenState::Active, |extra| extra.state)
    }

    pub(crate) fn expires_at(&self) -> Limit<UnixTime> {
        match self.expires_millis {
            u64::MAX => Limit::Unlimited,
            millis => Limit::Only(UnixTime::from_millis(millis)),
        }
    }

    pub(crate) const fn is_expired(&self, now: UnixTime) -> bool {
        self.expires_millis != u64::MAX && now.as_millis() >= self.expires_millis
    }

    /// The restriction with its end.
    pub(crate) fn restriction(&self) -> Restriction {
        let restriction = self.profile.restriction.clone();
        match self.expires_at() {
            Limit::Unlimited => restriction,
            Limit::Only(at) => restriction.expiring(at),
        }
    }
}

impl Extra {
    const fn plain(owner: Subject) -> Self {
        Self {
            creator: Principal::subject(owner),
            state: TokenState::Active,
            networks: Limit::Unlimited,
            idle_millis: Limit::Unlimited,
            uses: Limit::Unlimited,
            root: None,
            retired: Vec::new(),
            parent: None,
            lineage_epoch: 0,
            narrowed: 0,
            rotate_by: None,
        }
    }

    fn is_plain(&self, owner: Subject) -> bool {
        self.creator == Principal::subject(owner)
            && self.state == TokenState::Active
            && self.networks == Limit::Unlimited
            && self.idle_millis == Limit::Unlimited
            && self.uses == Limit::Unlimited
            && self.root.is_none()
            && self.retired.is_empty()
            && self.parent.is_none()
            && self.lineage_epoch == 0
            && self.narrowed == 0
            && self.rotate_by.is_none()
    }
}

/// A subject in 17 bytes; its own type is aligned to 16 and takes 32.
#[derive(Debug, Clone, Copy)]
struct PackedSubject {
    kind: SubjectKind,
    id: [u8; 16],
}

#[derive(Debug, Clone, Copy)]
enum SubjectKind {
    User,
    ServiceAccount,
    Machine,
}

impl PackedSubject {
    fn new(subject: Subject) -> Self {
        match subject {
            Subject::ServiceAccount(id) => Self { kind: SubjectKind::ServiceAccount, id: id.to_bytes() },
            Subject::Machine(id) => Self { kind: SubjectKind::Machine, id: id.to_bytes() },
            Subject::User(id) => Self { kind: SubjectKind::User, id: id.to_bytes() },
            // `Subject` may grow; what this crate does not know is refused where records are read.
            _ => Self { kind: SubjectKind::User, id: [0; 16] },
        }
    }

    fn subject(self) -> Subject {
        match self.kind {
            SubjectKind::User => Subject::User(core_types::UserId::from_bytes(self.id)),
            SubjectKind::ServiceAccount => {
                Subject::ServiceAccount(core_types::ServiceAccountId::from_bytes(self.id))
            }
            SubjectKind::Machine => Subject::Machine(core_types::MachineId::from_bytes(self.id)),
        }
    }
}

/// Whether a subject is of a kind the index can hold.
pub(crate) fn is_known_subject(subject: Subject) -> bool {
    PackedSubject::new(subject).subject() == subject
}

/// The profiles in use, each held once. Only writers come here.
#[derive(Debug, Default)]
pub(crate) struct Profiles {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    profiles: HashSet<Arc<Profile>>,
    sweep_at: usize,
}

impl Profiles {
    fn share(&self, profile: Profile) -> Arc<Profile> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = known.profiles.get(&profile) {
            return Arc::clone(shared);
        }
        if known.profiles.len() >= known.sweep_at {
            // Those only this set holds belong to tokens that are gone.
            known.profiles.retain(|profile| Arc::strong_count(profile) > 1);
            known.sweep_at = known.profiles.len().saturating_mul(2).saturating_add(SWEEP_MIN);
        }
        let shared = Arc::new(profile);
        known.profiles.insert(Arc::clone(&shared));
        shared
    }
}

fn without_end(restriction: Restriction) -> (Restriction, u64) {
    let Limit::Only(at) = restriction.expires_at() else { return (restriction, u64::MAX) };
    let endless = match restriction.grants() {
        Limit::Unlimited => Restriction::unrestricted(),
        // The same grants, so as many as before: within the bound.
        Limit::Only(grants) => Restriction::only(grants.iter().cloned()).unwrap_or_default(),
    };
    // An end past the last millisecond but one is moved before it: earlier is narrower.
    (endless, at.as_millis().min(u64::MAX.wrapping_sub(1)))
}

const SWEEP_MIN: usize = 1024;
