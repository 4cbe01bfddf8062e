//! Whom the store talks to, on a real cluster that takes clients by TLS alone, with a password.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::time::Duration;

use core_types::SystemRandom;
use pollster::block_on;
use state_store::testing::authority::{Authority, Certified};
use state_store::{Batch, Commit, Key, StateStore as _, Value};
use state_store_etcd::testing::Cluster;
use state_store_etcd::{EtcdStore, OpenError, Options};

fn open(url: &str) -> Result<EtcdStore, OpenError> {
    let options = url.parse::<Options>().unwrap().with_patience(Duration::from_secs(2));
    block_on(EtcdStore::open(options, &SystemRandom::new()))
}

fn refusal(url: &str) -> String {
    open(url).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn only_the_cluster_that_is_meant_is_talked_to() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (roots, others) = (file("roots", authority.pem()), file("others", stranger.pem()));
    let (password, wrong) = (file("password", "not-a-secret\n"), file("wrong", "a-wrong-one\n"));
    let good = authority.certify(&["localhost", "127.0.0.1"], 2100).unwrap();
    let cluster = Cluster::start_with_tls(1, &good.certificate, &good.key).unwrap();
    // From etcd 3.5 on the role is there.
    let _ = cluster.etcdctl(0, &["role", "add", "root"]);
    for command in [
        &["user", "add", "root:not-a-secret"][..],
        &["user", "grant-role", "root", "root"][..],
        &["auth", "enable"][..],
    ] {
        cluster.etcdctl(0, command).unwrap();
    }
    let encrypted = |roots: &str, password: &str| {
        format!("{}?tls=verify-full&cacert={roots}&user=root&passfile={password}", cluster.url("tls"))
    };

    let store = open(&encrypted(&roots, &password)).unwrap();
    let mut batch = Batch::new();
    batch.create(Key::new("a").unwrap(), Value::new("1").unwrap()).unwrap();
    assert!(matches!(block_on(store.commit(batch)).unwrap(), Commit::Committed(_)));
    assert!(block_on(store.get(&Key::new("a").unwrap())).unwrap().is_some());
    let by_name = encrypted(&roots, &password).replace("//127.0.0.1:", "//localhost:");
    assert!(open(&by_name).is_ok(), "by name");
    let refused = refusal(&encrypted(&roots, &wrong));
    assert!(refused.contains("authentication failed"), "{refused}");

    // Another authority, and no encryption at all.
    let refused = refusal(&encrypted(&others, &password));
    assert!(refused.contains("certificate"), "{refused}");
    refusal(&format!("{}?user=root&passfile={password}", cluster.url("tls")));
    for Certified { certificate, key } in authority.certify_what_is_refused(&stranger).unwrap() {
        cluster.show(&certificate, &key).unwrap();
        let refused = refusal(&encrypted(&roots, &password));
        assert!(refused.contains("certificate"), "{refused}");
    }
    cluster.show(&good.certificate, &good.key).unwrap();
    assert!(open(&encrypted(&roots, &password)).is_ok(), "the first certificate again");
}
