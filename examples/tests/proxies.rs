//! Where a request came from, as the control plane records it: the peer, and what a proxy of one's own says of its
//! client.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails is a test that fails")]

mod support;

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Server, palisade};

/// Asks for the projects with these `X-Forwarded-For` lines, stops the server, and returns what was recorded of it.
fn recorded(data: &Path, proxies: &[&str], lines: &[&str]) -> Value {
    let server = Server::start_with(data, proxies);
    let mut request = ureq::get(format!("{}/api/v1/projects", server.base));
    for line in lines {
        request = request.header("x-forwarded-for", *line);
    }
    assert!(request.call().is_err(), "without a token");
    assert!(server.stop().0.success());
    let audit = data.join("audit");
    let arguments = ["audit", "query", audit.to_str().unwrap(), "--outcome", "unauthenticated", "--json"];
    let (exit, printed, said) = palisade(&arguments, b"");
    assert_eq!(exit, 0, "{said}");
    let row: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    json!([row["client"], row["client_peer"], row["client_forwarded"]])
}

#[test]
fn the_right_most_hop_that_is_no_proxy_is_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let proxies = ["--trusted-proxy", "127.0.0.0/8", "--trusted-proxy", "10.0.0.0/8"];
    let seen = recorded(&data, &proxies, &["203.0.113.66, 198.51.100.9", "10.1.2.3"]);
    assert_eq!(
        seen,
        json!(["198.51.100.9", "127.0.0.1", "198.51.100.9"]),
        "what stands to its left is its own word"
    );
    let seen = recorded(&data, &proxies, &["198.51.100.9, unknown, 10.1.2.3"]);
    assert_eq!(
        seen,
        json!(["10.1.2.3", "127.0.0.1", "10.1.2.3"]),
        "nobody knows what is meant from there on"
    );
    assert_eq!(recorded(&data, &proxies, &[]), json!(["127.0.0.1", "127.0.0.1", null]));
}

#[test]
fn nobody_else_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for proxies in [&[][..], &["--trusted-proxy", "10.0.0.0/8"]] {
        assert_eq!(recorded(&data, proxies, &["198.51.100.9"]), json!(["127.0.0.1", "127.0.0.1", null]));
    }
}
