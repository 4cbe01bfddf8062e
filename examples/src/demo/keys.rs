//! Keys for the demo: made by the real `ssh-keygen`, or, without one, keys it made earlier.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// A public key, and what `ssh-keygen` says of it.
pub(super) struct DemoKey {
    pub(super) label: &'static str,
    pub(super) public_line: String,
    /// `SHA256:…`
    pub(super) sha256: String,
    /// `MD5:…`
    pub(super) md5: String,
}

/// The four keys of the story, the last of which must be refused.
pub(super) struct DemoKeys {
    pub(super) good: Vec<DemoKey>,
    pub(super) too_short: DemoKey,
    /// Whether they were made just now.
    pub(super) fresh: bool,
}

/// Makes the keys in `folder`, or takes the committed ones where `ssh-keygen` is not installed.
///
/// # Errors
/// What `ssh-keygen` or the file system said.
pub(super) fn keys(folder: &Path) -> io::Result<DemoKeys> {
    let made = KINDS.iter().map(|kind| kind.make(folder)).collect::<io::Result<Vec<_>>>();
    let (mut keys, fresh) = match made {
        Ok(keys) => (keys, true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (KINDS.iter().map(Kind::committed).collect(), false)
        }
        Err(error) => return Err(error),
    };
    let too_short = keys.pop().ok_or_else(|| io::Error::other("no keys"))?;
    Ok(DemoKeys { good: keys, too_short, fresh })
}

struct Kind {
    label: &'static str,
    arguments: &'static [&'static str],
    committed: [&'static str; 3],
}

impl Kind {
    fn make(&self, folder: &Path) -> io::Result<DemoKey> {
        let file = folder.join(self.label);
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-N", "", "-C", self.label]).args(self.arguments).arg("-f").arg(&file);
        run(&mut command)?;
        let public = file.with_extension("pub");
        let sha256 = run(Command::new("ssh-keygen").arg("-lf").arg(&public))?;
        let md5 = run(Command::new("ssh-keygen").args(["-E", "md5", "-lf"]).arg(&public))?;
        Ok(self.key(&std::fs::read_to_string(&public)?, &sha256, &md5))
    }

    fn committed(&self) -> DemoKey {
        let [public, sha256, md5] = self.committed;
        self.key(public, sha256, md5)
    }

    /// `ssh-keygen -l` prints the size, the fingerprint, the comment and the type.
    fn key(&self, public: &str, sha256: &str, md5: &str) -> DemoKey {
        let fingerprint = |text: &str| text.split(' ').nth(1).unwrap_or_default().to_owned();
        DemoKey {
            label: self.label,
            public_line: public.trim_end().to_owned(),
            sha256: fingerprint(sha256),
            md5: fingerprint(md5),
        }
    }
}

fn run(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(format!("ssh-keygen: {}", said.trim_end())))
    }
}

macro_rules! committed {
    ($name:literal) => {
        [
            include_str!(concat!("keys/", $name, ".pub")),
            include_str!(concat!("keys/", $name, ".sha256")),
            include_str!(concat!("keys/", $name, ".md5")),
        ]
    };
}

const KINDS: &[Kind] = &[
    Kind { label: "ed25519", arguments: &["-t", "ed25519"], committed: committed!("ed25519") },
    Kind { label: "rsa-3072", arguments: &["-t", "rsa", "-b", "3072"], committed: committed!("rsa3072") },
    Kind { label: "ecdsa-256", arguments: &["-t", "ecdsa", "-b", "256"], committed: committed!("ecdsa256") },
    Kind { label: "rsa-1024", arguments: &["-t", "rsa", "-b", "1024"], committed: committed!("rsa1024") },
];
