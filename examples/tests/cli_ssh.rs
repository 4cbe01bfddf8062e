//! `palisade ssh …`: what is printed, and the exit status.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails is a test that fails")]

mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::palisade;

/// A signing key, and a bundle of one key of the account `admin`.
struct Place {
    folder: tempfile::TempDir,
    owner: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let owner = std::fs::metadata(folder.path()).unwrap().uid().to_string();
        let place = Self { folder, owner };
        let (exit, public, _) = palisade(&["ssh", "signing-key", &place.text("key")], b"");
        assert_eq!(exit, 0);
        std::fs::write(place.path("signers"), public).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The arguments that say where everything is.
    fn with(&self, verb: &str, rest: &[&str]) -> (i32, String, String) {
        let (bundle, signers) = (self.text("keys"), self.text("signers"));
        let place = [
            "ssh",
            verb,
            "--bundle",
            &bundle,
            "--signers",
            &signers,
            "--machine",
            MACHINE,
            "--owner",
            &self.owner,
        ];
        palisade(&[&place, rest].concat(), b"")
    }

    fn sign(&self, revision: &str, rest: &[&str], rows: &str) -> (i32, String, String) {
        let (key, out) = (self.text("key"), self.text("new"));
        let sign = [
            "ssh",
            "bundle-sign",
            "--key",
            &key,
            "--machine",
            MACHINE,
            "--revision",
            revision,
            "--out",
            &out,
            "-",
        ];
        palisade(&[&sign, rest].concat(), rows.as_bytes())
    }

    /// Signs and installs.
    fn deliver(&self, revision: &str, rest: &[&str], rows: &str) {
        let (exit, _, said) = self.sign(revision, rest, rows);
        assert_eq!(exit, 0, "{said}");
        let (exit, _, said) = self.with("bundle-install", &[&self.text("new")]);
        assert_eq!(exit, 0, "{said}");
    }
}

fn row(line: &str) -> String {
    json!({"account": "admin", "line": line, "comment": "key_1", "expires_at": null}).to_string()
}

fn fingerprint(key: &str) -> String {
    let (exit, printed, _) = palisade(&["ssh", "check", "-"], key.as_bytes());
    assert_eq!(exit, 0);
    let row: Value = serde_json::from_str(&printed).unwrap();
    row["sha256"].as_str().unwrap().to_owned()
}

#[test]
fn sshd_is_told_the_line_of_the_key_it_asks_for_and_nothing_of_another() {
    let place = Place::new();
    place.deliver("1", &[], &row(&format!("restrict,pty {KEY}")));
    let (known, unknown) = (fingerprint(KEY), fingerprint(OTHER_KEY));
    let base64 = KEY.split(' ').nth(1).unwrap();
    let ask = |words: &[&str]| place.with("authorized-keys", words);
    let line = format!("restrict,pty {KEY} key_1\n");
    assert_eq!(ask(&["admin", &known, "ssh-ed25519", base64]), (0, line.clone(), String::new()));
    assert_eq!(ask(&["admin", &known]), (0, line, String::new()));
    // What is not there is no failure: sshd goes on to what else it has.
    for words in [
        &["admin", &unknown][..],
        &["root", &known],
        &["Admin!", &known],
        &["admin", &known, "ssh-rsa", base64],
        &["admin", &known, "ssh-ed25519", "AAAA"],
    ] {
        assert_eq!(ask(words), (0, String::new(), String::new()), "{words:?}");
    }
    let (exit, printed, _) = ask(&["--json", "admin", &known]);
    let answer: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((exit, &answer["answer"]), (0, &json!("authorized")));
    for words in [&[][..], &["admin"], &["admin", "no-fingerprint"], &["admin", &known, "a", "b", "c"]] {
        assert_eq!(ask(words).0, 2, "{words:?}");
    }
    assert_eq!(ask(&["--when-stale", "perhaps", "admin", &known]).0, 2);
}

#[test]
fn the_program_of_its_own_answers_as_the_verb_does() {
    let place = Place::new();
    place.deliver("1", &[], &row(KEY));
    let (known, unknown) = (fingerprint(KEY), fingerprint(OTHER_KEY));
    let (bundle, signers) = (place.text("keys"), place.text("signers"));
    let ask = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_palisade_authorized_keys"));
        command.args([
            "--bundle",
            &bundle,
            "--signers",
            &signers,
            "--machine",
            MACHINE,
            "--owner",
            &place.owner,
        ]);
        let output = command.args(words).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    for words in [
        &["admin", &known][..],
        &["--json", "admin", &known],
        &["admin", &unknown],
        &["--max-age", "0", "admin", &known],
        &["admin"],
        &["--no-such-option"],
    ] {
        let (exit, printed, said) = place.with("authorized-keys", words);
        let said = said.replacen("palisade: ", "palisade_authorized_keys: ", 1);
        assert_eq!(ask(words), (exit, printed, said), "{words:?}");
    }
    assert_eq!(ask(&["admin", &known]).1, format!("{KEY} key_1\n"));
}

#[test]
fn a_stale_or_damaged_bundle_is_exit_status_1_and_no_line() {
    let place = Place::new();
    let known = fingerprint(KEY);
    place.deliver("1", &["--issued-at", "1000"], &row(KEY));
    let ask = |words: &[&str]| place.with("authorized-keys", &[words, &["admin", &known]].concat());
    assert_eq!((ask(&[]).0, ask(&[]).1), (1, String::new()));
    assert_eq!(ask(&["--when-stale", "keep"]), (0, format!("{KEY} key_1\n"), String::new()));
    assert_eq!(ask(&["--max-age", "99999999999"]).0, 0);
    let good = std::fs::read(place.path("keys")).unwrap();
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for bytes in [&damaged[..], &good[..9], b""] {
        std::fs::write(place.path("keys"), bytes).unwrap();
        let (exit, printed, said) = ask(&["--when-stale", "keep"]);
        assert_eq!((exit, printed), (1, String::new()));
        assert!(said.starts_with("palisade: "), "{said}");
    }
    std::fs::remove_file(place.path("keys")).unwrap();
    assert_eq!(ask(&["--when-stale", "keep"]).0, 1);
}

#[test]
fn an_older_bundle_is_not_installed_over_a_newer_one() {
    let place = Place::new();
    place.deliver("5", &[], &row(KEY));
    let (exit, _, _) = place.sign("4", &[], &row(OTHER_KEY));
    assert_eq!(exit, 0);
    let (exit, _, said) = place.with("bundle-install", &[&place.text("new")]);
    assert_eq!(exit, 1);
    assert!(said.contains("revision 4") && said.contains("revision 5"), "{said}");
    let (exit, shown, _) = place.with("bundle-show", &[]);
    let rows: Vec<Value> = shown.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!((exit, rows.len(), &rows[0]["revision"]), (0, 2, &json!(5)));
    assert_eq!(rows[1]["line"], format!("{KEY} key_1"));
    place.deliver("6", &[], "");
    assert_eq!(place.with("authorized-keys", &["admin", &fingerprint(KEY)]).1, "");
}

#[test]
fn only_keys_that_are_admitted_and_lines_that_are_sound_are_signed() {
    let place = Place::new();
    let small_order = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for rows in [
        row(small_order),
        row(&format!("no-such-option {KEY}")),
        row(&format!("command=\"x {KEY}")),
        row(KEY).replace("key_1", "a b"),
        row(KEY).replace("admin", "Admin"),
        format!("{}\n{}", row(KEY), row(KEY)),
        "{}".to_owned(),
        format!(r#"["admin","{KEY}","key_1",null]"#),
        format!("{} {{}}", row(KEY)),
        row(&format!("no-touch-required {SECURITY_KEY}")),
    ] {
        let (exit, _, said) = place.sign("1", &[], &rows);
        assert_eq!(exit, 1, "{rows}");
        assert!(!place.path("new").exists(), "{said}");
    }
}

#[test]
fn a_signing_key_is_made_once_and_read_by_its_owner_alone() {
    let place = Place::new();
    let key = place.path("key");
    assert_eq!(std::fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
    let before = std::fs::read(&key).unwrap();
    assert_eq!(palisade(&["ssh", "signing-key", &place.text("key")], b"").0, 1, "it is not overwritten");
    assert_eq!(std::fs::read(&key).unwrap(), before);
    let (exit, printed, _) = palisade(&["ssh", "signing-key", "--json", &place.text("other")], b"");
    let answer: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(exit, 0);
    assert!(answer["public_key"].as_str().unwrap().starts_with("ssh-ed25519 AAAA"));
    assert!(Path::new(&place.text("other")).exists());
}

#[test]
fn ssh_check_refuses_keys_that_a_block_list_has() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("blocklist.dat");
    let path = list.to_str().unwrap();
    let point = sshkey_registry::PublicKey::parse(KEY).unwrap().as_blob()[19..].to_vec();
    let digest = core_types::Fingerprint::of(&point);
    std::fs::write(&list, [&digest.as_bytes()[..15], &[1]].concat()).unwrap();
    let input = format!("{KEY}\n{OTHER_KEY}\n");
    let (exit, printed, _) = palisade(&["ssh", "check", "--block-list", path, "-"], input.as_bytes());
    let rows: Vec<Value> = printed.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!((exit, &rows[0]["accepted"], &rows[1]["accepted"]), (1, &json!(false), &json!(true)));
    assert!(rows[0]["reason"].as_str().unwrap().contains("publicly known"));
    assert_eq!(palisade(&["ssh", "check", "-"], input.as_bytes()).0, 0);
    std::fs::write(&list, b"no list").unwrap();
    let (exit, printed, said) = palisade(&["ssh", "check", "--block-list", path, "-"], input.as_bytes());
    assert_eq!((exit, printed.as_str()), (1, ""), "without its list it decides nothing");
    assert!(said.contains("whole number of records"), "{said}");
}

#[test]
fn ssh_check_has_an_answer_for_every_line_that_can_be_sent() {
    let mut input = vec![b'A'; 10 << 20];
    input.extend_from_slice(b"\n\n\xff\xfe\n");
    input.extend_from_slice(KEY.as_bytes());
    input.extend_from_slice(b"\r\nssh-ed25519\n");
    let (exit, printed, _) = palisade(&["ssh", "check", "-"], &input);
    let rows: Vec<Value> = printed.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!((exit, rows.len()), (1, 5));
    let accepted: Vec<_> = rows.iter().map(|row| row["accepted"].as_bool().unwrap()).collect();
    assert_eq!(accepted, [false, false, false, true, false]);
    let numbers: Vec<_> = rows.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert_eq!((&rows[3]["type"], &rows[3]["bits"]), (&json!("ssh-ed25519"), &json!(256)));
    assert!(rows[3]["md5"].as_str().unwrap().starts_with("MD5:"));
    assert!(rows[0]["reason"].as_str().unwrap().contains("longer than"));
}

const MACHINE: &str = "project/web/vm/build";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHXZHXXdSsdymvNonZUOsatzbPbl2r/6NwQfy8TLkmqC";
const OTHER_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBUmRqIiM598t7UEBfP1/y4ePEke+L8z1GkbQj2CH8Xm";
const SECURITY_KEY: &str = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIHXZHXXdSsdymvNonZUOsatzbPbl2r/6NwQfy8TLkmqCAAAABHNzaDo=";
