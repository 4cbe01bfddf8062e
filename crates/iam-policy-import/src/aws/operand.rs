//! Numbers and dates in conditions.

/// A number of at most 18 digits before the point and 12 after it, in units of 10^-12.
pub(super) fn decimal(text: &str) -> Option<i128> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || whole.len() > 18 || fraction.len() > 12 {
        return None;
    }
    let scaled: i128 = format!("{whole}{fraction:0<12}").parse().ok()?;
    Some(if is_negative { scaled.checked_neg()? } else { scaled })
}

/// Milliseconds since 1970: of seconds in decimal, or of a date of ISO 8601 (`2026-01-31`, `2026-01-31T12:00:00Z`,
/// `…+02:00`).
pub(super) fn instant(text: &str) -> Option<i128> {
    if !text.contains('-') || text.starts_with('-') {
        return decimal(text).map(|seconds| seconds.div_euclid(1_000_000_000));
    }
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let mut fields = date.split('-');
    let (year, month, day) = (field(fields.next(), 4)?, field(fields.next(), 2)?, field(fields.next(), 2)?);
    if fields.next().is_some() || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month)? {
        return None;
    }
    let millis = match time {
        None => 0,
        Some(time) => time_of_day(time)?,
    };
    days(year, month, day)?.checked_mul(86_400_000)?.checked_add(millis)
}

/// Milliseconds since midnight at Greenwich: `12:00Z`, `12:00:00Z`, `12:00:00.5+02:00`.
fn time_of_day(text: &str) -> Option<i128> {
    let (clock, offset) = match text.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => {
            let at = text.rfind(['+', '-'])?;
            let (clock, zone) = text.split_at_checked(at)?;
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let (hours, minutes) = (field(Some(hours), 2)?, field(Some(minutes), 2)?);
            if hours > 14 || minutes > 59 {
                return None;
            }
            let offset = hours.checked_mul(60)?.checked_add(minutes)?.checked_mul(60_000)?;
            (clock, if zone.starts_with('-') { offset.checked_neg()? } else { offset })
        }
    };
    let mut fields = clock.split(':');
    let (hours, minutes) = (field(fields.next(), 2)?, field(fields.next(), 2)?);
    let (seconds, millis) = match fields.next() {
        None => (0, 0),
        Some(seconds) => {
            let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            if fraction.is_empty() || fraction.len() > 9 {
                return None;
            }
            let millis = format!("{fraction:0<3}");
            (field(Some(whole), 2)?, field(millis.get(..3), 3)?)
        }
    };
    if fields.next().is_some() || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
    let seconds = minutes.checked_mul(60)?.checked_add(seconds)?;
    seconds.checked_mul(1000)?.checked_add(millis)?.checked_sub(offset)
}

/// A number of exactly this many digits.
fn field(text: Option<&str>, digits: usize) -> Option<i128> {
    let text = text?;
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

const fn is_leap(year: i128) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in(year: i128, month: i128) -> Option<i128> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 if is_leap(year) => Some(29),
        2 => Some(28),
        _ => None,
    }
}

/// Days since 1970-01-01, counted month by month.
fn days(year: i128, month: i128, day: i128) -> Option<i128> {
    let before = year.checked_sub(1)?;
    let leaps =
        before.div_euclid(4).checked_sub(before.div_euclid(100))?.checked_add(before.div_euclid(400))?;
    let mut days = before.checked_mul(365)?.checked_add(leaps)?;
    for earlier in 1..month {
        days = days.checked_add(days_in(year, earlier)?)?;
    }
    // 719,162 days from 0001-01-01 to 1970-01-01.
    days.checked_add(day)?.checked_sub(719_163)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert!(decimal("10") > decimal("9.5"));
        assert_eq!(decimal("1.50"), decimal("1.5"));
        assert!(decimal("-2") < decimal("-1"));
        for text in ["", "-", ".5", "1.", "1e3", "0x1", " 1", "1234567890123456789", "0.1234567890123"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_instants() {
        let at = |text: &str| instant(text).unwrap();
        assert_eq!(at("1970-01-01"), 0);
        assert_eq!(at("2026-02-28T23:59:59.25Z"), 1_772_323_199_250);
        assert_eq!(at("2024-02-29T12:00:00+02:00"), at("2024-02-29T10:00:00Z"));
        assert_eq!(at("2024-03-01"), at("2024-02-29T23:59:59Z") + 1000);
        assert_eq!(at("1700000000"), at("2023-11-14T22:13:20Z"));
        for text in
            ["2023-02-29", "2023-13-01", "2023-1-1", "2023-01-01T24:00:00Z", "2023-01-01T00:00:00", "now"]
        {
            assert_eq!(instant(text), None, "{text}");
        }
    }
}
