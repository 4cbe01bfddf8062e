//! Secrets that people choose, by Argon2id (RFC 9106); never for tokens, which need no slow hash.
//!
//! ```text
//! $argon2id$v=19$m=19456,t=2,p=1$<salt: 22 characters>$<hash: 43 characters>
//! ```
//!
//! The PHC string form, with base64 (RFC 4648 4) without padding; salts have 16 bytes, hashes 32. Every hash
//! has one spelling.

use core::fmt;
use core::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::{Algorithm, Argon2, Params, Version};
use base64ct::{Base64Unpadded, Encoding};
use core_types::{RandomError, SecureRandom};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// The most bytes of a password; a longer one is refused before any work.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// What Argon2id costs: memory in KiB, passes, lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PasswordCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl PasswordCost {
    /// The least OWASP's Password Storage Cheat Sheet names: 19 MiB, two passes, one lane.
    pub const MINIMUM: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

    /// A cost of one's own, nowhere below [`MINIMUM`](Self::MINIMUM) and at most 1 GiB, 16 passes, 16 lanes.
    ///
    /// # Errors
    /// [`PasswordError::Cost`].
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, PasswordError> {
        let cost = Self { memory_kib, passes, lanes };
        if cost.is_bounded() && cost.reaches(Self::MINIMUM) { Ok(cost) } else { Err(PasswordError::Cost) }
    }

    /// Whether no part is below the other's; more memory for fewer passes is not weighed up.
    const fn reaches(self, other: Self) -> bool {
        self.memory_kib >= other.memory_kib && self.passes >= other.passes && self.lanes >= other.lanes
    }

    /// What a stored hash may cost whoever verifies it.
    const fn is_bounded(self) -> bool {
        self.memory_kib >= self.lanes.saturating_mul(8)
            && self.memory_kib <= MAX_MEMORY_KIB
            && self.passes >= 1
            && self.passes <= MAX_PASSES
            && self.lanes >= 1
            && self.lanes <= MAX_LANES
    }
}

/// A password's hash, as it is stored.
#[derive(Clone)]
pub struct PasswordHash {
    cost: PasswordCost,
    salt: [u8; SALT_LEN],
    hash: [u8; HASH_LEN],
}

/// Hashes and checks passwords, so many at a time and no more: each takes the memory of its cost.
#[derive(Debug)]
pub struct Passwords {
    cost: PasswordCost,
    limit: usize,
    running: AtomicUsize,
}

/// The password was right.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct RightPassword {
    /// A hash at the present cost, to be stored in place of the one that was checked, where that cost less.
    pub upgrade: Option<PasswordHash>,
}

/// Why there is no answer but no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Not the password.
    #[error("wrong password")]
    Wrong,
    /// As many are being worked on as may be: answer «try again later».
    #[error("too many passwords at once")]
    Busy,
    /// Longer than [`MAX_PASSWORD_BYTES`], or empty.
    #[error("a password has 1 to {MAX_PASSWORD_BYTES} bytes")]
    Length,
    /// A cost below the minimum, or past what may be asked of whoever verifies.
    #[error("the cost is out of bounds")]
    Cost,
    /// Not a hash in its one spelling.
    #[error("not an argon2id hash")]
    Hash,
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl Passwords {
    /// Passwords at this cost, at most `limit` at a time.
    #[must_use]
    pub const fn new(cost: PasswordCost, limit: usize) -> Self {
        Self { cost, limit, running: AtomicUsize::new(0) }
    }

    /// The hash of a password. Takes tens of milliseconds: not on an async runtime's own threads.
    ///
    /// # Errors
    /// [`PasswordError::Length`], [`PasswordError::Busy`], [`PasswordError::Random`].
    pub fn hash(&self, password: &[u8], rng: &dyn SecureRandom) -> Result<PasswordHash, PasswordError> {
        check_length(password)?;
        let _turn = self.turn()?;
        self.hash_in_turn(password, rng)
    }

    /// Whether this is the password. Takes as long as [`hash`](Self::hash), twice that when the hash is
    /// brought to the present cost.
    ///
    /// # Errors
    /// [`PasswordError::Wrong`], and as for `hash`.
    pub fn verify(
        &self,
        password: &[u8],
        stored: &PasswordHash,
        rng: &dyn SecureRandom,
    ) -> Result<RightPassword, PasswordError> {
        check_length(password)?;
        let _turn = self.turn()?;
        let hash = argon2id(password, stored.cost, &stored.salt)?;
        if !bool::from(hash.ct_eq(&stored.hash)) {
            return Err(PasswordError::Wrong);
        }
        let upgrade =
            if stored.cost.reaches(self.cost) { None } else { Some(self.hash_in_turn(password, rng)?) };
        Ok(RightPassword { upgrade })
    }

    fn hash_in_turn(&self, password: &[u8], rng: &dyn SecureRandom) -> Result<PasswordHash, PasswordError> {
        let mut salt = [0; SALT_LEN];
        rng.fill(&mut salt)?;
        Ok(PasswordHash { cost: self.cost, salt, hash: argon2id(password, self.cost, &salt)? })
    }

    fn turn(&self) -> Result<Turn<'_>, PasswordError> {
        let next = |running: usize| (running < self.limit).then(|| running.saturating_add(1));
        match self.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            Ok(_) => Ok(Turn { running: &self.running }),
            Err(_) => Err(PasswordError::Busy),
        }
    }
}

/// One of those being worked on.
struct Turn<'a> {
    running: &'a AtomicUsize,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl FromStr for PasswordHash {
    type Err = PasswordError;

    fn from_str(text: &str) -> Result<Self, PasswordError> {
        let rest = text.strip_prefix("$argon2id$v=19$").ok_or(PasswordError::Hash)?;
        let mut parts = rest.split('$');
        let (Some(cost), Some(salt), Some(hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(PasswordError::Hash);
        };
        let mut numbers = cost.split(',');
        let mut number = |name: &str| {
            numbers.next().and_then(|part| part.strip_prefix(name)?.parse().ok()).ok_or(PasswordError::Hash)
        };
        let cost = PasswordCost { memory_kib: number("m=")?, passes: number("t=")?, lanes: number("p=")? };
        if !cost.is_bounded() {
            return Err(PasswordError::Cost);
        }
        let mut parsed = Self { cost, salt: [0; SALT_LEN], hash: [0; HASH_LEN] };
        decode(salt, &mut parsed.salt)?;
        decode(hash, &mut parsed.hash)?;
        // Signs, leading zeros, further numbers, loose bits: other spellings.
        if parsed.to_string() == text { Ok(parsed) } else { Err(PasswordError::Hash) }
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PasswordCost { memory_kib, passes, lanes } = self.cost;
        let (salt, hash) =
            (Base64Unpadded::encode_string(&self.salt), Base64Unpadded::encode_string(&self.hash));
        write!(f, "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${hash}")
    }
}

/// The cost only: a hash of a weak password is a secret in all but name.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("cost", &self.cost).finish_non_exhaustive()
    }
}

fn check_length(password: &[u8]) -> Result<(), PasswordError> {
    if (1..=MAX_PASSWORD_BYTES).contains(&password.len()) { Ok(()) } else { Err(PasswordError::Length) }
}

fn argon2id(password: &[u8], cost: PasswordCost, salt: &[u8]) -> Result<[u8; HASH_LEN], PasswordError> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(HASH_LEN))
        .map_err(|_| PasswordError::Cost)?;
    let mut hash = [0; HASH_LEN];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, salt, &mut hash)
        .map_err(|_| PasswordError::Cost)?;
    Ok(hash)
}

fn decode(text: &str, bytes: &mut [u8]) -> Result<(), PasswordError> {
    let expected = bytes.len();
    let decoded = Base64Unpadded::decode(text, bytes).map_err(|_| PasswordError::Hash)?;
    if decoded.len() == expected { Ok(()) } else { Err(PasswordError::Hash) }
}

const SALT_LEN: usize = 16;
const HASH_LEN: usize = 32;
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;
