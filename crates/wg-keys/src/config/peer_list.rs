//! A list of peers as a JSON document.

use core::net::SocketAddr;
use std::sync::Arc;

use core_types::MachineId;
use serde::Deserialize;

use super::{MAX_TEXT_BYTES, Peer, Prefix};
use crate::address::machine_address;
use crate::error::PeerListError;
use crate::key::PresharedKey;

/// Peers, as an operator or another program lists them:
///
/// ```
/// use wg_keys::config::PeerList;
/// let list = r#"{
///   "version": 1,
///   "peers": [{
///     "public_key": "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
///     "machine_id": "mch_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D",
///     "allowed_ips": ["10.210.1.0/24"],
///     "endpoint": "192.0.2.7:51820",
///     "keepalive": 25
///   }]
/// }"#;
/// assert_eq!(PeerList::parse(list)?.into_peers().len(), 1);
/// # Ok::<(), wg_keys::error::PeerListError>(())
/// ```
///
/// Only `public_key` is needed. `machine_id` adds the machine's [address](machine_address) to its prefixes. There may
/// be a `preshared_key`, which makes the document a secret.
#[derive(Debug)]
pub struct PeerList {
    peers: Vec<Peer>,
}

impl PeerList {
    /// The list of a document.
    ///
    /// # Errors
    /// [`PeerListError`]; whether the peers contradict one another is seen when an interface is made of them.
    pub fn parse(text: &str) -> Result<Self, PeerListError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(PeerListError::TooLong);
        }
        let document: Document<'_> = crate::json::read(text)
            .map_err(|error| PeerListError::Form { line: error.line(), column: error.column() })?;
        if document.version != 1 {
            return Err(PeerListError::Form { line: 1, column: 1 });
        }
        let peers = document.peers.iter().zip(1_usize..).map(|(entry, number)| entry.read(number));
        Ok(Self { peers: peers.collect::<Result<_, _>>()? })
    }

    /// The peers, in the document's order.
    #[must_use]
    pub fn into_peers(self) -> Vec<Peer> {
        self.peers
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    version: u32,
    #[serde(borrow)]
    peers: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'a> {
    public_key: &'a str,
    machine_id: Option<&'a str>,
    #[serde(default)]
    allowed_ips: Vec<&'a str>,
    endpoint: Option<&'a str>,
    keepalive: Option<u16>,
    preshared_key: Option<&'a str>,
}

impl Entry<'_> {
    fn read(&self, peer: usize) -> Result<Peer, PeerListError> {
        let mut read =
            Peer::new(self.public_key.parse().map_err(|error| PeerListError::Key { peer, error })?)
                .with_keepalive_secs(self.keepalive.unwrap_or_default());
        if let Some(machine) = self.machine_id {
            let machine: MachineId =
                machine.parse().map_err(|_| PeerListError::Peer { peer, what: "no machine id" })?;
            read = read.with_allowed_ips([Prefix::host(machine_address(machine).into())]);
        }
        for prefix in &self.allowed_ips {
            let prefix: Prefix = prefix.parse().map_err(|error| PeerListError::Prefix { peer, error })?;
            if read.allowed_ips().contains(&prefix) {
                return Err(PeerListError::Peer { peer, what: "a prefix is listed twice" });
            }
            read = read.with_allowed_ips([prefix]);
        }
        if let Some(endpoint) = self.endpoint {
            let endpoint: SocketAddr = endpoint
                .parse()
                .map_err(|_| PeerListError::Peer { peer, what: "the endpoint is no address and port" })?;
            if endpoint.port() == 0 {
                return Err(PeerListError::Peer { peer, what: "the endpoint's port is 0" });
            }
            read = read.with_endpoint(endpoint);
        }
        if let Some(key) = self.preshared_key {
            let key = PresharedKey::parse(key).map_err(|error| PeerListError::Key { peer, error })?;
            read = read.with_preshared_key(Arc::new(key));
        }
        Ok(read)
    }
}
