use core::fmt;
use core::str::FromStr;

use crate::error::FormatError;

/// The fewest characters of a prefix: shorter ones turn up in ordinary text, and scanners drown in them.
pub const MIN_PREFIX_LEN: usize = 6;
/// The most characters of a prefix.
pub const MAX_PREFIX_LEN: usize = 24;

/// What a kind of token begins with: 6 to 24 characters of `[a-z0-9]`, a letter first.
///
/// It names issuer, environment and kind, so that a leaked token says whom to tell:
///
/// ```
/// use token_vault::Prefix;
/// assert_eq!(Prefix::of("acme", "live", "pat")?, "acmelivepat".parse()?);
/// assert!("pat".parse::<Prefix>().is_err(), "too short to search for");
/// # Ok::<(), token_vault::FormatError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    text: Box<str>,
}

impl Prefix {
    /// The prefix of a kind of token of an issuer in an environment: the three, one after another.
    ///
    /// # Errors
    /// [`FormatError::Prefix`] when that is no prefix.
    pub fn of(issuer: &str, environment: &str, kind: &str) -> Result<Self, FormatError> {
        [issuer, environment, kind].concat().parse()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Prefix {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        let length = (MIN_PREFIX_LEN..=MAX_PREFIX_LEN).contains(&text.len());
        let letters = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if length && letters && text.starts_with(|first: char| first.is_ascii_lowercase()) {
            Ok(Self { text: text.into() })
        } else {
            Err(FormatError::Prefix)
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl serde::Serialize for Prefix {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for Prefix {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Box<str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
