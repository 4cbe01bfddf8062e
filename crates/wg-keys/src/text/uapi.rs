//! The user-space protocol (wireguard.com/xplatform): `set=1` and the answer to `get=1`.

use core::fmt::Write as _;
use std::collections::BTreeMap;
use std::sync::Arc;

use core_types::SecretBytes;

use super::lines::{LineNumber, numbered};
use super::{Snapshot, Traffic, hex};
use crate::config::{Interface, MAX_PEERS, Op, Peer, Stage};
use crate::error::{ConfigError, DeviceError, TextError};
use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::secret_text::SecretText;

/// The request that puts a configuration in place of everything the device has: for a device that is new. To one that
/// is in use give a [`Diff`](crate::config::Diff).
#[must_use]
pub fn write_all(interface: &Interface) -> SecretText {
    let mut text =
        SecretText::with_capacity(256_usize.saturating_add(interface.peers().len().saturating_mul(320)));
    text.push("set=1\n");
    if let Some(key) = interface.private_key() {
        key_line(&mut text, "private_key", key.expose_secret());
    }
    if let Some(port) = interface.listen_port() {
        // Formatting into a text cannot fail.
        let _ = writeln!(text, "listen_port={port}");
    }
    text.push("replace_peers=true\n");
    for peer in interface.peers() {
        key_line(&mut text, "public_key", &peer.key().to_bytes());
        if let Some(key) = peer.preshared_key() {
            key_line(&mut text, "preshared_key", key.expose_secret());
        }
        if let Some(endpoint) = peer.endpoint() {
            let _ = writeln!(text, "endpoint={endpoint}");
        }
        if peer.keepalive_secs() > 0 {
            let _ = writeln!(text, "persistent_keepalive_interval={}", peer.keepalive_secs());
        }
        for prefix in peer.allowed_ips() {
            let _ = writeln!(text, "allowed_ip={prefix}");
        }
    }
    text.push("\n");
    text
}

/// The request of one stage of a difference; the next stage is sent when this one was answered.
#[must_use]
pub fn write_stage(stage: &Stage) -> SecretText {
    let mut text = SecretText::with_capacity(64_usize.saturating_add(stage.ops.len().saturating_mul(320)));
    text.push("set=1\n");
    for op in &stage.ops {
        write_op(&mut text, op);
    }
    text.push("\n");
    text
}

/// Reads the answer to `get=1`, up to and with its `errno` and the empty line. Names that are not known here are
/// passed over: newer devices say more.
///
/// # Errors
/// [`DeviceError::Refused`], [`DeviceError::Answer`].
pub fn read(text: &str) -> Result<Snapshot, DeviceError> {
    let mut reader = Reader::default();
    let mut last = LineNumber(1);
    for (number, line) in numbered(text)? {
        last = number;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once('=').ok_or(number.wrong("not `name=value`"))?;
        reader.set(number, name, value)?;
    }
    match reader.errno {
        None => Err(last.wrong("the answer ends early").into()),
        Some(0) => Ok(reader.end()?),
        Some(errno) => Err(DeviceError::Refused { errno }),
    }
}

/// Reads the answer to `set=1`.
///
/// # Errors
/// [`DeviceError::Refused`], [`DeviceError::Answer`].
pub fn read_outcome(text: &str) -> Result<(), DeviceError> {
    let number = LineNumber(1);
    let errno = text.strip_prefix("errno=").and_then(|rest| rest.strip_suffix("\n\n"));
    match errno.and_then(|errno| errno.parse().ok()) {
        Some(0) => Ok(()),
        Some(errno) => Err(DeviceError::Refused { errno }),
        None => Err(number.wrong("not an errno").into()),
    }
}

fn write_op(text: &mut SecretText, op: &Op) {
    if let Some(key) = op.peer() {
        key_line(text, "public_key", &key.to_bytes());
        // A peer that went meanwhile must not come back.
        if !matches!(op, Op::CreatePeer { .. } | Op::RemovePeer { .. }) {
            text.push("update_only=true\n");
        }
    }
    match op {
        Op::SetPrivateKey(key) => key_line(text, "private_key", key.expose_secret()),
        Op::SetListenPort(port) => {
            let _ = writeln!(text, "listen_port={port}");
        }
        Op::CreatePeer { preshared_key, endpoint, .. } => {
            if let Some(key) = preshared_key {
                key_line(text, "preshared_key", key.expose_secret());
            }
            if let Some(endpoint) = endpoint {
                let _ = writeln!(text, "endpoint={endpoint}");
            }
        }
        Op::AddAllowedIps { prefixes, .. } => {
            for prefix in prefixes {
                let _ = writeln!(text, "allowed_ip={prefix}");
            }
        }
        Op::SetPresharedKey { preshared_key, .. } => match preshared_key {
            Some(key) => key_line(text, "preshared_key", key.expose_secret()),
            None => key_line(text, "preshared_key", &[0; 32]),
        },
        Op::SetEndpoint { endpoint, .. } => {
            let _ = writeln!(text, "endpoint={endpoint}");
        }
        Op::SetKeepalive { secs, .. } => {
            let _ = writeln!(text, "persistent_keepalive_interval={secs}");
        }
        Op::RemovePeer { .. } => text.push("remove=true\n"),
    }
}

fn key_line(text: &mut SecretText, name: &str, key: &[u8; 32]) {
    text.push(name);
    text.push("=");
    hex::push(text, key);
    text.push("\n");
}

#[derive(Default)]
struct Reader {
    private_key: Option<Arc<PrivateKey>>,
    listen_port: Option<u16>,
    peers: Vec<(Peer, Numbers)>,
    errno: Option<i64>,
}

/// What a device has counted of a peer.
#[derive(Default)]
struct Numbers {
    handshake_secs: u64,
    received_bytes: u64,
    sent_bytes: u64,
}

impl Reader {
    fn set(&mut self, number: LineNumber, name: &str, value: &str) -> Result<(), TextError> {
        if self.errno.is_some() {
            return Err(number.wrong("more after the errno"));
        }
        match name {
            "private_key" => self.private_key = private_key(number, value)?.map(Arc::new),
            "listen_port" => self.listen_port = Some(number.number(value)?).filter(|&port| port != 0),
            "public_key" => {
                if self.peers.len() == MAX_PEERS {
                    return Err(ConfigError::TooManyPeers.into());
                }
                let mut key = [0; 32];
                hex::decode(value, &mut key).map_err(|error| number.key(error))?;
                let key = PublicKey::from_bytes(key).map_err(|error| number.key(error))?;
                self.peers.push((Peer::new(key), Numbers::default()));
            }
            "errno" => self.errno = Some(value.parse().map_err(|_| number.wrong("not an errno"))?),
            _ => {
                if let Some((peer, numbers)) = self.peers.last_mut() {
                    set_peer(number, peer, numbers, name, value)?;
                }
            }
        }
        Ok(())
    }

    fn end(self) -> Result<Snapshot, TextError> {
        let traffic: BTreeMap<_, _> = self
            .peers
            .iter()
            .map(|(peer, numbers)| {
                (peer.key(), Traffic::new(numbers.handshake_secs, numbers.received_bytes, numbers.sent_bytes))
            })
            .collect();
        let peers = self.peers.into_iter().map(|(peer, _)| peer);
        Ok(Snapshot { interface: Interface::found(self.private_key, self.listen_port, peers)?, traffic })
    }
}

fn set_peer(
    number: LineNumber,
    peer: &mut Peer,
    numbers: &mut Numbers,
    name: &str,
    value: &str,
) -> Result<(), TextError> {
    let changed = match name {
        "preshared_key" => match preshared_key(number, value)? {
            Some(key) => peer.clone().with_preshared_key(Arc::new(key)),
            None => return Ok(()),
        },
        "endpoint" => peer.clone().with_endpoint(number.endpoint(value)?),
        "persistent_keepalive_interval" => peer.clone().with_keepalive_secs(number.number(value)?),
        "allowed_ip" => {
            peer.add_allowed_ip(number.prefix(value)?);
            return Ok(());
        }
        "last_handshake_time_sec" => return number.number(value).map(|secs| numbers.handshake_secs = secs),
        "rx_bytes" => return number.number(value).map(|bytes| numbers.received_bytes = bytes),
        "tx_bytes" => return number.number(value).map(|bytes| numbers.sent_bytes = bytes),
        _ => return Ok(()),
    };
    *peer = changed;
    Ok(())
}

/// A private key in hexadecimal; zeros are none.
fn private_key(number: LineNumber, value: &str) -> Result<Option<PrivateKey>, TextError> {
    let bytes = secret(number, value)?;
    // Zeros are not clamped either, so the order of the questions does not matter.
    if preshared_of(&bytes).is_none() {
        return Ok(None);
    }
    PrivateKey::from_secret(bytes).map(Some).map_err(|error| number.key(error))
}

/// A preshared key in hexadecimal; zeros are none.
fn preshared_key(number: LineNumber, value: &str) -> Result<Option<PresharedKey>, TextError> {
    Ok(preshared_of(&secret(number, value)?))
}

fn preshared_of(bytes: &SecretBytes<32>) -> Option<PresharedKey> {
    let mut copy = zeroize::Zeroizing::new(*bytes.expose_secret());
    PresharedKey::take_from(&mut copy).ok()
}

fn secret(number: LineNumber, value: &str) -> Result<SecretBytes<32>, TextError> {
    SecretBytes::filled_by(|bytes| hex::decode(value, bytes)).map_err(|error| number.key(error))
}
