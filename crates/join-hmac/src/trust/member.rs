//! Members, their names, certificates and keys.

use core::fmt;

use core_types::{Fingerprint, RandomError, SecretBytes, SecureRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::error::{MemberError, WireError};
use crate::mac;
use crate::wire::{MAX_FRAME_LEN, Reader, Writer};

/// The most characters of a name or a role.
pub const MAX_NAME_LEN: usize = 63;
/// The most addresses of a member.
pub const MAX_ADDRESSES: usize = 8;
/// The most characters of an address.
pub const MAX_ADDRESS_LEN: usize = 64;
/// The most bytes of a certificate.
pub const MAX_CERTIFICATE_LEN: usize = 2048;

/// Which cluster: 16 random bytes, drawn when it is founded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId([u8; 16]);

impl ClusterId {
    /// A new one.
    ///
    /// # Errors
    /// [`RandomError`].
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, RandomError> {
        let mut bytes = [0; 16];
        rng.fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The one of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Which member: the first half of the SHA-256 digest of its public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId([u8; 16]);

impl MemberId {
    /// The member with this key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        let mut id = [0; 16];
        let digest = mac::Parts::new("palisade-join/1 member").with(&key.0).value();
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(id)
    }

    /// The member of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A member's public key: Ed25519 (RFC 8032). It signs the member's part of a join and its entries of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key of these bytes; whether it is one shows when it verifies something.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn verifies(&self, digest: &mac::Digest, signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(digest, signature).is_ok()
    }

    /// As a name among tombstones.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::from_sha256(mac::Parts::new("palisade-join/1 key").with(&self.0).value())
    }
}

/// A member's private key; erased on drop, never printed.
pub struct MemberKey {
    seed: SecretBytes<32>,
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl MemberKey {
    /// A new one.
    ///
    /// # Errors
    /// [`MemberError::Random`], [`MemberError::Key`].
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, MemberError> {
        Self::from_seed(SecretBytes::generate(rng)?)
    }

    /// The one of this seed (RFC 8032 5.1.5).
    ///
    /// # Errors
    /// [`MemberError::Key`].
    pub fn from_seed(seed: SecretBytes<32>) -> Result<Self, MemberError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose_secret()).map_err(|_| MemberError::Key)?;
        let mut public = PublicKey([0; 32]);
        public.0.copy_from_slice(pair.public_key().as_ref());
        Ok(Self { seed, pair, public })
    }

    /// Its seed, to be stored where only the member reads it.
    #[must_use]
    pub fn expose_seed(&self) -> &[u8; 32] {
        self.seed.expose_secret()
    }

    /// Its public half.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    pub(crate) fn sign(&self, digest: &mac::Digest) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(digest).as_ref());
        signature
    }
}

impl fmt::Debug for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberKey({}, redacted)", MemberId::of(&self.public))
    }
}

/// A certificate as its bytes, DER (RFC 5280). It is pinned whole and never looked into: that its key is held is proven
/// by the TLS handshake that the join is bound to.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Box<[u8]>,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// The certificate.
    ///
    /// # Errors
    /// [`MemberError::Certificate`] when it is empty or longer than [`MAX_CERTIFICATE_LEN`].
    pub fn new(der: &[u8]) -> Result<Self, MemberError> {
        if der.is_empty() || der.len() > MAX_CERTIFICATE_LEN {
            return Err(MemberError::Certificate { limit: MAX_CERTIFICATE_LEN });
        }
        Ok(Self { der: der.into(), fingerprint: Fingerprint::of(der) })
    }

    /// Its bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The SHA-256 digest of its bytes.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.fingerprint)
    }
}

/// What a machine is: its key and its certificate.
#[derive(Debug)]
pub struct Identity {
    key: MemberKey,
    certificate: Certificate,
}

impl Identity {
    /// The machine with this key and this certificate.
    #[must_use]
    pub const fn new(key: MemberKey, certificate: Certificate) -> Self {
        Self { key, certificate }
    }

    /// Its key.
    #[must_use]
    pub const fn key(&self) -> &MemberKey {
        &self.key
    }

    /// Its certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// What a machine says of itself when it joins: what an operator is shown, what is signed, and what is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberEntry {
    name: Box<str>,
    role: Box<str>,
    addresses: Vec<Box<str>>,
    certificate: Certificate,
    key: PublicKey,
}

impl MemberEntry {
    /// The entry. Name and role: 1 to [`MAX_NAME_LEN`] of `[a-z0-9.-]`, a letter or digit at both ends. Addresses:
    /// up to [`MAX_ADDRESSES`] of 1 to [`MAX_ADDRESS_LEN`] characters of `[A-Za-z0-9.:-]` and brackets.
    ///
    /// # Errors
    /// [`MemberError::Name`], [`MemberError::Address`].
    pub fn new(name: &str, role: &str, addresses: &[&str], identity: &Identity) -> Result<Self, MemberError> {
        Self::build(name, role, addresses, identity.certificate.clone(), identity.key.public())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its role.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Where it is reached.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.addresses.iter().map(|address| &**address)
    }

    /// Its certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its public key.
    #[must_use]
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> MemberId {
        MemberId::of(&self.key)
    }

    /// Its one encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        Writer::new(KIND)
            .field(1, self.name.as_bytes())
            .field(2, self.role.as_bytes())
            .list(3, self.addresses.iter().map(|address| address.as_bytes()))
            .field(4, self.certificate.der())
            .field(5, &self.key.0)
            .finish()
    }

    /// Reads the encoding.
    ///
    /// # Errors
    /// [`MemberError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MemberError> {
        let mut reader = Reader::new(bytes, KIND, MAX_FRAME_LEN)?;
        let (name, role) = (reader.text(1)?, reader.text(2)?);
        let addresses = reader.list(3, MAX_ADDRESSES)?;
        let addresses: Vec<&str> = addresses
            .into_iter()
            .map(core::str::from_utf8)
            .collect::<Result<_, _>>()
            .map_err(|_| WireError::Field { tag: 3 })?;
        let certificate = Certificate::new(reader.field(4)?)?;
        let key = PublicKey(reader.array(5)?);
        reader.finish()?;
        Self::build(name, role, &addresses, certificate, key)
    }

    pub(super) fn set_certificate(&mut self, certificate: Certificate) {
        self.certificate = certificate;
    }

    fn build(
        name: &str,
        role: &str,
        addresses: &[&str],
        certificate: Certificate,
        key: PublicKey,
    ) -> Result<Self, MemberError> {
        check_name(name)?;
        check_name(role)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte);
        let fits = |text: &&str| (1..=MAX_ADDRESS_LEN).contains(&text.len()) && text.bytes().all(plain);
        if addresses.len() > MAX_ADDRESSES || !addresses.iter().all(fits) {
            return Err(MemberError::Address);
        }
        let addresses = addresses.iter().map(|&address| address.into()).collect();
        Ok(Self { name: name.into(), role: role.into(), addresses, certificate, key })
    }
}

/// A member of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub(super) entry: MemberEntry,
    pub(super) next: Option<Certificate>,
    pub(super) since_epoch: u64,
}

impl Member {
    /// What it is; the certificate is the one in use.
    #[must_use]
    pub const fn entry(&self) -> &MemberEntry {
        &self.entry
    }

    /// The certificate that is accepted besides, while it is rotated.
    #[must_use]
    pub const fn next(&self) -> Option<&Certificate> {
        self.next.as_ref()
    }

    /// The epoch in which it was added.
    #[must_use]
    pub const fn since_epoch(&self) -> u64 {
        self.since_epoch
    }

    /// The leaf of the Merkle tree.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        Writer::new(MEMBER_KIND)
            .field(1, &self.entry.to_bytes())
            .optional(2, self.next.as_ref().map(Certificate::der))
            .field(3, &self.since_epoch.to_be_bytes())
            .finish()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, MemberError> {
        let mut reader = Reader::new(bytes, MEMBER_KIND, MAX_FRAME_LEN)?;
        let entry = MemberEntry::from_bytes(reader.field(1)?)?;
        let next = reader.optional(2)?.map(Certificate::new).transpose()?;
        let since_epoch = reader.number(3)?;
        reader.finish()?;
        Ok(Self { entry, next, since_epoch })
    }
}

pub(crate) fn check_name(name: &str) -> Result<(), MemberError> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let outer =
        |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let fits = (1..=MAX_NAME_LEN).contains(&name.len());
    if fits && name.bytes().all(inner) && outer(name.bytes().next()) && outer(name.bytes().next_back()) {
        Ok(())
    } else {
        Err(MemberError::Name)
    }
}

const KIND: u8 = 0x40;
const MEMBER_KIND: u8 = 0x41;
