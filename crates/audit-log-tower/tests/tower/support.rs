//! A service, a gate and a log to put together.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use audit_log::testing::MemoryDirectory;
use audit_log::{Actor, AuditLog, Class, Cursor, Entry, Filter, Options, Policies};
use audit_log_tower::{
    Admission, Arrival, Audit, AuditNotes, AuditService, Caller, Gate, Inventory, Refusal, Route,
    TrustedProxies, Unrecorded,
};
use core_types::testing::{TestClock, TestRandom};
use core_types::{Scope, UnixTime};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

pub(crate) const START: UnixTime = UnixTime::from_secs(1_700_000_000);

/// The other end of the connection.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Lets everyone in who does not say otherwise in `x-who`.
pub(crate) struct Doorman;

impl Gate<String> for Doorman {
    async fn admit(&self, parts: &mut Parts, _route: &Route) -> Admission<String> {
        let tenant: Scope = "project/web".parse().unwrap();
        let who = parts.headers.get("x-who").map(|who| who.to_str().unwrap());
        match who {
            Some("nobody") => {
                Admission::Refused(Refusal::unauthenticated(tenant, "no_credential", answer(401)))
            }
            Some("guest") => Admission::Refused(Refusal::denied(
                Caller::new(Actor::System, tenant),
                "no_role",
                answer(403),
            )),
            _ => {
                let scope = tenant.child("namespace", "a").unwrap();
                Admission::Admitted(Caller::new(Actor::System, tenant).with_scope(scope))
            }
        }
    }

    fn unrecorded(&self, why: &Unrecorded, _arrival: Option<&Arrival>) -> Response<String> {
        let mut response = answer(503);
        *response.body_mut() = match why {
            Unrecorded::Intent(_) => "intent",
            Unrecorded::Outcome(_) => "outcome",
            _ => "random",
        }
        .into();
        response
    }
}

pub(crate) fn answer(status: u16) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// Counts how often it was called, and does what the header `x-do` says.
#[derive(Clone, Default)]
pub(crate) struct Effects {
    pub(crate) count: Arc<AtomicU64>,
}

impl Service<Request<()>> for Effects {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        self.count.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let notes = request.extensions().get::<AuditNotes>().cloned().unwrap_or_default();
            let wish = request.headers().get("x-do").map_or("200", |wish| wish.to_str().unwrap()).to_owned();
            match &*wish {
                "hang" => std::future::pending().await,
                "panic" => panic!("as asked"),
                "unknown" => {
                    notes.outcome(audit_log::Outcome::Unknown);
                    notes.reason("the store did not say");
                    Ok(answer(503))
                }
                "details" => {
                    notes.detail("revision", 7_u64).unwrap();
                    notes.detail("password", audit_log::event::Redacted::of("hunter2")).unwrap();
                    notes.detail("email", audit_log::event::Sealed::new("k1", [1, 2, 3]).unwrap()).unwrap();
                    Ok(answer(201))
                }
                status => Ok(answer(status.parse().unwrap())),
            }
        })
    }
}

/// A log, and services in front of it.
pub(crate) struct World {
    pub(crate) disk: MemoryDirectory,
    pub(crate) log: AuditLog,
    pub(crate) effects: Effects,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) audit: Audit<Doorman>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|audit| audit)
    }

    pub(crate) fn with(change: impl FnOnce(Audit<Doorman>) -> Audit<Doorman>) -> Self {
        let disk = MemoryDirectory::new();
        let clock = Arc::new(TestClock::at(START));
        let options = Options::new()
            .with_segment_bytes(64 << 10)
            .with_policies(Policies::new().with_failures(3, Duration::from_secs(60)));
        let log = AuditLog::open_in(Arc::new(disk.clone()), clock.clone(), &TestRandom::seeded(1), &options)
            .unwrap();
        let proxies = TrustedProxies::parse(["10.0.0.0/8", "fd00::/8"]).unwrap();
        let audit = Audit::new(log.clone(), inventory(), Doorman, Arc::clone(&clock), TestRandom::seeded(2))
            .with_peer(|extensions| extensions.get::<Peer>().map(|peer| peer.0))
            .with_proxies(proxies);
        Self { disk, log, effects: Effects::default(), clock, audit: change(audit) }
    }

    pub(crate) fn service(&self, method: &Method) -> AuditService<Effects, Doorman> {
        let path = if *method == Method::GET { "/keys" } else { "/keys/{id}" };
        self.audit.layer(method, path).unwrap().layer(self.effects.clone())
    }

    pub(crate) fn post(&self, headers: &[(&str, &str)]) -> Response<String> {
        pollster::block_on(self.service(&Method::POST).call(request(headers))).unwrap()
    }

    pub(crate) fn effects(&self) -> u64 {
        self.effects.count.load(Ordering::SeqCst)
    }

    /// All entries but that of the policies.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let page = self.log.reader(Scope::root()).query(&Filter::new(), Cursor::after(1), 1000).unwrap();
        page.entries
    }

    /// The one entry there is.
    pub(crate) fn entry(&self) -> Entry {
        let [entry] = <[Entry; 1]>::try_from(self.entries()).unwrap();
        entry
    }
}

pub(crate) fn inventory() -> Inventory {
    Inventory::builder()
        .recorded(&Method::POST, "/keys/{id}", Class::Change, "keys:write".parse().unwrap())
        .recorded(&Method::DELETE, "/keys/{id}", Class::Security, "keys:revoke".parse().unwrap())
        .recorded(&Method::GET, "/keys", Class::Read, "keys:read".parse().unwrap())
        .build()
        .unwrap()
}

pub(crate) fn request(headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    request.extensions_mut().insert(Peer([198, 51, 100, 7].into()));
    for (name, value) in headers {
        request.headers_mut().append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    request
}
