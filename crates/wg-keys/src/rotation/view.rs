//! What is looked at, and what is done.

use core::time::Duration;
use std::collections::BTreeMap;

use core_types::{MachineId, UnixTime};

use super::{Phase, Progress, Round};
use crate::key::PublicKey;

/// One of the machine's interfaces, counted from 0; each has its own port.
pub type Lane = u8;

/// Interfaces that a machine may have at once: one that all pairs have left, and two for pairs on either side of a
/// rotation of another machine.
pub const MAX_LANES: Lane = 4;

/// The public halves of the machine's keys, as its state file has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built by who has the state")]
pub struct Keys {
    /// In use.
    pub current: PublicKey,
    /// Made and not in use yet.
    pub pending: Option<PublicKey>,
    /// Kept until the rotation is done.
    pub previous: Option<PublicKey>,
}

/// What a machine's newest record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built by who has the directory")]
pub struct Announced {
    /// The record's epoch.
    pub epoch: u64,
    /// Its key.
    pub key: PublicKey,
    /// The key of the record before.
    pub previous: Option<PublicKey>,
}

/// A peer as a device has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "built by who asks the device")]
pub struct PeerView {
    /// Whether a handshake was completed since the peer was made.
    pub handshake: bool,
    /// Whether anything came from it, be it the first message of a handshake.
    pub received: bool,
    /// Whether it has prefixes.
    pub has_prefixes: bool,
    /// Whether this machine begins handshakes with it: whether it is sent keepalives.
    pub initiates: bool,
}

/// An interface as its device has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built by who asks the device")]
pub struct LaneView {
    /// The public half of its private key.
    pub key: PublicKey,
    /// Its peers.
    pub peers: BTreeMap<PublicKey, PeerView>,
}

/// Everything that is known now.
///
/// The round, the records and the reports are of one instant of the store, such as a
/// [`Snapshot`](state_store::replica::Snapshot); that may be long ago, but it shows the machine's own last write. What
/// the device has is as it is now.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "built by who knows all of it")]
pub struct View {
    /// Which machine this is.
    pub own: MachineId,
    /// Its keys.
    pub keys: Keys,
    /// The round in the store.
    pub round: Option<Round>,
    /// The newest records of all machines, the own one included; none of revoked machines.
    pub announced: BTreeMap<MachineId, Announced>,
    /// What machines report, the own report included: the last that was written.
    pub progress: BTreeMap<MachineId, Progress>,
    /// The interfaces.
    pub lanes: BTreeMap<Lane, LaneView>,
    /// The interface that packets to each machine go through.
    pub routes: BTreeMap<MachineId, Lane>,
}

/// What is remembered from look to look. To lose it costs a drain.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Of this look.
    since: BTreeMap<(Lane, PublicKey), UnixTime>,
    /// Of the look before. What is not asked about again is in use again.
    before: BTreeMap<(Lane, PublicKey), UnixTime>,
}

impl Memory {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn look(&mut self) {
        self.before = core::mem::take(&mut self.since);
    }

    /// Whether the peer has been of no use for as long as its packets may be under way.
    pub(super) fn drained(&mut self, lane: Lane, key: PublicKey, now: UnixTime) -> bool {
        let since = self.before.get(&(lane, key)).copied().unwrap_or(now);
        self.since.insert((lane, key), since);
        now.saturating_since(since) >= DRAIN
    }
}

/// Something to be done. Doing it twice is doing it once. What fails is left, and comes again with the next look.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "who acts must know all of them")]
pub enum Action {
    /// Make the pending key, durably.
    Prepare,
    /// Write the record of this key, with the endpoint of this interface; then report.
    Announce {
        /// The key.
        key: PublicKey,
        /// The interface that has it.
        lane: Lane,
    },
    /// Bring up an interface with this key of the machine, without peers.
    OpenLane {
        /// The interface.
        lane: Lane,
        /// The key.
        key: PublicKey,
    },
    /// Add a machine's key to an interface, with its prefixes and the true preshared key, in the order of
    /// [`Phase`](crate::config::Phase).
    AddPeer {
        /// The interface.
        lane: Lane,
        /// The machine.
        peer: MachineId,
        /// Its key.
        key: PublicKey,
        /// Whether to begin the handshake: with an endpoint and a keepalive. Otherwise with neither.
        initiate: bool,
    },
    /// Add a machine's key to an interface without prefixes.
    AddGated {
        /// The interface.
        lane: Lane,
        /// The machine.
        peer: MachineId,
        /// Its key.
        key: PublicKey,
        /// Whether with a random preshared key, that nobody else has.
        random_psk: bool,
    },
    /// Give the peer the prefixes. With `anew` the peer is removed and made again first, with the true preshared key and
    /// a keepalive: a peer that has just answered may not begin a handshake, a new one may.
    Lift {
        /// The interface.
        lane: Lane,
        /// The machine.
        peer: MachineId,
        /// Its key.
        key: PublicKey,
        /// Whether the peer is made again.
        anew: bool,
    },
    /// Send what goes to the machine through this interface.
    Route {
        /// The machine.
        peer: MachineId,
        /// The interface.
        lane: Lane,
    },
    /// Put the pending key in the place of the current one, durably.
    Activate,
    /// Give an interface another private key of the machine, and have a packet sent to each peer.
    SwapKey {
        /// The interface.
        lane: Lane,
        /// The key.
        key: PublicKey,
    },
    /// Remove a peer that has drained.
    RemovePeer {
        /// The interface.
        lane: Lane,
        /// The key.
        key: PublicKey,
    },
    /// Take an interface down.
    CloseLane {
        /// Which one.
        lane: Lane,
    },
    /// Write the own progress.
    Report(Progress),
    /// Take the round to a phase, by compare-and-swap.
    Decide {
        /// The round's number.
        round: u64,
        /// The phase.
        phase: Phase,
    },
    /// Forget the pending key.
    DropPending,
    /// Erase the previous key.
    Erase,
}

/// How long a pair is kept after both ends have left it.
const DRAIN: Duration = Duration::from_secs(1);
