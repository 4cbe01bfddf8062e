use std::net::IpAddr;

/// A network, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    len: u32,
}

impl Network {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, len) = match text.split_once('/') {
            None => (text, None),
            Some((address, len)) => (address, Some(len)),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = width(address);
        let len = match len {
            None => width,
            Some(len)
                if !len.is_empty() && len.len() <= 3 && len.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                len.parse().ok()?
            }
            Some(_) => return None,
        };
        (len <= width).then_some(Self { address, len })
    }

    /// Whether the address is in it. An IPv4 address in IPv6 clothes is taken for the IPv4 address.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = if self.address.is_ipv4() { address.to_canonical() } else { address };
        if self.address.is_ipv4() != address.is_ipv4() {
            return false;
        }
        let shift = width(self.address).saturating_sub(self.len);
        let head = |address: IpAddr| bits(address).checked_shr(shift).unwrap_or(0);
        head(self.address) == head(address)
    }

    /// `address/len` with the bits past the length zero.
    pub(crate) fn canonical(&self) -> String {
        let shift = width(self.address).saturating_sub(self.len);
        let head =
            bits(self.address).checked_shr(shift).and_then(|head| head.checked_shl(shift)).unwrap_or(0);
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::from(u32::try_from(head).unwrap_or(0).to_be_bytes()),
            IpAddr::V6(_) => IpAddr::from(head.to_be_bytes()),
        };
        format!("{address}/{}", self.len)
    }
}

const fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_compared_by_their_first_bits() {
        let contains = |network: &str, address: &str| {
            Network::parse(network).unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("203.0.113.0/24", "203.0.113.9") && !contains("203.0.113.0/24", "203.0.114.9"));
        assert!(contains("203.0.113.7", "203.0.113.7") && !contains("203.0.113.7", "203.0.113.8"));
        assert!(contains("0.0.0.0/0", "1.2.3.4") && !contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1") && contains("::/0", "::1"));
        assert_eq!(Network::parse("203.0.113.9/24").unwrap().canonical(), "203.0.113.0/24");
        for text in ["", "203.0.113.0/33", "203.0.113/24", "10.0.0.0/+8", "10.0.0.0/", "::/129"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
