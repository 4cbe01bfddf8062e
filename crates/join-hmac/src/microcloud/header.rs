//! The `Authorization` value.

use core::fmt;
use std::sync::Arc;

use crate::error::HeaderError;

/// Bytes of a salt, as senders draw it.
pub const SALT_LEN: usize = 16;

/// Bytes of a MAC.
pub const MAC_LEN: usize = 32;

/// The most characters of a version.
pub const MAX_VERSION_LEN: usize = 64;

/// The most bytes of a header that lenient mode reads; what HTTP servers let through at most.
pub const MAX_LENIENT_HEADER_LEN: usize = 1 << 20;

/// How the key of a MAC is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the two forms that exist")]
pub enum MacKind {
    /// By Argon2id from the secret and a salt in the header.
    Argon2,
    /// The secret is the key: for secrets of 128 random bits or more.
    Plain,
}

/// What a receiver accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is the one spelling, and there is the reference verifier")]
pub enum Mode {
    /// What senders send: a salt of 16 bytes, a MAC of 32, lower-case digits, one spelling.
    Strict,
    /// Everything the reference verifier accepts, salts of one byte included.
    Lenient,
}

/// The name of the scheme: `MicroCloud-1.0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MacVersion {
    // Shared: every header that is read has one.
    text: Arc<str>,
}

impl MacVersion {
    /// MicroCloud's own.
    pub const MICROCLOUD: &str = "MicroCloud-1.0";

    /// The version: 1 to [`MAX_VERSION_LEN`] visible ASCII characters.
    ///
    /// # Errors
    /// [`HeaderError::Version`].
    pub fn new(text: &str) -> Result<Self, HeaderError> {
        if (1..=MAX_VERSION_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self { text: text.into() })
        } else {
            Err(HeaderError::Version)
        }
    }

    /// MicroCloud's version.
    #[must_use]
    pub fn microcloud() -> Self {
        Self { text: Self::MICROCLOUD.into() }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for MacVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What an `Authorization` value says: salt and MAC, of the version that was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacHeader {
    version: MacVersion,
    // INVARIANT: there is one, of one byte or more, exactly for MacKind::Argon2.
    salt: Option<Box<[u8]>>,
    mac: [u8; MAC_LEN],
}

impl MacHeader {
    pub(crate) fn new(version: MacVersion, salt: Option<Box<[u8]>>, mac: [u8; MAC_LEN]) -> Self {
        Self { version, salt, mac }
    }

    /// Reads an `Authorization` value. Everything that can be refused without a key is refused here, before any
    /// derivation: the version included.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn parse(
        value: &[u8],
        expected: &MacVersion,
        kind: MacKind,
        mode: Mode,
    ) -> Result<Self, HeaderError> {
        let longest = match mode {
            Mode::Strict => MAX_STRICT_HEADER_LEN,
            Mode::Lenient => MAX_LENIENT_HEADER_LEN,
        };
        if value.len() > longest {
            return Err(HeaderError::TooLong { limit: longest });
        }
        let (version, rest) = cut(value, b' ').ok_or(HeaderError::NoMac)?;
        if version.is_empty() {
            return Err(HeaderError::Version);
        }
        if rest.is_empty() {
            return Err(HeaderError::NoMac);
        }
        if version != expected.text.as_bytes() {
            return Err(HeaderError::OtherVersion);
        }
        let (salt, mac) = match kind {
            MacKind::Plain => (None, rest),
            MacKind::Argon2 => {
                let (salt, mac) = cut(rest, b':').ok_or(HeaderError::NoSalt)?;
                if salt.is_empty() {
                    return Err(HeaderError::NoSalt);
                }
                if mac.is_empty() {
                    return Err(HeaderError::NoMac);
                }
                let salt = decode(salt, mode).ok_or(HeaderError::Digits)?;
                if mode == Mode::Strict && salt.len() != SALT_LEN {
                    return Err(HeaderError::SaltLength { found: salt.len() });
                }
                (Some(salt.into_boxed_slice()), mac)
            }
        };
        // A second colon is no digit, so it is refused here as everywhere.
        let mac = decode_mac(mac, mode)?;
        Ok(Self { version: expected.clone(), salt, mac })
    }

    /// The version.
    #[must_use]
    pub const fn version(&self) -> &MacVersion {
        &self.version
    }

    /// The salt of the derivation; `None` where the secret is the key.
    #[must_use]
    pub fn salt(&self) -> Option<&[u8]> {
        self.salt.as_deref()
    }

    /// The MAC. Compare it by checking a message, never by itself.
    #[must_use]
    pub const fn mac(&self) -> &[u8; MAC_LEN] {
        &self.mac
    }

    /// How its key is made.
    #[must_use]
    pub const fn kind(&self) -> MacKind {
        if self.salt.is_some() { MacKind::Argon2 } else { MacKind::Plain }
    }
}

/// As it is sent: 112 characters for MicroCloud's own version and a salt of 16 bytes.
impl fmt::Display for MacHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.version)?;
        if let Some(salt) = &self.salt {
            salt.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            f.write_str(":")?;
        }
        self.mac.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What is before the first `at`, and what is after it.
fn cut(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = bytes.iter().position(|&byte| byte == at)?;
    let (before, rest) = bytes.split_at_checked(index)?;
    Some((before, rest.get(1..)?))
}

/// Exactly 32 bytes; where there are others, why not is found out at leisure.
fn decode_mac(digits: &[u8], mode: Mode) -> Result<[u8; MAC_LEN], HeaderError> {
    let mut mac = [0; MAC_LEN];
    if let (pairs, []) = digits.as_chunks::<2>()
        && pairs.len() == MAC_LEN
    {
        for (byte, pair) in mac.iter_mut().zip(pairs) {
            *byte = byte_of(*pair, mode).ok_or(HeaderError::Digits)?;
        }
        return Ok(mac);
    }
    let other = decode(digits, mode).ok_or(HeaderError::Digits)?;
    Err(HeaderError::MacLength { found: other.len() })
}

/// Hexadecimal digits, two a byte; upper case only in lenient mode.
fn decode(digits: &[u8], mode: Mode) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes = pairs.iter().map(|pair| byte_of(*pair, mode)).collect::<Option<_>>()?;
    rest.is_empty().then_some(bytes)
}

fn byte_of([high, low]: [u8; 2], mode: Mode) -> Option<u8> {
    let value = |digit: u8| -> Option<u8> {
        match digit {
            b'0'..=b'9' => digit.checked_sub(b'0'),
            b'a'..=b'f' => digit.checked_sub(b'a')?.checked_add(10),
            b'A'..=b'F' if mode == Mode::Lenient => digit.checked_sub(b'A')?.checked_add(10),
            _ => None,
        }
    };
    Some((value(high)? << 4) | value(low)?)
}

/// A version, a blank, a salt, a colon, a MAC.
const MAX_STRICT_HEADER_LEN: usize = MAX_VERSION_LEN + 1 + 2 * SALT_LEN + 1 + 2 * MAC_LEN;
