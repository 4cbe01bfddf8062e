//! Joins as they should be, and as people stop them.

use std::process::Command;

use serde_json::json;

use crate::machine::*;
use crate::support::{Server, files_below};

#[test]
fn machines_join_by_ticket_and_everybody_knows_the_same_members() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with_joins(folder.path());
    let admin = server.admin();
    let (ticket, id) = ticket(&admin, 2);
    let (beta, gamma, delta) = (Machine::new("beta"), Machine::new("gamma"), Machine::new("delta"));
    for machine in [&beta, &gamma] {
        let ended = machine.join_by_ticket(&joins_at(&server), &ticket);
        assert_eq!((ended.exit, ended.last["event"].as_str()), (Some(0), Some("joined")), "{ended:?}");
        assert_agreed(&admin, machine);
    }
    let ended = delta.join_by_ticket(&joins_at(&server), &ticket);
    assert_eq!((ended.exit, ended.last["reason"].as_str()), (Some(1), Some("refused")), "{ended:?}");
    assert_eq!(delta.status()["event"], "nothing");
    assert_eq!(members(&admin), ["beta", "control-plane", "gamma"]);
    let (_, tickets) = admin.get("/api/v1/join-tickets");
    assert_eq!(tickets["items"][0]["state"], "used");
    assert_eq!(tickets["items"][0]["used"], 2);
    // A machine that is a member says so, without asking anybody.
    let again = beta.join_by_ticket("127.0.0.1:1", &ticket);
    assert_eq!(again.exit, Some(0), "{again:?}");
    let log = recorded(&admin);
    for action in ["joins:found", "joins:write", "joins:prove", "joins:approve", "joins:admit"] {
        assert!(
            log.iter().any(|(known, outcome, _)| known == action && outcome == "allowed"),
            "{action}: {log:?}"
        );
    }
    assert!(log.iter().any(|(action, outcome, reason)| {
        (action.as_str(), outcome.as_str(), reason.as_str()) == ("joins:prove", "unauthenticated", "unknown")
    }));
    // The ticket is nowhere: not in the state, not in the log.
    let (status, _) = server.stop();
    assert!(status.success());
    let secret = ticket.get(6..40).unwrap().as_bytes();
    for file in files_below(folder.path()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", file.display());
    }
    assert!(!id.is_empty());
}

#[test]
fn a_machine_joins_by_two_words_when_an_operator_approves_what_both_screens_show() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with_joins(folder.path());
    let admin = server.admin();
    let code = code(&admin);
    assert_eq!(code.split(' ').count(), 2);
    let beta = Machine::new("beta");
    // As people type: other blanks, capital letters.
    let typed = format!("  {} ", code.to_uppercase().replace(' ', "   "));
    let mut agent = beta.start(&joins_at(&server), Some(("--code-file", &typed)));
    let own = agent.says("started");
    let shown = agent.says("waiting");
    let asked = waiting(&admin);
    assert_eq!(shown["words"], asked["words"]);
    assert_eq!(shown["intent"], asked["id"]);
    assert_eq!(own["fingerprint"], asked["machine"]["fingerprint_words"]);
    assert_eq!(asked["machine"]["name"], "beta");
    let path = format!("/api/v1/joins/{}/approve", asked["id"].as_str().unwrap());
    // Only who may, may.
    let wish = json!({"name": "reader", "scopes": ["joins:read"]});
    let (_, reader) = admin.post("/api/v1/api-tokens?project=default", &wish);
    let reader = server.client(reader["token"].as_str());
    assert_eq!(reader.post(&path, &json!({})).0, 403);
    let (status, body) = admin.post(&path, &json!({}));
    assert_eq!(status, 200, "{body}");
    assert_eq!(admin.post(&path, &json!({})).0, 404, "decided about once");
    let ended = agent.end();
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    assert_agreed(&admin, &beta);
    let (_, joins) = admin.get("/api/v1/joins");
    assert!(joins["items"][0]["approved_by"][0].as_str().unwrap().contains("tok_"), "{joins}");
    // A code lets in one machine.
    assert!(joins["code"].is_null());
    let late = Machine::new("late").start(&joins_at(&server), Some(("--code-file", &code))).end();
    assert_eq!(late.exit, Some(1), "{late:?}");
    assert_eq!(members(&admin), ["beta", "control-plane"]);
}

#[test]
fn a_wrong_code_is_refused_counted_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with_joins(folder.path());
    let admin = server.admin();
    let right = code(&admin);
    let wrong = if right == "zebra zombie" { "zombie zebra" } else { "zebra zombie" };
    let beta = Machine::new("beta");
    let ended = beta.start(&joins_at(&server), Some(("--code-file", wrong))).end();
    assert_eq!((ended.exit, ended.last["reason"].as_str()), (Some(1), Some("refused")), "{ended:?}");
    assert_eq!(beta.status()["event"], "nothing");
    let (_, joins) = admin.get("/api/v1/joins");
    assert_eq!(joins["code"]["guesses_left"], 9);
    assert_eq!(members(&admin), ["control-plane"]);
    let refusal = ("joins:prove".to_owned(), "unauthenticated".to_owned(), "wrong_mac".to_owned());
    assert!(recorded(&admin).contains(&refusal));
    // What is no word of the list is told before anything is sent.
    let typo = beta.start(&joins_at(&server), Some(("--code-file", "zebra zombif"))).end();
    assert_eq!(typo.exit, Some(1));
    assert!(typo.errors.contains("word 2") && !typo.errors.contains("zombie"), "{typo:?}");
    let hint = Command::new(env!("CARGO_BIN_EXE_join_agent"))
        .args(["join", "--to", "127.0.0.1:1", "--name", "beta", "--code-file"])
        .arg(beta.secret_file())
        .arg("--state-dir")
        .arg(beta.state_dir())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&hint.stderr).contains("did you mean `zombie`?"), "{hint:?}");
    let (_, joins) = admin.get("/api/v1/joins");
    assert_eq!(joins["code"]["guesses_left"], 9);
}

#[test]
fn a_machine_that_gives_up_tells_the_operator_and_an_operator_that_refuses_tells_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with_joins(folder.path());
    let admin = server.admin();
    let beta = Machine::new("beta");
    let words = code(&admin);
    let mut agent = beta.start(&joins_at(&server), Some(("--code-file", &words)));
    agent.says("waiting");
    let asked = waiting(&admin);
    agent.terminate();
    let ended = agent.end();
    assert_eq!(ended.exit, Some(1), "{ended:?}");
    let path = format!("/api/v1/joins/{}", asked["id"].as_str().unwrap());
    let (status, _) = admin.post(&format!("{path}/approve"), &json!({}));
    assert_eq!(status, 404, "it gave up");
    // Now the other way round.
    let words = code(&admin);
    let mut agent = beta.start(&joins_at(&server), Some(("--code-file", &words)));
    agent.says("waiting");
    let asked = waiting(&admin);
    let (status, _) = admin.delete(&format!("/api/v1/joins/{}", asked["id"].as_str().unwrap()));
    assert_eq!(status, 204);
    let ended = agent.end();
    assert_eq!((ended.exit, ended.last["reason"].as_str()), (Some(1), Some("aborted")), "{ended:?}");
    assert_eq!(beta.status()["event"], "nothing");
    // And a server that stops leaves nobody waiting.
    let words = code(&admin);
    let mut agent = beta.start(&joins_at(&server), Some(("--code-file", &words)));
    agent.says("waiting");
    assert!(server.stop().0.success());
    let ended = agent.end();
    assert_eq!((ended.exit, ended.last["reason"].as_str()), (Some(1), Some("aborted")), "{ended:?}");
}

#[test]
fn a_revoked_ticket_a_wrong_name_and_a_revoked_member_stay_outside() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with_joins(folder.path());
    let admin = server.admin();
    let (revoked, id) = ticket(&admin, 1);
    assert_eq!(admin.delete(&format!("/api/v1/join-tickets/{id}")).0, 204);
    let wish = json!({"role": "worker", "names": "db-*"});
    let (_, narrow) = admin.post("/api/v1/join-tickets", &wish);
    let narrow = narrow["ticket"].as_str().unwrap();
    let beta = Machine::new("beta");
    for ticket in [revoked.as_str(), narrow] {
        assert_eq!(beta.join_by_ticket(&joins_at(&server), ticket).exit, Some(1));
    }
    let fitting = Machine::new("db-1");
    assert_eq!(fitting.join_by_ticket(&joins_at(&server), narrow).exit, Some(0));
    let id = fitting.status()["member"].as_str().unwrap().to_owned();
    assert_eq!(admin.delete(&format!("/api/v1/members/{id}")).0, 204);
    assert_eq!(members(&admin), ["control-plane"]);
    // Its keys are dead for ever, by any ticket.
    std::fs::remove_file(fitting.state_dir().join("join")).unwrap();
    let (another, _) = ticket(&admin, 1);
    assert_eq!(fitting.join_by_ticket(&joins_at(&server), &another).exit, Some(1));
    assert_eq!(members(&admin), ["control-plane"]);
    for (wish, code) in [
        (json!({"role": "worker", "names": "db-*", "uses": 0}), "invalid_field"),
        (json!({"role": "Worker", "names": "*"}), "invalid_field"),
        (json!({"role": "worker", "names": "a*b"}), "invalid_field"),
        (json!({"role": "worker", "names": "*", "expires_in_seconds": 0}), "invalid_field"),
    ] {
        let (status, body) = admin.post("/api/v1/join-tickets", &wish);
        assert_eq!((status, body["error"]["code"].as_str()), (422, Some(code)), "{wish}");
    }
    assert_eq!(admin.post("/api/v1/join-code", &json!({"words": 5})).0, 422);
    // An array of an object's fields is no object.
    assert_eq!(admin.post("/api/v1/join-code", &json!([2])).0, 400);
    assert_eq!(admin.post("/api/v1/join-tickets", &json!(["worker", "*", "", 1, 60])).0, 400);
}

#[test]
fn where_nobody_listens_for_machines_the_calls_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let admin = server.admin();
    for path in ["/api/v1/joins", "/api/v1/members", "/api/v1/join-tickets"] {
        let (status, body) = admin.get(path);
        assert_eq!((status, body["error"]["code"].as_str()), (409, Some("no_joins")), "{path}");
    }
}
