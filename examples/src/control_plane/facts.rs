//! What is known of a request before anything is decided.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::{AUTHORIZATION, USER_AGENT};
use axum::http::request::Parts;
use tokio::time::Instant;

/// The parts of a request that every call needs. Taking them never fails: what is wrong with them is
/// answered, and recorded, by the call.
#[derive(Debug)]
pub(crate) struct RequestFacts {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) credential: Credential,
    /// As it came; it may be anything.
    pub(crate) user_agent: Option<Vec<u8>>,
    /// The path, after the version.
    pub(crate) path: String,
    /// The parameters of the query.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) started: Instant,
}

/// What stands in `Authorization`.
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
        let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
        match (headers.next(), headers.next()) {
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
}

impl<S: Send + Sync> FromRequestParts<S> for RequestFacts {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let query = axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(pairs)| pairs)
            .unwrap_or_default();
        Ok(Self {
            peer: parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0),
            credential: Credential::of(parts),
            user_agent: parts.headers.get(USER_AGENT).map(|value| value.as_bytes().to_vec()),
            path: parts.uri.path().trim_start_matches("/api/v1/").to_owned(),
            query,
            started: Instant::now(),
        })
    }
}

impl RequestFacts {
    /// The values of a query parameter.
    pub(crate) fn parameters(&self, name: &str) -> impl Iterator<Item = &str> {
        self.query.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters(name).next()
    }
}
