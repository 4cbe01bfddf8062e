//! Ranges of addresses, and addresses within them.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use serde::{Serialize, Serializer};

use crate::error::PrefixError;

/// A range of addresses, such as `10.1.0.0/16`: no bit is set after its length. A range sorts before those within it.
///
/// ```
/// use wg_keys::config::Prefix;
/// let prefix: Prefix = "fd00:1::/32".parse()?;
/// assert!(prefix.contains("fd00:1::7".parse()?));
/// assert!("10.0.0.1/8".parse::<Prefix>().is_err(), "that is an address in a range");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    len: u8,
}

impl Prefix {
    /// The range of the addresses that share the first `len` bits with `address`.
    ///
    /// # Errors
    /// [`PrefixError::Length`], [`PrefixError::HostBits`].
    pub fn new(address: IpAddr, len: u8) -> Result<Self, PrefixError> {
        if len > width(address) {
            return Err(PrefixError::Length);
        }
        if bits(address) & !mask(len) != 0 {
            return Err(PrefixError::HostBits);
        }
        Ok(Self { address, len })
    }

    /// The range that has this address and no other.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        Self { address, len: width(address) }
    }

    /// The first address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits the addresses share.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a length in bits; no range is empty")]
    pub const fn len(self) -> u8 {
        self.len
    }

    /// Whether the address is in the range.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && bits(address) & mask(self.len) == bits(self.address)
    }

    /// Whether every address of `other` is in the range.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.len <= other.len && self.contains(other.address)
    }

    /// The range of the addresses that share its first `len` bits; none when it has fewer itself.
    pub(crate) fn shortened(self, len: u8) -> Option<Self> {
        let bits = bits(self.address) & mask(len);
        (len <= self.len).then(|| Self { address: address(self.address.is_ipv4(), bits), len })
    }

    /// The `index`th of the ranges of `len` bits within this one.
    pub(crate) fn part(self, len: u8, index: u128) -> Option<Self> {
        let below = width(self.address).checked_sub(len)?;
        let spare = len.checked_sub(self.len)?;
        if spare < 128 && index >> spare != 0 {
            return None;
        }
        let unused = if self.address.is_ipv4() { 96_u32 } else { 0 };
        let shift = unused.checked_add(below.into())?;
        let offset = if shift >= 128 { 0 } else { index << shift };
        Some(Self { address: address(self.address.is_ipv4(), bits(self.address) | offset), len })
    }

    /// The range of a text that others wrote: without a length it is one address, and IPv6 may be spelled otherwise.
    pub(crate) fn read(text: &str) -> Result<Self, PrefixError> {
        match text.split_once('/') {
            None => text.parse().map(Self::host).map_err(|_| PrefixError::Form),
            Some((address, len)) => Self::new(
                address.parse().map_err(|_| PrefixError::Form)?,
                decimal(len).ok_or(PrefixError::Form)?,
            ),
        }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let prefix = Self::read(text)?;
        if prefix.to_string() == text { Ok(prefix) } else { Err(PrefixError::Form) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An address of an interface, and how much of it the interface's link shares, such as `10.1.2.3/16`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceAddress {
    address: IpAddr,
    len: u8,
}

impl InterfaceAddress {
    /// An address whose first `len` bits are the link's.
    ///
    /// # Errors
    /// [`PrefixError::Length`].
    pub fn new(address: IpAddr, len: u8) -> Result<Self, PrefixError> {
        if len > width(address) { Err(PrefixError::Length) } else { Ok(Self { address, len }) }
    }

    /// An address that shares its link with no other.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        Self { address, len: width(address) }
    }

    /// The address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits the link's addresses share.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a length in bits")]
    pub const fn len(self) -> u8 {
        self.len
    }

    /// The address of a text that others wrote.
    pub(crate) fn read(text: &str) -> Result<Self, PrefixError> {
        match text.split_once('/') {
            None => text.parse().map(Self::host).map_err(|_| PrefixError::Form),
            Some((address, len)) => Self::new(
                address.parse().map_err(|_| PrefixError::Form)?,
                decimal(len).ok_or(PrefixError::Form)?,
            ),
        }
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

impl fmt::Debug for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A number in decimal, in its one spelling.
pub(crate) fn decimal<N: FromStr + fmt::Display>(text: &str) -> Option<N> {
    let number: N = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address's bits, the first one highest.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address(is_ipv4: bool, bits: u128) -> IpAddr {
    if is_ipv4 {
        Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap_or_default()).into()
    } else {
        Ipv6Addr::from_bits(bits).into()
    }
}

/// The first `len` bits.
fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(len.into())).unwrap_or_default()
}
