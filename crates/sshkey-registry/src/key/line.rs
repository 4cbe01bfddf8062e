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
    if let Some(others) = memchr::memchr2(b'\n', b'\r', line.as_bytes()).and_then(|at| line.get(at..)) {
        return Err(if names_type(others) { KeyError::SeveralKeys } else { KeyError::SeveralLines });
    }
    if line.starts_with('#') {
        return Err(KeyError::CommentedOut);
    }
    Ok(())
}

/// Canonical, padded base64 (RFC 4648 4 and 3.5): the length is a multiple of four, nothing follows the padding, and
/// the bits that are left over are zero, so that there is no other spelling of the same bytes.
fn decode_base64(text: &str) -> Result<Vec<u8>, KeyError> {
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text).as_bytes();
    let (groups, rest) = digits.as_chunks::<4>();
    let whole = groups.len().saturating_mul(3);
    let mut blob = vec![0; whole.saturating_add(rest.len().saturating_sub(1))];
    let mut seen = 0;
    for (group, bytes) in groups.iter().zip(blob.as_chunks_mut::<3>().0) {
        let [one, two, three, four] = group.map(digit);
        seen |= one | two | three | four;
        *bytes = [one << 2 | two >> 4, two << 4 | three >> 2, three << 6 | four];
    }
    for &byte in rest {
        seen |= digit(byte);
    }
    if seen & NO_DIGIT != 0 {
        let position = digits.iter().position(|&byte| digit(byte) & NO_DIGIT != 0).unwrap_or(0);
        // A `=` in the middle is wrong padding, the rest is no base64 at all.
        return Err(match digits.get(position) {
            Some(b'=') => KeyError::Base64NotCanonical,
            _ => KeyError::Base64Character { at: position.saturating_add(1) },
        });
    }
    let last = blob.get_mut(whole..).unwrap_or_default();
    let left_over = match (rest, last) {
        ([], []) => 0,
        (&[one, two], [first]) => {
            *first = digit(one) << 2 | digit(two) >> 4;
            digit(two) & 0x0f
        }
        (&[one, two, three], [first, second]) => {
            (*first, *second) = (digit(one) << 2 | digit(two) >> 4, digit(two) << 4 | digit(three) >> 2);
            digit(three) & 0x03
        }
        _ => return Err(KeyError::Base64NotCanonical),
    };
    if left_over == 0 && text.len().is_multiple_of(4) { Ok(blob) } else { Err(KeyError::Base64NotCanonical) }
}

/// The value of a digit; [`NO_DIGIT`] of any other byte.
fn digit(byte: u8) -> u8 {
    DIGITS.get(usize::from(byte)).copied().unwrap_or(NO_DIGIT)
}

/// Whether a form of private key that people paste begins somewhere in the first [`MAX_LINE_BYTES`].
pub(super) fn holds_private_key(text: &[u8]) -> bool {
    let text = text.get(..MAX_LINE_BYTES).unwrap_or(text);
    text.iter().enumerate().filter(|(_, byte)| PRIVATE_KEY_FIRST_BYTES.contains(byte)).any(|(at, _)| {
        PRIVATE_KEY_MARKS.iter().any(|mark| text.get(at..).is_some_and(|rest| rest.starts_with(mark)))
    })
}

/// Whether a word of the text is the name of a type, supported or not.
fn names_type(text: &str) -> bool {
    words(text).any(|word| KeyType::from_name(word).is_some() || refused_type(word) != KeyError::UnknownType)
}

/// Whether a word of the text is the name of a type and the next one looks like a key.
fn holds_key(text: &str) -> bool {
    if !text.as_bytes().windows(BASE64_OF_BLOBS.len()).any(|four| four == BASE64_OF_BLOBS.as_bytes()) {
        return false;
    }
    let next = words(text).skip(1);
    words(text).zip(next).any(|(word, next)| names_type(word) && next.starts_with(BASE64_OF_BLOBS))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', '\r', '\n', '"', ',']).filter(|word| !word.is_empty())
}

/// The text up to the first blank, and what stands after the blanks.
fn split_at_blank(text: &str) -> (&str, &str) {
    let blank = memchr::memchr2(b' ', b'\t', text.as_bytes());
    let split = blank.and_then(|at| text.split_at_checked(at));
    split.map_or((text, ""), |(word, rest)| (word, rest.trim_start_matches(BLANKS)))
}

const NO_DIGIT: u8 = 0x80;

static DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    // The same number twice: there is no conversion in a constant.
    let (mut index, mut byte) = (0_usize, 0_u8);
    while index < digits.len() {
        #[expect(clippy::indexing_slicing, reason = "the loop ends before")]
        {
            digits[index] = match byte {
                b'A'..=b'Z' => byte.wrapping_sub(b'A'),
                b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
                b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
                b'+' => 62,
                b'/' => 63,
                _ => NO_DIGIT,
            };
        }
        index = index.wrapping_add(1);
        byte = byte.wrapping_add(1);
    }
    digits
};

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

/// What the marks begin with.
const PRIVATE_KEY_FIRST_BYTES: &[u8] = b"PboSA";

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
