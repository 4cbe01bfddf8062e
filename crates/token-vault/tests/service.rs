//! Signed tokens: RFC 8725 item by item, key rotation, revocation.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use core_types::{Limit, Principal, SecretBytes, Subject, SystemRandom, UnixTime, UserId};
use pollster::block_on;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use token_vault::service::{
    KeySet, MAX_LEEWAY, MAX_LIFETIME, Name, ServiceRequest, ServiceSigner, ServiceVerifier,
};
use token_vault::testing::{Fixture, START, restriction};
use token_vault::vault::Many;
use token_vault::{RefusalReason, RevocationReason, ServiceError, VerifyContext};

#[test]
fn a_signed_token_is_accepted_with_its_subject_and_its_restriction() {
    block_on(async {
        let fixture = Fixture::new().await;
        let text = sign(&signer("k1", 1), &request(HOUR));
        let verified = fixture.vault.verify_service(&verifier(), &text, &fixture.context()).unwrap();
        assert_eq!(verified.subject(), subject());
        let end = START.saturating_add(HOUR);
        assert_eq!(verified.restriction(), &restriction("apps:*", "project/web").expiring(end));
    });
}

// RFC 8725, 3.1 and 3.2: the algorithm is the key's, and only good ones are known.
#[test]
fn the_key_decides_the_algorithm() {
    let good = header();
    for alg in ["none", "HS256", "RS256", "ES256", "eddsa", "EdDSA ", ""] {
        let mut header = good.clone();
        header["alg"] = json!(alg);
        assert_eq!(refused(&forge(&header, &claims())), RefusalReason::Unknown, "{alg}");
    }
    // The classic: an HMAC under the public key's bytes.
    let public = pair(1).public_key().as_ref().to_vec();
    let mut header = good;
    header["alg"] = json!("HS256");
    let message = message(&header, &claims());
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &public), message.as_bytes());
    let forged = format!("{message}.{}", Base64UrlUnpadded::encode_string(tag.as_ref()));
    assert_eq!(refused(&forged), RefusalReason::Unknown);
}

// 3.3: every signature is checked.
#[test]
fn any_flipped_bit_and_any_wrong_length_is_refused() {
    let good = forge(&header(), &claims());
    assert!(accepted(&good));
    for at in 0..good.len() {
        for bit in 0..7 {
            let mut bytes = good.clone().into_bytes();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
            assert!(!accepted(&String::from_utf8(bytes).unwrap()), "bit {bit} of byte {at}");
        }
        assert!(!accepted(good.get(..at).unwrap()));
    }
    for wrong in
        [format!("{good}="), format!("{good}."), format!(".{good}"), format!("{good}.{good}"), "..".into()]
    {
        assert!(!accepted(&wrong), "{wrong}");
    }
    let (message, _) = good.rsplit_once('.').unwrap();
    assert_eq!(refused(&format!("{message}.")), RefusalReason::Secret, "no signature at all");
}

// 3.4: what goes into the cryptography is validated.
#[test]
fn keys_that_are_no_points_are_refused() {
    let off_curve = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k1", "alg": "ES256",
        "x": Base64UrlUnpadded::encode_string(&[1; 32]), "y": Base64UrlUnpadded::encode_string(&[1; 32])}]});
    let keys = KeySet::from_jwks(off_curve.to_string().as_bytes()).unwrap();
    let mut header = header();
    header["alg"] = json!("ES256");
    let verifier = ServiceVerifier::new("issuer", "audience", keys);
    assert_eq!(reason(&verifier, &forge(&header, &claims()), START), Some(RefusalReason::Secret));
}

// 3.5 is the seed's 256 bits. 3.6 and 3.10: nothing else in a header is heeded, compression and keys included.
#[test]
fn a_header_has_exactly_its_three_members() {
    for (name, value) in [
        ("zip", json!("DEF")),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"})),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
    ] {
        let mut header = header();
        header[name] = value;
        assert_eq!(refused(&forge(&header, &claims())), RefusalReason::Malformed, "{name}");
    }
    for name in ["alg", "kid", "typ"] {
        let mut header = header();
        header.as_object_mut().unwrap().remove(name);
        assert_eq!(refused(&forge(&header, &claims())), RefusalReason::Malformed, "{name}");
    }
    let twice = r#"{"alg":"none","alg":"EdDSA","kid":"k1","typ":"plsvc+jwt"}"#;
    assert_eq!(refused(&forge_text(twice, &claims().to_string())), RefusalReason::Malformed);
    for kid in ["../../etc/passwd", "' or 1=1", "k2", ""] {
        let mut header = header();
        header["kid"] = json!(kid);
        assert_eq!(refused(&forge(&header, &claims())), RefusalReason::Unknown, "{kid}");
    }
}

// One spelling: serde would take the members in a row for an object of them.
#[test]
fn an_array_is_no_object_anywhere() {
    let array = r#"["EdDSA","k1","plsvc+jwt"]"#;
    assert_eq!(refused(&forge_text(array, &claims().to_string())), RefusalReason::Malformed);
    let members = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "rst"];
    let in_a_row: Vec<Value> = members.iter().map(|name| claims()[name].clone()).collect();
    assert_eq!(refused(&forge(&header(), &json!(in_a_row))), RefusalReason::Malformed);
    let mut claims = claims();
    let restriction = claims["rst"].clone();
    claims["rst"] = restriction.as_object().unwrap().values().cloned().collect();
    assert_eq!(refused(&forge(&header(), &claims)), RefusalReason::Malformed);
    for behind in ["", " ", "{}", "x"] {
        let text = format!("{}{behind}", header());
        let outcome = accepted(&forge_text(&text, &self::claims().to_string()));
        assert_eq!(outcome, behind.trim().is_empty(), "{behind:?}");
    }
    let set = KeySet::new([signer("k1", 1).verifying_key()]).unwrap().to_jwks(START);
    let set: Value = serde_json::from_str(&set).unwrap();
    let key = &set["keys"][0];
    let row = json!([key["kty"], key["crv"], key["x"], null, key["kid"], "EdDSA", "sig", null, null, null]);
    for wrong in [json!([set["keys"]]), json!({"keys": [row]})] {
        assert_eq!(KeySet::from_jwks(wrong.to_string().as_bytes()), Err(ServiceError::Keys), "{wrong}");
    }
}

// 3.7: UTF-8 only, and one spelling of base64url.
#[test]
fn what_is_not_utf8_or_not_canonical_is_refused() {
    let encode = Base64UrlUnpadded::encode_string;
    let header = encode(header().to_string().as_bytes());
    let mut claims_bytes = claims().to_string().into_bytes();
    claims_bytes.push(0xff);
    let message = format!("{header}.{}", encode(&claims_bytes));
    let signature = encode(pair(1).sign(message.as_bytes()).as_ref());
    assert_eq!(refused(&format!("{message}.{signature}")), RefusalReason::Malformed);
    assert_eq!(refused(&forge_text(&format!("{} ", crate::header()), "[]")), RefusalReason::Malformed);
}

// 3.8 and 3.9: issuer, subject and audience.
#[test]
fn issuer_subject_and_audience_are_exactly_those_expected() {
    for (name, value, expected) in [
        ("iss", json!("other"), RefusalReason::Audience),
        ("aud", json!("other"), RefusalReason::Audience),
        ("aud", json!(["audience"]), RefusalReason::Malformed),
        ("sub", json!("someone"), RefusalReason::Malformed),
        ("jti", json!("not a name"), RefusalReason::Malformed),
        ("rst", json!({}), RefusalReason::Malformed),
    ] {
        let mut claims = claims();
        claims[name] = value;
        assert_eq!(refused(&forge(&header(), &claims)), expected, "{name}");
    }
    for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "rst"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(refused(&forge(&header(), &claims)), RefusalReason::Malformed, "{name}");
    }
    let mut more = claims();
    more["admin"] = json!(true);
    assert_eq!(refused(&forge(&header(), &more)), RefusalReason::Malformed);
}

// 3.11 and 3.12: one type, which nothing else has.
#[test]
fn tokens_of_another_type_are_refused() {
    for typ in ["JWT", "at+jwt", "PLSVC+JWT", "application/plsvc+jwt"] {
        let mut header = header();
        header["typ"] = json!(typ);
        assert_eq!(refused(&forge(&header, &claims())), RefusalReason::Kind, "{typ}");
    }
}

#[test]
fn times_are_kept_with_bounded_leeway_and_none_at_the_end() {
    let text = forge(&header(), &claims());
    let at = |millis: u64| reason(&verifier(), &text, UnixTime::from_millis(millis));
    let (start, end) = (START.as_millis(), START.as_millis() + 3_600_000);
    assert_eq!(at(start - 10_000), None, "ten seconds of leeway");
    assert_eq!(at(start - 10_001), Some(RefusalReason::NotYet));
    assert_eq!((at(end - 1), at(end)), (None, Some(RefusalReason::Expired)));
    let generous = verifier().with_leeway(Duration::from_secs(9999));
    let early = START.saturating_sub(MAX_LEEWAY + Duration::from_millis(1));
    assert_eq!(reason(&generous, &text, early), Some(RefusalReason::NotYet));
    for (name, value) in [
        ("exp", json!(START.as_secs() + 3601)),
        ("exp", json!(START.as_secs() - 1)),
        ("exp", json!(1e10)),
        ("exp", json!("1700000000")),
        ("iat", json!(-1)),
        ("nbf", json!(START.as_secs() + 3600)),
        ("nbf", json!(null)),
    ] {
        let mut claims = claims();
        claims[name] = value.clone();
        assert_eq!(refused(&forge(&header(), &claims)), RefusalReason::Malformed, "{name}: {value}");
    }
}

#[test]
fn what_should_not_be_signed_is_not_signed() {
    let random = SystemRandom::new();
    let mut nothing = request(HOUR);
    nothing.restriction = core_types::Restriction::nothing();
    let mut nameless = request(HOUR);
    nameless.issuer = "";
    let too_long = request(MAX_LIFETIME + Duration::from_secs(1));
    for request in [nothing, nameless, too_long, request(Duration::ZERO)] {
        assert_eq!(signer("k1", 1).sign(&request, START, &random).unwrap_err(), ServiceError::Claims);
    }
}

#[test]
fn keys_rotate_with_an_overlap_and_travel_as_jwks() {
    let (old, new) = (signer("k1", 1), signer("k2", 2));
    let retires = START.saturating_add(Duration::from_secs(100));
    let keys = KeySet::new([old.verifying_key().retiring(retires), new.verifying_key()]).unwrap();
    let verifier = ServiceVerifier::new("issuer", "audience", keys.clone());
    let (by_old, by_new) = (sign(&old, &request(HOUR)), sign(&new, &request(HOUR)));
    assert_eq!((reason(&verifier, &by_old, START), reason(&verifier, &by_new, START)), (None, None));
    assert_eq!(reason(&verifier, &by_old, retires), Some(RefusalReason::Unknown));
    assert_eq!(reason(&verifier, &by_new, retires), None);

    let document = keys.to_jwks(retires);
    assert!(!document.contains("k1") && !document.contains("\"d\""));
    let read = KeySet::from_jwks(document.as_bytes()).unwrap();
    assert_eq!(read.iter().collect::<Vec<_>>(), [&new.verifying_key()]);
    assert!(KeySet::new([old.verifying_key(), old.verifying_key()]).is_err());
}

#[test]
fn foreign_key_documents_are_read_strictly() {
    // RFC 8037, appendix A.2.
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let key = |more: Value| {
        let mut key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": x});
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        KeySet::from_jwks(json!({"keys": [key]}).to_string().as_bytes()).map(|set| set.iter().count())
    };
    assert_eq!(key(json!({"use": "sig", "key_ops": ["verify"], "x5t": "whatever"})), Ok(1));
    for other in [
        json!({"use": "enc"}),
        json!({"key_ops": ["sign"]}),
        json!({"alg": "ES256"}),
        json!({"crv": "X25519"}),
    ] {
        assert_eq!(key(other), Ok(0), "left out");
    }
    let private = json!({"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"});
    for bad in [private, json!({"k": "AA"}), json!({"x": "AA"}), json!({"kid": "a b"}), json!({"kid": null})]
    {
        assert!(key(bad.clone()).is_err(), "{bad}");
    }
    let many: Vec<_> =
        (0..65).map(|n| json!({"kty": "OKP", "crv": "Ed25519", "kid": n.to_string(), "x": x})).collect();
    assert!(KeySet::from_jwks(json!({"keys": many}).to_string().as_bytes()).is_err());
    assert!(KeySet::from_jwks(b"[]").is_err());
}

#[test]
fn es256_is_read() {
    let random = ring::rand::SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let point = pair.public_key().as_ref();
    let encode = Base64UrlUnpadded::encode_string;
    let document = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k1",
        "x": encode(point.get(1..33).unwrap()), "y": encode(point.get(33..).unwrap())}]});
    let keys = KeySet::from_jwks(document.to_string().as_bytes()).unwrap();
    let round = KeySet::from_jwks(keys.to_jwks(START).as_bytes()).unwrap();
    assert_eq!(round, keys);
    let mut header = header();
    header["alg"] = json!("ES256");
    let message = message(&header, &claims());
    let signature = encode(pair.sign(&random, message.as_bytes()).unwrap().as_ref());
    let verifier = ServiceVerifier::new("issuer", "audience", keys);
    assert_eq!(reason(&verifier, &format!("{message}.{signature}"), START), None);
    assert_eq!(reason(&verifier, &forge(&header, &claims()), START), Some(RefusalReason::Secret));
}

#[test]
fn tokens_and_keys_are_revoked_by_their_names_and_subjects_by_theirs() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let by = Principal::subject(subject());
        let why = RevocationReason::Leaked;
        let random = SystemRandom::new();
        let signer = signer("k1", 1);
        let signed = signer.sign(&request(HOUR), START, &random).unwrap();
        let (jti, ends) = (signed.id().clone(), signed.expires_at());
        let (one, two) = (signed.expose_once(str::to_owned), sign(&signer, &request(HOUR)));
        let check = |fixture: &Fixture, text: &str| {
            fixture.vault.verify_service(&verifier(), text, &fixture.context()).err().map(|no| no.reason())
        };
        let plan = fixture.vault.plan_revoke_service_token(&jti, ends, by, why, START).unwrap();
        fixture.commit(plan.batch).await;
        assert_eq!((check(&fixture, &one), check(&fixture, &two)), (Some(RefusalReason::Revoked), None));
        // The tombstone goes a day after the token's end.
        let later = ends.saturating_add(token_vault::vault::PURGE_AFTER);
        assert!(fixture.vault.plan_purge(UnixTime::from_millis(later.as_millis() - 1)).is_err());
        assert!(fixture.vault.plan_purge(later).is_ok());

        let many = Many::OwnedBy(subject());
        let plan = fixture.vault.plan_revoke_many(&many, Limit::Unlimited, by, why, START).unwrap();
        fixture.commit(plan.batch).await;
        assert_eq!(check(&fixture, &two), Some(RefusalReason::OwnerRevoked));
        fixture.clock.advance(Duration::from_secs(1));
        let three = signer.sign(&request(HOUR), fixture.now(), &random).unwrap().expose_once(str::to_owned);
        assert_eq!(check(&fixture, &three), None);

        let kid = Name::new("k1").unwrap();
        let plan = fixture.vault.plan_revoke_service_key(&kid, by, why, START).unwrap();
        fixture.commit(plan.batch).await;
        assert_eq!(check(&fixture, &three), Some(RefusalReason::Revoked));
    });
}

fn header() -> Value {
    json!({"alg": "EdDSA", "kid": "k1", "typ": "plsvc+jwt"})
}

fn claims() -> Value {
    let start = START.as_secs();
    json!({
        "iss": "issuer", "sub": subject().to_string(), "aud": "audience", "jti": "j1",
        "iat": start, "nbf": start, "exp": start.saturating_add(3600),
        "rst": serde_json::to_value(restriction("apps:*", "project/web")).unwrap(),
    })
}

fn message(header: &Value, claims: &Value) -> String {
    message_text(&header.to_string(), &claims.to_string())
}

fn message_text(header: &str, claims: &str) -> String {
    let encode = Base64UrlUnpadded::encode_string;
    format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()))
}

/// Rightly signed by the first key, whatever it says.
fn forge(header: &Value, claims: &Value) -> String {
    forge_text(&header.to_string(), &claims.to_string())
}

fn forge_text(header: &str, claims: &str) -> String {
    let message = message_text(header, claims);
    let signature = Base64UrlUnpadded::encode_string(pair(1).sign(message.as_bytes()).as_ref());
    format!("{message}.{signature}")
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn signer(kid: &str, seed: u8) -> ServiceSigner {
    ServiceSigner::new(Name::new(kid).unwrap(), &SecretBytes::take_from(&mut [seed; 32])).unwrap()
}

fn verifier() -> ServiceVerifier {
    ServiceVerifier::new("issuer", "audience", KeySet::new([signer("k1", 1).verifying_key()]).unwrap())
}

fn request(lifetime: Duration) -> ServiceRequest<'static> {
    let restriction = restriction("apps:*", "project/web");
    ServiceRequest { issuer: "issuer", audience: "audience", subject: subject(), restriction, lifetime }
}

fn sign(signer: &ServiceSigner, request: &ServiceRequest<'_>) -> String {
    signer.sign(request, START, &SystemRandom::new()).unwrap().expose_once(str::to_owned)
}

fn subject() -> Subject {
    Subject::User(UserId::from_bytes([7; 16]))
}

fn reason(verifier: &ServiceVerifier, text: &str, now: UnixTime) -> Option<RefusalReason> {
    block_on(async {
        let fixture = Fixture::new().await;
        let context = VerifyContext::at(now);
        fixture.vault.verify_service(verifier, text, &context).err().map(|refusal| refusal.reason())
    })
}

fn refused(text: &str) -> RefusalReason {
    reason(&verifier(), text, START).unwrap()
}

fn accepted(text: &str) -> bool {
    reason(&verifier(), text, START).is_none()
}

const HOUR: Duration = Duration::from_secs(3600);
