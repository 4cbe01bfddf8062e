//! Networks a token may be bound to.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::error::FormatError;

/// The most networks a token may be bound to.
pub const MAX_NETWORKS: usize = 64;

/// An IP network, `10.0.0.0/8` or `2001:db8::/32` (RFC 4632, RFC 4291 2.3); one spelling each.
///
/// An IPv4 address that comes wrapped in IPv6 (`::ffff:10.0.0.1`) counts as the IPv4 address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    // INVARIANT: no bit of the address is set after the length.
    address: IpAddr,
    length: u8,
}

impl Network {
    /// The network of the first `length` bits of `address`.
    ///
    /// # Errors
    /// [`FormatError::Network`] when the length is too great, a later bit is set, or it is IPv4 in IPv6.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, FormatError> {
        let network = Self { address, length };
        let width: u8 = if address.is_ipv4() { 32 } else { 128 };
        if length > width
            || address.to_canonical() != address
            || network.bits_of(address) != Some(bits(address))
        {
            return Err(FormatError::Network);
        }
        Ok(network)
    }

    /// Whether `address` lies in it.
    #[must_use]
    pub fn contains_address(&self, address: IpAddr) -> bool {
        self.bits_of(address.to_canonical()) == Some(bits(self.address))
    }

    /// Whether all of `other` lies in it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.length <= other.length && self.contains_address(other.address)
    }

    /// The leading bits of an address of the same family, the rest zero.
    fn bits_of(&self, address: IpAddr) -> Option<u128> {
        if address.is_ipv4() != self.address.is_ipv4() {
            return None;
        }
        let mask = u128::MAX.checked_shl(128_u32.wrapping_sub(u32::from(self.length))).unwrap_or(0);
        Some(bits(address) & mask)
    }
}

impl FromStr for Network {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        let (address, length) = text.split_once('/').ok_or(FormatError::Network)?;
        let network = Self::new(
            address.parse().map_err(|_| FormatError::Network)?,
            length.parse().map_err(|_| FormatError::Network)?,
        )?;
        // The standard library reads several spellings of one address.
        if network.to_string() == text { Ok(network) } else { Err(FormatError::Network) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Box<str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The address's bits, leftmost first, the rest zero.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(Ipv4Addr::to_bits(v4)) << 96,
        IpAddr::V6(v6) => Ipv6Addr::to_bits(v6),
    }
}
