//! SSH keys through the API: upload, machines, user-data, bundles, rotation, revocation.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    reason = "a helper that fails is a test that fails"
)]

mod support;

use serde_json::{Value, json};
use sshkey_registry::bundle::{Authorization, Bundle, Staleness, TrustedSigners, WhenStale};
use sshkey_registry::{AccountName, PublicKey};
use support::{Client, Server};

#[test]
fn a_key_goes_from_upload_to_machine_and_away_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let admin = server.admin();
    let laptop = upload(&admin, "laptop", KEY);
    let (status, vm) = admin.post("/api/v1/vms", &json!({"name": "build"}));
    assert_eq!(status, 201, "{vm}");
    let port = vm["ssh_port"].as_u64().unwrap();
    assert!((30_000..=32_767).contains(&port) || (61_000..=65_535).contains(&port), "{port}");
    let (_, other) = admin.post("/api/v1/vms", &json!({"name": "other"}));
    assert_ne!(other["ssh_port"], vm["ssh_port"]);
    assert_eq!(admin.post("/api/v1/vms", &json!({"name": "build"})).0, 409);
    assert_eq!(admin.get("/api/v1/vms/build/user-data").0, 422, "nobody could log in");

    let attached = json!({"key": laptop, "account": "admin"});
    let (status, vm) = admin.post("/api/v1/vms/build/ssh-keys", &attached);
    assert_eq!((status, &vm["ssh_keys"][0]["options"]), (200, &json!("restrict,pty")), "{vm}");
    assert_eq!(admin.post("/api/v1/vms/build/ssh-keys", &attached).0, 200, "the same again");
    let (status, data) = admin.get("/api/v1/vms/build/user-data");
    assert_eq!((status, &data["ssh_port"]), (200, &json!(port)));
    let text = data["user_data"].as_str().unwrap();
    assert!(text.contains(&format!("restrict,pty {KEY} {laptop}")), "{text}");
    assert!(text.contains(&format!("Port {port}\\n")), "{text}");
    assert_eq!(lets_in(&admin, "build"), [KEY.to_owned()].into());

    // The last key stays, unless that is what is meant.
    let path = format!("/api/v1/ssh-keys/{laptop}");
    let (status, refused) = admin.delete(&path);
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("last_key")));
    let detach = format!("/api/v1/vms/build/ssh-keys/{laptop}/admin");
    assert_eq!(admin.delete(&detach).0, 409);

    // A rotation lets both in; afterwards the old key can go.
    let rotation = json!({"name": "laptop-2", "public_key": OTHER_KEY, "overlap_seconds": 3600});
    let (status, rotated) = admin.post(&format!("{path}/rotate"), &rotation);
    assert_eq!((status, &rotated["vms"]), (200, &json!(["build"])), "{rotated}");
    assert!(rotated["old"]["expires_at"].is_string());
    assert_eq!(lets_in(&admin, "build"), [KEY.to_owned(), OTHER_KEY.to_owned()].into());
    assert_eq!(admin.delete(&path).0, 204);
    assert_eq!(lets_in(&admin, "build"), [OTHER_KEY.to_owned()].into());

    // An operator hears that the other one has leaked.
    let fingerprint = PublicKey::parse(OTHER_KEY).unwrap().fingerprint().to_string();
    let usage = format!("/api/v1/ssh-key-usage?fingerprint={}", fingerprint.replace('+', "%2B"));
    let (status, used) = admin.get(&usage);
    assert_eq!((status, &used["items"][0]["vms"]), (200, &json!(["build"])), "{used}");
    let leaked = json!({"fingerprint_sha256": fingerprint});
    let (status, revoked) = admin.post("/api/v1/compromised-ssh-keys", &leaked);
    assert_eq!((status, &revoked["items"][0]["vms"]), (200, &json!(["build"])), "{revoked}");
    assert_eq!(admin.post("/api/v1/compromised-ssh-keys", &leaked).0, 409);
    assert!(lets_in(&admin, "build").is_empty());
    let again = json!({"name": "again", "public_key": OTHER_KEY});
    assert_eq!(admin.post("/api/v1/ssh-keys", &again).1["error"]["code"], "key_refused");
    assert_eq!(admin.delete("/api/v1/vms/build").0, 204);
    assert_eq!(admin.get("/api/v1/vms/build").0, 404);
}

#[test]
fn machines_and_keys_of_another_project_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let admin = server.admin();
    assert_eq!(admin.post("/api/v1/projects", &json!({"name": "shop"})).0, 201);
    let laptop = upload(&admin, "laptop", KEY);
    assert_eq!(admin.post("/api/v1/vms?project=shop", &json!({"name": "till"})).0, 201);
    let attached = json!({"key": laptop, "account": "admin"});
    assert_eq!(
        admin.post("/api/v1/vms/till/ssh-keys?project=shop", &attached).0,
        404,
        "the key is elsewhere"
    );
    assert_eq!(admin.post("/api/v1/vms/till/ssh-keys", &attached).0, 404, "the machine is elsewhere");
    assert_eq!(admin.get("/api/v1/vms").1["items"], json!([]));
    // The same answer, whether another project has the key or not.
    let mut answers = Vec::new();
    for key in [KEY, OTHER_KEY] {
        let body = json!({"name": "copy", "public_key": key});
        let (status, mut added) = admin.post("/api/v1/ssh-keys?project=shop", &body);
        assert_eq!(
            admin.delete(&format!("/api/v1/ssh-keys/{}?project=shop", added["id"].as_str().unwrap())).0,
            204
        );
        for field in ["id", "added_at", "public_key", "fingerprint_sha256", "fingerprint_md5"] {
            added[field] = Value::Null;
        }
        answers.push((status, added));
    }
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn what_no_machine_should_be_told_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let admin = server.admin();
    let laptop = upload(&admin, "laptop", KEY);
    assert_eq!(admin.post("/api/v1/vms", &json!({"name": "build"})).0, 201);
    for (body, status, code) in [
        (json!({"key": laptop, "account": "Admin"}), 422, "invalid_account"),
        (json!({"key": laptop, "account": "a", "options": "no-such"}), 422, "invalid_options"),
        (json!({"key": laptop, "account": "a", "options": "cert-authority"}), 422, "invalid_options"),
        (json!({"key": laptop, "account": "a", "options": "command=\"x\n\""}), 422, "invalid_options"),
        (json!({"key": laptop, "account": "a", "expires_at": "2001-01-01T00:00:00Z"}), 422, "invalid_field"),
        (json!({"key": "key_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D", "account": "a"}), 404, "not_found"),
        (json!({"key": "key", "account": "a"}), 422, "invalid_field"),
        (json!({"key": laptop}), 400, "malformed_request"),
    ] {
        let (found, answer) = admin.post("/api/v1/vms/build/ssh-keys", &body);
        assert_eq!((found, &answer["error"]["code"]), (status, &json!(code)), "{body}: {answer}");
    }
    for name in ["Build", "a_b", "", "-"] {
        assert_eq!(admin.post("/api/v1/vms", &json!({"name": name})).0, 422, "{name}");
    }
    let (_, token) = admin.post("/api/v1/api-tokens", &json!({"name": "reader", "scopes": ["vms:read"]}));
    let reader = server.client(Some(token["token"].as_str().unwrap()));
    assert_eq!(reader.get("/api/v1/vms").0, 200);
    assert_eq!(reader.post("/api/v1/vms", &json!({"name": "mine"})).0, 403);
    assert_eq!(reader.get("/api/v1/ssh-key-usage?fingerprint=x").0, 403, "for operators");
}

fn upload(client: &Client, name: &str, key: &str) -> String {
    let (status, added) = client.post("/api/v1/ssh-keys", &json!({"name": name, "public_key": key}));
    assert_eq!(status, 201, "{added}");
    added["id"].as_str().unwrap().to_owned()
}

/// Which of the two keys the machine's bundle lets in to `admin`.
fn lets_in(client: &Client, vm: &str) -> std::collections::BTreeSet<String> {
    let (status, answer) = client.get(&format!("/api/v1/vms/{vm}/key-bundle"));
    assert_eq!(status, 200, "{answer}");
    let hex = answer["bundle_hex"].as_str().unwrap();
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let trusted = TrustedSigners::parse(answer["signer"].as_str().unwrap()).unwrap();
    let machine = answer["machine"].as_str().unwrap().parse().unwrap();
    let bundle = Bundle::open(&*bytes, &trusted, &machine).unwrap();
    let staleness = Staleness { max_age: std::time::Duration::from_secs(60), when_stale: WhenStale::Refuse };
    let account = AccountName::parse("admin").unwrap();
    let is_in = |key: &&str| {
        let fingerprint = PublicKey::parse(key).unwrap().fingerprint();
        let answer = bundle.authorize(&account, &fingerprint, bundle.issued_at(), staleness).unwrap();
        matches!(answer, Authorization::Authorized(_))
    };
    [KEY, OTHER_KEY].into_iter().filter(is_in).map(str::to_owned).collect()
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHXZHXXdSsdymvNonZUOsatzbPbl2r/6NwQfy8TLkmqC";
const OTHER_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBUmRqIiM598t7UEBfP1/y4ePEke+L8z1GkbQj2CH8Xm";
