//! The state as JSON, and back. By hand where it is written, so that no copy of a secret is left behind.

use core::fmt::Write as _;
use std::sync::Arc;

use base64ct::{Base64, Encoding as _};
use core_types::{MachineId, SecureRandom};
use serde::Deserialize;

use super::{MAX_EPOCH, MAX_STATE_BYTES, MachineState, Sealer};
use crate::error::StateError;
use crate::key::PrivateKey;
use crate::secret_text::SecretText;

/// The bytes of the file.
pub(super) fn write(
    state: &MachineState,
    sealer: Option<&dyn Sealer>,
    rng: &dyn SecureRandom,
) -> Result<SecretText, StateError> {
    let plain = write_plain(state);
    let Some(sealer) = sealer else { return Ok(plain) };
    let sealed = Base64::encode_string(&sealer.seal(&plain, rng)?);
    let text = format!(
        "{{\n  \"format\": \"{SEALED}\",\n  \"version\": 1,\n  \"sealer\": \"{}\",\n  \"sealed\": \"{sealed}\"\n}}\n",
        sealer.name()
    );
    if text.len() > MAX_STATE_BYTES { Err(StateError::TooLarge) } else { Ok(SecretText::take_from(text)) }
}

/// The state in the bytes of a file.
pub(super) fn read(text: &str, sealer: Option<&dyn Sealer>) -> Result<MachineState, StateError> {
    if text.len() > MAX_STATE_BYTES {
        return Err(StateError::TooLarge);
    }
    let header: Header<'_> = crate::json::read(text).map_err(|_| damaged("no JSON with a format"))?;
    match (header.format, sealer) {
        (PLAIN, None) => read_plain(text),
        (PLAIN, Some(_)) => Err(StateError::NotSealed),
        (SEALED, None) => Err(StateError::SealedOtherwise),
        (SEALED, Some(sealer)) => {
            let envelope: Sealed<'_> = crate::json::read(text).map_err(|_| damaged("the envelope"))?;
            if envelope.version != 1 {
                return Err(damaged("the version"));
            }
            if envelope.sealer != sealer.name() {
                return Err(StateError::SealedOtherwise);
            }
            let sealed = Base64::decode_vec(envelope.sealed).map_err(|_| damaged("the sealed part"))?;
            read_plain(sealer.open(&sealed)?.expose_secret())
        }
        _ => Err(damaged("the format")),
    }
}

fn write_plain(state: &MachineState) -> SecretText {
    let mut text = SecretText::with_capacity(1024);
    // Formatting into a text cannot fail.
    let _ = write!(
        text,
        "{{\n  \"format\": \"{PLAIN}\",\n  \"version\": 1,\n  \"machine_id\": \"{}\",\n  \"epoch\": {},\n  \
         \"listen_port\": {},\n",
        state.machine, state.epoch, state.listen_port
    );
    let keys = [
        ("identity_seed", Some(crate::key::secret_base64(&state.identity))),
        ("current", Some(state.current.expose_text())),
        ("pending", state.pending.as_ref().map(|key| key.expose_text())),
        ("previous", state.previous.as_ref().map(|key| key.expose_text())),
    ];
    for (name, key) in &keys {
        let _ = write!(text, "  \"{name}\": ");
        match key {
            Some(key) => {
                text.push("\"");
                text.push_secret(key);
                text.push("\"");
            }
            None => text.push("null"),
        }
        text.push(if *name == "previous" { "\n}\n" } else { ",\n" });
    }
    text
}

fn read_plain(text: &str) -> Result<MachineState, StateError> {
    let document: Document<'_> = crate::json::read(text).map_err(|_| damaged("the fields"))?;
    if document.format != PLAIN || document.version != 1 {
        return Err(damaged("the version"));
    }
    if document.epoch == 0 || document.epoch > MAX_EPOCH {
        return Err(damaged("the epoch"));
    }
    if document.listen_port == 0 {
        return Err(damaged("the port"));
    }
    let key = |text: &str, part| PrivateKey::parse(text).map(Arc::new).map_err(|_| damaged(part));
    let identity =
        crate::key::secret_of_base64(document.identity_seed).map_err(|_| damaged("the identity"))?;
    let state = MachineState {
        machine: document.machine_id,
        identity_public: super::public_identity(&identity).ok_or(damaged("the identity"))?,
        identity,
        epoch: document.epoch,
        listen_port: document.listen_port,
        current: key(document.current, "the current key")?,
        pending: document.pending.map(|text| key(text, "the pending key")).transpose()?,
        previous: document.previous.map(|text| key(text, "the previous key")).transpose()?,
    };
    if state.pending.is_some() && state.previous.is_some() {
        return Err(damaged("both a pending and a previous key"));
    }
    if [&state.pending, &state.previous].into_iter().flatten().any(|key| key.ct_eq(&state.current)) {
        return Err(damaged("one key twice"));
    }
    Ok(state)
}

const fn damaged(part: &'static str) -> StateError {
    StateError::Damaged { part }
}

#[derive(Deserialize)]
struct Header<'a> {
    format: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    format: &'a str,
    version: u32,
    machine_id: MachineId,
    epoch: u64,
    listen_port: u16,
    identity_seed: &'a str,
    current: &'a str,
    #[serde(borrow, deserialize_with = "Option::deserialize")]
    pending: Option<&'a str>,
    #[serde(borrow, deserialize_with = "Option::deserialize")]
    previous: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<'a> {
    #[serde(rename = "format")]
    _format: &'a str,
    version: u32,
    sealer: &'a str,
    sealed: &'a str,
}

const PLAIN: &str = "palisade-wg-machine";
const SEALED: &str = "palisade-wg-machine-sealed";
