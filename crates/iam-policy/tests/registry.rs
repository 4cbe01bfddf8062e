//! A program's own permissions.

use iam_policy::registry::Access;

iam_policy::permissions! {
    /// What this test knows.
    pub(crate) mod may {
        "apps" as apps { "read" as read: Read, "list" as list: List, "write" as write: Write }
        "ssh-keys" as ssh_keys { "write" as write: Permissions }
    }
}

#[test]
fn a_declared_permission_is_the_one_of_its_text() {
    assert_eq!(*may::apps::read(), "apps:read".parse().unwrap());
    assert_eq!(*may::apps::list(), "apps:list".parse().unwrap());
    assert_eq!(*may::apps::write(), "apps:write".parse().unwrap());
    assert_eq!(*may::ssh_keys::write(), "ssh-keys:write".parse().unwrap());
    assert_eq!(may::REGISTRY.iter().count(), 4);
}

#[test]
fn a_registry_knows_the_kind_of_each_and_nothing_else() {
    assert_eq!(may::REGISTRY.access(may::ssh_keys::write()), Some(Access::Permissions));
    assert_eq!(may::REGISTRY.access(&"ssh-keys:read".parse().unwrap()), None);
}

#[test]
fn read_only_is_what_is_read_or_listed_and_does_not_grow() {
    let read_only = may::REGISTRY.read_only().unwrap();
    let texts: Vec<String> = read_only.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["apps:list", "apps:read"]);
    assert!(!read_only.matches(&"secrets:read".parse().unwrap()));
}

#[test]
fn a_pattern_is_known_when_it_matches_something_declared() {
    for known in ["apps:read", "apps:*", "*:write", "*:*", "ssh-keys:write"] {
        assert!(may::REGISTRY.is_known(&known.parse().unwrap()), "{known}");
    }
    for unknown in ["app:read", "apps:reed", "ssh-keys:read", "compute:*", "*:delete"] {
        assert!(!may::REGISTRY.is_known(&unknown.parse().unwrap()), "{unknown}");
    }
}
