//! The records that count.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use core_types::{MachineId, UnixTime};
use state_store::Revision;

use super::{IdentityTrust, KeyRecord, RecordHash, SignedRecord, Standing, VerifiedRecord};
use crate::address::machine_address;
use crate::config::Prefix;
use crate::error::Refusal;
use crate::key::PublicKey;

/// An entry of the store, as it was found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Found {
    /// The machine and the epoch that its key says.
    pub place: Option<(MachineId, u64)>,
    /// The commit that wrote it.
    pub revision: Revision,
    /// The record.
    pub record: Result<SignedRecord, Refusal>,
}

/// A record that changed nothing, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The machine and the epoch that its place in the store says.
    pub place: Option<(MachineId, u64)>,
    /// Why.
    pub refusal: Refusal,
}

/// What came of looking at the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct Report {
    /// Machines that have a newer record now.
    pub renewed: Vec<MachineId>,
    /// Records that changed nothing. Somebody should look at them.
    pub refused: Vec<Refused>,
    /// Machines that are known and of which the store has no record any more. They stay what they are: a machine goes
    /// by being revoked, or when it is [forgotten](Directory::forget).
    pub missing: Vec<MachineId>,
}

/// A machine whose record counts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Member {
    /// Its newest record.
    pub record: VerifiedRecord,
    hash: RecordHash,
}

/// The mesh's machines by their records. What it knows it does not give up for what it is told later, so one that is
/// kept sees a store that was rolled back.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    members: BTreeMap<MachineId, Member>,
    keys: HashMap<PublicKey, MachineId>,
}

impl Directory {
    /// Nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes records of the store, in the order in which they were written there, so that who had a key first has it.
    ///
    /// Give it all records: a machine that has none any more is reported.
    pub fn observe(
        &mut self,
        found: impl IntoIterator<Item = Found>,
        trust: &dyn IdentityTrust,
        now: UnixTime,
    ) -> Report {
        let mut found: Vec<_> = found.into_iter().collect();
        // Of one commit, in the order of epochs.
        found.sort_by_key(|found| (found.revision, found.place));
        let mut report = Report::default();
        let mut renewed = BTreeSet::new();
        let mut latest: BTreeMap<MachineId, u64> = BTreeMap::new();
        for Found { place, record, .. } in found {
            if let Some((machine, epoch)) = place {
                let highest = latest.entry(machine).or_default();
                *highest = epoch.max(*highest);
            }
            match record.and_then(|record| self.take(place, record, trust, now)) {
                Ok(Some(machine)) => {
                    renewed.insert(machine);
                }
                Ok(None) => {}
                Err(refusal) => report.refused.push(Refused { place, refusal }),
            }
        }
        report.renewed.extend(renewed);
        for (&machine, member) in &self.members {
            let known = member.record.record().epoch;
            match latest.get(&machine) {
                None => report.missing.push(machine),
                Some(&epoch) if epoch < known => report
                    .refused
                    .push(Refused { place: Some((machine, epoch)), refusal: Refusal::Rollback { known } }),
                Some(_) => {}
            }
        }
        report
    }

    /// Forgets a machine that left of its own accord. Its keys stay taken.
    pub fn forget(&mut self, machine: MachineId) {
        self.members.remove(&machine);
    }

    /// The machines, in the order of their ids.
    #[must_use]
    pub fn members(&self) -> impl ExactSizeIterator<Item = (MachineId, &Member)> {
        self.members.iter().map(|(&machine, member)| (machine, member))
    }

    /// A machine.
    #[must_use]
    pub fn member(&self, machine: MachineId) -> Option<&Member> {
        self.members.get(&machine)
    }

    /// Whose key it is, or was.
    #[must_use]
    pub fn key_holder(&self, key: PublicKey) -> Option<MachineId> {
        self.keys.get(&key).copied()
    }

    /// Every key that the machine has had, for cutting it off.
    #[must_use]
    pub fn keys_of(&self, machine: MachineId) -> Vec<PublicKey> {
        self.keys.iter().filter(|(_, holder)| **holder == machine).map(|(&key, _)| key).collect()
    }

    fn take(
        &mut self,
        place: Option<(MachineId, u64)>,
        signed: SignedRecord,
        trust: &dyn IdentityTrust,
        now: UnixTime,
    ) -> Result<Option<MachineId>, Refusal> {
        let record = signed.record();
        let (machine, epoch) = (record.machine, record.epoch);
        if place != Some((machine, epoch)) {
            return Err(Refusal::Misplaced);
        }
        let identity = match trust.standing(machine) {
            Standing::Trusted(identity) => identity,
            Standing::Unknown => return Err(Refusal::UnknownMachine),
            Standing::Revoked => return Err(Refusal::Revoked),
        };
        let hash = signed.hash();
        if let Some(member) = self.members.get(&machine) {
            let known = member.record.record().epoch;
            if epoch == known && member.hash == hash {
                return Ok(None);
            }
            if epoch < known {
                // History lies in the store beside what is newest: it says nothing new.
                return Ok(None);
            }
            // Only now, so that what is known is not verified at every look.
            let verified = signed.verify(identity)?;
            let record = verified.record();
            if epoch == known {
                return Err(Refusal::Fork { epoch });
            }
            let follows = record.epoch == known.saturating_add(1)
                && record.previous == Some((member.record.record().public, member.hash));
            if !follows {
                return Err(Refusal::Chain { known });
            }
            self.accept(verified, hash, trust, now)
        } else {
            let verified = signed.verify(identity)?;
            self.accept(verified, hash, trust, now)
        }
    }

    fn accept(
        &mut self,
        record: VerifiedRecord,
        hash: RecordHash,
        trust: &dyn IdentityTrust,
        now: UnixTime,
    ) -> Result<Option<MachineId>, Refusal> {
        let content = record.record();
        let machine = content.machine;
        if content.not_before > now {
            return Err(Refusal::NotYet);
        }
        for key in [content.public, content.agreement] {
            if let Some(&holder) = self.keys.get(&key)
                && holder != machine
            {
                return Err(Refusal::KeyOfAnother { holder });
            }
        }
        for &prefix in &content.prefixes {
            match trust.holder(prefix) {
                Some(holder) if holder == machine => {}
                Some(holder) => return Err(Refusal::PrefixOfAnother { prefix, holder }),
                None => return Err(Refusal::PrefixNotGranted { prefix }),
            }
        }
        self.keys.insert(content.public, machine);
        self.keys.insert(content.agreement, machine);
        if let Some((previous, _)) = content.previous {
            self.keys.entry(previous).or_insert(machine);
        }
        self.members.insert(machine, Member { record, hash });
        Ok(Some(machine))
    }
}

impl KeyRecord {
    /// The machine's address, and the prefixes it says it has.
    pub fn allowed_ips(&self) -> impl Iterator<Item = Prefix> {
        core::iter::once(Prefix::host(machine_address(self.machine).into()))
            .chain(self.prefixes.iter().copied())
    }
}
