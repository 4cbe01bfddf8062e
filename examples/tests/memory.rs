//! What the server issued is nowhere in its memory once the answer is sent and the connection is closed.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    clippy::indexing_slicing,
    reason = "a helper that fails is a test that fails"
)]

mod support;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Server;

#[test]
fn no_token_or_session_that_was_issued_is_left_in_the_memory_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let admin = server.admin_token.clone().unwrap();
    let mut secrets = vec![admin.clone()];
    // Each through a connection of its own, which is closed afterwards.
    let issue = |wish: Value| {
        let (status, answer) = server.admin().post("/api/v1/api-tokens?project=default", &wish);
        assert_eq!(status, 201, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    };
    let key = issue(json!({"name": "laptop", "inherit": true}));
    secrets.extend([key.clone(), issue(json!({"name": "ci", "scopes": ["ssh-keys:read"]}))]);
    for _ in 0..3 {
        let (status, answer) = server.client(None).post("/api/v1/login", &json!({"access_key": key}));
        assert_eq!(status, 201, "{answer}");
        let session = answer["token"].as_str().unwrap().to_owned();
        assert_eq!(server.client(Some(&session)).get("/api/v1/self").0, 200);
        secrets.push(session);
    }
    let (status, _) = server.client(None).post("/api/v1/login", &json!({"access_key": secrets[2]}));
    assert!(status == 201 || status == 403, "{status}");
    assert_eq!(server.client(Some(&"x".repeat(83))).get("/api/v1/self").0, 401);

    // While a connection is open, its buffer holds what it read last: so the search finds what is there.
    let open = server.admin();
    assert_eq!(open.get("/api/v1/self").0, 200);
    assert_eq!(found(&server, &[admin]), [0], "the search finds what is there");
    drop(open);
    let mut left = Vec::new();
    for _ in 0..50 {
        left = found(&server, &secrets);
        if left.is_empty() {
            break;
        }
        // The server has not yet seen that a connection was closed.
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(left, [0_usize; 0], "secrets that are left, of {}", secrets.len());
}

/// Which of the secrets lie in the server's writable memory, as text or as numbers.
fn found(server: &Server, secrets: &[String]) -> Vec<usize> {
    let digits: Vec<&str> = secrets.iter().map(|token| secret_of(token)).collect();
    let numbers: Vec<[u8; 32]> = digits.iter().map(|digits| number(digits)).collect();
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", server.id())).unwrap();
    let memory = File::open(format!("/proc/{}/mem", server.id())).unwrap();
    let mut found = vec![false; secrets.len()];
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.contains("rw"))) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut piece = vec![0; usize::try_from(end.saturating_sub(start)).unwrap()];
        // A mapping may be gone by now.
        if memory.read_exact_at(&mut piece, start).is_err() {
            continue;
        }
        // Most of it was never written to.
        for piece in written(&piece) {
            for ((digits, number), found) in digits.iter().zip(&numbers).zip(&mut found) {
                *found |= holds(piece, digits.as_bytes()) || holds(piece, number);
            }
        }
    }
    found.iter().enumerate().filter(|(_, found)| **found).map(|(number, _)| number).collect()
}

/// The stretches of pages in which there is something.
fn written(memory: &[u8]) -> Vec<&[u8]> {
    let is_written = |page: &[u8]| page != &[0; PAGE][..page.len()];
    let mut stretches = Vec::new();
    let mut rest = memory;
    while !rest.is_empty() {
        let empty: usize = rest.chunks(PAGE).take_while(|page| !is_written(page)).map(<[u8]>::len).sum();
        let full: usize =
            rest[empty..].chunks(PAGE).take_while(|page| is_written(page)).map(<[u8]>::len).sum();
        let (stretch, after) = rest[empty..].split_at(full);
        stretches.push(stretch);
        rest = after;
    }
    stretches
}

fn holds(memory: &[u8], wanted: &[u8]) -> bool {
    memory.windows(wanted.len()).any(|window| window == wanted)
}

/// The 43 digits of a token that are secret.
fn secret_of(token: &str) -> &str {
    let end = token.len().checked_sub(6).unwrap();
    &token[end.checked_sub(43).unwrap()..end]
}

/// The secret's bytes.
fn number(digits: &str) -> [u8; 32] {
    let mut number = [0_u8; 32];
    for digit in digits.bytes() {
        let mut carry = DIGITS.iter().position(|known| *known == digit).unwrap();
        for byte in number.iter_mut().rev() {
            carry =
                usize::from(*byte).checked_mul(62).and_then(|product| product.checked_add(carry)).unwrap();
            *byte = u8::try_from(carry & 255).unwrap();
            carry >>= 8;
        }
    }
    number
}

const PAGE: usize = 4096;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
