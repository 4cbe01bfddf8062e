use core::fmt;
use core::str::FromStr;

use crate::error::NameError;

/// The most bytes a name may have.
pub const MAX_NAME_BYTES: usize = 128;

/// What a person calls a user, a group or a role: a label. Ids decide, names never do.
///
/// 1 to [`MAX_NAME_BYTES`] bytes of `[A-Za-z0-9.@_+-]`, a letter or digit first: nothing in a name can be
/// taken for a wildcard, a path or a variable, whatever a name is later pasted into.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Box<str>", into = "Box<str>")]
pub struct Name {
    text: Box<str>,
}

impl Name {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong { limit: MAX_NAME_BYTES });
        }
        for (at, byte) in text.bytes().enumerate() {
            let allowed = byte.is_ascii_alphanumeric() || (at != 0 && b".@_+-".contains(&byte));
            if !allowed {
                return Err(NameError::Character { at });
            }
        }
        Ok(Self { text: text.into() })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl TryFrom<Box<str>> for Name {
    type Error = NameError;

    fn try_from(text: Box<str>) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for Box<str> {
    fn from(name: Name) -> Self {
        name.text
    }
}
