//! What the records ask of a machine's interface.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use core::time::Duration;

use core_types::{MachineId, UnixTime};

use super::{Directory, IdentityTrust, PskSchedule, Standing};
use crate::config::{Diff, Interface, Op, Overlap, Peer};
use crate::error::{ConfigError, PskError};
use crate::state::MachineState;

/// A configuration that the records ask for, and what somebody should know about it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Desired {
    /// The configuration.
    pub interface: Interface,
    /// What somebody should look at.
    pub warnings: Vec<Warning>,
    /// Prefixes within those of others: the longest wins.
    pub overlaps: Vec<Overlap>,
}

/// Something that works and should not stay so.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The machine's record expires within the time that was asked about. Its key should be rotated.
    ExpiresSoon {
        /// Which machine.
        machine: MachineId,
        /// When.
        expires: UnixTime,
    },
    /// The machine's record has expired. Its key is still used: the last key that works is not given up by itself.
    Expired {
        /// Which machine.
        machine: MachineId,
        /// When it did.
        expires: UnixTime,
    },
    /// There is no preshared key with this machine, so it is no peer.
    NoPresharedKey {
        /// Which machine.
        machine: MachineId,
        /// Why.
        error: PskError,
    },
    /// This machine's own record is not in the directory, or has another key.
    NotAnnounced,
}

impl Directory {
    /// The configuration of this machine's interface: every other machine that is not revoked is a peer, with its
    /// address, its prefixes, its first endpoint, and the preshared key of the pair if there is a schedule.
    ///
    /// # Errors
    /// [`ConfigError`] when records contradict one another in spite of all.
    pub fn desired(
        &self,
        own: &MachineState,
        trust: &dyn IdentityTrust,
        schedule: Option<PskSchedule>,
        keepalive_secs: u16,
        (now, soon): (UnixTime, Duration),
    ) -> Result<Desired, ConfigError> {
        let (mut peers, mut warnings) = (Vec::new(), Vec::new());
        let public = own.current().public_key();
        if self.member(own.machine()).is_none_or(|member| member.record.record().public != public) {
            warnings.push(Warning::NotAnnounced);
        }
        for (machine, member) in self.members() {
            let record = member.record.record();
            let expires = record.expires;
            if expires <= now {
                warnings.push(Warning::Expired { machine, expires });
            } else if expires <= now.saturating_add(soon) {
                warnings.push(Warning::ExpiresSoon { machine, expires });
            }
            if machine == own.machine() || trust.standing(machine) == Standing::Revoked {
                continue;
            }
            let mut peer = Peer::new(record.public)
                .with_allowed_ips(record.allowed_ips())
                .with_keepalive_secs(keepalive_secs);
            if let Some(&endpoint) = record.endpoints.first() {
                peer = peer.with_endpoint(endpoint);
            }
            if let Some(schedule) = schedule {
                match own.preshared_key(machine, record.agreement, schedule.epoch(now)) {
                    Ok(key) => peer = peer.with_preshared_key(Arc::new(key)),
                    Err(error) => {
                        warnings.push(Warning::NoPresharedKey { machine, error });
                        continue;
                    }
                }
            }
            peers.push(peer);
        }
        let interface = Interface::new(Some(Arc::clone(own.current())), Some(own.listen_port()), peers)?;
        Ok(Desired { overlaps: interface.overlaps(), interface, warnings })
    }

    /// What cuts revoked machines off an interface now, by every key they have had. Nothing is drained and nothing else
    /// is touched, so the guard against lists that lost their peers has no say.
    pub fn cut(&self, interface: &Interface, trust: &dyn IdentityTrust) -> Diff {
        let mut standings: BTreeMap<MachineId, Standing> = BTreeMap::new();
        let revoked: BTreeSet<_> = interface
            .peers()
            .map(Peer::key)
            .filter(|&key| {
                self.key_holder(key).is_some_and(|machine| {
                    *standings.entry(machine).or_insert_with(|| trust.standing(machine)) == Standing::Revoked
                })
            })
            .collect();
        Diff::removal(revoked.into_iter().map(|key| Op::RemovePeer { key }).collect())
    }
}
