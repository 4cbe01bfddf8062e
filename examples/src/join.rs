//! Joins over real connections: what the control plane and the agent share, and the agent.

pub mod agent;
pub(crate) mod frames;
pub mod machine;
pub mod tls;

use join_hmac::error::JoinError;

/// Why a connection of a join ended before the join did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The connection broke, or nothing came in time.
    #[error("the connection: {0}")]
    Io(#[from] std::io::Error),
    /// What came is not what the protocol has there.
    #[error(transparent)]
    Join(#[from] JoinError),
}

impl From<join_hmac::error::WireError> for LinkError {
    fn from(error: join_hmac::error::WireError) -> Self {
        Self::Join(error.into())
    }
}
