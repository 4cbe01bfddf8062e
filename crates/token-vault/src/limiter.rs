//! How many failures a source may cause, in memory that does not grow with the number of sources.

use core::net::IpAddr;
use core::time::Duration;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use core_types::UnixTime;

/// How many failures a source may cause: `burst` at once, then one each `interval`.
///
/// A source is an IPv4 address or the first 64 bits of an IPv6 address. The table has a fixed size; sources
/// that share all their places in it share their allowance, which the random hash makes rare: with ten
/// thousand failing sources about one innocent in twenty is counted with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "exactly these two numbers")]
pub struct FailureLimit {
    /// How many at once.
    pub burst: u32,
    /// How long until one more is allowed.
    pub interval: Duration,
}

impl Default for FailureLimit {
    /// Twenty at once, then one a second.
    fn default() -> Self {
        Self { burst: 20, interval: Duration::from_secs(1) }
    }
}

/// Counts failures per source.
///
/// In each row the source has one cell, found by a random hash. A cell holds the instant up to which its
/// allowance is used (the generic cell rate algorithm, ITU-T I.371); the least of a source's cells counts, so
/// another source's failures matter only where they share every cell.
#[derive(Debug)]
pub(crate) struct FailureLimiter {
    limit: FailureLimit,
    hash: RandomState,
    cells: Box<[AtomicU64]>,
}

impl FailureLimiter {
    pub(crate) fn new(limit: FailureLimit) -> Self {
        let cells = (0..ROWS * ROW_LEN).map(|_| AtomicU64::new(0)).collect();
        Self { limit, hash: RandomState::new(), cells }
    }

    /// How long the source must wait; `None` when it need not.
    #[inline]
    pub(crate) fn wait(&self, source: IpAddr, now: UnixTime) -> Option<Duration> {
        let used_until = self.cells_of(source).map(|cell| cell.load(Ordering::Relaxed)).min().unwrap_or(0);
        let allowed = now.as_millis().saturating_add(self.burst_millis());
        let excess = used_until.checked_sub(allowed)?;
        Some(Duration::from_millis(excess.saturating_add(1)))
    }

    pub(crate) fn failed(&self, source: IpAddr, now: UnixTime) {
        let now = now.as_millis();
        // Never further ahead than a burst and one: a clock that jumps forth and back shuts nobody out for long.
        let ceiling = now.saturating_add(self.burst_millis()).saturating_add(self.interval_millis());
        for cell in self.cells_of(source) {
            let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |until| {
                Some(until.max(now).saturating_add(self.interval_millis()).min(ceiling))
            });
        }
    }

    fn cells_of(&self, source: IpAddr) -> impl Iterator<Item = &AtomicU64> {
        let hash = self.hash.hash_one(source_bits(source));
        // Sixteen bits of the hash for each row.
        self.cells
            .chunks(ROW_LEN)
            .zip([0, 16, 32, 48])
            .filter_map(move |(row, shift)| row.get(usize::try_from((hash >> shift) & ROW_MASK).ok()?))
    }

    fn burst_millis(&self) -> u64 {
        // One failure uses an interval, so a burst is used up when all but a moment of it lies ahead.
        self.interval_millis().saturating_mul(u64::from(self.limit.burst)).saturating_sub(1)
    }

    fn interval_millis(&self) -> u64 {
        u64::try_from(self.limit.interval.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

fn source_bits(source: IpAddr) -> u128 {
    match source.to_canonical() {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        // Whoever has one address of a /64 has them all.
        IpAddr::V6(v6) => v6.to_bits() >> 64 << 64,
    }
}

const ROWS: usize = 4;
const ROW_LEN: usize = 1 << 14;
const ROW_MASK: u64 = 0x3fff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_may_fail_as_often_as_its_burst_and_then_once_an_interval() {
        let limiter = FailureLimiter::new(FailureLimit { burst: 3, interval: Duration::from_secs(1) });
        let source: IpAddr = "192.0.2.1".parse().unwrap();
        let start = UnixTime::from_secs(1000);
        for _ in 0..3 {
            assert_eq!(limiter.wait(source, start), None);
            limiter.failed(source, start);
        }
        let wait = limiter.wait(source, start).unwrap();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(limiter.wait("192.0.2.2".parse().unwrap(), start), None);
        let later = start.saturating_add(wait);
        assert_eq!(limiter.wait(source, later), None);
        limiter.failed(source, later);
        assert!(limiter.wait(source, later).is_some());
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_source_and_wrapped_ipv4_is_ipv4() {
        let limiter = FailureLimiter::new(FailureLimit { burst: 1, interval: Duration::from_secs(9) });
        let now = UnixTime::from_secs(1);
        limiter.failed("2001:db8::1".parse().unwrap(), now);
        assert!(limiter.wait("2001:db8::ffff".parse().unwrap(), now).is_some());
        assert!(limiter.wait("2001:db8:0:1::1".parse().unwrap(), now).is_none());
        limiter.failed("::ffff:192.0.2.9".parse().unwrap(), now);
        assert!(limiter.wait("192.0.2.9".parse().unwrap(), now).is_some());
    }

    #[test]
    fn a_flood_of_sources_shuts_out_few_others_and_takes_no_more_memory() {
        let limiter = FailureLimiter::new(FailureLimit { burst: 1, interval: Duration::from_secs(9) });
        let now = UnixTime::from_secs(1);
        for number in 0..10_000_u32 {
            limiter.failed(IpAddr::from(number.to_be_bytes()), now);
        }
        let innocent = (0..1_000_u32)
            .filter(|number| limiter.wait(IpAddr::from((0xf000_0000 | number).to_be_bytes()), now).is_some())
            .count();
        assert!(innocent < 150, "{innocent}");
    }
}
