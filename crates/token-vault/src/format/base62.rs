//! Numbers of fixed width in base 62, most significant digit first, over `0-9A-Za-z`.
//!
//! The width is fixed, so every number has one spelling; a text whose number is too large is refused. The
//! alphabet is in ASCII order: texts of one width sort as their numbers do.

/// Digits of a 128-bit number.
pub(crate) const LEN_128: usize = 22;
/// Digits of a 256-bit number.
pub(crate) const LEN_256: usize = 43;
/// Digits of a 32-bit number.
pub(crate) const LEN_32: usize = 6;

/// The digits of `number`.
pub(crate) fn encode_u32(number: u32) -> [u8; LEN_32] {
    let mut text = [0; LEN_32];
    write_digits(u64::from(number), &mut text);
    text
}

/// The number of a text of [`LEN_32`] digits.
pub(crate) fn decode_u32(text: &[u8]) -> Option<u32> {
    let (number, valid) = read_digits(text);
    if !valid || text.len() != LEN_32 {
        return None;
    }
    u32::try_from(number).ok()
}

/// The digits of a number of 16 bytes, big-endian.
pub(crate) fn encode_128(bytes: &[u8; 16]) -> [u8; LEN_128] {
    let mut number = u128::from_be_bytes(*bytes);
    let mut text = [0; LEN_128];
    for digits in text.rchunks_mut(CHUNK_LEN) {
        write_digits(low(number.wrapping_rem(CHUNK)), digits);
        number = number.wrapping_div(CHUNK);
    }
    text
}

/// The number of a text of [`LEN_128`] digits, as 16 bytes, big-endian.
pub(crate) fn decode_128(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != LEN_128 {
        return None;
    }
    let (head, tail) = text.split_at_checked(LEN_128 % CHUNK_LEN)?;
    let (head, mut valid) = read_digits(head);
    let mut number = u128::from(head);
    for digits in tail.chunks(CHUNK_LEN) {
        let (chunk, fine) = read_digits(digits);
        valid &= fine;
        number = number.checked_mul(CHUNK)?.checked_add(u128::from(chunk))?;
    }
    valid.then(|| number.to_be_bytes())
}

/// Writes the digits of a number of 32 bytes, big-endian.
pub(crate) fn encode_256(bytes: &[u8; 32], text: &mut [u8; LEN_256]) {
    let mut limbs = Limbs::from_bytes(bytes);
    for digits in text.rchunks_mut(CHUNK_LEN) {
        write_digits(limbs.divide_by_chunk(), digits);
    }
    limbs.erase();
}

/// Writes the number of a text of [`LEN_256`] digits as 32 bytes, big-endian; `None` leaves them undefined.
pub(crate) fn decode_256(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    if text.len() != LEN_256 || bytes.len() != 32 {
        return None;
    }
    let (head, tail) = text.split_at_checked(LEN_256 % CHUNK_LEN)?;
    let (head, mut valid) = read_digits(head);
    let mut limbs = Limbs { limbs: [head, 0, 0, 0] };
    let mut overflow = 0;
    for digits in tail.chunks(CHUNK_LEN) {
        let (chunk, fine) = read_digits(digits);
        valid &= fine;
        overflow |= limbs.multiply_by_chunk_and_add(chunk);
    }
    limbs.write_to(bytes);
    limbs.erase();
    (valid && overflow == 0).then_some(())
}

/// A 256-bit number, least significant limb first.
struct Limbs {
    limbs: [u64; 4],
}

impl Limbs {
    fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut limbs = [0; 4];
        for (limb, chunk) in limbs.iter_mut().zip(bytes.rchunks(8)) {
            for &byte in chunk {
                *limb = (*limb << 8) | u64::from(byte);
            }
        }
        Self { limbs }
    }

    fn write_to(&self, bytes: &mut [u8]) {
        for (limb, chunk) in self.limbs.iter().zip(bytes.rchunks_mut(8)) {
            chunk.copy_from_slice(&limb.to_be_bytes());
        }
    }

    /// Returns what does not fit.
    fn multiply_by_chunk_and_add(&mut self, add: u64) -> u64 {
        let mut carry = add;
        for limb in &mut self.limbs {
            // At most (2^64 - 1)^2 + 2^64 - 1, which 128 bits hold.
            let wide = u128::from(*limb).wrapping_mul(CHUNK).wrapping_add(u128::from(carry));
            *limb = low(wide);
            carry = low(wide >> 64);
        }
        carry
    }

    /// Returns the remainder.
    fn divide_by_chunk(&mut self) -> u64 {
        let mut remainder = 0;
        for limb in self.limbs.iter_mut().rev() {
            let wide = (u128::from(remainder) << 64) | u128::from(*limb);
            *limb = low(wide.wrapping_div(CHUNK));
            remainder = low(wide.wrapping_rem(CHUNK));
        }
        remainder
    }

    fn erase(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.limbs);
    }
}

/// The number of at most [`CHUNK_LEN`] digits, and whether all were digits.
fn read_digits(text: &[u8]) -> (u64, bool) {
    let mut number = 0_u64;
    let mut seen = 0_u8;
    for &byte in text {
        let value = VALUES.get(usize::from(byte)).copied().unwrap_or(NO_DIGIT);
        seen |= value;
        number = number.wrapping_mul(BASE).wrapping_add(u64::from(value));
    }
    (number, seen & NO_DIGIT == 0)
}

fn write_digits(mut number: u64, text: &mut [u8]) {
    for digit in text.iter_mut().rev() {
        let value = usize::try_from(number.wrapping_rem(BASE)).unwrap_or(0);
        *digit = DIGITS.get(value).copied().unwrap_or(b'0');
        number = number.wrapping_div(BASE);
    }
}

fn low(wide: u128) -> u64 {
    u64::try_from(wide & u128::from(u64::MAX)).unwrap_or(0)
}

const BASE: u64 = 62;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// A bit no digit's value has.
const NO_DIGIT: u8 = 0x80;
/// As many digits as fit a 64-bit number.
const CHUNK_LEN: usize = 10;
/// 62 to the power of [`CHUNK_LEN`].
const CHUNK: u128 = 839_299_365_868_340_224;

const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut rest: &[u8] = DIGITS;
    let mut value = 0_u8;
    #[expect(clippy::indexing_slicing, clippy::as_conversions, reason = "evaluated by the compiler")]
    while let Some((&digit, tail)) = rest.split_first() {
        values[digit as usize] = value;
        value = value.wrapping_add(1);
        rest = tail;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_numbers_have_these_digits_and_one_more_is_refused() {
        assert_eq!(&encode_128(&[0xff; 16]), b"7n42DGM5Tflk9n8mt7Fhc7");
        assert_eq!(decode_128(b"7n42DGM5Tflk9n8mt7Fhc7"), Some([0xff; 16]));
        assert_eq!(decode_128(b"7n42DGM5Tflk9n8mt7Fhc8"), None);
        assert_eq!(decode_128(b"zzzzzzzzzzzzzzzzzzzzzz"), None);
        let mut text = [0; LEN_256];
        encode_256(&[0xff; 32], &mut text);
        let mut bytes = [0; 32];
        assert_eq!(decode_256(&text, &mut bytes), Some(()));
        assert_eq!(bytes, [0xff; 32]);
        *text.last_mut().unwrap() += 1;
        assert_eq!(decode_256(&text, &mut bytes), None);
        assert_eq!(&encode_u32(u32::MAX), b"4gfFC3");
        assert_eq!(decode_u32(b"4gfFC3"), Some(u32::MAX));
        assert_eq!(decode_u32(b"4gfFC4"), None);
        assert_eq!(decode_u32(b"zzzzzz"), None);
    }

    #[test]
    fn a_byte_outside_the_alphabet_is_refused_everywhere() {
        for at in 0..LEN_256 {
            for wrong in [b'-', b'_', b' ', b'/', b':', b'@', b'[', b'`', b'{', 0, 0x80, 0xff] {
                let mut text = [b'0'; LEN_256];
                text[at] = wrong;
                assert_eq!(decode_256(&text, &mut [0; 32]), None, "{wrong} at {at}");
                if at < LEN_128 {
                    assert_eq!(decode_128(&text[..LEN_128]), None);
                }
            }
        }
    }
}
