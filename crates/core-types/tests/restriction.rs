//! What a restriction means: nothing unless something is said, and until an instant.

use core_types::testing::arb_restriction;
use core_types::{Grant, Limit, Permission, PermissionPattern, Restriction, Scope, UnixTime};
use proptest::prelude::*;

#[test]
fn the_default_is_nothing() {
    let restriction = Restriction::default();
    assert_eq!(restriction, Restriction::nothing());
    assert_eq!(restriction, Restriction::only([]).unwrap(), "no grants are not no limit");
    assert_eq!(restriction.grants(), Limit::Only(&[][..]));
    let read: Permission = "apps:read".parse().unwrap();
    assert!(!restriction.allows(&read, &Scope::root(), UnixTime::EPOCH));
}

#[test]
fn no_restriction_cuts_nothing_off() {
    let restriction = Restriction::unrestricted();
    assert_eq!((restriction.grants(), restriction.expires_at()), (Limit::Unlimited, Limit::Unlimited));
    let deepest: Scope = ["org/a"; 8].join("/").parse().unwrap();
    assert!(restriction.allows(&"any:thing".parse().unwrap(), &deepest, UnixTime::from_millis(u64::MAX)));
}

#[test]
fn a_grant_holds_at_its_scope_and_below_and_nowhere_else() {
    let grant = Grant::new("apps:*".parse().unwrap(), "org/acme/project/web".parse().unwrap());
    assert_eq!(grant.to_string(), "apps:* at org/acme/project/web");
    let token = Restriction::only([grant]).unwrap();
    let at = |permission: &str, scope: &str| {
        token.allows(&permission.parse().unwrap(), &scope.parse().unwrap(), UnixTime::EPOCH)
    };
    assert!(at("apps:read", "org/acme/project/web"));
    assert!(at("apps:delete", "org/acme/project/web/app/shop"));
    for scope in ["/", "org/acme", "org/acme/project/web-2", "org/acme/project/we", "project/web"] {
        assert!(!at("apps:read", scope), "{scope}");
    }
    assert!(!at("databases:read", "org/acme/project/web"));
}

#[test]
fn the_instant_of_expiry_is_the_first_one_at_which_it_is_no_longer_valid() {
    let token = Restriction::unrestricted().expiring(UnixTime::from_millis(1000));
    let read: Permission = "apps:read".parse().unwrap();
    for (millis, valid) in [(0, true), (999, true), (1000, false), (1001, false), (u64::MAX, false)] {
        let now = UnixTime::from_millis(millis);
        assert_eq!(token.allows(&read, &Scope::root(), now), valid, "{millis}");
        assert_eq!(token.is_expired(now), !valid, "{millis}");
    }
    assert!(token.expiring(UnixTime::EPOCH).is_expired(UnixTime::EPOCH));
    assert!(!Restriction::unrestricted().is_expired(UnixTime::from_millis(u64::MAX)));
}

#[test]
fn an_end_is_never_put_off() {
    let ending = |at| Restriction::unrestricted().expiring(UnixTime::from_millis(at));
    assert_eq!(ending(5).expiring(UnixTime::from_millis(9)), ending(5));
    assert_eq!(ending(9).expiring(UnixTime::from_millis(5)), ending(5));
    assert_eq!(ending(5).intersect(&ending(9)).unwrap().expires_at(), Limit::Only(UnixTime::from_millis(5)));
}

#[test]
fn a_limit_is_seen_through_a_reference() {
    assert_eq!(Limit::Only(3).as_ref(), Limit::Only(&3));
    assert_eq!(Limit::<u8>::Unlimited.as_ref(), Limit::Unlimited);
}

#[test]
fn a_full_admin_grant_at_the_root_allows_all_that_no_limit_does() {
    let admin = Restriction::only([Grant::new("admin:*".parse().unwrap(), Scope::root())]).unwrap();
    assert_eq!(admin, Restriction::only([Grant::new(PermissionPattern::all(), Scope::root())]).unwrap());
    assert!(admin.allows(&"databases:drop".parse().unwrap(), &"org/acme".parse().unwrap(), UnixTime::EPOCH));
    assert_ne!(admin, Restriction::unrestricted(), "a limit that was said stays said");
}

proptest! {
    #[test]
    fn a_restriction_is_read_as_it_is_written(restriction in arb_restriction()) {
        let document = serde_json::to_string(&restriction).unwrap();
        let back: Restriction = serde_json::from_str(&document).unwrap();
        prop_assert_eq!(&back, &restriction);
        prop_assert_eq!(serde_json::to_string(&back).unwrap(), document);
    }

    #[test]
    fn a_document_without_one_of_its_fields_is_refused(
        restriction in arb_restriction(),
        field in prop::sample::select(&["grants", "expires_at"][..]),
    ) {
        let mut document = serde_json::to_value(&restriction).unwrap();
        document.as_object_mut().unwrap().remove(field).unwrap();
        let error = serde_json::from_value::<Restriction>(document).unwrap_err();
        prop_assert_eq!(error.to_string(), format!("missing field `{field}`"));
    }
}
