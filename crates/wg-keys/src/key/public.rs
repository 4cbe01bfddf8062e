//! Public keys that a machine can shake hands with.

use core::fmt;
use core::str::FromStr;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use subtle::{Choice, ConstantTimeEq as _};

use super::{KEY_LEN, KEY_TEXT_LEN, decode, encode};
use crate::error::KeyError;

/// A public key: canonically encoded and of no low order, however it came here.
///
/// A key of low order makes every shared secret zero. One that is not canonical gives the same shared secret as
/// another but is different bytes, and WireGuard compares bytes: it passes for another machine's key and can
/// never shake hands.
///
/// ```
/// use wg_keys::PublicKey;
/// let text = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
/// assert_eq!(text.parse::<PublicKey>()?.to_string(), text);
/// assert!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".parse::<PublicKey>().is_err());
/// # Ok::<(), wg_keys::KeyError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    bytes: [u8; KEY_LEN],
}

impl PublicKey {
    /// The key of these bytes (RFC 7748 §5: a little-endian coordinate).
    ///
    /// # Errors
    /// [`KeyError::NotCanonical`] when the number is not below 2²⁵⁵ − 19, [`KeyError::LowOrder`].
    pub fn from_bytes(bytes: [u8; KEY_LEN]) -> Result<Self, KeyError> {
        if !is_canonical(&bytes) {
            return Err(KeyError::NotCanonical);
        }
        let low = LOW_ORDER.iter().fold(Choice::from(0), |found, point| found | bytes.ct_eq(point));
        if bool::from(low) { Err(KeyError::LowOrder) } else { Ok(Self { bytes }) }
    }

    /// The bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; KEY_LEN] {
        self.bytes
    }

    /// The key of a computation whose results are neither of low order nor spelled otherwise.
    pub(crate) const fn computed(bytes: [u8; KEY_LEN]) -> Self {
        Self { bytes }
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut bytes = [0; KEY_LEN];
        decode(text, &mut bytes)?;
        Self::from_bytes(bytes)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; KEY_TEXT_LEN];
        encode(&self.bytes, &mut text);
        f.write_str(core::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = PublicKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a public key in base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PublicKey, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Whether the number is below 2²⁵⁵ − 19.
const fn is_canonical(bytes: &[u8; KEY_LEN]) -> bool {
    let [lowest, middle @ .., highest] = bytes;
    let mut all_ones = true;
    let mut rest: &[u8] = middle;
    while let [byte, after @ ..] = rest {
        all_ones &= *byte == 0xff;
        rest = after;
    }
    *highest < 0x7f || (*highest == 0x7f && !(all_ones && *lowest >= 0xed))
}

/// The canonical encodings of the points whose order divides eight, on the curve and on its twist.
const LOW_ORDER: [[u8; KEY_LEN]; 5] = [
    [0; KEY_LEN],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];
