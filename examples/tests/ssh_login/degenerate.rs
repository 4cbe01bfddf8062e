//! The ten kinds of key in whose name sshd lets anyone log in: none can be uploaded, and so none gets in.

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use num_bigint::BigUint;
use ring::digest::{SHA512, digest};
use sshkey_registry::{AdmissionPolicy, KeyLine, Options, PublicKey};

use crate::agent::{self, Sign, take};
use crate::sshd::{Sshd, entry, keygen};

/// The names of the ten, in `degenerate.txt`.
const KINDS: [&str; 10] = [
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
];

#[test]
fn no_key_that_anyone_can_sign_for_gets_past_the_registry() {
    let vectors = include_str!("../../../crates/sshkey-registry/tests/vectors/degenerate.txt");
    let keys: Vec<(&str, PublicKey)> = KINDS
        .into_iter()
        .map(|kind| {
            let row = vectors.lines().find(|row| row.split('\t').next() == Some(kind)).unwrap();
            (kind, PublicKey::parse(row.rsplit('\t').next().unwrap()).unwrap())
        })
        .collect();
    // Unfiltered: the client needs no private key, and sshd lets it in.
    let all: String = keys.iter().map(|(_, key)| format!("{key}\n")).collect();
    let open = Sshd::with_keys_file(&all);
    // Through the registry: what is admitted is delivered.
    let mut guarded = Sshd::with_bundle("refuse");
    let honest = keygen(guarded.path(), "honest", &["-t", "ed25519"]);
    let policy = AdmissionPolicy::new();
    let uploads = keys.iter().map(|(_, key)| key).chain([&honest.public]);
    let admitted = uploads.filter_map(|key| {
        let (key, _) = KeyLine::parse(key.to_string()).unwrap().into_parts();
        Some(entry(policy.admit(key).ok()?.key(), Options::new()))
    });
    let admitted: Vec<_> = admitted.collect();
    assert_eq!(admitted.len(), 1, "of eleven uploads the honest one");
    guarded.deliver(admitted);
    assert!(guarded.lets_in(&honest), "{}", guarded.log());
    std::thread::scope(|threads| {
        for half in keys.chunks(keys.len().div_ceil(2)) {
            let (open, guarded) = (&open, &guarded);
            threads.spawn(move || {
                for (kind, key) in half {
                    let name = kind.replace([' ', '^', '='], "-");
                    let socket = agent::serve(open.path(), &name, key.as_blob().to_vec(), forger(key));
                    let socket = format!("IdentityAgent={}", socket.display());
                    let identity = ["-o", "IdentityFile=none", "-o", &socket];
                    let output = open.ssh(&identity, &[], &["echo", "in"]);
                    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
                    assert!(output.status.success(), "{kind} is no such key: {errors}\n{}", open.log());
                    let output = guarded.ssh(&identity, &[], &["echo", "in"]);
                    let errors = String::from_utf8_lossy(&output.stderr);
                    assert!(
                        !output.status.success() && errors.contains("Permission denied"),
                        "{kind}: {errors}"
                    );
                }
            });
        }
    });
}

/// What signs in the name of such a key.
fn forger(key: &PublicKey) -> Sign {
    let (name, rest) = take(key.as_blob());
    if name == b"ssh-ed25519" {
        let point = take(rest).0.to_vec();
        return Box::new(move |message| ("ssh-ed25519".into(), forge_ed25519(&point, message)));
    }
    let (e, rest) = take(rest);
    let [e, n] = [e, take(rest).0].map(BigUint::from_bytes_be);
    let d = private_exponent(&e, &n);
    Box::new(move |message| {
        let len = usize::try_from(n.bits().div_ceil(8)).unwrap();
        let padded = BigUint::from_bytes_be(&emsa_pkcs1(message, len));
        let signature = padded.modpow(&d, &n);
        assert_eq!(signature.modpow(&e, &n), padded, "the private exponent is right");
        let bytes = signature.to_bytes_be();
        ("rsa-sha2-512".into(), [vec![0; len - bytes.len()], bytes].concat())
    })
}

/// For a point `A` whose order divides 8, `R = S B` and `S` are a signature as soon as the hash is divisible by 8.
fn forge_ed25519(point: &[u8], message: &[u8]) -> Vec<u8> {
    for number in 1_u64.. {
        let scalar = Scalar::from(number);
        let r = EdwardsPoint::mul_base(&scalar).compress();
        let hash = digest(&SHA512, &[r.as_bytes(), point, message].concat());
        let hash = Scalar::from_bytes_mod_order_wide(hash.as_ref().try_into().unwrap());
        if hash.as_bytes()[0].is_multiple_of(8) {
            return [*r.as_bytes(), scalar.to_bytes()].concat();
        }
    }
    unreachable!("one number in eight will do")
}

/// The private exponent, by the weakness of the modulus.
fn private_exponent(e: &BigUint, n: &BigUint) -> BigUint {
    let one = BigUint::from(1_u32);
    if *e == one {
        return one;
    }
    let is_prime = |number: &BigUint| BigUint::from(2_u32).modpow(&(number - 1_u32), number) == one;
    let totient = if is_prime(n) {
        n - 1_u32
    } else {
        let small = [3_u32, 65537].into_iter().find(|small| (n % small).bits() == 0);
        let root = n.sqrt();
        match small {
            Some(small) => (small - 1) * (n / small - 1_u32),
            None if &root * &root == *n => &root * (&root - 1_u32),
            None => {
                // Fermat: n = a² - b².
                let mut a = &root + 1_u32;
                loop {
                    let rest = &a * &a - n;
                    let b = rest.sqrt();
                    if &b * &b == rest {
                        break (&a + &b - 1_u32) * (&a - &b - 1_u32);
                    }
                    a += 1_u32;
                }
            }
        }
    };
    e.modinv(&totient).unwrap()
}

/// EMSA-PKCS1-v1_5 with SHA-512 (RFC 8017 9.2).
fn emsa_pkcs1(message: &[u8], len: usize) -> Vec<u8> {
    let info = [
        0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00,
        0x04, 0x40,
    ];
    let hash = digest(&SHA512, message);
    let padding = vec![0xff; len - 3 - info.len() - hash.as_ref().len()];
    [&[0, 1][..], &padding, &[0], &info, hash.as_ref()].concat()
}
