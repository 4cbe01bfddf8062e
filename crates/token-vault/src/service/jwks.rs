use core_types::UnixTime;
use serde::{Deserialize, Serialize};

use super::{Name, Public, ServiceKey};
use crate::base64url;
use crate::error::ServiceError;

/// The most keys of a set.
pub const MAX_KEYS: usize = 64;
/// The most bytes of a JWKS document that are read.
pub const MAX_JWKS_BYTES: usize = 64 << 10;

/// The keys of an issuer: a JWKS document (RFC 7517 5).
///
/// Of a foreign document, keys for other purposes or algorithms are left out; a document that repeats a name,
/// or holds a private or a symmetric key, is refused as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet {
    // INVARIANT: no name twice, at most MAX_KEYS.
    keys: Vec<ServiceKey>,
}

impl KeySet {
    /// A set of these keys.
    ///
    /// # Errors
    /// [`ServiceError::Keys`] when there are too many, or two of one name.
    pub fn new(keys: impl IntoIterator<Item = ServiceKey>) -> Result<Self, ServiceError> {
        let mut set = Self::default();
        for key in keys {
            if set.get(key.id.as_str()).is_some() || set.keys.len() >= MAX_KEYS {
                return Err(ServiceError::Keys);
            }
            set.keys.push(key);
        }
        Ok(set)
    }

    /// The keys of a document.
    ///
    /// # Errors
    /// [`ServiceError::Keys`].
    pub fn from_jwks(document: &[u8]) -> Result<Self, ServiceError> {
        if document.len() > MAX_JWKS_BYTES {
            return Err(ServiceError::Keys);
        }
        let document: Document = crate::json::read(document).ok_or(ServiceError::Keys)?;
        if document.keys.len() > MAX_KEYS {
            return Err(ServiceError::Keys);
        }
        let mut keys = Vec::new();
        for key in document.keys {
            keys.extend(key.read()?);
        }
        Self::new(keys)
    }

    /// The document of the keys that are accepted at `now`.
    #[must_use]
    pub fn to_jwks(&self, now: UnixTime) -> String {
        let current = self.keys.iter().filter(|key| key.retires_at.is_none_or(|at| now < at));
        let document = Document { keys: current.map(Jwk::of).collect() };
        serde_json::to_string(&document).unwrap_or_default()
    }

    /// The keys.
    pub fn iter(&self) -> impl Iterator<Item = &ServiceKey> {
        self.keys.iter()
    }

    /// The key of this name, if it is for this algorithm.
    pub(super) fn pinned(&self, id: &str, algorithm: &str) -> Option<&ServiceKey> {
        self.get(id).filter(|key| key.algorithm() == algorithm)
    }

    fn get(&self, id: &str) -> Option<&ServiceKey> {
        self.keys.iter().find(|key| key.id.as_str() == id)
    }
}

#[derive(Serialize, Deserialize)]
struct Document {
    keys: Vec<Jwk>,
}

/// A key as RFC 7517 and RFC 8037 write it; members we do not know say nothing to us.
#[derive(Serialize, Deserialize)]
struct Jwk {
    kty: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<Box<str>>,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    purpose: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_ops: Option<Vec<Box<str>>>,
    #[serde(skip_serializing)]
    d: Option<serde::de::IgnoredAny>,
    #[serde(skip_serializing)]
    k: Option<serde::de::IgnoredAny>,
}

impl Jwk {
    fn of(key: &ServiceKey) -> Self {
        let (kty, crv, x, y) = match &key.public {
            Public::Ed25519(x) => ("OKP", "Ed25519", base64url::encode(x), None),
            Public::P256(point) => {
                let coordinates = point.get(1..).unwrap_or(&[]);
                let (x, y) = coordinates.split_at_checked(32).unwrap_or((&[], &[]));
                ("EC", "P-256", base64url::encode(x), Some(base64url::encode(y).into()))
            }
        };
        Self {
            kty: kty.into(),
            crv: Some(crv.into()),
            x: Some(x.into()),
            y,
            kid: Some(key.id.as_str().into()),
            alg: Some(key.algorithm().into()),
            purpose: Some("sig".into()),
            key_ops: None,
            d: None,
            k: None,
        }
    }

    /// The key, `None` when it is not for us.
    fn read(self) -> Result<Option<ServiceKey>, ServiceError> {
        if self.d.is_some() || self.k.is_some() {
            return Err(ServiceError::Keys);
        }
        let verifies =
            self.key_ops.is_none_or(|operations| operations.iter().any(|name| &**name == "verify"));
        if self.purpose.is_some_and(|purpose| &*purpose != "sig") || !verifies {
            return Ok(None);
        }
        let crv = self.crv.as_deref().unwrap_or("");
        let fits = |algorithm: &str| self.alg.as_deref().is_none_or(|named| named == algorithm);
        let public = match (&*self.kty, crv) {
            ("OKP", "Ed25519") if fits("EdDSA") => Public::Ed25519(bytes(self.x.as_deref())?),
            ("EC", "P-256") if fits("ES256") => {
                let (x, y): ([u8; 32], [u8; 32]) = (bytes(self.x.as_deref())?, bytes(self.y.as_deref())?);
                let mut point = [4; 65];
                for (to, from) in point.iter_mut().skip(1).zip(x.iter().chain(&y)) {
                    *to = *from;
                }
                Public::P256(point)
            }
            _ => return Ok(None),
        };
        let id = Name::new(self.kid.as_deref().unwrap_or(""))?;
        Ok(Some(ServiceKey { id, public, retires_at: None }))
    }
}

fn bytes(text: Option<&str>) -> Result<[u8; 32], ServiceError> {
    let bytes = text.and_then(base64url::decode).ok_or(ServiceError::Keys)?;
    bytes.try_into().map_err(|_| ServiceError::Keys)
}
