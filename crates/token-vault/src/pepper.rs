//! The keyed digest that stands in the store for a token's secret.
//!
//! ```text
//! digest = HMAC-SHA-256(pepper, domain || id || secret)           RFC 2104, FIPS 180-4
//! domain   7 bytes    "pltok1:" for our own tokens, "plfor1:" for imported ones
//! id       16 bytes   the token's id, big-endian
//! secret   32 bytes   the token's secret; of an imported key, the SHA-256 it was imported by
//! ```
//!
//! The 55 bytes are the most that leave HMAC one block to hash. The id is in it so that a digest which someone
//! with write access to the store moves to another record does not fit there.

use core::fmt;
use core::num::NonZeroU32;

use core_types::{RandomError, SecretBytes, SecureRandom, TokenId};
use ring::hmac;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::PepperError;
use crate::format::base62;

/// Which pepper a digest was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PepperVersion {
    number: NonZeroU32,
}

impl PepperVersion {
    /// The version of this number, which counts from 1.
    #[must_use]
    pub const fn new(number: NonZeroU32) -> Self {
        Self { number }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.number.get()
    }
}

impl fmt::Display for PepperVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

/// The key of the digests: 256 bits that are kept anywhere but in the store.
///
/// Without it nothing in the store helps to find or to check a token; when it is lost, so are all tokens.
#[derive(Debug)]
pub struct Pepper {
    version: PepperVersion,
    key: SecretBytes<32>,
}

impl Pepper {
    /// The pepper of this version.
    #[must_use]
    pub const fn new(version: PepperVersion, key: SecretBytes<32>) -> Self {
        Self { version, key }
    }

    /// A fresh pepper.
    ///
    /// # Errors
    /// [`RandomError`] when `rng` fails.
    pub fn generate(version: PepperVersion, rng: &dyn SecureRandom) -> Result<Self, RandomError> {
        Ok(Self::new(version, SecretBytes::generate(rng)?))
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> PepperVersion {
        self.version
    }

    /// The key, to store it where peppers are kept.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8; 32] {
        self.key.expose_secret()
    }
}

/// The peppers a vault works with: the current one, and during a rotation the one before.
pub struct Peppers {
    current: Prepared,
    previous: Option<Prepared>,
}

impl Peppers {
    /// Only this pepper.
    #[must_use]
    pub fn new(current: &Pepper) -> Self {
        Self { current: Prepared::new(current), previous: None }
    }

    /// New digests by `current`; those by `previous` are still accepted, and made anew when they are used.
    ///
    /// # Errors
    /// [`PepperError::SameVersion`] when the two cannot be told apart.
    pub fn rotating(current: &Pepper, previous: &Pepper) -> Result<Self, PepperError> {
        if current.version == previous.version {
            return Err(PepperError::SameVersion);
        }
        Ok(Self { current: Prepared::new(current), previous: Some(Prepared::new(previous)) })
    }

    /// The version of new digests.
    #[must_use]
    pub const fn current(&self) -> PepperVersion {
        self.current.version
    }

    /// Whether digests of this version can be checked.
    #[must_use]
    pub fn knows(&self, version: PepperVersion) -> bool {
        self.of(version).is_some()
    }

    pub(crate) fn of(&self, version: PepperVersion) -> Option<&Prepared> {
        core::iter::once(&self.current).chain(&self.previous).find(|prepared| prepared.version == version)
    }

    pub(crate) const fn current_key(&self) -> &Prepared {
        &self.current
    }
}

impl fmt::Debug for Peppers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peppers")
            .field("current", &self.current.version)
            .field("previous", &self.previous.as_ref().map(|previous| previous.version))
            .finish()
    }
}

/// A pepper made ready for HMAC. ring does not erase the key on drop; it lives as long as the vault.
pub(crate) struct Prepared {
    version: PepperVersion,
    key: hmac::Key,
}

impl Prepared {
    fn new(pepper: &Pepper) -> Self {
        Self { version: pepper.version, key: hmac::Key::new(hmac::HMAC_SHA256, pepper.expose_secret()) }
    }

    pub(crate) const fn version(&self) -> PepperVersion {
        self.version
    }

    pub(crate) fn digest(&self, message: &Message) -> Digest {
        let tag = hmac::sign(&self.key, message.bytes.as_slice());
        let mut digest = Digest { bytes: [0; 32] };
        digest.bytes.copy_from_slice(tag.as_ref());
        digest
    }
}

impl Prepared {
    /// What the root of a delegable token is masked with.
    pub(crate) fn pad(&self, id: TokenId, generation: u32) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(PAD_DOMAIN);
        context.update(&id.to_bytes());
        context.update(&generation.to_be_bytes());
        let mut pad = Digest { bytes: [0; 32] };
        pad.bytes.copy_from_slice(context.sign().as_ref());
        pad
    }
}

/// What is digested, on the stack because verifying allocates nothing; erased on drop.
pub(crate) struct Message {
    bytes: Zeroizing<[u8; MESSAGE_LEN]>,
}

impl Message {
    /// The message of a token of ours, from the digits it was presented as; `None` when they are no number.
    #[inline]
    pub(crate) fn from_digits(id: &[u8; 16], secret: &[u8]) -> Option<Self> {
        let mut message = Self::with_id(DOMAIN, id);
        base62::decode_256(secret, message.bytes.get_mut(SECRET_AT..)?)?;
        Some(message)
    }

    /// The message of a token of ours.
    pub(crate) fn new(id: TokenId, secret: &[u8; 32]) -> Self {
        Self::with_secret(DOMAIN, id, secret)
    }

    /// The message of an imported key: of the hash it was imported by.
    pub(crate) fn foreign(id: TokenId, inner: &[u8; 32]) -> Self {
        Self::with_secret(FOREIGN_DOMAIN, id, inner)
    }

    /// The secret part.
    pub(crate) fn secret(&self) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        for (to, from) in secret.iter_mut().zip(self.bytes.iter().skip(SECRET_AT)) {
            *to = *from;
        }
        secret
    }

    fn with_secret(domain: &[u8; DOMAIN_LEN], id: TokenId, secret: &[u8; 32]) -> Self {
        let mut message = Self::with_id(domain, &id.to_bytes());
        for (to, from) in message.bytes.iter_mut().skip(SECRET_AT).zip(secret) {
            *to = *from;
        }
        message
    }

    fn with_id(domain: &[u8; DOMAIN_LEN], id: &[u8; 16]) -> Self {
        let mut bytes = Zeroizing::new([0; MESSAGE_LEN]);
        for (to, from) in bytes.iter_mut().zip(domain.iter().chain(id)) {
            *to = *from;
        }
        Self { bytes }
    }
}

/// A keyed digest as it is stored. It is no secret by itself: it cannot be presented as a token.
///
/// Its text is 43 digits of base 62.
#[derive(Clone, Copy)]
pub struct Digest {
    bytes: [u8; 32],
}

impl Digest {
    /// A digest nothing known has, for the work that is done when no record is found.
    pub(crate) const fn dummy() -> Self {
        Self { bytes: [0; 32] }
    }

    /// Compares in constant time.
    #[inline]
    pub(crate) fn matches(&self, other: &Self) -> subtle::Choice {
        let mut equal = subtle::Choice::from(1);
        for (a, b) in self.bytes.chunks_exact(8).zip(other.bytes.chunks_exact(8)) {
            equal &= word(a).ct_eq(&word(b));
        }
        equal
    }

    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self { bytes }
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = [0; base62::LEN_256];
        base62::encode_256(&self.bytes, &mut digits);
        serializer.serialize_str(core::str::from_utf8(&digits).unwrap_or(""))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("43 digits of base 62")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digest, E> {
                let mut digest = Digest { bytes: [0; 32] };
                base62::decode_256(text.as_bytes(), &mut digest.bytes)
                    .ok_or_else(|| E::custom("not 43 digits of base 62"))?;
                Ok(digest)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |word, &byte| (word << 8) | u64::from(byte))
}

const DOMAIN_LEN: usize = 7;
const SECRET_AT: usize = DOMAIN_LEN + 16;
const MESSAGE_LEN: usize = SECRET_AT + 32;
const DOMAIN: &[u8; DOMAIN_LEN] = b"pltok1:";
const FOREIGN_DOMAIN: &[u8; DOMAIN_LEN] = b"plfor1:";
const PAD_DOMAIN: &[u8] = b"platp1:";
