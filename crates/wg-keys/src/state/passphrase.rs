//! A state file under a passphrase.

use argon2::{Algorithm, Argon2, Params, Version};
use core_types::{SecretBytes, SecureRandom};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::seal::Sealer;
use crate::error::SealError;
use crate::secret_text::SecretText;

/// What somebody remembers: erased on drop, never printed.
///
/// ```compile_fail
/// fn printed(passphrase: &wg_keys::state::Passphrase) -> String { passphrase.to_string() }
/// ```
#[derive(Debug)]
pub struct Passphrase {
    text: SecretText,
}

impl Passphrase {
    /// Takes a passphrase over; every character counts.
    ///
    /// # Errors
    /// [`SealError::EmptyPassphrase`].
    pub fn take_from(text: String) -> Result<Self, SealError> {
        if text.is_empty() {
            return Err(SealError::EmptyPassphrase);
        }
        Ok(Self { text: SecretText::take_from(text) })
    }
}

/// Seals with AES-256-GCM under a key that Argon2id (RFC 9106) makes of a passphrase and a fresh salt.
///
/// ```text
/// offset  bytes  what
/// 0       16     "palisade-wg-pw1" 00
/// 16      4      memory in KiB, big-endian
/// 20      4      passes, big-endian
/// 24      4      lanes, big-endian
/// 28      16     salt
/// 44      12     nonce
/// 56      n      ciphertext
/// 56 + n  16     tag, of the ciphertext and of the first 56 bytes
/// ```
#[derive(Debug)]
pub struct PassphraseSealer {
    passphrase: Passphrase,
    cost: Cost,
}

impl PassphraseSealer {
    /// A sealer at the cost that RFC 9106 recommends where memory is scarce: 64 MiB, 3 passes, 4 lanes.
    #[must_use]
    pub const fn new(passphrase: Passphrase) -> Self {
        Self { passphrase, cost: Cost { memory_kib: 64 << 10, passes: 3, lanes: 4 } }
    }

    /// At another cost; what is there is opened at the cost it was sealed at.
    ///
    /// # Errors
    /// [`SealError::Form`] when a bound does not hold: 8 MiB to 1 GiB, 1 to 16 passes, 1 to 16 lanes.
    pub fn with_cost(mut self, memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, SealError> {
        self.cost = Cost { memory_kib, passes, lanes };
        if self.cost.is_bounded() { Ok(self) } else { Err(SealError::Form) }
    }

    fn key(&self, cost: Cost, salt: &[u8]) -> Result<LessSafeKey, SealError> {
        let params =
            Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(|_| SealError::Form)?;
        let derive = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let key = SecretBytes::<32>::filled_by(|key| {
            derive.hash_password_into(self.passphrase.text.expose_secret().as_bytes(), salt, key)
        })
        .map_err(|_| SealError::Unavailable)?;
        let key = UnboundKey::new(&AES_256_GCM, key.expose_secret()).map_err(|_| SealError::Unavailable)?;
        Ok(LessSafeKey::new(key))
    }
}

impl Sealer for PassphraseSealer {
    fn name(&self) -> &'static str {
        "passphrase"
    }

    fn seal(&self, secret: &SecretText, rng: &dyn SecureRandom) -> Result<Vec<u8>, SealError> {
        let mut header = Vec::with_capacity(HEADER_LEN);
        header.extend_from_slice(MAGIC);
        for number in [self.cost.memory_kib, self.cost.passes, self.cost.lanes] {
            header.extend_from_slice(&number.to_be_bytes());
        }
        let (mut salt, mut nonce) = ([0; SALT_LEN], [0; NONCE_LEN]);
        rng.fill(&mut salt)?;
        rng.fill(&mut nonce)?;
        header.extend_from_slice(&salt);
        header.extend_from_slice(&nonce);
        // The key is of this salt alone, so no nonce is ever used twice under it.
        let key = self.key(self.cost, &salt)?;
        let mut body = Zeroizing::new(secret.expose_secret().as_bytes().to_vec());
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(header.as_slice()),
                &mut body,
            )
            .map_err(|_| SealError::Unavailable)?;
        header.extend_from_slice(&body);
        header.extend_from_slice(tag.as_ref());
        Ok(header)
    }

    fn open(&self, sealed: &[u8]) -> Result<SecretText, SealError> {
        let (header, body) = sealed.split_at_checked(HEADER_LEN).ok_or(SealError::Form)?;
        let rest = header.strip_prefix(MAGIC.as_slice()).ok_or(SealError::Form)?;
        let (memory_kib, rest) = number(rest)?;
        let (passes, rest) = number(rest)?;
        let (lanes, rest) = number(rest)?;
        let (salt, nonce) = rest.split_at_checked(SALT_LEN).ok_or(SealError::Form)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Form)?;
        let cost = Cost { memory_kib, passes, lanes };
        // Before any work: the cost is a stranger's until the tag was verified.
        if !cost.is_bounded() {
            return Err(SealError::Form);
        }
        let key = self.key(cost, salt)?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain = key.open_in_place(nonce, Aad::from(header), &mut body).map_err(|_| SealError::Refused)?;
        let mut text = SecretText::with_capacity(plain.len());
        text.push(core::str::from_utf8(plain).map_err(|_| SealError::Form)?);
        Ok(text)
    }
}

#[derive(Debug, Clone, Copy)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    const fn is_bounded(self) -> bool {
        self.memory_kib >= 8 << 10
            && self.memory_kib <= 1 << 20
            && self.passes >= 1
            && self.passes <= 16
            && self.lanes >= 1
            && self.lanes <= 16
    }
}

fn number(bytes: &[u8]) -> Result<(u32, &[u8]), SealError> {
    let (number, rest) = bytes.split_first_chunk().ok_or(SealError::Form)?;
    Ok((u32::from_be_bytes(*number), rest))
}

const MAGIC: &[u8; 16] = b"palisade-wg-pw1\0";
const SALT_LEN: usize = 16;
const NONCE_LEN: usize = 12;
const HEADER_LEN: usize = 56;
