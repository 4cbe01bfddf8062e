use core_types::{RandomError, SecretBytes, SecureRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::error::{BundleError, TrustError};
use crate::key::{KeyType, Material, PublicKey};

/// The key that signs bundles (Ed25519, RFC 8032).
pub struct BundleKey {
    seed: SecretBytes<32>,
    public: [u8; 32],
}

impl BundleKey {
    /// A new one.
    ///
    /// # Errors
    /// [`RandomError`] when `rng` fails.
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, RandomError> {
        SecretBytes::generate(rng).map(Self::from_seed)
    }

    /// The one with this private key (RFC 8032 5.1.5).
    #[must_use]
    pub fn from_seed(seed: SecretBytes<32>) -> Self {
        // A seed of 32 bytes is always one.
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose_secret()).ok();
        let public = pair.and_then(|pair| pair.public_key().as_ref().try_into().ok()).unwrap_or_default();
        Self { seed, public }
    }

    /// Its private key, to be kept where nobody reads it.
    #[must_use]
    pub const fn seed(&self) -> &SecretBytes<32> {
        &self.seed
    }

    /// Its public half, as a machine is told it: an OpenSSH key.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        let name = KeyType::Ed25519.as_str().as_bytes();
        let blob = [&[0, 0, 0, 11][..], name, &[0, 0, 0, 32], &self.public].concat();
        PublicKey::from_blob(&blob).ok()
    }

    pub(super) const fn public(&self) -> [u8; 32] {
        self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<[u8; 64], BundleError> {
        let pair = Ed25519KeyPair::from_seed_and_public_key(self.seed.expose_secret(), &self.public)
            .map_err(|_| BundleError::Key)?;
        pair.sign(message).as_ref().try_into().map_err(|_| BundleError::Key)
    }
}

impl core::fmt::Debug for BundleKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("BundleKey(..)")
    }
}

/// Whose bundles a machine believes: at least one Ed25519 key; two while the signing key is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedSigners {
    keys: Vec<[u8; 32]>,
}

impl TrustedSigners {
    /// The most keys there may be.
    pub const MAX_KEYS: usize = 16;

    /// These.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a PublicKey>) -> Result<Self, TrustError> {
        let mut points = Vec::new();
        for key in keys {
            let Material::Ed25519 { point } = key.material() else { return Err(TrustError::NotEd25519) };
            crate::admission::ed25519::check(point).map_err(|_| TrustError::NotEd25519)?;
            points.push(point.try_into().map_err(|_| TrustError::NotEd25519)?);
        }
        match points.len() {
            0 => Err(TrustError::Empty),
            1..=Self::MAX_KEYS => Ok(Self { keys: points }),
            _ => Err(TrustError::TooMany { limit: Self::MAX_KEYS }),
        }
    }

    /// Those of a file: lines as of `.pub` files; empty lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let keys = lines.take(Self::MAX_KEYS.saturating_add(1)).map(PublicKey::parse);
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(TrustError::Key)?;
        Self::new(&keys)
    }

    pub(super) fn verify(
        &self,
        signer: &[u8; 32],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BundleError> {
        if !self.keys.contains(signer) {
            return Err(BundleError::UnknownSigner);
        }
        let key = UnparsedPublicKey::new(&ED25519, signer);
        key.verify(message, signature).map_err(|_| BundleError::Signature)
    }
}
