//! Secrets are not shown, not left behind, and not made without randomness.

use core_types::testing::TestRandom;
use core_types::{RandomError, SecretBytes, SecureRandom, SystemRandom};

#[test]
fn debug_shows_nothing_of_the_bytes() {
    let secret = SecretBytes::take_from(&mut b"\xab\xcd\xef\x99".to_owned());
    assert_eq!(format!("{secret:?}"), "SecretBytes<4>(redacted)");
    assert_eq!(format!("{secret:#?}"), "SecretBytes<4>(redacted)");
    assert_eq!(format!("{secret:02x?}"), "SecretBytes<4>(redacted)");
    assert_eq!(secret.expose_secret(), b"\xab\xcd\xef\x99");
}

#[test]
fn a_secret_is_filled_in_place_from_zero() {
    let secret = SecretBytes::<3>::filled_by(|bytes| {
        assert_eq!(bytes, &[0; 3]);
        bytes.fill(7);
        Ok::<_, ()>(())
    });
    assert_eq!(secret.unwrap().expose_secret(), &[7; 3]);
}

#[test]
fn there_is_no_secret_when_filling_it_fails() {
    assert_eq!(SecretBytes::<32>::filled_by(|_| Err("no")).unwrap_err(), "no");
    struct Dry;
    impl SecureRandom for Dry {
        fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
            Err(RandomError::new())
        }
    }
    assert_eq!(SecretBytes::<32>::generate(&Dry).unwrap_err(), RandomError::new());
}

#[test]
fn taking_bytes_over_erases_them_where_they_were() {
    let mut source = *b"hunter2!";
    let secret = SecretBytes::take_from(&mut source);
    assert_eq!(secret.expose_secret(), b"hunter2!");
    assert_eq!(source, [0; 8]);
}

#[test]
fn generated_secrets_differ_and_follow_from_the_generator() {
    let random = SystemRandom::new();
    let made: Vec<_> = (0..100).map(|_| SecretBytes::<32>::generate(&random).unwrap()).collect();
    let mut bytes: Vec<_> = made.iter().map(SecretBytes::expose_secret).collect();
    bytes.sort_unstable();
    bytes.dedup();
    assert_eq!(bytes.len(), 100);
    assert!(!bytes.contains(&&[0; 32]));

    let seeded = |seed| *SecretBytes::<33>::generate(&TestRandom::seeded(seed)).unwrap().expose_secret();
    assert_eq!(seeded(1), seeded(1));
    assert_ne!(seeded(1), seeded(2));
}
