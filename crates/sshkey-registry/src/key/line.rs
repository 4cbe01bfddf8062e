use core::fmt;

use base64ct::{Base64, Encoding};

use super::{KeyType, MAX_LINE_BYTES};
use crate::error::KeyError;

/// The parts of a line, the blob not yet looked into.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) key_type: KeyType,
    pub(super) blob: Vec<u8>,
    pub(super) comment: Option<&'a str>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(upload: &'a [u8]) -> Result<Self, KeyError> {
        if upload.len() > MAX_LINE_BYTES {
            return Err(KeyError::LineTooLong { limit: MAX_LINE_BYTES });
        }
        let text = core::str::from_utf8(upload).map_err(|_| KeyError::NotUtf8)?;
        let line = text.trim_start_matches(BLANKS).trim_end_matches(BLANKS_AND_LINE_ENDS);
        refuse_other_forms(line)?;

        let (name, rest) = split_at_blank(line);
        let key_type = KeyType::from_name(name).ok_or_else(|| why_no_type(name, rest))?;
        let (base64, rest) = split_at_blank(rest);
        if base64.is_empty() {
            return Err(KeyError::MaterialMissing);
        }
        if holds_key(rest) {
            return Err(KeyError::SeveralKeys);
        }
        let comment = Some(rest).filter(|rest| !rest.is_empty());
        Ok(Self { key_type, blob: decode_base64(base64)?, comment })
    }
}

/// Writes canonical base64 without allocating.
pub(super) fn write_base64(blob: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0; 64];
    for group in blob.chunks(48) {
        f.write_str(Base64::encode(group, &mut text).map_err(|_| fmt::Error)?)?;
    }
    Ok(())
}

/// Why this name is not one of a type, judged by itself.
pub(super) fn refused_type(name: &str) -> KeyError {
    match name {
        "ssh-dss" => KeyError::Dsa,
        _ if SIGNATURE_ALGORITHMS.contains(&name) => KeyError::SignatureAlgorithm,
        _ if name.ends_with("-cert-v01@openssh.com") || name.ends_with("-cert-v00@openssh.com") => {
            KeyError::Certificate
        }
        _ => KeyError::UnknownType,
    }
}

/// Why a line does not begin with a type.
fn why_no_type(first: &str, rest: &str) -> KeyError {
    match refused_type(first) {
        KeyError::UnknownType => {}
        known => return known,
    }
    let first_word = first.split(['=', ',']).next().unwrap_or_default();
    if OPTIONS.iter().any(|option| option.eq_ignore_ascii_case(first_word)) || names_type(rest) {
        return KeyError::TextBeforeType;
    }
    if first.starts_with(BASE64_OF_BLOBS) { KeyError::TypeMissing } else { KeyError::UnknownType }
}

fn refuse_other_forms(line: &str) -> Result<(), KeyError> {
    if line.is_empty() {
        return Err(KeyError::Empty);
    }
    if line.starts_with("---- BEGIN ") {
        return Err(KeyError::Rfc4716);
    }
    if line.starts_with("-----BEGIN ") {
        return Err(KeyError::Pem);
    }
    if let Some((_, others)) = line.split_once(['\n', '\r']) {
        return Err(if names_type(others) { KeyError::SeveralKeys } else { KeyError::SeveralLines });
    }
    if line.starts_with('#') {
        return Err(KeyError::CommentedOut);
    }
    Ok(())
}

/// Canonical, padded base64 (RFC 4648 4 and 3.5): the decoder refuses every other spelling of the same bytes.
fn decode_base64(text: &str) -> Result<Vec<u8>, KeyError> {
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    if let Some(position) = digits.bytes().position(|byte| !is_digit(byte)) {
        // A `=` in the middle is wrong padding, the rest is no base64 at all.
        return Err(match digits.as_bytes().get(position) {
            Some(b'=') => KeyError::Base64NotCanonical,
            _ => KeyError::Base64Character { at: position.saturating_add(1) },
        });
    }
    Base64::decode_vec(text).map_err(|_| KeyError::Base64NotCanonical)
}

/// Whether a form of private key that people paste begins somewhere in the first [`MAX_LINE_BYTES`].
pub(super) fn holds_private_key(text: &[u8]) -> bool {
    let text = text.get(..MAX_LINE_BYTES).unwrap_or(text);
    PRIVATE_KEY_MARKS.iter().any(|mark| text.windows(mark.len()).any(|window| window == *mark))
}

/// Whether a word of the text is the name of a type, supported or not.
fn names_type(text: &str) -> bool {
    words(text).any(|word| KeyType::from_name(word).is_some() || refused_type(word) != KeyError::UnknownType)
}

/// Whether a word of the text is the name of a type and the next one looks like a key.
fn holds_key(text: &str) -> bool {
    let next = words(text).skip(1);
    words(text).zip(next).any(|(word, next)| names_type(word) && next.starts_with(BASE64_OF_BLOBS))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', '\r', '\n', '"', ',']).filter(|word| !word.is_empty())
}

/// The text up to the first blank, and what stands after the blanks.
fn split_at_blank(text: &str) -> (&str, &str) {
    text.split_once(BLANKS).map_or((text, ""), |(word, rest)| (word, rest.trim_start_matches(BLANKS)))
}

const BLANKS: [char; 2] = [' ', '\t'];
const BLANKS_AND_LINE_ENDS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Every blob begins with the length of a name shorter than 2¹⁶ bytes.
const BASE64_OF_BLOBS: &str = "AAAA";

/// What RFC 8332 and OpenSSH call signature algorithms; none is the name of a key's type.
const SIGNATURE_ALGORITHMS: &[&str] = &[
    "rsa-sha2-256",
    "rsa-sha2-512",
    "rsa-sha2-256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "ssh-rsa-sha256@ssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
];

/// PEM (RFC 7468) and OpenSSH (`PROTOCOL.key`) with the armour or without, PuTTY, SSH1.
const PRIVATE_KEY_MARKS: &[&[u8]] = &[
    b"PRIVATE KEY",
    // "openssh-key-v1" in base64.
    b"b3BlbnNzaC1rZXktdjE",
    b"openssh-key-v1",
    b"PuTTY-User-Key-File",
    b"SSH PRIVATE KEY FILE FORMAT",
    b"Private-Lines:",
    b"AGE-SECRET-KEY-",
];

/// The options of `sshd(8)`, section «AUTHORIZED_KEYS FILE FORMAT».
const OPTIONS: &[&str] = &[
    "agent-forwarding",
    "cert-authority",
    "command",
    "environment",
    "expiry-time",
    "from",
    "no-agent-forwarding",
    "no-port-forwarding",
    "no-pty",
    "no-touch-required",
    "no-user-rc",
    "no-X11-forwarding",
    "permitlisten",
    "permitopen",
    "port-forwarding",
    "principals",
    "pty",
    "restrict",
    "tunnel",
    "user-rc",
    "verify-required",
    "X11-forwarding",
];
