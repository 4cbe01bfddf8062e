use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use audit_log::{AppendError, Class, Completion, Intent, Recorded};
use http::{HeaderName, HeaderValue, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::arrival::Arrival;
use crate::audit::{Mirrored, Shared};
use crate::gate::{Admission, Caller, Gate, Refusal, Unrecorded};
use crate::inventory::{Route, Treatment};
use crate::notes::{self, AuditNotes};

/// The header of every answer that says under which id the request is recorded.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Records what is called through it; made by [`Audit::layer`](crate::Audit::layer).
pub struct AuditLayer<G> {
    shared: Arc<Shared<G>>,
    route: Arc<Route>,
}

impl<G> AuditLayer<G> {
    pub(crate) const fn new(shared: Arc<Shared<G>>, route: Arc<Route>) -> Self {
        Self { shared, route }
    }
}

impl<G> Clone for AuditLayer<G> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), route: Arc::clone(&self.route) }
    }
}

impl<G> fmt::Debug for AuditLayer<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLayer").field("route", &self.route).finish_non_exhaustive()
    }
}

impl<I, G> Layer<I> for AuditLayer<G> {
    type Service = AuditService<I, G>;

    fn layer(&self, inner: I) -> AuditService<I, G> {
        AuditService { inner, layer: self.clone() }
    }
}

/// A service behind an [`AuditLayer`].
///
/// Dropping its future while the service is called records the call as abandoned. Where effects outlive the client,
/// call this in a task of its own.
#[derive(Debug)]
pub struct AuditService<I, G> {
    inner: I,
    layer: AuditLayer<G>,
}

impl<I: Clone, G> Clone for AuditService<I, G> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<I, G, B, R> Service<Request<B>> for AuditService<I, G>
where
    I: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    I::Future: Send,
    I::Error: Send,
    B: Send + 'static,
    R: Send + 'static,
    G: Gate<R>,
{
    type Response = Response<R>;
    type Error = I::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, I::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let layer = self.layer.clone();
        // The service that is ready is the one to call; the clone takes its place.
        let next = self.inner.clone();
        let inner = core::mem::replace(&mut self.inner, next);
        Box::pin(layer.handle(inner, request))
    }
}

impl<G> AuditLayer<G> {
    async fn handle<I, B, R>(self, mut inner: I, request: Request<B>) -> Result<Response<R>, I::Error>
    where
        I: Service<Request<B>, Response = Response<R>> + Send,
        I::Future: Send,
        I::Error: Send,
        B: Send,
        R: Send,
        G: Gate<R>,
    {
        let (mut parts, body) = request.into_parts();
        let Ok(arrival) = self.shared.arrive(&parts) else {
            return Ok(self.shared.gate.unrecorded(&Unrecorded::Random, None));
        };
        let mut call = Call { layer: &self, arrival, started: self.shared.start() };
        parts.extensions.insert(call.arrival.clone());
        let answer = match self.route.treatment() {
            Treatment::Open => inner.call(Request::from_parts(parts, body)).await,
            Treatment::Recorded(..) | Treatment::Refusals(_) => {
                match self.shared.gate.admit(&mut parts, &self.route).await {
                    Admission::Refused(refusal) => Ok(call.refuse(refusal).await),
                    Admission::Admitted(caller) => {
                        call.carry_out(caller, &mut inner, Request::from_parts(parts, body)).await
                    }
                }
            }
        };
        answer.map(|answer| call.named(answer))
    }
}

/// One request.
struct Call<'a, G> {
    layer: &'a AuditLayer<G>,
    arrival: Arrival,
    started: crate::audit::Started,
}

impl<G> Call<'_, G> {
    /// Records a refusal, then answers it.
    async fn refuse<R>(&mut self, refusal: Refusal<R>) -> Response<R>
    where
        G: Gate<R>,
    {
        let shared = &self.layer.shared;
        let Refusal { caller, outcome, reason, answer } = refusal;
        let Some(intent) = self.intent(caller) else { return answer };
        let completion = notes::completion(outcome, shared.since(self.started), Some(&reason));
        let mirrored = self.mirrored(&intent);
        match shared.log.record_refusal(intent, completion.clone()).await {
            Ok(recorded) => {
                self.mirror(mirrored, &completion, sequence(recorded));
                answer
            }
            Err(error) => self.unrecorded(&Unrecorded::Intent(error)),
        }
    }

    async fn carry_out<I, B, R>(
        &mut self,
        caller: Caller,
        inner: &mut I,
        mut request: Request<B>,
    ) -> Result<Response<R>, I::Error>
    where
        I: Service<Request<B>, Response = Response<R>>,
        G: Gate<R>,
    {
        let shared = &self.layer.shared;
        let Treatment::Recorded(class, _) = self.layer.route.treatment() else {
            return inner.call(request).await;
        };
        let Some(intent) = self.intent(caller) else {
            return Ok(self.unrecorded(&Unrecorded::Intent(AppendError::Defect)));
        };
        let notes = AuditNotes::default();
        request.extensions_mut().insert(notes.clone());
        let mirrored = self.mirrored(&intent);
        if *class == Class::Read {
            let answer = inner.call(request).await;
            let completion = self.complete(&notes, &answer);
            return match shared.log.record_read(intent, completion.clone()).await {
                Ok(recorded) => {
                    self.mirror(mirrored, &completion, sequence(recorded));
                    answer
                }
                Err(error) => Ok(self.unrecorded(&Unrecorded::Intent(error))),
            };
        }
        let guard = match shared.log.begin_as(*class, intent).await {
            Ok(guard) => guard,
            Err(error) => return Ok(self.unrecorded(&Unrecorded::Intent(error))),
        };
        // Should this future be dropped from here on, the guard falls with it.
        let answer = inner.call(request).await;
        let completion = self.complete(&notes, &answer);
        match guard.finish(completion.clone()).await {
            Ok(receipt) => {
                self.mirror(mirrored, &completion, Some(receipt.sequence()));
                answer
            }
            Err(error) => Ok(self.unrecorded(&Unrecorded::Outcome(error))),
        }
    }

    fn complete<R, E>(&self, notes: &AuditNotes, answer: &Result<Response<R>, E>) -> Completion {
        let status = answer.as_ref().ok().map(Response::status);
        notes.complete(status, self.layer.shared.since(self.started))
    }

    fn intent(&self, caller: Caller) -> Option<Intent> {
        let action = self.layer.route.action()?.clone();
        let Arrival { request, client, user_agent, started_at } = self.arrival.clone();
        let mut intent = Intent::new(caller.actor, action, caller.tenant, started_at).with_request(request);
        if let Some(scope) = caller.scope {
            intent = intent.clone().with_scope(scope).unwrap_or(intent);
        }
        if let Some(resource) = caller.resource {
            intent = intent.with_resource(resource);
        }
        if let Some(client) = client {
            intent = intent.with_client(client);
        }
        if let Some(user_agent) = user_agent {
            intent = intent.with_user_agent(user_agent);
        }
        for (name, field) in caller.details.iter() {
            // They fit, since they were details before.
            intent = intent.clone().with_detail(name, field.clone()).unwrap_or(intent);
        }
        Some(intent)
    }

    fn unrecorded<R>(&self, why: &Unrecorded) -> Response<R>
    where
        G: Gate<R>,
    {
        self.layer.shared.gate.unrecorded(why, Some(&self.arrival))
    }

    /// A copy for the mirror, where there is one.
    fn mirrored(&self, intent: &Intent) -> Option<Intent> {
        self.layer.shared.mirror.as_ref().map(|_| intent.clone())
    }

    fn mirror(&self, intent: Option<Intent>, completion: &Completion, sequence: Option<u64>) {
        if let (Some(mirror), Some(intent)) = (&self.layer.shared.mirror, intent) {
            mirror(&Mirrored { intent: &intent, completion, sequence });
        }
    }

    fn named<R>(&self, mut answer: Response<R>) -> Response<R> {
        if let Ok(value) = HeaderValue::from_str(&self.arrival.request.to_string()) {
            answer.headers_mut().insert(X_REQUEST_ID, value);
        }
        answer
    }
}

fn sequence(recorded: Recorded) -> Option<u64> {
    match recorded {
        Recorded::Durable(receipt) => Some(receipt.sequence()),
        _ => None,
    }
}
