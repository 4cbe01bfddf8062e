//! Nodes of a fleet.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use super::{Client, Server};

pub(crate) fn node(folder: &Path, url: &str) -> Server {
    Server::start_with(folder, &["--state", url])
}

/// A node's folder, with what the nodes of a fleet have in common.
pub(crate) fn join_fleet(first: &Path, other: &Path) {
    DirBuilder::new().mode(0o700).create(other).unwrap();
    for secret in ["pepper", "ssh-bundle-key"] {
        fs::copy(first.join(secret), other.join(secret)).unwrap();
    }
}

pub(crate) fn issue(client: &Client, name: &str) -> (String, String) {
    let wish = json!({"name": name, "scopes": ["ssh-keys:read"]});
    let (status, body) = client.post("/api/v1/api-tokens?project=default", &wish);
    assert_eq!(status, 201, "{body}");
    let text = |name| body.get(name).and_then(serde_json::Value::as_str).unwrap().to_owned();
    (text("id"), text("token"))
}

pub(crate) fn until(patience: Duration, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "what is measured is time")]
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < patience, "{what}: not within {patience:?}");
        sleep(Duration::from_micros(500));
    }
    begun.elapsed()
}
