//! What is delivered to machines: lines of `authorized_keys`, bundles, user-data.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod bundles;
mod files;
mod lines;
mod options;
mod user_data;

use sshkey_registry::PublicKey;

/// The keys of `ssh-keygen.txt`, by name.
fn recorded(name: &str) -> PublicKey {
    let file = include_str!("../vectors/ssh-keygen.txt");
    let row = file.lines().find(|row| row.split('\t').next() == Some(name)).unwrap();
    PublicKey::parse(row.rsplit('\t').next().unwrap()).unwrap()
}
