//! Powers of two modulo a public number, fast (Montgomery, «Modular Multiplication Without Trial Division», 1985).
//!
//! Nothing is secret, so nothing is constant-time.

use num_bigint::BigUint;

/// `R 2^(n-1)` and `R` modulo the odd number `n`, for an `R` that has no factor in common with it: their difference
/// has the same factors in common with `n` as `2^(n-1) - 1`.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "big integers grow instead of overflowing, and n is at least 3"
)]
pub(super) fn fermat_residues(n: &BigUint) -> (BigUint, BigUint) {
    let limbs = n.to_u64_digits();
    let width = limbs.len();
    let exponent = n - 1_u32;
    let bits = exponent.bits();
    let r = (BigUint::from(1_u32) << width.saturating_mul(64)) % n;
    // The first bits are a shift.
    let head_bits = bits.min(HEAD_BITS);
    let head = (&exponent >> (bits - head_bits)).iter_u64_digits().next().unwrap_or(0);
    let mut power = padded(&((&r << head) % n), width);
    let negative_inverse = negative_inverse(limbs.first().copied().unwrap_or(1));
    let mut square = vec![0; width.saturating_mul(2)];
    for bit in (0..bits - head_bits).rev() {
        square_into(&power, &mut square);
        reduce(&mut square, &limbs, negative_inverse, &mut power);
        if exponent.bit(bit) {
            double(&mut power, &limbs);
        }
    }
    let power = power.iter().flat_map(|limb| limb.to_le_bytes()).collect::<Vec<_>>();
    (BigUint::from_bytes_le(&power) % n, r)
}

/// `a²`: each product of two different limbs once, doubled, and the squares of the limbs.
fn square_into(a: &[u64], square: &mut [u64]) {
    square.fill(0);
    let mut rest = a;
    let mut place = &mut *square;
    while let Some((&limb, higher)) = rest.split_first() {
        // The products of this limb begin one place above its square.
        let Some(products) = place.get_mut(1..) else { return };
        let mut carry = 0;
        let mut products = products.iter_mut();
        for (&other, sum) in higher.iter().zip(&mut products) {
            (*sum, carry) = limb.carrying_mul_add(other, *sum, carry);
        }
        if let Some(sum) = products.next() {
            *sum = carry;
        }
        rest = higher;
        place = place.get_mut(2..).unwrap_or_default();
    }
    let (mut high_bit, mut carry) = (0, false);
    for (&limb, pair) in a.iter().zip(square.as_chunks_mut::<2>().0) {
        let [low, high] = *pair;
        let doubled = [low << 1 | high_bit, high << 1 | low >> 63];
        high_bit = high >> 63;
        let (low, high) = limb.widening_square();
        let (sum_low, over) = doubled[0].carrying_add(low, carry);
        let (sum_high, over) = doubled[1].carrying_add(high, over);
        carry = over;
        *pair = [sum_low, sum_high];
    }
}

/// `t / R` modulo `n`, below `n`.
fn reduce(t: &mut [u64], n: &[u64], negative_inverse: u64, out: &mut [u64]) {
    let width = n.len();
    let mut over = false;
    let mut rest = &mut *t;
    for _ in 0..width {
        let factor = rest.first().map_or(0, |low| low.wrapping_mul(negative_inverse));
        let mut carry = 0;
        let mut sums = rest.iter_mut();
        for (&limb, sum) in n.iter().zip(&mut sums) {
            (*sum, carry) = factor.carrying_mul_add(limb, *sum, carry);
        }
        if let Some(sum) = sums.next() {
            (*sum, over) = sum.carrying_add(carry, over);
        }
        rest = rest.get_mut(1..).unwrap_or_default();
    }
    out.copy_from_slice(t.get(width..).unwrap_or_default());
    subtract_if_not_below(out, n, over);
}

/// `2 a` modulo `n`, for an `a` below `n`.
fn double(a: &mut [u64], n: &[u64]) {
    let mut over = 0;
    for limb in a.iter_mut() {
        (*limb, over) = (*limb << 1 | over, *limb >> 63);
    }
    subtract_if_not_below(a, n, over == 1);
}

/// Takes `n` off once, if `a`, with a bit above it if `over`, is not below it.
fn subtract_if_not_below(a: &mut [u64], n: &[u64], over: bool) {
    if over || a.iter().rev().ge(n.iter().rev()) {
        let mut borrow = false;
        for (limb, &other) in a.iter_mut().zip(n) {
            (*limb, borrow) = limb.borrowing_sub(other, borrow);
        }
    }
}

/// `-1/n` modulo 2⁶⁴, by Newton's method: each step doubles the number of bits that are right, of which an odd
/// number has three to begin with.
fn negative_inverse(n: u64) -> u64 {
    let inverse =
        (0..5).fold(n, |inverse, _| inverse.wrapping_mul(2_u64.wrapping_sub(n.wrapping_mul(inverse))));
    inverse.wrapping_neg()
}

fn padded(number: &BigUint, width: usize) -> Vec<u64> {
    let mut limbs = number.to_u64_digits();
    limbs.resize(width, 0);
    limbs
}

/// Both halves of a square.
trait WideningSquare {
    fn widening_square(self) -> (u64, u64);
}

impl WideningSquare for u64 {
    fn widening_square(self) -> (u64, u64) {
        self.carrying_mul(self, 0)
    }
}

/// So that the shift is at most 2048 bits.
const HEAD_BITS: u64 = 11;

#[cfg(test)]
mod tests {
    use super::*;
    use num_integer::Integer;

    #[test]
    fn the_residues_are_what_plain_exponentiation_says() {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state
        };
        for width in 1..=40 {
            for special in 0..4 {
                let mut limbs: Vec<u64> = (0..width).map(|_| next()).collect();
                match special {
                    0 => limbs.fill(u64::MAX),
                    1 => *limbs.last_mut().unwrap() = 1,
                    2 => *limbs.last_mut().unwrap() |= 1 << 63,
                    _ => {}
                }
                limbs[0] |= 3;
                let bytes: Vec<u8> = limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect();
                let n = BigUint::from_bytes_le(&bytes);
                let (power, r) = fermat_residues(&n);
                let expected = BigUint::from(2_u32).modpow(&(&n - 1_u32), &n);
                assert_eq!(power, expected * &r % &n, "{width} {special}");
                assert_eq!(r.gcd(&n), BigUint::from(1_u32));
            }
        }
    }
}
