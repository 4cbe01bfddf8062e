//! What cloud-init is told, by the shape of it; cloud-init's own word is asked for in the examples' tests.

use std::time::Duration;

use serde_json::{Value, json};
use sshkey_registry::authorized_keys::{Clause, OptionText};
use sshkey_registry::bundle::WhenStale;
use sshkey_registry::cloud_init::{Account, BundleDelivery, HostKeyType, MAX_BYTES, SSHD_FILE, UserData};
use sshkey_registry::registry::SshPort;
use sshkey_registry::{AuthorizedLine, LineComment, Options, PublicKey, UserDataError};

use crate::bundles::{account, contents, entry, key, machine};
use crate::recorded;

fn line(key: PublicKey) -> AuthorizedLine {
    AuthorizedLine::new(Options::new(), key, LineComment::parse("key_1").unwrap())
}

fn admin(keys: Vec<AuthorizedLine>) -> Account {
    Account { name: account("admin"), sudo: true, keys }
}

fn user_data() -> UserData {
    UserData::new(SshPort::new(61_022).unwrap())
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap()
}

#[test]
fn an_account_has_its_keys_with_their_options_and_no_password() {
    let text = user_data().with_account(admin(vec![line(recorded("ed25519"))])).render().unwrap();
    let document = parsed(&text);
    let expected = json!([{
        "name": "admin",
        "shell": "/bin/bash",
        "lock_passwd": true,
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "ssh_authorized_keys": [format!("restrict,pty {} key_1", recorded("ed25519"))],
    }]);
    assert_eq!(document["users"], expected);
    assert_eq!(document["ssh_pwauth"], false);
    assert_eq!(document["disable_root"], true);
    assert_eq!(
        (&document["ssh_deletekeys"], &document["ssh_genkeytypes"]),
        (&json!(true), &json!(["ed25519"]))
    );
    let file = &document["write_files"][0];
    assert_eq!((&file["path"], &file["permissions"]), (&json!(SSHD_FILE), &json!("0644")));
    let content = file["content"].as_str().unwrap();
    for option in ["Port 61022\n", "PasswordAuthentication no\n", "KbdInteractiveAuthentication no\n"] {
        assert!(content.contains(option), "{content}");
    }
    assert!(SSHD_FILE < "/etc/ssh/sshd_config.d/50-cloud-init.conf", "the first value wins");
}

#[test]
fn everything_beyond_ascii_is_escaped() {
    let with = |text: &str| {
        let command = Clause::Command(OptionText::parse(text).unwrap());
        let options = Options::new().with(command).unwrap();
        AuthorizedLine::new(options, recorded("ed25519"), LineComment::parse("key_1").unwrap())
    };
    let own = with("echo \"grüß €\"");
    let text = user_data().with_account(admin(vec![own.clone()])).render().unwrap();
    assert!(text.is_ascii() && text.contains("\\u00fc") && text.contains("\\u20ac"), "{text}");
    assert_eq!(parsed(&text)["users"][0]["ssh_authorized_keys"][0], own.to_string());
    assert_eq!(text.lines().count(), 2);
    // YAML would read the two halves of a surrogate pair as two characters.
    let data = user_data().with_account(admin(vec![with("echo 🙂")]));
    assert_eq!(data.render().err(), Some(UserDataError::Character));
}

#[test]
fn a_machine_that_nobody_could_log_in_to_is_refused() {
    let one = line(recorded("ed25519"));
    let render = |data: UserData| data.render().err();
    assert_eq!(render(user_data()), Some(UserDataError::NobodyMayLogIn));
    assert_eq!(render(user_data().with_account(admin(Vec::new()))), Some(UserDataError::NobodyMayLogIn));
    let root = Account { name: account("root"), ..admin(vec![one.clone()]) };
    assert_eq!(render(user_data().with_account(root)), Some(UserDataError::Root));
    let twice = user_data().with_account(admin(vec![one.clone()])).with_account(admin(vec![one.clone()]));
    assert_eq!(render(twice), Some(UserDataError::AccountRepeated));
    let other = AuthorizedLine::new(
        Options::dangerous_unrestricted(),
        recorded("ed25519"),
        LineComment::parse("b").unwrap(),
    );
    assert_eq!(
        render(user_data().with_account(admin(vec![one.clone(), other]))),
        Some(UserDataError::KeyRepeated)
    );
    let none = user_data().with_account(admin(vec![one.clone()])).with_host_keys([]);
    assert_eq!(render(none), Some(UserDataError::NoHostKeys));
    let many: Vec<_> =
        ["rsa2048", "rsa3072", "rsa4096", "rsa8192", "rsa16384"].map(recorded).map(line).into();
    let long = many.iter().cloned().flat_map(|line| (0..3).map(move |number| (number, line.clone())));
    let mut data = user_data();
    for (at, (number, line)) in long.enumerate() {
        let account = Account { name: account(&format!("u{at}-{number}")), sudo: false, keys: vec![line] };
        data = data.with_account(account);
    }
    assert_eq!(render(data), Some(UserDataError::TooLarge { limit: MAX_BYTES }));
}

#[test]
fn a_key_that_cloud_init_would_drop_is_refused() {
    let name = "ssh-mldsa44-ed25519@openssh.com";
    let len = |len: usize| u32::try_from(len).unwrap().to_be_bytes();
    let blob = [&len(name.len())[..], name.as_bytes(), &len(1344), &[7; 1344]].concat();
    let composite = PublicKey::from_blob(&blob).unwrap();
    let data = user_data().with_account(admin(vec![line(composite)]));
    assert!(matches!(data.render(), Err(UserDataError::TypeDropped { .. })));
}

#[test]
fn with_a_bundle_no_file_has_keys_and_sshd_asks_for_each() {
    let signer = key();
    let bundle = contents(3, vec![entry("admin", recorded("ed25519"))]).sign(&signer).unwrap();
    let delivery = BundleDelivery {
        program: "/usr/local/libexec/palisade".into(),
        machine: machine(),
        bundle,
        signers: vec![signer.public_key().unwrap()],
        max_age: Duration::from_hours(24),
        when_stale: WhenStale::KeepLast,
    };
    let types = [HostKeyType::Ed25519, HostKeyType::Ecdsa, HostKeyType::Rsa];
    let data =
        user_data().with_account(admin(Vec::new())).with_host_keys(types).with_bundle(delivery.clone());
    let document = parsed(&data.render().unwrap());
    assert_eq!(document["users"][0].get("ssh_authorized_keys"), None);
    assert_eq!(document["ssh_genkeytypes"], json!(["ed25519", "ecdsa", "rsa"]));
    let files = document["write_files"].as_array().unwrap();
    let paths: Vec<_> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, [BundleDelivery::BUNDLE_FILE, BundleDelivery::SIGNERS_FILE, SSHD_FILE]);
    let sshd = files[2]["content"].as_str().unwrap();
    assert!(sshd.contains("AuthorizedKeysFile none\n"));
    assert!(sshd.contains(
        "AuthorizedKeysCommand /usr/local/libexec/palisade ssh authorized-keys --bundle \
         /etc/palisade/ssh-keys.bundle --signers /etc/palisade/ssh-keys.signers --machine project/web/vm/build \
         --max-age 86400 --when-stale keep %u %f %t %k\nAuthorizedKeysCommandUser nobody\n"
    ));
    let render = |delivery| user_data().with_account(admin(Vec::new())).with_bundle(delivery).render().err();
    for program in ["palisade", "/bin/sh -c", "/a/../b", "/a\nPort 22", "/a%u", ""] {
        let delivery = BundleDelivery { program: program.into(), ..delivery.clone() };
        assert_eq!(render(delivery), Some(UserDataError::Program), "{program}");
    }
    let mut damaged = delivery.clone();
    *damaged.bundle.last_mut().unwrap() ^= 1;
    assert_eq!(render(damaged), Some(UserDataError::Bundle));
    let elsewhere = BundleDelivery { machine: "project/web/vm/x".parse().unwrap(), ..delivery.clone() };
    assert_eq!(render(elsewhere), Some(UserDataError::Bundle));
    let own = user_data().with_account(admin(vec![line(recorded("ed25519"))])).with_bundle(delivery);
    assert_eq!(own.render().err(), Some(UserDataError::KeysBesideBundle));
}
