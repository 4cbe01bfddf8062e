//! What a machine does in a round.

mod pair;

use std::collections::BTreeSet;

use core_types::{MachineId, UnixTime};

use super::{Action, Laggards, Lane, Memory, Phase, Procedure, Progress, Round, View};
use crate::key::PublicKey;

/// A look, in a round.
pub(super) struct Turn<'a> {
    pub(super) view: &'a View,
    pub(super) round: &'a Round,
    pub(super) actions: &'a mut Vec<Action>,
}

impl Turn<'_> {
    pub(super) fn moving(&mut self, memory: &mut Memory, now: UnixTime) {
        let rotates = self.rotates(self.view.own);
        let mut announced = self.reported_key();
        if rotates {
            let Some(key) = self.view.keys.pending else {
                if self.view.keys.previous.is_some() {
                    // What is left of an earlier round goes first. With a machine that it left behind the old key is
                    // in use until this round is over; then that comes over.
                    return self.view.sweep(memory, now, self.actions);
                }
                // Nothing is told before it is durable.
                return self.actions.push(Action::Prepare);
            };
            if self.peers().any(|peer| self.procedure(peer) == Procedure::BlueGreen)
                && self.view.lane_of(key).is_none()
            {
                if let Some(lane) = self.view.free_lane() {
                    self.actions.push(Action::OpenLane { lane, key });
                }
                return;
            }
            announced = self.announced_key(self.view.own).filter(|&announced| announced == key);
        }
        for peer in self.peers() {
            match self.procedure(peer) {
                Procedure::BlueGreen => self.blue_green(peer),
                gate => self.gate(peer, gate == Procedure::PskGate),
            }
        }
        if rotates && announced.is_none() && self.actions.is_empty() {
            // Its own part is ready now, for all whose keys are known.
            if let Some(key) = self.view.keys.pending {
                let lane = self.view.lane_of(key).or_else(|| self.view.lane_of(self.view.keys.current));
                self.actions.push(Action::Announce { key, lane: lane.unwrap_or_default() });
                return;
            }
        }
        self.report(announced, false);
        self.decide(now);
    }

    fn blue_green(&mut self, peer: MachineId) {
        let Some(pair) = self.pair(peer) else { return };
        let initiate = self.round.initiator(self.view.own, peer) == self.view.own;
        let Some(lane) = pair.lane else {
            if let Some(lane) = self.view.free_lane() {
                self.open(lane, pair.own);
            }
            return;
        };
        if !pair.is_there {
            let is_ready = self.report_of(peer).is_some_and(|report| report.ready.contains(&self.view.own));
            if !initiate || is_ready {
                self.actions.push(Action::AddPeer { lane, peer, key: pair.other, initiate });
            }
        } else if self.shook_hands(lane, pair.other) && self.view.routes.get(&peer) != Some(&lane) {
            self.actions.push(Action::Route { peer, lane });
        }
    }

    /// Several peers may want the same interface opened.
    fn open(&mut self, lane: Lane, key: PublicKey) {
        let action = Action::OpenLane { lane, key };
        if !self.actions.contains(&action) {
            self.actions.push(action);
        }
    }

    fn gate(&mut self, peer: MachineId, random_psk: bool) {
        if self.rotates(self.view.own) {
            return;
        }
        let (Some(key), Some(&lane)) = (self.new_key(peer), self.view.routes.get(&peer)) else { return };
        let known = self.view.lanes.get(&lane).and_then(|view| view.peers.get(&key));
        if known.is_none() {
            self.actions.push(Action::AddGated { lane, peer, key, random_psk });
        }
    }

    /// Whether to commit, or to give up.
    fn decide(&mut self, now: UnixTime) {
        // Whoever sees it may say it, and it is said once; those who rotate look, so that not everybody writes.
        if !self.rotates(self.view.own) || !self.actions.is_empty() {
            return;
        }
        let late = now >= self.round.deadline;
        let everybody = self.round.rotating.iter().all(|&one| {
            self.announced_in_round(one)
                && self
                    .round
                    .members
                    .iter()
                    .filter(|other| **other != one)
                    .all(|&other| self.has_moved(one, other))
        });
        let phase = match self.round.laggards {
            _ if everybody => Phase::Committed,
            Laggards::Cut if late => Phase::Committed,
            Laggards::Abort if late => Phase::Aborted,
            Laggards::Cut | Laggards::Abort | Laggards::Wait => return,
        };
        self.actions.push(Action::Decide { round: self.round.number, phase });
    }

    /// Whether both ends of the pair are where they must be before the round is committed.
    fn has_moved(&self, one: MachineId, other: MachineId) -> bool {
        let reports = |who, of: fn(&Progress) -> &BTreeSet<MachineId>, whom: MachineId| {
            self.report_of(who).is_some_and(|report| of(report).contains(&whom))
        };
        match self.round.procedure(one, other) {
            Procedure::BlueGreen => {
                reports(one, |report| &report.moved, other) && reports(other, |report| &report.moved, one)
            }
            Procedure::OpenGate | Procedure::PskGate => {
                let peer = if self.rotates(one) { other } else { one };
                let rotating = if self.rotates(one) { one } else { other };
                reports(peer, |report| &report.ready, rotating)
            }
        }
    }

    pub(super) fn committed(&mut self, memory: &mut Memory, now: UnixTime) {
        let rotates = self.rotates(self.view.own);
        if rotates && self.view.keys.pending.is_some() {
            if self.view.announced.get(&self.view.own).map(|announced| announced.key)
                == self.view.keys.pending
            {
                return self.actions.push(Action::Activate);
            }
            // It was left behind before it announced anything.
            return self.actions.push(Action::DropPending);
        }
        let mut waits = false;
        for peer in self.peers() {
            match self.procedure(peer) {
                Procedure::BlueGreen => waits |= self.leave_old(peer, memory, now),
                _ if rotates => waits |= self.swap(peer, now),
                gate => waits |= self.lift(gate == Procedure::PskGate, peer, memory, now),
            }
        }
        if !self.actions.is_empty() {
            return;
        }
        self.close_lanes();
        let done = !waits && self.actions.is_empty();
        self.report(self.reported_key(), done);
        if !done || !self.actions.is_empty() {
            return;
        }
        // With a machine that was left behind the old key is still in use; it goes when that has come over.
        if rotates && self.view.keys.previous.is_some() && !self.view.old_key_is_in_use() {
            return self.actions.push(Action::Erase);
        }
        self.end(now);
    }

    /// After a commit everything goes over the new pair; the old one drains and goes. Whether there is more to wait for.
    fn leave_old(&mut self, peer: MachineId, memory: &mut Memory, now: UnixTime) -> bool {
        let Some(pair) = self.pair(peer) else { return false };
        let new = pair.lane.filter(|_| pair.is_there);
        if let Some(lane) = new
            && self.view.routes.get(&peer) != Some(&lane)
        {
            // It is committed, so the other end has moved or was cut.
            self.actions.push(Action::Route { peer, lane });
            return true;
        }
        self.remove_others(peer, new.map(|lane| (lane, pair.other)), memory, now)
    }

    /// Removes every pair with the machine but this one.
    fn remove_others(
        &mut self,
        peer: MachineId,
        keep: Option<(Lane, PublicKey)>,
        memory: &mut Memory,
        now: UnixTime,
    ) -> bool {
        let mut waits = false;
        let pairs =
            self.view.lanes.iter().flat_map(|(&lane, view)| view.peers.keys().map(move |&key| (lane, key)));
        let pairs: Vec<_> = pairs.filter(|&(_, key)| self.is_key_of(peer, key)).collect();
        for (lane, key) in pairs {
            if keep == Some((lane, key)) {
                continue;
            }
            waits = true;
            if memory.drained(lane, key, now) {
                self.actions.push(Action::RemovePeer { lane, key });
            }
        }
        waits
    }

    /// The rotating machine's part of a gate.
    fn swap(&mut self, peer: MachineId, now: UnixTime) -> bool {
        let own = self.view.keys.current;
        if let Some(&lane) = self.view.routes.get(&peer)
            && self.view.lanes.get(&lane).is_some_and(|view| view.key != own)
        {
            // Those that have another interface have left this one.
            let blue_green_left = self.view.lanes.get(&lane).is_some_and(|view| {
                self.peers()
                    .filter(|&other| self.procedure(other) == Procedure::BlueGreen)
                    .all(|other| !view.peers.keys().any(|&key| self.is_key_of(other, key)))
            });
            let swap = Action::SwapKey { lane, key: own };
            if blue_green_left && !self.actions.contains(&swap) {
                self.actions.push(swap);
            }
            return true;
        }
        !self.report_of(peer).is_some_and(|report| report.moved.contains(&self.view.own))
            && !self.is_late(peer)
            && now < self.round.expires()
    }

    /// Its peer's part.
    fn lift(&mut self, anew: bool, peer: MachineId, memory: &mut Memory, now: UnixTime) -> bool {
        let (Some(key), Some(&lane)) = (self.new_key(peer), self.view.routes.get(&peer)) else {
            return false;
        };
        let Some(link) = self.view.lanes.get(&lane).and_then(|view| view.peers.get(&key)) else {
            // It was killed between removing it and making it anew, or was late.
            self.actions.push(Action::Lift { lane, peer, key, anew: true });
            return true;
        };
        if !link.has_prefixes {
            if link.received {
                self.actions.push(Action::Lift { lane, peer, key, anew });
            }
            return true;
        }
        if !link.handshake {
            return true;
        }
        self.remove_others(peer, Some((lane, key)), memory, now)
    }

    pub(super) fn aborted(&mut self, memory: &mut Memory, now: UnixTime) {
        let rotates = self.rotates(self.view.own);
        let mut waits = false;
        for peer in self.peers() {
            if self.procedure(peer) == Procedure::BlueGreen {
                waits |= self.go_back(peer, memory, now);
            } else if !rotates
                && let Some(key) = self.report_of(peer).and_then(|report| report.key)
                && let Some(&lane) = self.view.routes.get(&peer)
                && self
                    .view
                    .lanes
                    .get(&lane)
                    .is_some_and(|view| view.peers.get(&key).is_some_and(|link| !link.has_prefixes))
            {
                self.actions.push(Action::RemovePeer { lane, key });
            }
        }
        // The old key is announced again before the new one is forgotten.
        if rotates && self.is_announced_pending() {
            let key = self.view.keys.current;
            let lane = self.view.lane_of(key).unwrap_or_default();
            return self.actions.push(Action::Announce { key, lane });
        }
        if !self.actions.is_empty() {
            return;
        }
        // Whoever is told that nothing moves here any more may take the new pair away.
        let done = self.report_of(self.view.own).is_some_and(|report| report.done);
        self.report(self.reported_key(), done);
        if waits || !self.actions.is_empty() {
            return;
        }
        self.close_lanes();
        if self.actions.is_empty() && rotates && self.view.keys.pending.is_some() {
            self.actions.push(Action::DropPending);
        }
        if self.actions.is_empty() {
            self.report(self.reported_key(), true);
        }
        if self.actions.is_empty() {
            self.end(now);
        }
    }

    fn go_back(&mut self, peer: MachineId, memory: &mut Memory, now: UnixTime) -> bool {
        let Some(pair) = self.pair(peer) else { return false };
        let Some(lane) = pair.lane.filter(|_| pair.is_there) else { return false };
        if self.view.routes.get(&peer) == Some(&lane) {
            let old = self.view.lanes.iter().find(|(other, view)| {
                **other != lane && view.peers.keys().any(|&key| self.is_key_of(peer, key))
            });
            if let Some((&old, _)) = old {
                self.actions.push(Action::Route { peer, lane: old });
            }
            return true;
        }
        // A report of before the abort may be of before the move.
        let other_is_back = self
            .report_of(peer)
            .is_some_and(|report| report.phase == Phase::Aborted && !report.moved.contains(&self.view.own));
        if (other_is_back || now >= self.round.expires()) && memory.drained(lane, pair.other, now) {
            self.actions.push(Action::RemovePeer { lane, key: pair.other });
        }
        true
    }

    fn close_lanes(&mut self) {
        let home = self.view.lane_of(self.view.keys.current);
        for (&lane, view) in &self.view.lanes {
            if view.peers.is_empty() && home != Some(lane) {
                self.actions.push(Action::CloseLane { lane });
            }
        }
    }

    /// When all machines have taken the old pairs away, so that nothing of it is in the way of another round. One that has
    /// died is not waited for after the deadline.
    fn end(&mut self, now: UnixTime) {
        let is_done = |machine: &MachineId| self.report_of(*machine).is_some_and(|report| report.done);
        let is_over = self.round.rotating.iter().all(is_done)
            && (now >= self.round.deadline
                || self
                    .round
                    .members
                    .iter()
                    .filter(|one| self.view.announced.contains_key(one))
                    .all(is_done));
        if is_over && self.rotates(self.view.own) {
            self.actions.push(Action::Decide { round: self.round.number, phase: Phase::Ended });
        }
    }

    /// Reports, if there is anything new to say.
    fn report(&mut self, key: Option<PublicKey>, done: bool) {
        if !self.actions.is_empty() {
            return;
        }
        let last = self.view.progress.get(&self.view.own);
        let mut progress = Progress {
            round: self.round.number,
            serial: last.map_or(0, |last| last.serial),
            phase: self.round.phase,
            key,
            ready: BTreeSet::new(),
            moved: BTreeSet::new(),
            done,
        };
        for peer in self.peers() {
            let (is_ready, has_moved) = self.standing(peer);
            if is_ready {
                progress.ready.insert(peer);
            }
            if has_moved {
                progress.moved.insert(peer);
            }
        }
        if last != Some(&progress) {
            progress.serial = progress.serial.saturating_add(1);
            self.actions.push(Action::Report(progress));
        }
    }

    fn is_announced_pending(&self) -> bool {
        let announced = self.view.announced.get(&self.view.own).map(|announced| announced.key);
        self.view.keys.pending.is_some() && announced == self.view.keys.pending
    }

    fn announced_key(&self, machine: MachineId) -> Option<PublicKey> {
        self.view.announced.get(&machine).map(|announced| announced.key)
    }

    fn announced_in_round(&self, machine: MachineId) -> bool {
        self.report_of(machine).is_some_and(|report| report.key.is_some())
    }

    fn reported_key(&self) -> Option<PublicKey> {
        self.report_of(self.view.own).and_then(|report| report.key)
    }

    /// A cut machine is not waited for once the round is committed.
    fn is_late(&self, peer: MachineId) -> bool {
        self.round.laggards == Laggards::Cut
            && !self.report_of(peer).is_some_and(|report| report.ready.contains(&self.view.own))
    }

    fn report_of(&self, machine: MachineId) -> Option<&Progress> {
        self.view.progress.get(&machine).filter(|report| report.round == self.round.number)
    }

    fn rotates(&self, machine: MachineId) -> bool {
        self.round.rotating.contains(&machine)
    }

    fn procedure(&self, peer: MachineId) -> Procedure {
        self.round.procedure(self.view.own, peer)
    }

    /// The other machines whose pair with this one changes, if they are still there.
    fn peers(&self) -> impl Iterator<Item = MachineId> + use<> {
        let (own, view) = (self.view.own, self.view);
        let peers: Vec<_> = self
            .round
            .members
            .iter()
            .copied()
            .filter(|&peer| {
                peer != own && self.round.concerns(own, peer) && view.announced.contains_key(&peer)
            })
            .collect();
        peers.into_iter()
    }
}
