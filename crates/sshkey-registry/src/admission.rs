//! Which keys may be registered.
//!
//! sshd accepts public keys in whose name anyone can sign: RSA with an exponent of 1, a prime modulus or one that
//! factors by hand, Ed25519 points of small order. [`AdmissionPolicy::admit`] refuses them, and returns a proof of
//! having looked ([`AdmittedKey`]) that the registry asks for.
//!
//! # Work
//! The checks run from cheap to expensive and stop at the first refusal. The most expensive one, for an RSA modulus of
//! `b` bits, is one power of two with an exponent of `b` bits: at most `b` squarings modulo the modulus,
//! 16,384 for the longest key there is. In front of it stand one division of a number of 94,000 bits, two greatest common
//! divisors, at most [`rsa::FERMAT_STEPS`] + 1 square roots, 171 other roots, and some thousand divisions by one word. A
//! test runs the input that makes all of that happen. So a long RSA key is worth a bound of its own
//! ([`AdmissionPolicy::with_rsa_bits`]) where strangers upload, and a thread that may be busy.

mod block_file;
mod block_list;
mod demand;
mod ecdsa;
pub(crate) mod ed25519;
mod montgomery;
mod primes;
pub mod rsa;
mod shared;

use std::sync::Arc;

pub use self::block_file::BlockListFile;
pub use self::block_list::BlockList;
pub(crate) use self::block_list::material_digest;
use self::demand::Demand;
pub use self::shared::shared_factor;
use crate::authorized_keys::Options;
use crate::error::{OptionsError, PolicyError, Refusal};
use crate::key::{KeyType, MAX_RSA_BITS, Material, PublicKey};

/// The least that can be asked of an RSA modulus, in bits.
pub const MIN_RSA_BITS: u32 = 2048;

/// What is asked of a key.
///
/// [`new`](Self::new) admits every type but the post-quantum one, which few images know yet, and RSA moduli of 2048 to
/// 16384 bits, and knows some keys whose private half is published. Nothing admits a key that one can sign for without
/// its private half.
#[derive(Debug, Clone)]
pub struct AdmissionPolicy {
    types: Vec<KeyType>,
    min_rsa_bits: u32,
    max_rsa_bits: u32,
    known: Vec<Arc<dyn KnownKeys>>,
    demand: Demand,
}

impl AdmissionPolicy {
    /// The default policy.
    #[must_use]
    pub fn new() -> Self {
        let types = KeyType::ALL.into_iter().filter(|&known| known != KeyType::MlDsa44Ed25519).collect();
        let known: Vec<Arc<dyn KnownKeys>> = vec![Arc::new(block_list::published())];
        Self {
            types,
            min_rsa_bits: MIN_RSA_BITS,
            max_rsa_bits: MAX_RSA_BITS,
            known,
            demand: Demand { touch: true, verification: false },
        }
    }

    /// Admits this type, too.
    #[must_use]
    pub fn with_type(mut self, key_type: KeyType) -> Self {
        if !self.types.contains(&key_type) {
            self.types.push(key_type);
        }
        self
    }

    /// Refuses this type.
    #[must_use]
    pub fn without_type(mut self, key_type: KeyType) -> Self {
        self.types.retain(|&known| known != key_type);
        self
    }

    /// Admits RSA moduli of `min` to `max` bits, both included.
    ///
    /// # Errors
    /// [`PolicyError::RsaBounds`] when they are not within [`MIN_RSA_BITS`] and [`MAX_RSA_BITS`], or not in order.
    pub fn with_rsa_bits(mut self, min: u32, max: u32) -> Result<Self, PolicyError> {
        if min < MIN_RSA_BITS || max > MAX_RSA_BITS || min > max {
            return Err(PolicyError::RsaBounds { minimum: MIN_RSA_BITS, maximum: MAX_RSA_BITS });
        }
        self.min_rsa_bits = min;
        self.max_rsa_bits = max;
        Ok(self)
    }

    /// Refuses the keys on this list, too; for example a [`BlockListFile`] or a [`BlockList`].
    #[must_use]
    pub fn with_known_keys(mut self, known: Arc<dyn KnownKeys>) -> Self {
        self.known.push(known);
        self
    }

    /// Asks for user verification, a PIN or a finger, at each login with a security key.
    ///
    /// Nothing in a public key says whether its owner is verified: sshd sees it in each signature, if it is told to look.
    /// [`options_for`](Self::options_for) tells it. To admit no keys but those on security keys, take the other types
    /// away ([`without_type`](Self::without_type)).
    #[must_use]
    pub const fn with_user_verification(mut self) -> Self {
        self.demand.verification = true;
        self
    }

    /// Takes `no-touch-required` among the options of a security key: whoever has taken over its owner's computer can
    /// then log in while it is plugged in.
    #[must_use]
    pub const fn dangerous_without_touch(mut self) -> Self {
        self.demand.touch = false;
        self
    }

    /// The options for a line with this key: those that are wanted, and of a security key what this policy asks for.
    /// What is returned is for [`Attach::options`](crate::registry::Attach::options), or for a line.
    ///
    /// With [`with_user_verification`](Self::with_user_verification), `verify-required` is there and in force, whatever
    /// else is wanted. Other keys than those on security keys keep their options as they are.
    ///
    /// # Errors
    /// [`OptionsError::TouchWaived`] when a security key was to log in without a touch;
    /// [`OptionsError::TooMany`] and [`OptionsError::TooLong`] when there is no room for one more option.
    pub fn options_for(&self, key: &PublicKey, wanted: Options) -> Result<Options, OptionsError> {
        self.demand.on(key.key_type(), wanted)
    }

    /// Decides on a key.
    ///
    /// Nothing of it is secret, so nothing here is constant-time. The module's documentation bounds the work.
    ///
    /// # Errors
    /// [`Refusal`]; the customer may be told the message.
    pub fn admit(&self, key: PublicKey) -> Result<AdmittedKey, Refusal> {
        let key_type = key.key_type();
        if !self.types.contains(&key_type) {
            return Err(Refusal::TypeNotAccepted { key_type });
        }
        match key.material() {
            Material::Rsa { exponent, modulus } => {
                let bits = key.bits();
                if bits < self.min_rsa_bits {
                    return Err(Refusal::RsaTooShort { bits, minimum: self.min_rsa_bits });
                }
                if bits > self.max_rsa_bits {
                    return Err(Refusal::RsaTooLong { bits, maximum: self.max_rsa_bits });
                }
                self.refuse_known(&key)?;
                rsa::check(exponent, modulus)?;
            }
            Material::Ed25519 { point } | Material::MlDsa44Ed25519 { point } => {
                self.refuse_known(&key)?;
                ed25519::check(point)?;
            }
            Material::Ecdsa { curve, point } => {
                self.refuse_known(&key)?;
                ecdsa::check(curve, point)?;
            }
            Material::SkEd25519 { point, application } => {
                check_application(application)?;
                self.refuse_known(&key)?;
                ed25519::check(point)?;
            }
            Material::SkEcdsa { point, application } => {
                check_application(application)?;
                self.refuse_known(&key)?;
                ecdsa::check(crate::key::Curve::P256, point)?;
            }
        }
        Ok(AdmittedKey { key, demand: self.demand })
    }

    fn refuse_known(&self, key: &PublicKey) -> Result<(), Refusal> {
        for list in &self.known {
            match list.look_up(key) {
                Known::NotListed => {}
                Known::Compromised => return Err(Refusal::KnownCompromised),
                Known::Unavailable => return Err(Refusal::KnownKeysUnavailable),
            }
        }
        Ok(())
    }
}

impl Default for AdmissionPolicy {
    fn default() -> Self {
        Self::new()
    }
}

/// A key that an [`AdmissionPolicy`] has admitted: the only thing that makes one is [`AdmissionPolicy::admit`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AdmittedKey {
    key: PublicKey,
    demand: Demand,
}

impl AdmittedKey {
    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// What the policy asks of security keys: [`plan_rotate`](crate::registry::plan_rotate) puts it into the options.
    pub(crate) const fn demand(&self) -> Demand {
        self.demand
    }

    /// The key, without the proof.
    #[must_use]
    pub fn into_key(self) -> PublicKey {
        self.key
    }
}

/// A list of keys whose private half is known to others.
///
/// # What a wrong answer breaks
/// A key that should be listed and is not lets whoever knows its private half log in. Answer
/// [`Known::Unavailable`] when the list cannot be read; the key is refused then.
pub trait KnownKeys: core::fmt::Debug + Send + Sync {
    /// What the list says of a key. It should compare an RSA key by its modulus: with another exponent the same
    /// private key signs.
    fn look_up(&self, key: &PublicKey) -> Known;
}

/// What a list says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a fourth answer must break the caller")]
pub enum Known {
    /// The key is not on the list.
    NotListed,
    /// The key is on the list.
    Compromised,
    /// The list cannot say.
    Unavailable,
}

/// `ssh:` and at most 251 characters: what OpenSSH makes, and what no other application of the same authenticator
/// signs for. The parser has seen to it that they are printable.
fn check_application(application: &[u8]) -> Result<(), Refusal> {
    let short = application.len() <= MAX_APPLICATION_BYTES;
    if short && application.starts_with(b"ssh:") { Ok(()) } else { Err(Refusal::SkApplication) }
}

/// The most bytes a security key's application may have.
const MAX_APPLICATION_BYTES: usize = 255;
