//! The headers of requests.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::LazyLock;
use std::task::{Context, Poll};

use core_types::testing::TestClock;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use pollster::block_on;
use token_vault::testing::{Fixture, START};
use token_vault::{Vault, VerifiedToken};
use token_vault_tower::{Credentials, TokenLayer, X_API_KEY};
use tower_layer::Layer;
use tower_service::Service;

/// A vault, and a good token of it.
static VAULT: LazyLock<(Vault, String)> = LazyLock::new(|| {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = fixture.issue_plain().await;
        (fixture.vault, token)
    })
});

/// Lets everything through, and says which headers it saw.
#[derive(Clone)]
struct Behind;

impl Service<Request<()>> for Behind {
    type Response = Response<Option<Vec<HeaderName>>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        assert!(request.extensions().get::<VerifiedToken>().is_some(), "nothing gets here without a token");
        ready(Ok(Response::new(Some(request.headers().keys().cloned().collect()))))
    }
}

/// A line is a header, `name: value`, in which `$` stands for a good token; what is no header is passed over.
pub(crate) fn headers(input: &[u8]) -> bool {
    let (vault, token) = &*VAULT;
    let mut request = Request::new(());
    for line in input.split(|byte| *byte == b'\n').take(8) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b": ").unwrap_or_default();
        let value = value.split(|byte| *byte == b'$').collect::<Vec<_>>().join(token.as_bytes());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(&value)) {
            request.headers_mut().append(name, value);
        }
    }
    let values = |name| request.headers().get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    let (bearers, keys) = (values(AUTHORIZATION), values(X_API_KEY));
    // One credential, and that a good one: several are not weighed against each other.
    let is_good = |bearer: &[u8]| {
        let parts = bearer.split_first_chunk::<7>();
        parts
            .is_some_and(|(scheme, rest)| scheme.eq_ignore_ascii_case(b"bearer ") && rest == token.as_bytes())
    };
    let by_bearer = matches!(bearers[..], [bearer] if is_good(bearer));
    let by_key = bearers.is_empty() && matches!(keys[..], [key] if key == token.as_bytes());
    let bearer_only = answered(vault, Credentials::Bearer, request.clone());
    assert_eq!(bearer_only, by_bearer);
    let either = answered(vault, Credentials::BearerOrApiKey, request.clone());
    assert_eq!(either, by_key || (by_bearer && keys.is_empty()));
    bearer_only || either
}

/// Whether the request got through.
#[expect(clippy::unwrap_used, reason = "constants, and a service that always answers")]
fn answered(vault: &Vault, credentials: Credentials, request: Request<()>) -> bool {
    let layer = TokenLayer::new(vault.clone(), TestClock::at(START), "palisade").unwrap();
    let layer = layer.with_credentials(credentials);
    let response = block_on(layer.layer(Behind).call(request)).unwrap();
    let challenge = response.headers().get(WWW_AUTHENTICATE);
    match response.body() {
        Some(seen) => {
            assert_eq!((response.status(), challenge), (StatusCode::OK, None));
            assert!(!seen.contains(&AUTHORIZATION), "nothing behind the layer sees the credential");
            assert!(credentials == Credentials::Bearer || !seen.contains(&X_API_KEY));
            true
        }
        None => {
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            assert!(challenge.is_some_and(|challenge| challenge.as_bytes().starts_with(b"Bearer realm=")));
            false
        }
    }
}
