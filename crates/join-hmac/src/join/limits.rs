//! How often a source, and everybody together, may ask for work; in memory of a fixed size.

use core::net::IpAddr;
use core::time::Duration;

use super::clock::{Monotonic, millis};
use crate::mac;

/// How many at once, and how long until one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "exactly these two numbers")]
pub struct Rate {
    /// How many at once.
    pub burst: u32,
    /// How long until one more is allowed.
    pub interval: Duration,
}

/// A generic cell rate algorithm (ITU-T I.371) on one cell.
fn take(cell: &mut u64, rate: Rate, now: Monotonic) -> bool {
    let interval = millis(rate.interval).max(1);
    let tolerance = interval.saturating_mul(u64::from(rate.burst.max(1))).saturating_sub(interval);
    let now = now.as_millis().saturating_add(1);
    if cell.saturating_sub(now) > tolerance {
        return false;
    }
    *cell = (*cell).max(now).saturating_add(interval);
    true
}

/// One rate for everybody.
#[derive(Debug)]
pub(super) struct Global {
    rate: Rate,
    cell: u64,
}

impl Global {
    pub(super) const fn new(rate: Rate) -> Self {
        Self { rate, cell: 0 }
    }

    /// For who has shown that it is where it says.
    pub(super) fn take(&mut self, now: Monotonic) -> bool {
        take(&mut self.cell, self.rate, now)
    }

    /// For who has not: of what may be asked for at once, half is kept for the others. So sources that are made up use
    /// up what is left to them, and keep nobody out who answers.
    pub(super) fn take_unproven(&mut self, now: Monotonic) -> bool {
        let burst = self.rate.burst / 2;
        burst > 0 && take(&mut self.cell, Rate { burst, ..self.rate }, now)
    }
}

/// One rate for each source: an IPv4 address, or the first 64 bits of an IPv6 address.
///
/// A source has a cell in each of two rows, found by a keyed hash; it is turned away when both are used up, and uses both
/// up. Sources that share both share their allowance; nobody can tell which do.
pub(super) struct PerSource {
    rate: Rate,
    key: [u8; 32],
    rows: [Box<[u64]>; 2],
}

impl PerSource {
    pub(super) fn new(rate: Rate, key: [u8; 32]) -> Self {
        let row = || vec![0; ROW_LEN].into_boxed_slice();
        Self { rate, key, rows: [row(), row()] }
    }

    pub(super) fn take(&mut self, source: IpAddr, now: Monotonic) -> bool {
        let digest = mac::sign(&self.key, &prefix(source));
        let mut free = false;
        for (row, bytes) in self.rows.iter_mut().zip(digest.chunks_exact(2)) {
            let place = bytes.iter().fold(0_usize, |place, byte| (place << 8) | usize::from(*byte));
            if let Some(cell) = row.get_mut(place % ROW_LEN) {
                free |= take(cell, self.rate, now);
            }
        }
        free
    }
}

impl core::fmt::Debug for PerSource {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PerSource").field("rate", &self.rate).finish_non_exhaustive()
    }
}

/// The part of an address that one attacker cannot change for free, with its kind.
pub(super) fn prefix(source: IpAddr) -> Vec<u8> {
    match source.to_canonical() {
        IpAddr::V4(address) => [&[4], address.octets().as_slice()].concat(),
        IpAddr::V6(address) => [6].into_iter().chain(address.octets().into_iter().take(8)).collect(),
    }
}

/// Cells of a row: two rows of eight bytes each are half a mebibyte.
const ROW_LEN: usize = 1 << 15;

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, interval: Duration::from_secs(1) };

    #[test]
    fn a_burst_is_let_through_and_then_one_per_interval() {
        let mut limit = Global::new(RATE);
        let at = |millis| Monotonic::from_millis(millis);
        let taken: Vec<bool> = [0, 0, 0, 0, 500, 1000, 1001, 2000, 9000, 9000, 9000, 9000]
            .into_iter()
            .map(|millis| limit.take(at(millis)))
            .collect();
        assert_eq!(taken, [true, true, true, false, false, true, false, true, true, true, true, false]);
    }

    #[test]
    fn who_has_shown_where_it_is_gets_in_beside_a_flood_of_who_has_not() {
        let mut limit = Global::new(Rate { burst: 10, interval: Duration::from_millis(2) });
        let (mut flood, mut refused) = (0, 0);
        for millis in 0..60_000_u64 {
            let now = Monotonic::from_millis(millis);
            for _ in 0..3 {
                flood += u32::from(limit.take_unproven(now));
            }
            if millis % 1000 == 0 {
                refused += u32::from(!limit.take(now));
            }
        }
        assert_eq!(refused, 0);
        assert!((29_000..=30_100).contains(&flood), "what is left over is theirs: {flood}");
        assert!(!Global::new(Rate { burst: 1, ..RATE }).take_unproven(Monotonic::from_millis(0)));
    }

    #[test]
    fn an_honest_source_gets_in_beside_a_flood_of_others() {
        let mut limit = PerSource::new(RATE, [7; 32]);
        let honest: IpAddr = "192.0.2.1".parse().unwrap();
        let mut refused = 0;
        for second in 0..60_u64 {
            for number in 0..1000_u64 {
                let flood = IpAddr::from((u128::from(second * 1000 + number) << 64).to_be_bytes());
                limit.take(flood, Monotonic::from_millis(second * 1000 + number));
            }
            refused += u32::from(!limit.take(honest, Monotonic::from_millis(second * 1000 + 999)));
        }
        assert_eq!(refused, 0);
    }

    #[test]
    fn addresses_of_one_network_are_one_source() {
        let source = |text: &str| prefix(text.parse().unwrap());
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }
}
