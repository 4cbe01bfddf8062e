//! The kernel: Montgomery squaring with limbs of 52 bits, eight to a register.
//!
//! A squaring is two steps. `square` sums the products of limbs into columns, each pair of different limbs once.
//! `reduce` takes the columns away from below, one limb at a time, by adding multiples of the modulus `n`. To know by
//! which multiple needs the lowest limb and a multiplication, one after another; so all but the last two rows add
//! multiples of `n k` with `n k = -1` modulo 2¹⁰⁴ instead, of which the lowest limb itself is the right one, and which
//! change nothing before the limb after the next (Orup, «Simplifying quotient determination in high-radix modular
//! multiplication», 1995). The last two rows are the ordinary ones, and keep what is left short.
//!
//! With `R = 2^(52 limbs) ≥ 64 n`: of an operand below `8 n` the squaring is below `64 n² / R + 2 n ≤ 3 n`, and doubled
//! below `6 n`. A column is a sum of at most four products of 52 bits for each limb, below 2⁶³ for the 316 limbs of a
//! modulus of 16384 bits, and below 2⁶⁴ when doubled.

#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "arrays of a known length, and numbers whose bounds stand above: checks would cost more than the work"
)]

use core::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_and_si512, _mm512_broadcastq_epi64,
    _mm512_castsi512_si128, _mm512_cmpeq_epu64_mask, _mm512_cmpgt_epu64_mask, _mm512_loadu_si512,
    _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_maskz_set1_epi64, _mm512_maskz_srli_epi64,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_srli_epi64, _mm512_storeu_si512,
};

use num_bigint::BigUint;

/// `start` squared, and doubled where it says so, once for each of `doublings`; modulo the odd number `n`, but not
/// always below it. `None` when the processor lacks the instructions, or `n` is longer than 16384 bits.
pub(crate) fn power(start: &BigUint, doublings: &[bool], n: &BigUint) -> Option<BigUint> {
    let has_instructions = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512ifma");
    if !has_instructions {
        return None;
    }
    // Two limbs more than the last rows need are there for the shortest numbers.
    let limbs = usize::try_from((n.bits() + 6).div_ceil(BITS)).ok()?.max(4);
    match limbs {
        0..=40 => Some(with_registers::<5, 10>(start, doublings, n, limbs)),
        41..=64 => Some(with_registers::<8, 16>(start, doublings, n, limbs)),
        65..=80 => Some(with_registers::<10, 20>(start, doublings, n, limbs)),
        81..=160 => Some(with_registers::<20, 40>(start, doublings, n, limbs)),
        161..=320 => Some(with_registers::<40, 80>(start, doublings, n, limbs)),
        _ => None,
    }
}

/// A number of `V` registers.
type Number<const V: usize> = [[u64; LANES]; V];

/// What is known of a modulus.
struct Modulus<const V: usize> {
    n: Number<V>,
    /// `(n k + 1) / 2¹⁰⁴`.
    multiple: Number<V>,
    /// `-1/n` modulo 2⁵².
    negative_inverse: u64,
    limbs: usize,
}

/// `W` is twice `V`.
#[expect(unsafe_code, reason = "the instructions are there")]
fn with_registers<const V: usize, const W: usize>(
    start: &BigUint,
    doublings: &[bool],
    n: &BigUint,
    limbs: usize,
) -> BigUint {
    let low = n.iter_u64_digits().zip([0, 64]).fold(0, |low, (limb, at)| low | u128::from(limb) << at);
    let inverse = (0..6)
        .fold(low, |inverse: u128, _| inverse.wrapping_mul(2_u128.wrapping_sub(low.wrapping_mul(inverse))));
    let k = inverse.wrapping_neg() & ((1 << 104) - 1);
    let modulus = Modulus {
        n: split(n),
        multiple: split(&((n * k + 1_u32) >> 104)),
        negative_inverse: u64::try_from(k & u128::from(MASK)).unwrap_or(0),
        limbs,
    };
    let mut power: Number<V> = split(&((start << (limbs * 52)) % n));
    // SAFETY: `power`, the only caller, has asked the processor for each of these features.
    unsafe { squarings::<V, W>(&mut power, doublings, &modulus) };
    join(power.as_flattened())
}

/// Leaves Montgomery's form behind as well.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn squarings<const V: usize, const W: usize>(
    power: &mut Number<V>,
    doublings: &[bool],
    modulus: &Modulus<V>,
) {
    let mut columns = [[0; LANES]; W];
    for &doubled in doublings {
        square(power, &mut columns);
        reduce(&columns, modulus, doubled, power);
    }
    columns = [[0; LANES]; W];
    columns[..V].copy_from_slice(power);
    reduce(&columns, modulus, false, power);
}

/// The square of a number, as sums of columns. From the eighth limb of each register down to the first, so that what
/// was summed moves up by one lane from one to the next.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
fn square<const V: usize, const W: usize>(number: &Number<V>, columns: &mut Number<W>) {
    let zero = _mm512_setzero_si512();
    let registers = load_all(number);
    // The products of a register with itself, and once those of two different ones.
    let (mut same, mut different) = ([zero; W], [zero; W]);
    for lane in (0..LANES).rev() {
        for one in 0..V {
            let limb = broadcast(number[one][lane]);
            same[2 * one] = _mm512_madd52hi_epu64(same[2 * one], registers[one], limb);
            for other in one + 1..V {
                different[one + other] =
                    _mm512_madd52hi_epu64(different[one + other], registers[other], limb);
            }
        }
        move_up(&mut same);
        move_up(&mut different);
        for one in 0..V {
            let limb = broadcast(number[one][lane]);
            same[2 * one] = _mm512_madd52lo_epu64(same[2 * one], registers[one], limb);
            for other in one + 1..V {
                different[one + other] =
                    _mm512_madd52lo_epu64(different[one + other], registers[other], limb);
            }
        }
    }
    for ((column, same), different) in columns.iter_mut().zip(same).zip(different) {
        store(column, _mm512_add_epi64(same, _mm512_add_epi64(different, different)));
    }
}

/// The columns divided by `R`, modulo `n`.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
fn reduce<const V: usize, const W: usize>(
    columns: &Number<W>,
    modulus: &Modulus<V>,
    doubled: bool,
    out: &mut Number<V>,
) {
    let zero = _mm512_setzero_si512();
    let (n, multiple) = (load_all(&modulus.n), load_all(&modulus.multiple));
    let negative_inverse = broadcast(modulus.negative_inverse);
    let mut window = [zero; V];
    for (register, column) in window.iter_mut().zip(columns) {
        *register = load(column);
    }
    let higher = columns[V..].as_flattened();
    let fast = modulus.limbs - 2;
    // The quotients of the last row and of the one before it: their low halves are due now, and their high halves.
    let (mut last, mut before) = (zero, zero);
    for &next in &higher[..fast] {
        let quotient = _mm512_broadcastq_epi64(_mm512_castsi512_si128(window[0]));
        move_down(&mut window, next);
        for (register, &multiple) in window.iter_mut().zip(&multiple) {
            *register = _mm512_madd52hi_epu64(*register, multiple, before);
            *register = _mm512_madd52lo_epu64(*register, multiple, last);
        }
        (before, last) = (last, quotient);
    }
    for &next in &higher[fast..modulus.limbs] {
        let quotient = _mm512_madd52lo_epu64(zero, window[0], negative_inverse);
        let quotient = _mm512_broadcastq_epi64(_mm512_castsi512_si128(quotient));
        for (register, &n) in window.iter_mut().zip(&n) {
            *register = _mm512_madd52lo_epu64(*register, n, quotient);
        }
        move_down(&mut window, next);
        for ((register, &n), &multiple) in window.iter_mut().zip(&n).zip(&multiple) {
            *register = _mm512_madd52hi_epu64(*register, n, quotient);
            *register = _mm512_madd52hi_epu64(*register, multiple, before);
            *register = _mm512_madd52lo_epu64(*register, multiple, last);
        }
        (before, last) = (last, zero);
    }
    if doubled {
        for register in &mut window {
            *register = _mm512_add_epi64(*register, *register);
        }
    }
    carry(&window, out);
}

/// The columns as limbs of 52 bits.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
fn carry<const V: usize>(columns: &[__m512i; V], out: &mut Number<V>) {
    let mask = broadcast(MASK);
    let mut below = _mm512_setzero_si512();
    let mut carried = 0_u16;
    for (&column, out) in columns.iter().zip(out) {
        // First what is above 52 bits, which leaves at most one bit more to carry; then that bit, which runs through
        // limbs that are all ones.
        let high = _mm512_srli_epi64(column, 52);
        let sum = _mm512_add_epi64(_mm512_and_si512(column, mask), _mm512_alignr_epi64(high, below, 7));
        below = high;
        let over = u16::from(_mm512_cmpgt_epu64_mask(sum, mask));
        let full = u16::from(_mm512_cmpeq_epu64_mask(sum, mask));
        let carries = (full + (over << 1) + carried) ^ full;
        carried = carries >> 8;
        let ones = _mm512_maskz_set1_epi64(carries.to_le_bytes()[0], 1);
        store(out, _mm512_and_si512(_mm512_add_epi64(sum, ones), mask));
    }
}

/// One lane towards the higher end.
#[target_feature(enable = "avx512f")]
#[inline]
fn move_up<const W: usize>(registers: &mut [__m512i; W]) {
    for at in (1..W).rev() {
        registers[at] = _mm512_alignr_epi64(registers[at], registers[at - 1], 7);
    }
    registers[0] = _mm512_alignr_epi64(registers[0], _mm512_setzero_si512(), 7);
}

/// One lane towards the lower end: what the lowest lane has above 52 bits stays, and the next column comes in.
#[target_feature(enable = "avx512f")]
#[inline]
fn move_down<const V: usize>(window: &mut [__m512i; V], next: u64) {
    let carry = _mm512_maskz_srli_epi64(1, window[0], 52);
    for at in 1..V {
        window[at - 1] = _mm512_alignr_epi64(window[at], window[at - 1], 1);
    }
    window[V - 1] = _mm512_alignr_epi64(broadcast(next), window[V - 1], 1);
    window[0] = _mm512_add_epi64(window[0], carry);
}

#[target_feature(enable = "avx512f")]
#[inline]
fn broadcast(limb: u64) -> __m512i {
    _mm512_set1_epi64(limb.cast_signed())
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_all<const V: usize>(number: &Number<V>) -> [__m512i; V] {
    let mut registers = [_mm512_setzero_si512(); V];
    for (register, limbs) in registers.iter_mut().zip(number) {
        *register = load(limbs);
    }
    registers
}

#[target_feature(enable = "avx512f")]
#[inline]
#[expect(unsafe_code, reason = "there is no other way into a register in one instruction")]
fn load(limbs: &[u64; LANES]) -> __m512i {
    // SAFETY: the reference is to 64 bytes, and no alignment is asked for.
    unsafe { _mm512_loadu_si512(limbs.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
#[expect(unsafe_code, reason = "there is no other way out of a register in one instruction")]
fn store(limbs: &mut [u64; LANES], register: __m512i) {
    // SAFETY: the reference is to 64 bytes, and no alignment is asked for.
    unsafe { _mm512_storeu_si512(limbs.as_mut_ptr().cast(), register) }
}

/// A number, which has at most as many limbs of 52 bits as there is room for.
fn split<const V: usize>(number: &BigUint) -> Number<V> {
    let mut limbs = [[0; LANES]; V];
    let (mut bits, mut len) = (0_u128, 0);
    let mut digits = number.iter_u64_digits();
    for limb in limbs.as_flattened_mut() {
        if len < BITS {
            bits |= u128::from(digits.next().unwrap_or(0)) << len;
            len += 64;
        }
        *limb = u64::try_from(bits & u128::from(MASK)).unwrap_or(0);
        bits >>= BITS;
        len -= BITS;
    }
    limbs
}

fn join(limbs: &[u64]) -> BigUint {
    let (mut bits, mut len) = (0_u128, 0);
    let mut bytes = Vec::with_capacity(limbs.len() * 8);
    for &limb in limbs {
        bits |= u128::from(limb) << len;
        len += BITS;
        while len >= 8 {
            bytes.push(bits.to_le_bytes()[0]);
            bits >>= 8;
            len -= 8;
        }
    }
    bytes.push(bits.to_le_bytes()[0]);
    BigUint::from_bytes_le(&bytes)
}

/// How many limbs a register has.
const LANES: usize = 8;
/// How many bits a limb has.
const BITS: u64 = 52;
const MASK: u64 = (1 << 52) - 1;
