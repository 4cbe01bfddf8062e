//! Checks of every parser and every verifier of foreign bytes.
//!
//! A check takes any bytes, uses public API only, and panics when an answer is wrong: what a parser accepts
//! must mean the same to an independent and slow reading of the specification, and must be written as it was
//! read. The checks are run on the committed corpus by `cargo test -p palisade-fuzz`, and on what libFuzzer
//! thinks of by `.ci/fuzz-smoke`. A finding is added to the corpus under a name that says what it was.
//!
//! A new target is a line of [`TARGETS`], a line of `Cargo.toml`, a file of two lines in `fuzz_targets/` and a
//! folder in `corpus/`.

mod audit_log;
mod audit_log_tower;
mod audit_tlog;
mod core_types;
mod follow;
mod iam_policy;
mod iam_policy_import;
mod join_hmac;
mod sshkey_registry;
mod state_store;
mod text;
mod token_vault;
mod token_vault_tower;
mod wg_keys;

/// A check, under the name of its binary and of its corpus.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Target {
    /// `<crate>_<what is parsed>`.
    pub name: &'static str,
    /// Panics when an answer is wrong. Says whether anything was accepted: a check that accepts nothing finds
    /// nothing.
    pub check: fn(&[u8]) -> bool,
    /// The longest input worth making; the corpus may hold longer ones.
    pub max_len: usize,
}

/// Every check there is.
pub const TARGETS: &[Target] = &[
    target("audit_log_entry", audit_log::entry, 1024),
    target("audit_log_segment", audit_log::segment, 4096),
    target("audit_log_tampered", audit_log::tampered, 64),
    target("audit_log_text", audit_log::text, 140),
    target("audit_log_tower_forwarded", audit_log_tower::forwarded, 512),
    target("audit_tlog_bundle", audit_tlog::bundle, 2048),
    target("audit_tlog_note", audit_tlog::note, 2048),
    target("audit_tlog_proof", audit_tlog::proof, 2400),
    target("audit_tlog_text", audit_tlog::text, 160),
    target("audit_tlog_tiles", audit_tlog::tiles, 64),
    target("core_types_fingerprint", core_types::fingerprint, 64),
    target("core_types_id", core_types::id, 48),
    target("core_types_permission", core_types::permission, 160),
    target("core_types_principal", core_types::principal, 80),
    target("core_types_restriction", core_types::restriction, 1024),
    target("core_types_scope", core_types::scope, 1100),
    target("iam_policy_covers", iam_policy::covers, 2048),
    target("iam_policy_directory", iam_policy::directory, 4096),
    target("iam_policy_directory_document", iam_policy::directory_document, 4096),
    target("iam_policy_document", iam_policy::document, 1024),
    target("iam_policy_import_aws", iam_policy_import::aws, 1024),
    target("iam_policy_import_casbin", iam_policy_import::casbin, 1024),
    target("iam_policy_import_kubernetes", iam_policy_import::kubernetes, 1024),
    target("iam_policy_request", iam_policy::request, 1024),
    target("iam_policy_text", iam_policy::text, 256),
    target("join_hmac_frames", join_hmac::frames, 2048),
    target("join_hmac_records", join_hmac::records, 2048),
    target("join_hmac_text", join_hmac::text, 256),
    target("sshkey_registry_blob", sshkey_registry::blob, 600),
    target("sshkey_registry_block_list", sshkey_registry::block_list, 640),
    target("sshkey_registry_bundle", sshkey_registry::bundle, 64),
    target("sshkey_registry_line", sshkey_registry::line, 1024),
    target("sshkey_registry_options", sshkey_registry::options, 512),
    target("sshkey_registry_view", sshkey_registry::view, 4096),
    target("state_store_record", state_store::record, 2048),
    target("token_vault_attenuated", token_vault::attenuated, 48),
    target("token_vault_git", token_vault::git, 4096),
    target("token_vault_jwks", token_vault::jwks, 2048),
    target("token_vault_scanned", token_vault::scanned, 512),
    target("token_vault_service", token_vault::service, 1024),
    target("token_vault_text", token_vault::text, 96),
    target("token_vault_token", token_vault::token, 96),
    target("token_vault_tower_headers", token_vault_tower::headers, 256),
    target("token_vault_view", token_vault::view, 4096),
    target("wg_keys_key", wg_keys::key, 64),
    target("wg_keys_record", wg_keys::record, 600),
    target("wg_keys_state", wg_keys::state, 1024),
    target("wg_keys_texts", wg_keys::texts, 2048),
];

/// Runs the check of this name.
///
/// # Panics
/// When there is none, and when the check finds an answer wrong.
pub fn run(name: &str, input: &[u8]) {
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => {
            (target.check)(input);
        }
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

const fn target(name: &'static str, check: fn(&[u8]) -> bool, max_len: usize) -> Target {
    Target { name, check, max_len }
}
