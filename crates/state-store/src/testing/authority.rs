//! An authority and its certificates (RFC 5280), for servers that speak TLS in tests.

use std::io;

use base64ct::{Base64, Encoding as _};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// An authority of its own: nothing else trusts it.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its private key, each as PEM (RFC 7468).
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "tests take it apart")]
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// Its key, in PKCS #8.
    pub key: String,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new() -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority for tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        let pem = pem("CERTIFICATE", certificate.der());
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Its own certificate, as PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Vouches for a server of these names and addresses, until the beginning of a year.
    ///
    /// # Errors
    /// When a name is none, or there is no randomness.
    pub fn certify(&self, names: &[&str], until: i32) -> io::Result<Certified> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        let key = pem("PRIVATE KEY", &key.serialize_der());
        Ok(Certified { certificate: pem("CERTIFICATE", certificate.der()), key })
    }

    /// What a client of `localhost` and `127.0.0.1` that trusts this authority must refuse: a certificate of another name,
    /// one whose time is over, and one of an authority that it does not know.
    ///
    /// # Errors
    /// As [`certify`](Self::certify).
    pub fn certify_what_is_refused(&self, stranger: &Self) -> io::Result<[Certified; 3]> {
        let names = ["localhost", "127.0.0.1"];
        Ok([
            self.certify(&["another.example"], 2100)?,
            self.certify(&names, 2001)?,
            stranger.certify(&names, 2100)?,
        ])
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let lines: Vec<String> = der.chunks(48).map(Base64::encode_string).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
