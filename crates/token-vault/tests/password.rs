//! Passwords are slow, bounded, and brought to the present cost when they are used.

use core_types::testing::TestRandom;
use token_vault::password::{MAX_PASSWORD_BYTES, PasswordCost, PasswordError, PasswordHash, Passwords};

/// Hashes by the reference implementation; the commands are in the file.
const RECORDED: &str = include_str!("vectors/argon2id.txt");

#[test]
fn the_reference_implementation_agrees() {
    let passwords = Passwords::new(PasswordCost::MINIMUM, 2);
    for line in RECORDED.lines().filter(|line| !line.starts_with('#')) {
        let (password, hash) = line.split_once(' ').unwrap();
        let stored: PasswordHash = hash.parse().unwrap();
        assert_eq!(stored.to_string(), hash);
        let random = TestRandom::seeded(1);
        assert!(passwords.verify(password.as_bytes(), &stored, &random).is_ok());
        let wrong = passwords.verify(b"hunter3", &stored, &random);
        assert_eq!(wrong.unwrap_err(), PasswordError::Wrong);
    }
}

#[test]
fn a_cheaper_hash_is_replaced_when_it_is_used() {
    let random = TestRandom::seeded(1);
    let cheap = Passwords::new(PasswordCost::MINIMUM, 1);
    let dear = Passwords::new(PasswordCost::new(20 * 1024, 2, 1).unwrap(), 1);
    let stored = cheap.hash(b"correct horse", &random).unwrap();
    assert!(cheap.verify(b"correct horse", &stored, &random).unwrap().upgrade.is_none());
    let upgrade = dear.verify(b"correct horse", &stored, &random).unwrap().upgrade.unwrap();
    assert!(upgrade.to_string().starts_with("$argon2id$v=19$m=20480,t=2,p=1$"));
    assert!(dear.verify(b"correct horse", &upgrade, &random).unwrap().upgrade.is_none());
}

#[test]
fn no_more_than_the_bound_are_worked_on() {
    let passwords = Passwords::new(PasswordCost::MINIMUM, 0);
    assert_eq!(passwords.hash(b"x", &TestRandom::seeded(1)).unwrap_err(), PasswordError::Busy);
    let passwords = Passwords::new(PasswordCost::MINIMUM, 1);
    for _ in 0..2 {
        assert!(passwords.hash(b"x", &TestRandom::seeded(1)).is_ok(), "a turn is given back");
    }
}

#[test]
fn costs_and_lengths_out_of_bounds_are_refused() {
    for (memory, passes, lanes) in [
        (19 * 1024 - 1, 2, 1),
        (19 * 1024, 1, 1),
        (19 * 1024, 2, 0),
        ((1 << 20) + 1, 2, 1),
        (19 * 1024, 17, 1),
    ] {
        assert_eq!(PasswordCost::new(memory, passes, lanes), Err(PasswordError::Cost));
    }
    let passwords = Passwords::new(PasswordCost::MINIMUM, 1);
    for length in [0, MAX_PASSWORD_BYTES + 1] {
        let error = passwords.hash(&vec![b'x'; length], &TestRandom::seeded(1)).unwrap_err();
        assert_eq!(error, PasswordError::Length);
    }
}

#[test]
fn a_hash_has_one_spelling() {
    let good = RECORDED.lines().find(|line| !line.starts_with('#')).unwrap().split_once(' ').unwrap().1;
    assert!(good.parse::<PasswordHash>().is_ok());
    for wrong in [
        good.replace("argon2id", "argon2i"),
        good.replace("v=19", "v=16"),
        good.replace("m=19456", "m=+19456"),
        good.replace("m=19456", "m=019456"),
        good.replace("p=1", "p=1,x=1"),
        good.replace("m=19456", "m=4294967295"),
        format!("{good}$"),
        format!("{good}="),
        good.get(..good.len() - 1).unwrap().to_owned(),
        String::new(),
    ] {
        assert!(wrong.parse::<PasswordHash>().is_err(), "{wrong}");
    }
}
