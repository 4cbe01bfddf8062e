//! What can go wrong with a rotation.

use core_types::MachineId;

/// Why a rotation is not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// It would lose packets, and that was not allowed.
    #[error("{packets} packets would be lost, {pairs} pairs are affected")]
    Costs {
        /// How many, over all pairs and both ways.
        packets: u64,
        /// With how many machines.
        pairs: usize,
    },
    /// The machine is in the list of those it has a path to.
    #[error("{machine} has a path to itself, or is listed twice")]
    Paths {
        /// Which machine.
        machine: MachineId,
    },
    /// All machines at once is done with second interfaces alone.
    #[error("{machine} has no second interface, which a rotation of all machines needs")]
    NoSecondInterface {
        /// Which machine.
        machine: MachineId,
    },
}

/// Why the lease on rotations was not had, or not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoundError {
    /// Another rotation is under way, or somebody was faster. Look again.
    #[error("another rotation is under way")]
    Busy,
    /// The rotation is past the point to which it can be aborted: begin another one, back to the previous key.
    #[error("the rotation can no longer be aborted")]
    Committed,
    /// What the store holds is no round.
    #[error("the store holds no round of this version")]
    Damaged,
    /// There is no rotation.
    #[error("no rotation is under way")]
    Nothing,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] state_store::ReadError),
    /// It could not be written to.
    #[error(transparent)]
    Commit(#[from] state_store::CommitError),
    /// What was to be written is none.
    #[error(transparent)]
    Record(#[from] state_store::RecordError),
    /// The batch cannot be made.
    #[error(transparent)]
    Batch(#[from] state_store::BatchError),
}
