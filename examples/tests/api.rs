//! The API, call by call, over real HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a helper that fails is a test that fails"
)]

mod support;

use serde_json::{Value, json};

use crate::support::{Client, Server, files_below};

const KEY: &str = include_str!("../src/demo/keys/ed25519.pub");
const OTHER_KEY: &str = include_str!("../src/demo/keys/ecdsa256.pub");

fn start() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    (folder, server)
}

fn token(admin: &Client, server: &Server, body: &Value) -> (String, Client) {
    let (status, answer) = admin.post("/api/v1/api-tokens?project=default", body);
    assert_eq!(status, 201, "{answer}");
    (answer["id"].as_str().unwrap().to_owned(), server.client(answer["token"].as_str()))
}

#[test]
fn a_first_start_prints_a_token_once_and_later_starts_none() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let token = server.admin_token.clone();
    assert!(token.is_some());
    let (status, _) = server.stop();
    assert!(status.success());
    let server = Server::start(folder.path());
    assert_eq!(server.admin_token, None);
    let (status, _) = server.client(token.as_deref()).get("/api/v1/ssh-keys");
    assert_eq!(status, 200, "the token outlives the process");
}

#[test]
fn every_credential_that_is_none_gets_the_same_answer() {
    let (_folder, server) = start();
    let good = server.admin_token.clone().unwrap();
    let mut wrong_secret = good.clone().into_bytes();
    wrong_secret[40] = if wrong_secret[40] == b'a' { b'b' } else { b'a' };
    let wrong_secret = String::from_utf8(wrong_secret).unwrap();
    let mut answers = Vec::new();
    for token in [None, Some(""), Some("nonsense"), Some(wrong_secret.as_str()), Some(&good[1..])] {
        let (status, mut answer) = server.client(token).get("/api/v1/ssh-keys");
        assert_eq!(status, 401);
        answer["error"]["request_id"] = Value::Null;
        answers.push(answer);
    }
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    assert_eq!(answers[0]["error"]["code"], "unauthenticated");
}

#[test]
fn ssh_keys_come_and_go() {
    let (_folder, server) = start();
    let admin = server.admin();
    let (status, added) = admin.post("/api/v1/ssh-keys", &json!({"name": "laptop", "public_key": KEY}));
    assert_eq!(status, 201, "{added}");
    let (status, again) = admin.post("/api/v1/ssh-keys", &json!({"name": "other", "public_key": KEY}));
    assert_eq!((status, &again["id"]), (200, &added["id"]), "the same key is the same key");
    let (status, taken) = admin.post("/api/v1/ssh-keys", &json!({"name": "Laptop", "public_key": OTHER_KEY}));
    assert_eq!((status, &taken["error"]["code"]), (409, &json!("name_taken")));
    let path = format!("/api/v1/ssh-keys/{}", added["id"].as_str().unwrap());
    assert_eq!(admin.get(&path), (200, added.clone()));
    assert_eq!(admin.delete(&path).0, 204);
    assert_eq!(admin.get(&path).0, 404);
    assert_eq!(admin.delete(&path).0, 404);
    let (_, listed) = admin.get("/api/v1/ssh-keys");
    assert_eq!(listed["items"], json!([]));
    let (status, anew) = admin.post("/api/v1/ssh-keys", &json!({"name": "laptop", "public_key": KEY}));
    assert_eq!(status, 201);
    assert_ne!(anew["id"], added["id"]);
}

#[test]
fn bodies_that_are_not_what_they_should_be_are_refused_and_recorded() {
    let (folder, server) = start();
    let admin = server.admin();
    for (body, status, code) in [
        (json!({"name": "x"}), 400, "malformed_request"),
        (json!({"name": "x", "public_key": KEY, "extra": 1}), 400, "malformed_request"),
        (json!("text"), 400, "malformed_request"),
        (json!({"name": "x y", "public_key": KEY}), 422, "invalid_name"),
        (json!({"name": "x", "public_key": "ssh-ed25519 AAAA"}), 422, "invalid_key"),
        (json!({"name": "x", "public_key": "A".repeat(100_000)}), 413, "body_too_large"),
    ] {
        let (found, answer) = admin.post("/api/v1/ssh-keys", &body);
        assert_eq!((found, &answer["error"]["code"]), (status, &json!(code)), "{answer}");
    }
    let (_, log) = admin.get("/api/v1/audit-logs?limit=500");
    let failed = log["items"].as_array().unwrap().iter().filter(|entry| entry["outcome"] == "failed").count();
    assert_eq!(failed, 6);
    drop(folder);
}

#[test]
fn a_token_does_what_its_scopes_say_and_dies_when_it_is_revoked() {
    let (_folder, server) = start();
    let admin = server.admin();
    let (id, reader) = token(&admin, &server, &json!({"name": "reader", "scopes": ["ssh-keys:read"]}));
    assert_eq!(reader.get("/api/v1/ssh-keys").0, 200);
    assert_eq!(reader.post("/api/v1/ssh-keys", &json!({"name": "x", "public_key": KEY})).0, 403);
    assert_eq!(reader.get("/api/v1/api-tokens").0, 403);
    assert_eq!(reader.get("/api/v1/audit-logs").0, 403);
    assert_eq!(reader.get("/api/v1/users").0, 403);
    assert_eq!(admin.delete(&format!("/api/v1/api-tokens/{id}")).0, 204);
    assert_eq!(reader.get("/api/v1/ssh-keys").0, 401);
    assert_eq!(admin.delete(&format!("/api/v1/api-tokens/{id}")).0, 409);
}

#[test]
fn a_token_is_issued_with_scopes_or_not_at_all() {
    let (_folder, server) = start();
    let admin = server.admin();
    for body in [
        json!({"name": "none", "scopes": []}),
        json!({"name": "odd", "scopes": ["apps"]}),
        json!({"name": "past", "scopes": ["apps:read"], "expires_at": "2020-01-01T00:00:00Z"}),
        json!({"name": "outside", "scopes": ["apps:read"], "scope": "project/other"}),
    ] {
        let (status, answer) = admin.post("/api/v1/api-tokens", &body);
        assert_eq!(status, 422, "{body}: {answer}");
    }
}

#[test]
fn an_access_key_can_be_held_to_a_namespace() {
    let (_folder, server) = start();
    let admin = server.admin();
    let scope = "project/default/vcluster/ci/namespace/build";
    let (_, narrow) =
        token(&admin, &server, &json!({"name": "ns", "scopes": ["ssh-keys:*"], "scope": scope}));
    assert_eq!(narrow.get("/api/v1/ssh-keys").0, 403, "the project's keys lie above the namespace");
}

#[test]
fn projects_do_not_see_each_other() {
    let (_folder, server) = start();
    let admin = server.admin();
    assert_eq!(admin.post("/api/v1/projects", &json!({"name": "shop"})).0, 201);
    assert_eq!(admin.post("/api/v1/projects", &json!({"name": "shop"})).0, 409);
    assert_eq!(admin.post("/api/v1/projects", &json!({"name": "No"})).0, 422);
    let (status, key) =
        admin.post("/api/v1/ssh-keys?project=default", &json!({"name": "a", "public_key": KEY}));
    assert_eq!(status, 201);
    let id = key["id"].as_str().unwrap();
    let (_, shop) = token(&admin, &server, &json!({"name": "t", "scopes": ["ssh-keys:*"]}));
    assert_eq!(shop.get("/api/v1/ssh-keys?project=shop").0, 403, "a token of default");
    assert_eq!(shop.get("/api/v1/ssh-keys?project=nowhere").0, 403, "the same answer");
    assert_eq!(admin.get(&format!("/api/v1/ssh-keys/{id}?project=shop")).0, 404);
    assert_eq!(admin.delete(&format!("/api/v1/ssh-keys/{id}?project=shop")).0, 404);
    let (status, copy) =
        admin.post("/api/v1/ssh-keys?project=shop", &json!({"name": "a", "public_key": KEY}));
    assert_eq!(status, 201, "the same key in another project is new there");
    assert_ne!(copy["id"], key["id"]);
    assert_eq!(admin.get("/api/v1/ssh-keys?project=nowhere").0, 404);
    assert_eq!(admin.get("/api/v1/ssh-keys?project=default&project=shop").0, 422, "which of the two?");
}

#[test]
fn a_disabled_user_is_locked_out_at_once() {
    let (_folder, server) = start();
    let admin = server.admin();
    let (_, user) = admin.post("/api/v1/users", &json!({"name": "ada"}));
    let user = user["id"].as_str().unwrap();
    let binding = json!({"role": "administrator", "holder": user, "scope": "project/default"});
    assert_eq!(admin.post("/api/v1/bindings", &binding).0, 201);
    let (_, ada) = token(&admin, &server, &json!({"name": "ada", "scopes": ["ssh-keys:*"], "owner": user}));
    assert_eq!(ada.get("/api/v1/ssh-keys").0, 200);
    assert_eq!(admin.delete(&format!("/api/v1/users/{user}")).0, 204);
    assert_eq!(ada.get("/api/v1/ssh-keys").0, 401);
}

#[test]
fn nobody_grants_what_they_do_not_hold() {
    let (_folder, server) = start();
    let admin = server.admin();
    let (_, clerk) = admin.post("/api/v1/users", &json!({"name": "clerk"}));
    let clerk = clerk["id"].as_str().unwrap();
    let (_, role) =
        admin.post("/api/v1/roles", &json!({"name": "clerk", "permissions": ["iam:*", "api-tokens:*"]}));
    // `iam:*` holds `iam:escalate`; a clerk without it is what is wanted here.
    let (status, _) = admin.post(
        "/api/v1/roles",
        &json!({"name": "lesser-clerk", "permissions": ["iam:read", "iam:write", "api-tokens:write"]}),
    );
    assert_eq!(status, 201);
    let (_, roles) = admin.get("/api/v1/roles");
    let lesser =
        roles["items"].as_array().unwrap().iter().find(|role| role["name"] == "lesser-clerk").unwrap();
    assert!(role["id"].is_string());
    let binding = json!({"role": lesser["id"], "holder": clerk, "scope": "/"});
    assert_eq!(admin.post("/api/v1/bindings", &binding).0, 201);
    let wish = json!({"name": "c", "scopes": ["iam:*", "api-tokens:*"], "owner": clerk});
    let (_, client) = token(&admin, &server, &wish);
    // The token is at home in the project, and `iam:write` acts at the root.
    assert_eq!(client.post("/api/v1/users", &json!({"name": "x"})).0, 403);
    let (_, others) = admin.get("/api/v1/users");
    let first =
        others["items"].as_array().unwrap().iter().find(|user| user["name"] == "administrator").unwrap();
    let stolen =
        json!({"name": "as admin", "scopes": ["api-tokens:write", "ssh-keys:write"], "owner": first["id"]});
    let (status, answer) = client.post("/api/v1/api-tokens", &stolen);
    assert_eq!((status, &answer["error"]["code"]), (403, &json!("escalation")), "{answer}");
}

#[test]
fn a_group_has_groups_for_members_and_is_never_in_itself() {
    let (_folder, server) = start();
    let admin = server.admin();
    let group = |name: &str, home: &str| {
        let (status, group) = admin.post("/api/v1/groups", &json!({"name": name, "home": home}));
        assert_eq!(status, 201, "{group}");
        group["id"].as_str().unwrap().to_owned()
    };
    let (team, all, other) = (group("team", "/"), group("all", "/"), group("other", "project/web"));
    let members = |id: &str| format!("/api/v1/groups/{id}/members");
    let add = |outer: &str, inner: &str| {
        let (status, answer) = admin.post(&members(outer), &json!({"member": inner}));
        (status, answer["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(add(&all, &team), (201, String::new()));
    assert_eq!(add(&all, &team).0, 409);
    assert_eq!(add(&team, &all), (422, "refused".to_owned()));
    assert_eq!(add(&all, &other), (422, "refused".to_owned()));
    let (_, groups) = admin.get("/api/v1/groups");
    let listed =
        groups["items"].as_array().unwrap().iter().find(|group| group["id"] == all.as_str()).unwrap();
    assert_eq!(listed["members"], json!([team]));
    assert_eq!(admin.delete(&format!("{}/{team}", members(&all))).0, 204);
    assert_eq!(admin.delete(&format!("{}/{team}", members(&all))).0, 404);
}

#[test]
fn the_audit_log_has_actor_address_agent_request_and_duration() {
    let (_folder, server) = start();
    let admin = server.admin();
    assert_eq!(admin.post("/api/v1/ssh-keys", &json!({"name": "a", "public_key": KEY})).0, 201);
    server.client(None).get("/api/v1/ssh-keys");
    let (status, log) = admin.get("/api/v1/audit-logs");
    assert_eq!(status, 200);
    let entries = log["items"].as_array().unwrap();
    let added = entries.iter().find(|entry| entry["action"] == "ssh-keys:write").unwrap();
    assert!(added["actor"].as_str().unwrap().starts_with("tok_"), "{added}");
    assert_eq!(added["client"], "127.0.0.1");
    assert!(added["user_agent"].as_str().unwrap().contains("ureq"), "{added}");
    assert!(added["request_id"].as_str().unwrap().starts_with("req_"));
    assert!(added["duration_us"].as_u64().unwrap() > 0);
    assert_eq!(added["outcome"], "allowed");
    assert_eq!(added["scope"], "project/default");
    assert!(
        entries.iter().any(|entry| entry["outcome"] == "unauthenticated" && entry["actor"] == "anonymous")
    );
}

#[test]
fn the_audit_log_is_paged_without_losing_or_repeating() {
    let (_folder, server) = start();
    let admin = server.admin();
    for number in 0..25 {
        let body = json!({"name": format!("t{number}"), "scopes": ["apps:read"]});
        assert_eq!(admin.post("/api/v1/api-tokens", &body).0, 201);
    }
    let (_, whole) = admin.get("/api/v1/audit-logs?limit=1000");
    let whole: Vec<Value> =
        whole["items"].as_array().unwrap().iter().map(|entry| entry["sequence"].clone()).collect();
    let mut paged = Vec::new();
    let mut after = String::new();
    for _ in 0..100 {
        let (_, page) = admin.get(&format!("/api/v1/audit-logs?limit=7{after}"));
        paged.extend(page["items"].as_array().unwrap().iter().map(|entry| entry["sequence"].clone()));
        match &page["next"] {
            Value::Null => break,
            next => {
                after = format!("&after={}", next.as_str().map_or_else(|| next.to_string(), str::to_owned))
            }
        }
    }
    // Each page that was read is an entry too, behind those that were there.
    assert!(paged.starts_with(&whole), "{paged:?}");
}

#[test]
fn no_token_lies_in_a_file_or_in_the_log() {
    let (folder, server) = start();
    let admin = server.admin();
    let secrets: Vec<String> = (0..5)
        .map(|number| {
            let body = json!({"name": format!("t{number}"), "scopes": ["apps:read"]});
            let (_, answer) = admin.post("/api/v1/api-tokens", &body);
            answer["token"].as_str().unwrap().to_owned()
        })
        .chain(server.admin_token.clone())
        .collect();
    for secret in &secrets {
        assert!(matches!(server.client(Some(secret)).get("/api/v1/users").0, 200 | 403));
        // And as a credential that is none.
        server.client(Some(&secret[..secret.len() - 1])).get("/api/v1/users");
    }
    let (status, logged) = server.stop();
    assert!(status.success(), "{logged}");
    for secret in &secrets {
        // The public id in the middle may show; the 43 characters of the secret may not.
        let body = &secret[secret.len() - 49..secret.len() - 6];
        assert!(!logged.contains(body), "the log has a token");
        for file in files_below(folder.path()) {
            let bytes = std::fs::read(&file).unwrap();
            let found = bytes.windows(body.len()).any(|window| window == body.as_bytes());
            assert!(!found, "{} has a token", file.display());
        }
    }
}

#[test]
fn unknown_paths_and_methods_have_a_code_too() {
    let (_folder, server) = start();
    let admin = server.admin();
    let (status, answer) = admin.get("/api/v1/nothing");
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("not_found")));
    let (status, answer) = admin.send("PUT", "/api/v1/ssh-keys", Some(&json!({}))).unwrap().into_pair();
    assert_eq!((status, &answer["error"]["code"]), (405, &json!("method_not_allowed")));
    assert_eq!(server.client(None).get("/healthz"), (200, json!({"ready": true})));
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let (folder, _server) = start();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_control_plane"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stderr.is_empty());
}

/// Copies a folder of files.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
            std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

#[test]
fn neither_the_state_nor_the_log_can_be_put_back_by_itself() {
    let outer = tempfile::tempdir().unwrap();
    let (data, old) = (outer.path().join("data"), outer.path().join("old"));
    let server = Server::start(&data);
    let token = server.admin_token.clone();
    let (leaked, leaker) = token_of(&server);
    let (status, said) = server.stop();
    assert!(status.success(), "{said}");
    copy(&data, &old);
    let server = Server::start(&data);
    assert_eq!(server.client(token.as_deref()).delete(&format!("/api/v1/api-tokens/{leaked}")).0, 204);
    assert_eq!(server.client(Some(&leaker)).get("/api/v1/ssh-keys").0, 401);
    assert!(server.stop().0.success());

    let start = |folder: &std::path::Path| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_control_plane"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let mixed = outer.path().join("old-state");
    copy(&data, &mixed);
    std::fs::copy(old.join("state.redb"), mixed.join("state.redb")).unwrap();
    let (exit, said) = start(&mixed);
    assert_eq!(exit, Some(1));
    assert!(said.contains("was at"), "the revocation would be forgotten: {said}");

    let mixed = outer.path().join("old-log");
    copy(&data, &mixed);
    std::fs::remove_dir_all(mixed.join("audit")).unwrap();
    copy(&old.join("audit"), &mixed.join("audit"));
    let (exit, said) = start(&mixed);
    assert_eq!(exit, Some(1));
    assert!(said.contains("audit log"), "{said}");

    let mixed = outer.path().join("no-state");
    copy(&data, &mixed);
    std::fs::remove_file(mixed.join("state.redb")).unwrap();
    let (exit, said) = start(&mixed);
    assert_eq!(exit, Some(1));
    assert!(said.contains("there is no store"), "{said}");
}

/// A token for reading keys: its id and its text.
fn token_of(server: &Server) -> (String, String) {
    let (status, answer) =
        server.admin().post("/api/v1/api-tokens", &json!({"name": "t", "scopes": ["ssh-keys:read"]}));
    assert_eq!(status, 201, "{answer}");
    (answer["id"].as_str().unwrap().to_owned(), answer["token"].as_str().unwrap().to_owned())
}

#[test]
fn an_administrator_is_told_why() {
    let (_folder, server) = start();
    let admin = server.admin();
    let (_, user) = admin.post("/api/v1/users", &json!({"name": "alice"}));
    let alice = user["id"].as_str().unwrap();
    let ask = |by: &Client, principal: &str, scope: &str| {
        by.get(&format!("/api/v1/explain?principal={principal}&permission=apps:read&scope={scope}"))
    };
    let (status, answer) = ask(&admin, alice, "project/default");
    assert_eq!((status, &answer["decision"]), (200, &json!("deny")));
    assert_eq!(answer["reasons"][0]["code"], "no_grant");
    let bind = |scope: &str| {
        let binding = json!({"role": "apps-read", "holder": alice, "scope": scope});
        let (status, bound) = admin.post("/api/v1/bindings", &binding);
        assert_eq!(status, 201, "{bound}");
        bound
    };
    bind("project/default/vcluster/ci");
    let (_, answer) = ask(&admin, alice, "project/default");
    assert_eq!(answer["reasons"][1]["missing"], "scope", "{answer}");
    let bound = bind("project/default");
    let (_, answer) = ask(&admin, alice, "project/default");
    assert_eq!(answer["decision"], "allow");
    assert_eq!(answer["reasons"][0]["binding"], bound["id"]);
    let wish = json!({"name": "keys only", "scopes": ["ssh-keys:read"], "owner": alice});
    let (token, client) = token(&admin, &server, &wish);
    let (_, answer) = ask(&admin, &format!("{token}@{alice}"), "project/default");
    assert_eq!(answer["reasons"][0]["code"], "limited_by_restriction", "{answer}");
    assert_eq!(ask(&client, alice, "project/default").0, 403, "only administrators are told");
    assert_eq!(ask(&admin, "nobody", "project/default").0, 422);
}
