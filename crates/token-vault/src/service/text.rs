//! The text of a signed token, taken apart.

use core_types::{Restriction, Subject};
use serde::{Deserialize, Serialize};

use super::{MAX_SERVICE_TOKEN_LEN, Name};
use crate::base64url;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) alg: Box<str>,
    pub(super) kid: Box<str>,
    pub(super) typ: Box<str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    pub(super) iss: Box<str>,
    pub(super) sub: Subject,
    pub(super) aud: Box<str>,
    pub(super) exp: u64,
    pub(super) nbf: u64,
    pub(super) iat: u64,
    pub(super) jti: Box<str>,
    pub(super) rst: Restriction,
}

/// Header, claims, what is signed, and the signature.
pub(super) fn split(presented: &str) -> Option<(&str, &str, &str, &str)> {
    if presented.len() > MAX_SERVICE_TOKEN_LEN {
        return None;
    }
    let (message, signature) = presented.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    (!claims.contains('.')).then_some((header, claims, message, signature))
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    crate::json::read(&base64url::decode(part)?)
}

/// Whether this is the header of a signed token of ours.
pub(crate) fn is_header(part: &[u8]) -> bool {
    let header = core::str::from_utf8(part).ok().and_then(parse::<Header>);
    header.is_some_and(|header| &*header.typ == TYPE)
}

/// The `jti` and the `kid` of a text that has the form of a signed token, whoever signed it.
pub(crate) fn names(text: &str) -> Option<(Name, Name)> {
    let (header, claims, _, signature) = split(text)?;
    let header: Header = parse(header).filter(|header: &Header| &*header.typ == TYPE)?;
    let claims: Claims = parse(claims)?;
    base64url::decode(signature)?;
    Some((Name::new(&claims.jti).ok()?, Name::new(&header.kid).ok()?))
}

/// The `typ` of our signed tokens.
pub(crate) const TYPE: &str = "plsvc+jwt";
/// The most characters of a header: our own has 147 at most, another's may be spaced.
pub(crate) const MAX_HEADER_LEN: usize = 256;
/// The characters of a signature, of either algorithm.
pub(crate) const SIGNATURE_LEN: usize = 86;
