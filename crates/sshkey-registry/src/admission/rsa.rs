//! What is asked of an RSA key beyond its length.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "big integers grow instead of overflowing, no difference here is negative and no divisor is zero"
)]

use std::sync::LazyLock;

use num_bigint::BigUint;
use num_integer::Integer;
use power_of_two::power_of_two;

use super::primes::{SMALL_PRIMES, has_small_factor};
use crate::error::Refusal;

/// How many steps of Fermat's factoring a modulus must withstand. One step already splits a modulus whose primes
/// differ by less than the fourth root of `64 n`.
pub const FERMAT_STEPS: u32 = 100;

/// That nobody can compute the private key with little work.
///
/// Of Wiener's attack on small private exponents nothing needs to be checked once the public exponent is known to be
/// less than 2³²: `e d = 1 + k lcm(p-1, q-1)` with `k ≥ 1`, and the least common multiple is at least `max(p, q) - 1`,
/// so that `d` has at least 991 bits, where the attack needs `d` below `n^(1/4)`, 512 bits, at a length of 2048.
pub(super) fn check(exponent: &[u8], modulus: &[u8]) -> Result<(), Refusal> {
    let n = BigUint::from_bytes_be(modulus);
    check_exponent(&BigUint::from_bytes_be(exponent), &n)?;
    if n.is_even() {
        return Err(Refusal::RsaModulusEven);
    }
    if has_small_factor(&n) {
        return Err(Refusal::RsaSmallFactor);
    }
    if has_roca_fingerprint(&n) {
        return Err(Refusal::RsaRoca);
    }
    refuse_close_factors(&n)?;
    if is_perfect_power(&n) {
        return Err(Refusal::RsaPerfectPower);
    }
    refuse_fermat_factor(&n)
}

fn check_exponent(e: &BigUint, n: &BigUint) -> Result<(), Refusal> {
    if *e < BigUint::from(3_u32) {
        return Err(Refusal::RsaExponentTooSmall);
    }
    if e.is_even() {
        return Err(Refusal::RsaExponentEven);
    }
    if e >= n {
        return Err(Refusal::RsaExponentNotBelowModulus);
    }
    if e.bits() > 32 { Err(Refusal::RsaExponentTooLarge) } else { Ok(()) }
}

/// Whether the modulus is a power of 65537 modulo every prime up to 167, as the product of two primes from the
/// defective generator is (Nemec, Sys, Svenda, Klinec, Matyas: «The Return of Coppersmith's Attack», CCS 2017, 3.1).
/// For another modulus that happens with a probability below 2⁻²⁷.
fn has_roca_fingerprint(n: &BigUint) -> bool {
    ROCA_SUBGROUPS.iter().all(|(prime, powers)| contains(powers, small_remainder(n, *prime)))
}

/// Fermat: `n = a² - b²` for an `a` just above the square root of `n`.
fn refuse_close_factors(n: &BigUint) -> Result<(), Refusal> {
    let root = n.sqrt();
    let mut a = root.clone();
    if &root * &root == *n {
        return Err(Refusal::RsaPerfectPower);
    }
    a.inc();
    let mut rest = &a * &a;
    rest -= n;
    for _ in 0..FERMAT_STEPS {
        if is_square(&rest) {
            return Err(Refusal::RsaClosePrimes);
        }
        // (a + 1)² - a²
        rest += &a;
        a.inc();
        rest += &a;
    }
    Ok(())
}

/// Whether the number is a square; most numbers are refused by their remainders.
fn is_square(number: &BigUint) -> bool {
    // The first of the moduli, 64, needs no division.
    let low = number.iter_u64_digits().next().unwrap_or(0) & 63;
    let maybe = u32::try_from(low).is_ok_and(|low| contains(&SQUARES_MODULO_64, low)) && {
        // One division for the next moduli, whose product is below 2³², and one for the others.
        let (first, others) =
            (small_remainder(number, 63 * 65 * 11 * 17 * 19 * 23), small_remainder(number, 31 * 37));
        SQUARES.iter().all(|(modulus, squares)| {
            let remainder = if matches!(modulus, 31 | 37) { others } else { first };
            remainder.checked_rem(*modulus).is_some_and(|remainder| contains(squares, remainder))
        })
    };
    maybe && {
        let root = number.sqrt();
        &root * &root == *number
    }
}

/// Whether the number is a cube or a higher power. (Squares have been refused; the base is at least 2¹⁶, because
/// smaller factors have been refused as well.)
fn is_perfect_power(n: &BigUint) -> bool {
    let greatest = u32::try_from(n.bits()).unwrap_or(u32::MAX) / 16;
    POWER_RESIDUES.iter().take_while(|test| test.power <= greatest).any(|test| {
        // For a prime q = 1 + m power, a power's m-th power is 0 or 1 modulo q; of other numbers few are.
        let maybe = test.moduli.iter().all(|&q| {
            let residue = small_remainder(n, q);
            residue == 0 || power_modulo(residue, q.saturating_sub(1).div_euclid(test.power), q) == 1
        });
        maybe && n.nth_root(test.power).pow(test.power) == *n
    })
}

/// `2^(n-1) - 1` and `n`: of a prime they share all (Fermat's little theorem), of a prime's power the prime, of a
/// sound modulus nothing. Composite numbers that look prime to the base 2 are refused as well; no honest key is one.
fn refuse_fermat_factor(n: &BigUint) -> Result<(), Refusal> {
    let exponent = (n - 1_u32).to_u64_digits();
    // There is an answer for every odd number but 1.
    let power = power_of_two(&exponent, &n.to_u64_digits()).ok_or(Refusal::RsaModulusEven)?;
    let power: BigUint =
        power.iter().rev().fold(BigUint::ZERO, |number, &limb| number << 64_u32 | BigUint::from(limb));
    let shared = (power + (n - 1_u32)).gcd(n);
    if shared == *n {
        Err(Refusal::RsaModulusPrime)
    } else if shared.bits() == 1 {
        Ok(())
    } else {
        Err(Refusal::RsaFactorFound)
    }
}

fn small_remainder(number: &BigUint, modulus: u32) -> u32 {
    u32::try_from(number % modulus).unwrap_or(0)
}

fn power_modulo(base: u32, mut exponent: u32, modulus: u32) -> u32 {
    let modulus = u64::from(modulus);
    let mut square = u64::from(base);
    let mut result = 1_u64;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = multiply_modulo(result, square, modulus);
        }
        square = multiply_modulo(square, square, modulus);
        exponent >>= 1;
    }
    u32::try_from(result).unwrap_or(0)
}

/// Both factors are below the modulus, which is below 2³².
fn multiply_modulo(a: u64, b: u64, modulus: u64) -> u64 {
    a.wrapping_mul(b).checked_rem(modulus).unwrap_or(0)
}

fn contains(set: &[bool], value: u32) -> bool {
    usize::try_from(value).ok().and_then(|value| set.get(value)).copied().unwrap_or(false)
}

/// The set of `values`, as marks up to `modulus`.
fn marks(modulus: u32, values: impl Iterator<Item = u32>) -> Vec<bool> {
    let mut set = vec![false; usize::try_from(modulus).unwrap_or(0)];
    for value in values {
        if let Some(mark) = usize::try_from(value).ok().and_then(|value| set.get_mut(value)) {
            *mark = true;
        }
    }
    set
}

/// For each odd prime up to 167, the powers of 65537.
static ROCA_SUBGROUPS: LazyLock<Vec<(u32, Vec<bool>)>> = LazyLock::new(|| {
    let primes = SMALL_PRIMES.iter().copied().take_while(|&prime| prime <= 167);
    primes
        .map(|prime| (prime, marks(prime, (0..prime).map(|k| power_modulo(65537 % prime, k, prime)))))
        .collect()
});

static SQUARES_MODULO_64: LazyLock<Vec<bool>> = LazyLock::new(|| squares(64));

/// The squares modulo some more numbers that few squares remain of.
static SQUARES: LazyLock<Vec<(u32, Vec<bool>)>> = LazyLock::new(|| {
    [63, 65, 11, 17, 19, 23, 31, 37].into_iter().map(|modulus| (modulus, squares(modulus))).collect()
});

fn squares(modulus: u32) -> Vec<bool> {
    marks(modulus, (0..modulus).map(|root| power_modulo(root, 2, modulus)))
}

/// For each odd prime power that a modulus of 16384 bits could be, primes that show that it is not.
static POWER_RESIDUES: LazyLock<Vec<PowerResidues>> = LazyLock::new(|| {
    let powers = SMALL_PRIMES.iter().copied().take_while(|&power| power <= crate::key::MAX_RSA_BITS / 16);
    powers
        .map(|power| {
            let is_one_more = |q: &u32| q % power == 1;
            PowerResidues {
                power,
                moduli: SMALL_PRIMES.iter().copied().filter(is_one_more).take(4).collect(),
            }
        })
        .collect()
});

#[derive(Debug)]
struct PowerResidues {
    power: u32,
    moduli: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_told_from_other_numbers() {
        let squares: Vec<u32> = (0..20_000).filter(|&number| is_square(&BigUint::from(number))).collect();
        assert_eq!(squares, (0..142).map(|root| root * root).collect::<Vec<_>>());
    }

    #[test]
    fn every_power_of_a_number_without_small_factors_is_told() {
        for base in [65_539_u32, 65_543, 4_294_967_291] {
            for test in POWER_RESIDUES.iter() {
                let power = BigUint::from(base).pow(test.power);
                assert!(is_perfect_power(&power), "{base}^{}", test.power);
                assert!(!is_perfect_power(&(power + 2_u32)), "{base}^{} + 2", test.power);
            }
        }
    }

    #[test]
    fn powers_of_65537_have_the_fingerprint_of_roca_and_their_neighbours_do_not() {
        let primorial: BigUint = ROCA_SUBGROUPS.iter().map(|(prime, _)| BigUint::from(*prime)).product();
        for exponent in 1..200_u32 {
            let n = BigUint::from(65537_u32).modpow(&exponent.into(), &primorial) + &primorial * exponent;
            assert!(has_roca_fingerprint(&n));
            assert!(!has_roca_fingerprint(&(n + 2_u32)));
        }
    }

    /// The most work there is: a modulus of the greatest length that passes every filter in front of an exact test, so
    /// that 171 roots are drawn and the exponentiation is done.
    #[test]
    fn a_modulus_made_to_pass_every_filter_is_still_decided() {
        let moduli: std::collections::BTreeSet<u32> =
            POWER_RESIDUES.iter().flat_map(|test| test.moduli.iter().copied()).collect();
        let step = moduli.into_iter().map(BigUint::from).product::<BigUint>() * 2_u32;
        let bits = u64::from(crate::key::MAX_RSA_BITS);
        let mut n = (BigUint::from(1_u32) << (bits - 1)) / &step * &step + &step + 1_u32;
        while has_small_factor(&n) || has_roca_fingerprint(&n) {
            n += &step;
        }
        assert_eq!(n.bits(), bits);
        for test in POWER_RESIDUES.iter() {
            assert!(
                test.moduli.iter().all(|&q| small_remainder(&n, q) == 1),
                "the filters say nothing of it"
            );
        }
        assert_eq!(check(&[1, 0, 1], &n.to_bytes_be()), Ok(()));
    }
}
