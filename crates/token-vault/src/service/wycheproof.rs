//! Vectors of others: signatures that must hold, and such as must not. Here, and not among the tests of the public
//! API, because they sign texts that are no tokens.

use core_types::UnixTime;
use serde::Deserialize;
use serde_json::Value;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnyHeader {
    alg: Box<str>,
    kid: Option<Box<str>>,
}

/// What [`ServiceVerifier::open`] does before it looks at the claims, but for `typ`.
fn holds(keys: &KeySet, jws: &str) -> bool {
    let checked = || {
        let (header, claims, message, signature) = split(jws)?;
        let header: AnyHeader = parse(header)?;
        base64url::decode(claims)?;
        let key = keys.pinned(header.kid.as_deref().unwrap_or("only"), &header.alg)?;
        key.check(message, signature).ok()
    };
    checked().is_some()
}

fn groups(file: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(file).unwrap();
    document["testGroups"].as_array().unwrap().clone()
}

fn set(keys: &Value) -> Result<KeySet, ServiceError> {
    KeySet::from_jwks(keys.to_string().as_bytes())
}

#[test]
fn signatures_by_es256_hold_or_do_not_as_wycheproof_says() {
    let mut checked = 0;
    for group in groups(include_str!("../../tests/vectors/wycheproof/json_web_signature_es256.json")) {
        let keys = set(&serde_json::json!({"keys": [group["public"]]})).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let jws = test["jws"].as_str().unwrap();
            let expected = test["result"] == "valid";
            assert_eq!(holds(&keys, jws), expected, "{}: {}", test["tcId"], test["comment"]);
            let whole = ServiceVerifier::new("issuer", "audience", keys.clone());
            assert!(whole.open(jws, UnixTime::from_secs(1)).is_err(), "{}", test["tcId"]);
            checked += 1;
        }
    }
    assert_eq!(checked, 38);
}

#[test]
fn keys_that_wycheproof_refuses_verify_nothing() {
    let mut checked = 0;
    for group in groups(include_str!("../../tests/vectors/wycheproof/json_web_key.json")) {
        for test in group["tests"].as_array().unwrap() {
            assert_eq!(test["result"], "invalid");
            let jws = test["jws"].as_str().unwrap();
            assert!(!set(&group["public"]).is_ok_and(|keys| holds(&keys, jws)), "{}", test["tcId"]);
            checked += 1;
        }
        if !group["private"].is_null() {
            assert_eq!(set(&group["private"]), Err(ServiceError::Keys), "a private key is among them");
        }
    }
    assert_eq!(checked, 10);
}

#[test]
fn the_signature_of_rfc_8037_holds_and_no_other() {
    let vector: Value = serde_json::from_str(include_str!("../../tests/vectors/rfc8037.json")).unwrap();
    let mut key = vector["public"].clone();
    key["kid"] = "only".into();
    let keys = set(&serde_json::json!({"keys": [key]})).unwrap();
    let jws = vector["jws"].as_str().unwrap();
    assert!(holds(&keys, jws));
    let payload_at = jws.find('.').unwrap() + 1;
    for at in payload_at..jws.len() {
        let mut changed = jws.to_owned();
        let other = if changed.get(at..=at) == Some("A") { "B" } else { "A" };
        changed.replace_range(at..=at, other);
        assert!(!holds(&keys, &changed), "character {at}");
    }
}
