//! What a machine knows about itself, and the file it is kept in.
//!
//! # The file
//!
//! `machine.json` is a JSON object with exactly these fields, in UTF-8, at most [`MAX_STATE_BYTES`]:
//!
//! | Field | What |
//! |---|---|
//! | `format` | `"palisade-wg-machine"` |
//! | `version` | `1` |
//! | `machine_id` | `mch_…` |
//! | `epoch` | how many keys the machine has used, the current one included; from 1 |
//! | `listen_port` | the UDP port, from 1 |
//! | `identity_seed` | the seed of the machine's Ed25519 identity (RFC 8032 §5.1.5), base64 |
//! | `current` | the private key in use, as `wg genkey` prints it |
//! | `pending` | the private key of the next epoch, or `null` |
//! | `previous` | the private key before the current one, kept until the rotation is finished, or `null` |
//!
//! Sealed, it is an object of `format` = `"palisade-wg-machine-sealed"`, `version` = `1`, `sealer` (the sealer's
//! name) and `sealed` (the base64 of what the sealer made of the document above).

mod document;
mod file;
#[cfg(feature = "passphrase")]
mod passphrase;
mod seal;

use std::sync::Arc;

use core_types::{MachineId, RandomError, SecretBytes, SecureRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

pub use file::{StateFile, Step};
#[cfg(feature = "passphrase")]
pub use passphrase::{Passphrase, PassphraseSealer};
pub use seal::Sealer;

use crate::error::{PskError, RecordError, RotateError};
use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::membership::{IdentityKey, RecordSigner, psk};

/// Bytes of a state file, at most.
pub const MAX_STATE_BYTES: usize = 16 << 10;

/// The port that WireGuard usually has.
pub const DEFAULT_PORT: u16 = 51_820;

/// A machine's identity and its keys.
///
/// A rotation is three steps, each of them durable before the next one may be taken: [`prepare`](Self::prepare) makes
/// a key that is not in use yet, [`activate`](Self::activate) puts it in the place of the current one, which is kept,
/// and [`finish`](Self::finish) forgets that. Nothing here tells anybody.
#[derive(Debug)]
pub struct MachineState {
    machine: MachineId,
    identity: SecretBytes<32>,
    identity_public: [u8; 32],
    epoch: u64,
    listen_port: u16,
    current: Arc<PrivateKey>,
    pending: Option<Arc<PrivateKey>>,
    previous: Option<Arc<PrivateKey>>,
}

impl MachineState {
    /// The state of a new machine: a new identity, a new key, epoch 1. Port 0 is taken for [`DEFAULT_PORT`].
    ///
    /// # Errors
    /// [`RandomError`] when `rng` fails.
    pub fn generate(
        machine: MachineId,
        listen_port: u16,
        rng: &dyn SecureRandom,
    ) -> Result<Self, RandomError> {
        let identity = SecretBytes::generate(rng)?;
        Ok(Self {
            machine,
            identity_public: public_identity(&identity).ok_or(RandomError::new())?,
            identity,
            epoch: 1,
            listen_port: if listen_port == 0 { DEFAULT_PORT } else { listen_port },
            current: Arc::new(PrivateKey::generate(rng)?),
            pending: None,
            previous: None,
        })
    }

    /// Which machine it is.
    #[must_use]
    pub const fn machine(&self) -> MachineId {
        self.machine
    }

    /// How many keys the machine has used, the current one included.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The UDP port.
    #[must_use]
    pub const fn listen_port(&self) -> u16 {
        self.listen_port
    }

    /// The key in use.
    #[must_use]
    pub const fn current(&self) -> &Arc<PrivateKey> {
        &self.current
    }

    /// The key of the next epoch.
    #[must_use]
    pub const fn pending(&self) -> Option<&Arc<PrivateKey>> {
        self.pending.as_ref()
    }

    /// The key before the current one.
    #[must_use]
    pub const fn previous(&self) -> Option<&Arc<PrivateKey>> {
        self.previous.as_ref()
    }

    /// The public half of the machine's Ed25519 identity, which no rotation changes (RFC 8032 §5.1.5).
    #[must_use]
    pub const fn identity_public(&self) -> &[u8; 32] {
        &self.identity_public
    }

    /// The same, as records are verified by it.
    #[must_use]
    pub const fn identity_key(&self) -> IdentityKey {
        IdentityKey::from_bytes(self.identity_public)
    }

    /// The public half of the key that preshared keys are agreed on with. It is derived from the identity, and is as
    /// lasting.
    #[must_use]
    pub fn agreement_public(&self) -> PublicKey {
        psk::agreement_key(self.identity.expose_secret()).public_key()
    }

    /// The preshared key with another machine, by the agreement key of its record, in a
    /// [period](crate::membership::PskSchedule::epoch). Both machines come to the same one.
    ///
    /// # Errors
    /// [`PskError`].
    pub fn preshared_key(
        &self,
        other: MachineId,
        agreement: PublicKey,
        epoch: u64,
    ) -> Result<PresharedKey, PskError> {
        let own = psk::agreement_key(self.identity.expose_secret());
        psk::pair_key((self.machine, &own), (other, agreement), epoch)
    }

    /// Makes the key of the next epoch. It must be durable before anybody is told of it.
    ///
    /// # Errors
    /// [`RotateError::Pending`], [`RotateError::PreviousKept`], [`RotateError::Epoch`], [`RotateError::Random`].
    pub fn prepare(&mut self, rng: &dyn SecureRandom) -> Result<PublicKey, RotateError> {
        if self.pending.is_some() {
            return Err(RotateError::Pending);
        }
        if self.previous.is_some() {
            return Err(RotateError::PreviousKept);
        }
        if self.epoch >= MAX_EPOCH {
            return Err(RotateError::Epoch);
        }
        let key = PrivateKey::generate(rng)?;
        let public = key.public_key();
        self.pending = Some(Arc::new(key));
        Ok(public)
    }

    /// Puts the pending key in the place of the current one, which is kept, and enters the next epoch.
    ///
    /// # Errors
    /// [`RotateError::NothingPending`], [`RotateError::PreviousKept`], [`RotateError::Epoch`].
    pub fn activate(&mut self) -> Result<PublicKey, RotateError> {
        if self.pending.is_some() && self.previous.is_some() {
            return Err(RotateError::PreviousKept);
        }
        let epoch =
            self.epoch.checked_add(1).filter(|&epoch| epoch <= MAX_EPOCH).ok_or(RotateError::Epoch)?;
        let next = self.pending.take().ok_or(RotateError::NothingPending)?;
        self.previous = Some(core::mem::replace(&mut self.current, next));
        self.epoch = epoch;
        Ok(self.current.public_key())
    }

    /// Forgets the key before the current one.
    ///
    /// # Errors
    /// [`RotateError::NothingToFinish`].
    pub fn finish(&mut self) -> Result<(), RotateError> {
        self.previous.take().map(drop).ok_or(RotateError::NothingToFinish)
    }

    /// Forgets the pending key.
    ///
    /// # Errors
    /// [`RotateError::NothingPending`].
    pub fn abort(&mut self) -> Result<(), RotateError> {
        self.pending.take().map(drop).ok_or(RotateError::NothingPending)
    }
}

impl RecordSigner for MachineState {
    fn machine(&self) -> MachineId {
        self.machine
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], RecordError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(self.identity.expose_secret());
        let signature = pair.map_err(|_| RecordError::Signer)?.sign(message);
        signature.as_ref().try_into().map_err(|_| RecordError::Signer)
    }
}

fn public_identity(seed: &SecretBytes<32>) -> Option<[u8; 32]> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose_secret()).ok()?;
    pair.public_key().as_ref().try_into().ok()
}

/// The largest number that every reader of JSON reads as it was written (RFC 8259 §6).
pub(crate) const MAX_EPOCH: u64 = (1 << 53) - 1;
