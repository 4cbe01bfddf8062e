use core_types::Fingerprint;

/// The connection that a join runs over: what of it both ends know and nobody between them can make the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    binding: Option<[u8; 32]>,
    peer: Option<Fingerprint>,
}

impl Channel {
    /// A TLS 1.3 connection: its exporter (RFC 9266: label `EXPORTER-Channel-Binding`, no context, 32 bytes), and the
    /// fingerprint of the end-entity certificate whose key the peer proved in the handshake, of no other in its chain.
    #[must_use]
    pub const fn tls(exporter: [u8; 32], peer: Fingerprint) -> Self {
        Self { binding: Some(exporter), peer: Some(peer) }
    }

    /// A connection of which nothing is known, such as one through a proxy that ends TLS. The certificates named in the
    /// messages are authenticated by the secret still; that their keys are held is not shown, and who relays the
    /// messages stays unnoticed. Both ends must say so, or the join fails.
    #[must_use]
    pub const fn dangerous_unbound() -> Self {
        Self { binding: None, peer: None }
    }

    /// One byte and, for a bound channel, the exporter.
    pub(super) fn binding(&self) -> Vec<u8> {
        match &self.binding {
            Some(exporter) => [&[1], exporter.as_slice()].concat(),
            None => vec![0],
        }
    }

    /// Whether a certificate named in a message is the one that the connection was made with.
    pub(super) fn is_with(&self, fingerprint: &Fingerprint) -> bool {
        self.peer.is_none_or(|peer| peer == *fingerprint)
    }
}
