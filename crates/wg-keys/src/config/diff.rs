//! The shortest way from one configuration to another on which no packet has to be lost.
//!
//! The order is the whole point. A prefix is *stolen*: it is added to its new owner, which takes it from the old one
//! in one step; never is a list of prefixes replaced, for between the old and the new list there would be none. Peers
//! come before they get prefixes, in a transaction of their own, because a user-space device drops the packets of a
//! peer that it has not started. Peers go after others have got what they had.
//!
//! WireGuard's user-space protocol has no word for taking one prefix away from a peer. The differences here give such
//! a prefix to a peer with a [reserved key](reserved_key) that nobody has the private half of, and remove that.

use core::net::SocketAddr;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use blake2::digest::Digest as _;

use super::{Interface, Prefix};
use crate::error::ConfigError;
use crate::key::{PresharedKey, PrivateKey, PublicKey};

/// One thing to be done to a device.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_enums, reason = "who carries operations out must know them all")]
pub enum Op {
    /// Gives the device its private key.
    SetPrivateKey(Arc<PrivateKey>),
    /// Binds it to a UDP port.
    SetListenPort(u16),
    /// Makes a peer, with no prefixes yet.
    CreatePeer {
        /// Its key.
        key: PublicKey,
        /// Its preshared key.
        preshared_key: Option<Arc<PresharedKey>>,
        /// Where its packets go.
        endpoint: Option<SocketAddr>,
    },
    /// Adds prefixes to a peer that is there, taking them from whoever has them.
    AddAllowedIps {
        /// The peer's key.
        key: PublicKey,
        /// The prefixes.
        prefixes: Vec<Prefix>,
    },
    /// Changes the preshared key of a peer that is there; it counts from the next handshake on.
    SetPresharedKey {
        /// The peer's key.
        key: PublicKey,
        /// The new preshared key; none ends its use.
        preshared_key: Option<Arc<PresharedKey>>,
    },
    /// Changes where a peer's packets go.
    SetEndpoint {
        /// The peer's key.
        key: PublicKey,
        /// The new endpoint.
        endpoint: SocketAddr,
    },
    /// Changes a peer's keepalive; from 0 to another number sends one at once.
    SetKeepalive {
        /// The peer's key.
        key: PublicKey,
        /// Seconds; 0 is never.
        secs: u16,
    },
    /// Removes a peer, and the prefixes it still has.
    RemovePeer {
        /// Its key.
        key: PublicKey,
    },
}

impl Op {
    /// The peer it is about.
    #[must_use]
    pub const fn peer(&self) -> Option<PublicKey> {
        match self {
            Self::SetPrivateKey(_) | Self::SetListenPort(_) => None,
            Self::CreatePeer { key, .. }
            | Self::AddAllowedIps { key, .. }
            | Self::SetPresharedKey { key, .. }
            | Self::SetEndpoint { key, .. }
            | Self::SetKeepalive { key, .. }
            | Self::RemovePeer { key } => Some(*key),
        }
    }
}

/// What a stage is for; the order of the variants is the order of stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The port, and the private key of a device that has none.
    Device,
    /// New peers, without prefixes.
    Create,
    /// Prefixes to their owners.
    Route,
    /// A private key in place of another.
    Rekey,
    /// Endpoints, preshared keys, keepalives.
    Tune,
    /// Prefixes that nobody shall have, to the reserved peer, which is removed.
    Discard,
    /// Peers that shall not be.
    Remove,
}

/// Operations that may be given to a device at once; the next stage is given to it when it has done these.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Stage {
    /// What they are for.
    pub phase: Phase,
    /// The operations, in order.
    pub ops: Vec<Op>,
}

/// What leads from one configuration to another.
#[derive(Debug, Clone)]
#[must_use = "a difference changes nothing until a device is given it"]
pub struct Diff {
    stages: Vec<Stage>,
}

impl Diff {
    /// Removes peers and does nothing else.
    pub(crate) fn removal(ops: Vec<Op>) -> Self {
        Plan { remove: ops, ..Plan::default() }.into_diff()
    }

    /// The stages, in order; none is empty.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Every operation, in order.
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        self.stages.iter().flat_map(|stage| &stage.ops)
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// The peers that something is done to.
    #[must_use]
    pub fn touched(&self) -> BTreeSet<PublicKey> {
        let reserved = reserved_key();
        self.ops().filter_map(Op::peer).filter(|&key| key != reserved).collect()
    }
}

/// What a difference may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiffPolicy {
    shrinking: bool,
    roaming: bool,
}

impl DiffPolicy {
    /// Refuses to remove all peers or more than half of them, and puts every endpoint to the one that is wanted.
    #[must_use]
    pub const fn new() -> Self {
        Self { shrinking: false, roaming: false }
    }

    /// Lets any number of peers be removed. Without it an empty or truncated list, the usual sign of a reader that
    /// failed, cannot cut a machine off.
    #[must_use]
    pub const fn dangerous_allow_shrinking(mut self) -> Self {
        self.shrinking = true;
        self
    }

    /// Leaves the endpoints of peers that have one, for they may have moved since.
    #[must_use]
    pub const fn keep_known_endpoints(mut self) -> Self {
        self.roaming = true;
        self
    }
}

impl Interface {
    /// What leads from this configuration to `wanted`.
    ///
    /// At no step is a prefix without owner that has one in both. What is the same in both is not touched.
    ///
    /// # Errors
    /// [`ConfigError::Shrinks`] when no peers or fewer than half would be left, unless the policy allows it.
    pub fn diff(&self, wanted: &Self, policy: DiffPolicy) -> Result<Diff, ConfigError> {
        let (from, to) = (self.peers().len(), wanted.peers().len());
        if !policy.shrinking && from > 0 && to.saturating_mul(2) < from {
            return Err(ConfigError::Shrinks { from, to });
        }
        let mut plan = Plan::default();
        plan.device(self, wanted);
        for peer in wanted.peers() {
            let key = peer.key();
            let (had, had_secs) = match self.peer(key) {
                Some(had) => {
                    if !peer.shares_preshared_key_of(had) {
                        plan.tune
                            .push(Op::SetPresharedKey { key, preshared_key: peer.preshared_key().cloned() });
                    }
                    if let Some(endpoint) = peer.endpoint()
                        && peer.endpoint() != had.endpoint()
                        && !(policy.roaming && had.endpoint().is_some())
                    {
                        plan.tune.push(Op::SetEndpoint { key, endpoint });
                    }
                    (Some(had), had.keepalive_secs())
                }
                None => {
                    plan.create.push(Op::CreatePeer {
                        key,
                        preshared_key: peer.preshared_key().cloned(),
                        endpoint: peer.endpoint(),
                    });
                    (None, 0)
                }
            };
            let has = |prefix: &Prefix| had.is_some_and(|had| had.allowed_ips().contains(prefix));
            let prefixes: Vec<_> = peer.allowed_ips().iter().copied().filter(|prefix| !has(prefix)).collect();
            if !prefixes.is_empty() {
                plan.route.push(Op::AddAllowedIps { key, prefixes });
            }
            if peer.keepalive_secs() != had_secs {
                plan.tune.push(Op::SetKeepalive { key, secs: peer.keepalive_secs() });
            }
        }
        plan.removals(self, wanted);
        Ok(plan.into_diff())
    }
}

/// The key of the peer that prefixes are given to on their way out. It is a digest, so nobody has its private half.
#[must_use]
pub fn reserved_key() -> PublicKey {
    static KEY: LazyLock<PublicKey> = LazyLock::new(|| {
        let mut bytes: [u8; 32] =
            blake2::Blake2s256::digest(b"palisade wg-keys: prefixes on their way out").into();
        // The highest bit of a coordinate is clear; with this digest it is canonical and of no low order, as a test says.
        bytes[31] &= 0x7f;
        PublicKey::computed(bytes)
    });
    *KEY
}

#[derive(Default)]
struct Plan {
    device: Vec<Op>,
    create: Vec<Op>,
    route: Vec<Op>,
    rekey: Vec<Op>,
    tune: Vec<Op>,
    discard: Vec<Op>,
    remove: Vec<Op>,
}

impl Plan {
    fn device(&mut self, from: &Interface, wanted: &Interface) {
        if let Some(port) = wanted.listen_port()
            && from.listen_port() != Some(port)
        {
            self.device.push(Op::SetListenPort(port));
        }
        match (from.private_key(), wanted.private_key()) {
            (None, Some(key)) => self.device.push(Op::SetPrivateKey(Arc::clone(key))),
            (Some(had), Some(key)) if !had.ct_eq(key) => self.rekey.push(Op::SetPrivateKey(Arc::clone(key))),
            (_, Some(_) | None) => {}
        }
    }

    fn removals(&mut self, from: &Interface, wanted: &Interface) {
        let owners = wanted.owners();
        let mut orphans = Vec::new();
        for had in from.peers() {
            match wanted.peer(had.key()) {
                Some(_) => orphans
                    .extend(had.allowed_ips().iter().copied().filter(|prefix| !owners.contains_key(prefix))),
                None => self.remove.push(Op::RemovePeer { key: had.key() }),
            }
        }
        if !orphans.is_empty() {
            let key = reserved_key();
            self.discard.push(Op::CreatePeer { key, preshared_key: None, endpoint: None });
            self.discard.push(Op::AddAllowedIps { key, prefixes: orphans });
            self.discard.push(Op::RemovePeer { key });
        }
    }

    fn into_diff(self) -> Diff {
        let stages = [
            (Phase::Device, self.device),
            (Phase::Create, self.create),
            (Phase::Route, self.route),
            (Phase::Rekey, self.rekey),
            (Phase::Tune, self.tune),
            (Phase::Discard, self.discard),
            (Phase::Remove, self.remove),
        ];
        let stages = stages.into_iter().filter(|(_, ops)| !ops.is_empty());
        Diff { stages: stages.map(|(phase, ops)| Stage { phase, ops }).collect() }
    }
}
