//! Typed, prefixed, time-sortable identifiers.
//!
//! An id is a ULID (48 bits of Unix milliseconds, then 80 random bits) under the prefix of its kind:
//! `usr_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D`. The text has one spelling: the prefix in lower case, an underscore, and
//! 26 characters of Crockford's base 32 in upper case. The order of ids is the order of their texts.
//!
//! An id is a name, not a secret: 80 bits keep ids apart, nothing may rest on their being unknown.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::str::FromStr;

use ulid::Ulid;

use crate::error::{ParseError, RandomError};
use crate::random::SecureRandom;
use crate::time::UnixTime;

/// A kind of thing that has ids; made with [`id_kind!`](crate::id_kind).
pub trait IdKind: 'static {
    /// What stands before the underscore: two to eight lower-case ASCII letters, unique among kinds.
    const PREFIX: &'static str;
}

/// An identifier of a thing of kind `K`.
///
/// ```
/// use core_types::UserId;
/// let id: UserId = "usr_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D".parse()?;
/// assert_eq!(id.to_string(), "usr_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D");
/// assert!("usr_01jd9z6q7v8w9x0y1z2a3b4c5d".parse::<UserId>().is_err(), "one spelling only");
/// # Ok::<(), core_types::ParseError>(())
/// ```
pub struct Id<K> {
    // Big-endian, as bytes: a `u128` would make whatever has an id in it half as long again.
    bytes: [u8; 16],
    kind: PhantomData<fn() -> K>,
}

/// Declares kinds of id: a documented, uninhabited type each, with its [`IdKind`].
///
/// ```
/// core_types::id_kind! {
///     /// A volume.
///     pub Volume = "vol";
/// }
/// type VolumeId = core_types::Id<Volume>;
/// assert!("vol_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D".parse::<VolumeId>().is_ok());
/// ```
#[macro_export]
macro_rules! id_kind {
    ($($(#[$doc:meta])* $vis:vis $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        #[non_exhaustive]
        $vis enum $name {}
        impl $crate::IdKind for $name {
            const PREFIX: &'static str = $prefix;
        }
    )*};
}

id_kind! {
    /// A person who signs in.
    pub User = "usr";
    /// An identity for a program.
    pub ServiceAccount = "svc";
    /// A machine of the fleet.
    pub Machine = "mch";
    /// An API token or access key.
    pub Token = "tok";
    /// One request to the control plane.
    pub Request = "req";
}

/// The id of a user.
pub type UserId = Id<User>;
/// The id of a service account.
pub type ServiceAccountId = Id<ServiceAccount>;
/// The id of a machine.
pub type MachineId = Id<Machine>;
/// The id of a token.
pub type TokenId = Id<Token>;
/// The id of a request.
pub type RequestId = Id<Request>;

impl<K: IdKind> Id<K> {
    /// Makes a new id for a thing that comes to be at `now`.
    ///
    /// # Errors
    /// [`RandomError`] when `rng` fails.
    pub fn generate(now: UnixTime, rng: &dyn SecureRandom) -> Result<Self, RandomError> {
        let mut random = [0; 16];
        rng.fill(&mut random)?;
        // The upper 48 bits are the time; `from_parts` keeps the lower 80 of the random value.
        let millis = now.as_millis().min(MAX_ULID_MILLIS);
        Ok(Self::from_ulid(Ulid::from_parts(millis, u128::from_be_bytes(random))))
    }

    /// The id whose 16 bytes, big-endian, are these.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self { bytes, kind: PhantomData }
    }

    /// The 16 bytes, big-endian: their order is the order of ids.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.bytes
    }

    /// The instant in the id, in milliseconds: when it was generated, by the maker's clock.
    #[must_use]
    pub const fn created_at(self) -> UnixTime {
        UnixTime::from_millis(Ulid::from_bytes(self.bytes).timestamp_ms())
    }

    const fn from_ulid(ulid: Ulid) -> Self {
        Self::from_bytes(ulid.to_bytes())
    }
}

impl<K: IdKind> FromStr for Id<K> {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bare = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .ok_or(ParseError::Prefix { expected: K::PREFIX })?;
        let bare: &[u8; ulid::ULID_LEN] =
            bare.as_bytes().try_into().map_err(|_| ParseError::Form { form: "prefix_ and 26 characters" })?;
        let value = decode(bare).ok_or(ParseError::NotCanonical)?;
        Ok(Self::from_bytes(value.to_be_bytes()))
    }
}

impl<K: IdKind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; ulid::ULID_LEN];
        f.write_str(K::PREFIX)?;
        f.write_str("_")?;
        f.write_str(Ulid::from_bytes(self.bytes).array_to_str(&mut buffer))
    }
}

impl<K: IdKind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// By hand, because `derive` would ask the same of `K`.
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Id<K> {}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_be_bytes(self.bytes));
    }
}

#[cfg(feature = "serde")]
crate::serde_text::impl_text!(impl[K: IdKind] Id<K>);

/// The number that these characters are; `None` where one of them is none of the alphabet (lower case and look-alikes are
/// not), or the number has more than 128 bits.
#[inline]
fn decode(text: &[u8; ulid::ULID_LEN]) -> Option<u128> {
    // Two characters, of which the first has three bits, and twice twelve: each part fits a word.
    let (head, rest) = text.split_first_chunk::<2>()?;
    let (middle, tail) = rest.split_first_chunk::<12>()?;
    let mut seen = 0;
    let mut word = |part: &[u8]| {
        part.iter().fold(0_u64, |all, byte| {
            let value = VALUES.get(usize::from(*byte)).copied().unwrap_or(NO_VALUE);
            seen |= value;
            all << 5 | u64::from(value & 31)
        })
    };
    let (head, middle, tail) = (word(head), word(middle), word(tail));
    (seen < 32 && head < 256).then(|| u128::from(head) << 120 | u128::from(middle) << 60 | u128::from(tail))
}

const NO_VALUE: u8 = 255;

/// What the characters of Crockford's base 32 stand for, in upper case alone.
#[rustfmt::skip]
static VALUES: [u8; 128] = {
    const N: u8 = NO_VALUE;
    [
        N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
        N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
        N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, N, N, N, N, N, N,
        N, 10, 11, 12, 13, 14, 15, 16, 17, N, 18, 19, N, 20, 21, N,
        22, 23, 24, 25, 26, N, 27, 28, 29, 30, 31, N, N, N, N, N,
        N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
        N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    ]
};

/// The latest instant 48 bits of milliseconds can say (in the year 10889).
const MAX_ULID_MILLIS: u64 = (1 << 48) - 1;
