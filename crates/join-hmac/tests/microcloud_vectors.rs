//! The vectors that were made with the reference, and what is one step away from them.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use join_hmac::error::{HeaderError, MacRefusal};
use join_hmac::microcloud::{KdfMemory, MacKind, MacSecret, MacSigner, MacVerifier, MacVersion, Mode};
use join_hmac::testing::hex;
use serde_json::Value;

struct Vector {
    name: String,
    version: MacVersion,
    kind: MacKind,
    secret: Vec<u8>,
    salt: Vec<u8>,
    body: Vec<u8>,
    authorization: String,
}

impl Vector {
    fn verifier(&self, mode: Mode) -> MacVerifier {
        MacVerifier::new(self.version.clone(), self.kind, mode, MacSecret::new(&self.secret).unwrap())
    }
}

fn vectors() -> Vec<Vector> {
    let all: Vec<Value> = serde_json::from_str(include_str!("vectors/microcloud_mac.json")).unwrap();
    all.iter()
        .map(|vector| {
            let text = |name: &str| vector[name].as_str().unwrap_or_default().to_owned();
            let len = usize::try_from(vector["body_len"].as_u64().unwrap()).unwrap();
            let body = match vector["body_hex"].as_str() {
                Some(rule) if rule.starts_with("sequence") => {
                    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
                }
                Some(digits) => hex(digits),
                None => text("body").into_bytes(),
            };
            assert_eq!(body.len(), len, "{}", vector["name"]);
            Vector {
                name: text("name"),
                version: MacVersion::new(&text("version")).unwrap(),
                kind: if vector["kind"] == "argon2" { MacKind::Argon2 } else { MacKind::Plain },
                secret: hex(&text("key_hex")),
                salt: hex(&text("salt_hex")),
                body,
                authorization: text("authorization"),
            }
        })
        .collect()
}

#[test]
fn all_eighteen_are_accepted_by_the_mode_that_is_for_them_and_signed_the_same() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 18);
    let mut memory = KdfMemory::new().unwrap();
    let mut strict = 0;
    for vector in &vectors {
        let header = vector.authorization.as_bytes();
        let usual = vector.kind == MacKind::Plain || vector.salt.len() == 16;
        if usual {
            strict += 1;
            let _proof =
                vector.verifier(Mode::Strict).verify(header, &vector.body, &mut memory).expect(&vector.name);
        } else {
            let refused =
                vector.verifier(Mode::Strict).verify(header, &vector.body, &mut memory).unwrap_err();
            assert_eq!(
                refused,
                MacRefusal::Header(HeaderError::SaltLength { found: vector.salt.len() }),
                "{}",
                vector.name
            );
            let _proof =
                vector.verifier(Mode::Lenient).verify(header, &vector.body, &mut memory).expect(&vector.name);
        }
        let secret = MacSecret::new(&vector.secret).unwrap();
        let signer = match vector.kind {
            MacKind::Plain => MacSigner::plain(vector.version.clone(), &secret),
            MacKind::Argon2 => {
                MacSigner::argon2_with_salt(vector.version.clone(), &secret, &vector.salt, &mut memory)
                    .unwrap()
            }
        };
        assert_eq!(signer.sign(&vector.body).to_string(), vector.authorization, "{}", vector.name);
    }
    assert_eq!(strict, 15, "the others have salts of 3, 8 and 32 bytes");
}

#[test]
fn another_body_or_another_secret_is_refused() {
    let vectors = vectors();
    let mut memory = KdfMemory::new().unwrap();
    let plain = &vectors[0];
    for at in 0..plain.body.len() {
        let mut body = plain.body.clone();
        body[at] ^= 1;
        let refused = plain.verifier(Mode::Strict).verify(plain.authorization.as_bytes(), &body, &mut memory);
        assert_eq!(refused, Err(MacRefusal::Mac));
    }
    let argon2 = vectors.iter().find(|vector| vector.salt.len() == 16).unwrap();
    let mut other = argon2.verifier(Mode::Lenient);
    let header = argon2.authorization.as_bytes();
    assert_eq!(other.verify(header, b"", &mut memory), Err(MacRefusal::Mac));
    other = MacVerifier::new(
        argon2.version.clone(),
        argon2.kind,
        Mode::Lenient,
        MacSecret::new(b"oftentimes rupture saxophone buzzer").unwrap(),
    );
    assert_eq!(other.verify(header, &argon2.body, &mut memory), Err(MacRefusal::Mac));
}

#[test]
fn the_longest_body_of_strict_mode_is_one_mebibyte() {
    let secret = MacSecret::new(b"foo").unwrap();
    let version = MacVersion::microcloud();
    let body = vec![7; (1 << 20) + 1];
    let header = MacSigner::plain(version.clone(), &secret).sign(&body).to_string();
    let mut memory = KdfMemory::new().unwrap();
    let verify = |mode, memory: &mut KdfMemory| {
        MacVerifier::new(version.clone(), MacKind::Plain, mode, MacSecret::new(b"foo").unwrap()).verify(
            header.as_bytes(),
            &body,
            memory,
        )
    };
    assert_eq!(verify(Mode::Strict, &mut memory), Err(MacRefusal::BodyTooLong { limit: 1 << 20 }));
    assert_eq!(verify(Mode::Lenient, &mut memory).map(|proof| proof.body_len()), Ok(body.len()));
}
