//! Devices of any kind, the kernel's too, through the program `wg`.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use super::DeviceSocket;
use crate::config::{Diff, DiffPolicy, Interface, MAX_TEXT_BYTES, Op, Stage};
use crate::error::{DeviceError, TextError};
use crate::key::PublicKey;
use crate::secret_text::SecretText;
use crate::text::{self, Snapshot};

/// A device as `wg` (wireguard-tools) reaches it. Secrets go through pipes, never through arguments.
///
/// `wg` knows no way to add a prefix to a peer that has some: the peer's list is written whole then. That is one
/// transaction, but of the prefixes that the peer keeps, each is nobody's for an instant. A
/// [socket](DeviceSocket) can do better, where there is one.
#[derive(Debug, Clone)]
pub struct WgProgram {
    interface: String,
}

impl WgProgram {
    /// The interface of this name.
    ///
    /// # Errors
    /// [`DeviceError::Name`] when it is no name of an interface.
    pub fn of_interface(name: &str) -> Result<Self, DeviceError> {
        DeviceSocket::of_interface(name)?;
        Ok(Self { interface: name.to_owned() })
    }

    /// What the device has.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn read(&self) -> Result<Snapshot, DeviceError> {
        let dump = run(&["show", &self.interface, "dump"], None)?;
        Ok(text::read_dump(dump.expose_secret())?)
    }

    /// Does a difference from what the device has, stage after stage.
    ///
    /// # Errors
    /// [`DeviceError`]. What came before the stage that failed is done; the difference from what the device has then
    /// is the way on.
    pub fn apply(&self, diff: &Diff) -> Result<(), DeviceError> {
        let mut known = self.read()?.interface;
        diff.stages().iter().try_for_each(|stage| self.apply_stage(stage, &mut known))
    }

    /// Makes the device have this configuration; returns what was done.
    ///
    /// # Errors
    /// [`DeviceError`]; [`DeviceError::Config`] when the policy refuses the difference.
    pub fn configure(&self, wanted: &Interface, policy: DiffPolicy) -> Result<Diff, DeviceError> {
        let diff = self.read()?.interface.diff(wanted, policy)?;
        self.apply(&diff)?;
        Ok(diff)
    }

    fn apply_stage(&self, stage: &Stage, known: &mut Interface) -> Result<(), DeviceError> {
        for op in &stage.ops {
            known.apply(op);
            match op {
                Op::SetPrivateKey(key) => self.set(&["private-key", STDIN], Some(&key.expose_text()))?,
                Op::SetListenPort(port) => self.set(&["listen-port", &port.to_string()], None)?,
                Op::CreatePeer { key, preshared_key, endpoint } => {
                    let endpoint = endpoint.map(|endpoint| endpoint.to_string());
                    let mut words = Vec::new();
                    if let Some(endpoint) = &endpoint {
                        words.extend(["endpoint", endpoint]);
                    }
                    let secret = preshared_key.as_ref().map(|key| key.expose_text());
                    if secret.is_some() {
                        words.extend(["preshared-key", STDIN]);
                    }
                    self.set_peer(*key, &words, secret.as_ref())?;
                }
                Op::AddAllowedIps { key, .. } => {
                    let all: Vec<String> = known
                        .peer(*key)
                        .into_iter()
                        .flat_map(|peer| peer.allowed_ips().iter().map(ToString::to_string))
                        .collect();
                    self.set_peer(*key, &["allowed-ips", &all.join(",")], None)?;
                }
                Op::SetPresharedKey { key, preshared_key: Some(preshared_key) } => {
                    self.set_peer(*key, &["preshared-key", STDIN], Some(&preshared_key.expose_text()))?;
                }
                Op::SetPresharedKey { key, preshared_key: None } => {
                    self.set_peer(*key, &["preshared-key", "/dev/null"], None)?;
                }
                Op::SetEndpoint { key, endpoint } => {
                    self.set_peer(*key, &["endpoint", &endpoint.to_string()], None)?;
                }
                Op::SetKeepalive { key, secs } => {
                    self.set_peer(*key, &["persistent-keepalive", &secs.to_string()], None)?;
                }
                Op::RemovePeer { key } => self.set_peer(*key, &["remove"], None)?,
            }
        }
        Ok(())
    }

    fn set(&self, words: &[&str], secret: Option<&SecretText>) -> Result<(), DeviceError> {
        run(&[&["set", &self.interface], words].concat(), secret).map(drop)
    }

    fn set_peer(
        &self,
        key: PublicKey,
        words: &[&str],
        secret: Option<&SecretText>,
    ) -> Result<(), DeviceError> {
        let key = key.to_string();
        self.set(&[&["peer", key.as_str()], words].concat(), secret)
    }
}

/// What `wg` printed.
fn run(arguments: &[&str], secret: Option<&SecretText>) -> Result<SecretText, DeviceError> {
    let mut child = Command::new("wg")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(DeviceError::Io)?;
    if let (Some(mut input), Some(secret)) = (child.stdin.take(), secret) {
        // One that ended early says why with its status.
        let _ = input.write_all(secret.expose_secret().as_bytes());
    }
    let mut printed = String::new();
    let limit = u64::try_from(MAX_TEXT_BYTES).unwrap_or(u64::MAX);
    let read = child.stdout.take().map_or(Ok(0), |output| output.take(limit).read_to_string(&mut printed));
    let printed = SecretText::take_from(printed);
    let status = child.wait().map_err(DeviceError::Io)?;
    if read.map_err(DeviceError::Io)? >= MAX_TEXT_BYTES {
        return Err(TextError::TooLong.into());
    }
    match status.code() {
        Some(0) => Ok(printed),
        code => Err(DeviceError::Refused { errno: code.unwrap_or(-1).into() }),
    }
}

const STDIN: &str = "/dev/stdin";
