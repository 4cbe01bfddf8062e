//! The contract of `palisade join`: what is signed, what is accepted, and with which exit status.

#![expect(clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::palisade;

const SALT: &str = "000102030405060708090a0b0c0d0e0f";
const PASSPHRASE: &str = "oftentimes rupture saxophone buzzard";

struct Files {
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { dir: TempDir::new().expect("a directory") }
    }

    fn with(&self, content: &[u8]) -> String {
        let path: PathBuf =
            Path::new(self.dir.path()).join(format!("{}-{}", content.len(), content.first().unwrap_or(&0)));
        std::fs::write(&path, content).expect("a file");
        path.to_string_lossy().into_owned()
    }
}

#[test]
fn every_vector_is_signed_as_the_reference_signs_it_and_accepted() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../../crates/join-hmac/tests/vectors/microcloud_mac.json"))
            .expect("JSON");
    let files = Files::new();
    for vector in &vectors {
        let text = |name: &str| vector[name].as_str().unwrap_or_default().to_owned();
        let digits = text("key_hex");
        let key: Vec<u8> = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).expect("ASCII"))
            .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal"))
            .collect();
        let len = usize::try_from(vector["body_len"].as_u64().expect("a length")).expect("small");
        let body = match vector["body_hex"].as_str() {
            Some(_) => (0..len).map(|at| u8::try_from(at % 251).expect("a byte")).collect(),
            None => text("body").into_bytes(),
        };
        assert_eq!(body.len(), len, "{vector}");
        let (kind, salt) =
            if vector["kind"] == "argon2" { ("argon2", text("salt_hex")) } else { ("plain", String::new()) };
        let key = files.with(&key);
        let (version, authorization) = (text("version"), text("authorization"));
        let mut common = vec!["--version", &version, "--key-file", &key, "--kind", kind];
        let mut arguments = vec!["join", "mac"];
        arguments.extend(&common);
        if kind == "argon2" {
            arguments.extend(["--salt", &salt]);
        }
        let (exit, printed, said) = palisade(&arguments, &body);
        assert_eq!((exit, printed.trim_end()), (0, authorization.as_str()), "{said}");
        common.extend(["--authorization", &authorization]);
        let mut arguments = vec!["join", "verify-mac"];
        arguments.extend(&common);
        let usual = kind == "plain" || salt.len() == 32;
        let (exit, ..) = palisade(&arguments, &body);
        assert_eq!(exit, i32::from(!usual), "strict: {vector}");
        arguments.push("--lenient");
        assert_eq!(palisade(&arguments, &body).0, 0, "lenient: {vector}");
        if kind == "plain" {
            let mut changed = body.clone();
            changed.push(b'\n');
            assert_eq!(palisade(&arguments, &changed).0, 1, "another body");
        }
    }
}

#[test]
fn what_is_refused_is_exit_status_1_with_a_reason_and_without_the_secret() {
    let files = Files::new();
    let key = files.with(PASSPHRASE.as_bytes());
    for authorization in ["", "MicroCloud-1.0", "MicroCloud-2.0 00:00", "MicroCloud-1.0 0g:00"] {
        let (exit, printed, said) = palisade(
            &["join", "verify-mac", "--key-file", &key, "--authorization", authorization, "--json"],
            b"{}",
        );
        assert_eq!(exit, 1, "{authorization}: {said}");
        let row: Value = serde_json::from_str(&printed).expect("one object");
        assert_eq!(row["accepted"], false);
        assert!(!row["reason"].as_str().expect("a reason").is_empty());
        assert!(!printed.contains("oftentimes") && !said.contains("oftentimes"));
    }
}

#[test]
fn a_random_salt_makes_a_message_that_is_accepted_with_the_passphrase_as_a_line() {
    let files = Files::new();
    let line = files.with(format!("{PASSPHRASE}\n").as_bytes());
    let (exit, printed, said) = palisade(&["join", "mac", "--passphrase-file", &line], b"{}");
    assert_eq!(exit, 0, "{said}");
    assert_eq!(printed.trim_end().len(), 112);
    let exact = files.with(PASSPHRASE.as_bytes());
    let verify = |key: &str, file: &str| {
        palisade(&["join", "verify-mac", key, file, "--authorization", printed.trim_end(), "--json"], b"{}")
    };
    assert_eq!(verify("--key-file", &exact), (0, "{\"accepted\":true}\n".into(), String::new()));
    assert_eq!(verify("--key-file", &line).0, 1, "a key file is taken byte by byte");
}

#[test]
fn wrong_usage_is_exit_status_2() {
    let files = Files::new();
    let key = files.with(b"foo");
    for arguments in [
        &["join", "mac"][..],
        &["join", "verify-mac", "--key-file", &key],
        &["join", "mac", "--key-file", &key, "--kind", "md5"],
        &["join", "mac", "--key-file", &key, "--salt", "abc"],
        &["join", "mac", "--key-file", &key, "--salt", "zz"],
        &["join", "mac", "--key-file", &key, "--salt", ""],
        &["join", "mac", "--key-file", &key, "--kind", "plain", "--salt", SALT],
        &["join", "mac", "--key-file", &key, "--lenient"],
        &["join", "mac", "--key-file", &key, "--passphrase-file", &key],
        &["join", "mac", "--key-file", &key, "--version", "a b"],
        &["join", "fly"],
    ] {
        let (exit, printed, said) = palisade(arguments, b"");
        assert_eq!(exit, 2, "{arguments:?}: {said}");
        assert!(printed.is_empty() && !said.is_empty(), "{arguments:?}");
    }
    assert_eq!(palisade(&["join", "mac", "--key-file", "/nonexistent"], b"").0, 1);
}
