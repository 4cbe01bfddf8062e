//! What the protocol insists on; and, for the model explorer, variants that do not.

/// A protocol weaker in one respect, to see that the explorer finds the attack.
#[cfg(feature = "testing")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "for tests of this crate")]
pub enum Weakness {
    /// Nonces are constant.
    NoNonces,
    /// Whoever knows the secret may play the initiator.
    NoRoles,
    /// Certificates and channel are bound to nothing.
    NoPeers,
    /// The initiator answers before the joiner has confirmed.
    JoinerSecond,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) nonces: bool,
    pub(super) roles: bool,
    pub(super) peers: bool,
    pub(super) joiner_first: bool,
}

impl Rules {
    pub(super) const ALL: Self = Self { nonces: true, roles: true, peers: true, joiner_first: true };

    #[cfg(feature = "testing")]
    pub(super) const fn without(weakness: Weakness) -> Self {
        let mut rules = Self::ALL;
        match weakness {
            Weakness::NoNonces => rules.nonces = false,
            Weakness::NoRoles => rules.roles = false,
            Weakness::NoPeers => rules.peers = false,
            Weakness::JoinerSecond => rules.joiner_first = false,
        }
        rules
    }
}
