//! Tokens in texts, the networks they are bound to, and the records of a vault.

mod attenuated;
mod git;
mod service;

use std::net::IpAddr;
use std::sync::LazyLock;

use base64ct::{Base64Unpadded, Base64UrlUnpadded, Encoding};
use core_types::TokenId;
use token_vault::foreign::{ForeignFormat, ForeignHash};
use token_vault::password::PasswordHash;
use token_vault::scan::{Leaked, Scanner, scan};
use token_vault::{
    Network, Prefix, RefusalReason, TokenFilter, TokenFormat, TokenView, Vault, VerifyContext,
};

pub(crate) use self::attenuated::attenuated;
pub(crate) use self::git::git;
pub(crate) use self::service::{jwks, service};
use crate::follow::{NOW, follow};
use crate::text::{is_canonical_network, read};

/// Prefixes of kinds, networks, hashes of passwords, hashes of other systems' keys.
pub(crate) fn text(input: &[u8]) -> bool {
    let accepted = [prefix(input), network(input), password_hash(input), foreign_hash(input)];
    accepted.contains(&true)
}

/// What another system stored of a key, whole or of its long part; and a text that is presented as such a key.
fn foreign_hash(input: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(input) else { return false };
    let is_hash = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let whole = ForeignHash::whole_key(text).map(|hash| hash.id());
    assert_eq!(whole.is_ok(), is_hash);
    let (short, hash) = text.split_once(' ').unwrap_or((text, ""));
    let is_part = !short.is_empty() && short.bytes().all(|letter| letter.is_ascii_alphanumeric());
    let is_hash = hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit());
    let prefixed = ForeignHash::prefixed_api_key("my_company", short, hash).map(|hash| hash.id());
    assert_eq!(prefixed.is_ok(), is_part && is_hash);
    assert!(whole.is_err() || whole != prefixed, "the two ways give different ids");
    let refusal = FOREIGN.verify(text, &VerifyContext::at(NOW)).err().map(|refusal| refusal.reason());
    assert!(
        matches!(refusal, Some(RefusalReason::Malformed | RefusalReason::Unknown)),
        "nothing was imported"
    );
    whole.is_ok() || prefixed.is_ok()
}

/// A vault without tokens that reads keys of other systems.
static FOREIGN: LazyLock<Vault> = LazyLock::new(|| {
    let fixture = pollster::block_on(token_vault::testing::Fixture::new());
    let peppers = token_vault::Peppers::new(&token_vault::testing::pepper(1));
    Vault::builder(fixture.vault.replica().clone(), format(), peppers)
        .accepting(ForeignFormat::PrefixedApiKey { prefix: "my_company".into() })
        .accepting(ForeignFormat::WholeKey)
        .build()
});

fn prefix(input: &[u8]) -> bool {
    let prefix = read::<Prefix>(input, |text| {
        (6..=24).contains(&text.chars().count())
            && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
            && !text.starts_with(|first: char| first.is_ascii_digit())
    });
    let Some(prefix) = prefix else { return false };
    assert_eq!(Prefix::of(prefix.as_str(), "", ""), Ok(prefix.clone()));
    assert!(TokenFormat::new([prefix.clone(), prefix]).is_err(), "no kind twice");
    true
}

/// Tokens, of their form only.
///
/// The first 48 bytes make a good token; each two after them replace a character of it. A shorter input is taken
/// for the text.
pub(crate) fn token(input: &[u8]) -> bool {
    let format = format();
    let Some((seed, changes)) = input.split_first_chunk::<48>() else {
        return inspect(&format, input);
    };
    let (id, secret) = seed.split_at(16);
    let body = [base62(id, 22), base62(secret, 43)].concat();
    let good = format!("palisadepat_{body}{}", base62(&crc32(body.as_bytes()).to_be_bytes(), 6));
    let parts = format.inspect(&good).ok().filter(|parts| parts.id.to_bytes() == id);
    assert!(parts.is_some_and(|parts| parts.kind.as_str() == "palisadepat"), "a good token: {good}");
    let mut text = good.clone().into_bytes();
    for change in changes.as_chunks::<2>().0 {
        let [at, byte] = *change;
        let place = usize::from(at).checked_rem(text.len()).and_then(|at| text.get_mut(at));
        place.into_iter().for_each(|symbol| *symbol = byte);
    }
    let accepted = inspect(&format, &text);
    let changed = text.iter().zip(good.bytes()).filter(|(symbol, good)| *symbol != good).count();
    assert!(changed != 0 || accepted, "a good token");
    assert!(changed != 1 || !accepted, "one wrong character is always seen: {}", text.escape_ascii());
    accepted
}

/// Holds the answer against a slow reading of the form, and says whether it is a token.
fn inspect(format: &TokenFormat, text: &[u8]) -> bool {
    let expected = slow(format, text);
    let Ok(text) = str::from_utf8(text) else {
        assert_eq!(expected, None, "a token is ASCII");
        return false;
    };
    let parts = format.inspect(text).ok().map(|parts| (parts.kind, parts.id));
    assert_eq!(parts, expected, "{text:?}");
    let found: Vec<_> = scan(format, text.as_bytes()).into_iter().map(|finding| finding.leaked).collect();
    let expected = expected.map(|(kind, id)| Leaked::Token { kind, id });
    assert!(expected.is_none_or(|expected| found == [expected]), "a scan finds every token: {text:?}");
    parts.is_some()
}

/// Texts that tokens may be in, fed whole and in pieces.
pub(crate) fn scanned(input: &[u8]) -> bool {
    let format = format();
    let Some((&size, text)) = input.split_first() else { return false };
    let whole = scan(&format, text);
    let mut pieces = Vec::new();
    let mut scanner = Scanner::new(&format);
    text.chunks(usize::from(size).max(1))
        .for_each(|piece| scanner.feed(piece, |finding| pieces.push(finding)));
    scanner.finish(|finding| pieces.push(finding));
    assert_eq!(whole, pieces, "it does not matter how the text comes");

    for finding in &whole {
        let start = usize::try_from(finding.offset).unwrap_or(usize::MAX);
        let before = text.get(..start).unwrap_or_default();
        let found = text.get(start..).and_then(|rest| rest.get(..finding.length)).unwrap_or_default();
        let prefix = match &finding.leaked {
            Leaked::Token { kind, id } => {
                assert!(slow(&format, found).is_none_or(|known| known == (kind.clone(), *id)));
                kind.as_str()
            }
            Leaked::Narrowed { kind, id } => {
                check_narrowed(found, kind, *id);
                kind.as_str()
            }
            Leaked::Signed { jti, kid } => {
                check_signed(found, jti.as_str(), kid.as_str());
                "plsvc+jwt"
            }
            _ => unreachable!("a form without a check"),
        };
        let lines: Vec<_> = before.split(|byte| *byte == b'\n').collect();
        assert_eq!(u64::try_from(lines.len()), Ok(finding.line));
        assert_eq!(
            lines.last().and_then(|line| u64::try_from(line.len()).ok()?.checked_add(1)),
            Some(finding.column)
        );
        // What it shows of a token is its prefix and four characters.
        let shown = finding.redacted.to_string();
        assert!(shown.strip_prefix(prefix).is_some_and(|rest| rest.chars().count() <= 6), "{shown}");
    }
    // Nothing is missed: every place where a token begins is a finding.
    for start in 0..text.len() {
        for length in format.kinds().iter().filter_map(|kind| kind.as_str().len().checked_add(72)) {
            let window = text.get(start..).and_then(|rest| rest.get(..length)).unwrap_or_default();
            if slow(&format, window).is_some() {
                let end = start.checked_add(length).and_then(|end| u64::try_from(end).ok());
                let ends = |finding: &token_vault::scan::Finding| {
                    u64::try_from(finding.length).ok().and_then(|length| finding.offset.checked_add(length))
                };
                assert!(whole.iter().any(|finding| ends(finding) == end), "missed at byte {start}");
            }
        }
    }
    !whole.is_empty()
}

/// Prefix, id, caveats, tag: three parts between two dots, of the lengths they have.
#[expect(clippy::unwrap_used, clippy::panic, reason = "what was found has this form")]
fn check_narrowed(found: &[u8], kind: &Prefix, id: TokenId) {
    let text = str::from_utf8(found).unwrap();
    let parts: Vec<&str> = text.split('.').collect();
    let [head, caveats, tag] = parts[..] else { panic!("three parts: {text}") };
    let digits = head.strip_prefix(kind.as_str()).and_then(|rest| rest.strip_prefix('_')).unwrap();
    assert_eq!(number(digits, 22, 16).unwrap(), id.to_bytes());
    assert!(number(tag, 43, 32).is_some());
    let caveats = Base64UrlUnpadded::decode_vec(caveats).unwrap();
    assert!(!caveats.is_empty() && text.len() <= 4096);
}

/// Header, claims, signature, with the names that were told.
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what was found has this form"
)]
fn check_signed(found: &[u8], jti: &str, kid: &str) {
    let text = str::from_utf8(found).unwrap();
    let parts: Vec<&str> = text.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("three parts: {text}") };
    let read = |part: &str| -> serde_json::Value {
        serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).unwrap()).unwrap()
    };
    assert_eq!((&read(header)["typ"], &read(header)["kid"]), (&"plsvc+jwt".into(), &kid.into()));
    assert_eq!(read(claims)["jti"], jti);
    assert_eq!(Base64UrlUnpadded::decode_vec(signature).unwrap().len(), 64);
}

fn network(input: &[u8]) -> bool {
    let network = read::<Network>(input, is_canonical_network);
    let Some(network) = network else { return false };
    assert!(network.contains(&network));
    let address = network.to_string().split_once('/').and_then(|(address, _)| address.parse().ok());
    assert!(address.is_some_and(|address: IpAddr| network.contains_address(address)));
    true
}

/// The PHC string of Argon2id with the costs that are within bounds, 16 bytes of salt and 32 of hash.
fn password_hash(input: &[u8]) -> bool {
    let hash = read::<PasswordHash>(input, |text| {
        let ["", "argon2id", "v=19", cost, salt, hash] = text.split('$').collect::<Vec<_>>()[..] else {
            return false;
        };
        let [memory, passes, lanes] = cost.split(',').collect::<Vec<_>>()[..] else { return false };
        let number = |text: &str, name: &str| text.strip_prefix(name)?.parse::<u32>().ok();
        let costs = (number(memory, "m="), number(passes, "t="), number(lanes, "p="));
        let (Some(memory), Some(passes @ 1..=16), Some(lanes @ 1..=16)) = costs else { return false };
        let length = |text: &str| Base64Unpadded::decode_vec(text).map(|bytes| bytes.len()).ok();
        format!("m={memory},t={passes},p={lanes}") == cost
            && (lanes.saturating_mul(8)..=1 << 20).contains(&memory)
            && length(salt) == Some(16)
            && length(hash) == Some(32)
    });
    hash.is_some()
}

/// Stores with anything under the vault's keys.
#[expect(clippy::unwrap_used, reason = "constants")]
pub(crate) fn view(input: &[u8]) -> bool {
    let Some(stores) = follow::<TokenView>(input, "token-vault/") else { return false };
    let peppers = || token_vault::Peppers::new(&token_vault::testing::pepper(1));
    let vaults =
        [&stores.followed, &stores.rebuilt].map(|replica| Vault::new(replica.clone(), format(), peppers()));
    let [followed, rebuilt] = &vaults;
    assert_eq!(followed.list(&TokenFilter::all()), rebuilt.list(&TokenFilter::all()));
    let id = TokenId::from_bytes([7; 16]);
    let body = [base62(&id.to_bytes(), 22), base62(&[9; 32], 43)].concat();
    let token = format!("palisadepat_{body}{}", base62(&crc32(body.as_bytes()).to_be_bytes(), 6));
    let [refusal, same] =
        [followed, rebuilt].map(|vault| vault.verify(&token, &VerifyContext::at(NOW)).err());
    assert_eq!(refusal, same);
    assert!(refusal.is_some(), "nobody knows a secret of which the digest was made up");
    for info in followed.list(&TokenFilter::all()) {
        assert!(
            stores.entries.contains_key(&format!("token-vault/token/{}", info.id)),
            "a token that is stored"
        );
        assert_eq!(followed.get(info.id).unwrap(), info);
    }
    !followed.list(&TokenFilter::all()).is_empty()
}

#[expect(clippy::unwrap_used, reason = "constants")]
fn format() -> TokenFormat {
    TokenFormat::new(["palisadepat".parse().unwrap(), "sadepat".parse().unwrap()]).unwrap()
}

/// The token of these bytes by the documented form, digit by digit.
fn slow(format: &TokenFormat, text: &[u8]) -> Option<(Prefix, TokenId)> {
    let text = str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
    let (prefix, tail) = text.split_once('_')?;
    let kind = format.kinds().iter().find(|kind| kind.as_str() == prefix)?;
    let (body, checksum) = tail.split_at_checked(65)?;
    let (id, secret) = body.split_at_checked(22)?;
    number(secret, 43, 32)?;
    if number(checksum, 6, 4)? != crc32(body.as_bytes()).to_be_bytes() {
        return None;
    }
    Some((kind.clone(), TokenId::from_bytes(number(id, 22, 16)?.try_into().ok()?)))
}

/// The number of this many digits, as this many bytes.
fn number(text: &str, digits: usize, bytes: usize) -> Option<Vec<u8>> {
    let mut number = vec![0_u8; bytes];
    for digit in text.bytes() {
        let mut carry = DIGITS.iter().position(|known| *known == digit)?;
        for byte in number.iter_mut().rev() {
            carry = usize::from(*byte).checked_mul(62)?.checked_add(carry)?;
            *byte = u8::try_from(carry & 255).ok()?;
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    (text.len() == digits).then_some(number)
}

/// This many digits of a number.
fn base62(number: &[u8], digits: usize) -> String {
    let mut number = number.to_vec();
    let mut text = Vec::new();
    for _ in 0..digits {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = (rest << 8) | u32::from(*byte);
            *byte = u8::try_from(value.checked_div(62).unwrap_or(0)).unwrap_or(0);
            rest = value.checked_rem(62).unwrap_or(0);
        }
        text.extend(usize::try_from(rest).ok().and_then(|rest| DIGITS.get(rest)).copied().map(char::from));
    }
    text.iter().rev().collect()
}

/// CRC-32 of ISO 3309, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
