//! Two nodes on one PostgreSQL database, or one etcd cluster: one answer everywhere, soon, and no answer rather than an old one.

mod support;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use serde_json::json;
use state_store::testing::proxy::{Fault, FaultProxy};
use state_store_etcd::testing::Cluster;
use state_store_postgres::testing::Server as Database;

use crate::support::nodes::{issue, join_fleet, node, until};
use crate::support::{Server, palisade};

#[test]
fn the_demo_tells_its_story_to_two_nodes_in_turn() {
    let database = Database::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let demo = || {
        let mut demo = Command::new(env!("CARGO_BIN_EXE_control_plane"));
        demo.args(["demo", "--state", &database.url("demo"), "--data-dir"]).arg(&data).output().unwrap()
    };
    let output = demo();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    for expected in [
        "Two servers started on one empty database",
        "the very next request with it: 401",
        "The demo ended as it should.",
    ] {
        assert!(printed.contains(expected), "{expected:?} is missing from:\n{printed}");
    }
    for log in ["audit", "second/audit"] {
        let (exit, said, _) = palisade(&["audit", "verify", data.join(log).to_str().unwrap()], b"");
        assert_eq!(exit, 0, "{said}");
    }
    let again = demo();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("holds an earlier run"));
}

#[test]
fn the_demo_tells_its_story_to_two_nodes_on_etcd() {
    let cluster = Cluster::start(3).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = Command::new(env!("CARGO_BIN_EXE_control_plane"))
        .args(["demo", "--state", &cluster.url("demo"), "--data-dir"])
        .arg(&data)
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("Two servers started on one empty database"), "{printed}");

    // What it left is copied, and copied back.
    let file = format!("redb:{}", folder.path().join("copy").display());
    for (from, to) in [(cluster.url("demo"), file.clone()), (file, cluster.url("again"))] {
        let (exit, said, error) = palisade(&["state", "copy", &from, &to], b"");
        assert_eq!(exit, 0, "{said}{error}");
    }
}

#[test]
fn a_revocation_is_in_force_at_a_node_that_is_cut_off_no_later_than_the_staleness_bound() {
    let database = Database::start().unwrap();
    let proxy = FaultProxy::start(database.address()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let first = node(&one, &database.url("fleet"));
    join_fleet(&one, &two);
    let second = node(&two, &database.url_at(proxy.address(), "fleet"));
    let admin = first.admin();

    // A node that is cut off answers by what it knows for as long as the bound, and no longer.
    let (id, token) = issue(&admin, "revoked while nobody listens");
    let elsewhere = second.client(Some(&token));
    until(Duration::from_secs(5), "the token is good", || elsewhere.get("/api/v1/ssh-keys").0 == 200);
    assert_eq!(elsewhere.send("GET", "/readyz", None).unwrap().status, 200);
    proxy.set(Fault::Stall);
    let (status, _) = admin.delete(&format!("/api/v1/api-tokens/{id}?project=default"));
    assert_eq!(status, 204);
    let refused = until(Duration::from_secs(8), "a refusal", || elsewhere.get("/api/v1/ssh-keys").0 != 200);
    println!("cut off, it refused after {refused:?}");
    assert!(refused < Duration::from_millis(5_500), "the bound is five seconds, it was {refused:?}");
    assert_eq!(elsewhere.get("/api/v1/ssh-keys").0, 503);
    assert_eq!(elsewhere.send("GET", "/readyz", None).unwrap().status, 503);
    assert_eq!(elsewhere.send("GET", "/livez", None).unwrap().status, 200);
    // One replica that is too old is enough for the refusal; each passes its bound at a moment of its own.
    for expected in ["palisade_ready 0", "palisade_replica_fresh{replica=\"tokens\"} 0"] {
        until(Duration::from_secs(3), expected, || second.client(None).text("/metrics").contains(expected));
    }
    proxy.set(Fault::Cut);
    proxy.set(Fault::None);
    until(Duration::from_secs(20), "it is back", || {
        elsewhere.send("GET", "/readyz", None).unwrap().status == 200
    });
    assert_eq!(elsewhere.get("/api/v1/ssh-keys").0, 401);
    let metrics = second.client(None).text("/metrics");
    for expected in ["palisade_ready 1", "palisade_verify_seconds_count", "palisade_store_connections_total"]
    {
        assert!(metrics.contains(expected), "{expected} is missing from\n{metrics}");
    }
}

#[test]
fn a_node_without_the_fleets_pepper_is_refused() {
    let database = Database::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    drop(node(&folder.path().join("one"), &database.url("pepper")));
    let output = Command::new(env!("CARGO_BIN_EXE_control_plane"))
        .args(["serve", "--listen", "127.0.0.1:0", "--state", &database.url("pepper"), "--data-dir"])
        .arg(folder.path().join("two"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("pepper") && !said.contains("not-a-secret"), "{said}");
}

#[test]
fn a_rolling_restart_under_load_loses_nothing() {
    let database = Database::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let first = node(&one, &database.url("rolling"));
    join_fleet(&one, &two);
    let second = node(&two, &database.url("rolling"));
    let token = first.admin_token.clone().unwrap();
    let clients = std::sync::Mutex::new([first.client(Some(&token)), second.client(Some(&token))]);
    let is_over = AtomicBool::new(false);
    let (acknowledged, _last) = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut acknowledged = Vec::new();
            for round in 0_usize.. {
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                let client = clients.lock().unwrap()[round % 2].clone();
                let name = format!("rolling-{round}");
                let wish = json!({"name": name, "scopes": ["ssh-keys:read"]});
                // A node that is away, or goes, is asked again later by the other one's turn.
                let answer = client.send("POST", "/api/v1/api-tokens?project=default", Some(&wish));
                if answer.is_ok_and(|answer| answer.status == 201) {
                    acknowledged.push(name);
                }
            }
            acknowledged
        });
        let mut nodes = [Some(first), Some(second)];
        for place in [0, 1, 0, 1] {
            sleep(Duration::from_millis(500));
            let (status, log) = nodes[place].take().unwrap().stop();
            assert!(status.success(), "{log}");
            let again = node(if place == 0 { &one } else { &two }, &database.url("rolling"));
            clients.lock().unwrap()[place] = again.client(Some(&token));
            nodes[place] = Some(again);
        }
        sleep(Duration::from_millis(300));
        is_over.store(true, Ordering::SeqCst);
        (load.join().unwrap(), nodes)
    });
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    for client in clients.lock().unwrap().iter() {
        let mut listed = Vec::new();
        let mut path = "/api/v1/api-tokens?project=default".to_owned();
        loop {
            let (status, body) = client.get(&path);
            assert_eq!(status, 200, "{body}");
            listed.extend(
                body["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|item| item["name"].as_str().unwrap().to_owned()),
            );
            match body["next"].as_str().or_else(|| body["next_cursor"].as_str()) {
                Some(next) => path = format!("/api/v1/api-tokens?project=default&after={next}"),
                None => break,
            }
        }
        for name in &acknowledged {
            assert!(listed.contains(name), "{name} is lost; {} are there", listed.len());
        }
    }
}

#[test]
fn a_state_is_copied_between_backends_and_served_from_there() {
    let database = Database::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let token = server.admin_token.clone().unwrap();
    let (_, issued) = issue(&server.admin(), "from before");
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    let file = format!("redb:{}", data.join("state.redb").display());

    let (exit, said, error) = palisade(&["state", "copy", &file, &database.url("moved"), "--json"], b"");
    assert_eq!(exit, 0, "{said}{error}");
    let row: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(row["ok"] == true && row["entries"].as_u64().unwrap() > 3, "{row}");
    assert!(row["target_revision"].as_u64() >= row["revision"].as_u64(), "{row}");
    let (exit, said, _) = palisade(&["state", "copy", &file, &database.url("moved")], b"");
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("not empty"), "{said}");

    let moved = node(&data, &database.url("moved"));
    assert!(moved.admin_token.is_none(), "it is no first start");
    for token in [&token, &issued] {
        assert_eq!(moved.client(Some(token)).get("/api/v1/ssh-keys").0, 200);
    }
    drop(moved);

    // And back, into a file; another database, too.
    let back = format!("redb:{}", folder.path().join("back").display());
    for (from, to) in [(database.url("moved"), back.clone()), (back, database.url("again"))] {
        let (exit, said, error) = palisade(&["state", "copy", &from, &to], b"");
        assert_eq!(exit, 0, "{said}{error}");
        assert!(said.starts_with("copied and compared: "), "{said}");
    }
    for wrong in [&["state", "copy", "redb:x"][..], &["state", "copy", "mysql://x", "redb:y"][..]] {
        assert_eq!(palisade(wrong, b"").0, 2);
    }
}
