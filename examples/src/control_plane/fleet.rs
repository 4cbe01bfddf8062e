//! Several nodes on one state: which node this is, and how a caller of several sees its own changes.
//!
//! Every answer says which revision its node had reached (`palisade-revision`). A caller that sends that number
//! with its next request, to whichever node, is answered by a state that is at least as new.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use core_types::{SecureRandom as _, SystemRandom};
use state_store::{Revision, StateStore};

use super::api_error::ApiError;
use super::startup::StartError;
use super::state::ControlPlane;
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
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_NODE_BYTES: u64 = 64;
