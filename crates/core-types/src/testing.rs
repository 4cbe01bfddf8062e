//! What tests of this and other crates share: a clock and a generator one can steer, and strategies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::error::RandomError;
use crate::id::{Id, IdKind};
use crate::permission::{Permission, PermissionPattern};
use crate::principal::{Principal, Subject};
use crate::random::SecureRandom;
use crate::restriction::{Grant, Restriction};
use crate::scope::Scope;
use crate::time::{Clock, UnixTime};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct TestClock {
    millis: AtomicU64,
}

impl TestClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn at(now: UnixTime) -> Self {
        Self { millis: AtomicU64::new(now.as_millis()) }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().saturating_add(by));
    }

    /// Moves the clock anywhere, back too.
    pub fn set(&self, now: UnixTime) {
        self.millis.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_millis(self.millis.load(Ordering::SeqCst))
    }
}

/// A generator whose bytes follow from its seed; two of one seed agree. Never for anything but tests.
#[derive(Debug)]
pub struct TestRandom {
    state: AtomicU64,
}

impl TestRandom {
    /// The generator of this seed.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014).
    fn next(&self) -> u64 {
        let state = self.state.fetch_add(GOLDEN, Ordering::SeqCst).wrapping_add(GOLDEN);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl SecureRandom for TestRandom {
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        for chunk in out.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *to = from;
            }
        }
        Ok(())
    }
}

/// Any id of the kind.
pub fn arb_id<K: IdKind>() -> impl Strategy<Value = Id<K>> {
    any::<[u8; 16]>().prop_map(Id::from_bytes)
}

/// A kind, a name, a service or a verb of any shape.
pub fn arb_segment() -> impl Strategy<Value = String> {
    // Rejection-free: the ends are alphanumeric by construction.
    ("[a-z0-9]", "[a-z0-9-]{0,60}", prop::option::of("[a-z0-9]")).prop_map(|(first, middle, last)| match last
    {
        Some(last) => format!("{first}{middle}{last}"),
        None => first,
    })
}

/// A scope over a small alphabet, so that containment happens often.
pub fn arb_scope() -> impl Strategy<Value = Scope> {
    vec((select(&["org", "project"][..]), select(&["a", "b", "ab"][..])), 0..4).prop_map(|levels| {
        levels
            .into_iter()
            .try_fold(Scope::root(), |scope, (kind, name)| scope.child(kind, name))
            .unwrap_or_else(|_| Scope::root())
    })
}

/// A permission over a small alphabet.
pub fn arb_permission() -> impl Strategy<Value = Permission> {
    (select(SERVICES), select(VERBS))
        .prop_filter_map("a name of the alphabet", |(service, verb)| Permission::new(service, verb).ok())
}

/// A pattern over the same alphabet.
pub fn arb_pattern() -> impl Strategy<Value = PermissionPattern> {
    let side = |names: &'static [&'static str]| prop_oneof![3 => select(names), 1 => Just("*")];
    (side(SERVICES), side(VERBS))
        .prop_filter_map("a name of the alphabet", |(service, verb)| format!("{service}:{verb}").parse().ok())
}

/// A grant over the small alphabets.
pub fn arb_grant() -> impl Strategy<Value = Grant> {
    (arb_pattern(), arb_scope()).prop_map(|(permissions, scope)| Grant::new(permissions, scope))
}

/// A restriction of a few grants, with and without an end.
pub fn arb_restriction() -> impl Strategy<Value = Restriction> {
    let grants = prop_oneof![
        1 => Just(Restriction::unrestricted()),
        8 => vec(arb_grant(), 0..5)
            .prop_filter_map("few grants", |grants| Restriction::only(grants).ok()),
    ];
    (grants, prop::option::of(0_u64..4)).prop_map(|(restriction, end)| match end {
        Some(end) => restriction.expiring(UnixTime::from_millis(end)),
        None => restriction,
    })
}

/// Any subject.
pub fn arb_subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        arb_id().prop_map(Subject::User),
        arb_id().prop_map(Subject::ServiceAccount),
        arb_id().prop_map(Subject::Machine),
    ]
}

/// Any principal.
pub fn arb_principal() -> impl Strategy<Value = Principal> {
    prop_oneof![
        arb_subject().prop_map(Principal::subject),
        (arb_id(), arb_subject()).prop_map(|(token, subject)| Principal::token(token, subject)),
    ]
}

/// The services of [`arb_permission`]; `admin` is among them because patterns treat it specially.
pub const SERVICES: &[&str] = &["apps", "compute", "admin"];
/// The verbs of [`arb_permission`].
pub const VERBS: &[&str] = &["read", "write"];

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
