//! The embedded list of published keys, and lists that the embedder brings.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use p256::elliptic_curve::sec1::ToSec1Point;
use ring::signature::{Ed25519KeyPair, KeyPair};
use sshkey_registry::admission::{BlockList, BlockListFile, Known, KnownKeys, shared_factor};
use sshkey_registry::{AdmissionPolicy, BlockListError, KeyType, PublicKey, Refusal};

use crate::vectors;

#[test]
fn the_embedded_list_is_what_its_sources_say() {
    let records: BTreeSet<_> = published().iter().map(|(collection, key)| record(key, *collection)).collect();
    let expected: Vec<u8> = records.into_iter().flatten().collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admission/published.dat");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let actual = std::fs::read(&path).unwrap();
    assert!(actual == expected, "run the test once with BLESS=1, and look at what changed");
    assert!(actual.len() / 16 > 1000, "{}", actual.len());
}

#[test]
fn published_keys_are_refused_whatever_type_they_are_dressed_up_as() {
    let policy = AdmissionPolicy::new().with_type(KeyType::MlDsa44Ed25519);
    for (_, key) in published() {
        assert_eq!(policy.admit(key.clone()), Err(Refusal::KnownCompromised), "{key}");
    }
    let key = |type_: KeyType, point: &[u8], rest: &[&[u8]]| {
        let fields = [&[type_.as_str().as_bytes(), point][..], rest].concat();
        PublicKey::from_blob(&blob(&fields)).unwrap()
    };
    let seed = [7; 32];
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let point = pair.public_key().as_ref();
    let composite = [&[0x5a; 1312][..], point].concat();
    for dressed in [
        key(KeyType::Ed25519, point, &[]),
        key(KeyType::SkEd25519, point, &[b"ssh:"]),
        key(KeyType::MlDsa44Ed25519, &composite, &[]),
    ] {
        assert_eq!(policy.admit(dressed.clone()), Err(Refusal::KnownCompromised), "{dressed}");
    }
    let vagrant = published().into_iter().find(|(_, key)| key.key_type() == KeyType::Rsa).unwrap().1;
    let modulus = &vagrant.as_blob()[vagrant.as_blob().len() - 257..];
    let other_exponent = key(KeyType::Rsa, &[1, 0, 1], &[modulus]);
    assert_ne!(other_exponent, vagrant);
    assert_eq!(policy.admit(other_exponent), Err(Refusal::KnownCompromised), "the modulus is the key");
}

#[test]
fn every_key_of_a_list_is_found_and_no_other() {
    let listed: Vec<_> = vectors::good().iter().map(|(_, line)| PublicKey::parse(line).unwrap()).collect();
    let (on, off) = listed.split_at(listed.len() / 2);
    let records: BTreeSet<_> = on.iter().map(|key| record(key, 3)).collect();
    let list = BlockList::new(records.iter().flatten().copied().collect::<Vec<u8>>()).unwrap();
    assert_eq!((list.len(), list.is_empty()), (records.len(), false));
    assert!(on.iter().all(|key| list.look_up(key) == Known::Compromised));
    // Security keys of the vectors have the points of plain ones.
    let names: BTreeSet<_> = on.iter().map(|key| record(key, 3)).collect();
    let off: Vec<_> = off.iter().filter(|key| !names.contains(&record(key, 3))).collect();
    assert!(off.len() > 4 && off.iter().all(|key| list.look_up(key) == Known::NotListed));
    let policy = AdmissionPolicy::new().with_known_keys(Arc::new(list));
    assert_eq!(policy.admit(on[0].clone()), Err(Refusal::KnownCompromised));
}

#[test]
fn bytes_that_are_no_list_are_refused() {
    let record = |first: u8| [first; 16];
    let error = |bytes: Vec<u8>| BlockList::new(bytes).err();
    assert_eq!(error(Vec::new()), Some(BlockListError::Empty));
    assert_eq!(error(vec![0; 15]), Some(BlockListError::Length));
    assert_eq!(error(vec![0; 17]), Some(BlockListError::Length));
    assert_eq!(error([record(2), record(1)].concat()), Some(BlockListError::Order));
    assert_eq!(error([record(1), record(3), record(2)].concat()), Some(BlockListError::Order));
    assert_eq!(error([record(1), record(2), record(2)].concat()), None);
}

#[test]
fn keys_that_share_a_factor_are_found_among_many() {
    let line = |name: &str| PublicKey::parse(vectors::line(name)).unwrap();
    let (one, two) = (line("rsa, shared factor, one"), line("rsa, shared factor, two"));
    let mut others: Vec<_> = (0..150).map(|_| line("rsa2048")).collect();
    others.extend(["rsa3072", "ed25519", "ecdsa256", "rsa, e = 3"].map(line));
    assert_eq!(shared_factor(&one, &others), None);
    others.insert(130, two.clone());
    assert_eq!(shared_factor(&one, &others), Some(&two));
    assert_eq!(shared_factor(&two, [&one, &two]), Some(&one), "a key shares nothing with itself");
    assert_eq!(shared_factor(&two, [&two]), None);
    assert_eq!(shared_factor(&line("ed25519"), &others), None);
    assert_eq!(shared_factor(&one, []), None);
    assert!(AdmissionPolicy::new().admit(one).is_ok(), "by itself nothing shows");
}

/// What the embedded list is made from, each key with the number of its collection.
fn published() -> Vec<(u8, PublicKey)> {
    let sources =
        include_str!("../vectors/published-sources.txt").lines().filter(|row| !row.starts_with('#'));
    let mut keys: Vec<_> =
        sources.map(|row| (1, PublicKey::parse(row.rsplit('\t').next().unwrap()).unwrap())).collect();
    assert_eq!(keys.len(), 6);
    keys.extend(RFC_8032.iter().map(|(seed, public)| {
        let key = ed25519(&hex(seed));
        assert!(key.as_blob().ends_with(&hex(public)), "RFC 8032 says {public}");
        (2, key)
    }));
    keys.extend(RFC_6979.iter().map(|(curve, private, x)| {
        let key = ecdsa(curve, &hex(private));
        let x = hex(x);
        assert!(key.as_blob().windows(x.len()).any(|window| window == x), "RFC 6979 says {curve}");
        (2, key)
    }));
    keys.extend((0..=255).map(|byte| (3, ed25519(&[byte; 32]))));
    keys.extend((0..=1).map(|first| (3, ed25519(&(first..first + 32).collect::<Vec<u8>>()))));
    for (curve, len) in [("nistp256", 32), ("nistp384", 48), ("nistp521", 66)] {
        keys.extend((1..=256_u16).map(|scalar| {
            let mut private = vec![0; len - 2];
            private.extend_from_slice(&scalar.to_be_bytes());
            (3, ecdsa(curve, &private))
        }));
    }
    keys
}

/// The obvious way to a record: the number as an integer, its digest, the collection.
fn record(key: &PublicKey, collection: u8) -> [u8; 16] {
    let blob = key.as_blob();
    let last = |len: usize| &blob[blob.len() - len..];
    let number = match key.key_type() {
        KeyType::Ed25519 => last(32),
        KeyType::SkEd25519 => {
            let at = 4 + key.key_type().as_str().len() + 4;
            &blob[at..at + 32]
        }
        KeyType::EcdsaP256 => &last(64)[..32],
        KeyType::EcdsaP384 => &last(96)[..48],
        KeyType::EcdsaP521 => &last(132)[..66],
        KeyType::SkEcdsaP256 => {
            let at = 4 + key.key_type().as_str().len() + 4 + 8 + 4 + 1;
            &blob[at..at + 32]
        }
        KeyType::Rsa => last(usize::try_from(key.bits().div_ceil(8)).unwrap()),
        other => panic!("{other}"),
    };
    let number = num_bigint::BigUint::from_bytes_be(number).to_bytes_be();
    let digest = ring::digest::digest(&ring::digest::SHA256, &number);
    let mut record = [collection; 16];
    record[..15].copy_from_slice(&digest.as_ref()[..15]);
    record
}

fn ed25519(seed: &[u8]) -> PublicKey {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).unwrap();
    PublicKey::from_blob(&blob(&[b"ssh-ed25519", pair.public_key().as_ref()])).unwrap()
}

fn ecdsa(curve: &str, private: &[u8]) -> PublicKey {
    let point = match curve {
        "nistp256" => p256::SecretKey::from_slice(private)
            .unwrap()
            .public_key()
            .to_sec1_point(false)
            .as_bytes()
            .to_vec(),
        "nistp384" => p384::SecretKey::from_slice(private)
            .unwrap()
            .public_key()
            .to_sec1_point(false)
            .as_bytes()
            .to_vec(),
        _ => p521::SecretKey::from_slice(private)
            .unwrap()
            .public_key()
            .to_sec1_point(false)
            .as_bytes()
            .to_vec(),
    };
    let name = format!("ecdsa-sha2-{curve}");
    PublicKey::from_blob(&blob(&[name.as_bytes(), curve.as_bytes(), &point])).unwrap()
}

fn blob(fields: &[&[u8]]) -> Vec<u8> {
    let len = |field: &[u8]| u32::try_from(field.len()).unwrap().to_be_bytes();
    fields.iter().flat_map(|field| [&len(field)[..], field].concat()).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// RFC 8032 7.1: tests 1, 2, 3, 1024 and SHA(abc); private and public key.
const RFC_8032: [(&str, &str); 5] = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    ),
    (
        "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    ),
];

/// RFC 6979 A.2.5, A.2.6 and A.2.7: curve, private key, first coordinate of the public key.
const RFC_6979: [(&str, &str, &str); 3] = [
    (
        "nistp256",
        "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
    ),
    (
        "nistp384",
        "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
        "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13",
    ),
    (
        "nistp521",
        "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75caa896eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89ec0c08b0e996b83538",
        "01894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd371123d46e45db6b5d5370a7f20fb633155d38ffa16d2bd761dcac474b9a2f5023a4",
    ),
];

#[test]
fn a_list_in_a_file_says_what_the_same_list_in_memory_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blocklist.dat");
    let keys: Vec<PublicKey> =
        vectors::good().iter().map(|(_, line)| PublicKey::parse(line).unwrap()).collect();
    let (listed, others) = keys.split_at(keys.len() / 2);
    // Enough of them for several blocks, of which the last is not full.
    for filling in [0, 1, 255, 256, 257, 1000] {
        let mut records: Vec<[u8; 16]> = listed.iter().map(|key| record(key, 7)).collect();
        records.extend((0..filling).map(|number: u32| {
            let digest = core_types::Fingerprint::of(&number.to_be_bytes());
            *digest.as_bytes().first_chunk().unwrap()
        }));
        records.sort_unstable();
        std::fs::write(&path, records.as_flattened()).unwrap();
        let file = BlockListFile::open(&path).unwrap();
        assert_eq!(file.record_count(), u64::try_from(records.len()).unwrap());
        let memory = BlockList::new(records.as_flattened().to_vec()).unwrap();
        for key in &keys {
            assert_eq!(file.look_up(key), memory.look_up(key), "{filling} {key:?}");
        }
        assert!(listed.iter().all(|key| file.look_up(key) == Known::Compromised));
    }
    // A new list does not change what is open; one that is changed in place cannot be believed.
    let file = BlockListFile::open(&path).unwrap();
    let next = folder.path().join("next");
    std::fs::write(&next, record(&others[0], 1)).unwrap();
    std::fs::rename(&next, &path).unwrap();
    assert!(listed.iter().all(|key| file.look_up(key) == Known::Compromised));
    let file = BlockListFile::open(&path).unwrap();
    assert_eq!(file.look_up(&others[0]), Known::Compromised);
    std::fs::write(&path, b"").unwrap();
    assert_eq!(file.look_up(&others[0]), Known::Unavailable);

    for (bytes, error) in [
        (vec![], BlockListError::Empty),
        (vec![0; 15], BlockListError::Length),
        ([[1; 16], [0; 16]].concat(), BlockListError::Order),
        ([[1; 16].repeat(256), vec![0; 16]].concat(), BlockListError::Order),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(BlockListFile::open(&path).err(), Some(error));
    }
    let missing = BlockListFile::open(&folder.path().join("missing"));
    assert_eq!(missing.err(), Some(BlockListError::Read(std::io::ErrorKind::NotFound)));
}
