//! The contract of `palisade iam`.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::palisade;

/// Alice may work on apps in the project, not delete without a second factor; Bob reads apps everywhere.
const POLICIES: &str = r#"{"version": 1,
  "subjects": [{"id": "usr_00000000000000000000000001", "name": "alice", "home": "/", "state": "enabled"},
    {"id": "usr_00000000000000000000000002", "name": "bob", "home": "/", "state": "enabled"}],
  "groups": [{"id": "grp_00000000000000000000000001", "name": "web-team", "home": "/"}],
  "roles": [{"id": "rol_00000000000000000000000001", "name": "deployer", "home": "/",
    "permissions": ["apps:delete", "apps:read"], "policies": []}],
  "policies": [{"id": "pol_00000000000000000000000001", "name": "careful", "home": "/", "document": {"statements": [
    {"effect": "deny", "permissions": ["apps:delete"], "scopes": "unlimited",
     "conditions": [{"not": true, "test": "mfa"}]}]}}],
  "memberships": [{"group": "grp_00000000000000000000000001", "subject": "usr_00000000000000000000000001"}],
  "bindings": [
    {"id": "bnd_00000000000000000000000001", "role": "rol_00000000000000000000000001",
     "holder": "grp_00000000000000000000000001", "scope": "project/web", "expires_at": "unlimited"},
    {"id": "bnd_00000000000000000000000002", "role": "pol_00000000000000000000000001",
     "holder": "usr_00000000000000000000000001", "scope": "/", "expires_at": "unlimited"},
    {"id": "bnd_00000000000000000000000003", "role": "apps-read",
     "holder": "usr_00000000000000000000000002", "scope": "/", "expires_at": {"only": 2000}}]
}"#;

const ALICE: &str = "usr_00000000000000000000000001";
const BOB: &str = "usr_00000000000000000000000002";

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn rows(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn request(principal: &str, permission: &str, scope: &str) -> String {
    json!({"principal": principal, "permission": permission, "scope": scope}).to_string()
}

#[test]
fn check_answers_each_line_in_order_whatever_it_is() {
    let files = Files::new();
    let policies = files.write("policies.json", POLICIES);
    let lines = [
        request(ALICE, "apps:read", "project/web/vcluster/ci"),
        request(ALICE, "apps:delete", "project/web"),
        r#"{"principal":"usr_00000000000000000000000001","permission":"apps:delete","scope":"project/web","context":{"mfa":true}}"#.to_owned(),
        request(ALICE, "apps:write", "project/web"),
        "not JSON".to_owned(),
        String::new(),
        request("usr_00000000000000000000000009", "apps:read", "/"),
        r#"["usr_00000000000000000000000001","apps:read","project/web"]"#.to_owned(),
        request(ALICE, "apps:*", "project/web"),
        r#"{"principal":"usr_00000000000000000000000002","permission":"apps:read","scope":"/","now":1999}"#.to_owned(),
        r#"{"principal":"usr_00000000000000000000000002","permission":"apps:read","scope":"/","now":2000}"#.to_owned(),
    ];
    let arguments = ["iam", "check", "--policies", &policies, "--requests", "-", "--json", "--now", "1000"];
    let (exit, printed, _) = palisade(&arguments, (lines.join("\n") + "\n").as_bytes());
    assert_eq!(exit, 1, "some are denied");
    let rows = rows(&printed);
    let decisions: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (row["decision"].as_str().unwrap(), row["reasons"][0]["code"].as_str().unwrap()))
        .collect();
    assert_eq!(
        decisions,
        [
            ("allow", "granted"),
            ("deny", "explicit_deny"),
            ("allow", "granted"),
            ("deny", "no_grant"),
            ("deny", "request"),
            ("deny", "request"),
            ("deny", "unknown_subject"),
            ("deny", "request"),
            ("deny", "request"),
            ("allow", "granted"),
            ("deny", "no_grant"),
        ]
    );
    assert_eq!(rows[0]["reasons"][0]["via"], "grp_00000000000000000000000001");
    assert_eq!(rows[1]["reasons"][0]["statement"], "pol_00000000000000000000000001#0");
    assert_eq!(rows[1]["reasons"][0]["is_certain"], false);
    let near = rows[3]["reasons"].as_array().unwrap().iter().find(|reason| reason["code"] == "near").unwrap();
    assert_eq!(near["missing"], "permission");
    let requests = files.write("requests", &request(ALICE, "apps:read", "project/web"));
    let (exit, printed, _) =
        palisade(&["iam", "check", "--policies", &policies, "--requests", &requests], b"");
    assert_eq!((exit, printed.lines().count()), (0, 1));
}

#[test]
fn a_damaged_or_missing_document_is_exit_status_1_and_wrong_words_are_2() {
    let files = Files::new();
    let good = files.write("good.json", POLICIES);
    let damaged = files.write("damaged.json", POLICIES.strip_suffix('}').unwrap());
    let array = files.write("array.json", "[]");
    for file in [&damaged, &array, &format!("{good}.gone")] {
        for arguments in [
            &["iam", "lint", file][..],
            &["iam", "diff", &good, file],
            &["iam", "check", "--policies", file, "--requests", "-"],
            &["iam", "who-can", "--policies", file, "apps:read", "/"],
            &["iam", "what-can", "--policies", file, ALICE, "/"],
        ] {
            let (exit, printed, said) = palisade(arguments, b"");
            assert_eq!((exit, printed.as_str()), (1, ""), "{arguments:?}");
            assert!(!said.is_empty());
        }
    }
    for arguments in [
        &["iam", "check"][..],
        &["iam", "check", "--policies", "-", "--requests", "-"],
        &["iam", "check", "--policies", &good, "--policies", &good, "--requests", "-"],
        &["iam", "check", "--policies", &good, "--requests", "-", "--from", "nowhere"],
        &["iam", "import", "--from", "nowhere", &good],
        &["iam", "diff", &good],
        &["iam", "who-can", "--policies", &good, "apps:*", "/"],
        &["iam", "what-can", "--policies", &good, "*", "/"],
        &["iam", "lint", &good, "--now", "yesterday"],
    ] {
        let (exit, printed, _) = palisade(arguments, b"");
        assert_eq!((exit, printed.as_str()), (2, ""), "{arguments:?}");
    }
}

#[test]
fn lint_names_what_looks_wrong_by_code() {
    let files = Files::new();
    let policies = files.write("policies.json", POLICIES);
    let (exit, printed, _) = palisade(&["iam", "lint", &policies, "--json", "--now", "1000"], b"");
    assert_eq!((exit, printed.as_str()), (0, ""));
    let (exit, printed, _) = palisade(&["iam", "lint", "-", "--json", "--now", "2000"], POLICIES.as_bytes());
    assert_eq!(exit, 1);
    let expected = json!({"code": "IAM004", "kind": "binding", "about": "bnd_00000000000000000000000003",
        "is_without_effect": true});
    assert_eq!(rows(&printed), [expected]);
    let misspelt = POLICIES.replacen(
        r#""version": 1"#,
        r#""version": 1, "registry": [{"permission":"apps:read","access":"read"}]"#,
        1,
    );
    let (exit, printed, _) = palisade(&["iam", "lint", "-", "--now", "1000"], misspelt.as_bytes());
    assert_eq!(exit, 1);
    assert!(printed.lines().all(|line| line.contains("IAM009") && line.contains("apps:delete")), "{printed}");
}

#[test]
fn diff_says_who_gains_and_loses() {
    let files = Files::new();
    let old = files.write("old.json", POLICIES);
    let wider = POLICIES.replace("\"apps:delete\", \"apps:read\"", "\"apps:*\"");
    let new = files.write("new.json", &wider.replace(r#"{"only": 2000}"#, r#"{"only": 500}"#));
    let (exit, printed, _) = palisade(&["iam", "diff", &old, &new, "--json", "--now", "1000"], b"");
    assert_eq!(exit, 1);
    let rows = rows(&printed);
    let changes: Vec<_> = rows
        .iter()
        .map(|row| ["subject", "change", "permissions", "scope"].map(|name| row[name].as_str().unwrap()))
        .collect();
    assert_eq!(changes, [[ALICE, "gains", "apps:*", "project/web"], [BOB, "loses", "apps:read", "/"]]);
    assert_eq!(rows[0]["is_whole"], false, "apps:read was there, and apps:delete is denied");
    assert_eq!(rows[1]["is_whole"], true);
    assert_eq!((&rows[1]["before"], &rows[1]["after"]), (&json!("granted"), &json!("no_grant")));
    let (exit, printed, _) = palisade(&["iam", "diff", &old, &old], b"");
    assert_eq!((exit, printed.as_str()), (0, ""));
}

#[test]
fn who_can_and_what_can_list_what_check_allows() {
    let files = Files::new();
    let policies = files.write("policies.json", POLICIES);
    let who = |permission, scope| {
        let arguments =
            ["iam", "who-can", "--policies", &policies, permission, scope, "--json", "--now", "1000"];
        let (exit, printed, _) = palisade(&arguments, b"");
        let rows = rows(&printed);
        let names: Vec<String> = rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
        (exit, names.join(" "))
    };
    assert_eq!(who("apps:read", "project/web"), (0, "alice bob".to_owned()));
    assert_eq!(who("apps:read", "project/shop"), (0, "bob".to_owned()));
    assert_eq!(who("apps:delete", "project/web"), (1, String::new()));
    let what = |principal, scope| {
        let arguments = ["iam", "what-can", "--policies", &policies, principal, scope, "--now", "1000"];
        let (exit, printed, _) = palisade(&arguments, b"");
        (exit, printed.lines().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(what(ALICE, "project/web"), (0, "apps:read".to_owned()));
    assert_eq!(what(ALICE, "/"), (1, String::new()));
    assert_eq!(what(BOB, "/"), (0, "apps:read".to_owned()));
}

#[test]
fn what_comes_by_groups_in_groups_is_told_with_the_way_and_a_circle_is_refused() {
    let files = Files::new();
    let [team, all] = ["grp_00000000000000000000000001", "grp_00000000000000000000000002"];
    let nested = |nestings: &[[&str; 2]]| {
        let all: Vec<Value> =
            nestings.iter().map(|[group, inner]| json!({"group": group, "inner": inner})).collect();
        let group = r#""name": "web-team", "home": "/"}"#;
        let second =
            format!(r#"{group}, {{"id": "grp_00000000000000000000000002", "name": "all", "home": "/"}}"#);
        POLICIES
            .replace(group, &second)
            .replace(
                r#""holder": "grp_00000000000000000000000001""#,
                r#""holder": "grp_00000000000000000000000002""#,
            )
            .replace(r#""bindings":"#, &format!(r#""nestings": {}, "bindings":"#, Value::from(all)))
    };
    let policies = files.write("nested.json", &nested(&[[all, team]]));
    let question = request(ALICE, "apps:read", "project/web");
    let check = ["iam", "check", "--policies", &policies, "--requests", "-", "--json"];
    let (exit, printed, _) = palisade(&check, question.as_bytes());
    let reason = &rows(&printed)[0]["reasons"][0];
    assert_eq!((exit, &reason["via"], &reason["groups"]), (0, &json!(all), &json!([team, all])), "{printed}");
    let who =
        ["iam", "who-can", "--policies", &policies, "apps:read", "project/web", "--json", "--now", "1000"];
    let (_, printed, _) = palisade(&who, b"");
    assert_eq!(rows(&printed)[0]["groups"], json!([team, all]), "{printed}");
    assert_eq!(rows(&printed)[1].get("groups"), None);
    // Without the nesting nothing is left, and the difference says so.
    let without = files.write("flat.json", &nested(&[]));
    let (exit, printed, _) = palisade(&["iam", "diff", &policies, &without, "--json"], b"");
    assert_eq!((exit, &rows(&printed)[0]["change"]), (1, &json!("loses")), "{printed}");
    let circle = files.write("circle.json", &nested(&[[all, team], [team, all]]));
    let (exit, _, said) = palisade(&["iam", "lint", "--policies", &circle], b"");
    assert!(exit != 0 && said.contains("a group is in itself"), "{exit} {said}");
    let apart = nested(&[[all, team]])
        .replace(r#""name": "all", "home": "/""#, r#""name": "all", "home": "project/web""#);
    let apart = files.write("apart.json", &apart);
    let (_, printed, _) = palisade(&["iam", "lint", "--policies", &apart, "--json"], b"");
    assert!(rows(&printed).iter().any(|row| row["code"] == "IAM018"), "{printed}");
}
