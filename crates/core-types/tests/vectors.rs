//! The files of `vectors/`: texts and documents, most of them refused, each with the answer it gets.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails is a test that fails, and line numbers are small"
)]

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use core_types::{
    Fingerprint, ParseError, Permission, PermissionPattern, Principal, Restriction, Scope, Subject, UserId,
};

/// A line of a file: a JSON string, a tab, the answer.
struct Vector {
    line: usize,
    text: String,
    answer: String,
}

fn read(name: &str) -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    let file = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let vectors: Vec<_> = file
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            let (text, answer) =
                line.split_once('\t').unwrap_or_else(|| panic!("{name}:{}: no tab", number + 1));
            Vector { line: number + 1, text: serde_json::from_str(text).unwrap(), answer: answer.to_owned() }
        })
        .collect();
    let accepted = vectors.iter().filter(|vector| vector.answer.starts_with("accepted")).count();
    assert!(accepted > 0 && vectors.len() > 2 * accepted, "{name}: some accepted, more refused");
    vectors
}

fn check<T: Display + FromStr<Err = ParseError>>(name: &str) {
    for Vector { line, text, answer } in read(name) {
        let got = match text.parse::<T>() {
            Ok(value) if value.to_string() == text => "accepted".to_owned(),
            Ok(value) => format!("accepted as {value}"),
            Err(error) => format!("{error:?}"),
        };
        assert_eq!(got, answer, "{name}:{line}: {text:?}");
    }
}

#[test]
fn ids() {
    check::<UserId>("id.txt");
}

#[test]
fn scopes() {
    check::<Scope>("scope.txt");
}

#[test]
fn permissions() {
    check::<Permission>("permission.txt");
}

#[test]
fn patterns() {
    check::<PermissionPattern>("pattern.txt");
}

#[test]
fn subjects() {
    check::<Subject>("subject.txt");
}

#[test]
fn principals() {
    check::<Principal>("principal.txt");
}

#[test]
fn fingerprints() {
    check::<Fingerprint>("fingerprint.txt");
}

#[test]
fn restriction_documents() {
    for Vector { line, text, answer } in read("restriction.txt") {
        let got = match serde_json::from_str::<Restriction>(&text) {
            Ok(restriction) => format!("accepted as {}", serde_json::to_string(&restriction).unwrap()),
            Err(_) => "refused".to_owned(),
        };
        assert_eq!(got, answer, "restriction.txt:{line}: {text}");
    }
}

#[test]
fn every_file_of_vectors_is_read_by_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    files.sort_unstable();
    let known = [
        "fingerprint.txt",
        "id.txt",
        "pattern.txt",
        "permission.txt",
        "principal.txt",
        "restriction.txt",
        "scope.txt",
        "ssh-keygen.txt",
        "subject.txt",
    ];
    assert_eq!(files, known);
}
