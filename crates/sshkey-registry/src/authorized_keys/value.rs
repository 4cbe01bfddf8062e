use core::fmt;
use std::net::IpAddr;

use core_types::UnixTime;

use super::options::MAX_OPTIONS_BYTES;
use crate::error::OptionsError;
use crate::name::is_shown;

/// A value that is free text: visible characters, at least one, and no backslash at the end, which would swallow
/// the closing quote.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OptionText {
    text: Box<str>,
}

impl OptionText {
    /// The value that `text` is.
    ///
    /// # Errors
    /// [`OptionsError::Value`], [`OptionsError::TooLong`].
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        if text.len() > MAX_OPTIONS_BYTES {
            return Err(OptionsError::TooLong { limit: MAX_OPTIONS_BYTES });
        }
        let visible = !text.is_empty() && !text.ends_with('\\') && text.chars().all(is_shown);
        if visible { Ok(Self { text: text.into() }) } else { Err(OptionsError::Value { of: "the option" }) }
    }

    /// The text, without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// `NAME=value`: the name `[A-Za-z0-9_]+`, as sshd asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Environment {
    text: Box<str>,
}

impl Environment {
    /// The pair that `text` is.
    ///
    /// # Errors
    /// [`OptionsError::Value`].
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        let text = OptionText::parse(text)?.text;
        let name = text.split_once('=').map_or("", |(name, _)| name);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !name.is_empty() && name.bytes().all(is_name) {
            Ok(Self { text })
        } else {
            Err(OptionsError::Value { of: "`environment`" })
        }
    }

    /// `NAME=value`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// When a line ends: `YYYYMMDD[Z]` or `YYYYMMDDHHMM[SS][Z]`; without `Z` in the machine's own zone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExpiryTime {
    text: Box<str>,
}

impl ExpiryTime {
    /// The time that `text` is.
    ///
    /// # Errors
    /// [`OptionsError::Value`].
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        let digits = text.strip_suffix('Z').unwrap_or(text);
        let part = |from: usize, to: usize| digits.get(from..to).and_then(|part| part.parse::<u32>().ok());
        let within =
            |part: Option<u32>, from: u32, to: u32| part.is_some_and(|part| (from..=to).contains(&part));
        let time = match digits.len() {
            8 => true,
            12 => within(part(8, 10), 0, 23) && within(part(10, 12), 0, 59),
            14 => within(part(8, 10), 0, 23) && within(part(10, 12), 0, 59) && within(part(12, 14), 0, 59),
            _ => false,
        };
        let year = part(0, 4);
        let month = part(4, 6);
        let last_day = year.zip(month).map_or(0, |(year, month)| days_in_month(year, month));
        let is_date = within(year, 1970, 9999) && within(part(6, 8), 1, last_day);
        if time && is_date && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self { text: text.into() })
        } else {
            Err(OptionsError::Value { of: "`expiry-time`" })
        }
    }

    /// The first whole second at or after `time`, in UTC; the last one of the year 9999 for whatever is later.
    #[must_use]
    pub fn from_time(time: UnixTime) -> Self {
        let secs = time.as_millis().div_ceil(1000).min(LAST_SECOND);
        let (days, of_day) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (hour, minute) = (of_day.div_euclid(3600), of_day.rem_euclid(3600).div_euclid(60));
        let second = of_day.rem_euclid(60);
        Self { text: format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z").into() }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A list of addresses, networks and patterns of names, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Patterns {
    patterns: Vec<Pattern>,
}

/// One entry of such a list; `!` in front forbids what would match.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<str>,
}

impl Patterns {
    /// The list that `text` is, with at least one entry that allows something.
    ///
    /// # Errors
    /// [`OptionsError::Value`].
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        let patterns = text.split(',').map(Pattern::parse).collect::<Result<Vec<_>, _>>()?;
        // A list of nothing but exceptions matches nobody.
        if patterns.iter().all(|pattern| pattern.text.starts_with('!')) {
            return Err(FROM);
        }
        Ok(Self { patterns })
    }

    /// The entries, in order.
    #[must_use]
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }
}

impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, pattern) in self.patterns.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            f.write_str(&pattern.text)?;
        }
        Ok(())
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, OptionsError> {
        let pattern = text.strip_prefix('!').unwrap_or(text);
        let is_valid = match pattern.split_once('/') {
            Some((address, bits)) => is_network(address, bits),
            None => {
                !pattern.is_empty()
                    && pattern.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_*?:".contains(&byte))
            }
        };
        if is_valid { Ok(Self { text: text.into() }) } else { Err(FROM) }
    }

    /// The text, with its `!` if it has one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// `host:port`, `[address]:port`, `*` for any of either.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ForwardTarget {
    text: Box<str>,
}

impl ForwardTarget {
    /// The target that `text` is.
    ///
    /// # Errors
    /// [`OptionsError::Value`].
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        let (host, port) = text.rsplit_once(':').ok_or(PERMIT)?;
        if is_host(host) && is_port(port) { Ok(Self { text: text.into() }) } else { Err(PERMIT) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// `[host:]port`, as [`ForwardTarget`], the host left out for the loopback address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListenAddress {
    text: Box<str>,
}

impl ListenAddress {
    /// The address that `text` is.
    ///
    /// # Errors
    /// [`OptionsError::Value`].
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        let is_valid = is_port(text) || ForwardTarget::parse(text).is_ok();
        if is_valid { Ok(Self { text: text.into() }) } else { Err(PERMIT) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Which device a tunnel uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TunnelDevice {
    /// `any`.
    Any,
    /// This one.
    Number(u32),
}

impl TunnelDevice {
    /// The device that `text` is.
    ///
    /// # Errors
    /// [`OptionsError::Value`].
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let number =
            text.parse().ok().filter(|&number: &u32| number <= MAX_TUNNEL && number.to_string() == text);
        number.map(Self::Number).ok_or(OptionsError::Value { of: "`tunnel`" })
    }
}

impl fmt::Display for TunnelDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// A value in quotes.
pub(super) fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('"', "\\\""))
}

/// A network whose address has no bit set behind the prefix; sshd refuses the whole list otherwise.
fn is_network(address: &str, bits: &str) -> bool {
    let Ok(len) = bits.parse::<u32>() else { return false };
    if len.to_string() != bits {
        return false;
    }
    let (number, width) = match address.parse() {
        Ok(IpAddr::V4(address)) => (u128::from(u32::from(address)), 32),
        Ok(IpAddr::V6(address)) => (u128::from(address), 128),
        Err(_) => return false,
    };
    let Some(host_bits) = 128_u32.checked_sub(len).filter(|_| len <= width) else { return false };
    let host_bits = host_bits.saturating_sub(128_u32.saturating_sub(width));
    number & 1_u128.checked_shl(host_bits).map_or(u128::MAX, |bit| bit.wrapping_sub(1)) == 0
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    host == "*" || !host.is_empty() && host.bytes().all(is_name)
}

fn is_port(port: &str) -> bool {
    port == "*" || port.parse().is_ok_and(|number: u16| number > 0 && number.to_string() == port)
}

const fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    }
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar. The years that days are counted in
/// begin in March, so that the leap day is the last of its year.
#[expect(clippy::arithmetic_side_effects, reason = "at most 3 million days: nothing overflows")]
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// 9999-12-31 23:59:59.
const LAST_SECOND: u64 = 253_402_300_799;
/// OpenSSH's `SSH_TUNID_MAX`.
const MAX_TUNNEL: u32 = 0x7fff_fffd;
const FROM: OptionsError = OptionsError::Value { of: "`from`" };
const PERMIT: OptionsError = OptionsError::Value { of: "`permitopen` or `permitlisten`" };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut expected = (1970, 1, 1);
        for days in 0..146_097 {
            assert_eq!(civil(days), expected, "{days}");
            let (year, month, day) = expected;
            let last = u64::from(days_in_month(u32::try_from(year).unwrap(), u32::try_from(month).unwrap()));
            expected = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, day) if day == last => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
    }

    #[test]
    fn an_expiry_is_the_second_at_which_the_time_has_come() {
        let text = |millis| ExpiryTime::from_time(UnixTime::from_millis(millis)).as_str().to_owned();
        assert_eq!(text(0), "19700101000000Z");
        assert_eq!(text(1_700_000_000_001), "20231114221321Z");
        assert_eq!(text(u64::MAX), "99991231235959Z");
        for millis in [0, 951_782_400_000, 1_709_164_800_000, u64::MAX] {
            assert!(ExpiryTime::parse(&text(millis)).is_ok());
        }
    }
}
