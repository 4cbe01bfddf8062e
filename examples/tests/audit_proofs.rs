//! The control plane's audit log, proven to a stranger: `palisade audit prove`, `palisade audit verify --receipt`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Server, files_below, palisade};

fn rows(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One object that `palisade` printed, and its exit status.
fn ask(arguments: &[&str], input: &[u8]) -> (i32, Value) {
    let (exit, printed, said) = palisade(arguments, input);
    let row = rows(&printed).into_iter().next().unwrap_or_else(|| panic!("{arguments:?}: {said}"));
    (exit, row)
}

fn verify(audit: &str) -> (i32, Value) {
    ask(&["audit", "verify", audit, "--json"], b"")
}

#[test]
fn every_entry_of_the_control_plane_is_proven_to_a_stranger() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    for name in ["web", "db"] {
        let (status, _) = server.admin().post("/api/v1/projects", &json!({"name": name}));
        assert_eq!(status, 201);
    }
    assert_eq!(server.client(None).get("/api/v1/projects").0, 401);
    let (status, said) = server.stop();
    assert!(status.success(), "{said}");

    let audit = data.join("audit");
    let audit = audit.to_str().unwrap();
    let (exit, report) = verify(audit);
    assert_eq!((exit, &report["ok"], &report["log_ok"]), (0, &json!(true), &json!(true)), "{report}");
    assert!(report["published_to"].as_u64().unwrap() >= 4, "{report}");
    let key_file = format!("{audit}/proofs/key");
    let key = fs::read_to_string(&key_file).unwrap();
    let key = key.trim_end();

    let (exit, printed, _) = palisade(&["audit", "query", audit, "--json"], b"");
    assert_eq!(exit, 0);
    let entries = rows(&printed);
    assert!(entries.len() >= 4, "{printed}");
    for entry in &entries {
        let sequence = entry["sequence"].as_u64().unwrap().to_string();
        let (exit, receipt, said) = palisade(&["audit", "prove", audit, &sequence], b"");
        assert_eq!(exit, 0, "{said}");
        assert!(receipt.starts_with("c2sp.org/tlog-proof@v1\n"), "{receipt}");
        // Offline: with the receipt and the key, and nothing else.
        let arguments = ["audit", "verify", "--receipt", "-", "--key", key, "--json"];
        let (exit, proven) = ask(&arguments, receipt.as_bytes());
        assert_eq!((exit, &proven["ok"]), (0, &json!(true)), "{proven}");
        assert_eq!(proven["sequence"], entry["sequence"]);
        assert_eq!(proven["record"]["intent"]["action"], entry["action"], "{proven}");
        let file = folder.path().join("receipt.tlog-proof");
        fs::write(&file, &receipt).unwrap();
        let (exit, printed, _) =
            palisade(&["audit", "verify", "--receipt", file.to_str().unwrap(), "--key", &key_file], b"");
        assert_eq!(exit, 0);
        assert!(printed.starts_with("proven: record "), "{printed}");
        // With the epoch that binds the head.
        let epoch_file = folder.path().join("receipt.epoch-proof");
        let epoch_file = epoch_file.to_str().unwrap();
        let (exit, same, said) = palisade(&["audit", "prove", audit, &sequence, "--epoch", epoch_file], b"");
        assert_eq!((exit, &same), (0, &receipt), "{said}");
        let (exit, proven) = ask(
            &["audit", "verify", "--receipt", "-", "--epoch", epoch_file, "--key", key, "--json"],
            receipt.as_bytes(),
        );
        assert_eq!(exit, 0, "{proven}");
        assert!(proven["epoch"]["through"].as_u64() >= entry["sequence"].as_u64(), "{proven}");
        let good = fs::read_to_string(epoch_file).unwrap();
        fs::write(epoch_file, good.replacen("slot ", "slot 1", 1)).unwrap();
        let (exit, refused) = ask(
            &["audit", "verify", "--receipt", "-", "--epoch", epoch_file, "--key", key, "--json"],
            receipt.as_bytes(),
        );
        assert_eq!((exit, &refused["ok"]), (1, &json!(false)), "{refused}");
        let (exit, row) = ask(&["audit", "prove", audit, &sequence, "--json"], b"");
        assert_eq!(
            (exit, row["epoch_proof"].as_str(), row["receipt"].as_str()),
            (0, Some(&*good), Some(&*receipt))
        );
        assert!(row["verifier_key"].as_str().unwrap().starts_with(row["origin"].as_str().unwrap()), "{row}");
        // Another index, and another key.
        let bad = receipt.replacen("index ", "index 1", 1);
        let (exit, refused) = ask(&arguments, bad.as_bytes());
        assert_eq!((exit, &refused["ok"]), (1, &json!(false)), "{refused}");
        let other = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let (exit, _) =
            ask(&["audit", "verify", "--receipt", "-", "--key", other, "--json"], receipt.as_bytes());
        assert_eq!(exit, 1);
    }
    let (exit, refused) = ask(&["audit", "prove", audit, "999999", "--json"], b"");
    assert_eq!((exit, &refused["ok"]), (1, &json!(false)));
}

#[test]
fn a_changed_proof_is_named_and_the_log_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    assert_eq!(server.admin().get("/api/v1/projects").0, 200);
    assert!(server.stop().0.success());
    let proofs = data.join("audit/proofs");
    for file in files_below(&proofs) {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }
    let key = data.join("audit-key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let audit = data.join("audit");
    let tile = files_below(&proofs.join("tenants/0/tile/entries")).into_iter().next_back().unwrap();
    let good = fs::read(&tile).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(&tile, bad).unwrap();
    let (exit, report) = verify(audit.to_str().unwrap());
    assert_eq!((exit, &report["ok"], &report["log_ok"]), (1, &json!(false), &json!(true)), "{report}");
    assert_eq!(report["findings"][0]["kind"], "derived-edited", "{report}");
    assert!(report["findings"][0]["file"].as_str().unwrap().starts_with("proofs/tenants/0/tile/entries/"));
    // The server serves all the same; without the proofs they are made anew.
    fs::remove_dir_all(&proofs).unwrap();
    let server = Server::start(&data);
    assert!(server.stop().0.success());
    let (exit, report) = verify(audit.to_str().unwrap());
    assert_eq!(exit, 0, "{report}");
    // The entries have grown by those of that start.
    let tile = files_below(&proofs.join("tenants/0/tile/entries")).into_iter().next_back().unwrap();
    assert!(fs::read(&tile).unwrap().starts_with(&good));
}

#[test]
fn a_lost_signing_key_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert!(Server::start(&data).stop().0.success());
    fs::remove_file(data.join("audit-key")).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_control_plane"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("audit-key"));
}

#[test]
fn proofs_go_on_after_the_server_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let audit = data.join("audit");
    let audit = audit.to_str().unwrap();
    let server = Server::start(&data);
    let token = server.admin_token.clone();
    assert!(server.stop().0.success());
    for round in 0..3 {
        let server = Server::start(&data);
        let (status, _) =
            server.client(token.as_deref()).post("/api/v1/projects", &json!({"name": format!("p{round}")}));
        assert_eq!(status, 201);
        server.kill();
        let (exit, report) = verify(audit);
        assert_eq!(exit, 0, "{report}");
    }
    assert!(Server::start(&data).stop().0.success());
    let (exit, report) = verify(audit);
    assert_eq!((exit, report["published_to"].as_u64().is_some()), (0, true), "{report}");
    // An older copy of the log beside its newest proofs.
    let older = folder.path().join("older");
    copy(Path::new(audit), &older);
    let server = Server::start(&data);
    let (status, _) = server.client(token.as_deref()).post("/api/v1/projects", &json!({"name": "late"}));
    assert_eq!(status, 201);
    assert!(server.stop().0.success());
    fs::remove_dir_all(older.join("proofs")).unwrap();
    copy(&Path::new(audit).join("proofs"), &older.join("proofs"));
    let (exit, report) = verify(older.to_str().unwrap());
    assert_eq!((exit, &report["log_ok"]), (1, &json!(false)), "{report}");
    assert_eq!(report["findings"][0]["kind"], "rolled-back", "{report}");
}

fn copy(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}

#[test]
fn wrong_words_are_exit_status_2() {
    let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    for arguments in [
        &["audit", "prove"][..],
        &["audit", "prove", "somewhere"],
        &["audit", "prove", "somewhere", "x"],
        &["audit", "verify", "--receipt", "-"],
        &["audit", "verify", "somewhere", "--receipt", "-", "--key", key],
        &["audit", "verify", "--receipt", "-", "--key", "a+b+c"],
        &["audit", "verify", "somewhere", "--epoch", "-"],
    ] {
        let (exit, _, said) = palisade(arguments, b"");
        assert_eq!(exit, 2, "{arguments:?}: {said}");
    }
}
