//! What other engines were caught by, asked of this one.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use core_types::{Limit, Permission, PermissionPattern, Principal, Restriction, Scope, Subject, UnixTime};
use iam_policy::document::{DirectoryDocument, RequestDocument};
use iam_policy::testing::Rehearsal;
use iam_policy::{AccessRequest, BuiltInRole, Decision, Directory, Grantor, Name, PatternSet, RoleRef};
use serde_json::{Value, json};
use state_store::Revision;

const NOW: UnixTime = UnixTime::from_secs(1_000);

fn id(kind: &str, number: usize) -> String {
    format!("{kind}_{number:026}")
}

fn subject(number: usize) -> Value {
    json!({"id": id("usr", number), "name": "someone", "home": "/", "state": "enabled"})
}

fn binding(number: usize, role: &str, holder: &str, scope: &str) -> Value {
    json!({"id": id("bnd", number), "role": role, "holder": holder, "scope": scope, "expires_at": "unlimited"})
}

fn directory(lists: &Value) -> Directory {
    let mut document = json!({"version": 1});
    document.as_object_mut().unwrap().extend(lists.as_object().unwrap().clone());
    DirectoryDocument::parse(document.to_string().as_bytes()).unwrap().directory()
}

fn allows(directory: &Directory, subject: &str, permission: &str, scope: &str) -> bool {
    let principal = Principal::subject(subject.parse().unwrap());
    let (permission, scope): (Permission, Scope) = (permission.parse().unwrap(), scope.parse().unwrap());
    let whole = Restriction::unrestricted();
    let request = AccessRequest::new(&principal, &whole, &permission, &scope, NOW);
    matches!(directory.at(Revision::ZERO).authorize(&request), Decision::Allow(_))
}

/// The home of each user is a scope, as where policies say `home/${username}/*`.
#[test]
fn a_user_called_like_a_wildcard_or_a_variable_gains_nothing() {
    for name in
        ["*", "?lice", "al*ce", "${aws:username}", "{id}", ":id", "..", "../alice", "alice/*", "admin:*", ""]
    {
        assert!(name.parse::<Name>().is_err(), "{name}");
        assert!(name.parse::<Subject>().is_err(), "{name}");
        // Nor is there a scope or a permission of that name, to which something could be bound.
        assert!(Scope::root().child("home", name).is_err(), "{name}");
        assert!(
            Permission::new("storage", name).is_err() && Permission::new(name, "read").is_err(),
            "{name}"
        );
        let request =
            json!({"principal": name, "permission": "storage:read", "scope": "home/alice"}).to_string();
        assert!(RequestDocument::parse(request.as_bytes()).is_err(), "{name}");
    }
    // A name is a label: that of an administrator gives nothing.
    let mut mallory = subject(2);
    mallory["name"] = json!("administrator");
    let alice = subject(1);
    let all = [binding(1, "administrator", &id("usr", 1), "/")];
    let directory = directory(&json!({"subjects": [alice, mallory], "bindings": all}));
    assert!(allows(&directory, &id("usr", 1), "storage:read", "home/alice"));
    assert!(!allows(&directory, &id("usr", 2), "storage:read", "home/alice"));
}

#[test]
fn a_wildcard_stands_for_one_whole_side_and_for_nothing_else() {
    for text in [
        "s*:read",
        "storage:re*",
        "*s:read",
        "storage:*d",
        "**:read",
        "*:*:*",
        "storage",
        "*",
        "storage:?",
        "a.*:b",
    ] {
        assert!(text.parse::<PermissionPattern>().is_err(), "{text}");
    }
    for text in ["*", "org/*", "org/*/project/web", "org/**", "org/..", "org/a/../b"] {
        assert!(text.parse::<Scope>().is_err(), "{text}");
    }
    // Neither side's wildcard says anything of the other side.
    let matches = |pattern: &str, permission: &str| {
        pattern.parse::<PermissionPattern>().unwrap().matches(&permission.parse().unwrap())
    };
    assert!(matches("keys:*", "keys:get") && matches("*:get", "keys:get"));
    assert!(
        !matches("*:get", "keys:create")
            && !matches("*:get", "keys:get-all")
            && !matches("keys:*", "keys-2:get")
    );
}

#[test]
fn a_permission_has_one_case_and_one_script() {
    for text in [
        "Storage:read",
        "storage:READ",
        "storage:re\u{430}d",
        "storage:read\u{200b}",
        "%73torage:read",
        "storage :read",
    ] {
        assert!(text.parse::<Permission>().is_err(), "{text}");
        assert!(text.parse::<PermissionPattern>().is_err(), "{text}");
    }
}

#[test]
fn what_is_empty_matches_nothing_and_what_is_absent_limits_nothing() {
    let (alice, role, group) = (id("usr", 1), id("rol", 1), id("grp", 1));
    let world = |statements: Value, boundary: Option<Value>| {
        let boundaries: Vec<Value> =
            boundary.into_iter().map(|limit| json!({"subject": alice, "limit": limit})).collect();
        directory(&json!({"subjects": [subject(1)], "boundaries": boundaries,
            "groups": [{"id": group, "name": "nobody", "home": "/"}],
            "roles": [{"id": role, "name": "r", "home": "/", "permissions": [], "policies": []}],
            "policies": [{"id": id("pol", 1), "name": "p", "home": "/", "document": {"statements": statements}}],
            "bindings": [binding(1, &role, &alice, "/"), binding(2, &id("pol", 1), &alice, "/"),
                binding(3, "administrator", &group, "/")]}))
    };
    let statement = |effect: &str, permissions: &[&str], scopes: Value| json!({"effect": effect, "permissions": permissions, "scopes": scopes, "conditions": []});
    let everywhere = || json!("unlimited");
    let reads = |directory: &Directory| allows(directory, &alice, "apps:read", "/");
    assert!(!reads(&world(json!([]), None)));
    assert!(!reads(&world(json!([statement("allow", &[], everywhere())]), None)));
    assert!(!reads(&world(json!([statement("allow", &["*:*"], json!({"only": []}))]), None)));
    let allow = || statement("allow", &["apps:read"], everywhere());
    assert!(reads(&world(json!([allow()]), None)));
    // A denial of nothing denies nothing.
    assert!(reads(&world(json!([allow(), statement("deny", &[], everywhere())]), None)));
    assert!(reads(&world(json!([allow(), statement("deny", &["*:*"], json!({"only": []}))]), None)));
    // No boundary is not an empty one.
    let limit = |grants: Value| Some(json!({"grants": grants, "expires_at": "unlimited"}));
    assert!(reads(&world(json!([allow()]), limit(everywhere()))));
    assert!(!reads(&world(json!([allow()]), limit(json!({"only": []})))));
}

#[test]
fn at_every_bound_it_is_decided_and_past_it_nothing_is_read() {
    let alice = id("usr", 1);
    let bindings = |count: usize| -> Vec<Value> {
        (0..count).map(|number| binding(number, "apps-read", &alice, &format!("project/p{number}"))).collect()
    };
    let world = json!({"subjects": [subject(1)], "bindings": bindings(1024)});
    let directory = directory(&world);
    for number in [0, 512, 1023] {
        assert!(allows(&directory, &alice, "apps:read", &format!("project/p{number}")));
        assert!(!allows(&directory, &alice, "apps:write", &format!("project/p{number}")));
    }
    let more = json!({"version": 1, "subjects": [subject(1)], "bindings": bindings(1025)});
    assert!(DirectoryDocument::parse(more.to_string().as_bytes()).is_err());
    let patterns = |count: usize| {
        let all: Vec<PermissionPattern> =
            (0..count).map(|number| format!("s{number}:read").parse().unwrap()).collect();
        PatternSet::new(all)
    };
    assert!(patterns(128).is_ok() && patterns(129).is_err());
}

#[test]
fn who_is_made_anew_under_an_old_name_has_nothing_of_the_old_one() {
    let mut iam = Rehearsal::starting_at(NOW);
    let by = Grantor::dangerous_unguarded();
    let name = || "alice".parse::<Name>().unwrap();
    let user = iam.directory().plan(by, NOW).create_user(name(), Scope::root(), iam.rng()).unwrap();
    let old = Subject::User(iam.commit(user).unwrap());
    let group = iam.directory().plan(by, NOW).create_group(name(), Scope::root(), iam.rng()).unwrap();
    let group = iam.commit(group).unwrap();
    let role = RoleRef::BuiltIn(BuiltInRole::AppsRead);
    for holder in [old.into(), group.into()] {
        let bound =
            iam.directory().plan(by, NOW).bind(role, holder, Scope::root(), Limit::Unlimited, iam.rng());
        iam.commit(bound.unwrap()).unwrap();
    }
    let disabled = iam.directory().plan(by, NOW).disable(old).unwrap();
    iam.commit(disabled).unwrap();
    let user = iam.directory().plan(by, NOW).create_user(name(), Scope::root(), iam.rng()).unwrap();
    let new = Subject::User(iam.commit(user).unwrap());
    assert_ne!(old, new);
    for subject in [old, new] {
        assert!(!allows(iam.directory(), &subject.to_string(), "apps:read", "/"));
    }
    // What has been bound goes before the group does, so that nothing is left for one that comes after it.
    assert!(iam.directory().plan(by, NOW).delete_group(group).is_err());
}
