//! A state as bytes.

use std::collections::BTreeMap;

use core_types::Fingerprint;

use super::member::{ClusterId, Member};
use super::store::{MAX_MEMBERS, MAX_TOMBSTONES, TOMBSTONE, TrustStore, tombstone};
use crate::error::{MemberError, TrustError, WireError};
use crate::wire::{MAX_LONG_FRAME_LEN, Reader, Writer};

impl TrustStore {
    /// The one encoding of this state.
    #[must_use]
    pub fn to_snapshot(&self) -> Vec<u8> {
        let members: Vec<Vec<u8>> = self.members.values().map(Member::to_bytes).collect();
        let dead: Vec<Vec<u8>> = self.tombstones.iter().map(|(at, epoch)| tombstone(at, *epoch)).collect();
        Writer::new(KIND)
            .field(1, self.cluster.as_bytes())
            .field(2, &self.epoch.to_be_bytes())
            .field(3, &self.head)
            .list(4, members.iter().map(Vec::as_slice))
            .list(5, dead.iter().map(Vec::as_slice))
            .finish()
    }

    /// Reads a state. That it is the cluster's is not in the bytes: pin its [`state_id`](Self::state_id), or have them
    /// from who was authenticated.
    ///
    /// # Errors
    /// [`TrustError`] when it is no state that changes could have led to.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, TrustError> {
        let mut reader = Reader::new(bytes, KIND, MAX_LONG_FRAME_LEN).map_err(MemberError::from)?;
        let store = Self::read(&mut reader)?;
        reader.finish().map_err(MemberError::from)?;
        if store.members.is_empty() || store.epoch == 0 {
            return Err(TrustError::Chain);
        }
        Ok(store)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, TrustError> {
        let field = |tag| TrustError::from(MemberError::from(WireError::Field { tag }));
        let cluster = ClusterId::from_bytes(reader.array(1).map_err(MemberError::from)?);
        let epoch = reader.number(2).map_err(MemberError::from)?;
        let head = reader.array(3).map_err(MemberError::from)?;
        let mut store =
            Self { cluster, epoch, head, members: BTreeMap::new(), tombstones: BTreeMap::new(), last: None };
        for bytes in reader.list(4, MAX_MEMBERS).map_err(MemberError::from)? {
            let member = Member::from_bytes(bytes)?;
            let id = member.entry().id();
            let next_is_fresh = member
                .next()
                .is_none_or(|next| next.fingerprint() != member.entry().certificate().fingerprint());
            let ascends = store.members.last_key_value().is_none_or(|(last, _)| *last < id);
            if !ascends || !next_is_fresh || member.since_epoch() == 0 || member.since_epoch() > epoch {
                return Err(field(4));
            }
            store.check_new(member.entry())?;
            if let Some(next) = member.next() {
                store.check_new_certificate(next)?;
            }
            store.members.insert(id, member);
        }
        for bytes in reader.list(5, MAX_TOMBSTONES).map_err(MemberError::from)? {
            let (fingerprint, died) = read_tombstone(bytes).ok_or_else(|| field(5))?;
            let ascends = store.tombstones.last_key_value().is_none_or(|(last, _)| *last < fingerprint);
            if !ascends || died == 0 || died > epoch || store.is_members(&fingerprint) {
                return Err(field(5));
            }
            store.tombstones.insert(fingerprint, died);
        }
        Ok(store)
    }

    fn check_new_certificate(&self, certificate: &super::member::Certificate) -> Result<(), TrustError> {
        if self.is_members(&certificate.fingerprint()) { Err(TrustError::AlreadyMember) } else { Ok(()) }
    }

    fn is_members(&self, fingerprint: &Fingerprint) -> bool {
        let dead_key = |member: &Member| member.entry().key().fingerprint() == *fingerprint;
        self.standing(fingerprint) != super::store::Standing::Unknown || self.members.values().any(dead_key)
    }
}

fn read_tombstone(bytes: &[u8]) -> Option<(Fingerprint, u64)> {
    let (kind, rest) = bytes.split_first()?;
    let (digest, epoch) = rest.split_first_chunk::<32>()?;
    let epoch = u64::from_be_bytes(epoch.try_into().ok()?);
    (*kind == TOMBSTONE).then(|| (Fingerprint::from_sha256(*digest), epoch))
}

const KIND: u8 = 0x44;
