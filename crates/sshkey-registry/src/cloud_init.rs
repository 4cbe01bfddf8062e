//! User-data for cloud-init: the accounts, keys and SSH port of a new machine.
//!
//! The document is `#cloud-config` and JSON, which is YAML; everything beyond ASCII is escaped, because cloud-init
//! splits lines of keys where sshd reads on. Accounts are `users:` entries, because keys at the top level lose their
//! options on the way to root. What configures sshd is a file of its own that sorts before every other one in
//! `/etc/ssh/sshd_config.d`: of two values sshd takes the first.

use std::path::{Component, Path};
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use core_types::Scope;
use serde_json::{Value, json};

use crate::authorized_keys::AuthorizedLine;
use crate::bundle::WhenStale;
use crate::error::UserDataError;
use crate::key::{KeyType, PublicKey};
use crate::name::AccountName;
use crate::registry::SshPort;

/// The most bytes a document may have: what the strictest of the large clouds hands to a machine.
pub const MAX_BYTES: usize = 16 << 10;

/// Where sshd finds its port and the ways to log in.
pub const SSHD_FILE: &str = "/etc/ssh/sshd_config.d/00-palisade.conf";

/// What a new machine is told.
///
/// ```
/// use sshkey_registry::cloud_init::{Account, UserData};
/// use sshkey_registry::registry::SshPort;
/// use sshkey_registry::{AccountName, AuthorizedKey, AuthorizedLine, LineComment, Options};
/// let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHXZHXXdSsdymvNonZUOsatzbPbl2r/6NwQfy8TLkmqC";
/// let (_, key) = AuthorizedKey::parse(key)?.into_parts();
/// let line = AuthorizedLine::new(Options::new(), key, LineComment::parse("ada")?);
/// let account = Account { name: AccountName::parse("admin")?, sudo: true, keys: vec![line] };
/// let text = UserData::new(SshPort::new(61_022)?).with_account(account).render()?;
/// assert!(text.starts_with("#cloud-config\n{") && text.is_ascii());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct UserData {
    port: SshPort,
    accounts: Vec<Account>,
    host_keys: Vec<HostKeyType>,
    bundle: Option<BundleDelivery>,
}

/// An account of a new machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the embedder builds it, and a new part must break it")]
pub struct Account {
    /// Its name; root is refused.
    pub name: AccountName,
    /// Whether it may become root without a password.
    pub sudo: bool,
    /// Its keys; none where a bundle has them.
    pub keys: Vec<AuthorizedLine>,
}

/// A type of key that a machine makes for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeyType {
    /// `ed25519`.
    Ed25519,
    /// `ecdsa`.
    Ecdsa,
    /// `rsa`.
    Rsa,
}

/// Keys by bundle: what sshd runs at each login, and what that finds at the first one.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "the embedder builds it, and a new part must break it")]
pub struct BundleDelivery {
    /// The program `palisade`, which the image has; an absolute path.
    pub program: String,
    /// The machine, as its bundles name it.
    pub machine: Scope,
    /// The first bundle.
    pub bundle: Vec<u8>,
    /// Whose bundles it believes.
    pub signers: Vec<PublicKey>,
    /// How old a bundle may be.
    pub max_age: Duration,
    /// What happens after that.
    pub when_stale: WhenStale,
}

impl UserData {
    /// A machine with sshd at this port, and nobody who may log in yet.
    #[must_use]
    pub fn new(port: SshPort) -> Self {
        Self { port, accounts: Vec::new(), host_keys: vec![HostKeyType::Ed25519], bundle: None }
    }

    /// With this account.
    #[must_use]
    pub fn with_account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }

    /// With host keys of these types, in place of Ed25519 alone.
    #[must_use]
    pub fn with_host_keys(mut self, types: impl IntoIterator<Item = HostKeyType>) -> Self {
        self.host_keys = types.into_iter().collect();
        self
    }

    /// With keys by bundle: no file of keys is read, so that what a later bundle leaves out is gone.
    #[must_use]
    pub fn with_bundle(mut self, bundle: BundleDelivery) -> Self {
        self.bundle = Some(bundle);
        self
    }

    /// The document.
    ///
    /// # Errors
    /// [`UserDataError`].
    pub fn render(&self) -> Result<String, UserDataError> {
        self.validate()?;
        let mut files = Vec::new();
        let mut sshd = format!(
            "Port {}\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitEmptyPasswords no\nPermitRootLogin no\nPubkeyAuthentication yes\n",
            self.port
        );
        if let Some(bundle) = &self.bundle {
            sshd.push_str(&bundle.sshd_lines());
            files.extend(bundle.files()?);
        }
        files.push(json!({
            "path": SSHD_FILE, "owner": "root:root", "permissions": "0644", "content": sshd,
        }));
        let document = json!({
            "users": self.accounts.iter().map(|account| self.user(account)).collect::<Vec<_>>(),
            "disable_root": true,
            "ssh_pwauth": false,
            "ssh_deletekeys": true,
            "ssh_genkeytypes": self.host_keys.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
            "write_files": files,
            "runcmd": self.commands(),
        });
        let text = format!("#cloud-config\n{}\n", ascii(&document.to_string())?);
        if text.len() > MAX_BYTES { Err(UserDataError::TooLarge { limit: MAX_BYTES }) } else { Ok(text) }
    }

    fn validate(&self) -> Result<(), UserDataError> {
        if self.host_keys.is_empty() {
            return Err(UserDataError::NoHostKeys);
        }
        let by_file = self.bundle.is_none();
        if self.accounts.is_empty() || by_file && self.accounts.iter().all(|account| account.keys.is_empty())
        {
            return Err(UserDataError::NobodyMayLogIn);
        }
        for (at, account) in self.accounts.iter().enumerate() {
            if account.name.as_str() == "root" {
                return Err(UserDataError::Root);
            }
            if self.accounts.iter().take(at).any(|other| other.name == account.name) {
                return Err(UserDataError::AccountRepeated);
            }
            if !by_file && !account.keys.is_empty() {
                return Err(UserDataError::KeysBesideBundle);
            }
            for (at, line) in account.keys.iter().enumerate() {
                let key_type = line.key().key_type();
                if key_type == KeyType::MlDsa44Ed25519 {
                    return Err(UserDataError::TypeDropped { key_type });
                }
                // cloud-init keeps both lines, and sshd takes the first.
                if account.keys.iter().take(at).any(|other| other.key() == line.key()) {
                    return Err(UserDataError::KeyRepeated);
                }
            }
        }
        self.bundle.as_ref().map_or(Ok(()), |bundle| is_plain_path(&bundle.program))
    }

    fn user(&self, account: &Account) -> Value {
        let mut user = serde_json::Map::new();
        user.insert("name".into(), account.name.as_str().into());
        user.insert("shell".into(), "/bin/bash".into());
        user.insert("lock_passwd".into(), true.into());
        if account.sudo {
            user.insert("sudo".into(), "ALL=(ALL) NOPASSWD:ALL".into());
        }
        if self.bundle.is_none() {
            let lines: Vec<_> = account.keys.iter().map(AuthorizedLine::to_string).collect();
            user.insert("ssh_authorized_keys".into(), lines.into());
        }
        user.into()
    }

    /// sshd may be running already, and where a socket of systemd's listens for it, the socket has the port.
    fn commands(&self) -> Value {
        let port = self.port;
        let label = format!(
            "if command -v semanage >/dev/null; then \
             semanage port -a -t ssh_port_t -p tcp {port} || semanage port -m -t ssh_port_t -p tcp {port}; fi"
        );
        let restart = "systemctl daemon-reload; if systemctl -q is-active ssh.socket; \
                       then systemctl restart ssh.socket; else systemctl try-restart ssh.service sshd.service; fi";
        json!([["sh", "-c", label], ["sh", "-c", restart]])
    }
}

impl HostKeyType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Ecdsa => "ecdsa",
            Self::Rsa => "rsa",
        }
    }
}

impl BundleDelivery {
    /// The bundle's place on the machine.
    pub const BUNDLE_FILE: &str = "/etc/palisade/ssh-keys.bundle";
    /// The signers' place on the machine.
    pub const SIGNERS_FILE: &str = "/etc/palisade/ssh-keys.signers";

    /// What sshd's configuration says of it: the command, and that nothing else has keys.
    #[must_use]
    pub fn sshd_lines(&self) -> String {
        let when_stale = match self.when_stale {
            WhenStale::Refuse => "refuse",
            WhenStale::KeepLast => "keep",
        };
        format!(
            "AuthorizedKeysFile none\nAuthorizedKeysCommand {} ssh authorized-keys --bundle {} --signers {} \
             --machine {} --max-age {} --when-stale {when_stale} %u %f %t %k\nAuthorizedKeysCommandUser nobody\n",
            self.program,
            Self::BUNDLE_FILE,
            Self::SIGNERS_FILE,
            self.machine,
            self.max_age.as_secs(),
        )
    }

    fn files(&self) -> Result<[Value; 2], UserDataError> {
        // What the machine would not believe must not be sent to it.
        let trusted = crate::bundle::TrustedSigners::new(&self.signers).map_err(UserDataError::Signers)?;
        let bundle = crate::bundle::Bundle::open(&*self.bundle, &trusted, &self.machine);
        bundle.map_err(|_| UserDataError::Bundle)?.contents().map_err(|_| UserDataError::Bundle)?;
        let signers: String = self.signers.iter().map(|key| format!("{key}\n")).collect();
        let file = |path: &str, encoding: &str, content: String| {
            json!({
                "path": path, "owner": "root:root", "permissions": "0644",
                "encoding": encoding, "content": content,
            })
        };
        Ok([
            file(Self::BUNDLE_FILE, "b64", Base64::encode_string(&self.bundle)),
            file(Self::SIGNERS_FILE, "text/plain", signers),
        ])
    }
}

/// An absolute path of `[A-Za-z0-9._/-]`, without `..`: it stands in a line of a configuration file.
fn is_plain_path(path: &str) -> Result<(), UserDataError> {
    let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte));
    let upwards = Path::new(path).components().any(|part| part == Component::ParentDir);
    if path.starts_with('/') && plain && !upwards { Ok(()) } else { Err(UserDataError::Program) }
}

/// JSON without a character beyond ASCII: only strings have such, and in strings every character may be escaped.
fn ascii(json: &str) -> Result<String, UserDataError> {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
        } else if let Ok(unit) = u16::try_from(u32::from(character)) {
            text.push_str(&format!("\\u{unit:04x}"));
        } else {
            // JSON escapes these in two halves, which YAML takes for two characters that are none.
            return Err(UserDataError::Character);
        }
    }
    Ok(text)
}
