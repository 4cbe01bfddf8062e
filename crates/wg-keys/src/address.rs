//! Addresses of machines, which outlive their keys.
//!
//! An address that is computed from a key changes when the key does, and with it everything that rests on the
//! address. Here it is computed from the machine's id:
//!
//! ```text
//! address = fd || first 15 bytes of BLAKE2s-256("palisade/wg-keys/address/v1" || 00 || id, 16 bytes)
//! ```

use core::net::{IpAddr, Ipv6Addr};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use blake2::digest::Digest as _;
use core_types::MachineId;

use crate::config::Prefix;
use crate::error::AddressError;

/// The address of a machine in the mesh, within `fd00::/8` (RFC 4193).
///
/// ```
/// let id = "mch_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D".parse()?;
/// assert_eq!(wg_keys::machine_address(id).to_string(), "fdb5:8a7f:3e6f:3c14:5795:48e1:fb6b:5ef2");
/// # Ok::<(), core_types::ParseError>(())
/// ```
#[must_use]
pub fn machine_address(machine: MachineId) -> Ipv6Addr {
    let mut digest = blake2::Blake2s256::new();
    digest.update(DOMAIN);
    digest.update(machine.to_bytes());
    let digest: [u8; 32] = digest.finalize().into();
    let mut address = [0xfd; 16];
    if let ([_, rest @ ..], Some(first)) = (&mut address, digest.first_chunk::<15>()) {
        rest.copy_from_slice(first);
    }
    address.into()
}

/// Which machine has which address.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    holders: BTreeMap<IpAddr, MachineId>,
}

impl Addresses {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self { holders: BTreeMap::new() }
    }

    /// Gives the machine the address of its id.
    ///
    /// # Errors
    /// [`AddressError::Taken`] when another machine has it: by chance once in about 2⁶⁰ machines, so rather by
    /// somebody's doing.
    pub fn assign(&mut self, machine: MachineId) -> Result<Ipv6Addr, AddressError> {
        let address = machine_address(machine);
        self.claim(machine, address.into())?;
        Ok(address)
    }

    /// Gives the machine an address of its own choice, besides those it has.
    ///
    /// # Errors
    /// [`AddressError::Taken`].
    pub fn claim(&mut self, machine: MachineId, address: IpAddr) -> Result<(), AddressError> {
        match self.holders.entry(address) {
            Entry::Vacant(free) => {
                free.insert(machine);
                Ok(())
            }
            Entry::Occupied(holder) if *holder.get() == machine => Ok(()),
            Entry::Occupied(holder) => Err(AddressError::Taken { address, holder: *holder.get() }),
        }
    }

    /// Takes every address of the machine back.
    pub fn release(&mut self, machine: MachineId) {
        self.holders.retain(|_, holder| *holder != machine);
    }

    /// Whose address this is.
    #[must_use]
    pub fn holder(&self, address: IpAddr) -> Option<MachineId> {
        self.holders.get(&address).copied()
    }
}

/// A network that is cut into subnets of one length, one for each machine.
#[derive(Debug, Clone)]
pub struct SubnetPool {
    network: Prefix,
    len: u8,
    holders: BTreeMap<Prefix, MachineId>,
    subnets: BTreeMap<MachineId, Prefix>,
}

impl SubnetPool {
    /// A pool of the subnets of `len` bits in `network`.
    ///
    /// # Errors
    /// [`AddressError::Length`].
    pub fn new(network: Prefix, len: u8) -> Result<Self, AddressError> {
        if network.part(len, 0).is_none() {
            return Err(AddressError::Length { network, len });
        }
        Ok(Self { network, len, holders: BTreeMap::new(), subnets: BTreeMap::new() })
    }

    /// Gives the machine the lowest subnet that is free, or the one it has.
    ///
    /// # Errors
    /// [`AddressError::Exhausted`].
    pub fn allocate(&mut self, machine: MachineId) -> Result<Prefix, AddressError> {
        if let Some(&has) = self.subnets.get(&machine) {
            return Ok(has);
        }
        // The holders are sorted, so the first that is not the next in turn leaves one free.
        let mut index = 0_u128;
        for &taken in self.holders.keys() {
            if self.network.part(self.len, index) != Some(taken) {
                break;
            }
            index = index.saturating_add(1);
        }
        let subnet =
            self.network.part(self.len, index).ok_or(AddressError::Exhausted { network: self.network })?;
        self.claim(machine, subnet)?;
        Ok(subnet)
    }

    /// Gives the machine this subnet, which somebody else's record says it has.
    ///
    /// # Errors
    /// [`AddressError::Foreign`], [`AddressError::SubnetTaken`]; [`AddressError::Holds`] when it has another one.
    pub fn claim(&mut self, machine: MachineId, subnet: Prefix) -> Result<(), AddressError> {
        if subnet.len() != self.len || !self.network.covers(subnet) {
            return Err(AddressError::Foreign { subnet });
        }
        if let Some(&holder) = self.holders.get(&subnet)
            && holder != machine
        {
            return Err(AddressError::SubnetTaken { subnet, holder });
        }
        if let Some(&holds) = self.subnets.get(&machine)
            && holds != subnet
        {
            return Err(AddressError::Holds { machine, holds });
        }
        self.holders.insert(subnet, machine);
        self.subnets.insert(machine, subnet);
        Ok(())
    }

    /// Takes the machine's subnet back.
    pub fn release(&mut self, machine: MachineId) -> Option<Prefix> {
        let subnet = self.subnets.remove(&machine)?;
        self.holders.remove(&subnet);
        Some(subnet)
    }

    /// The machine's subnet.
    #[must_use]
    pub fn subnet(&self, machine: MachineId) -> Option<Prefix> {
        self.subnets.get(&machine).copied()
    }
}

const DOMAIN: &[u8] = b"palisade/wg-keys/address/v1\0";
