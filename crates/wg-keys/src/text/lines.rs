//! Values in lines, and what is wrong with them.

use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;
use std::sync::Arc;

use crate::config::{MAX_TEXT_BYTES, Prefix};
use crate::error::{KeyError, TextError};
use crate::key::{PresharedKey, PrivateKey, PublicKey};

/// The number of a line, for errors about it.
#[derive(Clone, Copy)]
pub(super) struct LineNumber(pub(super) usize);

impl LineNumber {
    pub(super) const fn wrong(self, what: &'static str) -> TextError {
        TextError::Line { line: self.0, what }
    }

    pub(super) const fn key(self, error: KeyError) -> TextError {
        TextError::Key { line: self.0, error }
    }

    pub(super) fn public_key(self, text: &str) -> Result<PublicKey, TextError> {
        text.parse().map_err(|error| self.key(error))
    }

    pub(super) fn private_key(self, text: &str) -> Result<Arc<PrivateKey>, TextError> {
        PrivateKey::parse(text).map(Arc::new).map_err(|error| self.key(error))
    }

    pub(super) fn preshared_key(self, text: &str) -> Result<Arc<PresharedKey>, TextError> {
        PresharedKey::parse(text).map(Arc::new).map_err(|error| self.key(error))
    }

    pub(super) fn number<N: FromStr>(self, text: &str) -> Result<N, TextError> {
        // Digits only: the standard library also reads a plus sign.
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.wrong("not a number"));
        }
        text.parse().map_err(|_| self.wrong("not a number, or one that is too large"))
    }

    pub(super) fn prefix(self, text: &str) -> Result<Prefix, TextError> {
        Prefix::read(text).map_err(|_| self.wrong("not a prefix"))
    }

    /// An address and a port. Of a link-local address the interface may be named; a name that is no number is left
    /// out, for only the machine itself knows which it is.
    pub(super) fn endpoint(self, text: &str) -> Result<SocketAddr, TextError> {
        let endpoint = match (text.parse(), text.split_once('%')) {
            (Ok(endpoint), _) => endpoint,
            (Err(_), Some((address, zone_and_port))) => {
                let port = zone_and_port.rsplit_once("]:").map(|(_, port)| port);
                let address: Option<IpAddr> = address.strip_prefix('[').and_then(|text| text.parse().ok());
                match (address, port.map(|port| self.number(port))) {
                    (Some(address @ IpAddr::V6(_)), Some(Ok(port))) => SocketAddr::new(address, port),
                    _ => return Err(self.wrong("not an address and a port")),
                }
            }
            (Err(_), None) => return Err(self.wrong("not an address and a port")),
        };
        if endpoint.port() == 0 { Err(self.wrong("port 0")) } else { Ok(endpoint) }
    }
}

/// The lines of a text with their numbers.
pub(super) fn numbered(text: &str) -> Result<impl Iterator<Item = (LineNumber, &str)>, TextError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(TextError::TooLong);
    }
    Ok((1..).map(LineNumber).zip(text.lines()))
}
