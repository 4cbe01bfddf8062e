//! The committed corpus is replayed, and the four places that list the targets agree.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use palisade_fuzz::TARGETS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The names in a folder, without `extension`.
fn names(folder: &Path, extension: &str) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(extension).unwrap().to_owned())
        .collect()
}

fn in_the_table() -> BTreeSet<String> {
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names.len(), TARGETS.len(), "each is listed once");
    names
}

#[test]
fn no_input_of_the_corpus_gets_a_wrong_answer_and_some_are_accepted_and_some_refused() {
    for target in TARGETS {
        let folder = folder("corpus").join(target.name);
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        for name in names(&folder, "") {
            let input = fs::read(folder.join(&name)).unwrap();
            match std::panic::catch_unwind(|| (target.check)(&input)) {
                Ok(true) => accepted.push(name),
                Ok(false) => refused.push(name),
                Err(_) => panic!("corpus/{}/{name}: a wrong answer, see above", target.name),
            }
        }
        assert!(!accepted.is_empty(), "{}: nothing is accepted, so nothing is checked", target.name);
        assert!(!refused.is_empty(), "{}: nothing is refused: {accepted:?}", target.name);
    }
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    assert_eq!(names(&folder("corpus"), ""), in_the_table());
}

#[test]
fn every_target_has_a_file_that_runs_it() {
    let files = folder("fuzz_targets");
    assert_eq!(names(&files, ".rs"), in_the_table());
    for target in TARGETS {
        let file = fs::read_to_string(files.join(format!("{}.rs", target.name))).unwrap();
        assert!(file.contains(&format!("palisade_fuzz::run(\"{}\", input)", target.name)), "{}", target.name);
    }
}

#[test]
fn every_target_has_a_binary() {
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    let binaries: BTreeSet<_> = manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("{ name = \"")?.split('"').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(binaries, in_the_table());
}

#[test]
fn the_corpus_stays_small() {
    for target in TARGETS {
        for name in names(&folder("corpus").join(target.name), "") {
            let path = folder("corpus").join(target.name).join(&name);
            assert!(fs::metadata(&path).unwrap().len() <= 64 * 1024, "{}", path.display());
            assert!(!name.starts_with("crash-"), "{}: a finding is named for what it was", path.display());
        }
    }
}

#[test]
#[should_panic(expected = "no target `nobody`")]
fn a_target_that_is_not_in_the_table_does_not_pass() {
    palisade_fuzz::run("nobody", b"");
}
