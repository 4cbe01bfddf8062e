//! What proxies, and whoever pretends to be one, say of a client's address; and the networks of proxies.

use std::net::IpAddr;
use std::sync::LazyLock;

use audit_log_tower::{MAX_FORWARDED_BYTES, MAX_HOPS, TrustedProxies, X_FORWARDED_FOR};
use http::{HeaderMap, HeaderValue};

/// Each line is one of the header's; a first line that is a list of networks says whose word is believed.
pub(crate) fn forwarded(input: &[u8]) -> bool {
    let (first, rest) = match input.iter().position(|byte| *byte == b'\n') {
        Some(at) => input.split_at(at),
        None => (&[][..], input),
    };
    let given = str::from_utf8(first).ok().and_then(|text| TrustedProxies::parse(text.split(' ')).ok());
    let proxies = given.as_ref().unwrap_or(&OWN);
    let mut headers = HeaderMap::new();
    for line in rest.split(|byte| *byte == b'\n').take(8) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(X_FORWARDED_FOR, value);
        }
    }
    let mut is_told = false;
    for peer in PEERS {
        let client = proxies.client(peer, &headers);
        assert_eq!(client.peer_address(), peer.to_canonical());
        assert_eq!(client.forwarded_address(), expected(proxies, peer, &headers), "{peer}");
        is_told |= client.forwarded_address().is_some();
    }
    is_told || given.is_some()
}

/// The same, from left to right: the hop after the last one that is no proxy's, as long as all are addresses.
fn expected(proxies: &TrustedProxies, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
    let lines: Vec<&[u8]> = headers.get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
    let is_short = lines.iter().map(|line| line.len()).sum::<usize>() <= MAX_FORWARDED_BYTES;
    if !proxies.contains(peer) || !is_short {
        return None;
    }
    let hops: Vec<Option<IpAddr>> =
        lines.iter().flat_map(|line| line.split(|byte| *byte == b',')).map(hop).collect();
    let seen = hops.get(hops.len().saturating_sub(MAX_HOPS)..).unwrap_or_default();
    let from = seen.iter().rposition(|hop| hop.is_none_or(|hop| !proxies.contains(hop))).unwrap_or(0);
    let believed = seen.get(from..).unwrap_or_default();
    // What is no address, and all to its left, is left out.
    believed.iter().find_map(|hop| *hop).map(|hop| hop.to_canonical())
}

fn hop(bytes: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(bytes).ok()?.trim_matches([' ', '\t']);
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse().ok(),
        None => text.parse().ok().or_else(|| Some(text.parse::<std::net::SocketAddr>().ok()?.ip())),
    }
}

const PEERS: [IpAddr; 3] = [
    IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9)),
    IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
];

#[expect(clippy::unwrap_used, reason = "constants")]
static OWN: LazyLock<TrustedProxies> =
    LazyLock::new(|| TrustedProxies::parse(["10.0.0.0/8", "fd00::/8"]).unwrap());
