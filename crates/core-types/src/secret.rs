//! Bytes that must not be seen, copied or left behind.

use core::fmt;

use zeroize::Zeroize;

use crate::error::RandomError;
use crate::random::SecureRandom;

/// `N` secret bytes: filled in place, erased on drop, never printed, compared, copied or serialized.
///
/// The bytes live on the heap, so moving the value leaves no copy behind. The kinds of secret in the
/// concern crates are newtypes over this one.
///
/// ```compile_fail
/// let secret = core_types::SecretBytes::<32>::filled_by(|_| Ok::<(), ()>(())).unwrap();
/// let copy = secret.clone();
/// ```
pub struct SecretBytes<const N: usize> {
    bytes: Box<[u8; N]>,
}

impl<const N: usize> SecretBytes<N> {
    /// Fresh random bytes.
    ///
    /// # Errors
    /// [`RandomError`] when `rng` fails.
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, RandomError> {
        Self::filled_by(|bytes| rng.fill(bytes))
    }

    /// Bytes that `fill` writes where they will stay; they are zero before.
    ///
    /// # Errors
    /// What `fill` returns; whatever it wrote is erased then.
    pub fn filled_by<E>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self { bytes: Box::new([0; N]) };
        fill(&mut secret.bytes)?;
        Ok(secret)
    }

    /// Takes the bytes over and erases them where they were.
    #[must_use]
    pub fn take_from(source: &mut [u8; N]) -> Self {
        let mut secret = Self { bytes: Box::new([0; N]) };
        secret.bytes.copy_from_slice(source);
        source.zeroize();
        secret
    }

    /// The bytes, for the one computation that needs them. Do not copy them.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8; N] {
        &self.bytes
    }
}

impl<const N: usize> Drop for SecretBytes<N> {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl<const N: usize> fmt::Debug for SecretBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes<{N}>(redacted)")
    }
}
