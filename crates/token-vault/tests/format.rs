//! The format by its worked example, and by everything that is not it.

use core_types::TokenId;
use core_types::testing::arb_id;
use proptest::prelude::*;
use token_vault::testing::{format, with_checksum};
use token_vault::{Prefix, TokenFormat};

/// The example of the README: id 0x000102…0f, secret 0x101112…2f.
const EXAMPLE: &str = concat!(
    "acmelivepat_",
    "000SYW7RiJxkEgOGusQGwp",
    "3oDH4mEVFvp7u7ED6UzpF5eHPrBI5AHumY7UBpOQIJz",
    "18c3qF"
);

#[test]
fn the_worked_example_is_what_the_readme_says() {
    let format = TokenFormat::new(["acmelivepat".parse().unwrap()]).unwrap();
    let id: [u8; 16] = core::array::from_fn(|at| u8::try_from(at).unwrap());
    let secret: [u8; 32] = core::array::from_fn(|at| u8::try_from(at + 16).unwrap());
    let body = format!("{}{}", base62(&id, 22), base62(&secret, 43));
    let example = with_checksum(&format!("acmelivepat_{body}"));
    assert_eq!(example, EXAMPLE);
    let checksum = base62(&crc32(body.as_bytes()).to_be_bytes(), 6);
    assert!(example.ends_with(&checksum));
    let parts = format.inspect(&example).unwrap();
    assert_eq!((parts.kind.as_str(), parts.id), ("acmelivepat", TokenId::from_bytes(id)));
    assert!(include_str!("../README.md").contains(&example));
}

#[test]
fn the_checksum_is_that_of_published_dead_tokens() {
    // Thirty characters and their checksum, of a token that was published as an example and is dead.
    let (body, checksum) = ("zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ", "0mLq17");
    assert_eq!(base62(&crc32(body.as_bytes()).to_be_bytes(), 6), checksum);
}

#[test]
fn prefixes_have_one_form() {
    for good in ["abcdef", "a23456", "abcdefghijklmnopqrstuvwx"] {
        assert!(good.parse::<Prefix>().is_ok(), "{good}");
    }
    for bad in ["", "abcde", "Abcdef", "1bcdef", "abc_def", "abcdefghijklmnopqrstuvwxy", "abcdé1", "abc def"]
    {
        assert!(bad.parse::<Prefix>().is_err(), "{bad}");
    }
    assert!(TokenFormat::new([]).is_err());
    let kind: Prefix = "abcdef".parse().unwrap();
    assert!(TokenFormat::new([kind.clone(), kind]).is_err());
    let many = (0..17).map(|number| format!("prefix{number}").parse().unwrap());
    assert!(TokenFormat::new(many).is_err());
}

#[test]
fn numbers_too_large_for_their_bytes_are_refused_whatever_the_checksum() {
    for body in [
        format!("{}{}", "7n42DGM5Tflk9n8mt7Fhc8", "0".repeat(43)),
        format!("{}{}", "0".repeat(22), "z".repeat(43)),
    ] {
        assert!(format().inspect(&with_checksum(&format!("plsdtestpat_{body}"))).is_err());
    }
}

proptest! {
    #[test]
    fn every_id_comes_back(id in arb_id::<core_types::id::Token>(), secret in any::<[u8; 32]>()) {
        let body = format!("plsdtestkey_{}{}", base62(&id.to_bytes(), 22), base62(&secret, 43));
        let parts = format().inspect(&with_checksum(&body)).unwrap();
        prop_assert_eq!(parts.id, id);
        prop_assert_eq!(parts.kind.as_str(), "plsdtestkey");
    }

    #[test]
    fn no_text_makes_the_parser_fail(text in "\\PC{0,120}") {
        prop_assert!(format().inspect(&text).is_err());
    }
}

/// Base 62 by the schoolbook.
#[expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test's own arithmetic")]
fn base62(bytes: &[u8], width: usize) -> String {
    let alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut number = bytes.to_vec();
    let mut text = vec![b'0'; width];
    for digit in text.iter_mut().rev() {
        let mut remainder = 0_usize;
        for byte in &mut number {
            let value = remainder * 256 + usize::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(0);
            remainder = value % 62;
        }
        *digit = alphabet[remainder];
    }
    String::from_utf8(text).unwrap_or_default()
}

/// CRC-32 (ISO 3309) bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    !crc
}
