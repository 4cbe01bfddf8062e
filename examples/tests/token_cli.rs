//! `palisade token issue` and `palisade token revoke`, on the folder of a server that is stopped.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod support;

use serde_json::{Value, json};

use crate::support::{Server, palisade};

/// Runs the verb with `--json` on a folder, and reads what it prints.
fn run(folder: &tempfile::TempDir, words: &[&str], input: &[u8]) -> (i32, Vec<Value>) {
    let folder = folder.path().to_str().unwrap();
    let words: Vec<&str> = words.iter().copied().chain(["--json", "--data-dir", folder]).collect();
    let (exit, printed, said) = palisade(&words, input);
    assert!(exit != 1 || said.is_empty() || printed.is_empty(), "{said}");
    (exit, printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// A folder that a server was started on and stopped, and its administrator's token.
fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let token = server.admin_token.clone().unwrap();
    assert!(server.stop().0.success());
    (folder, token)
}

fn status(folder: &tempfile::TempDir, token: &str) -> u16 {
    let server = Server::start(folder.path());
    let (status, _) = server.client(Some(token)).get("/api/v1/ssh-keys");
    server.stop();
    status
}

#[test]
fn an_operator_who_lost_every_token_issues_another() {
    let (folder, lost) = folder();
    let words = ["token", "issue", "--name", "repair", "--owner", "administrator", "--inherit"];
    let (exit, rows) = run(&folder, &words, b"");
    assert_eq!(exit, 0, "{rows:?}");
    let token = rows[0]["token"].as_str().unwrap();
    assert_eq!(status(&folder, token), 200);
    let (exit, _) = run(&folder, &["token", "revoke", rows[0]["id"].as_str().unwrap()], b"");
    assert_eq!(exit, 0);
    assert_eq!(status(&folder, token), 401);
    assert_eq!(status(&folder, &lost), 200);
    let (exit, printed, _) = palisade(
        &[
            "audit",
            "query",
            folder.path().join("audit").to_str().unwrap(),
            "--json",
            "--action",
            "api-tokens:write",
        ],
        b"",
    );
    assert_eq!(exit, 0);
    let entries: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries.len(), 2, "each is recorded");
    assert!(
        entries.iter().all(|entry| entry["actor"] == "system" && entry["outcome"] == "allowed"),
        "{printed}"
    );
}

#[test]
fn a_token_of_the_operator_is_held_to_what_was_said() {
    let (folder, _) = folder();
    let words = ["token", "issue", "--name", "ci", "--owner", "administrator", "--permission", "users:read"];
    let (exit, rows) = run(&folder, &words, b"");
    assert_eq!(exit, 0, "{rows:?}");
    assert_eq!(status(&folder, rows[0]["token"].as_str().unwrap()), 403);
}

#[test]
fn all_tokens_end_at_once() {
    let (folder, token) = folder();
    assert_eq!(run(&folder, &["token", "revoke", "--all"], b"").0, 0);
    assert_eq!(status(&folder, &token), 401);
}

#[test]
fn tokens_issued_before_a_time_end_and_later_ones_do_not() {
    let (folder, token) = folder();
    let words = ["token", "revoke", "--owner", "administrator", "--issued-before", "2020-01-01T00:00:00Z"];
    assert_eq!(run(&folder, &words, b"").0, 0);
    assert_eq!(status(&folder, &token), 200);
    let words = ["token", "revoke", "--owner", "administrator", "--issued-before", "2120-01-01T00:00:00Z"];
    assert_eq!(run(&folder, &words, b"").0, 0);
    assert_eq!(status(&folder, &token), 401);
}

#[test]
fn tokens_found_in_a_text_are_revoked_if_they_are_ours() {
    let (folder, token) = folder();
    let (exit, rows) = run(&folder, &["token", "revoke", "--leaked", "-"], b"nothing here\n");
    assert_eq!((exit, rows.len()), (1, 0));
    let text = format!("before\nexport TOKEN={token} # oops\nafter\n");
    let (exit, rows) = run(&folder, &["token", "revoke", "--leaked", "-"], text.as_bytes());
    assert_eq!((exit, rows.len()), (0, 1), "{rows:?}");
    assert_eq!(status(&folder, &token), 401);
    let (exit, rows) = run(&folder, &["token", "revoke", "--leaked", "-"], text.as_bytes());
    assert_eq!((exit, rows.len()), (0, 1), "told again, though it is dead: {rows:?}");
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let (folder, token) = folder();
    for words in [
        &["token", "issue", "--name", "x"][..],
        &["token", "issue", "--name", "x", "--owner", "administrator"],
        &["token", "issue", "--name", "x", "--owner", "administrator", "--permission", "nonsense"],
        &["token", "revoke"],
        &["token", "revoke", "--all", "--owner", "administrator"],
        &["token", "revoke", "not-an-id"],
    ] {
        assert_eq!(run(&folder, words, b"").0, 2, "{words:?}");
    }
    for words in [
        &["token", "issue", "--name", "x", "--owner", "nobody", "--inherit"][..],
        &["token", "issue", "--name", "x", "--owner", "administrator", "--inherit", "--project", "nowhere"],
        &["token", "revoke", "tok_01ARZ3NDEKTSV4RRFFQ69G5FAV"],
    ] {
        let (exit, rows) = run(&folder, words, b"");
        assert_eq!((exit, &rows[0]["ok"]), (1, &json!(false)), "{words:?}");
    }
    let empty = tempfile::tempdir().unwrap();
    let (exit, rows) = run(&empty, &["token", "revoke", "--all"], b"");
    assert_eq!((exit, &rows[0]["ok"]), (1, &json!(false)));
    assert_eq!(
        std::fs::read_dir(empty.path()).unwrap().count(),
        0,
        "nothing is made in a folder that was misspelled"
    );
    let server = Server::start(folder.path());
    assert_eq!(run(&folder, &["token", "revoke", "--all"], b"").0, 1, "not while the server runs");
    assert_eq!(server.client(Some(&token)).get("/api/v1/ssh-keys").0, 200);
}
