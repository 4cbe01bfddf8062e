//! How soon a revocation at one node is in force at the others, and who is told where it is not.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed helper is a failed test, and what is measured is shown"
)]

mod support;

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use state_store_etcd::testing::Cluster;
use state_store_postgres::testing::Server as Database;

use crate::support::nodes::{issue, join_fleet, node, until};
use crate::support::{Client, Server, palisade};

/// Revokes at the first node and asks the second one until it refuses; prints how long that took.
fn measure(what: &str, url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let first = node(&one, url);
    join_fleet(&one, &two);
    let second = node(&two, url);
    let admin = first.admin();
    let (mut since_answer, mut since_request) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (id, token) = issue(&admin, &format!("short-lived {round}"));
        let elsewhere = second.client(Some(&token));
        until(PATIENCE, "the token is good", || elsewhere.get("/api/v1/ssh-keys").0 == 200);
        let mut answered = Duration::ZERO;
        // The commit is between the request and its answer.
        let total = until(PATIENCE, "the revocation", || {
            if answered.is_zero() {
                answered = until(PATIENCE, "an answer", || {
                    admin.delete(&format!("/api/v1/api-tokens/{id}?project=default")).0 == 204
                });
            }
            elsewhere.get("/api/v1/ssh-keys").0 == 401
        });
        since_answer.push(total.saturating_sub(answered));
        since_request.push(total);
    }
    let (status, body) = revoke_everywhere(&admin, "at both");
    assert_eq!((status, body["nodes"].as_u64()), (200, Some(2)), "{body}");
    for (since, times) in [("answer", &mut since_answer), ("request", &mut since_request)] {
        times.sort();
        println!(
            "{what}: a revocation is in force at the other node, from its {since} on: p50 {:?}, p99 {:?}, max {:?}",
            times[ROUNDS / 2],
            times[ROUNDS - 1 - ROUNDS / 100],
            times[ROUNDS - 1]
        );
    }
    // The machine of a test is busy.
    assert!(since_answer[ROUNDS / 2] <= Duration::from_millis(50), "{since_answer:?}");
    assert!(since_answer[ROUNDS - 1 - ROUNDS / 100] <= Duration::from_millis(500), "{since_answer:?}");
}

#[test]
fn a_revocation_is_in_force_at_the_other_node_at_once_on_postgres() {
    let database = Database::start().unwrap();
    measure("PostgreSQL", &database.url("latency"));
}

#[test]
fn a_revocation_is_in_force_at_the_other_node_at_once_on_etcd() {
    let cluster = Cluster::start(3).unwrap();
    measure("etcd", &cluster.url("latency"));
}

fn signal(server: &Server, name: &str) {
    assert!(Command::new("kill").args([name, &server.id().to_string()]).status().unwrap().success());
}

/// Revokes a new token, and waits for every node.
fn revoke_everywhere(admin: &Client, name: &str) -> (u16, Value) {
    let (id, _) = issue(admin, name);
    admin.delete(&format!("/api/v1/api-tokens/{id}?project=default&wait=all"))
}

#[test]
fn who_waits_for_all_nodes_is_told_which_one_is_frozen() {
    let database = Database::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let url = database.url("frozen");
    let first = Server::start_with(&one, &["--state", &url, "--node", "one"]);
    join_fleet(&one, &two);
    let second = Server::start_with(&two, &["--state", &url, "--node", "two"]);
    let admin = first.admin();
    for round in 0..20 {
        let (status, body) = revoke_everywhere(&admin, &format!("at once {round}"));
        assert_eq!(status, 200, "{body}");
        assert_eq!(
            (body["applied"].as_str(), body["nodes"].as_u64()),
            (Some("everywhere"), Some(2)),
            "{body}"
        );
    }
    // Who revokes elsewhere waits for the same nodes.
    let also = second.client(first.admin_token.as_deref());
    assert_eq!(revoke_everywhere(&also, "at the other").0, 200);

    signal(&second, "-STOP");
    let (status, body) = revoke_everywhere(&admin, "while one is frozen");
    assert_eq!((status, body["lagging"].clone()), (202, json!(["two"])), "{body}");
    signal(&second, "-CONT");
    let (status, body) = revoke_everywhere(&admin, "while it comes back");
    assert!(status == 200 || body["lagging"] == json!(["two"]), "{body}");
    until(PATIENCE, "it is back", || revoke_everywhere(&admin, "when it is back").0 == 200);
    let (status, body) = admin.delete("/api/v1/api-tokens/none?project=default&wait=some");
    assert_ne!(status, 200, "{body}");

    // One that stops is waited for no more; one that was killed, no longer than its word holds.
    let (stopped, log) = second.stop();
    assert!(stopped.success(), "{log}");
    let (status, body) = revoke_everywhere(&admin, "when it is gone");
    assert_eq!((status, body["nodes"].as_u64()), (200, Some(1)), "{body}");
    assert!(first.client(None).text("/metrics").contains("palisade_fleet_nodes 1"));
}

#[test]
fn a_node_that_hears_of_no_change_reads_through_where_it_was_told_to() {
    let database = Database::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let first = node(&one, &database.url("through"));
    join_fleet(&one, &two);
    // Another user of the database, who can be kept from reading what changes while all else goes on.
    let grant = "CREATE ROLE deaf LOGIN PASSWORD 'deaf'; GRANT USAGE ON SCHEMA through TO deaf; \
                 GRANT ALL ON ALL TABLES IN SCHEMA through TO deaf";
    database.psql(grant).unwrap();
    let url = format!("postgres://deaf:deaf@{}/postgres?schema=through", database.address());
    let second = Server::start_with(&two, &["--state", &url, "--when-stale", "read-through"]);
    let admin = first.admin();
    let (kept_id, kept) = issue(&admin, "kept");
    let (revoked_id, revoked) = issue(&admin, "revoked");
    let clients = [second.client(Some(&kept)), second.client(Some(&revoked))];
    for client in &clients {
        until(PATIENCE, "the token is good", || client.get("/api/v1/ssh-keys").0 == 200);
    }
    database.psql("REVOKE SELECT ON through.changes FROM deaf").unwrap();
    let (status, body) = admin.delete(&format!("/api/v1/api-tokens/{revoked_id}?project=default"));
    assert_eq!(status, 204, "{body}");
    // By what is in memory for as long as the bound, then by the store: up to four readings of two seconds each.
    let refused = until(Duration::from_secs(14), "a refusal", || clients[1].get("/api/v1/ssh-keys").0 == 401);
    assert!(refused < Duration::from_millis(13_500), "the bound is five seconds, it was {refused:?}");
    until(PATIENCE, "it is not ready", || clients[0].send("GET", "/readyz", None).unwrap().status == 503);
    assert_eq!(clients[0].get("/api/v1/ssh-keys").0, 200);
    assert_eq!(clients[0].get("/api/v1/self").0, 200);
    // What was committed since is in force with the very next request, and so is what is new there.
    let (_, new) = issue(&admin, "new");
    assert_eq!(second.client(Some(&new)).get("/api/v1/ssh-keys").0, 200);
    let (status, body) = admin.delete(&format!("/api/v1/api-tokens/{kept_id}?project=default"));
    assert_eq!(status, 204, "{body}");
    assert_eq!(clients[0].get("/api/v1/ssh-keys").0, 401);
    let key = json!({"name": "laptop", "public_key": KEY});
    let (status, body) = admin.post("/api/v1/ssh-keys?project=default", &key);
    assert_eq!(status, 201, "{body}");
    let (status, listed) = second.client(Some(&new)).get("/api/v1/ssh-keys");
    assert_eq!((status, listed["items"][0]["name"].as_str()), (200, Some("laptop")), "{listed}");
    // Changes are for nodes that follow the state.
    let there = second.client(first.admin_token.as_deref());
    let wish = json!({"name": "elsewhere", "scopes": ["ssh-keys:read"]});
    assert_eq!(there.post("/api/v1/api-tokens?project=default", &wish).0, 503);
    let metrics = second.client(None).text("/metrics");
    assert!(metrics.contains("palisade_replica_fresh{replica=\"tokens\"} 0"), "{metrics}");
    assert!(!metrics.contains("palisade_read_through_total 0"), "{metrics}");

    // The store does not answer either: nothing is decided.
    database.psql("REVOKE SELECT ON through.head FROM deaf").unwrap();
    assert_eq!(second.client(Some(&new)).get("/api/v1/ssh-keys").0, 503);
    database.psql("GRANT SELECT ON through.head, through.changes TO deaf").unwrap();
    until(PATIENCE, "it is ready", || clients[0].send("GET", "/readyz", None).unwrap().status == 200);
    assert_eq!(there.post("/api/v1/api-tokens?project=default", &wish).0, 201);
}

#[test]
fn an_operator_issues_and_revokes_on_the_state_of_a_fleet_that_serves() {
    let database = Database::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("operator"));
    let url = database.url("operated");
    let first = node(&one, &url);
    join_fleet(&one, &two);
    let place = ["--data-dir", two.to_str().unwrap(), "--state", &url];
    let wish =
        ["--name", "from the desk", "--owner", "administrator", "--permission", "ssh-keys:read", "--json"];
    let (exit, said, error) = palisade(&[&["token", "issue"], &place[..], &wish[..]].concat(), b"");
    assert_eq!(exit, 0, "{said}{error}");
    let row: Value = serde_json::from_str(&said).unwrap();
    let client = first.client(row["token"].as_str());
    until(PATIENCE, "it is good", || client.get("/api/v1/ssh-keys").0 == 200);
    let revoke = [&["token", "revoke", row["id"].as_str().unwrap()], &place[..]].concat();
    let (exit, said, error) = palisade(&revoke, b"");
    assert_eq!(exit, 0, "{said}{error}");
    until(PATIENCE, "it is dead", || client.get("/api/v1/ssh-keys").0 == 401);
    // An operator is no node.
    let (status, body) = revoke_everywhere(&first.admin(), "afterwards");
    assert_eq!((status, body["nodes"].as_u64()), (200, Some(1)), "{body}");

    let nowhere = database.url("nobody_started_here");
    let (exit, _, _) = palisade(
        &["token", "revoke", "--all", "--data-dir", two.to_str().unwrap(), "--state", &nowhere],
        b"",
    );
    assert_ne!(exit, 0);
    let (exit, _, _) =
        palisade(&["token", "revoke", "--all", "--data-dir", "d", "--state", "mysql://x"], b"");
    assert_eq!(exit, 2);
}

const KEY: &str = include_str!("../src/demo/keys/ed25519.pub");
const ROUNDS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(20);
