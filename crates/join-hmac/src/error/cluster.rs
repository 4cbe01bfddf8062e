use state_store::{BatchError, LimitError, ReadError};

use super::{MemberError, RecordError, TicketError, TrustError};

/// Why the cluster's records cannot be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The store cannot say: nothing is known.
    #[error("the store cannot be read")]
    Read,
    /// A key or a value is too long.
    #[error("a record does not fit the store")]
    Limit,
    /// The records do not belong together: the store was changed by something else.
    #[error("the cluster's records do not belong together")]
    Damaged,
    /// There is no such ticket or join.
    #[error("no such ticket or join")]
    Unknown,
    /// The ticket or the join is in use.
    #[error("in use")]
    InUse,
    /// There are too many.
    #[error("too many records")]
    Full,
    /// A change of the members is refused.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A ticket is not usable, or its record is damaged.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// A join's record is damaged.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An entry is damaged.
    #[error(transparent)]
    Member(#[from] MemberError),
}

impl From<ReadError> for ClusterError {
    fn from(_: ReadError) -> Self {
        Self::Read
    }
}

impl From<LimitError> for ClusterError {
    fn from(_: LimitError) -> Self {
        Self::Limit
    }
}

impl From<BatchError> for ClusterError {
    fn from(_: BatchError) -> Self {
        Self::Limit
    }
}
