use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use core_types::ParseError;

/// A network: an address and how many of its leading bits count (RFC 4632 3.1, RFC 4291 2.3).
///
/// The text has one spelling: the address as std prints it, its other bits zero, and the length in decimal:
/// `192.0.2.0/24`, `2001:db8::/32`. IPv4 networks in IPv6 clothes are refused: write the IPv4 network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Box<str>", into = "Box<str>")]
pub struct Cidr {
    // INVARIANT: no bit is set past the prefix; not IPv4-mapped.
    address: IpAddr,
    prefix_bits: u8,
}

impl Cidr {
    /// Whether the address is in the network. An IPv4 address in IPv6 clothes is taken for the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            _ => false,
        }
    }
}

impl Cidr {
    /// The first address, and the first one after the network.
    pub(super) fn borders(&self) -> [Option<IpAddr>; 2] {
        let after = match self.address {
            IpAddr::V4(address) => {
                let rest = u32::MAX.checked_shr(u32::from(self.prefix_bits)).unwrap_or(0);
                (address.to_bits() | rest).checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into())
            }
            IpAddr::V6(address) => {
                let rest = u128::MAX.checked_shr(u32::from(self.prefix_bits)).unwrap_or(0);
                let after = (address.to_bits() | rest).checked_add(1).map(Ipv6Addr::from_bits);
                // What is in IPv6 clothes there is no IPv6 address; the next one is.
                after.map(|after| if after.to_ipv4_mapped().is_some() { AFTER_MAPPED } else { after }.into())
            }
        };
        [Some(self.address), after]
    }
}

impl FromStr for Cidr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let form = ParseError::Form { form: "address/bits" };
        let (address, bits) = text.split_once('/').ok_or(form)?;
        let address: IpAddr = address.parse().map_err(|_| form)?;
        let prefix_bits: u8 = bits.parse().map_err(|_| form)?;
        let host_bits_are_zero = match address {
            IpAddr::V4(address) if prefix_bits <= 32 => {
                address.to_bits().checked_shl(u32::from(prefix_bits)).unwrap_or(0) == 0
            }
            IpAddr::V6(address) if prefix_bits <= 128 && address.to_ipv4_mapped().is_none() => {
                address.to_bits().checked_shl(u32::from(prefix_bits)).unwrap_or(0) == 0
            }
            _ => return Err(form),
        };
        let network = Self { address, prefix_bits };
        if host_bits_are_zero && network.to_string() == text {
            Ok(network)
        } else {
            Err(ParseError::NotCanonical)
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<Box<str>> for Cidr {
    type Error = ParseError;

    fn try_from(text: Box<str>) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Cidr> for Box<str> {
    fn from(network: Cidr) -> Self {
        network.to_string().into()
    }
}

/// The first address after `::ffff:0:0/96`.
const AFTER_MAPPED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 1, 0, 0, 0);
