use core::fmt;
use core::future::Future;
use core::net::IpAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use core_types::Clock;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use state_store::StateStore;
use token_vault::{Challenge, CountError, FormatError, Refusal, Vault, VerifiedToken, VerifyContext};
use tower_layer::Layer;
use tower_service::Service;

use crate::count::{CountUses, Counting, Uncounted};
use crate::credential::{Credentials, Presented, take};

/// The address a request comes from: put it into the request's extensions before this layer, from the
/// connection or from a proxy of your own; never from a header that anyone can write.
///
/// Without it tokens that are bound to networks are refused, and failures are not limited by source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a value callers build")]
pub struct ClientAddress(pub IpAddr);

/// Lets requests through that present a good token, and puts the [`VerifiedToken`] into their extensions.
///
/// All others are answered here: 401, 429 or 503, with `WWW-Authenticate` or `Retry-After`, and an empty body
/// that says nothing of the reason. The credential is taken out of the request in any case.
#[derive(Clone)]
pub struct TokenLayer<C = Uncounted> {
    shared: Arc<Shared>,
    count: C,
}

struct Shared {
    vault: Vault,
    clock: Box<dyn Clock>,
    challenge: Challenge,
    credentials: Credentials,
    on_refusal: Option<OnRefusal>,
}

type OnRefusal = Box<dyn Fn(&Refusal, Option<IpAddr>) + Send + Sync>;

impl TokenLayer {
    /// A layer that asks for tokens of this vault.
    ///
    /// # Errors
    /// [`FormatError::Realm`] for a realm that needs escaping.
    pub fn new(vault: Vault, clock: impl Clock + 'static, realm: &str) -> Result<Self, FormatError> {
        let shared = Shared {
            vault,
            clock: Box::new(clock),
            challenge: Challenge::missing(realm)?,
            credentials: Credentials::Bearer,
            on_refusal: None,
        };
        Ok(Self { shared: Arc::new(shared), count: Uncounted::new() })
    }

    /// Looks for tokens elsewhere too. Before the layer is cloned; later it has no effect.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.credentials = credentials;
        }
        self
    }

    /// Tells `observer` of every refusal, with its reason: for the audit log. Before the layer is cloned;
    /// later it has no effect.
    #[must_use]
    pub fn on_refusal(mut self, observer: impl Fn(&Refusal, Option<IpAddr>) + Send + Sync + 'static) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.on_refusal = Some(Box::new(observer));
        }
        self
    }

    /// Also lets tokens through that are limited in uses, and counts them in this store.
    #[must_use]
    pub fn counting<S: StateStore>(self, store: S) -> TokenLayer<Counting<S>> {
        TokenLayer { shared: self.shared, count: Counting::new(store) }
    }
}

impl<C> fmt::Debug for TokenLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenLayer").field("credentials", &self.shared.credentials).finish_non_exhaustive()
    }
}

impl<I, C: Clone> Layer<I> for TokenLayer<C> {
    type Service = TokenService<I, C>;

    fn layer(&self, inner: I) -> TokenService<I, C> {
        TokenService { inner, layer: self.clone() }
    }
}

/// A service behind a [`TokenLayer`].
#[derive(Debug, Clone)]
pub struct TokenService<I, C = Uncounted> {
    inner: I,
    layer: TokenLayer<C>,
}

impl<I, C, B, R> Service<Request<B>> for TokenService<I, C>
where
    I: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    I::Future: Send,
    B: Send + 'static,
    R: Default + Send + 'static,
    C: CountUses,
{
    type Response = Response<R>;
    type Error = I::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, I::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let layer = self.layer.clone();
        // The service that is ready is the one to call; the clone takes its place.
        let next = self.inner.clone();
        let mut inner = core::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            match layer.authenticate(&mut request).await {
                Ok(token) => {
                    request.extensions_mut().insert(token);
                    inner.call(request).await
                }
                Err(challenge) => Ok(answer(&challenge)),
            }
        })
    }
}

impl<C: CountUses> TokenLayer<C> {
    async fn authenticate<B>(&self, request: &mut Request<B>) -> Result<VerifiedToken, Challenge>
    where
        B: Send,
    {
        let shared = &self.shared;
        // Nobody before this layer vouches for a token.
        request.extensions_mut().remove::<VerifiedToken>();
        let client = request.extensions().get::<ClientAddress>().map(|address| address.0);
        let presented = take(request.headers_mut(), shared.credentials);
        let context = VerifyContext::at(shared.clock.now());
        let context = client.map_or(context, |client| context.from_client(client));
        let outcome = match &presented {
            Presented::Nothing => return Err(shared.challenge.clone()),
            // An unreadable credential is a failure like any other.
            Presented::Unclear => self.count.verify(&shared.vault, "", &context).await,
            Presented::Token(value) => {
                self.count.verify(&shared.vault, value.to_str().unwrap_or(""), &context).await
            }
        };
        outcome.map_err(|error| match error {
            CountError::Refused(refusal) => {
                if let Some(observer) = &shared.on_refusal {
                    observer(&refusal, client);
                }
                shared.challenge.clone().refused(&refusal)
            }
            _ => shared.challenge.clone().unavailable(),
        })
    }
}

fn answer<R: Default>(challenge: &Challenge) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() =
        StatusCode::from_u16(challenge.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let www = challenge.www_authenticate().and_then(|value| HeaderValue::from_str(&value).ok());
    if let Some(value) = www {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    if let Some(seconds) = challenge.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
