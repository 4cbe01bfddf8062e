//! The store as a value, and the rules of its changes.

use std::collections::BTreeMap;

use core_types::Fingerprint;

use super::entry::{Change, Entry};
use super::fork::ForkEvidence;
use super::member::{Certificate, ClusterId, Identity, Member, MemberEntry, MemberId, MemberKey};
use super::merkle::{self, InclusionProof};
use crate::error::TrustError;
use crate::mac::{Digest, Parts};

/// The most members of a cluster.
pub const MAX_MEMBERS: usize = 128;

/// The most tombstones; past them a cluster is founded anew.
pub const MAX_TOMBSTONES: usize = 4096;

/// The Merkle root over members and tombstones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Root(Digest);

impl Root {
    /// The root of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// One state of one cluster: a digest over id, epoch, head and root. Who pins it accepts what follows from it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateId(Digest);

impl StateId {
    /// The state of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a certificate is to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a verifier decides every case")]
pub enum Standing {
    /// The one in use of this member.
    Current(MemberId),
    /// The next one of this member: accepted too.
    Next(MemberId),
    /// Revoked or retired: refused, for ever.
    Dead,
    /// Nobody's: refused.
    Unknown,
}

/// The members of a cluster at one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustStore {
    pub(super) cluster: ClusterId,
    pub(super) epoch: u64,
    pub(super) head: Digest,
    pub(super) members: BTreeMap<MemberId, Member>,
    // Certificates and keys that are never accepted again, and the epoch in which they died.
    pub(super) tombstones: BTreeMap<Fingerprint, u64>,
    // The entry that led here, for telling a fork; not in a snapshot.
    pub(super) last: Option<Box<Entry>>,
}

impl TrustStore {
    /// A new cluster with its first member, and the entry that begins the chain.
    ///
    /// # Errors
    /// [`TrustError::Key`] when the entry is another machine's.
    pub fn found(
        cluster: ClusterId,
        member: MemberEntry,
        identity: &Identity,
    ) -> Result<(Self, Entry), TrustError> {
        if member.key() != identity.key().public() {
            return Err(TrustError::Key);
        }
        let entry = Entry::sign(cluster, 1, [0; 32], Change::Found(member), identity.key());
        Ok((Self::from_first(&entry)?, entry))
    }

    /// The store that a chain's first entry makes.
    ///
    /// # Errors
    /// [`TrustError::Chain`], [`TrustError::Signature`].
    pub fn from_first(entry: &Entry) -> Result<Self, TrustError> {
        let Change::Found(member) = entry.change() else { return Err(TrustError::Chain) };
        if entry.epoch() != 1 || *entry.previous() != [0; 32] || member.key() != entry.author() {
            return Err(TrustError::Chain);
        }
        if !entry.is_signed() {
            return Err(TrustError::Signature);
        }
        let first = Member { entry: member.clone(), next: None, since_epoch: 1 };
        Ok(Self {
            cluster: entry.cluster(),
            epoch: 1,
            head: entry.head(),
            members: BTreeMap::from([(member.id(), first)]),
            tombstones: BTreeMap::new(),
            last: Some(Box::new(entry.clone())),
        })
    }

    /// Signs a change on top of this state. Nothing is changed before the entry is [applied](Self::apply).
    ///
    /// # Errors
    /// [`TrustError`] when the change would be refused.
    pub fn sign(&self, change: Change, key: &MemberKey) -> Result<Entry, TrustError> {
        let epoch = self.epoch.checked_add(1).ok_or(TrustError::Chain)?;
        let entry = Entry::sign(self.cluster, epoch, self.head, change, key);
        self.apply(&entry)?;
        Ok(entry)
    }

    /// The state after `entry`; this one is as it was.
    ///
    /// # Errors
    /// [`TrustError`]; of [`TrustError::Fork`], keep the evidence and tell an operator.
    pub fn apply(&self, entry: &Entry) -> Result<Self, TrustError> {
        if entry.cluster() != self.cluster {
            return Err(TrustError::Cluster);
        }
        if !entry.is_signed() {
            return Err(TrustError::Signature);
        }
        if let Some(last) = self.last.as_deref()
            && let Some(evidence) = ForkEvidence::between(last, entry)
        {
            return Err(TrustError::Fork(Box::new(evidence)));
        }
        if Some(entry.epoch()) != self.epoch.checked_add(1) || *entry.previous() != self.head {
            return Err(TrustError::Chain);
        }
        let author = MemberId::of(&entry.author());
        if !self.members.contains_key(&author) {
            return Err(TrustError::Author);
        }
        let mut after = self.clone();
        after.epoch = entry.epoch();
        after.head = entry.head();
        after.change(entry, author)?;
        after.last = Some(Box::new(entry.clone()));
        Ok(after)
    }

    /// The state after several entries.
    ///
    /// # Errors
    /// As [`apply`](Self::apply), of the first that is refused.
    pub fn apply_all<'a>(&self, entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, TrustError> {
        entries.into_iter().try_fold(self.clone(), |store, entry| store.apply(entry))
    }

    /// The cluster.
    #[must_use]
    pub const fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// How many changes there were.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The head of the chain.
    #[must_use]
    pub const fn head(&self) -> &[u8; 32] {
        &self.head
    }

    /// The members.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// A member.
    #[must_use]
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        self.members.get(id)
    }

    /// The member of this name.
    #[must_use]
    pub fn member_named(&self, name: &str) -> Option<&Member> {
        self.members().find(|member| member.entry.name() == name)
    }

    /// What a certificate is to the cluster. Only an end-entity certificate whose key was proven may be asked about.
    pub fn standing(&self, fingerprint: &Fingerprint) -> Standing {
        if self.tombstones.contains_key(fingerprint) {
            return Standing::Dead;
        }
        for (id, member) in &self.members {
            if member.entry.certificate().fingerprint() == *fingerprint {
                return Standing::Current(*id);
            }
            if member.next.as_ref().map(Certificate::fingerprint) == Some(*fingerprint) {
                return Standing::Next(*id);
            }
        }
        Standing::Unknown
    }

    /// Who of the members has not said yet that it knows this epoch. Nobody waits for them.
    pub fn lagging<'a>(
        &'a self,
        acknowledged: &'a BTreeMap<MemberId, u64>,
    ) -> impl Iterator<Item = MemberId> + 'a {
        self.members.keys().copied().filter(|id| acknowledged.get(id).is_none_or(|&epoch| epoch < self.epoch))
    }

    /// The Merkle root.
    #[must_use]
    pub fn root(&self) -> Root {
        Root(merkle::root(&self.leaves()))
    }

    /// The digest that pins this state.
    #[must_use]
    pub fn state_id(&self) -> StateId {
        StateId(
            Parts::new("palisade-join/1 state")
                .with(self.cluster.as_bytes())
                .with(&self.epoch.to_be_bytes())
                .with(&self.head)
                .with(self.root().as_bytes())
                .value(),
        )
    }

    /// Proof that a member is in the tree of [`root`](Self::root).
    #[must_use]
    pub fn prove(&self, id: &MemberId) -> Option<InclusionProof> {
        let index = self.members.keys().position(|known| known == id)?;
        InclusionProof::new(&self.leaves(), index)
    }

    fn change(&mut self, entry: &Entry, author: MemberId) -> Result<(), TrustError> {
        match entry.change() {
            Change::Found(_) => Err(TrustError::Chain),
            Change::Add(member) => self.add(member),
            Change::Rotate { member, next } => {
                if *member != author {
                    return Err(TrustError::Author);
                }
                self.check_fresh(&next.fingerprint())?;
                self.member_mut(member)?.next = Some(next.clone());
                Ok(())
            }
            Change::Retire { member } => {
                let found = self.member_mut(member)?;
                let next = found.next.take().ok_or(TrustError::NothingToRetire)?;
                let dead = found.entry.certificate().fingerprint();
                found.entry.set_certificate(next);
                self.bury([dead])
            }
            Change::Revoke { member } => {
                let dead = self.members.remove(member).ok_or(TrustError::NoSuchMember)?;
                if self.members.is_empty() {
                    return Err(TrustError::LastMember);
                }
                let entry = &dead.entry;
                let all = [entry.certificate().fingerprint(), entry.key().fingerprint()];
                self.bury(all.into_iter().chain(dead.next.as_ref().map(Certificate::fingerprint)))
            }
        }
    }

    fn add(&mut self, entry: &MemberEntry) -> Result<(), TrustError> {
        self.check_new(entry)?;
        let member = Member { entry: entry.clone(), next: None, since_epoch: self.epoch };
        self.members.insert(entry.id(), member);
        Ok(())
    }

    /// Whether this could be added.
    pub(crate) fn check_new(&self, entry: &MemberEntry) -> Result<(), TrustError> {
        if self.members.len() >= MAX_MEMBERS {
            return Err(TrustError::Full);
        }
        if self.members.contains_key(&entry.id()) {
            return Err(TrustError::AlreadyMember);
        }
        if self.member_named(entry.name()).is_some() {
            return Err(TrustError::NameTaken);
        }
        self.check_fresh(&entry.certificate().fingerprint())?;
        self.check_fresh(&entry.key().fingerprint())
    }

    fn check_fresh(&self, fingerprint: &Fingerprint) -> Result<(), TrustError> {
        match self.standing(fingerprint) {
            Standing::Unknown => Ok(()),
            Standing::Dead => Err(TrustError::Dead),
            Standing::Current(_) | Standing::Next(_) => Err(TrustError::AlreadyMember),
        }
    }

    fn member_mut(&mut self, id: &MemberId) -> Result<&mut Member, TrustError> {
        self.members.get_mut(id).ok_or(TrustError::NoSuchMember)
    }

    fn bury(&mut self, dead: impl IntoIterator<Item = Fingerprint>) -> Result<(), TrustError> {
        for fingerprint in dead {
            if self.tombstones.len() >= MAX_TOMBSTONES {
                return Err(TrustError::Full);
            }
            self.tombstones.insert(fingerprint, self.epoch);
        }
        Ok(())
    }

    fn leaves(&self) -> Vec<Vec<u8>> {
        let members = self.members.values().map(Member::to_bytes);
        let tombstones = self.tombstones.iter().map(|(fingerprint, epoch)| tombstone(fingerprint, *epoch));
        members.chain(tombstones).collect()
    }
}

impl InclusionProof {
    /// Whether it proves that `member` is in the tree of `root`.
    #[must_use]
    pub fn proves(&self, member: &Member, root: &Root) -> bool {
        self.leads(&member.to_bytes(), root)
    }
}

/// A leaf no member's encoding begins like.
pub(super) fn tombstone(fingerprint: &Fingerprint, epoch: u64) -> Vec<u8> {
    [&[TOMBSTONE], fingerprint.as_bytes().as_slice(), &epoch.to_be_bytes()].concat()
}

pub(super) const TOMBSTONE: u8 = 0x43;
