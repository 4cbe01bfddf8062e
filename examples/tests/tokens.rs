//! Access keys and sessions over real HTTP: what they inherit, how they are narrowed, replaced and ended.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails is a test that fails")]

mod support;

use serde_json::{Value, json};

use crate::support::{Client, Server, files_below};

const KEY: &str = include_str!("../src/demo/keys/ed25519.pub");

fn start() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    (folder, server)
}

fn issue(by: &Client, server: &Server, body: &Value) -> (Value, Client) {
    let (status, answer) = by.post("/api/v1/api-tokens?project=default", body);
    assert_eq!(status, 201, "{answer}");
    let client = server.client(answer["token"].as_str());
    (answer, client)
}

fn log_in(server: &Server, access_key: &str) -> (u16, Value) {
    server.client(None).post("/api/v1/login", &json!({"access_key": access_key}))
}

#[test]
fn an_access_key_that_inherits_may_what_its_user_may_and_no_more() {
    let (_folder, server) = start();
    let admin = server.admin();
    let (_, key) = issue(&admin, &server, &json!({"name": "laptop", "inherit": true}));
    assert_eq!(key.get("/api/v1/users").0, 200);
    let (_, narrow) =
        issue(&admin, &server, &json!({"name": "narrow", "scopes": ["api-tokens:write", "ssh-keys:read"]}));
    let (_, inherited) = issue(&narrow, &server, &json!({"name": "child", "inherit": true}));
    assert_eq!(inherited.get("/api/v1/ssh-keys").0, 200);
    assert_eq!(inherited.get("/api/v1/users").0, 403, "what it inherits is what the token that asked allows");
}

#[test]
fn an_access_key_holds_pairs_and_is_confined_to_a_project() {
    let (_folder, server) = start();
    let admin = server.admin();
    assert_eq!(admin.post("/api/v1/projects", &json!({"name": "shop"})).0, 201);
    let (answer, key) = issue(
        &admin,
        &server,
        &json!({"name": "pairs", "grants": [
            {"permission": "ssh-keys:read", "scope": "project/default"},
            {"permission": "ssh-keys:write", "scope": "project/default/vcluster/ci"},
        ]}),
    );
    assert_eq!(answer["scopes"].as_array().unwrap().len(), 2);
    assert_eq!(key.get("/api/v1/ssh-keys").0, 200);
    let body = json!({"name": "x", "public_key": KEY});
    assert_eq!(key.post("/api/v1/ssh-keys", &body).0, 403, "the write belongs to the virtual cluster");
    let (_, confined) =
        issue(&admin, &server, &json!({"name": "project", "inherit": true, "scope": "project/default"}));
    assert_eq!(confined.get("/api/v1/ssh-keys?project=default").0, 200);
    assert_eq!(confined.get("/api/v1/ssh-keys?project=shop").0, 403);
    assert_eq!(confined.get("/api/v1/users").0, 403);
}

#[test]
fn a_wish_says_in_one_way_what_the_key_may() {
    let (_folder, server) = start();
    let admin = server.admin();
    for body in [
        json!({"name": "nothing said"}),
        json!({"name": "two ways", "scopes": ["a:b"], "inherit": true}),
        json!({"name": "two ways", "scopes": ["a:b"], "grants": []}),
        json!({"name": "empty", "grants": []}),
        json!({"name": "elsewhere", "grants": [{"permission": "a:b", "scope": "project/other"}]}),
        json!({"name": "root", "inherit": true, "scope": "org/other"}),
        json!({"name": "network", "inherit": true, "networks": ["10.0.0.1/8"]}),
        json!({"name": "network", "inherit": true, "networks": []}),
        json!({"name": "uses", "inherit": true, "max_uses": 0}),
    ] {
        let (status, answer) = admin.post("/api/v1/api-tokens?project=default", &body);
        assert_eq!(status, 422, "{body}: {answer}");
    }
}

#[test]
fn a_login_gives_a_session_that_dies_with_its_access_key() {
    let (_folder, server) = start();
    let admin = server.admin();
    let (key, _) = issue(&admin, &server, &json!({"name": "laptop", "scopes": ["ssh-keys:read"]}));
    let (status, session) = log_in(&server, key["token"].as_str().unwrap());
    assert_eq!(status, 201, "{session}");
    assert!(session["token"].as_str().unwrap().starts_with("palisadeliveses_"));
    assert!(session["expires_at"].is_string(), "a session ends by itself");
    let client = server.client(session["token"].as_str());
    assert_eq!(client.get("/api/v1/ssh-keys").0, 200);
    assert_eq!(client.get("/api/v1/api-tokens").0, 403, "it allows what the key allows");
    let (_, me) = client.get("/api/v1/self");
    assert_eq!(me["subject"], key["owner"]);
    assert_eq!(me["token"]["id"], session["id"]);
    assert!(me["token"]["token"].is_null());
    assert_eq!(admin.delete(&format!("/api/v1/api-tokens/{}", key["id"].as_str().unwrap())).0, 204);
    assert_eq!(client.get("/api/v1/ssh-keys").0, 401);
    assert_eq!(log_in(&server, key["token"].as_str().unwrap()).0, 401);
}

#[test]
fn a_logout_ends_the_session_and_leaves_the_access_key() {
    let (_folder, server) = start();
    let key = server.admin_token.clone().unwrap();
    let (_, session) = log_in(&server, &key);
    let client = server.client(session["token"].as_str());
    assert_eq!(client.delete("/api/v1/self").0, 204);
    assert_eq!(client.get("/api/v1/self").0, 401);
    assert_eq!(server.admin().get("/api/v1/self").0, 200);
}

#[test]
fn a_login_without_a_good_key_is_recorded_and_says_nothing() {
    let (folder, server) = start();
    let good = server.admin_token.clone().unwrap();
    for body in [json!({}), json!({"access_key": ""}), json!({"access_key": good.get(1..)}), json!([])] {
        let (status, answer) = server.client(None).post("/api/v1/login", &body);
        assert_eq!((status, &answer["error"]["code"]), (401, &json!("unauthenticated")), "{body}");
    }
    let (status, _) = server.client(Some(&good)).post("/api/v1/login", &json!({}));
    assert_eq!(status, 401, "the key in the body is the credential, the header is none");
    let (_, log) = server.admin().get("/api/v1/audit-logs?action=sessions:write&outcome=unauthenticated");
    assert_eq!(log["items"].as_array().unwrap().len(), 5);
    drop(folder);
}

#[test]
fn a_rotated_key_keeps_its_id_and_its_old_secret_for_the_overlap() {
    let (_folder, server) = start();
    let admin = server.admin();
    let (first, old) = issue(&admin, &server, &json!({"name": "ci", "scopes": ["ssh-keys:read"]}));
    let path = format!("/api/v1/api-tokens/{}/rotate", first["id"].as_str().unwrap());
    let (status, second) = admin.post(&path, &json!({"overlap_seconds": 600}));
    assert_eq!(status, 200, "{second}");
    assert_eq!(second["id"], first["id"]);
    let new = server.client(second["token"].as_str());
    assert_eq!(new.get("/api/v1/ssh-keys").0, 200);
    assert_eq!(old.get("/api/v1/ssh-keys").0, 200);
    assert_eq!(old.get("/api/v1/self").1["replace_secret"], true);
    let overlap = path.replace("rotate", "overlap");
    assert_eq!(admin.delete(&overlap).0, 204);
    assert_eq!(old.get("/api/v1/ssh-keys").0, 401);
    assert_eq!(admin.delete(&overlap).0, 409);
    let (_, third) = admin.post(&path, &json!({}));
    assert_eq!(new.get("/api/v1/ssh-keys").0, 401, "no overlap was asked for");
    assert_eq!(server.client(third["token"].as_str()).get("/api/v1/ssh-keys").0, 200);
}

#[test]
fn rotating_is_no_way_to_a_wider_token() {
    let (_folder, server) = start();
    let admin = server.admin();
    let (wide, _) = issue(&admin, &server, &json!({"name": "wide", "inherit": true}));
    let (_, narrow) = issue(&admin, &server, &json!({"name": "narrow", "scopes": ["api-tokens:write"]}));
    let path = format!("/api/v1/api-tokens/{}/rotate", wide["id"].as_str().unwrap());
    let (status, answer) = narrow.post(&path, &json!({}));
    assert_eq!((status, &answer["error"]["code"]), (403, &json!("escalation")));
    let (bound, bound_client) =
        issue(&admin, &server, &json!({"name": "bound", "inherit": true, "networks": ["127.0.0.0/8"]}));
    assert_eq!(bound_client.post(&path, &json!({})).0, 403, "what it rotates is not bound to a network");
    let own = format!("/api/v1/api-tokens/{}/rotate", bound["id"].as_str().unwrap());
    assert_eq!(bound_client.post(&own, &json!({})).0, 200, "its own secret is its own business");
}

#[test]
fn a_key_is_good_from_its_networks_and_for_its_uses_only() {
    let (_folder, server) = start();
    let admin = server.admin();
    let (_, here) =
        issue(&admin, &server, &json!({"name": "here", "inherit": true, "networks": ["127.0.0.0/8"]}));
    assert_eq!(here.get("/api/v1/self").0, 200);
    let (_, elsewhere) =
        issue(&admin, &server, &json!({"name": "there", "inherit": true, "networks": ["10.0.0.0/8"]}));
    assert_eq!(elsewhere.get("/api/v1/self").0, 401);
    let (_, twice) = issue(&admin, &server, &json!({"name": "twice", "inherit": true, "max_uses": 2}));
    assert_eq!([(); 3].map(|()| twice.get("/api/v1/self").0), [200, 200, 401]);
}

#[test]
fn all_tokens_of_a_project_or_of_a_user_are_revoked_at_once() {
    let (_folder, server) = start();
    let admin = server.admin();
    assert_eq!(admin.post("/api/v1/projects", &json!({"name": "shop"})).0, 201);
    let (_, user) = admin.post("/api/v1/users", &json!({"name": "alice"}));
    let alice = user["id"].as_str().unwrap();
    let binding = json!({"role": "administrator", "holder": alice, "scope": "project/shop"});
    let (status, answer) = admin.post("/api/v1/bindings", &binding);
    assert_eq!(status, 201, "{answer}");
    let wish = json!({"name": "a", "scopes": ["*:*"], "owner": alice});
    let (status, first) = admin.post("/api/v1/api-tokens?project=shop", &wish);
    assert_eq!(status, 201, "{first}");
    let client = server.client(first["token"].as_str());
    assert_eq!(client.get("/api/v1/ssh-keys").0, 200);
    assert_eq!(admin.delete("/api/v1/api-tokens?project=shop").0, 204);
    assert_eq!(client.get("/api/v1/ssh-keys").0, 401);
    assert_eq!(admin.get("/api/v1/self").0, 200, "the administrator's token is at home elsewhere");
    let (_, second) = admin.post("/api/v1/api-tokens?project=shop", &wish);
    let client = server.client(second["token"].as_str());
    assert_eq!(client.get("/api/v1/ssh-keys").0, 200);
    assert_eq!(admin.delete(&format!("/api/v1/users/{alice}/api-tokens")).0, 204);
    assert_eq!(client.get("/api/v1/ssh-keys").0, 401);
}

#[test]
fn only_who_shows_the_secret_of_a_leaked_token_ends_it() {
    let (_folder, server) = start();
    let admin = server.admin();
    let (leaked, client) = issue(&admin, &server, &json!({"name": "ci", "scopes": ["ssh-keys:read"]}));
    let text = leaked["token"].as_str().unwrap();
    let report = |token: &str| admin.post("/api/v1/leaked-tokens", &json!({"token": token}));
    assert_eq!(report("palisadelivepat_nonsense").0, 404);
    assert_eq!(client.get("/api/v1/self").0, 200);
    let (status, answer) = report(text);
    assert_eq!((status, &answer["id"]), (200, &leaked["id"]));
    assert_eq!(client.get("/api/v1/self").0, 401);
}

#[test]
fn no_secret_of_a_session_or_a_rotation_is_ever_written_down() {
    let (folder, server) = start();
    let admin = server.admin();
    let (key, _) = issue(&admin, &server, &json!({"name": "ci", "inherit": true}));
    let (_, session) = log_in(&server, key["token"].as_str().unwrap());
    let path = format!("/api/v1/api-tokens/{}/rotate", key["id"].as_str().unwrap());
    let (_, rotated) = admin.post(&path, &json!({"overlap_seconds": 60}));
    let secrets: Vec<String> =
        [&key, &session, &rotated].map(|answer| answer["token"].as_str().unwrap().to_owned()).into();
    let (_, log) = server.stop();
    for secret in &secrets {
        let tail = secret.get(40..).unwrap();
        assert!(!log.contains(tail));
        for file in files_below(folder.path()) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(tail.len()).any(|window| window == tail.as_bytes()), "{}", file.display());
        }
    }
}
