//! The texts of WireGuard: what is written for `wg`, `wg-quick` and the user-space protocol, and what they answer.
//!
//! Whatever is written here is read back the same, by these readers and by the programs themselves. What is written
//! may have secrets in it and is a [`SecretText`](crate::SecretText).

mod conf;
mod dump;
mod hex;
mod lines;
pub mod uapi;

use std::collections::BTreeMap;

use core_types::UnixTime;

pub use conf::{QuickFile, read_conf, read_quick, write_conf, write_quick};
pub use dump::read_dump;

use crate::config::Interface;
use crate::key::PublicKey;

/// What a device says that it has.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its configuration.
    pub interface: Interface,
    /// What became of each peer.
    pub traffic: BTreeMap<PublicKey, Traffic>,
}

/// What has gone to and come from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// The last handshake that was completed.
    pub latest_handshake: Option<UnixTime>,
    /// Bytes that came.
    pub received_bytes: u64,
    /// Bytes that went.
    pub sent_bytes: u64,
}

impl Traffic {
    const fn new(handshake_secs: u64, received_bytes: u64, sent_bytes: u64) -> Self {
        let latest_handshake = match handshake_secs {
            0 => None,
            secs => Some(UnixTime::from_secs(secs)),
        };
        Self { latest_handshake, received_bytes, sent_bytes }
    }
}
