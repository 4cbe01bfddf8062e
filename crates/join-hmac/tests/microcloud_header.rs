//! What is a header, in each mode; checked before any key is derived.

#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    reason = "a test that panics is a test that fails"
)]

use join_hmac::error::{HeaderError, MacRefusal, PassphraseError};
use join_hmac::microcloud::{
    MacHeader, MacKind, MacSecret, MacSession, MacSigner, MacVerifier, MacVersion, Mode, Passphrase,
};
use proptest::prelude::*;

const SALT: &str = "000102030405060708090a0b0c0d0e0f";
const MAC: &str = "b9eb0e9a9153ca1f7b793541f1377e5f6c786bb696c4bf62f471272bfa71c643";

fn parse(text: &str, kind: MacKind, mode: Mode) -> Result<MacHeader, HeaderError> {
    MacHeader::parse(text.as_bytes(), &MacVersion::microcloud(), kind, mode)
}

#[test]
fn the_usual_header_has_112_characters_and_one_spelling() {
    let text = format!("MicroCloud-1.0 {SALT}:{MAC}");
    assert_eq!(text.len(), 112);
    for mode in [Mode::Strict, Mode::Lenient] {
        let header = parse(&text, MacKind::Argon2, mode).unwrap();
        assert_eq!(header.to_string(), text);
        assert_eq!(header.salt().unwrap().len(), 16);
    }
}

#[test]
fn what_is_malformed_is_refused_in_both_modes_with_its_reason() {
    use HeaderError as E;
    let rows = [
        (MacKind::Argon2, String::new(), E::NoMac),
        (MacKind::Argon2, "MicroCloud-1.0".into(), E::NoMac),
        (MacKind::Argon2, format!(" {SALT}:{MAC}"), E::Version),
        (MacKind::Argon2, "MicroCloud-1.0 ".into(), E::NoMac),
        (MacKind::Argon2, format!("MicroCloud-1.0 {MAC}"), E::NoSalt),
        (MacKind::Argon2, format!("MicroCloud-1.0 :{MAC}"), E::NoSalt),
        (MacKind::Argon2, format!("MicroCloud-1.0 {SALT}:"), E::NoMac),
        (MacKind::Argon2, format!("MicroCloud-2.0 {SALT}:{MAC}"), E::OtherVersion),
        (MacKind::Argon2, format!("microcloud-1.0 {SALT}:{MAC}"), E::OtherVersion),
        (MacKind::Argon2, format!("MicroCloud-1.0  {SALT}:{MAC}"), E::Digits),
        (MacKind::Argon2, format!("MicroCloud-1.0\t{SALT}:{MAC}"), E::NoMac),
        (MacKind::Argon2, format!("MicroCloud-1.0 {SALT}:{MAC}:"), E::Digits),
        (MacKind::Argon2, format!("MicroCloud-1.0 {SALT}:{MAC} "), E::Digits),
        (MacKind::Argon2, format!("MicroCloud-1.0 {SALT}:{}", &MAC[1..]), E::Digits),
        (MacKind::Argon2, format!("MicroCloud-1.0 {SALT}:{}", &MAC[2..]), E::MacLength { found: 31 }),
        (MacKind::Argon2, format!("MicroCloud-1.0 {SALT}:zz{}", &MAC[2..]), E::Digits),
        (MacKind::Plain, format!("MicroCloud-1.0 {SALT}:{MAC}"), E::Digits),
        (MacKind::Plain, format!("MicroCloud-1.0 {}", &MAC[2..]), E::MacLength { found: 31 }),
    ];
    for (kind, text, reason) in rows {
        for mode in [Mode::Strict, Mode::Lenient] {
            assert_eq!(parse(&text, kind, mode), Err(reason), "{text}");
        }
    }
}

#[test]
fn lenient_mode_takes_other_salts_and_upper_case_and_strict_mode_does_not() {
    let long = "ab".repeat(1024);
    for text in [
        format!("MicroCloud-1.0 caffee:{MAC}"),
        format!("MicroCloud-1.0 0a:{MAC}"),
        format!("MicroCloud-1.0 {long}:{MAC}"),
        format!("MicroCloud-1.0 {SALT}:{}", MAC.to_uppercase()),
        format!("MicroCloud-1.0 {}:{MAC}", SALT.to_uppercase()),
    ] {
        assert!(parse(&text, MacKind::Argon2, Mode::Strict).is_err(), "{text}");
        assert!(parse(&text, MacKind::Argon2, Mode::Lenient).is_ok(), "{text}");
    }
    let endless = format!("MicroCloud-1.0 {}:{MAC}", "ab".repeat(1 << 20));
    assert!(matches!(parse(&endless, MacKind::Argon2, Mode::Lenient), Err(HeaderError::TooLong { .. })));
}

fn session(budget: u32) -> MacSession {
    let secret = MacSecret::new(b"foo").unwrap();
    MacSession::new(
        MacVerifier::new(MacVersion::microcloud(), MacKind::Argon2, Mode::Lenient, secret),
        budget,
    )
}

#[test]
fn argon2_denial_of_service_a_message_that_is_refused_early_costs_no_derivation() {
    let mut session = session(10);
    let body = vec![0; join_hmac::microcloud::MAX_LENIENT_BODY_LEN + 1];
    for text in [
        "".to_owned(),
        "MicroCloud-1.0".to_owned(),
        format!("MicroCloud-1.1 {SALT}:{MAC}"),
        format!("MicroCloud-1.0 {SALT}:{}", &MAC[2..]),
        format!("MicroCloud-1.0 {}:{MAC}", "ab".repeat(1 << 20)),
    ] {
        assert!(matches!(session.verify(text.as_bytes(), b""), Err(MacRefusal::Header(_))), "{text}");
    }
    let header = format!("MicroCloud-1.0 {SALT}:{MAC}");
    assert!(matches!(session.verify(header.as_bytes(), &body), Err(MacRefusal::BodyTooLong { .. })));
    assert_eq!(session.derivations(), 0);
}

#[test]
fn argon2_denial_of_service_a_session_derives_once_for_a_salt_and_never_past_its_budget() {
    let mut session = session(2);
    let wrong = format!("MicroCloud-1.0 {SALT}:{MAC}");
    for _ in 0..20 {
        assert_eq!(session.verify(wrong.as_bytes(), b"x"), Err(MacRefusal::Mac));
    }
    assert_eq!(session.derivations(), 1, "twenty messages of one salt");
    let other = format!("MicroCloud-1.0 00{}:{MAC}", SALT);
    assert_eq!(session.verify(other.as_bytes(), b"x"), Err(MacRefusal::Mac));
    for number in 0..20 {
        let another = format!("MicroCloud-1.0 ff{number:02}{SALT}:{MAC}");
        assert_eq!(session.verify(another.as_bytes(), b"x"), Err(MacRefusal::Budget));
    }
    assert_eq!(session.derivations(), 2);
    assert_eq!(session.verify(wrong.as_bytes(), b"x"), Err(MacRefusal::Mac), "a known salt needs no budget");
}

#[test]
fn a_generated_passphrase_is_four_words_of_the_list_and_is_read_as_it_is_typed() {
    let rng = core_types::SystemRandom::new();
    let passphrase = Passphrase::generate(&rng).unwrap();
    let words: Vec<&str> = passphrase.expose_secret().split(' ').collect();
    assert_eq!(words.len(), 4);
    assert!(words.iter().all(|word| join_hmac::words::number(word).is_some()));
    let typed = format!("  {}\t{}  {} \n{} ", words[0].to_uppercase(), words[1], words[2], words[3]);
    assert_eq!(Passphrase::parse(&typed).unwrap().expose_secret(), passphrase.expose_secret());
    assert_eq!(format!("{passphrase:?}"), "Passphrase(redacted)");
}

#[test]
fn a_mistyped_passphrase_is_refused_with_the_place_and_a_hint() {
    let error = Passphrase::parse("oftentimes rupture saxofone buzzard").unwrap_err();
    assert!(matches!(error, PassphraseError::Word { position: 3, .. }));
    assert_eq!(error.hint(), Some("saxophone"));
    assert!(!format!("{error} {error:?}").contains("saxo"), "no part of a secret is printed");
    for typed in ["", "oftentimes rupture saxophone", "a b c d e"] {
        assert!(matches!(Passphrase::parse(typed), Err(PassphraseError::Count { .. })), "{typed}");
    }
    assert!(Passphrase::parse(&"x ".repeat(10_000)).is_err());
    assert_eq!(Passphrase::parse("qqqq rupture saxophone buzzard").unwrap_err().hint(), None);
}

proptest! {
    #[test]
    fn what_is_accepted_strictly_is_written_as_it_was_read(bytes in proptest::collection::vec(any::<u8>(), 0..140), mutate in any::<(usize, u8)>()) {
        let version = MacVersion::microcloud();
        let mut text = format!("MicroCloud-1.0 {SALT}:{MAC}").into_bytes();
        let at = mutate.0 % text.len();
        text[at] ^= mutate.1;
        for input in [&bytes, &text] {
            if let Ok(header) = MacHeader::parse(input, &version, MacKind::Argon2, Mode::Strict) {
                let written = header.to_string();
                prop_assert_eq!(written.as_bytes(), input.as_slice());
                prop_assert!(MacHeader::parse(input, &version, MacKind::Argon2, Mode::Lenient).is_ok());
            }
        }
    }

    #[test]
    fn what_was_signed_verifies_and_any_flipped_bit_does_not(body in proptest::collection::vec(any::<u8>(), 1..64), flip in any::<usize>()) {
        let secret = MacSecret::new(&[9; 32]).unwrap();
        let header = MacSigner::plain(MacVersion::microcloud(), &secret).sign(&body).to_string();
        let mut session = MacSession::new(
            MacVerifier::new(MacVersion::microcloud(), MacKind::Plain, Mode::Strict, secret),
            0,
        );
        prop_assert!(session.verify(header.as_bytes(), &body).is_ok());
        let mut changed = body.clone();
        let at = flip / 8 % body.len();
        changed[at] ^= 1 << (flip % 8);
        prop_assert_eq!(session.verify(header.as_bytes(), &changed), Err(MacRefusal::Mac));
        prop_assert_eq!(session.derivations(), 0);
    }
}
