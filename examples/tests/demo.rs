//! The demo, as README tells a stranger to run it, and what it leaves behind.

mod support;

use std::process::Command;

use crate::support::{files_below, palisade};

#[test]
fn the_demo_ends_well_and_leaves_a_log_that_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = Command::new(env!("CARGO_BIN_EXE_control_plane"))
        .arg("demo")
        .arg("--data-dir")
        .arg(&data)
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    for expected in [
        "both fingerprints are what ssh-keygen -l prints",
        "rsa-1024: 422 key_refused",
        "without ssh-keys:write: 403",
        "the very next request with it: 401",
        "she sees nothing of default's three",
        "web-1 joined over TLS 1.3",
        "web-2 with the same ticket: refused",
        "nine guesses are left",
        "web-3 joined; it knows 3 members",
        "joins:prove    unauthenticated wrong_mac",
        "joins:admit    allowed         web-3",
        "moved before it was committed, erased when nobody used it",
        "The demo ended as it should.",
    ] {
        assert!(printed.contains(expected), "{expected:?} is missing from:\n{printed}");
    }

    let audit = data.join("audit");
    let audit = audit.to_str().unwrap();
    let (exit, said, _) = palisade(&["audit", "verify", audit], b"");
    assert_eq!(exit, 0, "{said}");
    let (exit, said, _) = palisade(&["audit", "verify", "--json", audit], b"");
    assert_eq!(exit, 0, "{said}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&said).unwrap()["ok"], true);

    // One changed byte in the middle of the log.
    let log = files_below(&data.join("audit"))
        .into_iter()
        .find(|file| file.extension().is_some_and(|end| end == "log"));
    let log = log.expect("the log has a segment");
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let (exit, said, _) = palisade(&["audit", "verify", audit], b"");
    assert_eq!(exit, 1, "{said}");
    let (exit, said, _) = palisade(&["audit", "verify", "--json", audit], b"");
    assert_eq!(exit, 1, "{said}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&said).unwrap()["ok"], false);
}

#[test]
fn the_demo_says_so_where_there_is_no_ssh_keygen() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_control_plane")).arg("demo").env("PATH", "").output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        printed.contains("ssh-keygen is not installed here: these are keys it made earlier"),
        "{printed}"
    );
    assert!(
        printed.ends_with("Nothing is kept; --data-dir DIR would.\nThe demo ended as it should.\n"),
        "{printed}"
    );
}

#[test]
fn the_demo_does_not_run_over_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        Command::new(env!("CARGO_BIN_EXE_control_plane"))
            .arg("demo")
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .output()
            .unwrap()
    };
    assert!(run().status.success());
    let again = run();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("needs a new folder"));
}
