//! Short names for public things, as OpenSSH prints them.

use core::fmt;
use core::str::FromStr;

use crate::error::ParseError;

/// A SHA-256 digest that names a public thing: a key, a certificate.
///
/// The text form is OpenSSH's: `SHA256:` and 43 characters of base64 (RFC 4648 4) without padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint {
    digest: [u8; 32],
}

impl Fingerprint {
    /// The fingerprint of `bytes`.
    #[cfg(feature = "ring")]
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        let mut fingerprint = Self { digest: [0; 32] };
        fingerprint.digest.copy_from_slice(digest.as_ref());
        fingerprint
    }

    /// The fingerprint that is this SHA-256 digest.
    #[must_use]
    pub const fn from_sha256(digest: [u8; 32]) -> Self {
        Self { digest }
    }

    /// The SHA-256 digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.digest
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        let mut text = [0; BASE64_LEN];
        encode(&self.digest, &mut text);
        text.iter().try_for_each(|&symbol| fmt::Write::write_char(f, char::from(symbol)))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let form = ParseError::Form { form: "SHA256: and 43 characters of base64" };
        let bare = text.strip_prefix(PREFIX).ok_or(form)?;
        if bare.len() != BASE64_LEN {
            return Err(form);
        }
        let digest = decode(bare.as_bytes())?;
        let mut canonical = [0; BASE64_LEN];
        encode(&digest, &mut canonical);
        // The last character carries two unused bits; only zero is canonical.
        if canonical != bare.as_bytes() {
            return Err(ParseError::NotCanonical);
        }
        Ok(Self { digest })
    }
}

#[cfg(feature = "serde")]
crate::serde_text::impl_text!(impl[] Fingerprint);

/// An MD5 digest of a public key, for people who compare it with an old tool's output.
///
/// It can only be printed, as `MD5:` and sixteen bytes in hexadecimal: MD5 does not tell keys apart against
/// someone who makes them, so nothing may be looked up or decided by it.
#[derive(Clone, Copy)]
pub struct Md5Fingerprint {
    digest: [u8; 16],
}

impl Md5Fingerprint {
    /// The fingerprint that is this MD5 digest.
    #[must_use]
    pub const fn from_md5(digest: [u8; 16]) -> Self {
        Self { digest }
    }
}

impl fmt::Display for Md5Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "MD5:";
        for byte in self.digest {
            write!(f, "{separator}{byte:02x}")?;
            separator = ":";
        }
        Ok(())
    }
}

impl fmt::Debug for Md5Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Base64 of exactly 32 bytes: ten groups of three and a last one of two.
fn encode(digest: &[u8; 32], out: &mut [u8; BASE64_LEN]) {
    for (group, symbols) in digest.chunks(3).zip(out.chunks_mut(4)) {
        let mut bytes = [0; 4];
        for (to, from) in bytes.iter_mut().skip(1).zip(group) {
            *to = *from;
        }
        let bits = u32::from_be_bytes(bytes);
        for (symbol, shift) in symbols.iter_mut().zip([18, 12, 6, 0]) {
            let index = usize::try_from((bits >> shift) & 63).unwrap_or(0);
            *symbol = ALPHABET.get(index).copied().unwrap_or(b'A');
        }
    }
}

/// Reads 43 symbols; unused bits at the end are the caller's to check.
fn decode(text: &[u8]) -> Result<[u8; 32], ParseError> {
    let mut digest = [0; 32];
    for ((number, symbols), group) in text.chunks(4).enumerate().zip(digest.chunks_mut(3)) {
        let mut bits = 0_u32;
        for offset in 0..4 {
            let value = match symbols.get(offset) {
                Some(symbol) => ALPHABET
                    .iter()
                    .position(|known| known == symbol)
                    .and_then(|value| u32::try_from(value).ok())
                    .ok_or(ParseError::Character {
                        at: PREFIX.len().saturating_add(number.saturating_mul(4)).saturating_add(offset),
                    })?,
                None => 0,
            };
            bits = (bits << 6) | value;
        }
        for (to, from) in group.iter_mut().zip(bits.to_be_bytes().into_iter().skip(1)) {
            *to = from;
        }
    }
    Ok(digest)
}

const PREFIX: &str = "SHA256:";
const BASE64_LEN: usize = 43;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
