//! What a machine is: the key it signs with, and a self-signed certificate with its key.

use std::path::Path;
use std::sync::Arc;

use core_types::{SecretBytes, SecureRandom};
use join_hmac::trust::{Certificate, Identity, MAX_CERTIFICATE_LEN, MemberKey};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::files::{read_private, write_durably};

/// A machine.
pub struct Machine {
    identity: Arc<Identity>,
    tls_key: Zeroizing<Vec<u8>>,
}

/// Why a machine's keys cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// The file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What is in it is no machine.
    #[error("the file is damaged")]
    Damaged,
    /// No key or certificate could be made.
    #[error("a key or a certificate could not be made: {0}")]
    Made(String),
}

impl Machine {
    /// A new machine. Its certificate says nothing: who pins it knows whose it is.
    ///
    /// # Errors
    /// [`MachineError::Made`].
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, MachineError> {
        let made = |error: &dyn std::fmt::Display| MachineError::Made(error.to_string());
        let key = MemberKey::generate(random).map_err(|error| made(&error))?;
        let tls_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| made(&error))?;
        let params = CertificateParams::new(Vec::new()).map_err(|error| made(&error))?;
        let certificate = params.self_signed(&tls_key).map_err(|error| made(&error))?;
        let certificate = Certificate::new(certificate.der()).map_err(|error| made(&error))?;
        let tls_key = Zeroizing::new(tls_key.serialize_der());
        Ok(Self { identity: Arc::new(Identity::new(key, certificate)), tls_key })
    }

    /// Reads the machine from its file.
    ///
    /// # Errors
    /// [`MachineError`].
    pub fn read(file: &Path) -> Result<Option<Self>, MachineError> {
        match read_private(file, MAX_FILE_LEN)? {
            Some(bytes) => Self::from_bytes(&bytes).map(Some).ok_or(MachineError::Damaged),
            None => Ok(None),
        }
    }

    /// Reads the machine from its file, or makes it and the file.
    ///
    /// # Errors
    /// [`MachineError`].
    pub fn read_or_make(file: &Path, random: &dyn SecureRandom) -> Result<Self, MachineError> {
        if let Some(machine) = Self::read(file)? {
            return Ok(machine);
        }
        let machine = Self::generate(random)?;
        write_durably(file, &machine.to_bytes())?;
        Ok(machine)
    }

    /// Its key and its certificate.
    #[must_use]
    pub const fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Its certificate, for TLS.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.identity.certificate().der().to_vec())
    }

    /// The key of its certificate, for TLS.
    #[must_use]
    pub fn tls_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.tls_key.to_vec()).into()
    }

    /// A line that says what it is, the seed of the signing key, the certificate's length and the certificate, the key.
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let certificate = self.identity.certificate().der();
        let length = u16::try_from(certificate.len()).unwrap_or_default().to_be_bytes();
        let seed = self.identity.key().expose_seed();
        Zeroizing::new([MAGIC, seed.as_slice(), &length, certificate, &self.tls_key].concat())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (seed, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<32>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (certificate, tls_key) = rest.split_at_checked(length)?;
        let seed = SecretBytes::take_from(&mut Zeroizing::new(*seed));
        let key = MemberKey::from_seed(seed).ok()?;
        let certificate = Certificate::new(certificate).ok()?;
        let identity = Arc::new(Identity::new(key, certificate));
        let tls_key = Zeroizing::new(tls_key.to_vec());
        // What cannot sign is no key.
        KeyPair::try_from(tls_key.as_slice()).ok()?;
        Some(Self { identity, tls_key })
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Machine({:?}, redacted)", self.identity.certificate())
    }
}

const MAGIC: &[u8] = b"palisade-machine/1\n";
#[expect(clippy::as_conversions, reason = "a constant that fits; `From` is not const")]
const MAX_FILE_LEN: u64 = MAX_CERTIFICATE_LEN as u64 + 4096;

#[cfg(test)]
mod tests {
    use core_types::SystemRandom;

    use super::*;

    #[test]
    fn a_machine_is_read_as_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("machine");
        let made = Machine::read_or_make(&file, &SystemRandom::new()).unwrap();
        let read = Machine::read_or_make(&file, &SystemRandom::new()).unwrap();
        assert_eq!(made.to_bytes(), read.to_bytes());
        assert!(!format!("{made:?}").contains("seed"));
    }

    #[test]
    fn a_machine_that_is_cut_short_or_open_to_others_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("machine");
        let bytes = Machine::generate(&SystemRandom::new()).unwrap().to_bytes();
        for length in 0..bytes.len() {
            assert!(Machine::from_bytes(&bytes[..length]).is_none(), "{length} bytes");
        }
        write_durably(&file, &bytes).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Machine::read(&file), Err(MachineError::Io(_))));
    }
}
