//! Instants never wrap, and a clock shows them.

use std::sync::Arc;
use std::time::Duration;

use core_types::testing::TestClock;
use core_types::{Clock, SystemClock, UnixTime};
use proptest::prelude::*;

#[test]
fn an_instant_past_the_last_one_is_the_last_one() {
    let last = UnixTime::from_millis(u64::MAX);
    assert_eq!(last.saturating_add(Duration::from_millis(1)), last);
    assert_eq!(UnixTime::EPOCH.saturating_add(Duration::MAX), last);
    assert_eq!(UnixTime::from_secs(u64::MAX), last);
    assert_eq!(UnixTime::from_secs(1).saturating_sub(Duration::from_secs(2)), UnixTime::EPOCH);
    assert_eq!(UnixTime::EPOCH.saturating_since(last), Duration::ZERO);
}

#[test]
fn seconds_are_rounded_down_and_parts_of_milliseconds_too() {
    assert_eq!(UnixTime::from_millis(1999).as_secs(), 1);
    assert_eq!(UnixTime::from_secs(2).as_millis(), 2000);
    assert_eq!(UnixTime::EPOCH.saturating_add(Duration::from_micros(1999)), UnixTime::from_millis(1));
}

#[test]
fn the_document_form_is_a_whole_number_of_milliseconds() {
    assert_eq!(serde_json::to_string(&UnixTime::from_millis(1500)).unwrap(), "1500");
    assert_eq!(serde_json::from_str::<UnixTime>("18446744073709551615").unwrap().as_millis(), u64::MAX);
    for refused in ["-1", "1.0", "1e3", "\"1\"", "null", "18446744073709551616", "[1]", "{}"] {
        assert!(serde_json::from_str::<UnixTime>(refused).is_err(), "{refused}");
    }
}

#[test]
fn a_test_clock_stands_still_until_it_is_moved() {
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(10)));
    assert_eq!((clock.now(), Clock::now(&&clock)), (UnixTime::from_secs(10), UnixTime::from_secs(10)));
    clock.advance(Duration::from_secs(5));
    assert_eq!(clock.now(), UnixTime::from_secs(15));
    clock.set(UnixTime::from_secs(1));
    assert_eq!(clock.now(), UnixTime::from_secs(1));
}

#[test]
fn the_system_clock_is_past_the_day_this_was_written() {
    assert!(SystemClock::new().now() > UnixTime::from_secs(1_760_000_000));
}

proptest! {
    #[test]
    fn adding_and_subtracting_agree_with_wide_numbers(millis: u64, by: u64) {
        let (now, duration) = (UnixTime::from_millis(millis), Duration::from_millis(by));
        let sum = u64::try_from(u128::from(millis).saturating_add(u128::from(by))).unwrap_or(u64::MAX);
        prop_assert_eq!(now.saturating_add(duration).as_millis(), sum);
        let difference = u64::try_from(i128::from(millis).saturating_sub(i128::from(by))).unwrap_or(0);
        prop_assert_eq!(now.saturating_sub(duration).as_millis(), difference);
        prop_assert_eq!(now.saturating_since(UnixTime::from_millis(by)), Duration::from_millis(difference));
        prop_assert_eq!(now.to_string(), millis.to_string());
    }
}
