//! A token in the index: what verifying reads side by side, the rest out of its way, and all of its record.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use core_types::{Limit, Principal, Restriction, Scope, Subject, TokenId, UnixTime};
use serde::{Deserialize, Serialize};
use state_store::{RecordError, Revision};

use crate::format::Prefix;
use crate::network::Network;
use crate::pepper::{Digest, PepperVersion};
use crate::record::{
    ParentLink, RetiredSecret, Scheme, StoredProfile, StoredSecret, StoredToken, TokenRecord, TokenState,
};

/// A token in the index; a clone shares what is not in it. In the order of use, so that verifying reads as few
/// lines of cache as it can.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) digest: Digest,
    // `None` for a token with nothing out of the ordinary.
    extra: Option<Arc<Extra>>,
    // `u64::MAX` milliseconds is no end; see `expires_at`.
    expires_millis: u64,
    owner: PackedSubject,
    pub(crate) pepper: PepperVersion,
    // The epoch, or the most that fits where it is more: a lower one is only ever stricter.
    epoch: u32,
    pub(crate) scheme: Scheme,
    pub(crate) kind: KindPlace,
    pub(crate) profile: Arc<Profile>,
    rest: Arc<[u8]>,
}

/// The place of a kind in [`TokenView::kinds`](crate::TokenView), or past its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KindPlace(pub(crate) u8);

/// What many tokens share, held once.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) kind: Prefix,
    pub(crate) home: Scope,
    // Without its end, which is the token's own.
    pub(crate) restriction: Restriction,
}

/// What verifying an ordinary token does not read.
#[derive(Debug, Clone, Copy)]
struct Rest<'a> {
    created_at: UnixTime,
    epoch: u64,
    revision: Revision,
    generation: u32,
    name: &'a str,
}

/// What few tokens have.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extra {
    pub(crate) creator: Principal,
    pub(crate) state: TokenState,
    pub(crate) networks: Limit<Vec<Network>>,
    pub(crate) idle_millis: Limit<u64>,
    pub(crate) uses: Limit<u64>,
    // The root of tokens narrowed by holders, sealed; `None` where they are not accepted.
    pub(crate) root: Option<Digest>,
    pub(crate) retired: Vec<RetiredSecret>,
    pub(crate) parent: Option<ParentLink>,
    pub(crate) lineage_epoch: u64,
    pub(crate) narrowed: u32,
    pub(crate) rotate_by: Option<UnixTime>,
}

impl Entry {
    pub(crate) fn new(
        stored: StoredToken,
        revision: Revision,
        kind: KindPlace,
        profile: Arc<Profile>,
    ) -> Self {
        let rest = Rest {
            created_at: stored.created_at,
            epoch: stored.epoch,
            revision,
            generation: stored.generation,
            name: &stored.name,
        };
        Self {
            digest: stored.secret.digest,
            extra: stored.more.filter(|extra| !extra.is_plain(stored.owner)).map(Arc::from),
            expires_millis: match stored.expires_at {
                Limit::Unlimited => u64::MAX,
                // An end past the last millisecond but one is moved before it: earlier is narrower.
                Limit::Only(at) => at.as_millis().min(u64::MAX.wrapping_sub(1)),
            },
            owner: PackedSubject::new(stored.owner),
            pepper: stored.secret.pepper,
            epoch: u32::try_from(stored.epoch).unwrap_or(u32::MAX),
            scheme: stored.secret.scheme,
            kind,
            profile,
            rest: rest.pack(),
        }
    }

    /// The record this entry was made of.
    pub(crate) fn to_record(&self, id: TokenId) -> TokenRecord {
        let owner = self.owner();
        let extra = self.extra.as_deref().cloned().unwrap_or_else(|| Extra::plain(owner));
        let rest = self.rest();
        TokenRecord {
            id,
            name: rest.name.into(),
            kind: self.profile.kind.clone(),
            owner,
            home: self.profile.home.clone(),
            restriction: self.restriction(),
            created_at: rest.created_at,
            epoch: rest.epoch,
            generation: rest.generation,
            secret: StoredSecret { scheme: self.scheme, pepper: self.pepper, digest: self.digest },
            extra,
        }
    }

    pub(crate) fn owner(&self) -> Subject {
        self.owner.subject()
    }

    pub(crate) fn name(&self) -> &str {
        self.rest().name
    }

    pub(crate) fn created_at(&self) -> UnixTime {
        self.rest().created_at
    }

    /// The commit that wrote the record.
    pub(crate) fn revision(&self) -> Revision {
        self.rest().revision
    }

    pub(crate) fn generation(&self) -> u32 {
        self.rest().generation
    }

    /// The epoch the issuer knew of, or a lower one.
    pub(crate) fn epoch(&self) -> u64 {
        u64::from(self.epoch)
    }

    #[inline]
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

    fn rest(&self) -> Rest<'_> {
        Rest::unpack(&self.rest)
    }
}

impl<'a> Rest<'a> {
    /// Four numbers of variable length (LEB128), and the name.
    fn pack(&self) -> Arc<[u8]> {
        let created_at = self.created_at.as_millis();
        let mut bytes = [0; MAX_NUMBERS_LEN];
        let mut places = bytes.iter_mut();
        let mut write = |byte| places.next().map_or((), |place| *place = byte);
        for mut number in [created_at, self.epoch, self.revision.get(), u64::from(self.generation)] {
            while number > LOW_BITS {
                write(u8::try_from(number & LOW_BITS).unwrap_or(0) | MORE);
                number >>= 7;
            }
            write(u8::try_from(number).unwrap_or(0));
        }
        let used = MAX_NUMBERS_LEN.saturating_sub(places.len());
        // Of an iterator that knows its length, in one piece of memory at once.
        bytes.get(..used).unwrap_or(&[]).iter().chain(self.name.as_bytes()).copied().collect()
    }

    fn unpack(mut bytes: &'a [u8]) -> Self {
        let mut numbers = [0_u64; 4];
        for number in &mut numbers {
            let mut shift = 0;
            while let Some((&byte, more)) = bytes.split_first() {
                bytes = more;
                *number |= (u64::from(byte) & LOW_BITS).wrapping_shl(shift);
                shift = shift.saturating_add(7);
                if byte & MORE == 0 {
                    break;
                }
            }
        }
        let [created_at, epoch, revision, generation] = numbers;
        Self {
            created_at: UnixTime::from_millis(created_at),
            epoch,
            revision: Revision::new(revision),
            generation: u32::try_from(generation).unwrap_or(u32::MAX),
            name: core::str::from_utf8(bytes).unwrap_or(""),
        }
    }
}

impl Extra {
    pub(crate) const fn plain(owner: Subject) -> Self {
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

    pub(crate) fn is_plain(&self, owner: Subject) -> bool {
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

/// The profiles in use, each held once, by the text they were read from. Only writers come here.
#[derive(Debug, Default)]
pub(crate) struct Profiles {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    profiles: HashMap<Box<str>, Arc<Profile>>,
    sweep_at: usize,
}

impl Profiles {
    /// The profile a record holds.
    pub(crate) fn share(&self, stored: &str) -> Result<Arc<Profile>, RecordError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = known.profiles.get(stored) {
            return Ok(Arc::clone(shared));
        }
        let profile = Arc::new(StoredProfile::read(stored)?);
        if known.profiles.len() >= known.sweep_at {
            // Those only this map holds belong to tokens that are gone.
            known.profiles.retain(|_, profile| Arc::strong_count(profile) > 1);
            known.sweep_at = known.profiles.len().saturating_mul(2).saturating_add(SWEEP_MIN);
        }
        known.profiles.insert(stored.into(), Arc::clone(&profile));
        Ok(profile)
    }
}

const SWEEP_MIN: usize = 1024;
const LOW_BITS: u64 = 0x7f;
const MORE: u8 = 0x80;
/// Three numbers of 64 bits and one of 32.
const MAX_NUMBERS_LEN: usize = 35;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let name = "deploy to 東京";
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let rest = Rest {
                created_at: UnixTime::from_millis(number),
                epoch: number,
                revision: Revision::new(number),
                generation: u32::try_from(number).unwrap_or(u32::MAX),
                name,
            };
            let packed = rest.pack();
            let again = Rest::unpack(&packed);
            assert_eq!((again.created_at, again.epoch), (rest.created_at, rest.epoch));
            assert_eq!((again.revision, again.generation), (rest.revision, rest.generation));
            assert_eq!(again.name, name);
        }
    }

    #[test]
    fn an_entry_stays_within_two_lines_of_cache() {
        assert!(size_of::<Entry>() <= 112, "with the id before it: {}", size_of::<Entry>());
    }
}
