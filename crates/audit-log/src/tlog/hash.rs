use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding as _};
use core_types::ParseError;
use ring::digest;
use serde::{Serialize, Serializer};

/// The hash of a leaf or of a node of a tree (SHA-256).
///
/// The text form is its base64 (RFC 4648 section 4, 44 characters), the only spelling.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash {
    bytes: [u8; HASH_LEN],
}

impl Hash {
    /// The hash that is these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; HASH_LEN]) -> Self {
        Self { bytes }
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; HASH_LEN] {
        &self.bytes
    }

    /// The root of the tree without leaves: the hash of nothing (RFC 6962 section 2.1).
    #[must_use]
    pub fn of_empty_tree() -> Self {
        sha256(&[])
    }

    /// The hash of a leaf: of a zero byte and its bytes (RFC 6962 section 2.1).
    #[must_use]
    pub fn of_leaf(leaf: &[u8]) -> Self {
        sha256(&[&[0], leaf])
    }

    /// The hash of a leaf that lies in three pieces.
    pub(crate) fn of_leaf_parts([first, second, third]: &[&[u8]; 3]) -> Self {
        sha256(&[&[0], first, second, third])
    }

    /// The hash of a node: of a one byte and the hashes of what is below (RFC 6962 section 2.1).
    #[must_use]
    pub fn of_node(left: &Self, right: &Self) -> Self {
        let mut input = [1; 65];
        let parts = left.bytes.iter().chain(&right.bytes);
        input.iter_mut().skip(1).zip(parts).for_each(|(to, from)| *to = *from);
        sha256(&[&input])
    }

    /// Concatenated hashes; `None` when the bytes are no multiple of 32.
    pub(crate) fn split(bytes: &[u8]) -> Option<Vec<Self>> {
        let (hashes, rest) = bytes.as_chunks::<HASH_LEN>();
        rest.is_empty().then(|| hashes.iter().map(|bytes| Self { bytes: *bytes }).collect())
    }
}

impl TryFrom<&[u8]> for Hash {
    type Error = ParseError;

    fn try_from(bytes: &[u8]) -> Result<Self, ParseError> {
        bytes.try_into().map(Self::from_bytes).map_err(|_| ParseError::Form { form: "32 bytes" })
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64::encode_string(&self.bytes))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let form = ParseError::Form { form: "32 bytes in base64" };
        if text.len() != TEXT_LEN {
            return Err(form);
        }
        let bytes = decode_base64(text).ok_or(form)?;
        bytes.as_slice().try_into().map(Self::from_bytes).map_err(|_| form)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The bytes of a base64 text in its one spelling.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok().filter(|bytes| Base64::encode_string(bytes) == text)
}

pub(crate) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut bytes = [0; HASH_LEN];
    bytes.copy_from_slice(context.finish().as_ref());
    Hash { bytes }
}

/// The bytes of a hash.
pub(crate) const HASH_LEN: usize = 32;
const TEXT_LEN: usize = 44;
