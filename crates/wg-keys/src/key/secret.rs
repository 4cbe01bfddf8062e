//! The keys that nobody else may see.

use core::fmt;

use core_types::{RandomError, SecretBytes, SecureRandom};
use subtle::ConstantTimeEq as _;
use x25519_dalek::StaticSecret;

use super::{KEY_LEN, KEY_TEXT_LEN, PublicKey, decode, encode};
use crate::error::KeyError;
use crate::secret_text::SecretText;

/// A machine's private key, clamped as `wg genkey` clamps it (RFC 7748 §5).
///
/// It is erased on drop and can be neither copied, compared with `==`, printed nor serialized:
///
/// ```compile_fail
/// fn copied(key: &wg_keys::PrivateKey) -> wg_keys::PrivateKey { key.clone() }
/// ```
/// ```compile_fail
/// fn printed(key: &wg_keys::PrivateKey) -> String { key.to_string() }
/// ```
/// ```compile_fail
/// fn compared(a: &wg_keys::PrivateKey, b: &wg_keys::PrivateKey) -> bool { a == b }
/// ```
/// ```compile_fail
/// fn serialized<S: serde::Serializer>(key: &wg_keys::PrivateKey, s: S) { let _ = serde::Serialize::serialize(key, s); }
/// ```
pub struct PrivateKey {
    bytes: SecretBytes<KEY_LEN>,
}

impl PrivateKey {
    /// A new key.
    ///
    /// # Errors
    /// [`RandomError`] when `rng` fails.
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, RandomError> {
        let bytes = SecretBytes::filled_by(|bytes| {
            rng.fill(bytes)?;
            clamp(bytes);
            Ok(())
        })?;
        Ok(Self { bytes })
    }

    /// The key of 32 bytes from elsewhere, which are clamped, and erased where they were.
    #[must_use]
    pub fn clamped_from(source: &mut [u8; KEY_LEN]) -> Self {
        clamp(source);
        Self { bytes: SecretBytes::take_from(source) }
    }

    /// The key of a text.
    ///
    /// # Errors
    /// [`KeyError::Length`], [`KeyError::Base64`]; [`KeyError::NotClamped`] of a key that a device would change,
    /// so that its text would not be the one that was given.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Self::from_secret(SecretBytes::filled_by(|bytes| decode(text, bytes))?)
    }

    /// The key of bytes that are clamped already.
    pub(crate) fn from_secret(bytes: SecretBytes<KEY_LEN>) -> Result<Self, KeyError> {
        let [first, .., last] = *bytes.expose_secret();
        if first & 0b111 != 0 || last >> 6 != 0b01 {
            return Err(KeyError::NotClamped);
        }
        Ok(Self { bytes })
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        // A clamped scalar is a multiple of eight and no multiple of the group's order, so the result is of no low
        // order; it is written canonically.
        PublicKey::computed(x25519_dalek::PublicKey::from(&self.scalar()).to_bytes())
    }

    /// The bytes, for the one computation that needs them.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8; KEY_LEN] {
        self.bytes.expose_secret()
    }

    /// The text, for the one program that needs it.
    #[must_use]
    pub fn expose_text(&self) -> SecretText {
        base64(&self.bytes)
    }

    /// Whether the two are one key; takes the same time for all keys.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.expose_secret().ct_eq(other.expose_secret()).into()
    }

    fn scalar(&self) -> StaticSecret {
        StaticSecret::from(*self.bytes.expose_secret())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(redacted)")
    }
}

/// A key that two machines share beside the handshake; never all zero, which is how WireGuard says «none».
///
/// ```compile_fail
/// fn copied(key: &wg_keys::PresharedKey) -> wg_keys::PresharedKey { key.clone() }
/// ```
/// ```compile_fail
/// fn printed(key: &wg_keys::PresharedKey) -> String { key.to_string() }
/// ```
/// ```compile_fail
/// fn mistaken(key: wg_keys::PresharedKey) -> wg_keys::PrivateKey { key }
/// ```
pub struct PresharedKey {
    bytes: SecretBytes<KEY_LEN>,
}

impl PresharedKey {
    /// A new key.
    ///
    /// # Errors
    /// [`RandomError`] when `rng` fails, or gives nothing but zeros.
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, RandomError> {
        Self::checked(SecretBytes::generate(rng)?).map_err(|_| RandomError::new())
    }

    /// The key of 32 bytes from elsewhere, which are erased where they were.
    ///
    /// # Errors
    /// [`KeyError::Zero`].
    pub fn take_from(source: &mut [u8; KEY_LEN]) -> Result<Self, KeyError> {
        Self::checked(SecretBytes::take_from(source))
    }

    /// The key of a text.
    ///
    /// # Errors
    /// [`KeyError::Length`], [`KeyError::Base64`], [`KeyError::Zero`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Self::checked(SecretBytes::filled_by(|bytes| decode(text, bytes))?)
    }

    /// The bytes, for the one computation that needs them.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8; KEY_LEN] {
        self.bytes.expose_secret()
    }

    /// The text, for the one program that needs it.
    #[must_use]
    pub fn expose_text(&self) -> SecretText {
        base64(&self.bytes)
    }

    /// Whether the two are one key; takes the same time for all keys.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.expose_secret().ct_eq(other.expose_secret()).into()
    }

    fn checked(bytes: SecretBytes<KEY_LEN>) -> Result<Self, KeyError> {
        if bytes.expose_secret().ct_eq(&[0; KEY_LEN]).into() {
            Err(KeyError::Zero)
        } else {
            Ok(Self { bytes })
        }
    }
}

impl fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresharedKey(redacted)")
    }
}

/// Clears the lowest three bits and the highest, sets the second highest.
const fn clamp(bytes: &mut [u8; KEY_LEN]) {
    let [first, .., last] = bytes;
    *first &= 0b1111_1000;
    *last = (*last & 0b0111_1111) | 0b0100_0000;
}

/// The base64 of secret bytes.
pub(crate) fn base64(bytes: &SecretBytes<KEY_LEN>) -> SecretText {
    let mut characters = zeroize::Zeroizing::new([0; KEY_TEXT_LEN]);
    encode(bytes.expose_secret(), &mut characters);
    let mut text = SecretText::with_capacity(KEY_TEXT_LEN);
    text.push(core::str::from_utf8(characters.as_slice()).unwrap_or_default());
    text
}

/// The secret bytes of a base64.
pub(crate) fn of_base64(text: &str) -> Result<SecretBytes<KEY_LEN>, KeyError> {
    SecretBytes::filled_by(|bytes| decode(text, bytes))
}
