//! The configuration file of `wg setconf`, `wg syncconf` and `wg showconf`, and that of `wg-quick`.

use core::fmt::Write as _;
use core::net::SocketAddr;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::lines::{LineNumber, numbered};
use crate::config::{Interface, InterfaceAddress, Peer, Prefix};
use crate::error::{ConfigError, TextError};
use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::secret_text::SecretText;

/// A file of `wg-quick`: a configuration, and the addresses of the interface.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct QuickFile {
    /// The configuration.
    pub interface: Interface,
    /// The addresses, in the file's order.
    pub addresses: Vec<InterfaceAddress>,
}

/// The text for `wg setconf` and `wg syncconf`, in the order of `wg showconf`.
///
/// `wg setconf` loses packets even when nothing changes; `wg syncconf` does not, and a
/// [`Diff`](crate::config::Diff) does less still.
#[must_use]
pub fn write_conf(interface: &Interface) -> SecretText {
    write(interface, &[])
}

/// The file for `wg-quick`. It has no commands in it.
#[must_use]
pub fn write_quick(interface: &Interface, addresses: &[InterfaceAddress]) -> SecretText {
    write(interface, addresses)
}

/// Reads the text of `wg showconf` or of a file for `wg setconf`.
///
/// # Errors
/// [`TextError`]; of a key that only `wg-quick` knows, too.
pub fn read_conf(text: &str) -> Result<Interface, TextError> {
    let file = Reader { addresses: None, ..Reader::default() }.read(text)?;
    Ok(file.interface)
}

/// Reads a file of `wg-quick` that has addresses but no commands, name servers or other orders to the system.
///
/// # Errors
/// [`TextError`].
pub fn read_quick(text: &str) -> Result<QuickFile, TextError> {
    Reader { addresses: Some(Vec::new()), ..Reader::default() }.read(text)
}

fn write(interface: &Interface, addresses: &[InterfaceAddress]) -> SecretText {
    let mut text =
        SecretText::with_capacity(256_usize.saturating_add(interface.peers().len().saturating_mul(256)));
    text.push("[Interface]\n");
    for address in addresses {
        // Formatting into a text cannot fail.
        let _ = writeln!(text, "Address = {address}");
    }
    if let Some(port) = interface.listen_port() {
        let _ = writeln!(text, "ListenPort = {port}");
    }
    if let Some(key) = interface.private_key() {
        text.push("PrivateKey = ");
        text.push_secret(&key.expose_text());
        text.push("\n");
    }
    for peer in interface.peers() {
        let _ = write!(text, "\n[Peer]\nPublicKey = {}\n", peer.key());
        if let Some(key) = peer.preshared_key() {
            text.push("PresharedKey = ");
            text.push_secret(&key.expose_text());
            text.push("\n");
        }
        for (prefix, separator) in
            peer.allowed_ips().iter().zip(core::iter::once("AllowedIPs = ").chain(core::iter::repeat(", ")))
        {
            let _ = write!(text, "{separator}{prefix}");
        }
        if !peer.allowed_ips().is_empty() {
            text.push("\n");
        }
        if let Some(endpoint) = peer.endpoint() {
            let _ = writeln!(text, "Endpoint = {endpoint}");
        }
        if peer.keepalive_secs() > 0 {
            let _ = writeln!(text, "PersistentKeepalive = {}", peer.keepalive_secs());
        }
    }
    text
}

#[derive(Default)]
struct Reader {
    section: Option<Section>,
    private_key: Option<Arc<PrivateKey>>,
    listen_port: Option<u16>,
    /// None where addresses have no place.
    addresses: Option<Vec<InterfaceAddress>>,
    peers: Vec<Peer>,
    current: Option<PeerLines>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Interface,
    Peer,
}

/// The lines of one peer so far.
struct PeerLines {
    start: LineNumber,
    key: Option<PublicKey>,
    preshared_key: Option<Arc<PresharedKey>>,
    prefixes: BTreeSet<Prefix>,
    endpoint: Option<SocketAddr>,
    keepalive_secs: Option<u16>,
}

impl Reader {
    fn read(mut self, text: &str) -> Result<QuickFile, TextError> {
        for (number, line) in numbered(text)? {
            let line = line.split_once('#').map_or(line, |(line, _)| line).trim();
            if line.is_empty() {
                continue;
            }
            if line.eq_ignore_ascii_case("[interface]") {
                self.end_peer()?;
                self.section = Some(Section::Interface);
            } else if line.eq_ignore_ascii_case("[peer]") {
                self.end_peer()?;
                self.section = Some(Section::Peer);
                self.current = Some(PeerLines::new(number));
            } else {
                let (name, value) = line.split_once('=').ok_or(number.wrong("not `name = value`"))?;
                let name = name.trim().to_ascii_lowercase();
                match (self.section, &mut self.current) {
                    (Some(Section::Peer), Some(peer)) => peer.set(number, &name, value.trim())?,
                    (Some(Section::Interface), _) => self.set(number, &name, value.trim())?,
                    _ => return Err(number.wrong("before any section")),
                }
            }
        }
        self.end_peer()?;
        Ok(QuickFile {
            interface: Interface::found(self.private_key, self.listen_port, self.peers)?,
            addresses: self.addresses.unwrap_or_default(),
        })
    }

    fn set(&mut self, number: LineNumber, name: &str, value: &str) -> Result<(), TextError> {
        match (name, &mut self.addresses) {
            ("privatekey", _) => once(number, &mut self.private_key, number.private_key(value)?),
            ("listenport", _) => once(number, &mut self.listen_port, number.number(value)?),
            ("fwmark", _) => Ok(()),
            ("address", Some(addresses)) => {
                for address in value.split(',') {
                    let address =
                        InterfaceAddress::read(address.trim()).map_err(|_| number.wrong("not an address"))?;
                    addresses.push(address);
                }
                Ok(())
            }
            _ => Err(number.wrong("not a name of this section")),
        }
    }

    fn end_peer(&mut self) -> Result<(), TextError> {
        let Some(lines) = self.current.take() else { return Ok(()) };
        let key = lines.key.ok_or(lines.start.wrong("a peer without a public key"))?;
        let mut peer = Peer::new(key)
            .with_allowed_ips(lines.prefixes)
            .with_keepalive_secs(lines.keepalive_secs.unwrap_or_default());
        if let Some(endpoint) = lines.endpoint {
            peer = peer.with_endpoint(endpoint);
        }
        if let Some(key) = lines.preshared_key {
            peer = peer.with_preshared_key(key);
        }
        self.peers.push(peer);
        if self.peers.len() > crate::config::MAX_PEERS {
            return Err(ConfigError::TooManyPeers.into());
        }
        Ok(())
    }
}

impl PeerLines {
    const fn new(start: LineNumber) -> Self {
        Self {
            start,
            key: None,
            preshared_key: None,
            prefixes: BTreeSet::new(),
            endpoint: None,
            keepalive_secs: None,
        }
    }

    fn set(&mut self, number: LineNumber, name: &str, value: &str) -> Result<(), TextError> {
        match name {
            "publickey" => once(number, &mut self.key, number.public_key(value)?),
            "presharedkey" => once(number, &mut self.preshared_key, number.preshared_key(value)?),
            "endpoint" => once(number, &mut self.endpoint, number.endpoint(value)?),
            "persistentkeepalive" => {
                let secs = if value == "off" { 0 } else { number.number(value)? };
                once(number, &mut self.keepalive_secs, secs)
            }
            "allowedips" => {
                for prefix in value.split(',').map(str::trim).filter(|prefix| !prefix.is_empty()) {
                    self.prefixes.insert(number.prefix(prefix)?);
                }
                Ok(())
            }
            _ => Err(number.wrong("not a name of this section")),
        }
    }
}

fn once<T>(number: LineNumber, place: &mut Option<T>, value: T) -> Result<(), TextError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(number.wrong("said twice")),
    }
}
