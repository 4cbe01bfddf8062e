//! The state file under a passphrase.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use core_types::{SecureRandom, SystemRandom};
use tempfile::TempDir;
use wg_keys::error::{SealError, StateError};
use wg_keys::state::{Passphrase, PassphraseSealer, Sealer};
use wg_keys::{MachineState, SecretText, StateFile};

fn sealer(passphrase: &str) -> PassphraseSealer {
    // The least that is allowed, for the test's sake.
    PassphraseSealer::new(Passphrase::take_from(passphrase.to_owned()).unwrap())
        .with_cost(8 << 10, 1, 1)
        .unwrap()
}

#[test]
fn a_sealed_state_is_read_with_its_passphrase_only() {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    let path = dir.path().join("machine.json");
    let rng = SystemRandom::new();
    let state = MachineState::generate("mch_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D".parse().unwrap(), 0, &rng).unwrap();
    let open = |passphrase: &str| StateFile::at(&path).unwrap().with_sealer(Box::new(sealer(passphrase)));
    open("correct horse").create(&state, &rng).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(state.current().expose_text().expose_secret()));
    assert!(!text.contains("mch_"), "not even which machine it is");
    let pending = open("correct horse").update(&rng, |state| state.prepare(&rng)).unwrap();
    assert_eq!(open("correct horse").load().unwrap().pending().unwrap().public_key(), pending);
    assert!(matches!(open("correct horses").load(), Err(StateError::Seal(SealError::Refused))));
    assert!(matches!(StateFile::at(&path).unwrap().load(), Err(StateError::SealedOtherwise)));
    fs::write(&path, text.replace("\"passphrase\"", "\"other\"")).unwrap();
    assert!(matches!(open("correct horse").load(), Err(StateError::SealedOtherwise)));
    fs::remove_file(&path).unwrap();
    StateFile::at(&path).unwrap().create(&state, &rng).unwrap();
    assert!(
        matches!(open("correct horse").load(), Err(StateError::NotSealed)),
        "nobody puts a plain one in its place"
    );
}

#[test]
fn every_byte_of_what_is_sealed_counts() {
    let rng = SystemRandom::new();
    let sealed = sealer("x").seal(&SecretText::take_from("the state".to_owned()), &rng).unwrap();
    assert_eq!(sealer("x").open(&sealed).unwrap().expose_secret(), "the state");
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(sealer("x").open(&changed).is_err(), "byte {at}");
    }
    for len in [0, 1, 16, 28, 55, 56, sealed.len() - 1] {
        assert!(sealer("x").open(&sealed[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn a_stranger_cannot_make_it_work_without_bound() {
    let sealed =
        sealer("x").seal(&SecretText::take_from("the state".to_owned()), &SystemRandom::new()).unwrap();
    for (at, value) in [(16, u32::MAX), (16, 1), (20, 0), (20, 17), (24, 0), (24, 17)] {
        let mut costly = sealed.clone();
        costly[at..at + 4].copy_from_slice(&value.to_be_bytes());
        assert_eq!(sealer("x").open(&costly).unwrap_err(), SealError::Form);
    }
    let passphrase = || Passphrase::take_from("x".to_owned()).unwrap();
    assert!(PassphraseSealer::new(passphrase()).with_cost(1024, 1, 1).is_err());
    assert_eq!(Passphrase::take_from(String::new()).unwrap_err(), SealError::EmptyPassphrase);
    assert_eq!(format!("{:?}", passphrase()), "Passphrase { text: SecretText(redacted) }");
}

#[test]
fn nothing_is_sealed_twice_alike() {
    let rng: &dyn SecureRandom = &SystemRandom::new();
    let text = || SecretText::take_from("the state".to_owned());
    let (one, other) = (sealer("x").seal(&text(), rng).unwrap(), sealer("x").seal(&text(), rng).unwrap());
    assert_ne!(one[28..44], other[28..44], "salts");
    assert_ne!(one[56..], other[56..]);
}
