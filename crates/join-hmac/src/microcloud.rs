//! MicroCloud's MAC over messages: for interoperation, and the only place where a passphrase keys a MAC.
//!
//! ```text
//! Authorization = VERSION SP SALTHEX ":" MACHEX               MacKind::Argon2
//!               | VERSION SP MACHEX                           MacKind::Plain: the secret is the key itself
//! key           = Argon2id v0x13 (RFC 9106), password = secret, salt, t = 3, m = 64 MiB, p = 4, 32 bytes
//! mac           = HMAC-SHA-256(key, body)                     over the raw bytes of the body, and nothing else
//! ```
//!
//! A sender serializes its body once and signs those bytes; a receiver checks the bytes it got and parses them
//! afterwards. Method, path, host and time are not covered.
//!
//! What a receiver accepts is a [`Mode`]:
//!
//! | | [`Strict`](Mode::Strict) | [`Lenient`](Mode::Lenient): what the reference verifier accepts |
//! |---|---|---|
//! | salt | 16 bytes, lower case | any whole number of bytes from 1 on, any case |
//! | MAC | 32 bytes, lower case | any case |
//! | header | one spelling | up to [`MAX_LENIENT_HEADER_LEN`] |
//! | body | up to [`MAX_BODY_LEN`] | up to [`MAX_LENIENT_BODY_LEN`] |
//!
//! Salts under 8 bytes are outside RFC 9106 3.1, and implementations of Argon2 refuse them; the reference verifier
//! takes them, and its own unit test has one of 3 bytes. Decided here: strict mode refuses them, lenient mode computes
//! them by an implementation of our own that is tested against the other one from 8 bytes on.
//!
//! Whoever gets one message and its MAC can try passphrases offline, at the cost of one Argon2id each. A generated
//! [`Passphrase`] has 41.36 bits: enough for an hour, not for a secret that stays. New designs use the crate's own join.

mod argon2id;
mod check;
mod header;
mod kdf;
mod passphrase;

pub use self::check::{Checked, MacSession, MacSigner, MacVerifier, PendingCheck, VerifiedMac};
pub use self::header::{
    MAC_LEN, MAX_LENIENT_HEADER_LEN, MAX_VERSION_LEN, MacHeader, MacKind, MacVersion, Mode, SALT_LEN,
};
pub use self::kdf::{KdfJob, KdfMemory, MAX_SECRET_LEN, MacKey, MacSecret};
pub use self::passphrase::{PASSPHRASE_WORDS, Passphrase};

/// The most bytes of a body that strict mode checks.
pub const MAX_BODY_LEN: usize = 1 << 20;

/// The most bytes of a body that lenient mode checks. The reference verifier has no bound of its own.
pub const MAX_LENIENT_BODY_LEN: usize = 64 << 20;
