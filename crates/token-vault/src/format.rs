//! The text of a token, byte by byte.
//!
//! ```text
//! offset   bytes  what
//! 0        p      prefix of the kind, 6 <= p <= 24, [a-z][a-z0-9]*
//! p        1      '_'
//! p + 1    22     public id: the 16 bytes of the token's id, big-endian, in base 62
//! p + 23   43     secret: 32 random bytes, big-endian, in base 62
//! p + 66   6      CRC-32 (ISO 3309) of the 65 characters of id and secret, in base 62
//! ```
//!
//! Base 62 is of fixed width over `0-9A-Za-z`, most significant digit first; a number too large for its bytes
//! is refused. So every token has one spelling. It is read by position from the end, never by splitting.

pub(crate) mod base62;
mod prefix;

use core::fmt;

use core_types::TokenId;

pub use self::prefix::{MAX_PREFIX_LEN, MIN_PREFIX_LEN, Prefix};
use crate::error::FormatError;
use crate::service::{Name, TYPE};

/// The most kinds of token a vault knows.
pub const MAX_KINDS: usize = 16;

/// Characters after the prefix: underscore, id, secret, checksum.
pub const TAIL_LEN: usize = 1 + BODY_LEN + base62::LEN_32;

/// The most characters a token can have; anything longer is refused unread.
pub const MAX_TOKEN_LEN: usize = MAX_PREFIX_LEN + TAIL_LEN;

/// The kinds of token a vault issues and accepts, by their prefixes.
///
/// ```
/// use token_vault::TokenFormat;
/// let format = TokenFormat::new(["acmelivepat".parse()?, "acmelivekey".parse()?])?;
/// let parts = format.inspect("acmelivepat_1mJxEqZhPJLdE5apkr9p2YHFBS7hSdQvKZBkMvZxH7f1hCdJkCYxkGp0oH0kCeE4");
/// assert!(parts.is_err(), "the checksum does not fit: a typing mistake, or no token of ours");
/// # Ok::<(), token_vault::FormatError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFormat {
    // INVARIANT: 1 to MAX_KINDS, none twice.
    kinds: Vec<Prefix>,
}

/// What a token says openly: everything but its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenParts {
    /// The prefix of its kind.
    pub kind: Prefix,
    /// Its public id.
    pub id: TokenId,
}

/// The token's text without its secret, for people to tell tokens apart: `acmelivepat_…1mJx`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Redacted {
    text: Box<str>,
}

impl TokenFormat {
    /// The format of these kinds.
    ///
    /// # Errors
    /// [`FormatError::Kinds`] when there are none, too many, or one twice.
    pub fn new(kinds: impl IntoIterator<Item = Prefix>) -> Result<Self, FormatError> {
        let kinds: Vec<Prefix> = kinds.into_iter().take(MAX_KINDS.saturating_add(1)).collect();
        let mut sorted: Vec<&Prefix> = kinds.iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        if kinds.is_empty() || kinds.len() > MAX_KINDS || sorted.len() != kinds.len() {
            return Err(FormatError::Kinds { limit: MAX_KINDS });
        }
        Ok(Self { kinds })
    }

    /// The prefixes, as they were given.
    #[must_use]
    pub fn kinds(&self) -> &[Prefix] {
        &self.kinds
    }

    /// Whether tokens of this kind are issued and accepted.
    #[must_use]
    pub fn knows(&self, kind: &Prefix) -> bool {
        self.kinds.contains(kind)
    }

    /// What `text` says openly, if it is a token of a known kind with a right checksum. Whether the token
    /// exists or ever did, only a vault can say.
    ///
    /// # Errors
    /// [`FormatError::NotAToken`].
    pub fn inspect(&self, text: &str) -> Result<TokenParts, FormatError> {
        let split = self.split(text.as_bytes()).ok_or(FormatError::NotAToken)?;
        let id = base62::decode_128(split.id).ok_or(FormatError::NotAToken)?;
        let mut secret = zeroize::Zeroizing::new([0; 32]);
        base62::decode_256(split.secret, secret.as_mut_slice()).ok_or(FormatError::NotAToken)?;
        Ok(TokenParts { kind: split.kind.clone(), id: TokenId::from_bytes(id) })
    }

    /// Takes a text apart by position, and checks prefix and checksum.
    pub(crate) fn split<'a>(&'a self, text: &'a [u8]) -> Option<Split<'a>> {
        let (prefix, tail) = text.split_at_checked(text.len().checked_sub(TAIL_LEN)?)?;
        let kind = self.kinds.iter().find(|kind| kind.as_str().as_bytes() == prefix)?;
        split_tail(kind, tail)
    }
}

/// A token whose prefix and checksum are right; the digits of id and secret are not yet read.
pub(crate) struct Split<'a> {
    pub(crate) kind: &'a Prefix,
    pub(crate) id: &'a [u8],
    pub(crate) secret: &'a [u8],
}

/// Takes apart what stands after a prefix.
pub(crate) fn split_tail<'a>(kind: &'a Prefix, tail: &'a [u8]) -> Option<Split<'a>> {
    if tail.len() != TAIL_LEN {
        return None;
    }
    let (&underscore, tail) = tail.split_first()?;
    let (body, checksum) = tail.split_at_checked(BODY_LEN)?;
    if underscore != b'_' || base62::decode_u32(checksum) != Some(crc32fast::hash(body)) {
        return None;
    }
    let (id, secret) = body.split_at_checked(base62::LEN_128)?;
    Some(Split { kind, id, secret })
}

/// Writes a whole token; `out` must be empty with room for it, so that it never moves.
pub(crate) fn write_token(kind: &Prefix, id: TokenId, secret: &[u8; 32], out: &mut String) {
    let mut digits = zeroize::Zeroizing::new([0; base62::LEN_256]);
    base62::encode_256(secret, &mut digits);
    let id = base62::encode_128(&id.to_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&id);
    hasher.update(digits.as_slice());
    out.push_str(kind.as_str());
    out.push('_');
    let checksum = base62::encode_u32(hasher.finalize());
    // The digits are ASCII.
    out.extend(id.iter().chain(digits.iter()).chain(&checksum).map(|&digit| char::from(digit)));
}

impl Redacted {
    /// The token of this kind and id.
    pub(crate) fn new(kind: &Prefix, id: TokenId) -> Self {
        let digits = base62::encode_128(&id.to_bytes());
        let shown = digits.iter().skip(base62::LEN_128 - SHOWN_LEN).map(|&digit| char::from(digit));
        let mut text = String::from(kind.as_str());
        text.push_str("_…");
        text.extend(shown);
        Self { text: text.into() }
    }

    /// The signed token of this name.
    pub(crate) fn signed(jti: &Name) -> Self {
        let shown = jti.as_str().get(jti.as_str().len().saturating_sub(SHOWN_LEN)..).unwrap_or("");
        Self { text: format!("{TYPE}_…{shown}").into() }
    }
}

impl serde::Serialize for Redacted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Id and secret.
pub(crate) const BODY_LEN: usize = base62::LEN_128 + base62::LEN_256;
/// How much of the public id, or of the `jti`, a redacted token shows, from its end.
const SHOWN_LEN: usize = 4;
