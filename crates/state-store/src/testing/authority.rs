//! An authority and its certificates (RFC 5280), for servers that speak TLS in tests.

use std::io;

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
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        for three in line.chunks(3) {
            let bits = (0..3)
                .fold(0_u32, |bits, place| (bits << 8) | three.get(place).map_or(0, |&byte| byte.into()));
            for place in 0..4 {
                let digit =
                    usize::try_from((bits >> (18_u32.saturating_sub(6_u32.saturating_mul(place)))) & 63);
                let digit = digit.ok().and_then(|digit| DIGITS.get(digit)).copied().unwrap_or(b'=');
                let is_there = usize::try_from(place).is_ok_and(|place| place <= three.len());
                text.push(char::from(if is_there { digit } else { b'=' }));
            }
        }
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
