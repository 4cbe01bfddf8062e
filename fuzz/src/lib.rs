//! Checks of every parser and every verifier of foreign bytes.
//!
//! A check takes any bytes, uses public API only, and panics when an answer is wrong: what a parser accepts
//! must mean the same to an independent and slow reading of the specification, and must be written as it was
//! read. The checks are run on the committed corpus by `cargo test -p palisade-fuzz`, and on what libFuzzer
//! thinks of by `.ci/fuzz-smoke`. A finding is added to the corpus under a name that says what it was.
//!
//! A new target is a line of [`TARGETS`], a line of `Cargo.toml`, a file of two lines in `fuzz_targets/` and a
//! folder in `corpus/`.

mod core_types;
mod text;

/// A check, under the name of its binary and of its corpus.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Target {
    /// `<crate>_<what is parsed>`.
    pub name: &'static str,
    /// Panics when an answer is wrong.
    pub check: fn(&[u8]),
    /// The longest input worth making; the corpus may hold longer ones.
    pub max_len: usize,
}

/// Every check there is.
pub const TARGETS: &[Target] = &[
    target("core_types_fingerprint", core_types::fingerprint, 64),
    target("core_types_id", core_types::id, 48),
    target("core_types_permission", core_types::permission, 160),
    target("core_types_principal", core_types::principal, 80),
    target("core_types_restriction", core_types::restriction, 1024),
    target("core_types_scope", core_types::scope, 1100),
];

/// Runs the check of this name.
///
/// # Panics
/// When there is none, and when the check finds an answer wrong.
pub fn run(name: &str, input: &[u8]) {
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => (target.check)(input),
        None => unknown(name),
    }
}

#[expect(
    clippy::panic,
    reason = "a target that is missing in the table must not pass for one that found nothing"
)]
fn unknown(name: &str) -> ! {
    panic!("no target `{name}`")
}

const fn target(name: &'static str, check: fn(&[u8]), max_len: usize) -> Target {
    Target { name, check, max_len }
}
