//! `palisade token scan`: places, exit status, git objects; never a secret.

#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a helper that fails is a test that fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use core_types::{Restriction, SecretBytes, Subject, SystemRandom, UnixTime, UserId};
use serde_json::Value;
use token_vault::TokenFormat;
use token_vault::attenuated::attenuate;
use token_vault::service::{Name, ServiceRequest, ServiceSigner};

use crate::support::palisade;

fn rows(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn scan(path: &Path, input: &[u8]) -> (i32, Vec<Value>) {
    let arguments = ["token", "scan", "--json", "--prefix", "plsdtestpat", path.to_str().unwrap()];
    let (exit, printed, said) = palisade(&arguments, input);
    assert!(said.is_empty(), "{said}");
    (exit, rows(&printed))
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/repository")
}

fn token() -> String {
    let loose = "objects/a0/7406dd3c631f1fd0672329271313ebc6770570";
    let compressed = fs::read(vectors().join(loose)).unwrap();
    let object = miniz_oxide::inflate::decompress_to_vec_zlib(&compressed).unwrap();
    String::from_utf8(object).unwrap().trim_end().rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn a_token_in_a_text_is_told_with_its_place_and_without_its_secret() {
    let token = token();
    let text = format!("first line\nkey: {token} and so on\n");
    let (exit, rows) = scan(Path::new("-"), text.as_bytes());
    assert_eq!((exit, rows.len()), (1, 1));
    assert_eq!((rows[0]["offset"].as_u64(), rows[0]["line"].as_u64()), (Some(16), Some(2)));
    assert_eq!((rows[0]["column"].as_u64(), rows[0]["length"].as_u64()), (Some(6), Some(83)));
    assert_eq!(rows[0]["kind"], "plsdtestpat");
    assert!(rows[0]["id"].as_str().unwrap().starts_with("tok_"));
    assert_eq!((&rows[0]["form"], &rows[0]["jti"]), (&"token".into(), &Value::Null));
    let (_, printed, _) = palisade(&["token", "scan", "--prefix", "plsdtestpat", "-"], text.as_bytes());
    assert!(printed.starts_with("-:2:6: plsdtestpat_…"), "{printed}");
    assert!(!printed.contains(token.get(34..77).unwrap()), "the secret");
}

#[test]
fn narrowed_and_signed_tokens_are_told_with_what_they_lead_to() {
    let token = token();
    let caveat = Restriction::unrestricted().expiring(UnixTime::from_secs(2_000_000_000));
    let format = TokenFormat::new(["plsdtestpat".parse().unwrap()]).unwrap();
    let narrowed = attenuate(&format, &token, &caveat).unwrap().expose_once(str::to_owned);
    let key = Name::new("k1").unwrap();
    let signer = ServiceSigner::new(key, &SecretBytes::take_from(&mut [3; 32])).unwrap();
    let request = ServiceRequest {
        issuer: "issuer",
        audience: "audience",
        subject: Subject::User(UserId::from_bytes([7; 16])),
        restriction: caveat,
        lifetime: Duration::from_secs(60),
    };
    let signed = signer.sign(&request, UnixTime::from_secs(1_900_000_000), &SystemRandom::new()).unwrap();
    let jti = signed.id().to_string();
    let signed = signed.expose_once(str::to_owned);
    let text = format!("a={token}\nb={narrowed}\nc={signed}\n");
    let (exit, rows) = scan(Path::new("-"), text.as_bytes());
    let forms: Vec<_> = rows.iter().map(|row| row["form"].as_str().unwrap()).collect();
    assert_eq!((exit, forms), (1, vec!["token", "narrowed", "signed"]));
    assert_eq!(rows[0]["id"], rows[1]["id"], "the token that the narrowed one was made of");
    assert_eq!((&rows[2]["jti"], &rows[2]["kid"]), (&jti.as_str().into(), &"k1".into()));
    assert!(rows[2]["id"].is_null() && rows[2]["kind"].is_null());
    let (_, printed, _) = palisade(&["token", "scan", "--prefix", "plsdtestpat", "-"], text.as_bytes());
    assert!(printed.contains(&format!("jti {jti}, kid k1")), "{printed}");
    for secret in [&token[34..77], &narrowed[narrowed.len() - 43..], &signed[signed.len() - 86..]] {
        assert!(!printed.contains(secret) && !format!("{rows:?}").contains(secret));
    }
}

#[test]
fn a_text_without_tokens_is_a_yes() {
    let (exit, rows) = scan(Path::new("-"), b"plsdtestpat_ is a prefix, and this is no token");
    assert_eq!((exit, rows.len()), (0, 0));
    let mut changed = token();
    let last = if changed.ends_with('0') { "1" } else { "0" };
    changed.replace_range(82.., last);
    assert_eq!(scan(Path::new("-"), changed.as_bytes()).0, 0, "a wrong checksum");
}

#[test]
fn a_folder_is_scanned_with_all_below_and_no_link_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b");
    fs::create_dir_all(&deep).unwrap();
    // Across the pieces that a file is read in.
    let mut large = vec![b'.'; (64 << 10) - 20];
    large.extend_from_slice(token().as_bytes());
    large.extend_from_slice(&vec![b'\n'; 1 << 20]);
    fs::write(deep.join("large"), &large).unwrap();
    fs::write(folder.path().join("clean"), "nothing").unwrap();
    std::os::unix::fs::symlink(deep.join("large"), folder.path().join("link")).unwrap();
    let (exit, rows) = scan(folder.path(), b"");
    assert_eq!((exit, rows.len()), (1, 1), "{rows:?}");
    assert_eq!(rows[0]["offset"].as_u64(), Some((64 << 10) - 20));
    assert!(rows[0]["path"].as_str().unwrap().ends_with("a/b/large"));
    assert_eq!(rows[0]["object"], Value::Null);
}

#[test]
fn tokens_in_loose_objects_and_in_deltas_of_packs_are_found() {
    let (exit, rows) = scan(&vectors(), b"");
    assert_eq!((exit, rows.len()), (1, 2), "{rows:?}");
    assert_eq!(rows[0]["object"], "a07406dd3c631f1fd0672329271313ebc6770570");
    assert_eq!((rows[0]["line"].as_u64(), rows[0]["column"].as_u64()), (Some(2), Some(4)));
    assert_eq!(rows[1]["object"], "0305473396d6020e785a7878e3c595e5792928ec");
    assert_eq!((rows[1]["line"].as_u64(), rows[1]["column"].as_u64()), (Some(31), Some(7)));
}

#[test]
fn what_cannot_be_read_is_said_and_no_damage_is_taken_for_nothing() {
    let pack = "objects/pack/pack-6f1788755af280da0902eedf7748fbb51100e2a5";
    let [contents, index] =
        ["pack", "idx"].map(|end| fs::read(vectors().join(pack).with_extension(end)).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.pack");
    fs::write(path.with_extension("idx"), &index).unwrap();
    for kept in [4, 100, 400, 1_000, contents.len() - 100] {
        fs::write(&path, &contents[..kept]).unwrap();
        let (exit, rows) = scan(&path, b"");
        assert_eq!(exit, 1);
        assert!(rows.iter().any(|row| row["unread"].is_string()), "{kept} bytes of it: {rows:?}");
    }
    for at in 0..contents.len() {
        if at % 97 != 0 {
            continue;
        }
        let mut changed = contents.clone();
        changed[at] ^= 0x41;
        fs::write(&path, &changed).unwrap();
        let (exit, _) = scan(&path, b"");
        assert!(exit <= 1, "byte {at}");
    }
    fs::write(&path, &contents).unwrap();
    fs::write(path.with_extension("idx"), &index[..500]).unwrap();
    assert!(scan(&path, b"").1[0]["unread"].is_string(), "half an index");
}

#[test]
fn wrong_usage_is_exit_status_2() {
    for arguments in
        [&["token", "scan"][..], &["token", "scan", "-", "--prefix", "x"], &["token", "scan", "--fast", "-"]]
    {
        let (exit, printed, said) = palisade(arguments, b"");
        assert_eq!((exit, printed.is_empty(), said.is_empty()), (2, true, false), "{arguments:?}");
    }
    assert_eq!(palisade(&["token", "scan", "/no/such/file"], b"").0, 1);
}
