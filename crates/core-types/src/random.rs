//! Where unpredictable bytes come from.

use crate::error::RandomError;

/// A source of bytes that nobody can predict.
///
/// # What a wrong answer breaks
/// Everything: tokens, keys and nonces are guessable when the bytes are. Use `SystemRandom` (feature
/// `ring`) outside tests.
pub trait SecureRandom: Send + Sync {
    /// Fills `out` with fresh bytes.
    ///
    /// # Errors
    /// [`RandomError`] when the source fails; `out` must not be used then.
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError>;
}

impl<R: SecureRandom + ?Sized> SecureRandom for &R {
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        (**self).fill(out)
    }
}

impl<R: SecureRandom + ?Sized> SecureRandom for std::sync::Arc<R> {
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        (**self).fill(out)
    }
}

/// The operating system's generator, by ring.
#[cfg(feature = "ring")]
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SystemRandom {
    inner: ring::rand::SystemRandom,
}

#[cfg(feature = "ring")]
impl SystemRandom {
    /// The operating system's generator.
    #[must_use]
    pub fn new() -> Self {
        Self { inner: ring::rand::SystemRandom::new() }
    }
}

#[cfg(feature = "ring")]
impl Default for SystemRandom {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "ring")]
impl SecureRandom for SystemRandom {
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        ring::rand::SecureRandom::fill(&self.inner, out).map_err(|_| RandomError)
    }
}
