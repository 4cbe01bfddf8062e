//! Hexadecimal in lower case, as the user-space protocol has keys; in constant time.

use crate::error::KeyError;
use crate::key::KEY_LEN;
use crate::secret_text::SecretText;

/// Appends the digits of a key.
pub(super) fn push(text: &mut SecretText, key: &[u8; KEY_LEN]) {
    for byte in key {
        text.push_char(digit(byte >> 4));
        text.push_char(digit(byte & 0b1111));
    }
}

/// Writes the bytes of a key where they will stay.
pub(super) fn decode(text: &str, out: &mut [u8; KEY_LEN]) -> Result<(), KeyError> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(KeyError::Length) };
    if pairs.len() != out.len() {
        return Err(KeyError::Length);
    }
    let mut wrong = 0_u8;
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        let (high, low) = (nibble(*high), nibble(*low));
        wrong |= high | low;
        *byte = (high << 4) | (low & 0b1111);
    }
    if wrong & 0xf0 == 0 { Ok(()) } else { Err(KeyError::Base64) }
}

/// The digit of four bits, without a branch or a table: '0' and up, or 39 further on for the letters.
fn digit(bits: u8) -> char {
    let is_letter = 9_u8.wrapping_sub(bits) >> 7;
    char::from(bits.wrapping_add(b'0').wrapping_add(is_letter.wrapping_mul(39)))
}

/// The four bits of a digit, or 0xff; without a branch or a table.
const fn nibble(digit: u8) -> u8 {
    let number = digit.wrapping_sub(b'0');
    let letter = digit.wrapping_sub(b'a');
    let is_number = mask_below(number, 10);
    let is_letter = mask_below(letter, 6);
    (number & is_number) | (letter.wrapping_add(10) & is_letter) | !(is_number | is_letter)
}

/// All ones when `value` is below `bound`, which is at most 128.
const fn mask_below(value: u8, bound: u8) -> u8 {
    // The highest bit of the difference is set for values below the bound, and for those above 128 + bound.
    let below = value.wrapping_sub(bound) >> 7;
    let is_small = (value >> 7) ^ 1;
    0_u8.wrapping_sub(below & is_small)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_digit_or_none_as_the_table_says() {
        for byte in u8::MIN..=u8::MAX {
            let expected = b"0123456789abcdef".iter().position(|&digit| digit == byte);
            let expected = expected.map_or(0xff, |at| u8::try_from(at).unwrap());
            assert_eq!(nibble(byte), expected, "{byte}");
        }
        for bits in 0..16 {
            assert_eq!(nibble(u8::try_from(digit(bits)).unwrap()), bits);
        }
    }
}
