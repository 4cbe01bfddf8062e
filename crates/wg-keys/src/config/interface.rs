//! A configuration of an interface, and what it means when an operation is done to it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use super::diff::reserved_key;
use super::{MAX_PEERS, MAX_PREFIXES, Op, Peer, Prefix};
use crate::error::ConfigError;
use crate::key::{PrivateKey, PublicKey};

/// A configuration in which every prefix has one owner and no peer is the machine itself.
#[derive(Debug, Clone)]
pub struct Interface {
    private_key: Option<Arc<PrivateKey>>,
    listen_port: Option<u16>,
    peers: BTreeMap<PublicKey, Peer>,
}

impl Interface {
    /// The configuration of these parts. Without a private key or a port: that of the device, whatever it is.
    ///
    /// # Errors
    /// [`ConfigError`], all but [`ConfigError::Shrinks`].
    pub fn new(
        private_key: Option<Arc<PrivateKey>>,
        listen_port: Option<u16>,
        peers: impl IntoIterator<Item = Peer>,
    ) -> Result<Self, ConfigError> {
        let interface = Self::found(private_key, listen_port, peers)?;
        match interface.peers.get(&reserved_key()) {
            Some(peer) => Err(ConfigError::ReservedKey { key: peer.key() }),
            None => Ok(interface),
        }
    }

    /// As [`new`](Self::new), of a device: one whose last difference was not finished may have the reserved key.
    pub(crate) fn found(
        private_key: Option<Arc<PrivateKey>>,
        listen_port: Option<u16>,
        peers: impl IntoIterator<Item = Peer>,
    ) -> Result<Self, ConfigError> {
        let own = private_key.as_ref().map(|key| key.public_key());
        let mut by_key = BTreeMap::new();
        let mut owners = BTreeMap::new();
        for peer in peers {
            let key = peer.key();
            if Some(key) == own {
                return Err(ConfigError::OwnKey { key });
            }
            for &prefix in peer.allowed_ips() {
                match owners.entry(prefix) {
                    // A second peer of the same key is told as that.
                    Entry::Occupied(first) if *first.get() != key => {
                        return Err(ConfigError::PrefixConflict { prefix, first: *first.get(), second: key });
                    }
                    Entry::Occupied(_) => {}
                    Entry::Vacant(free) => {
                        free.insert(key);
                    }
                }
            }
            if by_key.insert(key, peer).is_some() {
                return Err(ConfigError::DuplicatePeer { key });
            }
            if by_key.len() > MAX_PEERS {
                return Err(ConfigError::TooManyPeers);
            }
            if owners.len() > MAX_PREFIXES {
                return Err(ConfigError::TooManyPrefixes);
            }
        }
        Ok(Self { private_key, listen_port, peers: by_key })
    }

    /// The machine's private key.
    #[must_use]
    pub const fn private_key(&self) -> Option<&Arc<PrivateKey>> {
        self.private_key.as_ref()
    }

    /// The UDP port.
    #[must_use]
    pub const fn listen_port(&self) -> Option<u16> {
        self.listen_port
    }

    /// The peers, in the order of their keys.
    #[must_use]
    pub fn peers(&self) -> impl ExactSizeIterator<Item = &Peer> {
        self.peers.values()
    }

    /// The peer of this key.
    #[must_use]
    pub fn peer(&self, key: PublicKey) -> Option<&Peer> {
        self.peers.get(&key)
    }

    /// Whom each prefix belongs to, in the order of prefixes.
    #[must_use]
    pub fn owners(&self) -> BTreeMap<Prefix, PublicKey> {
        self.peers
            .values()
            .flat_map(|peer| peer.allowed_ips().iter().map(|&prefix| (prefix, peer.key())))
            .collect()
    }

    /// The peer that a packet to this address is sent to: the owner of the longest prefix that has it.
    #[must_use]
    pub fn route(&self, address: IpAddr) -> Option<PublicKey> {
        self.owners()
            .into_iter()
            .filter(|(prefix, _)| prefix.contains(address))
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(_, key)| key)
    }

    /// The prefixes that lie within a prefix of another peer. That is no error, the longest prefix wins; but one who
    /// did not mean it wants to know.
    #[must_use]
    pub fn overlaps(&self) -> Vec<Overlap> {
        let mut overlaps = Vec::new();
        // A prefix comes before those within it, so the ones that may cover the next are a stack.
        let mut open: Vec<(Prefix, PublicKey)> = Vec::new();
        for (prefix, key) in self.owners() {
            while open.last().is_some_and(|(outer, _)| !outer.covers(prefix)) {
                open.pop();
            }
            if let Some(&(outer, outer_key)) = open.last()
                && outer_key != key
            {
                overlaps.push(Overlap { outer, outer_key, inner: prefix, inner_key: key });
            }
            open.push((prefix, key));
        }
        overlaps
    }

    /// Does to this configuration what a device does to its own: a prefix that is added is taken from whoever has it,
    /// and a peer that has the key the device is given is removed.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::SetPrivateKey(key) => {
                self.peers.remove(&key.public_key());
                self.private_key = Some(Arc::clone(key));
            }
            Op::SetListenPort(port) => self.listen_port = Some(*port),
            Op::CreatePeer { key, preshared_key, endpoint } => {
                let mut peer = self.peers.remove(key).unwrap_or_else(|| Peer::new(*key));
                if preshared_key.is_some() {
                    peer.set_preshared_key(preshared_key.clone());
                }
                self.peers.insert(
                    *key,
                    match endpoint {
                        Some(endpoint) => peer.with_endpoint(*endpoint),
                        None => peer,
                    },
                );
            }
            Op::AddAllowedIps { key, prefixes } => {
                if !self.peers.contains_key(key) {
                    return;
                }
                for peer in self.peers.values_mut() {
                    if peer.key() == *key {
                        peer.allowed_ips_mut().extend(prefixes);
                    } else {
                        for prefix in prefixes {
                            peer.allowed_ips_mut().remove(prefix);
                        }
                    }
                }
            }
            Op::SetPresharedKey { key, preshared_key } => {
                if let Some(peer) = self.peers.get_mut(key) {
                    peer.set_preshared_key(preshared_key.clone());
                }
            }
            Op::SetEndpoint { key, endpoint } => self.replace(*key, |peer| peer.with_endpoint(*endpoint)),
            Op::SetKeepalive { key, secs } => self.replace(*key, |peer| peer.with_keepalive_secs(*secs)),
            Op::RemovePeer { key } => {
                self.peers.remove(key);
            }
        }
    }

    fn replace(&mut self, key: PublicKey, change: impl FnOnce(Peer) -> Peer) {
        if let Some(peer) = self.peers.remove(&key) {
            self.peers.insert(key, change(peer));
        }
    }
}

/// A prefix within another peer's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overlap {
    /// The wider one.
    pub outer: Prefix,
    /// Whose it is.
    pub outer_key: PublicKey,
    /// The one within it.
    pub inner: Prefix,
    /// Whose that is.
    pub inner_key: PublicKey,
}
