//! Which procedure for which pair, and what it will cost.
//!
//! WireGuard keeps the last [`STAGED_PACKETS`] packets for a peer that it has no session with, so a procedure on one
//! interface loses `rate × stall − 128` packets of a pair and way. What stalls how long is known before:
//!
//! | Procedure | Stall | Needs |
//! |---|---|---|
//! | [`BlueGreen`](Procedure::BlueGreen) | none | a second UDP port that is open; no strict reverse-path filter |
//! | [`OpenGate`](Procedure::OpenGate) | the key change, 1 round trip | round trip > 3 × poll, so that the prefix is moved in time |
//! | [`PskGate`](Procedure::PskGate) | the key change, poll, 2.5 round trips | |

use core::time::Duration;
use std::collections::BTreeSet;

use core_types::MachineId;
use serde::{Deserialize, Serialize};

use crate::error::PlanError;

/// Packets that an implementation keeps for a peer without a session (`MAX_STAGED_PACKETS`, `QueueStagedSize`).
pub const STAGED_PACKETS: u64 = 128;

/// What a device needs for each of its peers when it is given another private key.
pub const KEY_CHANGE_PER_PEER: Duration = Duration::from_micros(70);

/// How a pair comes from one key to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "both ends must know the procedure")]
pub enum Procedure {
    /// A second interface and port on both ends while both keys live; each end moves its route when it sees the handshake.
    BlueGreen,
    /// One interface. The peer adds the new key without prefixes and moves them when the first packet comes.
    OpenGate,
    /// As the open gate, and a random preshared key keeps the session from coming up before the prefixes have moved.
    PskGate,
}

/// What is known of the way to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a caller measures, all of it needed")]
pub struct Path {
    /// The machine at its end.
    pub peer: MachineId,
    /// Whether a second UDP port of both ends is open: the plan for the firewall is a part of this plan.
    pub second_port: bool,
    /// Whether either end filters by strict reverse path (`rp_filter` = 1), which drops what comes in over the interface
    /// that nothing is sent through.
    pub strict_reverse_path: bool,
    /// Packets a second, of the busier way.
    pub packets_per_second: u32,
    /// There and back.
    pub round_trip: Duration,
    /// How often the peer looks at its device.
    pub poll: Duration,
}

/// What a pair will do, and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PairPlan {
    /// The other machine.
    pub peer: MachineId,
    /// What is done.
    pub procedure: Procedure,
    /// How long packets wait.
    pub stall: Duration,
    /// How many packets are lost, both ways together.
    pub predicted_loss: u64,
}

/// A plan for all pairs of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Plan {
    pairs: Vec<PairPlan>,
}

impl Plan {
    /// For each pair the procedure that loses least; of those that lose nothing the first in the order above.
    ///
    /// # Errors
    /// [`PlanError::Paths`].
    pub fn new(own: MachineId, paths: &[Path]) -> Result<Self, PlanError> {
        let mut seen = BTreeSet::from([own]);
        let change = KEY_CHANGE_PER_PEER.saturating_mul(u32::try_from(paths.len()).unwrap_or(u32::MAX));
        let pairs = paths.iter().map(|path| {
            if !seen.insert(path.peer) {
                return Err(PlanError::Paths { machine: path.peer });
            }
            Ok(path.plan(change))
        });
        Ok(Self { pairs: pairs.collect::<Result<_, _>>()? })
    }

    /// The pairs, in the order of the paths.
    #[must_use]
    pub fn pairs(&self) -> &[PairPlan] {
        &self.pairs
    }

    /// Packets that will be lost.
    #[must_use]
    pub fn predicted_loss(&self) -> u64 {
        self.pairs.iter().fold(0, |sum, pair| sum.saturating_add(pair.predicted_loss))
    }

    /// The plan, if nothing will be lost.
    ///
    /// # Errors
    /// [`PlanError::Costs`] otherwise.
    pub fn promise(self) -> Result<Self, PlanError> {
        match self.predicted_loss() {
            0 => Ok(self),
            packets => {
                let pairs = self.pairs.iter().filter(|pair| pair.predicted_loss > 0).count();
                Err(PlanError::Costs { packets, pairs })
            }
        }
    }

    /// The plan, if all pairs have a second interface, as a rotation of all machines at once needs.
    ///
    /// # Errors
    /// [`PlanError::NoSecondInterface`] otherwise.
    pub fn for_mesh(self) -> Result<Self, PlanError> {
        match self.pairs.iter().find(|pair| pair.procedure != Procedure::BlueGreen) {
            None => Ok(self),
            Some(pair) => Err(PlanError::NoSecondInterface { machine: pair.peer }),
        }
    }
}

impl Path {
    fn plan(&self, change: Duration) -> PairPlan {
        let pair = |procedure, stall, ways: u64| {
            let predicted_loss = self.lost_in(stall).saturating_mul(ways);
            PairPlan { peer: self.peer, procedure, stall, predicted_loss }
        };
        if self.second_port && !self.strict_reverse_path {
            return pair(Procedure::BlueGreen, Duration::ZERO, 0);
        }
        // What the rotating machine sends waits for the handshake; what its peer sends waits from the move of the prefix.
        let psk = pair(
            Procedure::PskGate,
            change
                .saturating_add(self.poll)
                .saturating_add(self.round_trip.saturating_mul(5).checked_div(2).unwrap_or_default()),
            1,
        );
        let open = pair(Procedure::OpenGate, change.saturating_add(self.round_trip), 1);
        let is_in_time = self.round_trip > self.poll.saturating_mul(3);
        if is_in_time && open.predicted_loss <= psk.predicted_loss { open } else { psk }
    }

    fn lost_in(&self, stall: Duration) -> u64 {
        let packets =
            u128::from(self.packets_per_second).saturating_mul(stall.as_micros()).div_ceil(1_000_000);
        u64::try_from(packets).unwrap_or(u64::MAX).saturating_sub(STAGED_PACKETS)
    }
}
