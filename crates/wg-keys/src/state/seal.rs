//! Encryption of the state file, by whatever keeps the key.

use core_types::SecureRandom;

use crate::error::SealError;
use crate::secret_text::SecretText;

/// Encrypts a state file and decrypts it again.
///
/// `PassphraseSealer` (feature `passphrase`) is one. Others may rest on what a machine has: a TPM, a credential of
/// its service manager, a key service.
///
/// # What a wrong answer breaks
/// [`open`](Self::open) must refuse what [`seal`](Self::seal) did not make: a forged state gives the machine another
/// identity.
pub trait Sealer: Send + Sync {
    /// Its name in the file: of `[a-z0-9-]`, and never another one's.
    fn name(&self) -> &'static str;

    /// Encrypts and authenticates.
    ///
    /// # Errors
    /// [`SealError`].
    fn seal(&self, secret: &SecretText, rng: &dyn SecureRandom) -> Result<Vec<u8>, SealError>;

    /// Decrypts what [`seal`](Self::seal) made.
    ///
    /// # Errors
    /// [`SealError::Refused`] of anything else.
    fn open(&self, sealed: &[u8]) -> Result<SecretText, SealError>;
}
