use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::text::Escaped;
use crate::error::EventError;

/// The most bytes of a user agent that are kept.
pub const MAX_USER_AGENT_BYTES: usize = 512;

/// Where a request came from, with the evidence.
///
/// The peer is the other end of the socket and cannot be made up. A forwarded address is what a proxy of
/// one's own reported: the right-most hop of `X-Forwarded-For` or `Forwarded` (RFC 7239 5.2) that is not
/// such a proxy. Pass it only when the peer is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    peer: IpAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forwarded: Option<IpAddr>,
}

impl Client {
    /// A client at the other end of the socket. IPv4 in IPv6 is kept as IPv4 (RFC 4291 2.5.5.2).
    #[must_use]
    pub const fn peer(peer: IpAddr) -> Self {
        Self { peer: peer.to_canonical(), forwarded: None }
    }

    /// The address that one's own proxy at the peer reported.
    #[must_use]
    pub const fn with_forwarded(self, forwarded: IpAddr) -> Self {
        Self { peer: self.peer, forwarded: Some(forwarded.to_canonical()) }
    }

    /// The other end of the socket.
    #[must_use]
    pub const fn peer_address(&self) -> IpAddr {
        self.peer
    }

    /// What a proxy reported.
    #[must_use]
    pub const fn forwarded_address(&self) -> Option<IpAddr> {
        self.forwarded
    }

    /// The client's address by the best evidence there is: as forwarded, else the peer's.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        match self.forwarded {
            Some(address) => address,
            None => self.peer,
        }
    }
}

/// What the client calls itself.
///
/// A stranger's text: at most [`MAX_USER_AGENT_BYTES`] are kept, `Display` escapes it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "WireUserAgent")]
pub struct UserAgent {
    text: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_from: Option<u64>,
}

impl UserAgent {
    /// From the bytes of the header. What is not UTF-8 becomes U+FFFD; what is too long is cut, and the
    /// length it had is kept.
    #[must_use]
    pub fn from_header(value: &[u8]) -> Self {
        // Cut before converting, so that the work is bounded too.
        let head = value.get(..MAX_USER_AGENT_BYTES).unwrap_or(value);
        let text = String::from_utf8_lossy(head);
        let end = text.floor_char_boundary(MAX_USER_AGENT_BYTES);
        let text = text.get(..end).unwrap_or_default();
        let cut = value.len() > MAX_USER_AGENT_BYTES;
        Self { text: text.into(), cut_from: cut.then(|| u64::try_from(value.len()).unwrap_or(u64::MAX)) }
    }

    /// The raw text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many bytes it had, where it was cut.
    #[must_use]
    pub const fn cut_from(&self) -> Option<u64> {
        self.cut_from
    }
}

impl fmt::Display for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped::new(&self.text).fmt(f)
    }
}

impl fmt::Debug for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireUserAgent {
    text: Box<str>,
    cut_from: Option<u64>,
}

impl TryFrom<WireUserAgent> for UserAgent {
    type Error = EventError;

    fn try_from(wire: WireUserAgent) -> Result<Self, EventError> {
        if wire.text.len() > MAX_USER_AGENT_BYTES {
            return Err(EventError::TooLong { field: "user_agent", limit: MAX_USER_AGENT_BYTES });
        }
        Ok(Self { text: wire.text, cut_from: wire.cut_from })
    }
}
