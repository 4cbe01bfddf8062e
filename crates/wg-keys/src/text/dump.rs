//! What `wg show INTERFACE dump` prints.

use std::collections::BTreeMap;

use super::lines::{LineNumber, numbered};
use super::{Snapshot, Traffic};
use crate::config::{Interface, MAX_PEERS, Peer};
use crate::error::{ConfigError, TextError};
use crate::key::PublicKey;

/// Reads what `wg show INTERFACE dump` printed: one line for the interface, one for each peer, of values between tabs.
///
/// # Errors
/// [`TextError`].
pub fn read_dump(text: &str) -> Result<Snapshot, TextError> {
    let mut lines = numbered(text)?;
    let (number, line) = lines.next().ok_or(LineNumber(1).wrong("no interface"))?;
    let &[private_key, public_key, port, _mark] = line.split('\t').collect::<Vec<_>>().as_slice() else {
        return Err(number.wrong("not the four values of an interface"));
    };
    let private_key = given(private_key).map(|key| number.private_key(key)).transpose()?;
    let public_key = given(public_key).map(|key| number.public_key(key)).transpose()?;
    if private_key.as_ref().map(|key| key.public_key()) != public_key {
        return Err(number.wrong("the private key is not the public key's"));
    }
    let port = number.number(port)?;
    let (mut peers, mut traffic) = (Vec::new(), BTreeMap::new());
    for (number, line) in lines {
        if peers.len() == MAX_PEERS {
            return Err(ConfigError::TooManyPeers.into());
        }
        let (peer, its_traffic) = peer(number, line)?;
        traffic.insert(peer.key(), its_traffic);
        peers.push(peer);
    }
    let port = if port == 0 { None } else { Some(port) };
    Ok(Snapshot { interface: Interface::found(private_key, port, peers)?, traffic })
}

fn peer(number: LineNumber, line: &str) -> Result<(Peer, Traffic), TextError> {
    let &[key, preshared, endpoint, prefixes, handshake, received, sent, keepalive] =
        line.split('\t').collect::<Vec<_>>().as_slice()
    else {
        return Err(number.wrong("not the eight values of a peer"));
    };
    let key: PublicKey = number.public_key(key)?;
    let secs = if keepalive == "off" { 0 } else { number.number(keepalive)? };
    let mut peer = Peer::new(key).with_keepalive_secs(secs);
    for prefix in given(prefixes).into_iter().flat_map(|prefixes| prefixes.split(',')) {
        peer = peer.with_allowed_ips([number.prefix(prefix)?]);
    }
    if let Some(endpoint) = given(endpoint) {
        peer = peer.with_endpoint(number.endpoint(endpoint)?);
    }
    if let Some(preshared) = given(preshared) {
        peer = peer.with_preshared_key(number.preshared_key(preshared)?);
    }
    Ok((peer, Traffic::new(number.number(handshake)?, number.number(received)?, number.number(sent)?)))
}

fn given(value: &str) -> Option<&str> {
    (value != "(none)").then_some(value)
}
