//! What stands at a place of a text.
//!
//! A token is looked for at a byte within it that is rare in ordinary text: the underscore after a prefix, and of a
//! signed token the `J` with which the base64 of `{"` ends.

use core_types::TokenId;
use serde::Serialize;

use crate::attenuated::{MAX_ATTENUATED_LEN, Parsed};
use crate::format::{Prefix, Redacted, TAIL_LEN, TokenFormat, base62, split_tail};
use crate::service::{MAX_HEADER_LEN, MAX_SERVICE_TOKEN_LEN, Name, SIGNATURE_LEN, is_header, names};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "form")]
#[non_exhaustive]
pub enum Leaked {
    /// A token as it was issued.
    Token {
        /// Its kind.
        kind: Prefix,
        /// Its public id.
        id: TokenId,
    },
    /// A token that its holder narrowed. Whether its tag is right only the vault can say; revoking the token of
    /// this id kills it and all others that were made of that.
    Narrowed {
        /// The kind of the token it was made of.
        kind: Prefix,
        /// The public id of the token it was made of.
        id: TokenId,
    },
    /// A signed token, by what it says; whether it was signed by whom it names only the keys can say.
    Signed {
        /// Its own name, by which it is revoked.
        jti: Name,
        /// The name of the key.
        kid: Name,
    },
}

impl Leaked {
    pub(super) fn redacted(&self) -> Redacted {
        match self {
            Self::Token { kind, id } | Self::Narrowed { kind, id } => Redacted::new(kind, *id),
            Self::Signed { jti, .. } => Redacted::signed(jti),
        }
    }
}

pub(super) enum Look {
    Nothing,
    /// There may be a token, of which the end is not there yet.
    CutOff,
    Found {
        start: usize,
        length: usize,
        leaked: Leaked,
    },
}

pub(super) const fn is_anchor(byte: u8) -> bool {
    matches!(byte, b'_' | b'J')
}

/// What stands around the anchor at this place.
pub(super) fn look(format: &TokenFormat, text: &[u8], at: usize) -> Look {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, &[]));
    match after.first() {
        Some(b'_') => {
            let kind = format.kinds().iter().filter(|kind| before.ends_with(kind.as_str().as_bytes()));
            // Where one prefix ends with another, the longer one was meant.
            match kind.max_by_key(|kind| kind.as_str().len()) {
                Some(kind) => token(format, kind, text, at),
                None => Look::Nothing,
            }
        }
        _ if before.ends_with(b"ey") => signed(text, at.saturating_sub(2)),
        _ => Look::Nothing,
    }
}

/// A token or a narrowed one, by what stands behind its id.
fn token(format: &TokenFormat, kind: &Prefix, text: &[u8], at: usize) -> Look {
    let start = at.saturating_sub(kind.as_str().len());
    let tail = text.get(at..).unwrap_or(&[]);
    match tail.get(1 + base62::LEN_128) {
        None => return Look::CutOff,
        Some(b'.') => return narrowed(format, kind, text.get(start..).unwrap_or(&[]), start),
        Some(_) => {}
    }
    let Some(tail) = tail.get(..TAIL_LEN) else { return Look::CutOff };
    let id = split_tail(kind, tail).and_then(|split| base62::decode_128(split.id));
    let Some(id) = id.map(TokenId::from_bytes) else { return Look::Nothing };
    let length = kind.as_str().len().saturating_add(TAIL_LEN);
    Look::Found { start, length, leaked: Leaked::Token { kind: kind.clone(), id } }
}

/// `text` begins with the prefix, `_`, 22 characters and a dot.
fn narrowed(format: &TokenFormat, kind: &Prefix, text: &[u8], start: usize) -> Look {
    let head = kind.as_str().len().saturating_add(2 + base62::LEN_128);
    let caveats = match part(text.get(head..).unwrap_or(&[]), MAX_ATTENUATED_LEN) {
        Part::Whole(caveats) => caveats,
        Part::CutOff => return Look::CutOff,
        Part::Nothing => return Look::Nothing,
    };
    let length = head.saturating_add(caveats.len()).saturating_add(1 + base62::LEN_256);
    let Some(text) = text.get(..length) else { return Look::CutOff };
    let parsed = core::str::from_utf8(text).ok().and_then(|text| Parsed::of(format, text));
    match parsed.filter(|parsed| parsed.restrictions().is_some()) {
        Some(parsed) => {
            Look::Found { start, length, leaked: Leaked::Narrowed { kind: kind.clone(), id: parsed.id } }
        }
        None => Look::Nothing,
    }
}

fn signed(text: &[u8], start: usize) -> Look {
    let text = text.get(start..).unwrap_or(&[]);
    let header = match part(text, MAX_HEADER_LEN) {
        Part::Whole(header) if is_header(header) => header,
        Part::CutOff => return Look::CutOff,
        Part::Whole(_) | Part::Nothing => return Look::Nothing,
    };
    let claims_at = header.len().saturating_add(1);
    let claims = match part(text.get(claims_at..).unwrap_or(&[]), MAX_SERVICE_TOKEN_LEN) {
        Part::Whole(claims) => claims,
        Part::CutOff => return Look::CutOff,
        Part::Nothing => return Look::Nothing,
    };
    let length = claims_at.saturating_add(claims.len()).saturating_add(1 + SIGNATURE_LEN);
    let Some(text) = text.get(..length) else { return Look::CutOff };
    match core::str::from_utf8(text).ok().and_then(names) {
        Some((jti, kid)) => Look::Found { start, length, leaked: Leaked::Signed { jti, kid } },
        None => Look::Nothing,
    }
}

enum Part<'a> {
    Nothing,
    CutOff,
    Whole(&'a [u8]),
}

/// The base64url characters up to the next dot, at most so many.
fn part(text: &[u8], limit: usize) -> Part<'_> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let length = text.iter().take(limit).take_while(|byte| allowed(byte)).count();
    match text.get(length) {
        Some(b'.') => text.get(..length).map_or(Part::Nothing, Part::Whole),
        None if length < limit => Part::CutOff,
        _ => Part::Nothing,
    }
}
