use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An answer that is not the one the caller hoped for: a status, a stable code, a sentence.
///
/// The sentence may change, the code does not. Neither ever says why a credential was refused, nor whether
/// something exists where the caller may not look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    /// The request is not of the form it should be.
    pub(crate) fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, code, message: message.into() }
    }

    /// The body is not the JSON it should be.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "malformed_request", message: message.into() }
    }

    pub(crate) fn too_large() -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            code: "body_too_large",
            message: format!("a body has at most {} bytes", super::MAX_BODY_BYTES),
        }
    }

    /// One answer for every credential that does not authenticate.
    pub(crate) fn unauthenticated() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            code: "unauthenticated",
            message: "the request carries no valid token".into(),
        }
    }

    pub(crate) fn forbidden(permission: &str) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            code: "forbidden",
            message: format!(
                "this needs `{permission}` here, within both the token's scopes and its owner's rights"
            ),
        }
    }

    /// The caller would hand out more than it holds.
    pub(crate) fn escalation(message: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, code: "escalation", message: message.into() }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, code: "not_found", message: format!("no such {what}") }
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            code: "method_not_allowed",
            message: "this path does not take that method".into(),
        }
    }

    pub(crate) fn taken(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, code, message: message.into() }
    }

    /// Something below did not answer in time or lost a race too often; nothing was changed.
    pub(crate) fn unavailable(what: &'static str) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "unavailable",
            message: format!("{what}; nothing was changed, try again"),
        }
    }

    /// Something was asked for whose outcome is not known.
    pub(crate) fn outcome_unknown() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: OUTCOME_UNKNOWN,
            message: "it is not known whether the change was made; read before trying again".into(),
        }
    }

    pub(crate) fn internal() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "internal",
            message: "an error of ours; the request id finds it in the log".into(),
        }
    }

    /// Whether the caller lacked a right.
    pub(crate) fn is_denial(&self) -> bool {
        self.status == StatusCode::FORBIDDEN
    }

    /// Whether the change may have been made.
    pub(crate) fn is_outcome_unknown(&self) -> bool {
        self.code == OUTCOME_UNKNOWN
    }

    /// Whether the request can never be carried out as it is.
    pub(crate) fn is_invalid(&self) -> bool {
        self.status == StatusCode::UNPROCESSABLE_ENTITY
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The answer, with the id under which the server's log speaks of the request.
    pub(crate) fn into_response_for(self, request_id: &str) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message, "request_id": request_id}});
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 6750 3: no error code is given away for a missing or bad credential.
            let challenge = HeaderValue::from_static("Bearer realm=\"palisade\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

const OUTCOME_UNKNOWN: &str = "outcome_unknown";
