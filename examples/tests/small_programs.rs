//! Every small program ends well and says what it is there to say.

#![expect(clippy::expect_used, reason = "a helper that fails is a test that fails")]

use std::process::Command;

fn run(program: &str) -> String {
    let output = Command::new(program).output().expect("the program starts");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

#[test]
fn state_store_gives_the_lease_to_one() {
    let printed = run(env!("CARGO_BIN_EXE_state_store_example"));
    assert!(printed.contains("node-a has the lease, at revision 1\nnode-b was too late\n"), "{printed}");
    assert!(printed.ends_with("says: node-a\n"), "{printed}");
}

#[test]
fn token_vault_accepts_a_token_until_it_ends_or_is_revoked() {
    let printed = run(env!("CARGO_BIN_EXE_token_vault_example"));
    assert!(printed.contains("good for tok_"), "{printed}");
    assert!(printed.contains("an hour later: refused\nrevoked: refused\n"), "{printed}");
}

#[test]
fn iam_policy_says_what_is_allowed_and_by_what() {
    let printed = run(env!("CARGO_BIN_EXE_iam_policy_example"));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "apps:read at project/web: allowed by apps-read");
    assert_eq!(lines[1], "apps:write at project/web: denied, no_grant");
    assert_eq!(lines[2], "apps:read at project/shop: denied, tenant_mismatch");
    assert!(lines[3].starts_with("alice as administrator: refused"), "{printed}");
}

#[test]
fn sshkey_registry_admits_good_keys_only() {
    let printed = run(env!("CARGO_BIN_EXE_sshkey_registry_example"));
    let verdicts: Vec<bool> = printed.lines().map(|line| line.contains(": admitted, SHA256:")).collect();
    assert_eq!(verdicts, [true, true, false, false, false], "{printed}");
}

#[test]
fn audit_log_notices_one_changed_byte() {
    let printed = run(env!("CARGO_BIN_EXE_audit_log_example"));
    assert!(
        printed.contains("volumes:delete allowed\nvolumes:delete denied\nvolumes:delete abandoned\n"),
        "{printed}"
    );
    assert!(printed.contains("intact: true"), "{printed}");
    assert!(printed.contains("DAMAGED") && printed.contains("record 5"), "{printed}");
}
