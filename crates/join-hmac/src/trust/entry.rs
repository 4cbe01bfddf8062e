//! Changes, and the signed entries of the chain.

use super::member::{Certificate, ClusterId, MemberEntry, MemberId, MemberKey, PublicKey};
use crate::error::{MemberError, WireError};
use crate::mac::{self, Digest};
use crate::wire::{MAX_FRAME_LEN, Reader, Writer};

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The first member; the beginning of the chain.
    Found(MemberEntry),
    /// A new member.
    Add(MemberEntry),
    /// A member's next certificate, accepted besides the one in use. Only the member itself signs this.
    Rotate {
        /// The member.
        member: MemberId,
        /// Its next certificate.
        next: Certificate,
    },
    /// The next certificate takes the place of the one in use, which becomes a tombstone.
    Retire {
        /// The member.
        member: MemberId,
    },
    /// The member is no more; its certificates and its key become tombstones.
    Revoke {
        /// The member.
        member: MemberId,
    },
}

/// A change, where in the chain it stands, and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    cluster: ClusterId,
    epoch: u64,
    previous: Digest,
    author: PublicKey,
    change: Change,
    signature: [u8; 64],
}

impl Entry {
    pub(super) fn sign(
        cluster: ClusterId,
        epoch: u64,
        previous: Digest,
        change: Change,
        key: &MemberKey,
    ) -> Self {
        let author = key.public();
        let mut entry = Self { cluster, epoch, previous, author, change, signature: [0; 64] };
        entry.signature = key.sign(&entry.signed());
        entry
    }

    /// The cluster it is of.
    #[must_use]
    pub const fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The epoch it begins.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The head it follows.
    #[must_use]
    pub const fn previous(&self) -> &[u8; 32] {
        &self.previous
    }

    /// Who signed it.
    #[must_use]
    pub const fn author(&self) -> PublicKey {
        self.author
    }

    /// What it changes.
    #[must_use]
    pub const fn change(&self) -> &Change {
        &self.change
    }

    /// The head of the chain after it.
    #[must_use]
    pub fn head(&self) -> [u8; 32] {
        mac::Parts::new("palisade-join/1 entry").with(&self.to_bytes()).value()
    }

    /// Whether its signature is its author's.
    pub(super) fn is_signed(&self) -> bool {
        self.author.verifies(&self.signed(), &self.signature)
    }

    /// Its one encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.unsigned().field(0x80, &self.signature).finish()
    }

    /// Reads the encoding; whether it is rightly signed and belongs there, a store says.
    ///
    /// # Errors
    /// [`MemberError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MemberError> {
        let mut reader = Reader::new(bytes, KIND, MAX_FRAME_LEN)?;
        let cluster = ClusterId::from_bytes(reader.array(1)?);
        let epoch = reader.number(2)?;
        let previous = reader.array(3)?;
        let author = PublicKey::from_bytes(reader.array(4)?);
        let kind = reader.byte(5)?;
        let value = reader.field(6)?;
        let id = || value.try_into().map(MemberId::from_bytes).map_err(|_| WireError::Field { tag: 6 });
        let change = match kind {
            FOUND => Change::Found(MemberEntry::from_bytes(value)?),
            ADD => Change::Add(MemberEntry::from_bytes(value)?),
            ROTATE => Change::Rotate { member: id()?, next: Certificate::new(reader.field(7)?)? },
            RETIRE => Change::Retire { member: id()? },
            REVOKE => Change::Revoke { member: id()? },
            _ => return Err(WireError::Field { tag: 5 }.into()),
        };
        let signature = reader.array(0x80)?;
        reader.finish()?;
        Ok(Self { cluster, epoch, previous, author, change, signature })
    }

    fn signed(&self) -> Digest {
        mac::Parts::new("palisade-join/1 signed entry").with(&self.unsigned().finish()).value()
    }

    fn unsigned(&self) -> Writer {
        let (kind, value, next) = match &self.change {
            Change::Found(entry) => (FOUND, entry.to_bytes(), None),
            Change::Add(entry) => (ADD, entry.to_bytes(), None),
            Change::Rotate { member, next } => (ROTATE, member.as_bytes().to_vec(), Some(next.der())),
            Change::Retire { member } => (RETIRE, member.as_bytes().to_vec(), None),
            Change::Revoke { member } => (REVOKE, member.as_bytes().to_vec(), None),
        };
        Writer::new(KIND)
            .field(1, self.cluster.as_bytes())
            .field(2, &self.epoch.to_be_bytes())
            .field(3, &self.previous)
            .field(4, self.author.as_bytes())
            .field(5, &[kind])
            .field(6, &value)
            .optional(7, next)
    }
}

const KIND: u8 = 0x42;
const FOUND: u8 = 0;
const ADD: u8 = 1;
const ROTATE: u8 = 2;
const RETIRE: u8 = 3;
const REVOKE: u8 = 4;
