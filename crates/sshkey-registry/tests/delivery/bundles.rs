//! Bundles: what is signed, what is believed, what is found.

use std::time::Duration;

use core_types::testing::TestRandom;
use core_types::{Fingerprint, Scope, SecretBytes, UnixTime};
use sshkey_registry::bundle::{
    Authorization, Bundle, BundleKey, Contents, Entry, Staleness, TrustedSigners, WhenStale,
};
use sshkey_registry::{
    AccountName, AuthorizedLine, BundleError, KeyType, LineComment, Options, PublicKey, TrustError,
};

use crate::recorded;

pub(crate) const ISSUED: UnixTime = UnixTime::from_secs(1_700_000_000);
pub(crate) const STRICT: Staleness =
    Staleness { max_age: Duration::from_hours(1), when_stale: WhenStale::Refuse };

/// The key of the example in `FORMAT.md`.
pub(crate) fn key() -> BundleKey {
    BundleKey::from_seed(SecretBytes::take_from(&mut [7; 32]))
}

pub(crate) fn trusted(key: &BundleKey) -> TrustedSigners {
    TrustedSigners::new(&key.public_key()).unwrap()
}

pub(crate) fn machine() -> Scope {
    "project/web/vm/build".parse().unwrap()
}

pub(crate) fn account(name: &str) -> AccountName {
    AccountName::parse(name).unwrap()
}

pub(crate) fn entry(name: &str, key: PublicKey) -> Entry {
    let comment = LineComment::parse("key_1").unwrap();
    Entry {
        account: account(name),
        line: AuthorizedLine::new(Options::new(), key, comment),
        expires_at: None,
    }
}

pub(crate) fn contents(revision: u64, entries: Vec<Entry>) -> Contents {
    Contents { machine: machine(), revision, issued_at: ISSUED, entries }
}

/// An Ed25519 key of which nobody has the private half.
fn made_up(number: u64) -> PublicKey {
    let point = Fingerprint::of(&number.to_be_bytes());
    let name = KeyType::Ed25519.as_str().as_bytes();
    PublicKey::from_blob(&[&[0, 0, 0, 11][..], name, &[0, 0, 0, 32], point.as_bytes()].concat()).unwrap()
}

#[test]
fn every_key_is_found_under_its_account_and_under_no_other() {
    let signer = key();
    for count in [0_u64, 1, 2, 20, 100, 3_000] {
        let entries: Vec<_> = (0..count).map(|number| entry("admin", made_up(number))).collect();
        let bytes = contents(1, entries.clone()).sign(&signer).unwrap();
        let bundle = Bundle::open(&*bytes, &trusted(&signer), &machine()).unwrap();
        assert_eq!((u64::from(bundle.len()), bundle.is_empty()), (count, count == 0));
        for entry in &entries {
            let ask = |name| {
                bundle.authorize(&account(name), &entry.line.key().fingerprint(), ISSUED, STRICT).unwrap()
            };
            assert_eq!(ask("admin"), Authorization::Authorized(entry.clone()));
            assert_eq!(ask("root"), Authorization::Unknown);
        }
        for number in count..count + 50 {
            let answer = bundle.authorize(&account("admin"), &made_up(number).fingerprint(), ISSUED, STRICT);
            assert_eq!(answer.unwrap(), Authorization::Unknown);
        }
        let mut found = bundle.contents().unwrap();
        let by_key = |entry: &Entry| entry.line.key().fingerprint().as_bytes().to_vec();
        found.entries.sort_by_key(by_key);
        let mut expected = contents(1, entries);
        expected.entries.sort_by_key(by_key);
        assert_eq!(found, expected);
    }
}

#[test]
fn the_order_of_the_keys_changes_nothing() {
    let signer = key();
    let mut entries: Vec<_> = (0..200).map(|number| entry("admin", made_up(number))).collect();
    let bytes = contents(1, entries.clone()).sign(&signer).unwrap();
    entries.reverse();
    assert_eq!(contents(1, entries.clone()).sign(&signer).unwrap(), bytes);
    entries.push(entry("admin", made_up(7)));
    assert!(matches!(contents(1, entries).sign(&signer), Err(BundleError::Repeated)));
}

#[test]
fn any_changed_byte_is_noticed() {
    let signer = key();
    let mut entries: Vec<_> = (0..60).map(|number| entry("admin", made_up(number))).collect();
    entries.push(entry("admin", recorded("rsa4096")));
    let good = contents(1, entries).sign(&signer).unwrap();
    let read = |bytes: &[u8]| -> Result<Contents, BundleError> {
        Bundle::open(bytes, &trusted(&signer), &machine())?.contents()
    };
    assert!(read(&good).is_ok());
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(read(&bytes).is_err(), "byte {at}");
    }
    for len in (0..good.len()).step_by(7) {
        assert!(read(&good[..len]).is_err(), "cut at {len}");
    }
    assert!(matches!(read(&[&good[..], &[0]].concat()), Err(BundleError::Length)));
    assert!(matches!(read(b""), Err(BundleError::Truncated)));
    assert!(matches!(read(&[b'x'; 300]), Err(BundleError::NotABundle)));
}

#[test]
fn a_look_up_in_a_damaged_bundle_never_lets_another_key_in() {
    let signer = key();
    let entries: Vec<_> = (0..40).map(|number| entry("admin", made_up(number))).collect();
    let good = contents(1, entries.clone()).sign(&signer).unwrap();
    let stranger = made_up(1_000);
    for at in (0..good.len()).step_by(3) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x20;
        let Ok(bundle) = Bundle::open(&*bytes, &trusted(&signer), &machine()) else { continue };
        let ask = |key: &PublicKey| bundle.authorize(&account("admin"), &key.fingerprint(), ISSUED, STRICT);
        assert!(!matches!(ask(&stranger), Ok(Authorization::Authorized(_))), "byte {at}");
        if let Ok(Authorization::Authorized(found)) = ask(entries[3].line.key()) {
            assert_eq!(found, entries[3], "byte {at}");
        }
    }
}

#[test]
fn only_the_signers_that_are_trusted_and_only_for_this_machine() {
    let (signer, other) = (key(), BundleKey::generate(&TestRandom::seeded(1)).unwrap());
    let bytes = contents(1, vec![entry("admin", recorded("ed25519"))]).sign(&signer).unwrap();
    let open = |trusted: &TrustedSigners, machine: &str| {
        Bundle::open(&*bytes, trusted, &machine.parse().unwrap()).map(|_| ())
    };
    assert!(open(&trusted(&signer), "project/web/vm/build").is_ok());
    assert!(matches!(open(&trusted(&other), "project/web/vm/build"), Err(BundleError::UnknownSigner)));
    for machine in ["project/web/vm/build-2", "project/web", "project/data/vm/build", "/"] {
        assert!(matches!(open(&trusted(&signer), machine), Err(BundleError::OtherMachine)), "{machine}");
    }
    // While the signing key is changed, both are believed.
    let keys = [signer.public_key().unwrap(), other.public_key().unwrap()];
    assert!(open(&TrustedSigners::new(&keys).unwrap(), "project/web/vm/build").is_ok());
    // A signature under the right name by the wrong key.
    let forged = contents(1, Vec::new()).sign(&other).unwrap();
    let mut forged = forged;
    forged[16..48].copy_from_slice(&bytes[16..48]);
    let opened = Bundle::open(&*forged, &trusted(&signer), &machine()).map(|_| ());
    assert!(matches!(opened, Err(BundleError::Signature)));
}

#[test]
fn signers_are_sound_ed25519_keys() {
    let good = key().public_key().unwrap().to_string();
    assert!(TrustedSigners::parse(&format!("# the control plane\n\n{good} cp\n")).is_ok());
    assert_eq!(TrustedSigners::parse(""), Err(TrustError::Empty));
    assert_eq!(TrustedSigners::parse(&recorded("rsa2048").to_string()), Err(TrustError::NotEd25519));
    let small_order = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(TrustedSigners::parse(small_order), Err(TrustError::NotEd25519));
    assert!(matches!(TrustedSigners::parse("nonsense"), Err(TrustError::Key(_))));
    let many = format!("{good}\n").repeat(17);
    assert_eq!(TrustedSigners::parse(&many), Err(TrustError::TooMany { limit: 16 }));
}

#[test]
fn a_stale_bundle_is_refused_or_kept_as_the_policy_says() {
    let signer = key();
    let known = recorded("ed25519");
    let bytes = contents(1, vec![entry("admin", known.clone())]).sign(&signer).unwrap();
    let bundle = Bundle::open(&*bytes, &trusted(&signer), &machine()).unwrap();
    let keep = Staleness { when_stale: WhenStale::KeepLast, ..STRICT };
    let ask =
        |now, staleness| bundle.authorize(&account("admin"), &known.fingerprint(), now, staleness).unwrap();
    let is_in = |answer| matches!(answer, Authorization::Authorized(_));
    let limit = ISSUED.saturating_add(STRICT.max_age);
    let past = UnixTime::from_millis(limit.as_millis() + 1);
    assert!(is_in(ask(limit, STRICT)) && is_in(ask(limit, keep)));
    assert_eq!(ask(past, STRICT), Authorization::Stale);
    assert!(is_in(ask(past, keep)));
    // A clock that is behind: the bundle is from the future.
    let skewed = ISSUED.saturating_sub(Duration::from_mins(5));
    assert!(is_in(ask(skewed, STRICT)));
    let wrong = UnixTime::from_secs(10);
    assert_eq!(ask(wrong, STRICT), Authorization::Stale);
    assert!(is_in(ask(wrong, keep)));
}

#[test]
fn a_key_expires_also_where_the_clock_went_back() {
    let signer = key();
    let ends = ISSUED.saturating_add(Duration::from_secs(60));
    let mut over = entry("admin", recorded("ed25519"));
    over.expires_at = Some(ISSUED);
    let mut soon = entry("admin", recorded("ed25519-2"));
    soon.expires_at = Some(ends);
    let bytes = contents(1, vec![over.clone(), soon.clone()]).sign(&signer).unwrap();
    let bundle = Bundle::open(&*bytes, &trusted(&signer), &machine()).unwrap();
    let keep = Staleness { when_stale: WhenStale::KeepLast, ..STRICT };
    let ask = |entry: &Entry, now| {
        bundle.authorize(&account("admin"), &entry.line.key().fingerprint(), now, keep).unwrap()
    };
    assert_eq!(ask(&over, UnixTime::from_secs(1)), Authorization::Expired);
    assert_eq!(ask(&soon, ends), Authorization::Expired);
    let just_before = UnixTime::from_millis(ends.as_millis() - 1);
    assert_eq!(ask(&soon, just_before), Authorization::Authorized(soon.clone()));
}

/// The example of `FORMAT.md`, made anew; with `BLESS=1` printed for it.
#[test]
fn the_example_of_the_format_is_what_is_made() {
    let mut one = entry("admin", recorded("ed25519"));
    one.expires_at = Some(UnixTime::from_secs(1_800_000_000));
    let bytes = contents(42, vec![one]).sign(&key()).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: Vec<_> = bytes.chunks(32).map(hex).collect();
    let expected = format!("```text\n{}\n```", lines.join("\n"));
    let format = include_str!("../../FORMAT.md");
    assert!(format.contains(&expected), "the example should be\n{expected}");
}
