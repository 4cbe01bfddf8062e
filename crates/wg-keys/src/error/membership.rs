//! What can go wrong with records and with what is derived from them.

use core_types::MachineId;

use crate::config::Prefix;
use crate::error::KeyError;
use crate::key::PublicKey;

/// Why bytes are no record. Whoever wrote them is told that they are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes end early, go on after the end, or are not of this version.
    #[error("the bytes are no key record of version 1")]
    Form,
    /// A key of the record is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The epoch is 0 or too large.
    #[error("the epoch is not within its bounds")]
    Epoch,
    /// It has a previous key and no previous record, or the other way round.
    #[error("the previous key and the previous record do not belong together")]
    Chain,
    /// It is valid at no time.
    #[error("the record expires before it begins")]
    Dates,
    /// More endpoints than [`MAX_ENDPOINTS`](crate::membership::MAX_ENDPOINTS), one twice, one without a port, or an
    /// IPv4 address in the form of IPv6.
    #[error("the endpoints are not canonical")]
    Endpoints,
    /// More prefixes than [`MAX_RECORD_PREFIXES`](crate::membership::MAX_RECORD_PREFIXES), not in order, or not in
    /// their one form.
    #[error("the prefixes are not canonical")]
    Prefixes,
    /// The signer did not sign.
    #[error("the identity key did not sign")]
    Signer,
}

/// Why a record changed nothing. Report it: most of these do not come about by accident.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// What is stored is no record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What is stored is not even of the form of records in the store.
    #[error("what is stored is no record")]
    Damaged,
    /// It lies where another machine's record, or one of another epoch, belongs.
    #[error("the record is stored in another's place")]
    Misplaced,
    /// Nobody has vouched for the machine.
    #[error("the machine is not known")]
    UnknownMachine,
    /// The machine was revoked.
    #[error("the machine is revoked")]
    Revoked,
    /// The signature is not the machine's.
    #[error("the signature is not of the machine's identity")]
    Signature,
    /// It is of an epoch that the machine has left.
    #[error("the record goes back from epoch {known}")]
    Rollback {
        /// The machine's epoch.
        known: u64,
    },
    /// It is another record of an epoch that is known: the machine, or who has its identity, told two stories.
    #[error("epoch {epoch} has two records")]
    Fork {
        /// The epoch.
        epoch: u64,
    },
    /// It does not name the record before it.
    #[error("the record does not follow the one of epoch {known}")]
    Chain {
        /// The machine's epoch.
        known: u64,
    },
    /// Its time has not come.
    #[error("the record is not valid yet")]
    NotYet,
    /// The key is, or was, another machine's.
    #[error("the key is that of {holder}")]
    KeyOfAnother {
        /// Whose it is.
        holder: MachineId,
    },
    /// The prefix is another machine's.
    #[error("`{prefix}` belongs to {holder}")]
    PrefixOfAnother {
        /// Which prefix.
        prefix: Prefix,
        /// Whose it is.
        holder: MachineId,
    },
    /// Nobody gave the machine this prefix.
    #[error("`{prefix}` was not given to the machine")]
    PrefixNotGranted {
        /// Which prefix.
        prefix: Prefix,
    },
}

/// Why an identity was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The machine has another identity already.
    #[error("{machine} has another identity")]
    Known {
        /// Which machine.
        machine: MachineId,
    },
    /// The machine was revoked, which is for ever.
    #[error("{machine} was revoked")]
    Revoked {
        /// Which machine.
        machine: MachineId,
    },
    /// Another machine has the prefix.
    #[error("`{prefix}` was given to {holder}")]
    PrefixTaken {
        /// Which prefix.
        prefix: Prefix,
        /// Whose it is.
        holder: MachineId,
    },
    /// Another machine has the identity.
    #[error("{holder} has this identity")]
    IdentityTaken {
        /// Who has it.
        holder: MachineId,
    },
}

/// Why there is no preshared key for a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PskError {
    /// A machine has none with itself.
    #[error("both ends are one machine")]
    Oneself,
    /// The period is too short for sessions to follow.
    #[error("a period is at least {least} seconds")]
    Period {
        /// The shortest period.
        least: u64,
    },
    /// The other machine's agreement key gives nothing that can be used.
    #[error("the agreement key `{key}` is of no use")]
    Agreement {
        /// Which key.
        key: PublicKey,
    },
}

/// Why a record was not written to the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// There is a record of this epoch already: read it, and go on from there.
    #[error("there is a record of this epoch")]
    Taken,
    /// The record cannot be stored.
    #[error("the record cannot be stored: {0}")]
    Store(#[from] state_store::RecordError),
    /// The batch cannot be made.
    #[error(transparent)]
    Batch(#[from] state_store::BatchError),
    /// The store could not commit.
    #[error(transparent)]
    Commit(#[from] state_store::CommitError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] state_store::ReadError),
}
