//! The rotation that is under way, in the cluster's store: the lease, and the one decision in it.

use std::collections::{BTreeMap, BTreeSet};

use core_types::{MachineId, UnixTime};
use serde::{Deserialize, Serialize};
use state_store::{Batch, Commit, Key, Record, Revision, StateStore};

use super::Procedure;
use crate::error::RoundError;
use crate::key::PublicKey;

/// Where the round lies.
pub const ROUND_KEY: &str = "wg-keys/round";

/// What the keys of progress begin with.
pub const PROGRESS: &str = "wg-keys/progress/";

/// Where a round is. The step from `Moving` is taken once, by compare-and-swap, so all machines go the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "all machines must know all of them")]
pub enum Phase {
    /// New keys are announced, pairs move. It can be aborted.
    Moving,
    /// Every pair has moved, or is cut: the old keys go.
    Committed,
    /// Every pair goes back to the old keys.
    Aborted,
    /// It is over, and another one may begin.
    Ended,
}

/// What becomes of pairs that have not moved by the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "all machines must know all of them")]
pub enum Laggards {
    /// They are waited for; both keys are kept.
    Wait,
    /// The round is aborted.
    Abort,
    /// They are left behind, and come back by themselves when they see the records.
    Cut,
}

/// A rotation under way: of one machine, or of all at once. There is one at a time, which makes it the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "a document that all machines share")]
pub struct Round {
    /// Its number; each round has one more than the round before.
    pub number: u64,
    /// Where it is.
    pub phase: Phase,
    /// The machines that change their keys.
    pub rotating: BTreeSet<MachineId>,
    /// All machines that take part.
    pub members: BTreeSet<MachineId>,
    /// What the pairs of a single rotating machine do, by the other machine; blue/green where nothing is said.
    pub procedures: BTreeMap<MachineId, Procedure>,
    /// When it began.
    pub started: UnixTime,
    /// When pairs should have moved.
    pub deadline: UnixTime,
    /// What becomes of those that have not.
    pub laggards: Laggards,
}

impl Record for Round {
    const KIND: &'static str = "wg-keys/round";
    const VERSION: u32 = 1;
}

impl Round {
    /// A round of one machine, each pair by its procedure.
    #[must_use]
    pub fn single(
        machine: MachineId,
        members: impl IntoIterator<Item = MachineId>,
        procedures: BTreeMap<MachineId, Procedure>,
        (started, deadline): (UnixTime, UnixTime),
        laggards: Laggards,
    ) -> Self {
        let members = members.into_iter().chain([machine]).collect();
        let rotating = BTreeSet::from([machine]);
        Self { number: 0, phase: Phase::Moving, rotating, members, procedures, started, deadline, laggards }
    }

    /// A round of all machines at once, with second interfaces.
    #[must_use]
    pub fn mesh(
        members: impl IntoIterator<Item = MachineId>,
        (started, deadline): (UnixTime, UnixTime),
        laggards: Laggards,
    ) -> Self {
        let members: BTreeSet<_> = members.into_iter().collect();
        let procedures = BTreeMap::new();
        let rotating = members.clone();
        Self { number: 0, phase: Phase::Moving, rotating, members, procedures, started, deadline, laggards }
    }

    /// Whether the pair changes.
    #[must_use]
    pub fn concerns(&self, one: MachineId, other: MachineId) -> bool {
        self.members.contains(&one)
            && self.members.contains(&other)
            && (self.rotating.contains(&one) || self.rotating.contains(&other))
    }

    /// When the lease is void: as long after the deadline as that is after the start. Who is still there goes on by
    /// itself; another round may begin.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        self.deadline.saturating_add(self.deadline.saturating_since(self.started))
    }

    /// What the pair does.
    #[must_use]
    pub fn procedure(&self, one: MachineId, other: MachineId) -> Procedure {
        let peer = match (self.rotating.contains(&one), self.rotating.contains(&other)) {
            (true, false) => other,
            (false, true) => one,
            (true, true) | (false, false) => return Procedure::BlueGreen,
        };
        self.procedures.get(&peer).copied().unwrap_or(Procedure::BlueGreen)
    }

    /// The one machine of the pair that begins the handshake: the one that does not rotate, but for the open gate, where
    /// it is the one that does; of two that rotate, the lower.
    /// Two that begin at once refuse each other's answers, and nothing passes for five seconds.
    #[must_use]
    pub fn initiator(&self, one: MachineId, other: MachineId) -> MachineId {
        let open = self.procedure(one, other) == Procedure::OpenGate;
        match (self.rotating.contains(&one), self.rotating.contains(&other)) {
            (true, false) => {
                if open {
                    one
                } else {
                    other
                }
            }
            (false, true) => {
                if open {
                    other
                } else {
                    one
                }
            }
            (true, true) | (false, false) => one.min(other),
        }
    }
}

/// How far a machine is in a round; each machine writes its own. It is not signed: a key counts by its record alone, and
/// a machine moves when it has seen the handshake itself, so a lie here can delay a round and cannot redirect a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "a document that all machines share")]
pub struct Progress {
    /// Which round.
    pub round: u64,
    /// Counted up with every change, so that what is late is known for it.
    pub serial: u64,
    /// The phase that the machine has seen and acts by.
    pub phase: Phase,
    /// The machine's new key, once its record is in the store.
    pub key: Option<PublicKey>,
    /// The machines that it has the new pair ready for.
    pub ready: BTreeSet<MachineId>,
    /// The machines that it sends to over the new pair.
    pub moved: BTreeSet<MachineId>,
    /// Whether nothing of the round is left to do here, but for erasing.
    pub done: bool,
}

impl Record for Progress {
    const KIND: &'static str = "wg-keys/progress";
    const VERSION: u32 = 1;
}

/// The round in the store, and the revision to change it at.
///
/// # Errors
/// [`RoundError::Read`], [`RoundError::Damaged`].
pub async fn current<S: StateStore>(store: &S) -> Result<Option<(Round, Revision)>, RoundError> {
    let Some(entry) = store.get(&round_key()?).await? else { return Ok(None) };
    let round = state_store::record::decode(&entry.value).map_err(|_| RoundError::Damaged)?;
    Ok(Some((round, entry.revision)))
}

/// Begins a round, if none is under way; returns its number. A round whose lease is void is ended, aborted first if that
/// can be: ask again then.
///
/// # Errors
/// [`RoundError::Busy`] and those of the store.
pub async fn begin<S: StateStore>(store: &S, mut round: Round) -> Result<u64, RoundError> {
    let mut batch = Batch::new();
    match current(store).await? {
        None => {
            round.number = 1;
            batch.create(round_key()?, state_store::record::encode(&round)?)?;
        }
        Some((last, revision)) if last.phase == Phase::Ended => {
            round.number = last.number.saturating_add(1);
            batch.replace(round_key()?, revision, state_store::record::encode(&round)?)?;
        }
        Some((last, _)) if round.started >= last.expires() => {
            // Its machine is gone. What it did is undone first, or is final; then the lease is free.
            let phase = if last.phase == Phase::Moving { Phase::Aborted } else { Phase::Ended };
            decide_phase(store, last.number, phase).await?;
            return Err(RoundError::Busy);
        }
        Some(_) => return Err(RoundError::Busy),
    }
    match store.commit(batch).await? {
        Commit::Committed(_) => Ok(round.number),
        Commit::Conflict(_) => Err(RoundError::Busy),
    }
}

/// Aborts the round that is under way.
///
/// # Errors
/// [`RoundError::Nothing`], [`RoundError::Committed`], [`RoundError::Busy`] and those of the store.
pub async fn abort<S: StateStore>(store: &S) -> Result<(), RoundError> {
    match current(store).await? {
        Some((round, _)) if round.phase == Phase::Moving => {
            decide_phase(store, round.number, Phase::Aborted).await
        }
        Some((round, _)) if round.phase == Phase::Aborted => Ok(()),
        Some((round, _)) if round.phase == Phase::Committed => Err(RoundError::Committed),
        Some(_) | None => Err(RoundError::Nothing),
    }
}

/// Takes the round of this number to a phase: from `Moving` to `Committed` or `Aborted`, from these to `Ended`.
///
/// # Errors
/// [`RoundError::Busy`] when it is elsewhere by now, and those of the store.
pub async fn decide_phase<S: StateStore>(store: &S, number: u64, phase: Phase) -> Result<(), RoundError> {
    let (mut round, revision) = current(store).await?.ok_or(RoundError::Nothing)?;
    if round.number == number && round.phase == phase {
        return Ok(());
    }
    let follows = match phase {
        Phase::Moving => false,
        Phase::Committed | Phase::Aborted => round.phase == Phase::Moving,
        Phase::Ended => round.phase == Phase::Committed || round.phase == Phase::Aborted,
    };
    if round.number != number || !follows {
        return Err(RoundError::Busy);
    }
    round.phase = phase;
    let mut batch = Batch::new();
    batch.replace(round_key()?, revision, state_store::record::encode(&round)?)?;
    match store.commit(batch).await? {
        Commit::Committed(_) => Ok(()),
        Commit::Conflict(_) => Err(RoundError::Busy),
    }
}

fn round_key() -> Result<Key, RoundError> {
    Ok(Key::new(ROUND_KEY).map_err(state_store::BatchError::from)?)
}
