use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that API keys come in where [`Credentials::BearerOrApiKey`] is chosen.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Where tokens are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Credentials {
    /// `Authorization: Bearer …` (RFC 6750, section 2.1).
    Bearer,
    /// That, or `X-API-Key: …`; not both at once.
    BearerOrApiKey,
}

/// What a request presents.
pub(crate) enum Presented {
    Nothing,
    Token(HeaderValue),
    // Several credentials, or one that cannot be read: which one was meant is not guessed.
    Unclear,
}

/// Takes the credentials out of the headers, so that nothing behind this sees or logs them.
pub(crate) fn take(headers: &mut HeaderMap, accepted: Credentials) -> Presented {
    let bearer = take_one(headers, &AUTHORIZATION);
    let key = match accepted {
        Credentials::Bearer => Presented::Nothing,
        Credentials::BearerOrApiKey => take_one(headers, &X_API_KEY),
    };
    match (bearer, key) {
        (Presented::Nothing, key) => key,
        (Presented::Token(value), Presented::Nothing) => strip_scheme(&value),
        _ => Presented::Unclear,
    }
}

fn take_one(headers: &mut HeaderMap, name: &HeaderName) -> Presented {
    let http::header::Entry::Occupied(entry) = headers.entry(name) else { return Presented::Nothing };
    let (_, mut values) = entry.remove_entry_mult();
    match (values.next(), values.next()) {
        (Some(mut value), None) => {
            value.set_sensitive(true);
            Presented::Token(value)
        }
        _ => Presented::Unclear,
    }
}

/// `Bearer`, in any case (RFC 9110, section 11.1), one space, and the token.
fn strip_scheme(value: &HeaderValue) -> Presented {
    let bytes = value.as_bytes();
    let Some((scheme, token)) = bytes.split_at_checked(SCHEME.len()) else { return Presented::Unclear };
    let token = HeaderValue::from_bytes(token).ok();
    match token {
        Some(mut token) if scheme.eq_ignore_ascii_case(SCHEME) => {
            token.set_sensitive(true);
            Presented::Token(token)
        }
        _ => Presented::Unclear,
    }
}

const SCHEME: &[u8] = b"Bearer ";
