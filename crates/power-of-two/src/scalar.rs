//! Montgomery, «Modular Multiplication Without Trial Division», 1985, by limbs of 64 bits.

use num_bigint::BigUint;

/// `start` squared, and doubled where it says so, once for each of `doublings`; modulo the odd number `n`, but not
/// always below it.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "big integers grow instead of overflowing, and n is not 0"
)]
pub(crate) fn power(start: &BigUint, doublings: &[bool], n: &BigUint) -> BigUint {
    let limbs = n.to_u64_digits();
    let width = limbs.len();
    let mut power = padded(&((start << width.saturating_mul(64)) % n), width);
    let negative_inverse = negative_inverse(limbs.first().copied().unwrap_or(1));
    let mut product = vec![0; width.saturating_mul(2)];
    for &doubled in doublings {
        square_into(&power, &mut product);
        reduce(&mut product, &limbs, negative_inverse, &mut power);
        if doubled {
            double(&mut power, &limbs);
        }
    }
    product.fill(0);
    if let Some(low) = product.get_mut(..width) {
        low.copy_from_slice(&power);
    }
    reduce(&mut product, &limbs, negative_inverse, &mut power);
    let bytes: Vec<u8> = power.iter().flat_map(|limb| limb.to_le_bytes()).collect();
    BigUint::from_bytes_le(&bytes)
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
