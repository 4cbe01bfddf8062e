//! The pairs of keys that a machine has with another, and the one it moves to.

use core_types::MachineId;

use super::Turn;
use crate::key::PublicKey;
use crate::rotation::{Lane, Phase, Procedure};

/// The pair that a machine moves to, as far as it is known.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) own: PublicKey,
    pub(super) other: PublicKey,
    /// Where it is, or would be.
    pub(super) lane: Option<Lane>,
    pub(super) is_there: bool,
}

impl Turn<'_> {
    /// Whether the new pair is ready here, and whether it is what is sent over.
    pub(super) fn standing(&self, peer: MachineId) -> (bool, bool) {
        let routed = self.view.routes.get(&peer).copied();
        if self.procedure(peer) == Procedure::BlueGreen {
            let there = self.pair(peer).and_then(|pair| pair.lane.filter(|_| pair.is_there));
            return (there.is_some(), there.is_some() && routed == there);
        }
        let Some(view) = routed.and_then(|lane| self.view.lanes.get(&lane)) else { return (false, false) };
        if self.rotates(self.view.own) {
            return (true, self.round.phase == Phase::Committed && view.key == self.view.keys.current);
        }
        let link = self.new_key(peer).and_then(|key| view.peers.get(&key));
        (link.is_some(), link.is_some_and(|link| link.has_prefixes && link.handshake))
    }

    /// The pair that is moved to; none while a key of it is not known.
    pub(super) fn pair(&self, peer: MachineId) -> Option<Pair> {
        let own = if self.rotates(self.view.own) {
            match self.round.phase {
                Phase::Committed => self.view.keys.current,
                Phase::Moving | Phase::Aborted | Phase::Ended => self.view.keys.pending?,
            }
        } else {
            self.view.keys.current
        };
        let other = self.new_key(peer)?;
        if let Some(lane) = self.view.lanes_of(own).find(|&lane| self.view.has(lane, own, other)) {
            return Some(Pair { own, other, lane: Some(lane), is_there: true });
        }
        // An interface with this key on which the machine is not yet, under any key.
        let lane =
            self.view.lanes.iter().find(|(_, view)| {
                view.key == own && !view.peers.keys().any(|&key| self.is_key_of(peer, key))
            });
        Some(Pair { own, other, lane: lane.map(|(&lane, _)| lane), is_there: false })
    }

    /// The key that the other machine will have: of one that rotates the one that both its record and its report name.
    pub(super) fn new_key(&self, peer: MachineId) -> Option<PublicKey> {
        let announced = self.view.announced.get(&peer)?.key;
        if !self.rotates(peer) {
            return Some(announced);
        }
        let reported = self.report_of(peer)?.key?;
        match self.round.phase {
            Phase::Aborted => Some(reported),
            Phase::Moving | Phase::Committed | Phase::Ended => Some(reported).filter(|&key| key == announced),
        }
    }

    /// Whether a peer's key on a device is the machine's: one that it has announced, or the last that its record named.
    pub(super) fn is_key_of(&self, peer: MachineId, key: PublicKey) -> bool {
        let announced = self.view.announced.get(&peer);
        announced.is_some_and(|announced| announced.key == key || announced.previous == Some(key))
            || self.report_of(peer).and_then(|report| report.key) == Some(key)
    }

    pub(super) fn shook_hands(&self, lane: Lane, key: PublicKey) -> bool {
        let peer = self.view.lanes.get(&lane).and_then(|view| view.peers.get(&key));
        peer.is_some_and(|peer| peer.handshake)
    }
}
