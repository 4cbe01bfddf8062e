//! Signed tokens between services, and the documents of their keys.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a check that panics has found a wrong answer"
)]

use std::sync::LazyLock;

use base64ct::{Base64UrlUnpadded, Encoding};
use core_types::{Restriction, UnixTime};
use pollster::block_on;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value as Json, json};
use token_vault::service::{KeySet, MAX_KEYS, Name, ServiceVerifier};
use token_vault::testing::{Fixture, START};
use token_vault::{Vault, VerifyContext};

/// A vault that knows of no revocation, the verifier of one issuer, and the issuer's key.
static ISSUER: LazyLock<(Vault, ServiceVerifier, Ed25519KeyPair)> = LazyLock::new(issuer);

fn issuer() -> (Vault, ServiceVerifier, Ed25519KeyPair) {
    let key = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
    let public = Base64UrlUnpadded::encode_string(key.public_key().as_ref());
    let jwks = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"{public}"}}]}}"#);
    let verifier =
        ServiceVerifier::new("https://issuer.test", "storage", KeySet::from_jwks(jwks.as_bytes()).unwrap());
    (block_on(Fixture::new()).vault, verifier, key)
}

/// The first line as the header and the second one as the claims of a token that its issuer signed, whatever they are;
/// where there is only one line, that as a token, which nobody signed.
pub(crate) fn service(input: &[u8]) -> bool {
    let (vault, verifier, key) = &*ISSUER;
    let verify = |text: &str| vault.verify_service(verifier, text, &VerifyContext::at(START));
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let (Some(header), Some(claims)) = (lines.next(), lines.next()) else {
        assert!(
            str::from_utf8(input).is_err() || verify(str::from_utf8(input).unwrap()).is_err(),
            "nobody signed it"
        );
        return false;
    };
    let encode = Base64UrlUnpadded::encode_string;
    let message = format!("{}.{}", encode(header), encode(claims));
    let text = format!("{message}.{}", encode(key.sign(message.as_bytes()).as_ref()));
    let Ok(verified) = verify(&text) else { return false };

    let header: Json = serde_json::from_slice(header).unwrap();
    assert_eq!(
        header,
        json!({"alg": "EdDSA", "kid": "k1", "typ": "plsvc+jwt"}),
        "nothing else is in the header"
    );
    let claims: Json = serde_json::from_slice(claims).unwrap();
    assert_eq!(claims.as_object().unwrap().len(), 8);
    assert_eq!(claims["iss"], "https://issuer.test");
    assert_eq!(claims["aud"], "storage");
    let [ends, begins, issued] = ["exp", "nbf", "iat"].map(|name| claims[name].as_u64().unwrap());
    let now = START.as_secs();
    assert!(begins <= now + 10 && issued <= now + 10 && now < ends && ends - issued <= 3600);
    assert_eq!(claims["jti"], verified.id().as_str());
    assert_eq!(claims["sub"], verified.subject().to_string());
    let said: Restriction = serde_json::from_value(claims["rst"].clone()).unwrap();
    assert_eq!(verified.restriction(), &said.expiring(UnixTime::from_secs(ends)));
    assert!(verify(&text.replacen('A', "B", 1)).is_err() || !text.contains('A'), "every character is signed");
    true
}

/// Documents of keys.
pub(crate) fn jwks(input: &[u8]) -> bool {
    let Ok(set) = KeySet::from_jwks(input) else { return false };
    // Of members that say nothing to us not even the alphabet is looked at.
    let Ok(document) = serde_json::from_slice::<Json>(input) else {
        assert!(str::from_utf8(input).is_err());
        return false;
    };
    let said = document["keys"].as_array().unwrap();
    assert!(said.iter().all(Json::is_object));
    let names: Vec<_> = set.iter().map(|key| key.id().as_str()).collect();
    assert!(names.len() <= said.len() && said.len() <= MAX_KEYS);
    assert!(said.iter().all(|key| key["d"].is_null() && key["k"].is_null()), "no private key is among them");
    for name in &names {
        assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "a name is there once");
        assert!(Name::new(name).is_ok() && said.iter().any(|key| key["kid"] == **name));
    }
    let written = set.to_jwks(START);
    let same = KeySet::from_jwks(written.as_bytes()).unwrap();
    assert_eq!((&same, same.to_jwks(START)), (&set, written));
    !names.is_empty()
}
