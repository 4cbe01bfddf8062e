//! A machine's word about its key.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use base64ct::{Base64, Encoding as _};
use blake2::digest::Digest as _;
use core_types::{MachineId, UnixTime};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{IdentityKey, RecordSigner};
use crate::config::Prefix;
use crate::error::{KeyError, RecordError, Refusal};
use crate::key::PublicKey;
use crate::state::MAX_EPOCH;

/// Endpoints of a record, at most.
pub const MAX_ENDPOINTS: usize = 8;

/// Prefixes of a record, at most.
pub const MAX_RECORD_PREFIXES: usize = 32;

/// What a record says; signed, it is a [`SignedRecord`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRecord {
    /// Whose key it is.
    pub machine: MachineId,
    /// The number of the machine's record, from 1. A record with the key of the one before only says something else anew.
    pub epoch: u64,
    /// The key.
    pub public: PublicKey,
    /// The key of the record before, and that record's hash.
    pub previous: Option<(PublicKey, RecordHash)>,
    /// What preshared keys are agreed on with.
    pub agreement: PublicKey,
    /// Before this it says nothing.
    pub not_before: UnixTime,
    /// By then there should be another one. The last key that works is never given up for this.
    pub expires: UnixTime,
    /// Where the machine can be reached, the best first.
    pub endpoints: Vec<SocketAddr>,
    /// Prefixes besides the machine's address, ascending.
    pub prefixes: Vec<Prefix>,
}

impl KeyRecord {
    /// A machine's first record, without endpoints and prefixes.
    #[must_use]
    pub const fn first(
        machine: MachineId,
        public: PublicKey,
        agreement: PublicKey,
        (not_before, expires): (UnixTime, UnixTime),
    ) -> Self {
        Self {
            machine,
            epoch: 1,
            public,
            previous: None,
            agreement,
            not_before,
            expires,
            endpoints: Vec::new(),
            prefixes: Vec::new(),
        }
    }

    /// The record after `prior`: of the same machine, endpoints and prefixes.
    #[must_use]
    pub fn after(
        prior: &SignedRecord,
        public: PublicKey,
        (not_before, expires): (UnixTime, UnixTime),
    ) -> Self {
        let record = prior.record();
        Self {
            epoch: record.epoch.saturating_add(1),
            public,
            previous: Some((record.public, prior.hash())),
            not_before,
            expires,
            ..record.clone()
        }
    }

    /// Reachable there.
    #[must_use]
    pub fn with_endpoints(mut self, endpoints: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.endpoints = endpoints.into_iter().collect();
        self
    }

    /// With these prefixes, in order.
    #[must_use]
    pub fn with_prefixes(mut self, prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        self.prefixes = prefixes.into_iter().collect();
        self.prefixes.sort_unstable();
        self.prefixes.dedup();
        self
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`RecordError`] when it is none, or the signer fails or speaks for another machine.
    pub fn sign(self, signer: &dyn RecordSigner) -> Result<SignedRecord, RecordError> {
        if signer.machine() != self.machine {
            return Err(RecordError::Signer);
        }
        let mut bytes = self.body();
        let signature = signer.sign(&bytes)?;
        bytes.extend_from_slice(&signature);
        // What readers would refuse is refused here.
        SignedRecord::parse(&bytes)
    }

    fn body(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(DOMAIN);
        bytes.extend_from_slice(&self.machine.to_bytes());
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        bytes.extend_from_slice(&self.public.to_bytes());
        let (previous, chain) =
            self.previous.map_or(([0; 32], [0; 32]), |(key, hash)| (key.to_bytes(), hash.0));
        bytes.extend_from_slice(&previous);
        bytes.extend_from_slice(&chain);
        bytes.extend_from_slice(&self.agreement.to_bytes());
        bytes.extend_from_slice(&self.not_before.as_millis().to_be_bytes());
        bytes.extend_from_slice(&self.expires.as_millis().to_be_bytes());
        // One that does not fit is more than a reader takes.
        bytes.push(u8::try_from(self.endpoints.len()).unwrap_or(u8::MAX));
        for endpoint in &self.endpoints {
            push_address(&mut bytes, endpoint.ip());
            bytes.extend_from_slice(&endpoint.port().to_be_bytes());
        }
        bytes.push(u8::try_from(self.prefixes.len()).unwrap_or(u8::MAX));
        for prefix in &self.prefixes {
            push_address(&mut bytes, prefix.address());
            bytes.push(prefix.len());
        }
        bytes
    }
}

/// BLAKE2s-256 of a whole record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordHash([u8; 32]);

/// A record and a signature that nobody has looked at yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRecord {
    record: KeyRecord,
    // INVARIANT: the encoding of `record`, and 64 bytes.
    bytes: Box<[u8]>,
}

impl SignedRecord {
    /// The record of these bytes.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let (body, _) = bytes.split_last_chunk::<64>().ok_or(RecordError::Form)?;
        let mut reader = Reader(body);
        let record = reader.record()?;
        if !reader.0.is_empty() {
            return Err(RecordError::Form);
        }
        Ok(Self { record, bytes: bytes.into() })
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says, if it is who it says.
    #[must_use]
    pub const fn record(&self) -> &KeyRecord {
        &self.record
    }

    /// The hash that the next record names.
    #[must_use]
    pub fn hash(&self) -> RecordHash {
        RecordHash(blake2::Blake2s256::digest(&self.bytes).into())
    }

    /// Whether this identity signed it.
    ///
    /// # Errors
    /// [`Refusal::Signature`].
    pub fn verify(self, identity: IdentityKey) -> Result<VerifiedRecord, Refusal> {
        let (body, signature) = self.bytes.split_last_chunk::<64>().ok_or(RecordError::Form)?;
        UnparsedPublicKey::new(&ED25519, identity.to_bytes())
            .verify(body, signature)
            .map_err(|_| Refusal::Signature)?;
        Ok(VerifiedRecord { signed: self })
    }
}

impl Serialize for SignedRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Base64::encode_string(&self.bytes))
    }
}

impl<'de> Deserialize<'de> for SignedRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes =
            Base64::decode_vec(&text).map_err(|_| serde::de::Error::custom("not canonical base64"))?;
        Self::parse(&bytes).map_err(serde::de::Error::custom)
    }
}

impl state_store::Record for SignedRecord {
    const KIND: &'static str = "wg-keys/key-record";
    const VERSION: u32 = 1;
}

/// A record that the machine's identity has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRecord {
    signed: SignedRecord,
}

impl VerifiedRecord {
    /// What it says.
    #[must_use]
    pub const fn record(&self) -> &KeyRecord {
        &self.signed.record
    }

    /// The record with its signature, for the next one to follow.
    #[must_use]
    pub const fn signed(&self) -> &SignedRecord {
        &self.signed
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn record(&mut self) -> Result<KeyRecord, RecordError> {
        if self.take::<{ DOMAIN.len() }>()? != *DOMAIN {
            return Err(RecordError::Form);
        }
        let machine = MachineId::from_bytes(self.take()?);
        let epoch = u64::from_be_bytes(self.take()?);
        if epoch == 0 || epoch > MAX_EPOCH {
            return Err(RecordError::Epoch);
        }
        let public = PublicKey::from_bytes(self.take()?)?;
        let previous: [u8; 32] = self.take()?;
        let chain: [u8; 32] = self.take()?;
        let previous = match (previous == [0; 32], chain == [0; 32]) {
            (true, true) => None,
            (false, false) => Some((PublicKey::from_bytes(previous)?, RecordHash(chain))),
            (true, false) | (false, true) => return Err(RecordError::Chain),
        };
        if previous.is_none() != (epoch == 1) {
            return Err(RecordError::Chain);
        }
        let agreement = PublicKey::from_bytes(self.take()?)?;
        let not_before = UnixTime::from_millis(u64::from_be_bytes(self.take()?));
        let expires = UnixTime::from_millis(u64::from_be_bytes(self.take()?));
        if expires <= not_before {
            return Err(RecordError::Dates);
        }
        let endpoints = self.endpoints()?;
        let prefixes = self.prefixes()?;
        Ok(KeyRecord {
            machine,
            epoch,
            public,
            previous,
            agreement,
            not_before,
            expires,
            endpoints,
            prefixes,
        })
    }

    fn endpoints(&mut self) -> Result<Vec<SocketAddr>, RecordError> {
        let count = self.count(MAX_ENDPOINTS).ok_or(RecordError::Endpoints)?;
        let mut endpoints = Vec::with_capacity(count);
        for _ in 0..count {
            let address = self.address()?;
            let endpoint = SocketAddr::new(address, u16::from_be_bytes(self.take()?));
            let mapped = matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
            if endpoint.port() == 0 || mapped || endpoints.contains(&endpoint) {
                return Err(RecordError::Endpoints);
            }
            endpoints.push(endpoint);
        }
        Ok(endpoints)
    }

    fn prefixes(&mut self) -> Result<Vec<Prefix>, RecordError> {
        let count = self.count(MAX_RECORD_PREFIXES).ok_or(RecordError::Prefixes)?;
        let mut prefixes: Vec<Prefix> = Vec::with_capacity(count);
        for _ in 0..count {
            let address = self.address()?;
            let [len] = self.take()?;
            let prefix = Prefix::new(address, len).map_err(|_| RecordError::Prefixes)?;
            if prefixes.last().is_some_and(|last| *last >= prefix) {
                return Err(RecordError::Prefixes);
            }
            prefixes.push(prefix);
        }
        Ok(prefixes)
    }

    fn count(&mut self, most: usize) -> Option<usize> {
        let [count] = self.take().ok()?;
        Some(usize::from(count)).filter(|&count| count <= most)
    }

    fn address(&mut self) -> Result<IpAddr, RecordError> {
        match self.take()? {
            [4] => Ok(Ipv4Addr::from(self.take::<4>()?).into()),
            [6] => Ok(Ipv6Addr::from(self.take::<16>()?).into()),
            _ => Err(RecordError::Form),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(RecordError::Form)?;
        self.0 = rest;
        Ok(*taken)
    }
}

fn push_address(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            bytes.push(4);
            bytes.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            bytes.push(6);
            bytes.extend_from_slice(&address.octets());
        }
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self::Record(error.into())
    }
}

const DOMAIN: &[u8; 27] = b"palisade/wg-keys/record/v1\0";
