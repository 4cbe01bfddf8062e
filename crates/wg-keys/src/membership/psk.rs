//! Preshared keys that two machines come to by themselves.
//!
//! ```text
//! agreement key = clamped HKDF-SHA256(salt "palisade/wg-keys/agreement/v1", secret: identity seed, info: empty)
//! preshared key = HKDF-SHA256(salt "palisade/wg-keys/psk/v1", secret: X25519(own agreement key, the other's),
//!                             info: lower id, 16 bytes || higher id, 16 bytes || epoch, 8 bytes, big-endian)
//! ```

use core::time::Duration;

use core_types::{MachineId, UnixTime};
use ring::hkdf;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::error::PskError;
use crate::key::{PresharedKey, PrivateKey, PublicKey};

/// The shortest period of a [`PskSchedule`]: sessions last three minutes, and two keys must not come to pass in one.
pub const MIN_PSK_PERIOD: Duration = Duration::from_secs(300);

/// How far apart two machines may change a preshared key without a packet being lost. A new key counts from the next
/// handshake on; sessions are renewed after 120 s and refused after 180 s.
pub const MAX_PSK_SKEW: Duration = Duration::from_secs(60);

/// When preshared keys change: at the same instants for all machines of a mesh, whose clocks may differ by
/// [`MAX_PSK_SKEW`], the time for applying the change included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PskSchedule {
    period: Duration,
}

impl PskSchedule {
    /// A new key for each period, counted from 1970.
    ///
    /// # Errors
    /// [`PskError::Period`] below [`MIN_PSK_PERIOD`].
    pub const fn new(period: Duration) -> Result<Self, PskError> {
        if period.as_secs() < MIN_PSK_PERIOD.as_secs() {
            return Err(PskError::Period { least: MIN_PSK_PERIOD.as_secs() });
        }
        // Whole seconds, so that all machines count the same.
        Ok(Self { period: Duration::from_secs(period.as_secs()) })
    }

    /// The number of the period.
    #[must_use]
    pub const fn epoch(self, now: UnixTime) -> u64 {
        match now.as_secs().checked_div(self.period.as_secs()) {
            Some(epoch) => epoch,
            None => 0,
        }
    }

    /// When the next period begins.
    #[must_use]
    pub const fn next_change(self, now: UnixTime) -> UnixTime {
        UnixTime::from_secs(self.epoch(now).saturating_add(1).saturating_mul(self.period.as_secs()))
    }

    /// Whether no machine changes its preshared keys from now for so long, with clocks that differ by [`MAX_PSK_SKEW`]. A
    /// gate needs that: a handshake between two periods is refused, and tried again after five seconds only.
    #[must_use]
    pub fn is_settled(self, now: UnixTime, length: Duration) -> bool {
        let first = now.saturating_sub(MAX_PSK_SKEW);
        let last = now.saturating_add(length).saturating_add(MAX_PSK_SKEW);
        self.epoch(first) == self.epoch(last)
    }
}

/// The agreement key of an identity.
pub(crate) fn agreement_key(seed: &[u8; 32]) -> PrivateKey {
    let mut bytes = Zeroizing::new([0; 32]);
    expand(b"palisade/wg-keys/agreement/v1", seed, &[], &mut bytes);
    PrivateKey::clamped_from(&mut bytes)
}

/// The preshared key of a pair.
pub(crate) fn pair_key(
    own: (MachineId, &PrivateKey),
    other: (MachineId, PublicKey),
    epoch: u64,
) -> Result<PresharedKey, PskError> {
    if own.0 == other.0 {
        return Err(PskError::Oneself);
    }
    let agreement = PskError::Agreement { key: other.1 };
    let scalar = StaticSecret::from(*own.1.expose_secret());
    let shared = scalar.diffie_hellman(&x25519_dalek::PublicKey::from(other.1.to_bytes()));
    if !shared.was_contributory() {
        return Err(agreement);
    }
    let (lower, higher) = if own.0 < other.0 { (own.0, other.0) } else { (other.0, own.0) };
    let mut key = Zeroizing::new([0; 32]);
    let info: [&[u8]; 3] = [&lower.to_bytes(), &higher.to_bytes(), &epoch.to_be_bytes()];
    expand(b"palisade/wg-keys/psk/v1", shared.as_bytes(), &info, &mut key);
    PresharedKey::take_from(&mut key).map_err(|_| agreement)
}

fn expand(salt: &[u8], secret: &[u8; 32], info: &[&[u8]], out: &mut [u8; 32]) {
    let key = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    if let Ok(expanded) = key.expand(info, hkdf::HKDF_SHA256) {
        // INVARIANT: 32 bytes are asked for and given, which neither call refuses. Zeros, if it did, are no key.
        let _ = expanded.fill(out);
    }
}
