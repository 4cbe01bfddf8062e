//! sshkey-registry by itself: what is admitted, what is refused, and why.

use sshkey_registry::{AdmissionPolicy, KeyLine};

#[expect(clippy::print_stdout, reason = "printing is what it is for")]
fn main() {
    let policy = AdmissionPolicy::new();
    for (what, line) in [
        ("ed25519", include_str!("../demo/keys/ed25519.pub")),
        ("rsa 3072", include_str!("../demo/keys/rsa3072.pub")),
        ("rsa 1024", include_str!("../demo/keys/rsa1024.pub")),
        ("small order", SMALL_ORDER),
        ("with options", "command=\"/bin/sh\" ssh-ed25519 AAAA"),
    ] {
        let verdict = KeyLine::parse(line).map_err(|error| error.to_string()).and_then(|line| {
            let (key, _) = line.into_parts();
            policy.admit(key).map_err(|error| error.to_string())
        });
        match verdict {
            Ok(admitted) => {
                println!(
                    "{what}: admitted, {} {}",
                    admitted.key().fingerprint(),
                    admitted.key().md5_fingerprint()
                );
            }
            Err(reason) => println!("{what}: refused, {reason}"),
        }
    }
}

/// The identity point as an Ed25519 key: everybody can sign for it.
const SMALL_ORDER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
