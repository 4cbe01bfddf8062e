//! Keys and configurations that people and programs write, records of the store, and a machine's state file.

#![expect(clippy::panic, reason = "an answer that is wrong is a finding")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

use wg_keys::config::{DiffPolicy, Interface, PeerList, Prefix};
use wg_keys::membership::SignedRecord;
use wg_keys::text::{self, uapi};
use wg_keys::{Peer, PresharedKey, PrivateKey, PublicKey, StateFile};

/// The text of a key, and of a prefix: one spelling, or refused.
pub(crate) fn key(input: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(input) else { return false };
    let mut accepted = false;
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(key.to_string(), text);
        assert_eq!(PublicKey::from_bytes(key.to_bytes()), Ok(key));
        assert!(
            key.to_bytes().iter().any(|&byte| byte != 0)
                && key.to_bytes().last().is_some_and(|&byte| byte < 0x80)
        );
        accepted = true;
    }
    if let Ok(key) = PrivateKey::parse(text) {
        assert_eq!(key.expose_text().expose_secret(), text);
        assert!(PublicKey::from_bytes(key.public_key().to_bytes()).is_ok());
        accepted = true;
    }
    if let Ok(key) = PresharedKey::parse(text) {
        assert_eq!(key.expose_text().expose_secret(), text);
        assert!(key.expose_secret().iter().any(|&byte| byte != 0));
        accepted = true;
    }
    if let Ok(prefix) = text.parse::<Prefix>() {
        assert_eq!(prefix.to_string(), text);
        assert_eq!(Prefix::new(prefix.address(), prefix.len()), Ok(prefix));
        accepted = true;
    }
    accepted
}

/// A record: parsed, it is written as it was read.
pub(crate) fn record(input: &[u8]) -> bool {
    let Ok(record) = SignedRecord::parse(input) else { return false };
    assert_eq!(record.as_bytes(), input);
    let value = state_store::record::encode(&record).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(state_store::record::decode::<SignedRecord>(&value).as_ref(), Ok(&record));
    let said = record.record();
    assert!(said.epoch > 0 && said.not_before < said.expires);
    assert_eq!(said.previous.is_none(), said.epoch == 1);
    assert!(said.prefixes.is_sorted() && said.endpoints.iter().all(|endpoint| endpoint.port() != 0));
    true
}

/// What `wg`, `wg-quick`, devices and operators write: what is read is written and read the same.
pub(crate) fn texts(input: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(input) else { return false };
    let mut accepted = false;
    let found = [
        text::read_conf(text).ok(),
        text::read_quick(text).ok().map(|file| file.interface),
        text::read_dump(text).ok().map(|snapshot| snapshot.interface),
        uapi::read(text).ok().map(|snapshot| snapshot.interface),
        PeerList::parse(text).ok().and_then(|list| Interface::new(None, None, list.into_peers()).ok()),
    ];
    for interface in found.into_iter().flatten() {
        accepted = true;
        let written = text::write_conf(&interface);
        let again = text::read_conf(written.expose_secret()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(said(&again), said(&interface));
        let diff = interface.diff(&again, DiffPolicy::new()).unwrap_or_else(|error| panic!("{error}"));
        assert!(diff.is_empty(), "the same twice differs");
        let nothing = Interface::new(None, None, []).unwrap_or_else(|error| panic!("{error}"));
        if let Ok(diff) = nothing.diff(&interface, DiffPolicy::new()) {
            let mut reached = nothing;
            diff.ops().for_each(|op| reached.apply(op));
            assert_eq!(said(&reached), said(&interface));
        }
    }
    accepted
}

/// A state file: what is read is written and read the same.
pub(crate) fn state(input: &[u8]) -> bool {
    static FOLDER: LazyLock<Mutex<PathBuf>> = LazyLock::new(|| {
        let folder = std::env::temp_dir().join(format!("palisade-fuzz-{}", std::process::id()));
        let _ = fs::create_dir(&folder);
        let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o700));
        Mutex::new(folder)
    });
    let folder = FOLDER.lock().unwrap_or_else(PoisonError::into_inner);
    let (path, copy) = (folder.join("machine.json"), folder.join("copy.json"));
    let written =
        fs::write(&path, input).and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)));
    assert!(written.is_ok(), "the folder for the file");
    let read = |path: &PathBuf| StateFile::at(path).and_then(|file| file.load());
    let outcome = read(&path);
    let _ = fs::remove_file(&path);
    let Ok(state) = outcome else { return false };
    let _ = fs::remove_file(&copy);
    let made = StateFile::at(&copy)
        .and_then(|mut file| file.create(&state, &core_types::testing::TestRandom::seeded(1)));
    made.unwrap_or_else(|error| panic!("{error}"));
    let again = read(&copy).unwrap_or_else(|error| panic!("{error}"));
    let _ = fs::remove_file(&copy);
    assert_eq!(
        (again.machine(), again.epoch(), again.listen_port()),
        (state.machine(), state.epoch(), state.listen_port())
    );
    assert!(again.current().ct_eq(state.current()) && again.identity_public() == state.identity_public());
    assert_eq!(
        (again.pending().is_some(), again.previous().is_some()),
        (state.pending().is_some(), state.previous().is_some())
    );
    assert!(!(state.pending().is_some() && state.previous().is_some()));
    true
}

/// What a configuration says, secrets included.
fn said(interface: &Interface) -> Vec<String> {
    let own = interface.private_key().map(|key| key.expose_text().expose_secret().to_owned());
    let peer = |peer: &Peer| {
        let preshared = peer.preshared_key().map(|key| key.expose_text().expose_secret().to_owned());
        let (endpoint, secs, prefixes) = (peer.endpoint(), peer.keepalive_secs(), peer.allowed_ips());
        format!("{} {preshared:?} {endpoint:?} {secs} {prefixes:?}", peer.key())
    };
    [format!("{own:?} {:?}", interface.listen_port())]
        .into_iter()
        .chain(interface.peers().map(peer))
        .collect()
}
