//! What TLS proves, and what it would let through.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::sync::{Arc, Mutex};

use core_types::{Fingerprint, SystemRandom};
use join_hmac::join::{JoinSecret, Joiner, Monotonic};
use join_hmac::ticket::Ticket;
use join_hmac::trust::{Change, ClusterId, MemberEntry, MemberId, Standing, TrustStore};
use palisade_examples::join::machine::Machine as Keys;
use palisade_examples::join::tls::{AnyCertificate, channel, client_config, server_config, server_name};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, Error, HandshakeKind,
    ServerConfig, ServerConnection, SignatureScheme,
};

use crate::link::Link;
use crate::machine::*;
use crate::support::Server;

/// Lets in the members of a store.
#[derive(Debug)]
struct Members {
    store: Mutex<TrustStore>,
    signatures: Arc<AnyCertificate>,
}

impl ClientCertVerifier for Members {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.store.lock().unwrap().standing(&Fingerprint::of(end_entity)) {
            Standing::Current(_) | Standing::Next(_) => Ok(ClientCertVerified::assertion()),
            Standing::Dead | Standing::Unknown => Err(Error::General("no member".into())),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}

fn keys() -> Keys {
    Keys::generate(&SystemRandom::new()).unwrap()
}

fn entry(name: &str, keys: &Keys) -> MemberEntry {
    MemberEntry::new(name, "worker", &[], keys.identity()).unwrap()
}

/// A cluster of two, and what lets in its members.
fn cluster(alpha: &Keys, beta: &Keys) -> Arc<Members> {
    let (store, _) =
        TrustStore::found(ClusterId::from_bytes([1; 16]), entry("alpha", alpha), alpha.identity()).unwrap();
    let added = store.sign(Change::Add(entry("beta", beta)), alpha.identity().key()).unwrap();
    let store = Mutex::new(store.apply(&added).unwrap());
    Arc::new(Members { store, signatures: AnyCertificate::new() })
}

/// A handshake in memory, and what the server sends after it.
fn shake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> Result<(ClientConnection, ServerConnection), Error> {
    let mut client = ClientConnection::new(Arc::clone(client), server_name())?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    for _ in 0..8 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((client, server))
}

#[test]
fn both_ends_of_a_connection_have_one_exporter_and_each_the_others_certificate() {
    let (alpha, beta) = (keys(), keys());
    let server = server_config(&alpha, AnyCertificate::new()).unwrap();
    let client = client_config(&beta, AnyCertificate::new()).unwrap();
    let (one, other) = shake(&client, &server).unwrap();
    let exporter = |text: String| text.split("peer").next().unwrap().to_owned();
    let (theirs, ours) = (channel(&one).unwrap(), channel(&other).unwrap());
    assert_ne!(theirs, ours, "the peers differ");
    let (theirs, ours) = (format!("{theirs:?}"), format!("{ours:?}"));
    assert_eq!(exporter(theirs.clone()), exporter(ours));
    let (again, _) = shake(&client, &server).unwrap();
    assert_ne!(exporter(theirs), exporter(format!("{:?}", channel(&again).unwrap())));
}

#[test]
fn appended_certificate_only_the_one_whose_key_was_proven_counts() {
    let (alpha, beta, mallory) = (keys(), keys(), keys());
    let appended = || {
        let provider = rustls::crypto::ring::default_provider();
        ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(AnyCertificate::new())
            .with_client_auth_cert(vec![mallory.certificate(), beta.certificate()], mallory.tls_key())
            .unwrap()
    };
    let appended = Arc::new(appended());
    // Who lets in members does not let in a stranger with a member's certificate behind its own.
    let members = server_config(&alpha, cluster(&alpha, &beta)).unwrap();
    assert!(shake(&appended, &members).is_err());
    assert!(shake(&client_config(&beta, AnyCertificate::new()).unwrap(), &members).is_ok());
    // And a join's channel is with the stranger.
    let anybody = server_config(&alpha, AnyCertificate::new()).unwrap();
    let (_, server) = shake(&appended, &anybody).unwrap();
    assert_eq!(server.peer_certificates().unwrap().len(), 2);
    let shown = format!("{:?}", channel(&server).unwrap());
    assert!(shown.contains(&format!("{:?}", mallory.identity().certificate().fingerprint())), "{shown}");

    let folder = tempfile::tempdir().unwrap();
    let process = Server::start_with_joins(folder.path());
    let admin = process.admin();
    let (ticket, _) = ticket(&admin, 2);
    let mut link = Link::with(&joins_at(&process), appended);
    let mut secret = JoinSecret::ticket(Ticket::parse(&ticket).unwrap());
    let identity = Arc::clone(beta.identity());
    let now = Monotonic::from_millis(0);
    let (_, hello) =
        Joiner::start(identity, entry("beta", &beta), &mut secret, link.channel(), now, &SystemRandom::new())
            .unwrap();
    assert_eq!(link.ask(&hello).unwrap(), [9, 0, 0, 0]);
    let noticed = ("joins:prove".to_owned(), "unauthenticated".to_owned(), "another_certificate".to_owned());
    assert!(recorded(&admin).contains(&noticed));
}

#[test]
fn revoked_member_resumes_tls_and_is_refused_because_nothing_is_resumed() {
    let (alpha, beta) = (keys(), keys());
    let revoke = |members: &Members| {
        let mut store = members.store.lock().unwrap();
        let member = MemberId::of(&beta.identity().key().public());
        let revoked = store.sign(Change::Revoke { member }, alpha.identity().key()).unwrap();
        *store = store.apply(&revoked).unwrap();
    };
    // A client that keeps sessions, as the library does unless it is told not to.
    let keeping = || {
        let mut config = (*client_config(&beta, AnyCertificate::new()).unwrap()).clone();
        config.resumption = rustls::client::Resumption::in_memory_sessions(8);
        Arc::new(config)
    };
    // With a server that lets sessions be resumed, the verifier is not asked again: this is what is switched off.
    let members = cluster(&alpha, &beta);
    let resuming = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::<Members>::clone(&members))
        .with_single_cert(vec![alpha.certificate()], alpha.tls_key())
        .unwrap();
    let (resuming, client) = (Arc::new(resuming), keeping());
    assert!(shake(&client, &resuming).is_ok());
    revoke(&members);
    let (_, resumed) = shake(&client, &resuming).unwrap();
    assert_eq!(resumed.handshake_kind(), Some(HandshakeKind::Resumed), "the trap is there");
    // With ours.
    let members = cluster(&alpha, &beta);
    let ours = server_config(&alpha, Arc::<Members>::clone(&members)).unwrap();
    let client = keeping();
    assert!(shake(&client, &ours).is_ok());
    let (_, again) = shake(&client, &ours).unwrap();
    assert_eq!(again.handshake_kind(), Some(HandshakeKind::Full));
    revoke(&members);
    assert!(shake(&client, &ours).is_err(), "a revoked member is refused");
}
