//! The same job by others: a credential read, checked, and its claims known.

use crate::turns::Operation;

#[derive(serde::Serialize, serde::Deserialize)]
struct Claims {
    sub: String,
    aud: String,
    scope: String,
    exp: u64,
}

pub(crate) fn all() -> Vec<Operation<'static>> {
    let mut all = jsonwebtoken();
    all.extend([prefixed_api_key(), macaroon(), biscuit_auth(), pasetors()]);
    all
}

fn jsonwebtoken() -> Vec<Operation<'static>> {
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
    let claims = Claims {
        sub: "usr_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D".into(),
        aud: "palisade".into(),
        scope: "apps:* at org/acme/project/p1".into(),
        exp: 4_000_000_000,
    };
    let random = ring::rand::SystemRandom::new();
    let pkcs8 = ring::signature::Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let pair = ring::signature::Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let public = ring::signature::KeyPair::public_key(&pair).as_ref().to_vec();
    let kinds = [
        (
            "jsonwebtoken/HS256",
            64,
            Algorithm::HS256,
            EncodingKey::from_secret(&[7; 32]),
            DecodingKey::from_secret(&[7; 32]),
        ),
        (
            "jsonwebtoken/EdDSA",
            8,
            Algorithm::EdDSA,
            EncodingKey::from_ed_der(pkcs8.as_ref()),
            DecodingKey::from_ed_der(&public),
        ),
    ];
    kinds
        .into_iter()
        .map(|(name, calls, algorithm, sign, key)| {
            let token = encode(&Header::new(algorithm), &claims, &sign).unwrap();
            let mut validation = Validation::new(algorithm);
            validation.set_audience(&["palisade"]);
            Operation::new(
                name,
                calls,
                move || token.clone(),
                move |token| decode::<Claims>(token, &key, &validation).unwrap(),
            )
        })
        .collect()
}

fn prefixed_api_key() -> Operation<'static> {
    use prefixed_api_key::{PrefixedApiKey, PrefixedApiKeyController};
    let controller =
        PrefixedApiKeyController::configure().prefix("acme".to_owned()).seam_defaults().finalize().unwrap();
    let (key, hash) = controller.generate_key_and_hash();
    let text = key.to_string();
    Operation::new(
        "prefixed-api-key/read and check, no look-up",
        64,
        move || text.clone(),
        move |text| {
            let key = PrefixedApiKey::from_string(text).unwrap();
            assert!(controller.check_hash(&key, &hash));
        },
    )
}

fn macaroon() -> Operation<'static> {
    use macaroon::{Macaroon, MacaroonKey, Verifier};
    macaroon::initialize().unwrap();
    let key = MacaroonKey::generate(b"a root key");
    let mut macaroon = Macaroon::create(None, &key, "token-1".into()).unwrap();
    macaroon.add_first_party_caveat("scope = org/acme/project/p1".into());
    let text = macaroon.serialize(macaroon::Format::V2).unwrap();
    let mut verifier = Verifier::default();
    verifier.satisfy_exact("scope = org/acme/project/p1".into());
    Operation::new(
        "macaroon/1 caveat",
        32,
        move || text.clone(),
        move |text| {
            let macaroon = Macaroon::deserialize(text).unwrap();
            verifier.verify(&macaroon, &key, Vec::new()).unwrap();
        },
    )
}

fn biscuit_auth() -> Operation<'static> {
    use biscuit_auth::macros::{authorizer, biscuit};
    use biscuit_auth::{Biscuit, KeyPair};
    let root = KeyPair::new();
    let token = biscuit!(r#"right("apps", "read"); check if time($t), $t < 2096-01-01T00:00:00Z;"#)
        .build(&root)
        .unwrap();
    let text = token.to_base64().unwrap();
    Operation::new(
        "biscuit-auth/signature and authorize",
        4,
        move || text.clone(),
        move |text| {
            let token = Biscuit::from_base64(text, root.public()).unwrap();
            let mut authorizer =
                authorizer!(r#"time(2026-01-01T00:00:00Z); allow if right("apps", "read");"#)
                    .build(&token)
                    .unwrap();
            authorizer.authorize().is_ok()
        },
    )
}

fn pasetors() -> Operation<'static> {
    use pasetors::claims::{Claims, ClaimsValidationRules};
    use pasetors::keys::{AsymmetricKeyPair, Generate};
    use pasetors::{Public, public, token::UntrustedToken, version4::V4};
    let pair = AsymmetricKeyPair::<V4>::generate().unwrap();
    let claims = Claims::new_expires_in(&core::time::Duration::from_secs(86_400)).unwrap();
    let text = public::sign(&pair.secret, &claims, None, None).unwrap();
    let rules = ClaimsValidationRules::new();
    Operation::new(
        "pasetors/v4.public",
        8,
        move || text.clone(),
        move |text| {
            let token = UntrustedToken::<Public, V4>::try_from(text).unwrap();
            public::verify(&pair.public, &token, &rules, None, None).unwrap()
        },
    )
}
