//! What is known of a request before anything is decided.

use std::convert::Infallible;

use audit_log_tower::{Admission, Arrival, AuditNotes, Refusal};
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::response::Response;

use super::api_error::ApiError;
use super::call::Admitted;
use super::page;

/// The parts of a request that every call needs. Taking them never fails: what is wrong with them is
/// answered, and recorded, by the gate.
pub(crate) struct RequestFacts {
    pub(crate) credential: Credential,
    /// The path, after the version.
    pub(crate) path: String,
    /// The parameters of the query.
    pub(crate) query: Vec<(String, String)>,
    /// Whether a browser says that another site made it send this (Fetch Metadata).
    pub(crate) is_cross_site: bool,
    /// What the layer before the gate noted.
    pub(crate) arrival: Option<Arrival>,
    /// What the gate found out; nothing before it.
    pub(crate) admitted: Option<Admitted>,
    /// For the record of the call.
    pub(crate) notes: AuditNotes,
}

/// What stands in `Authorization`, in the session's cookie of a page, or in the body of a login.
#[derive(Clone)]
pub(crate) enum Credential {
    /// Nothing.
    Absent,
    /// `Bearer …` (RFC 6750 2.1).
    Bearer(String),
    /// Several headers, another scheme, or bytes that are no text.
    Unusable,
}

/// The token never shows.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Bearer(_) => "Bearer(redacted)",
            Self::Unusable => "Unusable",
        })
    }
}

impl Credential {
    fn of(parts: &Parts) -> Self {
        // Whoever took it out of the body put it there.
        if let Some(known) = parts.extensions.get::<Self>() {
            return known.clone();
        }
        let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
        match (headers.next(), headers.next()) {
            (None, _) if parts.uri.path().starts_with(PAGES) => Self::of_cookie(parts),
            (None, _) => Self::Absent,
            (Some(header), None) => match header.to_str().ok().and_then(|text| text.split_once(' ')) {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                    Self::Bearer(token.to_owned())
                }
                _ => Self::Unusable,
            },
            (Some(_), Some(_)) => Self::Unusable,
        }
    }

    /// The session of a browser (RFC 6265 4.2): for pages only, so that no call of the API is made by a cookie.
    fn of_cookie(parts: &Parts) -> Self {
        let pairs = parts.headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = pairs.flat_map(|line| line.split("; ")).filter_map(|pair| pair.split_once('='));
        let mut sessions = pairs.filter(|(name, _)| *name == SESSION_COOKIE).map(|(_, value)| value);
        match (sessions.next(), sessions.next()) {
            (None, _) => Self::Absent,
            (Some(token), None) => Self::Bearer(token.to_owned()),
            (Some(_), Some(_)) => Self::Unusable,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestFacts {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let query = axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(pairs)| pairs)
            .unwrap_or_default();
        Ok(Self {
            credential: Credential::of(parts),
            path: parts.uri.path().trim_start_matches("/api/v1/").to_owned(),
            query,
            is_cross_site: parts
                .headers
                .get_all("sec-fetch-site")
                .iter()
                .any(|site| site != "same-origin" && site != "none"),
            arrival: parts.extensions.get::<Arrival>().cloned(),
            admitted: parts.extensions.get::<Admitted>().cloned(),
            notes: parts.extensions.get::<AuditNotes>().cloned().unwrap_or_default(),
        })
    }
}

impl RequestFacts {
    /// The id under which the request is recorded.
    pub(crate) fn request_id(&self) -> String {
        self.arrival.as_ref().map_or_else(String::new, |arrival| arrival.request().to_string())
    }

    /// Refuses the request; `record` makes the record of an error's code and its answer.
    pub(crate) fn refuse(
        &self,
        error: ApiError,
        record: impl FnOnce(&'static str, Response) -> Refusal<Body>,
    ) -> Admission<Body> {
        let code = error.code();
        Admission::Refused(record(code, self.answer(error)))
    }

    /// The answer that is an error: a document for programs, a page for people.
    pub(crate) fn answer(&self, error: ApiError) -> Response {
        let id = self.request_id();
        if self.path.starts_with(PAGES) {
            page::error_page(&error, &self.path, &id)
        } else {
            error.into_response_for(&id)
        }
    }

    /// The values of a query parameter.
    pub(crate) fn parameters(&self, name: &str) -> impl Iterator<Item = &str> {
        self.query.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters(name).next()
    }
}

/// The cookie of a session: the prefix makes browsers refuse one that is not `Secure`, or of another host (RFC 6265bis
/// 4.1.3.2).
pub(crate) const SESSION_COOKIE: &str = "__Host-palisade-session";
/// Below here lie pages, not calls.
const PAGES: &str = "/portal/";
