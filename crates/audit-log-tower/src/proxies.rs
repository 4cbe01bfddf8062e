use core::net::IpAddr;
use core::str::FromStr;

use audit_log::Client;
use http::{HeaderMap, HeaderName};

use crate::error::ProxyError;

/// The header that proxies append the address of their client to.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The most hops that are looked at, from the right.
pub const MAX_HOPS: usize = 32;

/// The most bytes of the header that are looked at; a longer one is not believed.
pub const MAX_FORWARDED_BYTES: usize = 4096;

/// The networks of one's own proxies: what they append to `X-Forwarded-For` is believed, and nothing else.
///
/// ```
/// use audit_log_tower::TrustedProxies;
/// let proxies = TrustedProxies::parse(["10.0.0.0/8", "2001:db8::1"])?;
/// assert!(proxies.contains("10.1.2.3".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<Network>,
}

impl TrustedProxies {
    /// No proxies: the peer is the client.
    #[must_use]
    pub const fn none() -> Self {
        Self { networks: Vec::new() }
    }

    /// The proxies in these networks, `ADDRESS` or `ADDRESS/LENGTH` each.
    ///
    /// # Errors
    /// [`ProxyError`] for the first that is none.
    pub fn parse<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, ProxyError> {
        Ok(Self { networks: networks.into_iter().map(str::parse).collect::<Result<_, _>>()? })
    }

    /// Whether the address is that of such a proxy.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address.to_canonical()))
    }

    /// Where a request came from: the peer and, if that is a proxy of one's own, the right-most address of
    /// `X-Forwarded-For` that is not. Hops to its left are the client's own word and are not looked at.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        let client = Client::peer(peer);
        if !self.contains(peer) {
            return client;
        }
        let lines: Vec<&[u8]> =
            headers.get_all(X_FORWARDED_FOR).iter().map(http::HeaderValue::as_bytes).collect();
        if lines.iter().map(|line| line.len()).fold(0, usize::saturating_add) > MAX_FORWARDED_BYTES {
            return client;
        }
        // Several lines are one list (RFC 9110, section 5.3).
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
        let mut nearest = None;
        for hop in hops.take(MAX_HOPS) {
            let Some(address) = address(hop) else {
                // Nobody knows what one's own proxy meant: what is left of it is not believed.
                break;
            };
            nearest = Some(address);
            if !self.contains(address) {
                break;
            }
        }
        nearest.map_or(client, |address| client.with_forwarded(address))
    }
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(hop).ok()?.trim_matches([' ', '\t']);
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(socket) = text.parse::<core::net::SocketAddr>() {
        return Some(socket.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    length: u32,
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros() >= self.length
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros() >= self.length
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ProxyError::Form)?;
        let (bits, trailing): (u32, u32) = match address {
            IpAddr::V4(address) => (32, address.to_bits().trailing_zeros()),
            IpAddr::V6(address) => (128, address.to_bits().trailing_zeros()),
        };
        let length = match length {
            None => bits,
            Some("0") => 0,
            Some(text) if text.starts_with(|first: char| matches!(first, '1'..='9')) => {
                text.parse().map_err(|_| ProxyError::Form)?
            }
            Some(_) => return Err(ProxyError::Form),
        };
        match () {
            () if length > bits => Err(ProxyError::Form),
            () if trailing < bits.saturating_sub(length) => Err(ProxyError::HostBits),
            () => Ok(Self { address, length }),
        }
    }
}
