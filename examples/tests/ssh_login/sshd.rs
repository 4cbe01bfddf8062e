//! One sshd on a loopback port, in a folder of its own, and clients for it.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use core_types::{Clock as _, Scope, SystemClock, SystemRandom, UnixTime};
use sshkey_registry::bundle::{BundleKey, Contents, Entry, TrustedSigners, file};
use sshkey_registry::{AccountName, AuthorizedLine, KeyLine, LineComment, Options, PublicKey};

/// A running sshd; it and its folder are gone when it is dropped.
pub(crate) struct Sshd {
    folder: tempfile::TempDir,
    child: Child,
    port: u16,
    signer: BundleKey,
    revision: u64,
}

/// A key pair that ssh-keygen made.
pub(crate) struct Pair {
    pub(crate) private: PathBuf,
    pub(crate) public: PublicKey,
}

/// The path of a program, which Debian has in this package.
pub(crate) fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("the program `{name}` is missing: apt-get install {package}"))
}

pub(crate) fn now() -> UnixTime {
    SystemClock::new().now()
}

pub(crate) fn machine() -> Scope {
    "project/web/vm/build".parse().unwrap()
}

pub(crate) fn admin() -> AccountName {
    AccountName::parse("root").unwrap()
}

pub(crate) fn entry(key: &PublicKey, options: Options) -> Entry {
    let comment = LineComment::parse("key_1").unwrap();
    Entry { account: admin(), line: AuthorizedLine::new(options, key.clone(), comment), expires_at: None }
}

/// A folder that only root can write, and so can every folder above it: sshd asks for that.
pub(crate) fn folder() -> tempfile::TempDir {
    assert_eq!(
        run(Command::new("id").arg("-u")).trim(),
        "0",
        "these tests log in to an sshd that they start as root"
    );
    let folder = tempfile::Builder::new().prefix("palisade-sshd.").tempdir_in("/run").unwrap();
    mode(folder.path(), 0o755);
    folder
}

pub(crate) fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn keygen(folder: &Path, name: &str, arguments: &[&str]) -> Pair {
    let private = folder.join(name);
    let mut command = Command::new(program("ssh-keygen", "openssh-client"));
    run(command.args(["-q", "-N", "", "-C", name, "-f"]).arg(&private).args(arguments));
    let line = std::fs::read(private.with_extension("pub")).unwrap();
    Pair { private, public: KeyLine::parse(line).unwrap().into_parts().0 }
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Sshd {
    /// One that asks `palisade` for each key, which believes bundles up to an hour old.
    pub(crate) fn with_bundle(when_stale: &str) -> Self {
        let folder = folder();
        // Where it is built others may be able to write, and sshd would not run it.
        let program = folder.path().join("palisade");
        std::fs::copy(env!("CARGO_BIN_EXE_palisade"), &program).unwrap();
        mode(&program, 0o755);
        let path = folder.path().display();
        let lines = format!(
            "AuthorizedKeysFile none\nAuthorizedKeysCommandUser nobody\n\
             AuthorizedKeysCommand {path}/palisade ssh authorized-keys --bundle {path}/keys --signers {path}/signers \
             --machine {} --max-age 3600 --when-stale {when_stale} %u %f %t %k\n",
            machine()
        );
        Self::start(folder, &lines)
    }

    /// One that reads this file of keys, as it is.
    pub(crate) fn with_keys_file(text: &str) -> Self {
        let folder = folder();
        let file = folder.path().join("authorized_keys");
        std::fs::write(&file, text).unwrap();
        mode(&file, 0o600);
        let lines = format!("AuthorizedKeysFile {}\n", file.display());
        Self::start(folder, &lines)
    }

    fn start(folder: tempfile::TempDir, lines: &str) -> Self {
        let sshd = program("sshd", "openssh-server");
        std::fs::create_dir_all("/run/sshd").unwrap();
        keygen(folder.path(), "host", &["-t", "ed25519"]);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = folder.path().display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {path}/host\nPidFile {path}/pid\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
             AuthenticationMethods publickey\nStrictModes no\nLoginGraceTime 20\nMaxStartups 100\n{lines}"
        );
        let file = folder.path().join("sshd_config");
        std::fs::write(&file, config).unwrap();
        run(Command::new(&sshd).arg("-t").arg("-f").arg(&file));
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(&sshd);
        command.args(["-D", "-e", "-f"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        let host = std::fs::read_to_string(folder.path().join("host.pub")).unwrap();
        std::fs::write(folder.path().join("known_hosts"), format!("[127.0.0.1]:{port} {host}")).unwrap();
        let signer = BundleKey::generate(&SystemRandom::new()).unwrap();
        let signers = folder.path().join("signers");
        std::fs::write(&signers, format!("{}\n", signer.public_key().unwrap())).unwrap();
        mode(&signers, 0o644);
        let sshd = Self { folder, child, port, signer, revision: 0 };
        sshd.wait_until_it_listens();
        sshd
    }

    fn wait_until_it_listens(&self) {
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("sshd does not listen: {}", self.log());
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log")).unwrap()
    }

    /// The keys from now on, as the control plane would send them.
    pub(crate) fn deliver(&mut self, entries: Vec<Entry>) {
        self.deliver_as_of(entries, now());
    }

    pub(crate) fn deliver_as_of(&mut self, entries: Vec<Entry>, issued_at: UnixTime) {
        self.revision += 1;
        let contents = Contents { machine: machine(), revision: self.revision, issued_at, entries };
        let bytes = contents.sign(&self.signer).unwrap();
        let trusted = TrustedSigners::new(&self.signer.public_key()).unwrap();
        let _ = file::install(&self.path().join("keys"), &bytes, &trusted, &machine(), 0).unwrap();
    }

    /// Logs in with a key, and runs `command` there.
    pub(crate) fn ssh(&self, identity: &[&str], extra: &[&str], command: &[&str]) -> Output {
        let known_hosts = format!("UserKnownHostsFile={}", self.path().join("known_hosts").display());
        Command::new(program("ssh", "openssh-client"))
            .args(["-F", "none", "-p", &self.port.to_string(), "-o", &known_hosts])
            .args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=15"])
            .args(["-o", "PreferredAuthentications=publickey"])
            .args(identity)
            .args(extra)
            .arg("root@127.0.0.1")
            .args(command)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What a login with this key and nothing else answers; `None` when it is refused.
    pub(crate) fn run(&self, pair: &Pair, extra: &[&str], command: &[&str]) -> Option<String> {
        let private = pair.private.to_str().unwrap();
        let identity = ["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-i", private];
        let output = self.ssh(&identity, extra, command);
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return Some(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        assert!(errors.contains("Permission denied"), "{errors}\n{}", self.log());
        None
    }

    pub(crate) fn lets_in(&self, pair: &Pair) -> bool {
        let answer = self.run(pair, &[], &["echo", "in"]);
        assert!(answer.as_deref().is_none_or(|answer| answer == "in"), "{answer:?}");
        answer.is_some()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
