//! Both paths beside plain exponentiation.

use num_bigint::BigUint;
use power_of_two::{Path, power_of_two};

/// Numbers without an order (Knuth's linear congruential generator).
struct Numbers(u64);

impl Numbers {
    fn limb(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0.rotate_left(29)
    }

    fn limbs(&mut self, width: usize) -> Vec<u64> {
        (0..width).map(|_| self.limb()).collect()
    }
}

fn number(limbs: &[u64]) -> BigUint {
    BigUint::from_bytes_le(&limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect::<Vec<_>>())
}

/// What plain exponentiation says, and that every path that runs here says the same.
fn check(exponent: &[u64], modulus: &[u64]) {
    let expected = BigUint::from(2_u32).modpow(&number(exponent), &number(modulus)).to_u64_digits();
    assert_eq!(power_of_two(exponent, modulus).as_ref(), Some(&expected), "{modulus:x?}");
    assert_eq!(Path::Scalar.power_of_two(exponent, modulus).as_ref(), Some(&expected), "{modulus:x?}");
    if let Some(power) = Path::Ifma.power_of_two(exponent, modulus) {
        assert_eq!(power, expected, "{exponent:x?} {modulus:x?}");
    }
}

#[test]
fn every_path_gives_the_remainder_for_numbers_of_every_length() {
    let mut numbers = Numbers(1);
    for width in 1..=40 {
        for special in 0..5 {
            let mut modulus = numbers.limbs(width);
            match special {
                0 => modulus.fill(u64::MAX),
                1 => modulus[width - 1] = 1,
                2 => modulus[width - 1] |= 1 << 63,
                3 => {
                    modulus.fill(0);
                    modulus[width - 1] = 1 << 63;
                }
                _ => {}
            }
            modulus[0] |= 3;
            let mut exponent = modulus.clone();
            exponent[0] -= 1;
            check(&exponent, &modulus);
        }
    }
}

/// Around each length at which another number of registers is used, and the longest there is.
#[test]
fn every_path_gives_the_remainder_where_the_number_of_registers_changes() {
    let mut numbers = Numbers(2);
    for bits in [2048, 2073, 2074, 2075, 3072, 3321, 3322, 3323, 4096, 4154, 4155, 8192, 8314, 8315, 16384] {
        let mut n: BigUint = number(&numbers.limbs(257)) >> (257 * 64 - bits);
        n.set_bit(0, true);
        n.set_bit(bits - 1, true);
        // All ones, too: every column is as full as it can be.
        let ones = (BigUint::from(1_u32) << bits) - 1_u32;
        for modulus in [n, ones] {
            check(&numbers.limbs(3), &modulus.to_u64_digits());
        }
    }
}

#[test]
fn exponents_may_be_anything() {
    let mut numbers = Numbers(3);
    let mut modulus = numbers.limbs(32);
    modulus[0] |= 1;
    for exponent in [&[][..], &[0], &[1], &[2], &[2047], &[2048], &[2049], &[4095], &[0, 1], &[u64::MAX; 5]] {
        check(exponent, &modulus);
        check(exponent, &[3]);
    }
}

#[test]
fn an_even_modulus_or_1_has_no_answer() {
    for modulus in [&[][..], &[0], &[1], &[2], &[1 << 63], &[0, 1]] {
        assert_eq!(power_of_two(&[5], modulus), None, "{modulus:?}");
    }
}

#[test]
fn a_modulus_that_is_too_long_for_the_kernel_is_computed_all_the_same() {
    let mut numbers = Numbers(4);
    let mut modulus = numbers.limbs(261);
    modulus[0] |= 1;
    assert_eq!(Path::Ifma.power_of_two(&[99], &modulus), None);
    check(&[1 << 20], &modulus);
}
