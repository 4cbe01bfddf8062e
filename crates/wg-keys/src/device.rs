//! Devices: of user-space implementations (wireguard-go, boringtun) through their sockets, of any kind through `wg`.

mod program;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use program::WgProgram;

use crate::config::{Diff, DiffPolicy, Interface, MAX_TEXT_BYTES};
use crate::error::DeviceError;
use crate::secret_text::SecretText;
use crate::text::{Snapshot, uapi};

/// A device's socket. Every request is a connection of its own.
#[derive(Debug, Clone)]
pub struct DeviceSocket {
    path: PathBuf,
}

impl DeviceSocket {
    /// The socket of the interface of this name, in `/var/run/wireguard`.
    ///
    /// # Errors
    /// [`DeviceError::Name`] when it is no name of an interface.
    pub fn of_interface(name: &str) -> Result<Self, DeviceError> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_=+.-".contains(&byte);
        if name.is_empty() || name.len() > 15 || !name.bytes().all(known) || name == "." || name == ".." {
            return Err(DeviceError::Name);
        }
        Ok(Self { path: Path::new("/var/run/wireguard").join(format!("{name}.sock")) })
    }

    /// The socket at this path.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// What the device has.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn read(&self) -> Result<Snapshot, DeviceError> {
        uapi::read(self.ask("get=1\n\n")?.expose_secret())
    }

    /// Does a difference, stage after stage.
    ///
    /// # Errors
    /// [`DeviceError`]. What came before the stage that failed is done; the difference from what the device has then
    /// is the way on.
    pub fn apply(&self, diff: &Diff) -> Result<(), DeviceError> {
        for stage in diff.stages() {
            uapi::read_outcome(self.ask(uapi::write_stage(stage).expose_secret())?.expose_secret())?;
        }
        Ok(())
    }

    /// Reads what the device has, does what leads from there to `wanted`, and returns what was done.
    ///
    /// # Errors
    /// [`DeviceError`]; [`DeviceError::Config`] when the policy refuses the difference.
    pub fn configure(&self, wanted: &Interface, policy: DiffPolicy) -> Result<Diff, DeviceError> {
        let diff = self.read()?.interface.diff(wanted, policy)?;
        self.apply(&diff)?;
        Ok(diff)
    }

    fn ask(&self, request: &str) -> Result<SecretText, DeviceError> {
        let mut stream = UnixStream::connect(&self.path).map_err(DeviceError::Io)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(DeviceError::Io)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(DeviceError::Io)?;
        stream.write_all(request.as_bytes()).map_err(DeviceError::Io)?;
        let mut answer = SecretText::with_capacity(BUFFER);
        let mut buffer = zeroize::Zeroizing::new([0; BUFFER]);
        loop {
            let len = stream.read(buffer.as_mut_slice()).map_err(DeviceError::Io)?;
            let part = core::str::from_utf8(buffer.get(..len).unwrap_or_default());
            // The protocol is ASCII, so no character can be cut in two.
            let part = part.map_err(|error| DeviceError::Io(std::io::Error::other(error)))?;
            answer.push(part);
            if len == 0 || answer.expose_secret().ends_with("\n\n") {
                return Ok(answer);
            }
            if answer.expose_secret().len() > MAX_TEXT_BYTES {
                return Err(crate::error::TextError::TooLong.into());
            }
        }
    }
}

/// How long a device may take for a part of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
const BUFFER: usize = 16 << 10;
