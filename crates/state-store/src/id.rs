use core::fmt;
use core::str::FromStr;

use core_types::{ParseError, RandomError, SecureRandom};

/// Which store a backend holds: 128 random bits from when it was made. Its text is 32 hexadecimal digits.
///
/// By it a program notices that it was given another store than the one it knows.
///
/// ```
/// use state_store::StoreId;
/// let id: StoreId = "000102030405060708090a0b0c0d0e0f".parse()?;
/// assert_eq!(StoreId::from_bytes(*id.as_bytes()), id);
/// assert!("000102030405060708090A0B0C0D0E0F".parse::<StoreId>().is_err());
/// # Ok::<(), core_types::ParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId {
    bytes: [u8; 16],
}

impl StoreId {
    /// A new one.
    ///
    /// # Errors
    /// [`RandomError`] when there is no randomness to be had.
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, RandomError> {
        let mut bytes = [0; 16];
        rng.fill(&mut bytes)?;
        Ok(Self { bytes })
    }

    /// The id of these bytes, read back from a store.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self { bytes }
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.bytes
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.bytes))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StoreId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let form = ParseError::Form { form: "32 lower-case hexadecimal digits" };
        if text.len() != 32 || !text.bytes().all(digit) {
            return Err(form);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| form)?;
        Ok(Self { bytes: number.to_be_bytes() })
    }
}
