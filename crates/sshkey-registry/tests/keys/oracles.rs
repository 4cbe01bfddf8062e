//! Second opinions: the real ssh-keygen, and the ssh-key crate.

use std::collections::HashMap;
use std::io::Write;
use std::process::Command;

use core_types::SecureRandom;
use core_types::testing::TestRandom;
use sshkey_registry::{AdmissionPolicy, KeyLine, KeyType, PublicKey, Refusal};

use crate::vectors;

#[test]
fn ssh_keygen_reads_every_line_that_we_accept_as_the_same_key() {
    let mut lines: Vec<_> = vectors::good().into_iter().map(|(_, line)| line.into_bytes()).collect();
    lines.extend(vectors::degenerate().into_iter().map(|[_, _, line]| line.into_bytes()));
    lines.extend(mutations(4000));
    lines.retain(|line| KeyLine::parse(line).is_ok_and(|line| !ssh_keygen_is_right_to_refuse(line.key())));
    assert!(lines.len() > 500, "{}", lines.len());
    let files: Vec<_> = lines.iter().map(|line| [line.trim_ascii_end(), b"\n"].concat()).collect();
    let keys: Vec<_> = lines.iter().map(|line| PublicKey::parse(line).unwrap()).collect();
    let sha256 = ssh_keygen(&["-l"], &files.concat());
    let md5 = ssh_keygen(&["-l", "-E", "md5"], &files.concat());
    assert_eq!(sha256.len(), keys.len(), "ssh-keygen passes over a line that it cannot read");
    assert_eq!(md5.len(), keys.len());
    for ((key, sha256), md5) in keys.iter().zip(&sha256).zip(&md5) {
        assert!(sha256.starts_with(&format!("{} {} ", key.bits(), key.fingerprint())), "{key}: {sha256}");
        assert!(md5.starts_with(&format!("{} {} ", key.bits(), key.md5_fingerprint())), "{key}: {md5}");
    }
}

#[test]
fn ssh_keygen_writes_the_line_that_we_write() {
    for (name, line) in vectors::good() {
        let key = PublicKey::parse(&line).unwrap();
        // Reads a public key in any form, writes it in RFC 4716's, then reads that and writes a line again.
        let exported = ssh_keygen(&["-e", "-m", "RFC4716"], line.as_bytes());
        let imported = ssh_keygen(&["-i", "-m", "RFC4716"], exported.join("\n").as_bytes());
        assert_eq!(imported, [key.to_string()], "{name}");
    }
}

#[test]
fn the_ssh_key_crate_reads_every_line_that_we_write_as_the_same_key() {
    let mut lines: Vec<_> = vectors::good().into_iter().map(|(_, line)| line.into_bytes()).collect();
    lines.extend(mutations(4000));
    let mut compared = 0;
    for line in lines {
        let Ok(key) = PublicKey::parse(&line) else { continue };
        let theirs = ssh_key::PublicKey::from_openssh(&key.to_string())
            .unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_eq!(theirs.to_bytes().unwrap(), key.as_blob(), "{key}");
        assert_eq!(theirs.algorithm().as_str(), key.key_type().as_str());
        assert_eq!(theirs.fingerprint(ssh_key::HashAlg::Sha256).to_string(), key.fingerprint().to_string());
        compared += 1;
    }
    assert!(compared > 500, "{compared}");
}

/// Lines near good ones: bytes changed, removed, repeated, blanks and quotes put in, lines joined.
fn mutations(count: usize) -> Vec<Vec<u8>> {
    let good: Vec<_> = vectors::good().into_iter().filter(|(_, line)| line.len() < 1200).collect();
    let random = TestRandom::seeded(7);
    let below = |bound: usize| {
        let mut bytes = [0; 8];
        random.fill(&mut bytes).unwrap();
        usize::try_from(u64::from_le_bytes(bytes) % u64::try_from(bound).unwrap()).unwrap()
    };
    let pieces: [&[u8]; 12] = [
        b" ",
        b"\t",
        b"=",
        b"A",
        b"\"",
        b"#",
        b",",
        b"ssh-rsa ",
        b"restrict ",
        b"\r",
        "\u{2028}".as_bytes(),
        b"\\",
    ];
    let mutate = |_| {
        let mut line = good[below(good.len())].1.clone().into_bytes();
        for _ in 0..=below(2) {
            let at = below(line.len());
            match below(6) {
                0 => line[at] ^= 1 << below(7),
                1 => drop(line.remove(at)),
                2 => line.insert(at, line[at]),
                3 => drop(line.splice(at..at, pieces[below(pieces.len())].iter().copied())),
                // Where the parts meet, and in the comment, more is accepted.
                4 => {
                    let blanks: Vec<_> = (0..line.len()).filter(|&at| line[at] == b' ').collect();
                    if let Some(&at) = blanks.get(below(blanks.len().max(1))) {
                        line.splice(at..at, pieces[below(2)].iter().copied());
                    }
                }
                _ => line.extend_from_slice(&good[below(good.len())].1.as_bytes()[..below(60)]),
            }
        }
        line
    };
    (0..count).map(mutate).collect()
}

/// Well-formed keys that ssh-keygen refuses, as admission does: points off their curve, and moduli shorter than 1024
/// bits. The post-quantum type came with OpenSSH 10.4 only.
fn ssh_keygen_is_right_to_refuse(key: &PublicKey) -> bool {
    match key.key_type() {
        KeyType::MlDsa44Ed25519 => true,
        KeyType::Rsa => key.bits() < 1024,
        // A wrong application is noticed before a wrong point.
        _ => matches!(
            AdmissionPolicy::new().admit(key.clone()),
            Err(Refusal::EcdsaNotOnCurve | Refusal::SkApplication)
        ),
    }
}

/// What ssh-keygen prints about a file.
fn ssh_keygen(arguments: &[&str], file: &[u8]) -> Vec<String> {
    let mut path = tempfile::NamedTempFile::new().unwrap();
    path.write_all(file).unwrap();
    let output = Command::new("ssh-keygen")
        .args(arguments)
        .arg("-f")
        .arg(path.path())
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)).into_iter().collect::<HashMap<_, _>>())
        .output()
        .unwrap_or_else(|error| {
            panic!("this test needs `ssh-keygen` (Debian: openssh-client) on the path: {error}")
        });
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}
