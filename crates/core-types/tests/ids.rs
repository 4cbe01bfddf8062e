//! Ids carry their time, sort by it, and keep apart.

use std::collections::HashSet;
use std::sync::Arc;

use core_types::testing::{TestRandom, arb_id};
use core_types::{MachineId, RandomError, RequestId, SecureRandom, SystemRandom, TokenId, UnixTime, UserId};
use proptest::prelude::*;

/// The latest instant an id can say.
const LAST_MILLIS: u64 = (1 << 48) - 1;

/// A source that has run dry.
struct Dry;

impl SecureRandom for Dry {
    fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
        Err(RandomError::new())
    }
}

/// A source that fills with one byte.
struct Constant(u8);

impl SecureRandom for Constant {
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        out.fill(self.0);
        Ok(())
    }
}

#[test]
fn an_id_is_48_bits_of_time_and_80_random_bits() {
    let now = UnixTime::from_millis(0x0123_4567_89ab);
    let id = TokenId::generate(now, &Constant(0xc7)).unwrap();
    assert_eq!(id.to_bytes(), *b"\x01\x23\x45\x67\x89\xab\xc7\xc7\xc7\xc7\xc7\xc7\xc7\xc7\xc7\xc7");
    assert_eq!(id.created_at(), now);
}

#[test]
fn the_text_is_that_of_the_ulid_specification() {
    // The example of github.com/ulid/javascript: `ulid(1469918176385)` gives 01ARYZ6S41TSV4RRFFQ69G5FAV.
    let id: UserId = "usr_01ARYZ6S41TSV4RRFFQ69G5FAV".parse().unwrap();
    assert_eq!(id.created_at(), UnixTime::from_millis(1_469_918_176_385));
    assert_eq!(UserId::from_bytes([0; 16]).to_string(), "usr_00000000000000000000000000");
    assert_eq!(UserId::from_bytes([0xff; 16]).to_string(), "usr_7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
}

#[test]
fn an_id_after_the_year_10889_says_the_last_instant_it_can() {
    let last = UnixTime::from_millis(LAST_MILLIS);
    for millis in [LAST_MILLIS, LAST_MILLIS.saturating_add(1), u64::MAX] {
        let id = UserId::generate(UnixTime::from_millis(millis), &Constant(0)).unwrap();
        assert_eq!(id.created_at(), last, "{millis}");
    }
}

#[test]
fn no_id_is_made_without_randomness() {
    assert_eq!(UserId::generate(UnixTime::EPOCH, &Dry), Err(RandomError::new()));
    assert_eq!(UserId::generate(UnixTime::EPOCH, &&Dry), Err(RandomError::new()));
    assert_eq!(UserId::generate(UnixTime::EPOCH, &Arc::new(Dry)), Err(RandomError::new()));
}

#[test]
fn ids_made_at_one_instant_differ() {
    let now = UnixTime::from_secs(1_700_000_000);
    let system = SystemRandom::new();
    let ids: HashSet<_> = (0..10_000).map(|_| RequestId::generate(now, &system).unwrap()).collect();
    assert_eq!(ids.len(), 10_000);
    assert!(ids.iter().all(|id| id.created_at() == now));
}

#[test]
fn a_seeded_generator_repeats_itself_and_another_seed_does_not() {
    let made = |seed| MachineId::generate(UnixTime::EPOCH, &TestRandom::seeded(seed)).unwrap();
    assert_eq!(made(1), made(1));
    assert_ne!(made(1), made(2));
}

#[test]
fn a_kind_of_ones_own_has_its_own_prefix() {
    core_types::id_kind! {
        /// A volume.
        Volume = "vol";
    }
    type VolumeId = core_types::Id<Volume>;
    let id = VolumeId::generate(UnixTime::EPOCH, &Constant(0)).unwrap();
    assert_eq!(id.to_string(), "vol_00000000000000000000000000");
    assert_eq!(format!("{id:?}"), id.to_string());
    assert_eq!(id.to_string().parse::<VolumeId>().unwrap(), id);
    assert!(id.to_string().parse::<UserId>().is_err());
}

proptest! {
    #[test]
    fn ids_sort_by_the_time_they_were_made(
        early in 0..LAST_MILLIS,
        later in 1..LAST_MILLIS,
        seeds: (u64, u64),
    ) {
        let late = early.saturating_add(later).min(LAST_MILLIS);
        let first = UserId::generate(UnixTime::from_millis(early), &TestRandom::seeded(seeds.0))?;
        let second = UserId::generate(UnixTime::from_millis(late), &TestRandom::seeded(seeds.1))?;
        prop_assert!(first < second);
        prop_assert!(first.to_string() < second.to_string());
        prop_assert!(first.to_bytes() < second.to_bytes());
        prop_assert_eq!((first.created_at().as_millis(), second.created_at().as_millis()), (early, late));
    }

    #[test]
    fn the_order_of_ids_is_that_of_their_texts_and_of_their_bytes(
        a in arb_id::<core_types::id::User>(),
        b in arb_id(),
    ) {
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
        prop_assert_eq!(a == b, a.to_bytes() == b.to_bytes());
    }
}
