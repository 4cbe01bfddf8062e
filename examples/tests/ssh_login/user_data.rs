//! User-data, as cloud-init and sshd take it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use core_types::SystemRandom;
use sshkey_registry::authorized_keys::{Clause, OptionText};
use sshkey_registry::bundle::{BundleKey, Contents, WhenStale};
use sshkey_registry::cloud_init::{Account, BundleDelivery, HostKeyType, SSHD_FILE, UserData};
use sshkey_registry::registry::SshPort;
use sshkey_registry::{AccountName, Options};

use crate::sshd::{entry, folder, keygen, machine, mode, now, program, run};

/// Whether cloud-init takes a document for one of its own.
fn is_accepted(folder: &Path, text: &str) -> bool {
    let file = folder.join("user-data");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(program("cloud-init", "cloud-init"));
    let command = command.args(["schema", "--config-file"]).arg(&file);
    command.stdin(Stdio::null()).output().unwrap().status.success()
}

#[test]
fn cloud_init_takes_what_is_rendered() {
    let folder = folder();
    let pair = keygen(folder.path(), "user", &["-t", "ed25519"]);
    let rsa = keygen(folder.path(), "rsa", &["-t", "rsa", "-b", "3072"]);
    let command = Clause::Command(OptionText::parse(r#"echo "grüß \ €" #"#).unwrap());
    let account = |name: &str, keys| Account { name: AccountName::parse(name).unwrap(), sudo: true, keys };
    let port = SshPort::new(30_022).unwrap();
    let keys = vec![
        entry(&pair.public, Options::new().with(command).unwrap()).line,
        entry(&rsa.public, Options::dangerous_unrestricted()).line,
    ];
    let by_line = UserData::new(port).with_account(account("admin", keys)).render().unwrap();
    assert!(is_accepted(folder.path(), &by_line), "{by_line}");

    let signer = BundleKey::generate(&SystemRandom::new()).unwrap();
    let entries = vec![entry(&pair.public, Options::new())];
    let bundle =
        Contents { machine: machine(), revision: 1, issued_at: now(), entries }.sign(&signer).unwrap();
    let delivery = BundleDelivery {
        program: "/usr/local/libexec/palisade".into(),
        machine: machine(),
        bundle,
        signers: vec![signer.public_key().unwrap()],
        max_age: Duration::from_hours(24),
        when_stale: WhenStale::Refuse,
    };
    let by_bundle = UserData::new(port)
        .with_account(account("admin", Vec::new()))
        .with_host_keys([HostKeyType::Ed25519, HostKeyType::Ecdsa, HostKeyType::Rsa])
        .with_bundle(delivery)
        .render()
        .unwrap();
    assert!(is_accepted(folder.path(), &by_bundle), "{by_bundle}");

    // The judge is awake.
    for (from, to) in [
        ("#cloud-config\n", ""),
        ("\"0644\"", "420"),
        ("\"lock_passwd\":true", "\"lock_passwdd\":true"),
        ("[\"ed25519\"]", "[\"foo\"]"),
        ("\"ssh_authorized_keys\":[", "\"ssh_authorized_keys\":[1,"),
    ] {
        assert!(by_line.contains(from), "{from}");
        assert!(!is_accepted(folder.path(), &by_line.replacen(from, to, 1)), "{from}");
    }
}

#[test]
fn the_file_for_sshd_wins_over_every_other_one() {
    let folder = folder();
    keygen(folder.path(), "host", &["-t", "ed25519"]);
    let pair = keygen(folder.path(), "user", &["-t", "ed25519"]);
    let keys = vec![entry(&pair.public, Options::new()).line];
    let account = Account { name: AccountName::parse("admin").unwrap(), sudo: false, keys };
    let text = UserData::new(SshPort::new(65_000).unwrap()).with_account(account).render().unwrap();
    let document: serde_json::Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
    let own = document["write_files"][0]["content"].as_str().unwrap();
    let name = Path::new(SSHD_FILE).file_name().unwrap();
    let drop_ins = folder.path().join("sshd_config.d");
    std::fs::create_dir(&drop_ins).unwrap();
    std::fs::write(drop_ins.join(name), own).unwrap();
    let others = "PasswordAuthentication yes\nKbdInteractiveAuthentication yes\nPermitRootLogin yes\n";
    std::fs::write(drop_ins.join("50-cloud-init.conf"), others).unwrap();
    let config = folder.path().join("sshd_config");
    let path = folder.path().display();
    std::fs::write(&config, format!("Include {path}/sshd_config.d/*.conf\nHostKey {path}/host\n{others}"))
        .unwrap();
    mode(&config, 0o600);
    std::fs::create_dir_all("/run/sshd").unwrap();
    let effective = run(Command::new(program("sshd", "openssh-server")).arg("-T").arg("-f").arg(&config));
    for line in [
        "port 65000",
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "permitrootlogin no",
        "permitemptypasswords no",
        "pubkeyauthentication yes",
    ] {
        assert!(effective.lines().any(|found| found == line), "{line}: {effective}");
    }
    assert_eq!(effective.lines().filter(|line| line.starts_with("port ")).count(), 1);
}
