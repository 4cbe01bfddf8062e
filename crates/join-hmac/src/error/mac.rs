use core_types::RandomError;

/// Why an `Authorization` value is none of ours. The remote side is told «refused», and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// There is no version, or it is no text that could be one.
    #[error("the version is missing or malformed")]
    Version,
    /// It is of another version than was expected.
    #[error("the header is of another version")]
    OtherVersion,
    /// There is no MAC.
    #[error("the MAC is missing")]
    NoMac,
    /// There is no salt.
    #[error("the salt is missing")]
    NoSalt,
    /// Salt or MAC are no hexadecimal digits, two a byte.
    #[error("salt or MAC are no hexadecimal digits")]
    Digits,
    /// The salt is not of 16 bytes (strict mode).
    #[error("a salt has 16 bytes, this one has {found}")]
    SaltLength {
        /// How many it has.
        found: usize,
    },
    /// The MAC is not of 32 bytes: it can be nothing's.
    #[error("a MAC has 32 bytes, this one has {found}")]
    MacLength {
        /// How many it has.
        found: usize,
    },
    /// The header is longer than any that could be accepted.
    #[error("a header has at most {limit} bytes")]
    TooLong {
        /// The most bytes.
        limit: usize,
    },
}

/// Why a key or a MAC could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MacError {
    /// The secret is too long.
    #[error("a secret has at most {limit} bytes")]
    SecretTooLong {
        /// The most bytes.
        limit: usize,
    },
    /// The salt is empty or too long.
    #[error("a salt has 1 to {limit} bytes")]
    Salt {
        /// The most bytes.
        limit: usize,
    },
    /// The memory of a derivation cannot be had: try again later.
    #[error("not enough memory to derive a key")]
    OutOfMemory,
    /// A derivation failed: a salt or a secret beyond what Argon2id takes.
    #[error("the key could not be derived")]
    Derivation,
    /// The random source failed.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Why a message was refused. The remote side is told «refused», and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MacRefusal {
    /// The header is not in order.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The body is too long.
    #[error("a body has at most {limit} bytes")]
    BodyTooLong {
        /// The most bytes.
        limit: usize,
    },
    /// Header, key and verifier do not belong together: a mistake of the caller's.
    #[error("the key is not the one for this header")]
    Kind,
    /// The MAC is wrong: another secret, or another body.
    #[error("the MAC is wrong")]
    Mac,
    /// The session has derived as many keys as it may.
    #[error("the session has no derivations left")]
    Budget,
    /// No key could be derived.
    #[error(transparent)]
    Key(#[from] MacError),
}

/// Why what was typed is no passphrase. The hint is for the person who typed it, and for no log.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// It does not have four words.
    #[error("a passphrase has four words")]
    Count {
        /// How many it has; `None` when it was too long to count.
        found: Option<usize>,
    },
    /// A word is not of the list.
    #[error("word {position} is not of the list")]
    Word {
        /// Which, counted from 1.
        position: usize,
        /// The word that was probably meant: half a secret.
        meant: Option<&'static str>,
    },
}

impl PassphraseError {
    /// The word that was probably meant, for the person who typed it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Count { .. } => None,
            Self::Word { meant, .. } => *meant,
        }
    }
}

/// Without the hint.
impl core::fmt::Debug for PassphraseError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Count { found } => f.debug_struct("Count").field("found", found).finish(),
            Self::Word { position, .. } => {
                f.debug_struct("Word").field("position", position).finish_non_exhaustive()
            }
        }
    }
}
