//! What gets through the layer, and what comes back of the rest.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use core_types::testing::TestClock;
use http::{Request, Response};
use pollster::block_on;
use token_vault::testing::{Fixture, START, owner, pepper, request};
use token_vault::{FailureLimit, Peppers, RefusalReason, Vault, VerifiedToken};
use token_vault_tower::{ClientAddress, Credentials, TokenLayer};
use tower_layer::Layer;
use tower_service::Service;

/// Answers with everything it can see of a request.
#[derive(Clone)]
struct Mirror;

impl Service<Request<()>> for Mirror {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let who = request.extensions().get::<VerifiedToken>().map(|token| token.id().to_string());
        ready(Ok(Response::new(format!("{who:?} {request:?}"))))
    }
}

#[test]
fn a_good_token_gets_through_and_its_text_does_not() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, id) = fixture.issue_plain().await;
        let layer = layer(fixture.vault.clone()).with_credentials(Credentials::BearerOrApiKey);
        for (name, value) in [
            ("authorization", format!("Bearer {token}")),
            ("authorization", format!("bEARER {token}")),
            ("x-api-key", token.clone()),
        ] {
            let answer = call(&layer, &[(name, &value)], None).await;
            assert_eq!(answer.status(), 200);
            assert!(answer.body().contains(&id.to_string()));
            assert!(!answer.body().contains(token.get(34..42).unwrap()), "{}", answer.body());
        }
    });
}

#[test]
fn without_a_credential_there_is_a_challenge_and_with_a_bad_one_an_error_code() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = fixture.issue_plain().await;
        let layer = layer(fixture.vault.clone());
        let answer = call(&layer, &[], None).await;
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.headers()["www-authenticate"], r#"Bearer realm="palisade""#);
        let bearer = format!("Bearer {token}");
        let basic = format!("Basic {token}");
        let two_spaces = format!("Bearer  {token}");
        for headers in [
            &[("authorization", "Bearer nonsense")][..],
            &[("authorization", "Bearer")],
            &[("authorization", &basic)],
            &[("authorization", &two_spaces)],
            &[("authorization", &bearer), ("authorization", &bearer)],
        ] {
            let answer = call(&layer, headers, None).await;
            assert_eq!(answer.status(), 401);
            let expected = r#"Bearer realm="palisade", error="invalid_token""#;
            assert_eq!(answer.headers()["www-authenticate"], expected);
            assert!(answer.body().is_empty());
        }
        let key_only = call(&layer, &[("x-api-key", &token)], None).await;
        assert_eq!(key_only.headers()["www-authenticate"], r#"Bearer realm="palisade""#);
    });
}

#[test]
fn two_credentials_are_refused_even_if_both_are_good() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = fixture.issue_plain().await;
        let layer = layer(fixture.vault.clone()).with_credentials(Credentials::BearerOrApiKey);
        let bearer = format!("Bearer {token}");
        let answer = call(&layer, &[("authorization", &bearer), ("x-api-key", &token)], None).await;
        assert_eq!(answer.status(), 401);
    });
}

#[test]
fn the_observer_hears_the_reason_and_the_remote_side_does_not() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = fixture.issue_plain().await;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        let layer = layer(fixture.vault.clone())
            .on_refusal(move |refusal, client| log.lock().unwrap().push((refusal.reason(), client)));
        let wrong_kind = format!("Bearer {}", token.replace("testpat", "testkey"));
        let client = "192.0.2.1".parse().unwrap();
        let one = call(&layer, &[("authorization", &wrong_kind)], Some(client)).await;
        let two = call(&layer, &[("authorization", "Bearer x")], None).await;
        assert_eq!(format!("{one:?}"), format!("{two:?}"));
        let expected = [(RefusalReason::Kind, Some(client)), (RefusalReason::Malformed, None)];
        assert_eq!(*heard.lock().unwrap(), expected);
    });
}

#[test]
fn a_source_that_fails_too_often_is_told_when_to_come_back() {
    block_on(async {
        let fixture = Fixture::new().await;
        let limit = FailureLimit { burst: 1, interval: Duration::from_secs(30) };
        let peppers = Peppers::new(&pepper(1));
        let vault = Vault::builder(fixture.vault.replica().clone(), fixture.vault.format().clone(), peppers)
            .with_failure_limit(limit)
            .build();
        let layer = layer(vault);
        let client = Some("192.0.2.1".parse().unwrap());
        assert_eq!(call(&layer, &[("authorization", "Bearer x")], client).await.status(), 401);
        let answer = call(&layer, &[("authorization", "Bearer x")], client).await;
        assert_eq!(answer.status(), 429);
        assert!(answer.headers().contains_key("retry-after"));
    });
}

#[test]
fn counted_tokens_need_a_layer_that_counts() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let once = request(owner(&fixture.random)).limited_to_uses(1);
        let (token, _) = fixture.issue(once).await;
        let bearer = format!("Bearer {token}");
        let plain = layer(fixture.vault.clone());
        assert_eq!(call(&plain, &[("authorization", &bearer)], None).await.status(), 401);
        let counting = layer(fixture.vault.clone()).counting(fixture.store.clone());
        assert_eq!(call(&counting, &[("authorization", &bearer)], None).await.status(), 200);
        assert_eq!(call(&counting, &[("authorization", &bearer)], None).await.status(), 401);
    });
}

fn layer(vault: Vault) -> TokenLayer {
    TokenLayer::new(vault, TestClock::at(START), "palisade").unwrap()
}

async fn call<C: token_vault_tower::CountUses>(
    layer: &TokenLayer<C>,
    headers: &[(&str, &str)],
    client: Option<std::net::IpAddr>,
) -> Response<String> {
    let mut request = Request::get("/").body(()).unwrap();
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    if let Some(client) = client {
        request.extensions_mut().insert(ClientAddress(client));
    }
    layer.layer(Mirror).call(request).await.unwrap()
}
