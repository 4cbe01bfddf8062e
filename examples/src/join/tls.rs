//! TLS 1.3 in which the certificates prove their keys and nothing else: whose they are is what the join is about.

use std::sync::Arc;

use core_types::Fingerprint;
use join_hmac::join::Channel;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::{ConnectionCommon, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::machine::Machine;

/// Takes any certificate whose key is proven. For joins alone: the channel that comes of it names the certificate, and
/// the join decides whose it is.
#[derive(Debug)]
pub struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl AnyCertificate {
    /// One that verifies signatures as ring does.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { provider: provider() })
    }

    /// That the key of the certificate made this signature.
    ///
    /// # Errors
    /// [`Error`] when it did not.
    pub fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    /// What it can verify.
    #[must_use]
    pub fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

/// The side that listens. Every connection is a full handshake: a resumed one is never shown to the verifier, so
/// whoever was let in once would be let in after it was revoked.
///
/// # Errors
/// [`Error`] when the machine's key does not fit its certificate.
pub fn server_config(
    machine: &Machine,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![machine.certificate()], machine.tls_key())?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The side that connects.
///
/// # Errors
/// [`Error`] when the machine's key does not fit its certificate.
pub fn client_config(
    machine: &Machine,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<Arc<ClientConfig>, Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(vec![machine.certificate()], machine.tls_key())?;
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}

/// What both ends of a finished handshake know: its exporter (RFC 9266), and the one certificate of the peer's chain
/// whose key was proven, which is the first. What was appended to it was not.
///
/// # Errors
/// [`Error`] when the handshake is not finished, or the peer showed no certificate.
pub fn channel<D>(connection: &ConnectionCommon<D>) -> Result<Channel, Error> {
    let exporter = connection.export_keying_material([0; 32], EXPORTER_LABEL, None)?;
    let end_entity = connection.peer_certificates().and_then(<[_]>::first);
    let end_entity = end_entity.ok_or(Error::NoCertificatesPresented)?;
    Ok(Channel::tls(exporter, Fingerprint::of(end_entity)))
}

/// The name that nobody looks at: members are known by their certificates.
#[must_use]
pub fn server_name() -> ServerName<'static> {
    std::net::Ipv4Addr::UNSPECIFIED.into()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn only_tls13() -> Error {
    Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered)
}

const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
