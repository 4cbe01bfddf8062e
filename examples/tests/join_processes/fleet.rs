//! Machines that join at the nodes of a fleet.

use std::path::Path;
use std::time::Duration;

use state_store_postgres::testing::Server as Database;

use crate::machine::*;
use crate::support::Server;
use crate::support::nodes::{join_fleet, until};

fn node(folder: &Path, url: &str) -> Server {
    Server::start_with(folder, &["--state", url, "--join-listen", "127.0.0.1:0"])
}

#[test]
fn a_ticket_lets_in_no_more_machines_than_it_says_whichever_node_they_come_to() {
    let database = Database::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let first = node(&one, &database.url("joins"));
    join_fleet(&one, &two);
    // The nodes let machines in in the name of one member.
    std::fs::copy(one.join("join-machine"), two.join("join-machine")).unwrap();
    let second = node(&two, &database.url("joins"));
    let admin = first.admin();
    let there = second.client(first.admin_token.as_deref());
    let nodes = [joins_at(&first), joins_at(&second)];

    // One after the other, and each node knows of what the other one did.
    let (shared, _) = ticket(&admin, 2);
    let (beta, gamma, delta) = (Machine::new("beta"), Machine::new("gamma"), Machine::new("delta"));
    for (machine, at) in [(&beta, &nodes[1]), (&gamma, &nodes[0])] {
        let ended = machine.join_by_ticket(at, &shared);
        assert_eq!(ended.exit, Some(0), "{ended:?}");
    }
    until(PATIENCE, "both nodes know", || members(&there) == ["beta", "control-plane", "gamma"]);
    assert_eq!(members(&admin), members(&there));
    assert_agreed(&admin, &gamma);
    for at in &nodes {
        let ended = delta.join_by_ticket(at, &shared);
        assert_eq!((ended.exit, ended.last["reason"].as_str()), (Some(1), Some("refused")), "{ended:?}");
    }

    // At the same moment, at both nodes.
    for round in 0..ROUNDS {
        let (once, id) = ticket(if round % 2 == 0 { &admin } else { &there }, 1);
        let machines: Vec<Machine> =
            (0..4).map(|number| Machine::new(&format!("racer-{round}-{number}"))).collect();
        // A node lets in by what it has heard of, which is soon.
        for client in [&admin, &there] {
            until(PATIENCE, "the ticket is known", || {
                let (_, tickets) = client.get("/api/v1/join-tickets");
                tickets["items"].as_array().unwrap().iter().any(|known| known["id"] == id.as_str())
            });
        }
        let agents: Vec<Agent> = machines
            .iter()
            .enumerate()
            .map(|(number, machine)| machine.start(&nodes[number % 2], Some(("--ticket-file", &once))))
            .collect();
        let ended: Vec<Ended> = agents.into_iter().map(Agent::end).collect();
        let joined = ended.iter().filter(|ended| ended.exit == Some(0)).count();
        assert_eq!(joined, 1, "{ended:?}");
        let known = members(&admin);
        let racers = known.iter().filter(|name| name.starts_with(&format!("racer-{round}-"))).count();
        assert_eq!(racers, 1, "{known:?}");
        let (_, tickets) = there.get("/api/v1/join-tickets");
        let shown = tickets["items"].as_array().unwrap().iter().find(|known| known["id"] == id.as_str());
        assert_eq!(shown.unwrap()["used"], 1, "{tickets}");
    }

    // A ticket that was revoked at one node lets nobody in at the other.
    let (revoked, id) = ticket(&admin, 5);
    assert_eq!(admin.delete(&format!("/api/v1/join-tickets/{id}")).0, 204);
    until(PATIENCE, "the other node knows", || {
        let (_, tickets) = there.get("/api/v1/join-tickets");
        tickets["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|known| known["id"] == id.as_str() && known["state"] == "revoked")
    });
    let ended = Machine::new("late").join_by_ticket(&nodes[1], &revoked);
    assert_eq!(ended.exit, Some(1), "{ended:?}");
}

#[test]
fn a_node_without_the_members_key_lets_nobody_in() {
    let database = Database::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let _first = node(&one, &database.url("keyless"));
    join_fleet(&one, &two);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_control_plane"))
        .args(["serve", "--listen", "127.0.0.1:0", "--join-listen", "127.0.0.1:0", "--data-dir"])
        .arg(&two)
        .args(["--state", &database.url("keyless")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("join-machine"));
}

const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(20);
