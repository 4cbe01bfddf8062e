use core_types::{Fingerprint, IdKind, Scope};
use state_store::{Key, LimitError};

use super::port::{PortPool, SshPort, VmName};
use super::{SshKeyId, SshKeyKind};
use crate::name::KeyName;

/// What every key of this crate begins with: open a replica on it.
pub const PREFIX: &str = "sshkey-registry/";

pub(super) const KEYS: &str = "sshkey-registry/key/";
pub(super) const FINGERPRINTS: &str = "sshkey-registry/by-fingerprint/";
pub(super) const NAMES: &str = "sshkey-registry/by-name/";
pub(super) const VMS: &str = "sshkey-registry/vm/";
pub(super) const PORTS: &str = "sshkey-registry/port/";
pub(super) const COMPROMISED: &str = "sshkey-registry/compromised/";

pub(super) fn key(project: &Scope, id: SshKeyId) -> Result<Key, LimitError> {
    Key::new(format!("{KEYS}{}/{id}", project.as_path()))
}

/// What the keys of the records of this project begin with, and no others: no segment of a scope has a `_`.
pub(super) fn keys_of(project: &Scope) -> Result<Key, LimitError> {
    Key::new(format!("{KEYS}{}/{}_", project.as_path(), SshKeyKind::PREFIX))
}

pub(super) fn fingerprint(project: &Scope, fingerprint: &Fingerprint) -> Result<Key, LimitError> {
    let mut key = format!("{FINGERPRINTS}{}/", project.as_path());
    push_hex(&mut key, fingerprint.as_bytes());
    Key::new(key)
}

pub(super) fn name(project: &Scope, name: &KeyName) -> Result<Key, LimitError> {
    Key::new(format!("{NAMES}{}/{}", project.as_path(), name.folded()))
}

pub(super) fn vm(project: &Scope, name: &VmName) -> Result<Key, LimitError> {
    Key::new(format!("{VMS}{}/_{name}", project.as_path()))
}

/// What the keys of the machines of this project begin with, and no others.
pub(super) fn vms_of(project: &Scope) -> Result<Key, LimitError> {
    Key::new(format!("{VMS}{}/_", project.as_path()))
}

pub(super) fn port(pool: &PortPool, port: SshPort) -> Result<Key, LimitError> {
    Key::new(format!("{PORTS}{}/{port}", pool.as_str()))
}

/// What the keys of the ports of this pool begin with.
pub(super) fn ports_of(pool: &PortPool) -> Result<Key, LimitError> {
    Key::new(format!("{PORTS}{}/", pool.as_str()))
}

pub(super) fn compromised(fingerprint: &Fingerprint) -> Result<Key, LimitError> {
    let mut key = COMPROMISED.to_owned();
    push_hex(&mut key, fingerprint.as_bytes());
    Key::new(key)
}

/// The fingerprint in the key of a compromise.
pub(super) fn compromised_fingerprint(key: &Key) -> Option<Fingerprint> {
    let digits = key.strip_text_prefix(COMPROMISED)?;
    let mut digest = [0; 32];
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != digest.len() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| match digit {
            b'0'..=b'9' | b'a'..=b'f' => {
                char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
            }
            _ => None,
        });
        *byte = high? << 4 | low?;
    }
    Some(Fingerprint::from_sha256(digest))
}

pub(super) fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(nibble.into(), 16));
        }
    }
}
