//! What to do next.

use core_types::UnixTime;

use super::turn::Turn;
use super::{Action, Announced, Lane, LaneView, MAX_LANES, Memory, Phase, View};
use crate::key::PublicKey;

impl View {
    /// What to do next, in order. Look again when it is done, and when anything has changed; an empty answer while
    /// something drains changes with time alone.
    #[must_use]
    pub fn next(&self, memory: &mut Memory, now: UnixTime) -> Vec<Action> {
        memory.look();
        let mut actions = Vec::new();
        let rotates = self
            .round
            .as_ref()
            .is_some_and(|round| round.phase != Phase::Ended && round.rotating.contains(&self.own));
        if let Some(pending) = self.keys.pending
            && !rotates
        {
            // A round went on or ended without this machine: its record says which key it is.
            let announced = self.announced.get(&self.own).map(|announced| announced.key);
            let action = if announced == Some(pending) { Action::Activate } else { Action::DropPending };
            return vec![action];
        }
        let commits = rotates && self.round.as_ref().is_some_and(|round| round.phase == Phase::Committed);
        if self.keys.previous.is_some() && !commits && !self.old_key_is_in_use() {
            // First of all: another round may have begun as soon as this machine had said that it was done.
            return vec![Action::Erase];
        }
        match &self.round {
            Some(round) if round.phase != Phase::Ended && round.members.contains(&self.own) => {
                let mut turn = Turn { view: self, round, actions: &mut actions };
                match round.phase {
                    Phase::Moving => turn.moving(memory, now),
                    Phase::Committed => turn.committed(memory, now),
                    Phase::Aborted => turn.aborted(memory, now),
                    Phase::Ended => {}
                }
            }
            Some(round) if round.phase != Phase::Ended => {}
            Some(_) | None => self.settle(memory, now, &mut actions),
        }
        actions
    }

    /// Between rounds: the newest record of each machine counts.
    fn settle(&self, memory: &mut Memory, now: UnixTime, actions: &mut Vec<Action>) {
        let announced = self.announced.get(&self.own).map(|announced| announced.key);
        let own = self.keys.current;
        let Some(home) = self.lane_of(own) else {
            if let Some(lane) = self.free_lane() {
                actions.push(Action::OpenLane { lane, key: own });
            }
            return;
        };
        if announced.is_none() {
            return actions.push(Action::Announce { key: own, lane: home });
        }
        for (&peer, &Announced { key, .. }) in self.announced.iter().filter(|(peer, _)| **peer != self.own) {
            // Where it is already, or the first interface with the key of this machine.
            let routed = self.routes.get(&peer).copied().filter(|&lane| self.has(lane, own, key));
            let there = routed.or_else(|| self.lanes_of(own).find(|&lane| self.has(lane, own, key)));
            match there {
                None => {
                    actions.push(Action::AddPeer { lane: home, peer, key, initiate: self.own < peer });
                }
                Some(lane) if self.routes.get(&peer) != Some(&lane) => {
                    actions.push(Action::Route { peer, lane });
                }
                Some(lane) => {
                    // Left behind by a round: before the gate was lifted, or neither end is the one that begins.
                    let Some(&link) = self.lanes.get(&lane).and_then(|view| view.peers.get(&key)) else {
                        continue;
                    };
                    if !link.has_prefixes {
                        actions.push(Action::Lift { lane, peer, key, anew: !link.handshake });
                    } else if !link.handshake && !link.initiates && self.own < peer {
                        actions.push(Action::AddPeer { lane, peer, key, initiate: true });
                    }
                }
            }
        }
        self.sweep(memory, now, actions);
    }

    /// Whether an interface has another key than the current one.
    pub(super) fn old_key_is_in_use(&self) -> bool {
        self.lanes.values().any(|lane| lane.key != self.keys.current)
    }

    /// Removes the pairs that nothing is sent over and that no record speaks of, and interfaces without peers.
    pub(super) fn sweep(&self, memory: &mut Memory, now: UnixTime, actions: &mut Vec<Action>) {
        let mut is_old = |lane: Lane, view: &LaneView, key: PublicKey| {
            let wanted = self.announced.iter().any(|(peer, announced)| {
                *peer != self.own
                    && announced.key == key
                    && view.key == self.keys.current
                    && self.routes.get(peer).is_none_or(|&routed| routed == lane)
            });
            let routed = self.announced.iter().any(|(peer, announced)| {
                self.routes.get(peer) == Some(&lane)
                    && !self.lanes.get(&lane).is_some_and(|lane| lane.peers.contains_key(&announced.key))
            });
            // While any machine of it has not come over, whose key this is cannot be told.
            !wanted && !routed && memory.drained(lane, key, now)
        };
        for (&lane, view) in &self.lanes {
            for &key in view.peers.keys() {
                if is_old(lane, view, key) {
                    actions.push(Action::RemovePeer { lane, key });
                }
            }
            let is_home = self.lane_of(self.keys.current) == Some(lane);
            if view.peers.is_empty() && !is_home {
                actions.push(Action::CloseLane { lane });
            }
        }
    }

    pub(super) fn has(&self, lane: Lane, own: PublicKey, key: PublicKey) -> bool {
        self.lanes.get(&lane).is_some_and(|view| view.key == own && view.peers.contains_key(&key))
    }

    pub(super) fn lanes_of(&self, key: PublicKey) -> impl Iterator<Item = Lane> {
        self.lanes.iter().filter(move |(_, lane)| lane.key == key).map(|(&lane, _)| lane)
    }

    pub(super) fn lane_of(&self, key: PublicKey) -> Option<Lane> {
        self.lanes_of(key).next()
    }

    pub(super) fn free_lane(&self) -> Option<Lane> {
        (0..MAX_LANES).find(|lane| !self.lanes.contains_key(lane))
    }
}
