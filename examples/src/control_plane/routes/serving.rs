//! How calls are served: each behind the layer that records it, in a task of its own.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use audit_log::event::Escaped;
use audit_log_tower::{Audit, InventoryError, TrustedProxies};
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use core_types::SystemRandom;
use state_store::StateStore;
use tokio::time::Instant;

use crate::control_plane::MAX_BODY_BYTES;
use crate::control_plane::api_error::ApiError;
use crate::control_plane::endpoint::{self, Endpoint};
use crate::control_plane::facts::Credential;
use crate::control_plane::gate::PlaneGate;
use crate::control_plane::startup::StartError;
use crate::control_plane::state::ControlPlane;

/// What records every call.
pub(super) fn audit<S: StateStore>(
    plane: &Arc<ControlPlane<S>>,
    proxies: TrustedProxies,
) -> Result<Audit<PlaneGate<S>>, StartError> {
    let gate = PlaneGate { plane: Arc::clone(plane) };
    let audit =
        Audit::new(plane.journal.log(), endpoint::inventory()?, gate, plane.clock, SystemRandom::new());
    Ok(audit
        .with_peer(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip()))
        .with_proxies(proxies)
        .with_timer(|| {
            static START: LazyLock<Instant> = LazyLock::new(Instant::now);
            START.elapsed()
        })
        .with_mirror(|call| {
            let reason = call.completion.reason().map(|reason| Escaped::new(reason).to_string());
            tracing::info!(
                sequence = call.sequence,
                actor = %call.intent.actor(),
                action = %call.intent.action(),
                request_id = call.intent.request().map(|request| request.to_string()),
                outcome = %call.completion.outcome(),
                reason,
                "recorded"
            );
        }))
}

/// Carries a request out in a task of its own: a client that goes away does not leave it half done.
pub(super) async fn detached(request: Request, next: Next) -> Response {
    let work = tokio::spawn(next.run(request));
    work.await.unwrap_or_else(|_| ApiError::internal().into_response_for(""))
}

/// The routes so far.
pub(super) struct Routes<S: StateStore> {
    router: Router<Arc<ControlPlane<S>>>,
    audit: Audit<PlaneGate<S>>,
    // The first route that got no layer.
    refused: Option<InventoryError>,
}

type Route<S> = MethodRouter<Arc<ControlPlane<S>>>;

impl<S: StateStore> Routes<S> {
    pub(super) fn new(audit: Audit<PlaneGate<S>>) -> Self {
        Self { router: Router::new(), audit, refused: None }
    }

    /// Adds a call.
    pub(super) fn add<T: 'static>(
        self,
        endpoint: &Endpoint,
        handler: impl Handler<T, Arc<ControlPlane<S>>>,
    ) -> Self {
        self.route(&endpoint.method, endpoint.path, handler, |route| route)
    }

    /// Adds a call whose credential lies in its body, where `take` finds it.
    pub(super) fn add_login<T: 'static>(
        self,
        endpoint: &Endpoint,
        handler: impl Handler<T, Arc<ControlPlane<S>>>,
        take: fn(&[u8]) -> Credential,
    ) -> Self {
        self.route(&endpoint.method, endpoint.path, handler, |route| {
            route.route_layer(middleware::from_fn(move |request: Request, next: Next| async move {
                let (mut parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, MAX_BODY_BYTES).await;
                parts.extensions.insert(body.map_or(Credential::Unusable, |body| take(&body)));
                next.run(Request::from_parts(parts, axum::body::Body::empty())).await
            }))
        })
    }

    /// Adds what anyone may have.
    pub(super) fn open<T: 'static>(self, path: &str, handler: impl Handler<T, Arc<ControlPlane<S>>>) -> Self {
        self.route(&Method::GET, path, handler, |route| route)
    }

    /// The router, if every route of the inventory is there, behind its layer.
    pub(super) fn finish(self) -> Result<Router<Arc<ControlPlane<S>>>, StartError> {
        let complete = self.refused.map_or_else(|| self.audit.ensure_complete(), Err);
        complete.map(|()| self.router).map_err(StartError::part("inventory of routes"))
    }

    /// Adds a route behind the layer that records it, and `before` before that.
    fn route<T: 'static>(
        mut self,
        method: &Method,
        path: &str,
        handler: impl Handler<T, Arc<ControlPlane<S>>>,
        before: impl FnOnce(Route<S>) -> Route<S>,
    ) -> Self {
        let filter = match *method {
            Method::GET => MethodFilter::GET,
            Method::POST => MethodFilter::POST,
            _ => MethodFilter::DELETE,
        };
        match self.audit.layer(method, path) {
            Ok(layer) => {
                let route = before(on(filter, handler).route_layer(layer));
                Self { router: self.router.route(path, route), ..self }
            }
            Err(error) => {
                self.refused.get_or_insert(error);
                self
            }
        }
    }
}
