//! Long numbers divided by short ones from below (Montgomery, «Modular Multiplication Without Trial Division», 1985).
//!
//! Nothing is secret, so nothing is constant-time.

use num_bigint::BigUint;

/// A number of about the length of the odd number `n` that has the same factors in common with `n` as `number`, which
/// are little-endian limbs, has: `number / 2^(64 k)` modulo `n`, for some `k`.
pub(super) fn shortened(number: &[u64], n: &BigUint) -> BigUint {
    let n = n.to_u64_digits();
    let negative_inverse = negative_inverse(n.first().copied().unwrap_or(1));
    let mut sum = number.to_vec();
    let mut rest = &mut *sum;
    let mut over = false;
    while rest.len() > n.len() {
        // The multiple of `n` that makes the lowest limb 0.
        let factor = rest.first().map_or(0, |low| low.wrapping_mul(negative_inverse));
        let mut carry = 0;
        let mut limbs = rest.iter_mut();
        for (&limb, sum) in n.iter().zip(&mut limbs) {
            (*sum, carry) = factor.carrying_mul_add(limb, *sum, carry);
        }
        if let Some(next) = limbs.next() {
            (*next, over) = next.carrying_add(carry, over);
        }
        rest = rest.get_mut(1..).unwrap_or_default();
    }
    let top = [u8::from(over)];
    let bytes: Vec<u8> = rest.iter().flat_map(|limb| limb.to_le_bytes()).chain(top).collect();
    BigUint::from_bytes_le(&bytes)
}

/// `-1/n` modulo 2⁶⁴, by Newton's method: each step doubles the number of bits that are right, of which an odd
/// number has three to begin with.
fn negative_inverse(n: u64) -> u64 {
    let inverse =
        (0..5).fold(n, |inverse, _| inverse.wrapping_mul(2_u64.wrapping_sub(n.wrapping_mul(inverse))));
    inverse.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_integer::Integer;

    #[test]
    fn what_is_shortened_has_the_same_factors_in_common() {
        let odd: BigUint = (1..=400_u32).map(|factor| BigUint::from(2 * factor + 1)).product();
        let number: BigUint = odd << 70;
        for width in 1..=70_u32 {
            for step in [2_u32, 6, 30, 1 << 31] {
                let n = (BigUint::from(u64::MAX).pow(width) * step + 1_u32) * (2 * width + 1);
                let short = shortened(&number.to_u64_digits(), &n);
                assert_eq!(short.gcd(&n), number.gcd(&n), "{width} {step}");
                assert!(short.bits() <= n.bits().max(number.bits()) + 64);
            }
        }
    }

    #[test]
    fn a_number_of_ones_carries_all_the_way() {
        let ones = vec![u64::MAX; 100];
        let power = |exponent: u32| BigUint::from(2_u32).pow(exponent);
        let number = power(6400) - 1_u32;
        for n in [BigUint::from(u64::MAX), power(2048) - 1_u32, BigUint::from(3_u32)] {
            assert_eq!(shortened(&ones, &n).gcd(&n), number.gcd(&n));
        }
    }
}
