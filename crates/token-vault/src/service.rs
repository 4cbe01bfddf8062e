//! Signed tokens between services: JWT (RFC 7519) by the rules of RFC 8725, short-lived and still revocable.
//!
//! ```text
//! base64url(header) '.' base64url(claims) '.' base64url(signature)        RFC 7515, compact, without padding
//! header   {"alg":"EdDSA","kid":"…","typ":"plsvc+jwt"}                    exactly these three
//! claims   {"iss":"…","sub":"usr_…","aud":"…","exp":…,"nbf":…,"iat":…,"jti":"…","rst":{…}}
//!          exactly these eight; times in whole seconds; "rst" is a restriction document
//! ```
//!
//! We sign by Ed25519 (RFC 8037) and also read ES256 (RFC 7518 3.4). The key decides the algorithm, never the
//! token. Nothing in a header is followed: `jku`, `jwk`, `x5u`, `crit` and whatever else it may hold is a reason
//! to refuse. ring makes and checks the signatures; everything else is in this module.

mod jwks;
mod text;
#[cfg(test)]
mod wycheproof;

use core::fmt;
use core::time::Duration;

use core_types::{Restriction, SecretBytes, SecureRandom, Subject, TokenId, UnixTime};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use state_store::Revision;
use zeroize::Zeroizing;

pub use self::jwks::{KeySet, MAX_JWKS_BYTES, MAX_KEYS};
use self::text::{Claims, Header, parse, split};
pub(crate) use self::text::{MAX_HEADER_LEN, SIGNATURE_LEN, TYPE, is_header, names};
use crate::base64url;
use crate::error::{RefusalReason as Reason, ServiceError};

/// The most characters of a signed token.
pub const MAX_SERVICE_TOKEN_LEN: usize = 8192;
/// The longest a signed token may live, whatever a verifier is told.
pub const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The most that clocks may differ in a signed token's favour.
pub const MAX_LEEWAY: Duration = Duration::from_secs(60);

/// The name of a key or of a signed token: 1 to 64 characters of `[A-Za-z0-9._~-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    text: Box<str>,
}

impl Name {
    /// The name.
    ///
    /// # Errors
    /// [`ServiceError::Name`].
    pub fn new(text: &str) -> Result<Self, ServiceError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        if (1..=MAX_NAME_LEN).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self { text: text.into() })
        } else {
            Err(ServiceError::Name)
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Signs tokens with one Ed25519 key.
pub struct ServiceSigner {
    id: Name,
    key: Ed25519KeyPair,
}

/// What a signed token is to say.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "a value callers build")]
pub struct ServiceRequest<'a> {
    /// Who signs: what verifiers expect in `iss`.
    pub issuer: &'a str,
    /// Who it is for: the one verifier that accepts it.
    pub audience: &'a str,
    /// Whose rights it uses.
    pub subject: Subject,
    /// What of them at most.
    pub restriction: Restriction,
    /// How long it lives, at most [`MAX_LIFETIME`].
    pub lifetime: Duration,
}

/// A signed token that was just made; erased on drop, its `Debug` redacted.
#[must_use]
pub struct SignedToken {
    text: Zeroizing<String>,
    id: Name,
    expires_at: UnixTime,
}

impl ServiceSigner {
    /// A signer whose Ed25519 private key is this seed (RFC 8032 5.1.5).
    ///
    /// # Errors
    /// [`ServiceError::Key`].
    pub fn new(id: Name, seed: &SecretBytes<32>) -> Result<Self, ServiceError> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed.expose_secret()).map_err(|_| ServiceError::Key)?;
        Ok(Self { id, key })
    }

    /// The key that verifies what this signs.
    #[must_use]
    pub fn verifying_key(&self) -> ServiceKey {
        let mut public = [0; 32];
        public.copy_from_slice(self.key.public_key().as_ref());
        ServiceKey { id: self.id.clone(), public: Public::Ed25519(public), retires_at: None }
    }

    /// Signs a token. Its times are in whole seconds; its end is rounded down.
    ///
    /// # Errors
    /// [`ServiceError::Claims`] when it would live too long or not at all, allow nothing, or its texts are
    /// empty or too long; [`ServiceError::Random`].
    pub fn sign(
        &self,
        request: &ServiceRequest<'_>,
        now: UnixTime,
        rng: &dyn SecureRandom,
    ) -> Result<SignedToken, ServiceError> {
        let fits = |text: &str| (1..=MAX_TEXT_LEN).contains(&text.len());
        let exp = now.saturating_add(request.lifetime).as_secs();
        let endless = request.lifetime > MAX_LIFETIME || exp <= now.as_secs();
        let nothing = matches!(request.restriction.grants(), core_types::Limit::Only([]));
        if endless || nothing || !fits(request.issuer) || !fits(request.audience) {
            return Err(ServiceError::Claims);
        }
        let jti = TokenId::generate(now, rng)?.to_string();
        let claims = Claims {
            iss: request.issuer.into(),
            sub: request.subject,
            aud: request.audience.into(),
            exp,
            nbf: now.as_secs(),
            iat: now.as_secs(),
            jti: jti.as_str().into(),
            rst: request.restriction.clone(),
        };
        let header = Header { alg: "EdDSA".into(), kid: self.id.text.clone(), typ: TYPE.into() };
        let json = |value: Result<String, serde_json::Error>| {
            value.map(|json| base64url::encode(json.as_bytes())).map_err(|_| ServiceError::Claims)
        };
        let header = json(serde_json::to_string(&header))?;
        let claims = json(serde_json::to_string(&claims))?;
        let mut text = Zeroizing::new(String::with_capacity(MAX_SERVICE_TOKEN_LEN));
        if header.len().saturating_add(claims.len()).saturating_add(SIGNATURE_ROOM) > MAX_SERVICE_TOKEN_LEN {
            return Err(ServiceError::Claims);
        }
        text.push_str(&header);
        text.push('.');
        text.push_str(&claims);
        let signature = base64url::encode(self.key.sign(text.as_bytes()).as_ref());
        text.push('.');
        text.push_str(&signature);
        Ok(SignedToken { text, id: Name::new(&jti)?, expires_at: UnixTime::from_secs(exp) })
    }
}

impl fmt::Debug for ServiceSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceSigner").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SignedToken {
    /// Hands the text to `show`, and erases it afterwards.
    pub fn expose_once<T>(self, show: impl FnOnce(&str) -> T) -> T {
        show(&self.text)
    }

    /// Its `jti`, by which it is revoked.
    #[must_use]
    pub const fn id(&self) -> &Name {
        &self.id
    }

    /// The first instant at which it is no longer valid.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }
}

impl fmt::Debug for SignedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedToken({})", self.id)
    }
}

/// A public key, its name, and the one algorithm it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceKey {
    id: Name,
    public: Public,
    retires_at: Option<UnixTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Public {
    Ed25519([u8; 32]),
    // 0x04 and both coordinates (SEC 1 2.3.3).
    P256([u8; 65]),
}

impl ServiceKey {
    /// An Ed25519 public key, for `EdDSA`.
    #[must_use]
    pub const fn ed25519(id: Name, public: [u8; 32]) -> Self {
        Self { id, public: Public::Ed25519(public), retires_at: None }
    }

    /// Its name: `kid`.
    #[must_use]
    pub const fn id(&self) -> &Name {
        &self.id
    }

    /// Accepted until this instant: so long as tokens live that it signed before its successor took over.
    #[must_use]
    pub const fn retiring(mut self, at: UnixTime) -> Self {
        self.retires_at = Some(at);
        self
    }

    fn algorithm(&self) -> &'static str {
        match self.public {
            Public::Ed25519(_) => "EdDSA",
            Public::P256(_) => "ES256",
        }
    }

    fn is_retired(&self, now: UnixTime) -> bool {
        self.retires_at.is_some_and(|at| now >= at)
    }

    /// Whether this key made the signature, which comes in base64url.
    fn check(&self, message: &str, signature: &str) -> Result<(), Reason> {
        let signature = base64url::decode(signature).ok_or(Reason::Malformed)?;
        let (algorithm, key): (&dyn VerificationAlgorithm, &[u8]) = match &self.public {
            Public::Ed25519(key) => (&ED25519, key),
            Public::P256(key) => (&ECDSA_P256_SHA256_FIXED, key),
        };
        let outcome = UnparsedPublicKey::new(algorithm, key).verify(message.as_bytes(), &signature);
        outcome.map_err(|_| Reason::Secret)
    }
}

/// Whose signed tokens are accepted, and for whom.
#[derive(Debug, Clone)]
pub struct ServiceVerifier {
    issuer: Box<str>,
    audience: Box<str>,
    keys: KeySet,
    lifetime: Duration,
    leeway: Duration,
}

/// A signed token of one of these keys, whatever its times and whomever it is for.
pub(crate) struct Recognized {
    pub(crate) key: Name,
    pub(crate) id: Name,
    pub(crate) subject: Subject,
    pub(crate) issued_at: UnixTime,
    pub(crate) expires_at: UnixTime,
    // Whether its key is no longer accepted.
    pub(crate) is_retired: bool,
}

/// Who signed a text that was found, and what it is.
pub(crate) fn recognize(keys: &KeySet, found: &str, now: UnixTime) -> Option<Recognized> {
    let (header, claims, message, signature) = split(found)?;
    let header: Header = parse(header).filter(|header: &Header| &*header.typ == TYPE)?;
    let key = keys.pinned(&header.kid, &header.alg)?;
    key.check(message, signature).ok()?;
    let claims: Claims = parse(claims)?;
    Some(Recognized {
        key: key.id.clone(),
        id: Name::new(&claims.jti).ok()?,
        subject: claims.sub,
        issued_at: UnixTime::from_secs(claims.iat),
        expires_at: UnixTime::from_secs(claims.exp),
        is_retired: key.is_retired(now),
    })
}

impl ServiceVerifier {
    /// Accepts tokens that `issuer` signed with one of `keys` for `audience`, living an hour at most, with ten
    /// seconds of difference between clocks.
    #[must_use]
    pub fn new(issuer: &str, audience: &str, keys: KeySet) -> Self {
        let (lifetime, leeway) = (Duration::from_secs(3600), Duration::from_secs(10));
        Self { issuer: issuer.into(), audience: audience.into(), keys, lifetime, leeway }
    }

    /// Another longest life, at most [`MAX_LIFETIME`].
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime.min(MAX_LIFETIME);
        self
    }

    /// Another difference between clocks, at most [`MAX_LEEWAY`]: a token may begin so much too early. It
    /// never ends too late.
    #[must_use]
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway.min(MAX_LEEWAY);
        self
    }

    /// Everything but revocation, which only a vault knows: see [`Vault::verify_service`](crate::Vault::verify_service).
    ///
    /// # Errors
    /// The reason, for operators.
    pub(crate) fn open(&self, presented: &str, now: UnixTime) -> Result<Opened, Reason> {
        let (header, claims, message, signature) = split(presented).ok_or(Reason::Malformed)?;
        let header: Header = parse(header).ok_or(Reason::Malformed)?;
        if &*header.typ != TYPE {
            return Err(Reason::Kind);
        }
        let key = self.keys.pinned(&header.kid, &header.alg).ok_or(Reason::Unknown)?;
        if key.is_retired(now) {
            return Err(Reason::Unknown);
        }
        key.check(message, signature)?;
        // Nothing of the claims was looked at before the signature held.
        let claims: Claims = parse(claims).ok_or(Reason::Malformed)?;
        if *claims.iss != *self.issuer || *claims.aud != *self.audience {
            return Err(Reason::Audience);
        }
        self.check_times(&claims, now)?;
        Ok(Opened {
            key: key.id.clone(),
            id: Name::new(&claims.jti).map_err(|_| Reason::Malformed)?,
            subject: claims.sub,
            issued_at: UnixTime::from_secs(claims.iat),
            restriction: claims.rst.expiring(UnixTime::from_secs(claims.exp)),
        })
    }

    fn check_times(&self, claims: &Claims, now: UnixTime) -> Result<(), Reason> {
        let soon = now.saturating_add(self.leeway);
        let begins = UnixTime::from_secs(claims.nbf.max(claims.iat));
        let lifetime = claims.exp.checked_sub(claims.iat).ok_or(Reason::Malformed)?;
        if lifetime > self.lifetime.as_secs() || claims.nbf >= claims.exp {
            return Err(Reason::Malformed);
        }
        if now >= UnixTime::from_secs(claims.exp) {
            return Err(Reason::Expired);
        }
        if begins > soon { Err(Reason::NotYet) } else { Ok(()) }
    }
}

/// What a signed token says, when its signature and its times hold.
pub(crate) struct Opened {
    pub(crate) key: Name,
    pub(crate) id: Name,
    pub(crate) subject: Subject,
    pub(crate) issued_at: UnixTime,
    pub(crate) restriction: Restriction,
}

/// Proof that a signed token is good; only a [`Vault`](crate::Vault) makes one.
#[derive(Debug, Clone)]
pub struct VerifiedServiceToken {
    pub(crate) opened: Box<OpenedParts>,
    pub(crate) revision: Revision,
}

#[derive(Debug, Clone)]
pub(crate) struct OpenedParts {
    pub(crate) id: Name,
    pub(crate) subject: Subject,
    pub(crate) restriction: Restriction,
}

impl VerifiedServiceToken {
    /// Its `jti`.
    #[must_use]
    pub fn id(&self) -> &Name {
        &self.opened.id
    }

    /// Whose rights are used.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.opened.subject
    }

    /// The upper bound on what may be done, and until when.
    #[must_use]
    pub fn restriction(&self) -> &Restriction {
        &self.opened.restriction
    }

    /// The token was good by everything the store held up to this revision.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }
}

const MAX_NAME_LEN: usize = 64;
const MAX_TEXT_LEN: usize = 256;
/// Two dots and a signature.
const SIGNATURE_ROOM: usize = 2 + SIGNATURE_LEN;
