//! What happened, for the audit log.

use std::collections::BTreeMap;

use core_types::{MachineId, UnixTime};
use serde::Serialize;

use super::{Action, Phase, View};

/// A step of a rotation, when it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// When.
    pub at: UnixTime,
    /// Who did it.
    pub machine: MachineId,
    /// In which round; 0 outside of rounds.
    pub round: u64,
    /// What was done.
    pub step: Step,
    /// The machine at the other end, of what is about a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<MachineId>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Step {
    /// A key was made, durably.
    Prepared,
    /// A record was written.
    Announced,
    /// An interface was brought up.
    Opened,
    /// A machine's new key is known to an interface.
    Added,
    /// A machine's prefixes were moved to its new key.
    Lifted,
    /// What is sent to a machine goes over the new pair.
    Moved,
    /// The new key became the current one, durably.
    Activated,
    /// An interface was given another key.
    Swapped,
    /// A pair that had drained was removed.
    Removed,
    /// An interface was taken down.
    Closed,
    /// Others were told.
    Reported,
    /// The round was committed.
    Committed,
    /// The round was aborted.
    Aborted,
    /// The round is over.
    Ended,
    /// The new key was forgotten.
    Dropped,
    /// The old key was erased.
    Erased,
}

impl Event {
    /// What to record when `action`, which `view` asked for, has been done.
    #[must_use]
    pub fn of(view: &View, action: &Action, at: UnixTime) -> Self {
        let (step, peer) = match action {
            Action::Prepare => (Step::Prepared, None),
            Action::Announce { .. } => (Step::Announced, None),
            Action::OpenLane { .. } => (Step::Opened, None),
            Action::AddPeer { peer, .. } | Action::AddGated { peer, .. } => (Step::Added, Some(*peer)),
            Action::Lift { peer, .. } => (Step::Lifted, Some(*peer)),
            Action::Route { peer, .. } => (Step::Moved, Some(*peer)),
            Action::Activate => (Step::Activated, None),
            Action::SwapKey { .. } => (Step::Swapped, None),
            Action::RemovePeer { key, .. } => {
                let of = view
                    .announced
                    .iter()
                    .find(|(_, announced)| announced.key == *key || announced.previous == Some(*key));
                (Step::Removed, of.map(|(&peer, _)| peer))
            }
            Action::CloseLane { .. } => (Step::Closed, None),
            Action::Report(_) => (Step::Reported, None),
            Action::Decide { phase: Phase::Committed, .. } => (Step::Committed, None),
            Action::Decide { phase: Phase::Aborted, .. } => (Step::Aborted, None),
            Action::Decide { phase: Phase::Ended | Phase::Moving, .. } => (Step::Ended, None),
            Action::DropPending => (Step::Dropped, None),
            Action::Erase => (Step::Erased, None),
        };
        let round = view.round.as_ref().filter(|round| round.phase != Phase::Ended);
        Self { at, machine: view.own, round: round.map_or(0, |round| round.number), step, peer }
    }
}

/// When each step of a pair was done, of one round as one machine saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PeerTimes {
    /// The new key was known here.
    pub added: Option<UnixTime>,
    /// What is sent went over the new pair.
    pub moved: Option<UnixTime>,
    /// The old pair was removed.
    pub removed: Option<UnixTime>,
}

/// The times of all pairs of a machine in a round.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline {
    pairs: BTreeMap<MachineId, PeerTimes>,
}

impl Timeline {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an event in; the first of a kind counts.
    pub fn record(&mut self, event: &Event) {
        let Some(peer) = event.peer else { return };
        let times = self.pairs.entry(peer).or_default();
        let time = match event.step {
            Step::Added => &mut times.added,
            Step::Moved | Step::Lifted => &mut times.moved,
            Step::Removed => &mut times.removed,
            _ => return,
        };
        time.get_or_insert(event.at);
    }

    /// The times of each pair, by the other machine.
    #[must_use]
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (MachineId, PeerTimes)> {
        self.pairs.iter().map(|(&peer, &times)| (peer, times))
    }
}
