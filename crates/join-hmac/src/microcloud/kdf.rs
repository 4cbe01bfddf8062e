//! From a secret to the key of a MAC.

use core::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use core_types::SecretBytes;
use ring::hmac;
use zeroize::{Zeroize, Zeroizing};

use super::argon2id;
use super::header::{MAC_LEN, MacKind};
use crate::error::MacError;

/// The most bytes of a secret.
pub const MAX_SECRET_LEN: usize = 4096;

/// A passphrase or a key, as bytes: as typed, nothing squeezed, folded or trimmed. Erased on drop, never printed.
pub struct MacSecret {
    bytes: Zeroizing<Vec<u8>>,
}

impl MacSecret {
    /// The secret of these bytes.
    ///
    /// An empty one is what it says, as with the reference: the caller decides what it lets through.
    ///
    /// # Errors
    /// [`MacError::SecretTooLong`].
    pub fn new(bytes: &[u8]) -> Result<Self, MacError> {
        if bytes.len() > MAX_SECRET_LEN {
            return Err(MacError::SecretTooLong { limit: MAX_SECRET_LEN });
        }
        Ok(Self { bytes: Zeroizing::new(bytes.to_vec()) })
    }

    pub(crate) fn expose_secret(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for MacSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacSecret(redacted)")
    }
}

/// The 64 MiB a derivation works in, to be used for one after the other: a service holds as many as it lets run at
/// once, and no more memory is ever taken. Erased on drop.
pub struct KdfMemory {
    blocks: Vec<Block>,
}

impl KdfMemory {
    /// The memory.
    ///
    /// # Errors
    /// [`MacError::OutOfMemory`].
    pub fn new() -> Result<Self, MacError> {
        let mut blocks = Vec::new();
        let count = parameters()?.block_count();
        blocks.try_reserve_exact(count).map_err(|_| MacError::OutOfMemory)?;
        blocks.resize(count, Block::new());
        Ok(Self { blocks })
    }
}

impl Drop for KdfMemory {
    fn drop(&mut self) {
        self.blocks.iter_mut().for_each(Zeroize::zeroize);
    }
}

impl fmt::Debug for KdfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KdfMemory").field("blocks", &self.blocks.len()).finish()
    }
}

/// A derivation that is yet to be run, about a quarter of a second of one core: where and when is the caller's to say.
#[derive(Debug)]
#[must_use = "nothing is derived before it is run"]
pub struct KdfJob<'a> {
    secret: &'a MacSecret,
    salt: &'a [u8],
}

impl<'a> KdfJob<'a> {
    pub(crate) const fn new(secret: &'a MacSecret, salt: &'a [u8]) -> Self {
        Self { secret, salt }
    }

    /// Derives the key.
    ///
    /// # Errors
    /// [`MacError::Derivation`].
    pub fn run(&self, memory: &mut KdfMemory) -> Result<MacKey, MacError> {
        let parameters = parameters()?;
        let key = SecretBytes::filled_by(|key| {
            if self.salt.len() < argon2::MIN_SALT_LEN {
                let input = argon2id::Input {
                    password: self.secret.expose_secret(),
                    salt: self.salt,
                    secret: &[],
                    data: &[],
                };
                argon2id::derive(&COST, &input, &mut memory.blocks, key).ok_or(MacError::Derivation)
            } else {
                Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
                    .hash_password_into_with_memory(
                        self.secret.expose_secret(),
                        self.salt,
                        key,
                        &mut memory.blocks,
                    )
                    .map_err(|_| MacError::Derivation)
            }
        })?;
        Ok(MacKey { key: Key::Derived(key), salt: Some(self.salt.into()) })
    }
}

/// The key of a MAC, and the salt it is for. Erased on drop, never printed.
pub struct MacKey {
    key: Key,
    salt: Option<Box<[u8]>>,
}

enum Key {
    Derived(SecretBytes<32>),
    Plain(Zeroizing<Vec<u8>>),
}

impl MacKey {
    /// The secret itself.
    #[must_use]
    pub fn plain(secret: &MacSecret) -> Self {
        Self { key: Key::Plain(secret.bytes.clone()), salt: None }
    }

    /// How it was made.
    #[must_use]
    pub const fn kind(&self) -> MacKind {
        if self.salt.is_some() { MacKind::Argon2 } else { MacKind::Plain }
    }

    /// The salt it was derived with.
    #[must_use]
    pub fn salt(&self) -> Option<&[u8]> {
        self.salt.as_deref()
    }

    pub(crate) fn sign(&self, body: &[u8]) -> [u8; MAC_LEN] {
        let mut mac = [0; MAC_LEN];
        mac.copy_from_slice(hmac::sign(&self.hmac(), body).as_ref());
        mac
    }

    /// Constant-time in the MAC.
    pub(crate) fn verify(&self, body: &[u8], mac: &[u8; MAC_LEN]) -> bool {
        hmac::verify(&self.hmac(), body, mac).is_ok()
    }

    #[cfg(test)]
    pub(crate) fn derived(&self) -> &[u8] {
        match &self.key {
            Key::Derived(key) => key.expose_secret(),
            Key::Plain(key) => key,
        }
    }

    fn hmac(&self) -> hmac::Key {
        match &self.key {
            Key::Derived(key) => hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret()),
            Key::Plain(key) => hmac::Key::new(hmac::HMAC_SHA256, key),
        }
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacKey({:?}, redacted)", self.kind())
    }
}

fn parameters() -> Result<Params, MacError> {
    Params::new(COST.memory, COST.passes, COST.lanes, Some(MAC_LEN)).map_err(|_| MacError::Derivation)
}

/// The second recommended option of RFC 9106 4.
const COST: argon2id::Cost = argon2id::Cost { passes: 3, memory: 64 * 1024, lanes: 4 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_implementations_derive_the_same_from_salts_of_eight_bytes_on() {
        for (salt_len, password) in [(8, &b""[..]), (9, b"foo"), (16, b"oftentimes rupture"), (40, &[7; 200])]
        {
            let salt: Vec<u8> = (0..salt_len).collect();
            let cost = argon2id::Cost { passes: 3, memory: 64, lanes: 4 };
            let mut blocks = vec![Block::new(); 64];
            let mut ours = [0; 32];
            let input = argon2id::Input { password, salt: &salt, secret: &[], data: &[] };
            argon2id::derive(&cost, &input, &mut blocks, &mut ours).unwrap();
            let mut theirs = [0; 32];
            Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 3, 4, Some(32)).unwrap())
                .hash_password_into(password, &salt, &mut theirs)
                .unwrap();
            assert_eq!(ours, theirs, "{salt_len}");
        }
    }

    #[test]
    fn used_memory_derives_the_same_as_fresh() {
        let mut memory = KdfMemory::new().unwrap();
        let secret = MacSecret::new(b"foo").unwrap();
        let first = KdfJob::new(&secret, &[1; 16]).run(&mut memory).unwrap();
        let capacity = memory.blocks.capacity();
        let other = KdfJob::new(&secret, &[2; 16]).run(&mut memory).unwrap();
        let again = KdfJob::new(&secret, &[1; 16]).run(&mut memory).unwrap();
        assert_eq!(first.derived(), again.derived());
        assert_ne!(first.derived(), other.derived());
        assert_eq!(memory.blocks.capacity(), capacity);
        assert_eq!(memory.blocks.len() * Block::SIZE, 64 << 20);
    }

    #[test]
    fn no_secret_is_printed() {
        let secret = MacSecret::new(b"hunter2").unwrap();
        let mut memory = KdfMemory::new().unwrap();
        let job = KdfJob::new(&secret, b"saltsalt");
        let key = job.run(&mut memory).unwrap();
        let plain = MacKey::plain(&secret);
        let printed = format!("{secret:?} {job:?} {key:?} {plain:?} {memory:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(!printed.contains(&format!("{:?}", key.derived()[0..4].to_vec())), "{printed}");
    }
}
