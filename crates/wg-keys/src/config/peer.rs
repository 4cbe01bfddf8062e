//! One peer of an interface.

use core::net::SocketAddr;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::Prefix;
use crate::key::{PresharedKey, PublicKey};

/// Another machine, as an interface knows it.
#[derive(Debug, Clone)]
pub struct Peer {
    key: PublicKey,
    preshared_key: Option<Arc<PresharedKey>>,
    endpoint: Option<SocketAddr>,
    keepalive_secs: u16,
    allowed_ips: BTreeSet<Prefix>,
}

impl Peer {
    /// A peer that has no prefixes, no endpoint, no preshared key, and is sent no keepalives.
    #[must_use]
    pub const fn new(key: PublicKey) -> Self {
        Self { key, preshared_key: None, endpoint: None, keepalive_secs: 0, allowed_ips: BTreeSet::new() }
    }

    /// With these prefixes besides those it has.
    #[must_use]
    pub fn with_allowed_ips(mut self, prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        self.allowed_ips.extend(prefixes);
        self
    }

    /// Where its packets go until it is heard from elsewhere.
    #[must_use]
    pub const fn with_endpoint(mut self, endpoint: SocketAddr) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// A packet at least every so many seconds; 0 is never.
    #[must_use]
    pub const fn with_keepalive_secs(mut self, secs: u16) -> Self {
        self.keepalive_secs = secs;
        self
    }

    /// A preshared key.
    #[must_use]
    pub fn with_preshared_key(mut self, key: Arc<PresharedKey>) -> Self {
        self.preshared_key = Some(key);
        self
    }

    /// Its public key.
    #[must_use]
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// Its preshared key.
    #[must_use]
    pub const fn preshared_key(&self) -> Option<&Arc<PresharedKey>> {
        self.preshared_key.as_ref()
    }

    /// Where its packets go; of a configuration that is wanted, none means wherever they go now.
    #[must_use]
    pub const fn endpoint(&self) -> Option<SocketAddr> {
        self.endpoint
    }

    /// Seconds between keepalives; 0 is never.
    #[must_use]
    pub const fn keepalive_secs(&self) -> u16 {
        self.keepalive_secs
    }

    /// The addresses it may send from, and that are sent to it.
    #[must_use]
    pub const fn allowed_ips(&self) -> &BTreeSet<Prefix> {
        &self.allowed_ips
    }

    pub(super) fn set_preshared_key(&mut self, key: Option<Arc<PresharedKey>>) {
        self.preshared_key = key;
    }

    pub(crate) fn add_allowed_ip(&mut self, prefix: Prefix) {
        self.allowed_ips.insert(prefix);
    }

    pub(super) const fn allowed_ips_mut(&mut self) -> &mut BTreeSet<Prefix> {
        &mut self.allowed_ips
    }

    /// Whether both have the same preshared key, or none.
    pub(super) fn shares_preshared_key_of(&self, other: &Self) -> bool {
        match (&self.preshared_key, &other.preshared_key) {
            (Some(own), Some(others)) => Arc::ptr_eq(own, others) || own.ct_eq(others),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}
