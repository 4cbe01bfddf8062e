//! What a text form promises, checked of any text.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

/// Reads `input` as a `T` and holds the answer against `valid`, a slow reading of the specification.
///
/// # Panics
/// When the two differ, when what was read is written otherwise, and when an error has nothing to say or
/// repeats what may be a secret or long.
pub(crate) fn read<T>(input: &[u8], valid: impl Fn(&str) -> bool) -> Option<T>
where
    T: Display + FromStr<Err: Display>,
{
    let text = str::from_utf8(input).ok()?;
    match text.parse::<T>() {
        Ok(value) => {
            assert!(valid(text), "accepted: {text:?}");
            assert_eq!(value.to_string(), text, "one spelling");
            Some(value)
        }
        Err(error) => {
            assert!(!valid(text), "refused ({error}): {text:?}");
            let message = error.to_string();
            assert!(!message.is_empty() && message.len() < 200, "a message of a line: {message:?}");
            None
        }
    }
}

/// Whether the text is a segment: 1 to 63 of `[a-z0-9-]`, no hyphen at an end.
pub(crate) fn is_segment(text: &str) -> bool {
    let symbol = |symbol: char| symbol.is_ascii_digit() || symbol.is_ascii_lowercase();
    (1..=63).contains(&text.chars().count())
        && text.chars().all(|letter| symbol(letter) || letter == '-')
        && text.chars().next().is_some_and(symbol)
        && text.chars().next_back().is_some_and(symbol)
}

/// `prefix_` and a number below 2^128 in Crockford's base 32: 26 digits, the first below 8.
pub(crate) fn is_id(prefix: &str, text: &str) -> bool {
    let digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).is_some_and(|bare| {
        bare.chars().count() == 26
            && bare.chars().all(|digit| digits.contains(digit))
            && bare.starts_with(['0', '1', '2', '3', '4', '5', '6', '7'])
    })
}

/// Whether the text is a network: an address as the standard library writes it (RFC 5952), not IPv4 in IPv6, with no bit
/// set after the length.
pub(crate) fn is_canonical_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let Ok(parsed) = address.parse::<IpAddr>() else { return false };
    let (bits, width) = match parsed {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32_u32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let Some(host) = length.parse().ok().and_then(|length| width.checked_sub(length)) else {
        return false;
    };
    let is_mapped = matches!(parsed, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    let hosts = 1_u128.checked_shl(host).map_or(u128::MAX, |hosts| hosts.saturating_sub(1));
    format!("{parsed}/{}", width.saturating_sub(host)) == text && !is_mapped && bits & hosts == 0
}
