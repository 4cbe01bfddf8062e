//! The three kinds of key of WireGuard, which are not each other's type.
//!
//! A key's text is 44 characters of base64 (RFC 4648 §4, padded) and has one spelling. It is read and written in
//! constant time.

mod public;
mod secret;

use base64ct::{Base64, Encoding};

pub use public::PublicKey;
pub use secret::{PresharedKey, PrivateKey};
pub(crate) use secret::{base64 as secret_base64, of_base64 as secret_of_base64};

use crate::error::KeyError;

/// Bytes of every key.
pub const KEY_LEN: usize = 32;

/// Characters of every key's text.
pub const KEY_TEXT_LEN: usize = 44;

/// Writes the bytes of a key where they will stay; takes the same time for all keys.
fn decode(text: &str, out: &mut [u8; KEY_LEN]) -> Result<(), KeyError> {
    if text.len() != KEY_TEXT_LEN {
        return Err(KeyError::Length);
    }
    match Base64::decode(text, out) {
        Ok(bytes) if bytes.len() == KEY_LEN => Ok(()),
        Ok(_) | Err(_) => Err(KeyError::Base64),
    }
}

/// Writes the text of a key; takes the same time for all keys.
fn encode(bytes: &[u8; KEY_LEN], out: &mut [u8; KEY_TEXT_LEN]) {
    // INVARIANT: 32 bytes are 44 characters, so the only error, a short buffer, cannot be.
    let _ = Base64::encode(bytes, out);
}
