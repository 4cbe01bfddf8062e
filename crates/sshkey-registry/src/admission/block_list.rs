use core_types::Fingerprint;

use super::{Known, KnownKeys};
use crate::error::BlockListError;
use crate::key::{Material, PublicKey};

/// A list of keys whose private half is known, in the form of badkeys' `blocklist.dat`.
///
/// The list is records of [`BlockList::RECORD_BYTES`] in ascending order. A record is the first 15 bytes of a SHA-256
/// digest and a byte that says which collection the key is from. What is digested is a number, big-endian and without
/// leading zero bytes: the modulus of an RSA key, whatever its exponent; the first coordinate of an ECDSA key; the 32
/// bytes of an Ed25519 key. So a key counts as the same on a security key, and a composite key as its Ed25519 half.
///
/// The bytes may be anything that lends them: a `Vec`, or a file that the embedder maps into memory. They must not
/// change. A look-up is a binary search, and allocates nothing.
#[derive(Clone)]
pub struct BlockList<B> {
    // INVARIANT: a whole number of records, in ascending order.
    bytes: B,
}

impl<B: AsRef<[u8]>> BlockList<B> {
    /// How long a record is.
    pub const RECORD_BYTES: usize = 16;

    /// The list that these bytes are. Looks at every record once.
    ///
    /// # Errors
    /// [`BlockListError`] when the bytes are no such list. Do not go on without it: fetch it again.
    pub fn new(bytes: B) -> Result<Self, BlockListError> {
        let (records, rest) = bytes.as_ref().as_chunks::<RECORD>();
        if !rest.is_empty() {
            return Err(BlockListError::Length);
        }
        if records.is_empty() {
            return Err(BlockListError::Empty);
        }
        if records.is_sorted() { Ok(Self { bytes }) } else { Err(BlockListError::Order) }
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records().len()
    }

    /// Whether there are none; a list always has some.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records().is_empty()
    }

    fn records(&self) -> &[[u8; RECORD]] {
        self.bytes.as_ref().as_chunks().0
    }
}

impl<B: AsRef<[u8]> + Send + Sync> KnownKeys for BlockList<B> {
    fn look_up(&self, key: &PublicKey) -> Known {
        let digest = digest_of(key);
        let sought = digest.first_chunk::<HASH>();
        let found = self.records().binary_search_by(|record| record.first_chunk().cmp(&sought));
        if found.is_ok() { Known::Compromised } else { Known::NotListed }
    }
}

/// How long it is, not what it holds.
impl<B: AsRef<[u8]>> core::fmt::Debug for BlockList<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "BlockList({} records)", self.len())
    }
}

/// The keys that this crate itself knows: from published documents, from products that were delivered with their
/// private key, and those with a private key that anyone would try first. `tests/vectors/README.md` says which.
pub(super) fn published() -> BlockList<&'static [u8]> {
    // INVARIANT: in order; a test compares the file with what it is made from.
    BlockList { bytes: include_bytes!("published.dat") }
}

/// What a key is the same as another by, whatever it is dressed up as: the digest of its number.
pub(crate) fn material_digest(key: &PublicKey) -> Fingerprint {
    Fingerprint::of(name_of(key))
}

/// What a list has the first bytes of.
pub(super) fn digest_of(key: &PublicKey) -> [u8; 32] {
    *material_digest(key).as_bytes()
}

/// What is digested, before it is digested.
fn name_of(key: &PublicKey) -> &[u8] {
    let number = match key.material() {
        Material::Rsa { modulus, .. } => modulus,
        Material::Ecdsa { point, .. } | Material::SkEcdsa { point, .. } => {
            let coordinates = point.get(1..).unwrap_or_default();
            coordinates.get(..coordinates.len() / 2).unwrap_or_default()
        }
        Material::Ed25519 { point }
        | Material::SkEd25519 { point, .. }
        | Material::MlDsa44Ed25519 { point } => point,
    };
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

pub(super) const RECORD: usize = 16;
pub(super) const HASH: usize = 15;
