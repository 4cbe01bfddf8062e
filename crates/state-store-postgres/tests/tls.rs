//! Whom the store talks to, on a real server that takes connections by TLS alone.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use core_types::SystemRandom;
use pollster::block_on;
use state_store::testing::authority::{Authority, Certified};
use state_store::{Batch, Commit, Key, StateStore as _, Value};
use state_store_postgres::testing::Server;
use state_store_postgres::{OpenError, Options, PostgresStore};

fn open(url: &str) -> Result<PostgresStore, OpenError> {
    let options: Options = url.parse().unwrap();
    block_on(PostgresStore::open(options, &SystemRandom::new()))
}

fn refusal(url: &str) -> String {
    open(url).unwrap_err().to_string()
}

#[test]
fn only_the_server_that_is_meant_is_talked_to() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (roots, others) = (file("roots", authority.pem()), file("others", stranger.pem()));
    let good = authority.certify(&["localhost", "127.0.0.1"], 2100).unwrap();
    let server = Server::start_with_tls(&good.certificate, &good.key).unwrap();
    let encrypted = |roots: &str| format!("{}&sslmode=verify-full&sslrootcert={roots}", server.url("tls"));

    let store = open(&encrypted(&roots)).unwrap();
    let mut batch = Batch::new();
    batch.create(Key::new("a").unwrap(), Value::new("1").unwrap()).unwrap();
    assert!(matches!(block_on(store.commit(batch)).unwrap(), Commit::Committed(_)));
    assert!(block_on(store.get(&Key::new("a").unwrap())).unwrap().is_some());
    let used = "SELECT bool_and(ssl), count(*) > 1 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                WHERE application_name = 'palisade-state-store'";
    assert_eq!(server.psql(used).unwrap(), "t|t");
    let by_name = encrypted(&roots).replace("@127.0.0.1:", "@localhost:");
    assert!(open(&by_name).is_ok(), "by name");

    // Another authority, and no encryption at all.
    let refused = refusal(&encrypted(&others));
    assert!(refused.contains("certificate"), "{refused}");
    let plain = open(&server.url("tls")).unwrap_err();
    assert!(matches!(plain, OpenError::Refused { .. }), "{plain}");
    for Certified { certificate, key } in authority.certify_what_is_refused(&stranger).unwrap() {
        server.show(&certificate, &key).unwrap();
        let refused = refusal(&encrypted(&roots));
        assert!(refused.contains("certificate"), "{refused}");
    }
    server.show(&good.certificate, &good.key).unwrap();
    assert!(open(&encrypted(&roots)).is_ok(), "the first certificate again");
}

#[test]
fn a_server_that_does_not_encrypt_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots");
    std::fs::write(&roots, Authority::new().unwrap().pem()).unwrap();
    let server = Server::start().unwrap();
    let refused =
        refusal(&format!("{}&sslmode=verify-full&sslrootcert={}", server.url("tls"), roots.display()));
    assert!(refused.contains("TLS"), "{refused}");
}
