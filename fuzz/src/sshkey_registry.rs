//! SSH public keys: lines, blobs, admission, and the records of a registry.

use std::sync::Arc;

use base64ct::{Base64, Encoding};
use core_types::{Fingerprint, Scope};
use sshkey_registry::admission::{BlockList, Known, KnownKeys};
use sshkey_registry::registry::PREFIX;
use sshkey_registry::{AdmissionPolicy, KeyLine, KeyName, KeyType, LineComment, PublicKey, RegistryView};

use crate::follow::follow;

/// Lines, as they are uploaded.
#[expect(clippy::unwrap_used, reason = "what was read can be written")]
pub(crate) fn line(input: &[u8]) -> bool {
    let Ok(line) = KeyLine::parse(input) else { return false };
    let key = line.key();
    // The blob is that of the base64 in the line, which says its type in both places.
    let mut fields = input.split(|byte| byte.is_ascii_whitespace()).filter(|field| !field.is_empty());
    assert_eq!(fields.next(), Some(key.key_type().as_str().as_bytes()));
    let base64 = str::from_utf8(fields.next().unwrap()).unwrap();
    assert_eq!(Base64::decode_vec(base64).unwrap(), key.as_blob());
    assert_eq!(key.to_string(), format!("{} {base64}", key.key_type()), "one spelling");
    assert_eq!(&PublicKey::parse(key.to_string()).unwrap(), key);
    check_key(key);
    // What a machine reads has a comment of our own making.
    let ours = LineComment::parse("key_1").unwrap();
    assert_eq!(key.to_openssh(&ours), format!("{key} key_1"));
    if let Some(comment) = line.comment() {
        assert!(!comment.as_str().contains(|letter: char| letter.is_control()));
        assert!(!comment.as_str().contains("PRIVATE KEY-----"));
    }
    true
}

/// Blobs, the bytes that stand in base64 in a line.
pub(crate) fn blob(input: &[u8]) -> bool {
    let Ok(key) = PublicKey::from_blob(input) else { return false };
    assert_eq!(key.as_blob(), input, "a blob is canonical");
    check_key(&key);
    true
}

/// What is true of every key.
#[expect(clippy::unwrap_used, reason = "what was read can be written")]
fn check_key(key: &PublicKey) {
    let name = key.key_type().as_str();
    assert_eq!(KeyType::from_name(name), Some(key.key_type()));
    let length = u32::try_from(name.len()).unwrap().to_be_bytes();
    assert!(key.as_blob().strip_prefix(&length).is_some_and(|rest| rest.starts_with(name.as_bytes())));
    let strict = AdmissionPolicy::new();
    let is_admitted = strict.admit(key.clone()).is_ok_and(|admitted| admitted.key() == key);
    // A second opinion: what we admit, the ssh-key crate reads, and what it reads is the same key.
    match ssh_key::PublicKey::from_openssh(&key.to_string()) {
        Ok(theirs) => {
            assert_eq!(theirs.to_bytes().unwrap(), key.as_blob());
            let fingerprint = theirs.fingerprint(ssh_key::HashAlg::Sha256);
            assert_eq!(fingerprint.to_string(), key.fingerprint().to_string());
        }
        Err(error) => assert!(!is_admitted, "{error}: {key}"),
    }
    assert!(strict.without_type(key.key_type()).admit(key.clone()).is_err());
    assert!(!is_admitted || key.key_type() != KeyType::Rsa || (2048..=16384).contains(&key.bits()));
}

/// A list of keys whose private half is known: any bytes, and the key of a blob behind it that is in it.
#[expect(clippy::unwrap_used, reason = "a list that was read has records")]
pub(crate) fn block_list(input: &[u8]) -> bool {
    let (records, rest) = input.as_chunks::<16>();
    let list = BlockList::new(input);
    assert_eq!(list.is_ok(), rest.is_empty() && !records.is_empty() && records.is_sorted());
    let key = PublicKey::from_blob(&ED25519).unwrap();
    let digest = Fingerprint::of(&ED25519[19..]);
    let is_listed = records.iter().any(|record| record[..15] == digest.as_bytes()[..15]);
    if let Ok(list) = list {
        assert_eq!((list.len(), list.is_empty()), (records.len(), false));
        assert_eq!(list.look_up(&key) == Known::Compromised, is_listed);
    }
    // The same records in order, with the key among them or not.
    let mut sorted = records.to_vec();
    sorted.push([7; 16]);
    sorted.sort_unstable();
    let list = BlockList::new(sorted.concat()).unwrap();
    assert_eq!(list.look_up(&key) == Known::Compromised, is_listed);
    let policy = AdmissionPolicy::new().with_known_keys(Arc::new(list));
    assert_eq!(policy.admit(key).is_err(), is_listed);
    is_listed
}

/// An Ed25519 key (RFC 8709 4) whose private half was thrown away.
const ED25519: [u8; 51] = *b"\0\0\0\x0bssh-ed25519\0\0\0\x20\
    \xa3\x49\x09\x4a\x03\xfe\x53\xb4\x79\x2e\xaa\x03\x65\x13\xc5\x02\
    \xc8\x3a\x4e\x1d\x22\xb8\x04\x22\x31\x02\xe3\x8e\x96\x83\x00\x9e";

/// Stores with anything under the registry's keys.
#[expect(clippy::unwrap_used, reason = "constants")]
pub(crate) fn view(input: &[u8]) -> bool {
    let Some(stores) = follow::<RegistryView>(input, PREFIX) else { return false };
    let [followed, rebuilt] = [&stores.followed, &stores.rebuilt].map(|replica| replica.snapshot());
    let (followed, rebuilt) = (followed.view(), rebuilt.view());
    let mut is_any_key_live = false;
    for project in ["project/web", "project/web/project/a", "project/we", "/"] {
        let project: Scope = project.parse().unwrap();
        let keys: Vec<_> = followed.list(&project).collect();
        assert_eq!(keys, rebuilt.list(&project).collect::<Vec<_>>());
        assert!(keys.is_sorted_by_key(|key| key.id()));
        for key in keys {
            is_any_key_live = true;
            // No project sees another's.
            assert_eq!((key.project(), key.removed()), (&project, None));
            assert!(stores.entries.contains_key(&format!("{PREFIX}key/{}/{}", project.as_path(), key.id())));
            assert_eq!(followed.get(&project, key.id()), Some(key));
            assert_eq!(followed.get(&project.child("project", "other").unwrap(), key.id()), None);
            let found = followed.find(&project, &key.key().fingerprint());
            assert_eq!(found, rebuilt.find(&project, &key.key().fingerprint()));
            assert!(found.is_none_or(|found| found.project() == &project && found.removed().is_none()));
        }
        let name = KeyName::parse("laptop").unwrap();
        assert_eq!(followed.find_by_name(&project, &name), rebuilt.find_by_name(&project, &name));
    }
    is_any_key_live
}
