//! The server under a bounded load on loopback.

mod support;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::Server;

/// `PALISADE_LOAD_SECONDS` makes it longer.
#[test]
fn under_load_nothing_fails_and_the_log_has_an_entry_per_call() {
    let seconds = std::env::var("PALISADE_LOAD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let admin = server.admin();
    let until = now() + Duration::from_secs(seconds);
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|worker| {
            let client = admin.clone();
            std::thread::spawn(move || {
                let mut calls = Calls::default();
                let mut round = 0_u64;
                while now() < until && round < MAX_ROUNDS {
                    // Three reads to a write: a token is issued in one round and revoked in the next.
                    if round % 4 == 3 {
                        let body = json!({"name": format!("load-{worker}-{round}"), "scopes": ["apps:read"]});
                        let (status, answer) = client.post("/api/v1/api-tokens?project=default", &body);
                        assert_eq!(status, 201, "{answer}");
                        calls.writes += 1;
                        let id = answer["id"].as_str().unwrap();
                        let (status, answer) =
                            client.delete(&format!("/api/v1/api-tokens/{id}?project=default"));
                        assert!(status == 200 || status == 204, "{status} {answer}");
                        calls.writes += 1;
                    } else {
                        let began = now();
                        let (status, answer) = client.get("/api/v1/ssh-keys?project=default");
                        assert_eq!(status, 200, "{answer}");
                        calls.reads.push(began.elapsed());
                    }
                    round += 1;
                }
                calls
            })
        })
        .collect();
    let mut reads = Vec::new();
    let mut writes = 0;
    for worker in workers {
        let calls = worker.join().unwrap_or_else(|_| panic!("a worker saw a call fail"));
        reads.extend(calls.reads);
        writes += calls.writes;
    }
    reads.sort_unstable();
    println!(
        "{CONNECTIONS} connections for {seconds} s: {} authorised reads, p50 {:?}, p99 {:?}; {writes} writes",
        reads.len(),
        reads[reads.len() / 2],
        reads[reads.len() * 99 / 100],
    );
    assert!(writes > 0 && !reads.is_empty());
    let audit = folder.path().join("audit");
    let (status, logged) = server.stop();
    assert!(status.success(), "{logged}");
    let (exit, printed, _) = support::palisade(&["audit", "query", "--json", audit.to_str().unwrap()], b"");
    assert_eq!(exit, 0);
    let recorded = printed.lines().filter(|line| line.contains("\"api-tokens:write\"")).count();
    assert_eq!(recorded, writes, "an entry per state-changing call");
    let (exit, printed, _) = support::palisade(&["audit", "verify", audit.to_str().unwrap()], b"");
    assert_eq!(exit, 0, "{printed}");
}

#[derive(Default)]
struct Calls {
    reads: Vec<Duration>,
    writes: usize,
}

#[expect(clippy::disallowed_methods, reason = "a load is measured in real time")]
fn now() -> Instant {
    Instant::now()
}

const CONNECTIONS: usize = 16;
/// So that the load ends even if the clock does not move.
const MAX_ROUNDS: u64 = 1_000_000;
