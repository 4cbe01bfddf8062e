//! Keys of other systems, taken over by their hashes: their holders go on using them, nothing is issued anew.
//!
//! ```text
//! inner    what the other system stored: SHA-256 of the whole key, or of the long part of the key
//! id       first 16 bytes of SHA-256("plforid1" || n || lookup)    n: 0x00 whole key, 0x01 prefixed key
//! lookup   n = 0x00: inner           n = 0x01: prefix || 0x00 || short part
//! digest   HMAC-SHA-256(pepper, "plfor1:" || id || inner)
//! ```
//!
//! What is stored is a digest of the hash, so neither the old database nor this one holds anything that can be
//! presented. A key that is rotated gets a secret and a text of ours.

use core_types::TokenId;
use ring::digest::{SHA256, digest};

use crate::error::FormatError;

/// The fewest and the most bytes of a key of another system.
pub const FOREIGN_KEY_LEN: core::ops::RangeInclusive<usize> = 16..=256;

/// How keys of another system are presented.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForeignFormat {
    /// Any text of visible ASCII characters; the system stored SHA-256 of all of it.
    WholeKey,
    /// `prefix_short_long`, as `prefixed-api-key` makes them: found by the short part, and the system stored
    /// SHA-256 of the long part. Neither part has an underscore; the prefix may.
    PrefixedApiKey {
        /// The prefix.
        prefix: Box<str>,
    },
}

/// What another system stored of a key.
#[derive(Debug, Clone, Copy)]
pub struct ForeignHash {
    pub(crate) id: TokenId,
    pub(crate) inner: [u8; 32],
}

impl ForeignHash {
    /// The SHA-256 of a whole key, in 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`FormatError::ForeignHash`].
    pub fn whole_key(sha256_hex: &str) -> Result<Self, FormatError> {
        let inner = hex(sha256_hex)?;
        Ok(Self { id: id_of(&[&[WHOLE], &inner]), inner })
    }

    /// The prefix and the short part of a key, and the SHA-256 of its long part in 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`FormatError::ForeignHash`].
    pub fn prefixed_api_key(prefix: &str, short: &str, sha256_hex: &str) -> Result<Self, FormatError> {
        if !is_part(short) {
            return Err(FormatError::ForeignHash);
        }
        Ok(Self { id: prefixed_id(prefix, short), inner: hex(sha256_hex)? })
    }

    /// The id the token will have.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }
}

impl ForeignFormat {
    /// Reads a presented key; `None` when it is not of this form.
    pub(crate) fn read(&self, presented: &str) -> Option<ForeignHash> {
        if !FOREIGN_KEY_LEN.contains(&presented.len()) {
            return None;
        }
        match self {
            Self::WholeKey => {
                if !presented.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return None;
                }
                let inner = sha256(&[presented.as_bytes()]);
                Some(ForeignHash { id: id_of(&[&[WHOLE], &inner]), inner })
            }
            Self::PrefixedApiKey { prefix } => {
                // By the known prefix, not by counting underscores: the prefix may have some.
                let rest = presented.strip_prefix(&**prefix)?.strip_prefix('_')?;
                let (short, long) = rest.split_once('_')?;
                if !is_part(short) || !is_part(long) {
                    return None;
                }
                Some(ForeignHash { id: prefixed_id(prefix, short), inner: sha256(&[long.as_bytes()]) })
            }
        }
    }
}

fn prefixed_id(prefix: &str, short: &str) -> TokenId {
    id_of(&[&[PREFIXED], prefix.as_bytes(), &[0], short.as_bytes()])
}

fn is_part(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn id_of(lookup: &[&[u8]]) -> TokenId {
    let mut message: Vec<&[u8]> = vec![ID_DOMAIN];
    message.extend(lookup);
    let hash = sha256(&message);
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(hash) {
        *to = from;
    }
    TokenId::from_bytes(id)
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let hash = match parts {
        [one] => digest(&SHA256, one),
        many => {
            let mut context = ring::digest::Context::new(&SHA256);
            many.iter().for_each(|part| context.update(part));
            context.finish()
        }
    };
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.as_ref());
    bytes
}

fn hex(text: &str) -> Result<[u8; 32], FormatError> {
    if text.len() != 64 {
        return Err(FormatError::ForeignHash);
    }
    let mut bytes = [0_u8; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        for &digit in digits {
            let value = char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            *byte = (*byte << 4) | value.ok_or(FormatError::ForeignHash)?;
        }
    }
    Ok(bytes)
}

const ID_DOMAIN: &[u8] = b"plforid1";
const WHOLE: u8 = 0;
const PREFIXED: u8 = 1;
