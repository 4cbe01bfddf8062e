//! The record by which a store is known: its format, its id, the revision it is at.
//!
//! ```text
//! offset   bytes  what
//! 0        4      format version, 1, big-endian
//! 4        16     store id, random
//! 20       8      revision of the last commit, big-endian
//! ```

use core::fmt;
use core::str::FromStr;

use core_types::{ParseError, RandomError, SecureRandom};
use state_store::Revision;

/// Which store a file is: 128 random bits from when it was made. Its text is 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId {
    bytes: [u8; 16],
}

impl StoreId {
    pub(crate) fn generate(rng: &dyn SecureRandom) -> Result<Self, RandomError> {
        let mut bytes = [0; 16];
        rng.fill(&mut bytes)?;
        Ok(Self { bytes })
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sentinel {
    pub(crate) version: u32,
    pub(crate) store: StoreId,
    pub(crate) revision: Revision,
}

impl Sentinel {
    pub(crate) const fn of(store: StoreId, revision: Revision) -> Self {
        Self { version: VERSION, store, revision }
    }

    pub(crate) fn to_bytes(self) -> [u8; SENTINEL_LEN] {
        let mut bytes = [0; SENTINEL_LEN];
        let parts = self.version.to_be_bytes().into_iter().chain(self.store.bytes);
        for (to, from) in bytes.iter_mut().zip(parts.chain(self.revision.get().to_be_bytes())) {
            *to = from;
        }
        bytes
    }

    /// `None` when these are not its bytes; the version is the caller's to look at.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk::<4>()?;
        let (store, rest) = rest.split_first_chunk::<16>()?;
        let revision: [u8; 8] = rest.try_into().ok()?;
        Some(Self {
            version: u32::from_be_bytes(*version),
            store: StoreId { bytes: *store },
            revision: Revision::new(u64::from_be_bytes(revision)),
        })
    }
}

/// The format this program reads and writes.
pub(crate) const VERSION: u32 = 1;
pub(crate) const SENTINEL_LEN: usize = 28;
