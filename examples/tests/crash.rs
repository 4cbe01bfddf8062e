//! `kill -9` under a write load: nothing acknowledged is lost, and the log verifies.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails is a test that fails")]

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Server;

#[test]
fn every_acknowledged_call_survives_a_kill_and_the_log_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let mut admin_token = None;
    let acknowledged = Arc::new(Mutex::new(Vec::<(String, String)>::new()));
    for round in 0..ROUNDS {
        let server = Server::start(folder.path());
        let token = admin_token.get_or_insert_with(|| server.admin_token.clone().unwrap()).clone();
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let client = server.client(Some(&token));
                let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
                std::thread::spawn(move || {
                    for call in 0..MAX_CALLS {
                        let body = json!({"name": format!("crash-{round}-{writer}-{call}"), "scopes": ["apps:read"]});
                        // The kill breaks the connection: then nothing was acknowledged.
                        let Ok(answer) = client.send("POST", "/api/v1/api-tokens?project=default", Some(&body))
                        else {
                            break;
                        };
                        assert_eq!(answer.status, 201, "{}", answer.body);
                        let id = answer.body["id"].as_str().unwrap().to_owned();
                        acknowledged.lock().unwrap().push((id, answer.request_id.unwrap()));
                        if stop.load(Ordering::SeqCst) {
                            break;
                        }
                    }
                })
            })
            .collect();
        // Somewhere in the load, a little later each round.
        std::thread::sleep(Duration::from_millis(150 + 37 * round));
        server.kill();
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.join().unwrap();
        }
    }

    let server = Server::start(folder.path());
    let admin = server.client(admin_token.as_deref());
    let acknowledged = Arc::try_unwrap(acknowledged).unwrap().into_inner().unwrap();
    assert!(acknowledged.len() > 20, "only {} calls were acknowledged", acknowledged.len());
    let tokens = all_tokens(&admin);
    for (id, _) in &acknowledged {
        assert!(tokens.contains(id), "the acknowledged token {id} is gone");
    }
    let audit = folder.path().join("audit");
    let (status, _) = server.stop();
    assert!(status.success());
    let (exit, printed, _) = support::palisade(&["audit", "verify", audit.to_str().unwrap()], b"");
    assert_eq!(exit, 0, "{printed}");
    let (exit, printed, _) = support::palisade(&["audit", "query", "--json", audit.to_str().unwrap()], b"");
    assert_eq!(exit, 0);
    let recorded: BTreeSet<String> = printed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|entry| entry["outcome"] == "allowed")
        .map(|entry| entry["request_id"].as_str().unwrap_or_default().to_owned())
        .collect();
    for (_, request) in &acknowledged {
        assert!(recorded.contains(request), "the acknowledged call {request} is not in the log");
    }
}

fn all_tokens(admin: &support::Client) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut after = String::new();
    loop {
        let (status, answer) = admin.get(&format!("/api/v1/api-tokens?project=default&limit=500{after}"));
        assert_eq!(status, 200, "{answer}");
        for token in answer["items"].as_array().unwrap() {
            ids.insert(token["id"].as_str().unwrap().to_owned());
        }
        match answer["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return ids,
        }
    }
}

const ROUNDS: u64 = 6;
const WRITERS: usize = 4;
const MAX_CALLS: u32 = 100_000;
