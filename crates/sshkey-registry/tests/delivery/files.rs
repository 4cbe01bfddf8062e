//! The file that a machine keeps its bundle in.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use core_types::testing::TestRandom;
use sshkey_registry::FileError;
use sshkey_registry::bundle::file::{BundleFile, Installed, install, read_trusted};
use sshkey_registry::bundle::{Authorization, Bundle, BundleKey, Contents};

use crate::bundles::{ISSUED, STRICT, account, contents, entry, key, machine, trusted};
use crate::recorded;

/// A folder that only its owner may write, and who that is.
fn folder() -> (tempfile::TempDir, u32) {
    let folder = tempfile::tempdir().unwrap();
    mode(folder.path(), 0o755);
    let owner = std::fs::metadata(folder.path()).unwrap().uid();
    (folder, owner)
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn sign(contents: &Contents) -> Vec<u8> {
    contents.sign(&key()).unwrap()
}

#[test]
fn a_newer_bundle_takes_the_place_of_an_older_one_and_never_the_other_way() {
    let (folder, owner) = folder();
    let path = folder.path().join("keys");
    let signers = trusted(&key());
    let put = |bytes: &[u8]| install(&path, bytes, &signers, &machine(), owner);
    let at = |revision, secs| {
        let mut contents = contents(revision, vec![entry("admin", recorded("ed25519"))]);
        contents.issued_at = ISSUED.saturating_add(std::time::Duration::from_secs(secs));
        sign(&contents)
    };
    assert_eq!(put(&at(5, 0)).unwrap(), Installed::First);
    assert_eq!(put(&at(5, 0)).unwrap(), Installed::Replaced(5), "the same again");
    assert_eq!(put(&at(5, 60)).unwrap(), Installed::Replaced(5), "the same state, signed later");
    for old in [at(5, 0), at(4, 9_999), at(0, 0)] {
        assert!(matches!(put(&old), Err(FileError::Older { installed: 5, .. })));
    }
    assert_eq!(put(&at(6, 0)).unwrap(), Installed::Replaced(5), "a newer state, whatever its clock said");
    assert_eq!(std::fs::read(&path).unwrap(), at(6, 0));
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o644, "sshd reads it as nobody");
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["keys"], "nothing is left lying about");
}

#[test]
fn what_cannot_be_verified_is_not_installed_and_not_replaced() {
    let (folder, owner) = folder();
    let path = folder.path().join("keys");
    let (signers, other) = (trusted(&key()), BundleKey::generate(&TestRandom::seeded(2)).unwrap());
    let put = |bytes: &[u8]| install(&path, bytes, &signers, &machine(), owner);
    let good = sign(&contents(1, vec![entry("admin", recorded("ed25519"))]));
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let foreign = contents(1, Vec::new()).sign(&other).unwrap();
    let mut elsewhere = contents(1, Vec::new());
    elsewhere.machine = "project/web/vm/other".parse().unwrap();
    for bytes in [&damaged[..], &foreign, &sign(&elsewhere), b"", &good[..good.len() - 1]] {
        assert!(matches!(put(bytes), Err(FileError::Bundle(_))));
        assert!(!path.exists());
    }
    // Whoever damages what is there does not get an old bundle put in its place.
    std::fs::write(&path, &damaged[..50]).unwrap();
    assert!(matches!(put(&good), Err(FileError::Bundle(_))));
    assert_eq!(std::fs::read(&path).unwrap(), &damaged[..50]);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(folder.path().join(".keys.new"), "left behind by a crash").unwrap();
    assert_eq!(put(&good).unwrap(), Installed::First);
}

#[test]
fn a_file_that_others_could_have_written_is_not_read() {
    let (folder, owner) = folder();
    let path = folder.path().join("keys");
    let good = sign(&contents(1, vec![entry("admin", recorded("ed25519"))]));
    let signers = trusted(&key());
    let _ = install(&path, &good, &signers, &machine(), owner).unwrap();
    let bundle = Bundle::open(BundleFile::open(&path, owner).unwrap(), &signers, &machine()).unwrap();
    let answer = bundle.authorize(&account("admin"), &recorded("ed25519").fingerprint(), ISSUED, STRICT);
    assert!(matches!(answer.unwrap(), Authorization::Authorized(_)));
    for bits in [0o664, 0o646, 0o666] {
        mode(&path, bits);
        assert!(matches!(BundleFile::open(&path, owner), Err(FileError::Mode { .. })), "{bits:o}");
    }
    mode(&path, 0o644);
    for bits in [0o775, 0o777, 0o757] {
        mode(folder.path(), bits);
        assert!(matches!(BundleFile::open(&path, owner), Err(FileError::Mode { .. })), "{bits:o}");
        assert!(install(&path, &good, &signers, &machine(), owner).is_err(), "{bits:o}");
    }
    mode(folder.path(), 0o755);
    if owner == 0 {
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        assert!(matches!(BundleFile::open(&path, 0), Err(FileError::Owner { uid: 65_534 })));
        assert!(BundleFile::open(&path, 65_534).is_ok(), "unless the owner is named");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(BundleFile::open(&link, owner), Err(FileError::Io(_))), "links are not followed");
    assert!(matches!(
        BundleFile::open(folder.path(), owner),
        Err(FileError::NotAFile | FileError::Mode { .. })
    ));
    assert!(matches!(BundleFile::open(&folder.path().join("none"), owner), Err(FileError::Io(_))));
    std::fs::write(&path, vec![b'#'; 70_000]).unwrap();
    assert!(matches!(read_trusted(&path, owner), Err(FileError::TooLarge)));
}

#[test]
fn whatever_two_installers_do_at_once_the_newest_bundle_stays() {
    let (folder, owner) = folder();
    let path = folder.path().join("keys");
    std::thread::scope(|threads| {
        for first in 0..4_u64 {
            let path = &path;
            threads.spawn(move || {
                for revision in (first..40).step_by(4) {
                    let bytes = sign(&contents(revision, Vec::new()));
                    // Refused when a newer one is there already.
                    let _ = install(path, &bytes, &trusted(&key()), &machine(), owner);
                }
            });
        }
    });
    let bundle = Bundle::open(BundleFile::open(&path, owner).unwrap(), &trusted(&key()), &machine()).unwrap();
    assert_eq!(bundle.revision(), 39);
}
