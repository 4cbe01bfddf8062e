use core::fmt;
use std::sync::Arc;

use crate::error::LimitError;

/// The most bytes a key may have.
pub const MAX_KEY_BYTES: usize = 1024;

/// The most bytes a value may have.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// A key: 1 to [`MAX_KEY_BYTES`] bytes, ordered bytewise.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    bytes: Arc<[u8]>,
}

impl Key {
    /// The key of these bytes.
    ///
    /// # Errors
    /// [`LimitError`] when there are none, or too many.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, LimitError> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() {
            return Err(LimitError::EmptyKey);
        }
        if bytes.len() > MAX_KEY_BYTES {
            return Err(LimitError::KeyTooLong { limit: MAX_KEY_BYTES });
        }
        Ok(Self { bytes: bytes.into() })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What stands after `prefix`, as text; `None` where the key does not begin so or goes on in no text.
    #[must_use]
    pub fn strip_text_prefix(&self, prefix: &str) -> Option<&str> {
        core::str::from_utf8(self.bytes.strip_prefix(prefix.as_bytes())?).ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.bytes.escape_ascii())
    }
}

/// What keys begin with: 0 to [`MAX_KEY_BYTES`] bytes; the empty prefix is every key's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    bytes: Arc<[u8]>,
}

impl Prefix {
    /// The prefix of these bytes.
    ///
    /// # Errors
    /// [`LimitError::KeyTooLong`] when no key could begin so.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, LimitError> {
        let bytes = bytes.as_ref();
        if bytes.len() > MAX_KEY_BYTES {
            return Err(LimitError::KeyTooLong { limit: MAX_KEY_BYTES });
        }
        Ok(Self { bytes: bytes.into() })
    }

    /// Every key's prefix.
    #[must_use]
    pub fn all() -> Self {
        Self { bytes: Arc::new([]) }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether `key` begins with it.
    #[must_use]
    pub fn matches(&self, key: &Key) -> bool {
        key.as_bytes().starts_with(&self.bytes)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix({})", self.bytes.escape_ascii())
    }
}

/// A value: 0 to [`MAX_VALUE_BYTES`] bytes; a clone shares them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Value {
    bytes: Arc<[u8]>,
}

impl Value {
    /// The value of these bytes.
    ///
    /// # Errors
    /// [`LimitError::ValueTooLong`] past [`MAX_VALUE_BYTES`].
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, LimitError> {
        let bytes = bytes.as_ref();
        if bytes.len() > MAX_VALUE_BYTES {
            return Err(LimitError::ValueTooLong { limit: MAX_VALUE_BYTES });
        }
        Ok(Self { bytes: bytes.into() })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The length only: values may hold what a log should not.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.bytes.len())
    }
}

/// `Key` orders as its bytes do, so maps of keys can be searched by bytes.
impl core::borrow::Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.bytes
    }
}
