//! Keys: their one spelling, what is refused, and that `wg` has the same idea of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64ct::{Base64, Encoding as _};
use core_types::SystemRandom;
use wg_keys::{KeyError, PresharedKey, PrivateKey, PublicKey, SecretText};

/// What a program prints of this input.
fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} (Debian: wireguard-tools) is needed: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn bytes(hex: &str) -> [u8; 32] {
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex.chars().skip(at).take(2).collect::<String>(), 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}

#[test]
fn the_public_keys_of_rfc_7748_are_computed() {
    for line in include_str!("vectors/rfc7748.txt").lines().filter(|line| !line.starts_with('#')) {
        let (private, public) = line.split_once(' ').unwrap();
        let key = PrivateKey::clamped_from(&mut bytes(private));
        assert_eq!(key.public_key().to_bytes(), bytes(public));
    }
}

#[test]
fn wg_computes_the_same_public_keys() {
    for _ in 0..8 {
        let key = PrivateKey::generate(&SystemRandom::new()).unwrap();
        let public = run("wg", &["pubkey"], key.expose_text().expose_secret());
        assert_eq!(public.trim_end(), key.public_key().to_string());
    }
}

#[test]
fn what_wg_generates_is_read_and_written_the_same() {
    for _ in 0..8 {
        let text = run("wg", &["genkey"], "");
        let key = PrivateKey::parse(text.trim_end()).unwrap();
        assert_eq!(key.expose_text().expose_secret(), text.trim_end());
        assert_eq!(run("wg", &["pubkey"], &text).trim_end(), key.public_key().to_string());
        let text = run("wg", &["genpsk"], "");
        let key = PresharedKey::parse(text.trim_end()).unwrap();
        assert_eq!(key.expose_text().expose_secret(), text.trim_end());
    }
}

#[test]
fn every_key_of_low_order_and_every_second_spelling_is_refused() {
    let mut seen = 0;
    for line in include_str!("vectors/refused_public.txt").lines().filter(|line| !line.starts_with('#')) {
        let (hex, reason) = line.split_once(' ').unwrap();
        let expected = match reason {
            "low-order" => KeyError::LowOrder,
            "not-canonical" => KeyError::NotCanonical,
            other => panic!("{other}"),
        };
        let text = Base64::encode_string(&bytes(hex));
        assert_eq!(PublicKey::from_bytes(bytes(hex)), Err(expected), "{hex}");
        assert_eq!(text.parse::<PublicKey>(), Err(expected), "{text}");
        let error = serde_json::from_str::<PublicKey>(&format!("\"{text}\"")).unwrap_err();
        assert!(error.to_string().starts_with(&expected.to_string()), "{error}");
        seen += 1;
    }
    assert_eq!(seen, 45);
}

#[test]
fn the_neighbours_of_what_is_refused_are_read() {
    let mut below = [0xff; 32];
    (below[0], below[31]) = (0xeb, 0x7f);
    for bytes in [below, {
        let mut two = [0; 32];
        two[0] = 2;
        two
    }] {
        assert_eq!(PublicKey::from_bytes(bytes).unwrap().to_bytes(), bytes);
    }
}

#[test]
fn a_text_that_is_not_the_one_spelling_is_refused() {
    let good = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    assert!(good.parse::<PublicKey>().is_ok());
    for (text, expected) in [
        ("", KeyError::Length),
        ("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo", KeyError::Length),
        ("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n", KeyError::Length),
        (" hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo", KeyError::Base64),
        ("hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo=", KeyError::Base64),
        ("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmp=", KeyError::Base64),
        ("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTm==", KeyError::Base64),
        ("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmoA", KeyError::Base64),
        ("====hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066Spjqqb", KeyError::Base64),
    ] {
        assert_eq!(text.parse::<PublicKey>(), Err(expected), "{text}");
        assert_eq!(PrivateKey::parse(text).unwrap_err(), expected, "{text}");
        assert_eq!(PresharedKey::parse(text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn a_private_key_that_a_device_would_change_and_a_preshared_key_of_zeros_are_refused() {
    for (at, bits) in [(0, 1), (0, 4), (31, 0x80), (31, 0x40)] {
        let mut key = *PrivateKey::generate(&SystemRandom::new()).unwrap().expose_secret();
        key[at] ^= bits;
        assert_eq!(PrivateKey::parse(&Base64::encode_string(&key)).unwrap_err(), KeyError::NotClamped);
    }
    assert_eq!(PresharedKey::parse(&Base64::encode_string(&[0; 32])).unwrap_err(), KeyError::Zero);
    assert_eq!(PresharedKey::take_from(&mut [0; 32]).unwrap_err(), KeyError::Zero);
}

#[test]
fn keys_are_compared_by_their_bytes() {
    let rng = SystemRandom::new();
    let (one, other) = (PrivateKey::generate(&rng).unwrap(), PrivateKey::generate(&rng).unwrap());
    assert!(one.ct_eq(&PrivateKey::clamped_from(&mut one.expose_secret().clone())));
    assert!(!one.ct_eq(&other));
    let (one, other) = (PresharedKey::generate(&rng).unwrap(), PresharedKey::generate(&rng).unwrap());
    assert!(one.ct_eq(&PresharedKey::take_from(&mut one.expose_secret().clone()).unwrap()));
    assert!(!one.ct_eq(&other));
}

#[test]
fn bytes_that_are_taken_over_are_erased_where_they_were() {
    let mut source = [7; 32];
    let _ = PrivateKey::clamped_from(&mut source);
    assert_eq!(source, [0; 32]);
    let mut source = [7; 32];
    let _ = PresharedKey::take_from(&mut source).unwrap();
    assert_eq!(source, [0; 32]);
}

#[test]
fn nothing_that_is_printed_for_debugging_has_a_secret_in_it() {
    let rng = SystemRandom::new();
    assert_eq!(format!("{:?}", PrivateKey::generate(&rng).unwrap()), "PrivateKey(redacted)");
    assert_eq!(format!("{:?}", PresharedKey::generate(&rng).unwrap()), "PresharedKey(redacted)");
    assert_eq!(format!("{:?}", SecretText::take_from("secret".to_owned())), "SecretText(redacted)");
    let text = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    assert_eq!(format!("{:?}", text.parse::<PublicKey>().unwrap()), format!("PublicKey({text})"));
}
