//! The members' trust store: who belongs to the cluster, by a chain of signed changes that everyone can check.
//!
//! A [`TrustStore`] is a value: the members, their certificates (one in use, and the next one while it is rotated), the
//! tombstones of what was revoked, the epoch and the head of the chain. [`Change`]s are signed by members as
//! [`Entry`]s; each names the head before it, so two histories are told apart by their first difference, and two entries
//! on one head are evidence of a fork. The Merkle root covers members and tombstones: those who have the same root have
//! the same set.

mod entry;
mod fork;
mod member;
mod merkle;
mod snapshot;
mod store;

pub use self::entry::{Change, Entry};
pub use self::fork::ForkEvidence;
pub(crate) use self::member::check_name;
pub use self::member::{
    Certificate, ClusterId, Identity, MAX_ADDRESS_LEN, MAX_ADDRESSES, MAX_CERTIFICATE_LEN, MAX_NAME_LEN,
    Member, MemberEntry, MemberId, MemberKey, PublicKey,
};
pub use self::merkle::InclusionProof;
pub use self::store::{MAX_MEMBERS, MAX_TOMBSTONES, Root, Standing, StateId, TrustStore};
