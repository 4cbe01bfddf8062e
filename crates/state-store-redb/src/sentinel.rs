//! The record by which a store is known: its format, its id, the revision it is at, how many entries it has.
//!
//! ```text
//! offset   bytes  what
//! 0        4      format version, 1, big-endian
//! 4        16     store id, random
//! 20       8      revision of the last commit, big-endian
//! 28       8      entries, big-endian
//! ```

use state_store::{Revision, StoreId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sentinel {
    pub(crate) store: StoreId,
    pub(crate) revision: Revision,
    pub(crate) entries: u64,
}

/// Why bytes are no sentinel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSentinel {
    Malformed,
    Version(u32),
}

impl Sentinel {
    pub(crate) const fn new(store: StoreId) -> Self {
        Self { store, revision: Revision::ZERO, entries: 0 }
    }

    pub(crate) fn to_bytes(self) -> [u8; SENTINEL_LEN] {
        let mut bytes = [0; SENTINEL_LEN];
        let parts = VERSION.to_be_bytes().into_iter().chain(*self.store.as_bytes());
        let parts = parts.chain(self.revision.get().to_be_bytes()).chain(self.entries.to_be_bytes());
        for (to, from) in bytes.iter_mut().zip(parts) {
            *to = from;
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, NoSentinel> {
        let (version, rest) = bytes.split_first_chunk().ok_or(NoSentinel::Malformed)?;
        // What comes after it is the version's affair.
        let version = u32::from_be_bytes(*version);
        if version != VERSION {
            return Err(NoSentinel::Version(version));
        }
        let (store, rest) = rest.split_first_chunk().ok_or(NoSentinel::Malformed)?;
        let (revision, rest) = rest.split_first_chunk().ok_or(NoSentinel::Malformed)?;
        let entries = rest.try_into().map_err(|_| NoSentinel::Malformed)?;
        Ok(Self {
            store: StoreId::from_bytes(*store),
            revision: Revision::new(u64::from_be_bytes(*revision)),
            entries: u64::from_be_bytes(entries),
        })
    }
}

/// The format this program reads and writes.
pub(crate) const VERSION: u32 = 1;
pub(crate) const SENTINEL_LEN: usize = 36;

#[cfg(test)]
mod tests {
    use core_types::testing::TestRandom;

    use super::*;

    #[test]
    fn a_sentinel_is_these_bytes() {
        let store: StoreId = "000102030405060708090a0b0c0d0e0f".parse().unwrap();
        let sentinel = Sentinel { store, revision: Revision::new(0x1122), entries: 3 };
        let bytes = [
            0, 0, 0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0, 0, 0, 0, 0x11, 0x22,
            0, 0, 0, 0, 0, 0, 0, 3,
        ];
        assert_eq!(sentinel.to_bytes(), bytes);
        assert_eq!(Sentinel::from_bytes(&bytes), Ok(sentinel));
        for len in 0..bytes.len() {
            assert_eq!(Sentinel::from_bytes(&bytes[..len]), Err(NoSentinel::Malformed), "{len}");
        }
        assert_eq!(Sentinel::from_bytes(&[&bytes[..], &[0]].concat()), Err(NoSentinel::Malformed));
        assert_eq!(Sentinel::from_bytes(&[0, 0, 0, 2, 9]), Err(NoSentinel::Version(2)));
    }

    #[test]
    fn a_store_id_has_one_spelling() {
        let store = StoreId::generate(&TestRandom::seeded(7)).unwrap();
        assert_eq!(store.to_string().parse(), Ok(store));
        assert_ne!(StoreId::generate(&TestRandom::seeded(8)).unwrap(), store);
        for wrong in ["", "0", "000102030405060708090A0B0C0D0E0F", "+00102030405060708090a0b0c0d0e0f"] {
            assert!(wrong.parse::<StoreId>().is_err(), "{wrong}");
        }
        assert!(format!("{store}0").parse::<StoreId>().is_err());
    }
}
