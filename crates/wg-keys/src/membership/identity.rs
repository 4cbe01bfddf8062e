//! Whose word counts.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use core_types::MachineId;

use crate::address::machine_address;
use crate::config::Prefix;
use crate::error::{RecordError, TrustError};

/// The public half of a machine's Ed25519 identity (RFC 8032 §5.1.5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityKey {
    bytes: [u8; 32],
}

impl IdentityKey {
    /// The key of these bytes. Whether they are a point is seen when it verifies: one that is none verifies nothing.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self { bytes }
    }

    /// The bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        self.bytes
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityKey(")?;
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// Signs records: the machine's state, or a device that keeps the identity to itself.
///
/// # What a wrong answer breaks
/// A signer that signs what it is not asked to lets others speak for the machine.
pub trait RecordSigner {
    /// Which machine it speaks for.
    fn machine(&self) -> MachineId;

    /// The Ed25519 signature (RFC 8032 §5.1.6) over the message.
    ///
    /// # Errors
    /// [`RecordError::Signer`] when it cannot sign now.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], RecordError>;
}

/// What is known of a machine's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a standing that a reader does not know must not be trusted")]
#[must_use]
pub enum Standing {
    /// Nobody vouched for it.
    Unknown,
    /// This is its identity.
    Trusted(IdentityKey),
    /// It must be cut off now. That is another thing than a key that was rotated away, whose peers drain first.
    Revoked,
}

/// Where trust in identities comes from: the place where machines join.
///
/// # What a wrong answer breaks
/// Who is trusted here is a machine of the mesh. A revoked machine that is said to be trusted keeps its peers.
/// A prefix with two holders is one that either of them can take from the other.
pub trait IdentityTrust {
    /// What is known of the machine.
    fn standing(&self, machine: MachineId) -> Standing;

    /// The machine that this prefix was given to: the one with the longest granted prefix that covers it.
    fn holder(&self, prefix: Prefix) -> Option<MachineId>;
}

/// Identities in memory.
#[derive(Debug, Clone, Default)]
pub struct TrustedIdentities {
    identities: BTreeMap<MachineId, IdentityKey>,
    /// The machine of each identity.
    machines: BTreeMap<IdentityKey, MachineId>,
    revoked: BTreeSet<MachineId>,
    grants: BTreeMap<Prefix, MachineId>,
}

impl TrustedIdentities {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts a machine's identity and gives it prefixes besides its [address](machine_address).
    ///
    /// # Errors
    /// [`TrustError`]; nothing is changed then.
    pub fn admit(
        &mut self,
        machine: MachineId,
        identity: IdentityKey,
        prefixes: impl IntoIterator<Item = Prefix>,
    ) -> Result<(), TrustError> {
        if self.revoked.contains(&machine) {
            return Err(TrustError::Revoked { machine });
        }
        if self.identities.get(&machine).is_some_and(|known| *known != identity) {
            return Err(TrustError::Known { machine });
        }
        if let Some(&holder) = self.machines.get(&identity)
            && holder != machine
        {
            return Err(TrustError::IdentityTaken { holder });
        }
        let own = Prefix::host(machine_address(machine).into());
        let prefixes: Vec<_> = prefixes.into_iter().chain([own]).collect();
        for &prefix in &prefixes {
            if let Some(&holder) = self.grants.get(&prefix)
                && holder != machine
            {
                return Err(TrustError::PrefixTaken { prefix, holder });
            }
        }
        self.grants.extend(prefixes.into_iter().map(|prefix| (prefix, machine)));
        self.identities.insert(machine, identity);
        self.machines.insert(identity, machine);
        Ok(())
    }

    /// Trusts the machine no more, for ever. Its prefixes stay its own.
    pub fn revoke(&mut self, machine: MachineId) {
        self.identities.remove(&machine);
        self.revoked.insert(machine);
    }
}

impl IdentityTrust for TrustedIdentities {
    fn standing(&self, machine: MachineId) -> Standing {
        match self.identities.get(&machine) {
            _ if self.revoked.contains(&machine) => Standing::Revoked,
            Some(&identity) => Standing::Trusted(identity),
            None => Standing::Unknown,
        }
    }

    fn holder(&self, prefix: Prefix) -> Option<MachineId> {
        (0..=prefix.len()).rev().find_map(|len| self.grants.get(&prefix.shortened(len)?).copied())
    }
}
