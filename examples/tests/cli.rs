//! The contract of `palisade`: exit status, `--json`, `-`.

#![expect(clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use serde_json::Value;

use crate::support::palisade;

fn rows(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).expect("one JSON object per line")).collect()
}

#[test]
fn wrong_usage_is_exit_status_2_and_says_how_it_is_used() {
    for arguments in [
        &[][..],
        &["fly"],
        &["audit"],
        &["audit", "fly"],
        &["ssh", "check"],
        &["audit", "verify"],
        &["--nonsense"],
    ] {
        let (exit, printed, said) = palisade(arguments, b"");
        assert_eq!(exit, 2, "{arguments:?}: {said}");
        assert!(printed.is_empty(), "{arguments:?}");
        assert!(!said.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_is_no_error() {
    let (exit, printed, _) = palisade(&["--help"], b"");
    assert_eq!(exit, 0);
    assert!(printed.contains("usage: palisade"));
}

#[test]
fn ssh_check_prints_one_object_per_line_of_whatever_kind() {
    let good = include_str!("../src/demo/keys/ed25519.pub").trim_end();
    let expected = include_str!("../src/demo/keys/ed25519.sha256");
    let mut input = Vec::new();
    input.extend_from_slice(good.as_bytes());
    input.extend_from_slice(b"\n\n\xff\xfe not UTF-8\n");
    input.extend_from_slice(&vec![b'A'; 10_000_000]);
    input.extend_from_slice(b"\n");
    input.extend_from_slice(include_bytes!("../src/demo/keys/rsa1024.pub"));
    let (exit, printed, _) = palisade(&["ssh", "check", "-"], &input);
    assert_eq!(exit, 1, "some were refused");
    let rows = rows(&printed);
    assert_eq!(rows.iter().map(|row| row["line"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let accepted: Vec<bool> = rows.iter().map(|row| row["accepted"].as_bool().unwrap()).collect();
    assert_eq!(accepted, [true, false, false, false, false]);
    assert_eq!(rows[0]["type"], "ssh-ed25519");
    assert_eq!(rows[0]["bits"], 256);
    assert!(expected.contains(rows[0]["sha256"].as_str().unwrap()));
    assert!(rows[0]["md5"].as_str().unwrap().starts_with("MD5:"));
    assert!(rows[1..].iter().all(|row| !row["reason"].as_str().unwrap().is_empty()));
}

#[test]
fn ssh_check_of_good_keys_alone_is_exit_status_0() {
    let (exit, printed, _) =
        palisade(&["ssh", "check", "-", "--json"], include_bytes!("../src/demo/keys/ecdsa256.pub"));
    assert_eq!(exit, 0, "{printed}");
    assert_eq!(rows(&printed)[0]["type"], "ecdsa-sha2-nistp256");
}

#[test]
fn ssh_check_never_repeats_a_private_key() {
    let secret = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ";
    let input = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{secret}\n-----END OPENSSH PRIVATE KEY-----\n");
    let (exit, printed, said) = palisade(&["ssh", "check", "-"], input.as_bytes());
    assert_eq!(exit, 1);
    assert!(!printed.contains(secret) && !said.contains(secret));
    assert!(rows(&printed)[0]["reason"].as_str().unwrap().contains("private key"));
}

#[test]
fn token_inspect_knows_a_token_by_its_form_and_never_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = support::Server::start(folder.path());
    let token = server.admin_token.clone().unwrap();
    drop(server);
    let mut typo = token.clone().into_bytes();
    let last = typo.len() - 1;
    typo[last] = if typo[last] == b'0' { b'1' } else { b'0' };
    let input = [token.as_bytes(), b"\n", &typo, b"\nnothing of the kind\n"].concat();
    let (exit, printed, said) = palisade(&["token", "inspect", "--json", "-"], &input);
    assert_eq!(exit, 1);
    let rows = rows(&printed);
    assert_eq!(
        rows.iter().map(|row| row["valid"].as_bool().unwrap()).collect::<Vec<_>>(),
        [true, false, false]
    );
    assert!(rows[0]["id"].as_str().unwrap().starts_with("tok_"));
    assert!(!printed.contains(&token) && !said.contains(&token));
}

#[test]
fn audit_verify_of_no_log_is_no_yes() {
    let folder = tempfile::tempdir().unwrap();
    let (exit, printed, said) =
        palisade(&["audit", "verify", folder.path().join("none").to_str().unwrap()], b"");
    assert_eq!(exit, 1, "{printed}{said}");
}
