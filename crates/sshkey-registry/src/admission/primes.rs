use std::sync::LazyLock;

use num_bigint::BigUint;
use num_integer::Integer;

use super::montgomery::shortened;

/// The odd primes below [`SMALL_PRIME_BOUND`], ascending.
pub(super) static SMALL_PRIMES: LazyLock<Vec<u32>> = LazyLock::new(sieve);

/// Whether the odd number has a prime factor below [`SMALL_PRIME_BOUND`].
pub(super) fn has_small_factor(n: &BigUint) -> bool {
    shortened(&SMALL_PRIME_PRODUCT, n).gcd(n).bits() > 1
}

/// The product of [`SMALL_PRIMES`]: 94,000 bits, made once.
static SMALL_PRIME_PRODUCT: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let factors = SMALL_PRIMES.iter().map(|&prime| BigUint::from(prime)).collect();
    product(factors).to_u64_digits()
});

/// What counts as a small factor: every prime up to the fourth Fermat number, 65537, which is one.
pub(super) const SMALL_PRIME_BOUND: u32 = (1 << 16) + 2;

/// The product of the factors, multiplied in a tree so that both sides are of like length.
fn product(mut factors: Vec<BigUint>) -> BigUint {
    while factors.len() > 1 {
        factors = factors.chunks(2).map(|pair| pair.iter().product()).collect();
    }
    factors.pop().unwrap_or_else(|| BigUint::from(1_u32))
}

/// Eratosthenes' sieve.
fn sieve() -> Vec<u32> {
    let len = usize::try_from(SMALL_PRIME_BOUND).unwrap_or(0);
    let mut composite = vec![false; len];
    let mut primes = Vec::new();
    for candidate in (3..len).step_by(2) {
        if composite.get(candidate).copied().unwrap_or(true) {
            continue;
        }
        primes.extend(u32::try_from(candidate));
        let from = candidate.saturating_mul(candidate);
        composite.iter_mut().skip(from).step_by(candidate).for_each(|mark| *mark = true);
    }
    primes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_primes_are_all_the_odd_primes_below_the_bound() {
        let slow = |candidate: &u32| {
            (2..*candidate).take_while(|d| d * d <= *candidate).all(|d| !u32::is_multiple_of(*candidate, d))
        };
        let expected: Vec<u32> = (3..SMALL_PRIME_BOUND).filter(slow).collect();
        assert_eq!(*SMALL_PRIMES, expected);
        assert_eq!(SMALL_PRIMES.len(), 6542, "pi(65537) is 6543, and 2 is not odd");
    }
}
