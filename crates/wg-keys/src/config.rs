//! What an interface shall be, and the shortest ordered way there.
//!
//! [`Interface`] is a configuration: one that is wanted, or one that a device was found to have. [`diff`](Interface::diff)
//! says what has to be done to come from the one to the other, as data; [`text`](crate::text) writes it, and
//! [`device`](crate::device) does it.

mod diff;
mod interface;
mod peer;
mod peer_list;
mod prefix;

pub use diff::{Diff, DiffPolicy, Op, Phase, Stage, reserved_key};
pub use interface::{Interface, Overlap};
pub use peer::Peer;
pub use peer_list::PeerList;
pub use prefix::{InterfaceAddress, Prefix};

/// Peers of an interface, at most.
pub const MAX_PEERS: usize = 65_536;

/// Prefixes of an interface, at most, all peers taken together.
pub const MAX_PREFIXES: usize = 262_144;

/// Bytes of a text that is read, at most: of a device's answer, a configuration file or a list of peers.
pub const MAX_TEXT_BYTES: usize = 64 << 20;
