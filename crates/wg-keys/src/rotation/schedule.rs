//! When a machine rotates by itself.

use core::time::Duration;

use blake2::digest::Digest as _;
use core_types::{MachineId, UnixTime};

/// How old a key becomes, and how far machines are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationSchedule {
    every: Duration,
    jitter: Duration,
}

impl RotationSchedule {
    /// A rotation when a key is as old as `every`, less a part of `jitter` that is different for each machine and key. A
    /// jitter longer than half of `every` is cut to that.
    #[must_use]
    pub fn new(every: Duration, jitter: Duration) -> Self {
        Self { every, jitter: jitter.min(every.checked_div(2).unwrap_or_default()) }
    }

    /// When the key of this record is due: never later than it expires.
    #[must_use]
    pub fn due(
        self,
        machine: MachineId,
        epoch: u64,
        (not_before, expires): (UnixTime, UnixTime),
    ) -> UnixTime {
        let mut digest = blake2::Blake2s256::new();
        digest.update(b"palisade/wg-keys/jitter/v1\0");
        digest.update(machine.to_bytes());
        digest.update(epoch.to_be_bytes());
        let digest: [u8; 32] = digest.finalize().into();
        let fraction = u128::from(digest.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)));
        let early = self.jitter.as_millis().saturating_mul(fraction) >> 32;
        let early = Duration::from_millis(u64::try_from(early).unwrap_or(u64::MAX));
        let due = not_before.saturating_add(self.every.saturating_sub(early));
        // Early enough for a rotation that has to wait for its turn.
        let life = expires.saturating_since(not_before);
        due.min(expires.saturating_sub(life.checked_div(4).unwrap_or_default()))
    }
}
