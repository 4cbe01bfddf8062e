//! What can go wrong, by family of operations.

mod membership;
mod rotation;

pub use membership::{PskError, PublishError, RecordError, Refusal, TrustError};
pub use rotation::{PlanError, RoundError};

use core::net::IpAddr;
use std::io;

use core_types::{MachineId, RandomError};

use crate::config::Prefix;
use crate::key::PublicKey;

/// Why a key is none. Whoever sent it is told that it is refused; a private key has been changed on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not 44 characters long.
    #[error("a key is 44 characters of base64")]
    Length,
    /// The text is not the one base64 of 32 bytes.
    #[error("the key is not canonical base64 of 32 bytes")]
    Base64,
    /// The public key is not below 2²⁵⁵ − 19.
    #[error("the public key is not canonical")]
    NotCanonical,
    /// The public key makes every shared secret zero.
    #[error("the public key is of low order")]
    LowOrder,
    /// The private key is not clamped: a device would show another text.
    #[error("the private key is not clamped")]
    NotClamped,
    /// A preshared key of zeros means that there is none.
    #[error("the preshared key is all zero")]
    Zero,
}

/// Why a state file was not made, read or changed. What was there before is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Something is there already; it is never overwritten.
    #[error("there is a state file already")]
    Exists,
    /// There is none. Make one.
    #[error("there is no state file")]
    Missing,
    /// The path names no file in a folder.
    #[error("the path does not end in the name of a file")]
    Name,
    /// A link, a pipe, a device or a folder is where the file should be.
    #[error("it is not a regular file, or is reached through a symbolic link")]
    NotAFile,
    /// The folder is none, or a symbolic link.
    #[error("the folder is not a directory, or is a symbolic link")]
    NotAFolder,
    /// Others may read or write the file: its secrets must be taken for known. Rotate them, or correct the mode.
    #[error("the file's mode is {mode:04o}, it must be 0600")]
    FileMode {
        /// What it is.
        mode: u32,
    },
    /// Others may enter the folder.
    #[error("the folder's mode is {mode:04o}, it must be 0700")]
    FolderMode {
        /// What it is.
        mode: u32,
    },
    /// The file or its folder belongs to somebody else.
    #[error("it belongs to user {uid}")]
    Owner {
        /// Whom it belongs to.
        uid: u32,
    },
    /// The file is larger than [`MAX_STATE_BYTES`](crate::state::MAX_STATE_BYTES).
    #[error("the state file is too large")]
    TooLarge,
    /// The file is no state file of a version this program knows.
    #[error("the state file is damaged: {part}")]
    Damaged {
        /// What of it.
        part: &'static str,
    },
    /// The file is encrypted and no sealer was given, or one of another kind.
    #[error("the state file is sealed otherwise")]
    SealedOtherwise,
    /// The file is not encrypted though it should be.
    #[error("the state file is not sealed")]
    NotSealed,
    /// Encrypting or decrypting it failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The state does not allow the change.
    #[error(transparent)]
    Rotate(#[from] RotateError),
    /// There was no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The system's word.
    #[error("{0}")]
    Io(#[source] io::Error),
}

/// Why a step of a rotation is not the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// A key is pending already: activate or abort it.
    #[error("a new key is pending already")]
    Pending,
    /// No key is pending: prepare one.
    #[error("no key is pending")]
    NothingPending,
    /// The key before this one is still kept: finish that rotation first.
    #[error("the previous key is still kept")]
    PreviousKept,
    /// No previous key is kept: there is nothing to finish.
    #[error("no previous key is kept")]
    NothingToFinish,
    /// The epochs are used up.
    #[error("no epoch is left")]
    Epoch,
    /// There was no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The passphrase is wrong, or the sealed bytes were changed: nobody can tell which.
    #[error("the passphrase is wrong or the sealed bytes were changed")]
    Refused,
    /// What is sealed is not of the sealer's form, or asks for more work than the bounds allow.
    #[error("the sealed bytes are not of this sealer's form")]
    Form,
    /// A passphrase must have at least one character.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The sealer has no memory, no device or no rights.
    #[error("the sealer is not able to work")]
    Unavailable,
    /// There was no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Why a machine has no address or subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Another machine has the address.
    #[error("`{address}` is the address of {holder} already")]
    Taken {
        /// Which address.
        address: IpAddr,
        /// Whose it is.
        holder: MachineId,
    },
    /// Another machine has the subnet.
    #[error("`{subnet}` belongs to {holder} already")]
    SubnetTaken {
        /// Which subnet.
        subnet: Prefix,
        /// Whose it is.
        holder: MachineId,
    },
    /// The machine has another address or subnet; it is released first.
    #[error("{machine} has `{holds}` already")]
    Holds {
        /// Which machine.
        machine: MachineId,
        /// What it has.
        holds: Prefix,
    },
    /// The subnet is not of the pool's length, or not within it.
    #[error("`{subnet}` is no subnet of this pool")]
    Foreign {
        /// Which subnet.
        subnet: Prefix,
    },
    /// A pool of `network` cannot be cut into parts of that length.
    #[error("`{network}` cannot be divided into subnets of {len} bits")]
    Length {
        /// What was to be divided.
        network: Prefix,
        /// The length that was asked for.
        len: u8,
    },
    /// Every subnet is taken.
    #[error("no subnet of `{network}` is free")]
    Exhausted {
        /// The pool's network.
        network: Prefix,
    },
}

/// Why a configuration is none. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// WireGuard drops a peer that has the device's own key, without a word.
    #[error("`{key}` is the machine's own key")]
    OwnKey {
        /// The key.
        key: PublicKey,
    },
    /// The key is the one that differences use for prefixes on their way out.
    #[error("`{key}` is reserved")]
    ReservedKey {
        /// The key.
        key: PublicKey,
    },
    /// Two peers have one key.
    #[error("`{key}` is the key of two peers")]
    DuplicatePeer {
        /// The key.
        key: PublicKey,
    },
    /// Two peers claim one prefix: the last that is written would take it.
    #[error("`{prefix}` is claimed by `{first}` and by `{second}`")]
    PrefixConflict {
        /// What both claim.
        prefix: Prefix,
        /// Who had it first.
        first: PublicKey,
        /// Who claims it too.
        second: PublicKey,
    },
    /// More peers than [`MAX_PEERS`](crate::config::MAX_PEERS).
    #[error("there are too many peers")]
    TooManyPeers,
    /// More prefixes than [`MAX_PREFIXES`](crate::config::MAX_PREFIXES) in all.
    #[error("there are too many prefixes")]
    TooManyPrefixes,
    /// Peers would be cut off by what looks like a mistake; say that it is none.
    #[error("of {from} peers only {to} would be left")]
    Shrinks {
        /// Peers of the device.
        from: usize,
        /// Peers that are wanted.
        to: usize,
    },
}

/// Why a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The text is longer than [`MAX_TEXT_BYTES`](crate::config::MAX_TEXT_BYTES).
    #[error("the text is too long")]
    TooLong,
    /// A line is not of the form.
    #[error("line {line}: {what}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A key in a line.
    #[error("line {line}: {error}")]
    Key {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        error: KeyError,
    },
    /// The whole is no configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Why a prefix is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// It is not `address/length`, or not in its one spelling.
    #[error("a prefix is an address, a slash and a length, in the one canonical spelling")]
    Form,
    /// The length is more than the address has bits.
    #[error("the prefix is longer than its address")]
    Length,
    /// Bits after the length are set.
    #[error("the prefix has bits set after its length")]
    HostBits,
}

/// Why a list of peers is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerListError {
    /// The document is longer than [`MAX_TEXT_BYTES`](crate::config::MAX_TEXT_BYTES).
    #[error("the list is too long")]
    TooLong,
    /// It is no JSON of the form, or of another version.
    #[error("line {line}, column {column}: not a list of peers of version 1")]
    Form {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A value of one peer.
    #[error("peer {peer}: {what}")]
    Peer {
        /// Counted from 1.
        peer: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A key of one peer.
    #[error("peer {peer}: {error}")]
    Key {
        /// Counted from 1.
        peer: usize,
        /// What is wrong with it.
        error: KeyError,
    },
    /// A prefix of one peer.
    #[error("peer {peer}: {error}")]
    Prefix {
        /// Counted from 1.
        peer: usize,
        /// What is wrong with it.
        error: PrefixError,
    },
    /// The whole is no configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Why a device did not take what it was given, or did not say what it has.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The name is no name of an interface.
    #[error("an interface is 1 to 15 characters of [a-zA-Z0-9_=+.-]")]
    Name,
    /// Nothing listens at the socket.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// The device refused; what came before it in the difference is done.
    #[error("the device refused with errno {errno}")]
    Refused {
        /// The number it gave.
        errno: i64,
    },
    /// What it answered is no answer.
    #[error("the device's answer is not of the protocol: {0}")]
    Answer(#[from] TextError),
    /// What it has is not what was asked for, so the difference was not finished.
    #[error(transparent)]
    Config(#[from] ConfigError),
}
