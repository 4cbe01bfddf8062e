use num_bigint::BigUint;

/// How a power is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Path {
    /// By 64-bit multiplications, on any processor.
    Scalar,
    /// By AVX-512 IFMA.
    Ifma,
}

/// `2^exponent` modulo `modulus`, by the fastest path there is; `None` when the modulus is even or 1.
///
/// The limbs are little-endian. The answer has no zeros at its end.
#[must_use]
pub fn power_of_two(exponent: &[u64], modulus: &[u64]) -> Option<Vec<u64>> {
    Path::Ifma.power_of_two(exponent, modulus).or_else(|| Path::Scalar.power_of_two(exponent, modulus))
}

impl Path {
    /// [`power_of_two`], by this path; `None` also when the processor, or the length of the modulus, does not allow it.
    #[must_use]
    #[expect(clippy::arithmetic_side_effects, reason = "big integers grow instead of overflowing")]
    pub fn power_of_two(self, exponent: &[u64], modulus: &[u64]) -> Option<Vec<u64>> {
        let (e, n) = (number(exponent), number(modulus));
        if !n.bit(0) || n.bits() < 2 {
            return None;
        }
        // The first bits of the exponent are a shift.
        let head_bits = e.bits().min(HEAD_BITS);
        let rest = e.bits().saturating_sub(head_bits);
        let head = (&e >> rest).iter_u64_digits().next().unwrap_or(0);
        let start = BigUint::from(1_u32) << head;
        // Whether to double after each squaring, from the second bit that is not a shift on.
        let doublings: Vec<bool> = (0..rest).rev().map(|bit| e.bit(bit)).collect();
        let power = match self {
            Self::Scalar => crate::scalar::power(&start, &doublings, &n),
            #[cfg(target_arch = "x86_64")]
            Self::Ifma => crate::ifma::power(&start, &doublings, &n)?,
            #[cfg(not(target_arch = "x86_64"))]
            Self::Ifma => return None,
        };
        Some((power % &n).to_u64_digits())
    }
}

fn number(limbs: &[u64]) -> BigUint {
    let bytes: Vec<u8> = limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect();
    BigUint::from_bytes_le(&bytes)
}

/// So that the shift is at most 2047 bits.
const HEAD_BITS: u64 = 11;
