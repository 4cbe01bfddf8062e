//! SSH public keys: lines, blobs, admission, and the records of a registry.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use core_types::{Fingerprint, Scope, SecretBytes, UnixTime};
use sshkey_registry::admission::{BlockList, Known, KnownKeys};
use sshkey_registry::bundle::{
    Authorization, Bundle, BundleKey, Contents, Entry, Staleness, TrustedSigners, WhenStale,
};
use sshkey_registry::registry::PREFIX;
use sshkey_registry::{
    AccountName, AdmissionPolicy, AuthorizedKey, AuthorizedLine, KeyLine, KeyName, KeyType, LineComment,
    Options, PublicKey, RegistryView,
};

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

/// Options of a line of `authorized_keys`, by themselves and in front of a key.
#[expect(clippy::unwrap_used, reason = "what was read can be written")]
pub(crate) fn options(input: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(input) else { return false };
    let key = PublicKey::from_blob(&ED25519).unwrap();
    let line = format!("{text} {key}");
    if let Ok(parsed) = AuthorizedKey::parse(&line) {
        // sshd's own way to the key: past everything up to the first blank outside quotes, unless the line begins
        // with a type.
        let words = line.trim_start_matches([' ', '\t']);
        let first = words.split([' ', '\t']).next().unwrap();
        let rest = if KeyType::from_name(first).is_some() { words } else { past_options(words).unwrap() };
        let mut fields = rest.split([' ', '\t']).filter(|field| !field.is_empty());
        assert_eq!(fields.next(), Some(parsed.key().key_type().as_str()), "{line}");
        let base64 = fields.next().unwrap();
        assert_eq!(Base64::decode_vec(base64).unwrap(), parsed.key().as_blob(), "{line}");
    }
    let Ok(options) = Options::parse(text) else { return false };
    assert!(text.is_empty() || past_options(text) == Some(""), "sshd's options end where these end: {text}");
    let printed = options.to_string();
    assert_eq!(Options::parse(&printed).as_ref(), Ok(&options));
    assert_eq!(printed.is_empty(), options.is_empty());
    assert!(
        !printed.contains(|letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}'))
    );
    let own = AuthorizedLine::new(options.clone(), key.clone(), LineComment::parse("key_1").unwrap());
    let parsed = AuthorizedKey::parse(own.to_string()).unwrap();
    assert_eq!((parsed.options(), parsed.key()), (&options, &key));
    true
}

/// What stands behind the options, as OpenSSH's `sshkey_advance_past_options` finds it; nothing when a quote is open.
fn past_options(line: &str) -> Option<&str> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, letter) in line.char_indices() {
        let rest = line.get(at..)?;
        if escaped {
            escaped = false;
        } else if rest.starts_with("\\\"") {
            escaped = true;
        } else if letter == '"' {
            quoted = !quoted;
        } else if !quoted && matches!(letter, ' ' | '\t') {
            return Some(rest.trim_start_matches([' ', '\t']));
        }
    }
    (!quoted).then_some("")
}

/// A signed bundle with bytes changed, added and cut off, and any bytes as a bundle.
#[expect(clippy::unwrap_used, reason = "constants")]
pub(crate) fn bundle(input: &[u8]) -> bool {
    let (trusted, good, contents) = &*BUNDLE;
    let machine = &contents.machine;
    let staleness = Staleness { max_age: Duration::from_secs(1), when_stale: WhenStale::Refuse };
    assert!(Bundle::open(input, trusted, machine).is_err(), "nobody signed it");
    let mut bytes = good.clone();
    let (changes, rest) = input.as_chunks::<3>();
    for &[high, low, change] in changes {
        let at = usize::from(u16::from_be_bytes([high, low])).checked_rem(bytes.len()).unwrap();
        *bytes.get_mut(at).unwrap() ^= change;
    }
    match *rest {
        [cut] => bytes.truncate(bytes.len().saturating_sub(cut.into())),
        [count, byte] => bytes.extend(std::iter::repeat_n(byte, count.into())),
        _ => {}
    }
    let Ok(bundle) = Bundle::open(&*bytes, trusted, machine) else { return false };
    for entry in &contents.entries {
        let fingerprint = entry.line.key().fingerprint();
        // Whatever happened to the bytes, an answer is the right one or none.
        match bundle.authorize(&entry.account, &fingerprint, contents.issued_at, staleness) {
            Ok(Authorization::Authorized(found)) => assert_eq!(&found, entry),
            Ok(other) => assert_eq!(other, Authorization::Unknown),
            Err(_) => {}
        }
        let other = AccountName::parse("other").unwrap();
        let answer = bundle.authorize(&other, &fingerprint, contents.issued_at, staleness);
        assert!(!matches!(answer, Ok(Authorization::Authorized(_))));
    }
    let is_whole = bundle.contents().is_ok();
    assert_eq!(is_whole, bytes == *good, "every byte is verified");
    is_whole
}

#[expect(clippy::unwrap_used, reason = "constants")]
static BUNDLE: LazyLock<(TrustedSigners, Vec<u8>, Contents)> = LazyLock::new(|| {
    let signer = BundleKey::from_seed(SecretBytes::take_from(&mut [7; 32]));
    let entry = |number: u8| {
        let mut blob = ED25519;
        blob[50] ^= number;
        let line = AuthorizedLine::new(
            Options::new(),
            PublicKey::from_blob(&blob).unwrap(),
            LineComment::parse("key_1").unwrap(),
        );
        Entry { account: AccountName::parse("admin").unwrap(), line, expires_at: None }
    };
    let contents = Contents {
        machine: "project/web/vm/build".parse().unwrap(),
        revision: 7,
        issued_at: UnixTime::from_secs(1_000),
        entries: (0..40).map(entry).collect(),
    };
    let trusted = TrustedSigners::new(&signer.public_key()).unwrap();
    (trusted, contents.sign(&signer).unwrap(), contents)
});
