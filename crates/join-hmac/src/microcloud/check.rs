//! Signing and checking messages.

use core::fmt;
use std::collections::VecDeque;

use core_types::SecureRandom;

use super::header::{MacHeader, MacKind, MacVersion, Mode, SALT_LEN};
use super::kdf::{KdfJob, KdfMemory, MacKey, MacSecret};
use super::{MAX_BODY_LEN, MAX_LENIENT_BODY_LEN};
use crate::error::{HeaderError, MacError, MacRefusal};

/// Signs messages with one key.
#[derive(Debug)]
pub struct MacSigner {
    version: MacVersion,
    key: MacKey,
}

impl MacSigner {
    /// Signs with the key that Argon2id derives from `secret` and 16 random bytes. One derivation, for as many
    /// messages as it signs.
    ///
    /// # Errors
    /// [`MacError`].
    pub fn argon2(
        version: MacVersion,
        secret: &MacSecret,
        memory: &mut KdfMemory,
        rng: &dyn SecureRandom,
    ) -> Result<Self, MacError> {
        let mut salt = [0; SALT_LEN];
        rng.fill(&mut salt)?;
        Self::argon2_with_salt(version, secret, &salt, memory)
    }

    /// Signs with the key that Argon2id derives from `secret` and this salt, to reproduce a message. Only salts of
    /// 16 bytes are accepted by strict receivers; a salt is never reused for another secret.
    ///
    /// # Errors
    /// [`MacError`].
    pub fn argon2_with_salt(
        version: MacVersion,
        secret: &MacSecret,
        salt: &[u8],
        memory: &mut KdfMemory,
    ) -> Result<Self, MacError> {
        if salt.is_empty() || salt.len() > MAX_SALT_LEN {
            return Err(MacError::Salt { limit: MAX_SALT_LEN });
        }
        Ok(Self { version, key: KdfJob::new(secret, salt).run(memory)? })
    }

    /// Signs with the secret itself, which must be random.
    #[must_use]
    pub fn plain(version: MacVersion, secret: &MacSecret) -> Self {
        Self { version, key: MacKey::plain(secret) }
    }

    /// The `Authorization` value for a body of exactly these bytes.
    #[must_use]
    pub fn sign(&self, body: &[u8]) -> MacHeader {
        MacHeader::new(self.version.clone(), self.key.salt().map(Into::into), self.key.sign(body))
    }
}

/// What a message must satisfy.
#[derive(Debug)]
pub struct MacVerifier {
    version: MacVersion,
    kind: MacKind,
    mode: Mode,
    secret: MacSecret,
}

/// The outcome of the cheap half of a check.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a key is needed, or it is there")]
pub enum Checked<'a> {
    /// A key must be derived: run the job, then [`finish`](PendingCheck::finish).
    Derive(KdfJob<'a>, PendingCheck<'a>),
    /// The key is at hand: [`finish`](PendingCheck::finish).
    Ready(MacKey, PendingCheck<'a>),
}

/// A message whose header is in order and whose MAC is yet to be checked.
#[derive(Debug)]
#[must_use = "nothing is verified before it is finished"]
pub struct PendingCheck<'a> {
    header: &'a MacHeader,
    max_body_len: usize,
}

/// Proof that a body's MAC was right; only a check makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct VerifiedMac {
    body_len: usize,
}

impl MacVerifier {
    /// Accepts what was signed with `secret` under this version.
    #[must_use]
    pub const fn new(version: MacVersion, kind: MacKind, mode: Mode, secret: MacSecret) -> Self {
        Self { version, kind, mode, secret }
    }

    /// Reads a header. Costs no derivation, whatever is in it.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn read(&self, authorization: &[u8]) -> Result<MacHeader, HeaderError> {
        MacHeader::parse(authorization, &self.version, self.kind, self.mode)
    }

    /// The cheap half of a check: the header's kind and the body's length.
    ///
    /// # Errors
    /// [`MacRefusal::BodyTooLong`]; [`MacRefusal::Kind`] for a header that another verifier read.
    pub fn check<'a>(&'a self, header: &'a MacHeader, body_len: usize) -> Result<Checked<'a>, MacRefusal> {
        let pending = self.pending(header, body_len)?;
        Ok(match header.salt() {
            Some(salt) => Checked::Derive(KdfJob::new(&self.secret, salt), pending),
            None => Checked::Ready(MacKey::plain(&self.secret), pending),
        })
    }

    /// A whole check; at most one derivation, and none for what is refused before it.
    ///
    /// # Errors
    /// [`MacRefusal`]. The remote side is told nothing but that it was refused.
    pub fn verify(
        &self,
        authorization: &[u8],
        body: &[u8],
        memory: &mut KdfMemory,
    ) -> Result<VerifiedMac, MacRefusal> {
        let header = self.read(authorization)?;
        match self.check(&header, body.len())? {
            Checked::Derive(job, pending) => pending.finish(&job.run(memory)?, body),
            Checked::Ready(key, pending) => pending.finish(&key, body),
        }
    }

    fn pending<'a>(&self, header: &'a MacHeader, body_len: usize) -> Result<PendingCheck<'a>, MacRefusal> {
        let max_body_len = self.max_body_len();
        if body_len > max_body_len {
            return Err(MacRefusal::BodyTooLong { limit: max_body_len });
        }
        if header.version() != &self.version || header.kind() != self.kind {
            return Err(MacRefusal::Kind);
        }
        Ok(PendingCheck { header, max_body_len })
    }

    const fn max_body_len(&self) -> usize {
        match self.mode {
            Mode::Strict => MAX_BODY_LEN,
            Mode::Lenient => MAX_LENIENT_BODY_LEN,
        }
    }
}

impl PendingCheck<'_> {
    /// Checks the MAC of the body.
    ///
    /// # Errors
    /// [`MacRefusal::Mac`] when it is wrong, [`MacRefusal::Kind`] when the key is for another salt,
    /// [`MacRefusal::BodyTooLong`].
    pub fn finish(self, key: &MacKey, body: &[u8]) -> Result<VerifiedMac, MacRefusal> {
        if body.len() > self.max_body_len {
            return Err(MacRefusal::BodyTooLong { limit: self.max_body_len });
        }
        if key.salt() != self.header.salt() {
            return Err(MacRefusal::Kind);
        }
        outcome(key.verify(body, self.header.mac()), body)
    }
}

fn outcome(is_right: bool, body: &[u8]) -> Result<VerifiedMac, MacRefusal> {
    if is_right { Ok(VerifiedMac { body_len: body.len() }) } else { Err(MacRefusal::Mac) }
}

impl VerifiedMac {
    /// How many bytes were verified.
    #[must_use]
    pub const fn body_len(&self) -> usize {
        self.body_len
    }
}

/// The checks of one join session: it remembers keys by their salts, and derives no more than it may.
///
/// A header can make a receiver derive a key. A session does so once for each salt, keeps the last
/// [`CACHED_KEYS`](Self::CACHED_KEYS), and stops at its budget, so that nobody buys more than that with any number of
/// messages.
pub struct MacSession {
    verifier: MacVerifier,
    memory: Option<KdfMemory>,
    keys: VecDeque<MacKey>,
    derivations: u32,
    budget: u32,
}

impl MacSession {
    /// Keys remembered.
    pub const CACHED_KEYS: usize = 8;

    /// A session that derives at most `budget` keys.
    #[must_use]
    pub const fn new(verifier: MacVerifier, budget: u32) -> Self {
        Self { verifier, memory: None, keys: VecDeque::new(), derivations: 0, budget }
    }

    /// Checks a message.
    ///
    /// # Errors
    /// [`MacRefusal`]; [`MacRefusal::Budget`] when it would need a derivation and none is left: begin a new session
    /// with a new passphrase.
    pub fn verify(&mut self, authorization: &[u8], body: &[u8]) -> Result<VerifiedMac, MacRefusal> {
        let header = self.verifier.read(authorization)?;
        let pending = self.verifier.pending(&header, body.len())?;
        let Some(salt) = header.salt() else {
            // The secret is the key: no copy of it is made.
            let key = self.verifier.secret.expose_secret();
            return outcome(crate::mac::verify(key, body, header.mac()), body);
        };
        let job = KdfJob::new(&self.verifier.secret, salt);
        if let Some(key) = self.keys.iter().find(|key| key.salt() == header.salt()) {
            return pending.finish(key, body);
        }
        if self.derivations >= self.budget {
            return Err(MacRefusal::Budget);
        }
        let memory = match &mut self.memory {
            Some(memory) => memory,
            none => none.insert(KdfMemory::new()?),
        };
        // Counted before it is run: what fails has cost as much.
        self.derivations = self.derivations.saturating_add(1);
        let key = job.run(memory)?;
        let verdict = pending.finish(&key, body);
        if self.keys.len() >= Self::CACHED_KEYS {
            self.keys.pop_front();
        }
        self.keys.push_back(key);
        verdict
    }

    /// How many keys were derived.
    #[must_use]
    pub const fn derivations(&self) -> u32 {
        self.derivations
    }
}

impl fmt::Debug for MacSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MacSession")
            .field("verifier", &self.verifier)
            .field("derivations", &self.derivations)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

const MAX_SALT_LEN: usize = 1024;
