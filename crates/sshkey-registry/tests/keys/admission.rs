use std::collections::HashSet;
use std::sync::Arc;

use sshkey_registry::admission::{self, Known, KnownKeys};
use sshkey_registry::{AdmissionPolicy, KeyType, Options, OptionsError, PolicyError, PublicKey, Refusal};

use crate::vectors;

#[test]
fn every_good_key_is_admitted() {
    let policy = AdmissionPolicy::new();
    for (name, line) in vectors::good() {
        let key = PublicKey::parse(&line).unwrap();
        match policy.admit(key.clone()) {
            Ok(admitted) => assert_eq!(admitted.key(), &key, "{name}"),
            Err(refusal) => panic!("{name}: {refusal}"),
        }
    }
}

#[test]
fn every_degenerate_key_is_well_formed_and_refused_with_its_own_reason() {
    let degenerate = vectors::degenerate();
    assert!(degenerate.len() > 60, "{}", degenerate.len());
    let policy = AdmissionPolicy::new();
    for [name, expected, line] in degenerate {
        let key = PublicKey::parse(&line).unwrap_or_else(|error| panic!("{name}: {error}"));
        match policy.admit(key) {
            Ok(_) => panic!("{name}: admitted"),
            Err(refusal) => assert_eq!(vectors::variant(&refusal), expected, "{name}"),
        }
    }
}

#[test]
fn the_keys_that_anyone_can_log_in_with_are_refused_under_every_policy() {
    let widest = KeyType::ALL.into_iter().fold(AdmissionPolicy::new(), AdmissionPolicy::with_type);
    let widest = widest.with_rsa_bits(2048, 16384).unwrap();
    for name in [
        "Ed25519 of order 1",
        "Ed25519 of order 2",
        "Ed25519 of order 4",
        "Ed25519 of order 8",
        "e = 1",
        "prime modulus",
        "p^2",
        "next prime",
        "factor 3",
        "factor 65537",
    ] {
        let [_, _, line] = vectors::degenerate().into_iter().find(|[known, ..]| known == name).unwrap();
        assert!(widest.admit(PublicKey::parse(line).unwrap()).is_err(), "{name}");
    }
}

#[test]
fn refusals_say_what_the_customer_should_do_in_words_of_their_own() {
    let mut messages = HashSet::new();
    let mut variants = HashSet::new();
    for [name, _, line] in vectors::degenerate() {
        let refusal = AdmissionPolicy::new().admit(PublicKey::parse(line).unwrap()).unwrap_err();
        assert!(refusal.to_string().len() > 30 && !refusal.to_string().ends_with('.'), "{name}: {refusal}");
        if variants.insert(vectors::variant(&refusal)) {
            messages.insert(refusal.to_string());
        }
    }
    assert_eq!(messages.len(), variants.len());
    assert!(variants.len() >= 18, "{variants:?}");
}

#[test]
fn rsa_keys_are_measured_by_their_true_length() {
    let refusal = |name: &str| {
        let [_, _, line] = vectors::degenerate().into_iter().find(|[known, ..]| known == name).unwrap();
        AdmissionPolicy::new().admit(PublicKey::parse(line).unwrap()).unwrap_err()
    };
    let too_short = |bits| Refusal::RsaTooShort { bits, minimum: 2048 };
    assert_eq!(refusal("2041 bits, 256 bytes"), too_short(2041));
    assert_eq!(refusal("2047 bits from ssh-keygen"), too_short(2047));
    assert_eq!(refusal("1024 bits from ssh-keygen"), too_short(1024));
    assert_eq!(refusal("modulus 0"), too_short(0));
}

#[test]
fn a_policy_can_ask_for_longer_rsa_keys_but_never_for_shorter_ones() {
    let admit = |min, max, name| {
        let key = PublicKey::parse(vectors::line(name)).unwrap();
        AdmissionPolicy::new().with_rsa_bits(min, max).unwrap().admit(key).err()
    };
    assert_eq!(admit(3072, 4096, "rsa2048"), Some(Refusal::RsaTooShort { bits: 2048, minimum: 3072 }));
    assert_eq!(admit(2049, 4096, "rsa2048"), Some(Refusal::RsaTooShort { bits: 2048, minimum: 2049 }));
    assert_eq!(admit(2048, 4096, "rsa2048"), None);
    assert_eq!(admit(2048, 3071, "rsa3072"), Some(Refusal::RsaTooLong { bits: 3072, maximum: 3071 }));
    for (min, max) in [(2047, 4096), (1024, 2048), (2048, 16385), (4096, 2048), (0, 0), (0, u32::MAX)] {
        let refused = AdmissionPolicy::new().with_rsa_bits(min, max);
        let bounds = PolicyError::RsaBounds { minimum: admission::MIN_RSA_BITS, maximum: 16384 };
        assert_eq!(refused.err(), Some(bounds), "{min}..={max}");
    }
}

#[test]
fn a_policy_can_refuse_a_type_and_admit_the_post_quantum_one() {
    let ed25519 = PublicKey::parse(vectors::line("ed25519")).unwrap();
    let refused = Err(Refusal::TypeNotAccepted { key_type: KeyType::Ed25519 });
    assert_eq!(AdmissionPolicy::new().without_type(KeyType::Ed25519).admit(ed25519), refused);

    let name = "post-quantum type";
    let [_, _, line] = vectors::degenerate().into_iter().find(|[known, ..]| known == name).unwrap();
    let composite = PublicKey::parse(line).unwrap();
    let policy = AdmissionPolicy::new().with_type(KeyType::MlDsa44Ed25519);
    assert!(policy.admit(composite.clone()).is_ok());
    let mut blob = composite.as_blob().to_vec();
    let half = blob.len() - 32;
    blob[half..].fill(0);
    let weak = PublicKey::from_blob(&blob).unwrap();
    assert_eq!(
        policy.admit(weak),
        Err(Refusal::Ed25519SmallOrder),
        "both halves must sign, so both must be sound"
    );
}

#[test]
fn a_key_on_a_list_is_refused_and_so_is_every_key_while_the_list_does_not_answer() {
    #[derive(Debug)]
    struct Lists(PublicKey, Known);
    impl KnownKeys for Lists {
        fn look_up(&self, key: &PublicKey) -> Known {
            if *key == self.0 { self.1 } else { Known::NotListed }
        }
    }
    let [listed, other] = ["ed25519", "ed25519-2"].map(|name| PublicKey::parse(vectors::line(name)).unwrap());
    let policy = |known| AdmissionPolicy::new().with_known_keys(Arc::new(Lists(listed.clone(), known)));
    assert_eq!(policy(Known::Compromised).admit(listed.clone()), Err(Refusal::KnownCompromised));
    assert_eq!(policy(Known::Unavailable).admit(listed.clone()), Err(Refusal::KnownKeysUnavailable));
    assert!(policy(Known::Compromised).admit(other).is_ok());
    assert!(policy(Known::NotListed).admit(listed.clone()).is_ok());
    let both = policy(Known::NotListed).with_known_keys(Arc::new(Lists(listed.clone(), Known::Compromised)));
    assert_eq!(both.admit(listed.clone()), Err(Refusal::KnownCompromised), "every list is asked");
}

#[test]
fn a_policy_that_asks_for_user_verification_says_so_to_sshd_and_no_option_of_the_customer_undoes_it() {
    let policy = AdmissionPolicy::new().with_user_verification();
    let options = |text: &str| Options::parse(text).unwrap();
    for name in ["sk-ed25519", "sk-ecdsa"] {
        let key = PublicKey::parse(vectors::line(name)).unwrap();
        assert!(key.key_type().is_security_key(), "{name}");
        let asked = |text: &str| policy.options_for(&key, options(text)).map(|options| options.to_string());
        assert_eq!(asked("restrict,pty").unwrap(), "restrict,pty,verify-required");
        assert_eq!(asked("").unwrap(), "verify-required");
        assert_eq!(asked("verify-required,restrict").unwrap(), "verify-required,restrict");
        let undone = asked("verify-required,no-verify-required").unwrap();
        assert_eq!(undone, "verify-required,no-verify-required,verify-required");
        // A touch is asked for by every policy that does not say otherwise.
        assert_eq!(asked("no-touch-required"), Err(OptionsError::TouchWaived));
        assert_eq!(
            asked("no-touch-required,touch-required").unwrap(),
            "no-touch-required,touch-required,verify-required"
        );
        let default = AdmissionPolicy::new();
        assert_eq!(default.options_for(&key, options("no-touch-required")), Err(OptionsError::TouchWaived));
        assert_eq!(default.options_for(&key, Options::new()), Ok(Options::new()));
        let lax = AdmissionPolicy::new().dangerous_without_touch();
        assert_eq!(lax.options_for(&key, options("no-touch-required")), Ok(options("no-touch-required")));
        let full = format!("verify-required{}", ",no-verify-required".repeat(63));
        assert!(matches!(policy.options_for(&key, options(&full)), Err(OptionsError::TooMany { .. })));
    }
    let other = PublicKey::parse(vectors::line("ed25519")).unwrap();
    assert!(!other.key_type().is_security_key());
    assert_eq!(policy.options_for(&other, Options::new()), Ok(Options::new()));
}
