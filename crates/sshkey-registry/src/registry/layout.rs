use core_types::{Fingerprint, IdKind, Scope};
use state_store::{Key, LimitError};

use super::{SshKeyId, SshKeyKind};
use crate::name::KeyName;

/// What every key of this crate begins with: open a replica on it.
pub const PREFIX: &str = "sshkey-registry/";

pub(super) const KEYS: &str = "sshkey-registry/key/";
pub(super) const FINGERPRINTS: &str = "sshkey-registry/by-fingerprint/";
pub(super) const NAMES: &str = "sshkey-registry/by-name/";

pub(super) fn key(project: &Scope, id: SshKeyId) -> Result<Key, LimitError> {
    Key::new(format!("{KEYS}{}/{id}", project.as_path()))
}

/// What the keys of the records of this project begin with, and no others: no segment of a scope has a `_`.
pub(super) fn keys_of(project: &Scope) -> Result<Key, LimitError> {
    Key::new(format!("{KEYS}{}/{}_", project.as_path(), SshKeyKind::PREFIX))
}

pub(super) fn fingerprint(project: &Scope, fingerprint: &Fingerprint) -> Result<Key, LimitError> {
    let mut key = format!("{FINGERPRINTS}{}/", project.as_path());
    for byte in fingerprint.as_bytes() {
        for nibble in [byte >> 4, byte & 15] {
            key.extend(char::from_digit(nibble.into(), 16));
        }
    }
    Key::new(key)
}

pub(super) fn name(project: &Scope, name: &KeyName) -> Result<Key, LimitError> {
    Key::new(format!("{NAMES}{}/{}", project.as_path(), name.folded()))
}
