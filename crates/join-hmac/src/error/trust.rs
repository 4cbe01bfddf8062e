use core_types::RandomError;

use crate::trust::ForkEvidence;

/// Why bytes are no frame of ours. The remote side is told «refused», and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// It is longer than any such frame.
    #[error("a frame has at most {limit} bytes")]
    TooLong {
        /// The most bytes.
        limit: usize,
    },
    /// It is shorter or longer than it says.
    #[error("a length is wrong")]
    Truncated,
    /// It is of another kind than is expected here.
    #[error("a frame of another kind")]
    Kind,
    /// A field is missing or malformed.
    #[error("field {tag} is missing or malformed")]
    Field {
        /// Its tag.
        tag: u16,
    },
    /// There is more than belongs there: an unknown or repeated field, or one out of order.
    #[error("there is something after the last field")]
    Trailing,
}

/// Why something is no member's name, address, certificate or key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberError {
    /// A name or a role is none.
    #[error(
        "a name has 1 to 63 characters of a-z, 0-9, `.` and `-`, and begins and ends with a letter or digit"
    )]
    Name,
    /// An address is none, or there are too many.
    #[error("an address is malformed, or there are too many")]
    Address,
    /// A certificate is empty or too long.
    #[error("a certificate has 1 to {limit} bytes")]
    Certificate {
        /// The most bytes.
        limit: usize,
    },
    /// A private key is none.
    #[error("the key is malformed")]
    Key,
    /// The encoding is wrong.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The random source failed.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Why a change of the trust store is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// It is another cluster's.
    #[error("the entry is another cluster's")]
    Cluster,
    /// Its signature is wrong.
    #[error("the entry's signature is wrong")]
    Signature,
    /// It does not follow the state it is applied to: read the state anew.
    #[error("the entry does not follow this state")]
    Chain,
    /// Who signed it is no member, or may not do this.
    #[error("the entry's author may not make this change")]
    Author,
    /// There are two different entries on one head.
    #[error("the chain forks")]
    Fork(Box<ForkEvidence>),
    /// The key and the entry do not belong together.
    #[error("the key is not the one of the entry")]
    Key,
    /// The machine, its certificate or its key is a member's already.
    #[error("already a member")]
    AlreadyMember,
    /// Another member has the name.
    #[error("the name is taken")]
    NameTaken,
    /// The certificate or the key was revoked or retired.
    #[error("a certificate or key that was revoked does not come back")]
    Dead,
    /// There is no such member.
    #[error("no such member")]
    NoSuchMember,
    /// The member has no next certificate.
    #[error("the member has no next certificate")]
    NothingToRetire,
    /// A cluster keeps one member.
    #[error("the last member cannot be revoked")]
    LastMember,
    /// There is no room for more members or tombstones.
    #[error("the store is full")]
    Full,
    /// Something in it is malformed.
    #[error(transparent)]
    Member(#[from] MemberError),
}
