//! What we publish, checked by a program in Go over the packages of Go's checksum database.
//!
//! Needs `go` and `golang.org/x/mod` (Debian: golang-go, golang-golang-x-mod-dev), and no network.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use audit_log::tlog::{Ed25519Signer, PROOFS, Prover, Publisher, Signer as _, SystemTiles, TreeHead};
use audit_log::{Actor, AuditLog, Completion, Intent, Options};
use core_types::testing::{TestClock, TestRandom};
use core_types::{Scope, SecretBytes, UnixTime};

#[test]
fn another_program_finds_every_signature_entry_tile_and_proof_right() {
    let go = build();
    let folder = tempfile::tempdir().unwrap();
    let log_folder = folder.path().join("audit");
    let claims = folder.path().join("claims");
    fs::create_dir(&claims).unwrap();
    let signer =
        Ed25519Signer::from_seed("audit.example/log", &SecretBytes::take_from(&mut [7; 32])).unwrap();
    let key = signer.verifier().clone();
    publish(&log_folder, &claims, signer);
    let proofs = log_folder.join(PROOFS);

    let opinion = ask(&go, &proofs, &key.to_string(), &claims);
    let said = String::from_utf8_lossy(&opinion.stdout).into_owned();
    assert!(opinion.status.success(), "{}", String::from_utf8_lossy(&opinion.stderr));
    assert!(said.contains("/tenants/project/web 700 4\n"), "{said}");
    assert!(said.contains("/tenants/project/db 256 2\n"), "{said}");
    assert!(said.contains("/tenants 1 1\n"), "{said}");
    assert!(said.contains("/epochs 4 1\n"), "{said}");
    assert!(said.contains("receipts 100\n") && said.contains("consistent 3\n"), "{said}");
    assert!(said.contains("bound 3\n"), "{said}");

    // It would have said so.
    for file in [
        "tenants/0/tile/0/001",
        "tenants/0/tile/entries/002.p/188",
        "tenants/1/checkpoint",
        "epochs/tile/0/000.p/4",
    ] {
        let path = proofs.join(file);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[40] ^= 1;
        fs::write(&path, bad).unwrap();
        assert!(!ask(&go, &proofs, &key.to_string(), &claims).status.success(), "{file}");
        fs::write(&path, good).unwrap();
    }
    // A tenant's place among the others is part of what an epoch says.
    let bound = claims.join("bound-4.epoch-proof");
    let good = fs::read_to_string(&bound).unwrap();
    fs::write(&bound, good.replacen("slot 1", "slot 0", 1)).unwrap();
    assert!(!ask(&go, &proofs, &key.to_string(), &claims).status.success());
    fs::write(&bound, good).unwrap();
    assert!(ask(&go, &proofs, &key.to_string(), &claims).status.success());
    let other = Ed25519Signer::from_seed("audit.example/log", &SecretBytes::take_from(&mut [8; 32])).unwrap();
    assert!(!ask(&go, &proofs, &other.verifier().to_string(), &claims).status.success());
}

/// A log of three tenants, published in four steps, with receipts and consistency proofs.
fn publish(folder: &Path, claims: &Path, signer: Ed25519Signer) {
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(2)));
    let log = AuditLog::open(folder, clock, &TestRandom::seeded(1), &Options::new()).unwrap();
    let key = signer.verifier().clone();
    let tiles = SystemTiles::create(&folder.join(PROOFS)).unwrap();
    let mut publisher = Publisher::new(log.clone(), tiles, signer).unwrap();
    let web: Scope = "project/web".parse().unwrap();
    let db: Scope = "project/db".parse().unwrap();
    let mut heads: Vec<TreeHead> = Vec::new();
    for (of_web, of_db, of_all) in [(3, 100, 1), (255, 1, 0), (300, 155, 0), (142, 0, 0)] {
        for (tenant, count) in [(&web, of_web), (&db, of_db), (&Scope::root(), of_all)] {
            attempts(&log, tenant, count);
        }
        publisher.step().unwrap();
        heads.push(Prover::open(folder, key.clone()).unwrap().head(&web).unwrap().0);
    }
    drop(publisher);
    log.close_blocking().unwrap();
    let mut prover = Prover::open(folder, key).unwrap();
    for (tenant, size, step) in [(&web, 700, 8), (&db, 256, 32), (&Scope::root(), 1, 1)] {
        for index in (0..size).step_by(step) {
            let proof = prover.prove_index(tenant, index).unwrap().to_string();
            fs::write(claims.join(format!("{size}-{index}.tlog-proof")), proof).unwrap();
        }
    }
    for (tenant, sequence) in [(&web, 1), (&db, 4), (&Scope::root(), 104)] {
        let (receipt, epoch) = prover.prove_bound(tenant, sequence).unwrap();
        fs::write(claims.join(format!("bound-{sequence}.tlog-proof")), receipt.to_string()).unwrap();
        fs::write(claims.join(format!("bound-{sequence}.epoch-proof")), epoch.to_string()).unwrap();
    }
    let mut lines = String::new();
    for old in heads.iter().take(3) {
        let (_, proof) = prover.consistency(&web, old.size).unwrap();
        write!(lines, "tenants/0 {} {}", old.size, old.root).unwrap();
        proof.iter().for_each(|hash| write!(lines, " {hash}").unwrap());
        lines.push('\n');
    }
    fs::write(claims.join("consistency"), lines).unwrap();
}

fn attempts(log: &AuditLog, tenant: &Scope, count: usize) {
    let mut records: Vec<_> = (0..count)
        .map(|_| {
            let action: audit_log::Action = "apps:write".parse().unwrap();
            let intent = Intent::new(Actor::Anonymous, action, tenant.clone(), UnixTime::from_secs(1));
            Box::pin(log.record(intent, Completion::denied(Duration::ZERO)))
        })
        .collect();
    let mut context = Context::from_waker(Waker::noop());
    records.retain_mut(|record| record.as_mut().poll(&mut context).is_pending());
    for record in records {
        pollster::block_on(record).unwrap();
    }
}

/// The program, built without a network and without a module: from the sources that Debian installs.
fn build() -> PathBuf {
    let work = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let sources = Path::new(GOPATH).join("src/golang.org/x/mod/sumdb/tlog");
    assert!(sources.is_dir(), "{} is missing: install golang-golang-x-mod-dev", sources.display());
    let program = work.join("second-opinion");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/go/main.go"))
        .env("GO111MODULE", "off")
        .env("GOPATH", GOPATH)
        .env("GOFLAGS", "")
        .env("GOCACHE", work.join("go-cache"))
        .env("CGO_ENABLED", "0")
        .output()
        .unwrap_or_else(|error| panic!("`go` cannot be run ({error}): install golang-go"));
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

fn ask(program: &Path, proofs: &Path, key: &str, claims: &Path) -> Output {
    Command::new(program).arg(proofs).arg(key).arg(claims).output().unwrap()
}

const GOPATH: &str = "/usr/share/gocode";
