//! Several nodes on one state: which node this is, and how a caller of several sees its own changes.
//!
//! Every answer says which revision its node had reached (`palisade-revision`). A caller that sends that number
//! with its next request, to whichever node, is answered by a state that is at least as new. A revocation with
//! `wait=all` is answered when it is in force at every node, or with the names of those where it is not known to be.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use core_types::{Clock as _, SecureRandom as _, SystemRandom};
use serde_json::json;
use state_store::fleet::{Awaited, Fleet, Terms};
use state_store::{Revision, StateStore};

use super::api_error::ApiError;
use super::call::Reply;
use super::facts::RequestFacts;
use super::startup::StartError;
use super::state::{ControlPlane, STALENESS_BOUND, keep_following};
use crate::files::write_durably;

/// Waits until this node has what the caller has seen, and says what it has in the end.
pub(super) async fn in_order<S: StateStore>(
    State(plane): State<Arc<ControlPlane<S>>>,
    request: Request,
    next: Next,
) -> Response {
    let seen =
        request.headers().get(&REVISION).map(|text| text.to_str().ok().and_then(|text| text.parse().ok()));
    let mut response = match seen {
        None => next.run(request).await,
        Some(None) => {
            ApiError::invalid("invalid_revision", "`palisade-revision` is a number").into_response_for("")
        }
        Some(Some(seen)) => {
            // One that is not reached in time may be made up, and must not keep a connection for long.
            let applied = plane.applied(Revision::new(seen));
            match tokio::time::timeout(CATCH_UP_TIMEOUT, applied).await {
                Ok(Ok(())) => next.run(request).await,
                _ => ApiError::unavailable("this node has not seen what you have").into_response_for(""),
            }
        }
    };
    response.headers_mut().insert(REVISION, HeaderValue::from(plane.reached().get()));
    response
}

/// Makes this node one of its fleet, where it is one of several; it may serve then.
pub(super) async fn join<S: StateStore>(plane: &Arc<ControlPlane<S>>) -> Result<(), StartError> {
    let part = "fleet";
    let Some(name) = plane.node.clone() else { return Ok(()) };
    let joined = Fleet::join(plane.store.clone(), name, TERMS, STALENESS_BOUND, &plane.clock).await;
    let (fleet, driver, revision) = joined.map_err(StartError::part(part))?;
    tokio::spawn(keep_following(driver));
    let failed = |error: ApiError| StartError::Part { what: part, message: error.message().to_owned() };
    plane.applied(revision).await.map_err(failed)?;
    plane.fleet.set(fleet).map_err(|_| StartError::Part { what: part, message: "joined twice".into() })?;
    let plane = Arc::clone(plane);
    tokio::spawn(async move {
        let Some(fleet) = plane.fleet.get() else { return };
        let applied = || plane.applied_all(plane.clock.now());
        let failed = |error| tracing::warn!(%error, "the fleet was not told what this node has applied");
        fleet.run(applied, failed, &plane.clock, &tokio::time::sleep).await;
    });
    Ok(())
}

/// Lets the others know that nobody need wait for this node any more.
pub(super) async fn leave<S: StateStore>(plane: &ControlPlane<S>) {
    let Some(fleet) = plane.fleet.get() else { return };
    let left = tokio::time::timeout(CATCH_UP_TIMEOUT, fleet.leave()).await;
    if !matches!(left, Ok(Ok(()))) {
        tracing::warn!("the fleet was not told that this node is gone; its word ends by itself");
    }
}

/// What is answered to a revocation: that it is in force here, or, to who waits for all, where it is not yet.
pub(super) struct Wait {
    for_all: bool,
}

impl Wait {
    /// `wait=all` in the query.
    pub(super) fn of(facts: &RequestFacts) -> Result<Self, ApiError> {
        match facts.parameter("wait") {
            None => Ok(Self { for_all: false }),
            Some("all") => Ok(Self { for_all: true }),
            Some(_) => Err(ApiError::invalid("invalid_wait", "`wait` is `all`, or is not there")),
        }
    }

    /// The answer once the change is in force here.
    pub(super) async fn reply<S: StateStore>(self, plane: &ControlPlane<S>) -> Result<Reply, ApiError> {
        if !self.for_all {
            return Ok(Reply::done());
        }
        let revision = plane.reached();
        let everywhere = |nodes: usize| {
            Reply::ok(json!({"applied": "everywhere", "nodes": nodes, "revision": revision, "lagging": []}))
        };
        let Some(fleet) = plane.fleet.get() else { return Ok(everywhere(1)) };
        let awaited = fleet.await_applied(revision, WAIT_TIMEOUT, &plane.clock, &tokio::time::sleep).await;
        match awaited {
            Ok(Awaited::Everywhere { nodes }) => Ok(everywhere(nodes)),
            Ok(Awaited::Lagging { nodes }) => {
                Ok(Reply::accepted(json!({"applied": "partly", "revision": revision, "lagging": nodes})))
            }
            Err(error) => {
                tracing::warn!(%error, "the fleet could not be asked");
                Ok(Reply::accepted(json!({"applied": "unknown", "revision": revision, "lagging": []})))
            }
        }
    }
}

/// The id that this folder's node has in the state, made when there is none.
pub(super) fn node_id(file: &Path, random: &SystemRandom) -> Result<String, StartError> {
    let what = file.display().to_string();
    match File::open(file) {
        Ok(open) => {
            let mut text = String::new();
            open.take(MAX_NODE_BYTES).read_to_string(&mut text).map_err(StartError::io(&*what))?;
            let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let message = "it is not a node's id".into();
            if is_id { Ok(text) } else { Err(StartError::Part { what: "node", message }) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0; 16];
            random.fill(&mut bytes).map_err(StartError::part("node"))?;
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            write_durably(file, text.as_bytes()).map_err(StartError::io(&*what))?;
            Ok(text)
        }
        Err(error) => Err(StartError::Io { what, error }),
    }
}

/// The header of requests and answers.
const REVISION: HeaderName = HeaderName::from_static("palisade-revision");
/// A node that says nothing for longer than it may be behind is not waited for.
const TERMS: Terms = Terms::new(Duration::from_secs(15), Duration::from_millis(10));
/// How long a revocation waits for the other nodes.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_NODE_BYTES: u64 = 64;
