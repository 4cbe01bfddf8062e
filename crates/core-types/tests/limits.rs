//! Every bound holds at the bound and is refused one past it.

use core_types::restriction::MAX_GRANTS;
use core_types::scope::{MAX_LEVELS, MAX_SCOPE_BYTES, MAX_SEGMENT_BYTES};
use core_types::{Grant, ParseError, Permission, PermissionPattern, Restriction, RestrictionError, Scope};

#[test]
fn a_segment_of_63_bytes_is_accepted_and_one_of_64_is_not() {
    let (longest, longer) = ("a".repeat(MAX_SEGMENT_BYTES), "a".repeat(MAX_SEGMENT_BYTES.saturating_add(1)));
    let refused = ParseError::TooLong { limit: 63 };
    let root = Scope::root();
    assert_eq!(root.child(&longest, &longest).unwrap().to_string(), format!("{longest}/{longest}"));
    assert_eq!(root.child(&longer, "a"), Err(refused));
    assert_eq!(root.child("a", &longer), Err(refused));
    assert_eq!(format!("{longer}/a").parse::<Scope>(), Err(refused));
    assert_eq!(format!("a/{longer}").parse::<Scope>(), Err(refused));
    assert!(format!("{longest}:{longest}").parse::<Permission>().is_ok());
    assert!(format!("{longest}:{longest}").parse::<PermissionPattern>().is_ok());
    for text in [format!("{longer}:read"), format!("apps:{longer}")] {
        assert_eq!(text.parse::<Permission>(), Err(refused));
        assert_eq!(text.parse::<PermissionPattern>(), Err(refused));
    }
}

#[test]
fn a_scope_has_eight_levels_and_no_more() {
    let deepest: Scope = ["org/a"; MAX_LEVELS].join("/").parse().unwrap();
    assert_eq!((deepest.depth(), deepest.levels().count()), (8, 8));
    let refused = ParseError::TooDeep { limit: 8 };
    assert_eq!(deepest.child("org", "a"), Err(refused));
    assert_eq!(format!("{deepest}/org/a").parse::<Scope>(), Err(refused));
}

#[test]
fn the_longest_scope_has_1023_bytes_and_a_longer_text_is_refused_unread() {
    let segment = "a".repeat(MAX_SEGMENT_BYTES);
    let longest = vec![&*segment; MAX_LEVELS.saturating_mul(2)].join("/");
    assert_eq!((longest.len(), MAX_SCOPE_BYTES), (1023, 1023));
    assert_eq!(longest.parse::<Scope>().unwrap().to_string(), longest);
    for longer in [format!("{longest}/"), "/".repeat(1024), "a".repeat(1 << 20)] {
        assert_eq!(longer.parse::<Scope>(), Err(ParseError::TooLong { limit: 1023 }));
    }
}

#[test]
fn a_restriction_has_256_grants_and_no_more() {
    let grants = |count| {
        (0..count)
            .map(|number| Grant::new(PermissionPattern::all(), format!("project/p{number}").parse().unwrap()))
    };
    let refused = Err(RestrictionError::TooManyGrants { limit: 256 });
    let most = Restriction::only(grants(MAX_GRANTS)).unwrap();
    assert_eq!(Restriction::only(grants(MAX_GRANTS.saturating_add(1))), refused);
    assert_eq!(
        Restriction::only(grants(1000).chain([Grant::new(PermissionPattern::all(), Scope::root())])).unwrap(),
        Restriction::only([Grant::new(PermissionPattern::all(), Scope::root())]).unwrap(),
        "what lies in another grant does not count, wherever in the list the other stands"
    );

    let document = serde_json::to_string(&most).unwrap();
    assert_eq!(serde_json::from_str::<Restriction>(&document).unwrap(), most);
    let longer =
        document.replacen(r#"{"only":["#, r#"{"only":[{"permissions":"apps:read","scope":"org/a"},"#, 1);
    let error = serde_json::from_str::<Restriction>(&longer).unwrap_err();
    assert!(error.to_string().contains("more than 256 grants"), "{error}");
}
