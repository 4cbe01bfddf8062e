//! The errors, one enum per family of operations.
//!
//! [`KeyError`], [`Refusal`] and [`NameError`] are written for the customer who uploaded the key: their messages
//! may be shown as they are. None of them carries a part of what was uploaded.

mod delivery;
mod registry;

use thiserror::Error;

pub use self::delivery::{BundleError, FileError, LineError, OptionsError, TrustError, UserDataError};
pub use self::registry::{AddError, PortError, RemoveError, RevokeError, RotateError, VmError};

use crate::key::KeyType;

/// Why an upload is not one public key in the form this crate accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Nothing but blanks.
    #[error("there is no key: paste the one line of your `.pub` file")]
    Empty,
    /// More bytes than [`MAX_LINE_BYTES`](crate::key::MAX_LINE_BYTES).
    #[error("longer than {limit} bytes: paste only the one line of your `.pub` file")]
    LineTooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// A private key. Nothing of it is kept or repeated; the customer should replace the key pair.
    #[error(
        "this is a private key: it was not stored, but treat it as exposed, make a new pair with `ssh-keygen` and upload the `.pub` file"
    )]
    PrivateKey,
    /// Bytes that are no UTF-8.
    #[error("not UTF-8 text: upload the `.pub` file as it is")]
    NotUtf8,
    /// A `#` before the key.
    #[error("the line is commented out: remove the `#` at its beginning")]
    CommentedOut,
    /// An RFC 4716 (`---- BEGIN SSH2 PUBLIC KEY ----`) file.
    #[error(
        "this is an RFC 4716 file: convert it with `ssh-keygen -i -f FILE` and upload the line that it prints"
    )]
    Rfc4716,
    /// A PEM file (RFC 7468).
    #[error(
        "this is a PEM file: convert it with `ssh-keygen -i -m PKCS8 -f FILE` and upload the line that it prints"
    )]
    Pem,
    /// A second key, on the same line or on another.
    #[error("more than one key: upload each key by itself")]
    SeveralKeys,
    /// Text after the first line that is no key.
    #[error("more than one line: upload only the one line of your `.pub` file")]
    SeveralLines,
    /// Options or other text before the key type.
    #[error(
        "there are options or other text before the key type: upload the key without them, beginning with `ssh-…`, `ecdsa-…` or `sk-…`"
    )]
    TextBeforeType,
    /// The key's base64 stands without its type.
    #[error("the key type is missing: the line must begin with `ssh-…`, `ecdsa-…` or `sk-…`")]
    TypeMissing,
    /// DSA.
    #[error(
        "DSA keys are broken and no longer supported by OpenSSH: make a new key with `ssh-keygen -t ed25519`"
    )]
    Dsa,
    /// A certificate.
    #[error("this is a certificate: upload the plain public key it was issued for")]
    Certificate,
    /// The name of a signature algorithm where a key type belongs.
    #[error("the line begins with the name of a signature algorithm: RSA keys have the type `ssh-rsa`")]
    SignatureAlgorithm,
    /// A key type that is not among [`KeyType`].
    #[error("unknown key type: make a key with `ssh-keygen -t ed25519`")]
    UnknownType,
    /// A type and nothing after it.
    #[error("the key itself is missing: the type must be followed by the text that begins with `AAAA`")]
    MaterialMissing,
    /// A character that is not of base64's alphabet (RFC 4648 4).
    #[error("the key is damaged: character {at} of its base64 is not allowed")]
    Base64Character {
        /// Which one, counted from 1.
        at: usize,
    },
    /// Base64 with a wrong length, wrong padding, or bits set that say nothing.
    #[error("the key is damaged: its base64 is cut off or padded wrongly")]
    Base64NotCanonical,
    /// A length inside the key that goes past its end.
    #[error("the key is damaged: it is cut off")]
    Truncated,
    /// Bytes after the last field of the key.
    #[error("the key is damaged: there are bytes after its end")]
    TrailingBytes,
    /// The type in the text is not the type inside the key.
    #[error("the key is damaged: the type at the beginning of the line is not the type inside the key")]
    TypeMismatch,
    /// The curve inside the key is not the curve of its type.
    #[error("the key is damaged: the curve inside the key is not the curve of its type")]
    CurveMismatch,
    /// A negative number (RFC 4251 5).
    #[error("the key is damaged: it holds a negative number")]
    NegativeInteger,
    /// A number with leading zeros (RFC 4251 5): the same key would have several fingerprints.
    #[error("the key is not in canonical form: it holds a number with leading zeros")]
    IntegerNotMinimal,
    /// An RSA number of more than [`MAX_RSA_BITS`](crate::key::MAX_RSA_BITS) bits.
    #[error("the RSA key is longer than {limit} bits")]
    RsaTooLong {
        /// The bound.
        limit: u32,
    },
    /// An Ed25519 or ML-DSA key of another length than the type's.
    #[error("the key is damaged: its length is not the length of its type")]
    WrongLength,
    /// An ECDSA point in compressed or hybrid form, which sshd does not accept.
    #[error("the ECDSA point is not in uncompressed form, the only one that sshd accepts")]
    PointForm,
    /// The point at infinity, which is no key.
    #[error("the ECDSA point is the point at infinity, which is no key")]
    PointAtInfinity,
    /// A security key's application with characters that are not printable ASCII.
    #[error("the security key's application has characters that are not printable ASCII")]
    ApplicationCharacter,
    /// A comment of more than [`Comment::MAX_BYTES`](crate::Comment::MAX_BYTES).
    #[error("the comment after the key is longer than {limit} bytes: shorten it")]
    CommentTooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// A control, line-separating, invisible or direction-changing character in the comment.
    #[error("the comment after the key has a control or invisible character: remove it")]
    CommentCharacter,
}

/// Why a well-formed key is not admitted: someone without the private key could log in with it, or the policy
/// does not want its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The policy does not admit this type.
    #[error("keys of type `{0}` are not accepted here: make a key with `ssh-keygen -t ed25519`", key_type.as_str())]
    TypeNotAccepted {
        /// The type.
        key_type: KeyType,
    },
    /// An RSA modulus shorter than the policy's minimum.
    #[error(
        "the RSA key has {bits} bits, at least {minimum} are needed: make a new one with `ssh-keygen -t rsa -b 3072`, or better `ssh-keygen -t ed25519`"
    )]
    RsaTooShort {
        /// Its true length in bits.
        bits: u32,
        /// The policy's minimum.
        minimum: u32,
    },
    /// An RSA modulus longer than the policy's maximum.
    #[error("the RSA key has {bits} bits, at most {maximum} are accepted")]
    RsaTooLong {
        /// Its true length in bits.
        bits: u32,
        /// The policy's maximum.
        maximum: u32,
    },
    /// A public exponent of 0, 1 or 2.
    #[error("the RSA key's public exponent is less than 3: anyone could sign in its name")]
    RsaExponentTooSmall,
    /// An even public exponent.
    #[error("the RSA key's public exponent is even: it is no RSA key")]
    RsaExponentEven,
    /// A public exponent of 2³² or more; every key whose private exponent is small has such a one.
    #[error(
        "the RSA key's public exponent is 2^32 or greater: its private exponent may be small enough to compute"
    )]
    RsaExponentTooLarge,
    /// A public exponent that is not less than the modulus.
    #[error("the RSA key's public exponent is not less than its modulus: it is no RSA key")]
    RsaExponentNotBelowModulus,
    /// An even modulus.
    #[error("the RSA key's modulus is even: anyone can compute its private key")]
    RsaModulusEven,
    /// A prime factor of 65537 or less.
    #[error("the RSA key's modulus has a small prime factor: anyone can compute its private key")]
    RsaSmallFactor,
    /// A modulus that is a square, a cube or a higher power.
    #[error("the RSA key's modulus is a power of a smaller number: anyone can compute its private key")]
    RsaPerfectPower,
    /// A prime modulus.
    #[error("the RSA key's modulus is a prime number: anyone can compute its private key")]
    RsaModulusPrime,
    /// Two factors so close that Fermat's method finds them.
    #[error("the RSA key's two prime factors are too close together: anyone can compute its private key")]
    RsaClosePrimes,
    /// A modulus that one exponentiation splits.
    #[error("the RSA key's modulus can be split with little work: anyone can compute its private key")]
    RsaFactorFound,
    /// Made by a library with the ROCA defect (CVE-2017-15361).
    #[error(
        "the RSA key was made by a smart card or token with the ROCA defect (CVE-2017-15361): its private key can be computed"
    )]
    RsaRoca,
    /// Bytes that are no point of the curve.
    #[error("the Ed25519 key is not a point of the curve: it is no key")]
    Ed25519NotOnCurve,
    /// A second spelling of a point (RFC 8032 5.1.3).
    #[error("the Ed25519 key is not in canonical form")]
    Ed25519NotCanonical,
    /// A point of order 1, 2, 4 or 8, for which one signature fits every message.
    #[error("the Ed25519 key is a point of small order: anyone could sign in its name")]
    Ed25519SmallOrder,
    /// Coordinates that are no point of the curve.
    #[error("the ECDSA key is not a point of the curve: it is no key")]
    EcdsaNotOnCurve,
    /// A security key's application that is not `ssh:` and printable ASCII.
    #[error(
        "the security key's application does not begin with `ssh:` or has characters that are not printable"
    )]
    SkApplication,
    /// The key is on a list of keys whose private half is known.
    #[error("the private half of this key is publicly known: make a new key with `ssh-keygen -t ed25519`")]
    KnownCompromised,
    /// The list of known keys did not answer: the key is refused until it does.
    #[error("the key cannot be checked at the moment: try again later")]
    KnownKeysUnavailable,
}

/// Why a text is not a name or a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is no text.
    #[error("the name is empty")]
    Empty,
    /// Too many characters.
    #[error("the name is longer than {limit} characters")]
    TooLong {
        /// The bound.
        limit: usize,
    },
    /// A character that is not allowed, or not there.
    #[error(
        "character {at} of the name is not allowed: use letters, digits and `.` `_` `@` `-`, and begin with a letter or digit"
    )]
    Character {
        /// Which one, counted from 1.
        at: usize,
    },
}

/// Why a policy was not built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Bounds on RSA outside 2048 to 16384 bits, or in the wrong order.
    #[error("the RSA bounds must lie between {minimum} and {maximum} bits, the lower one first")]
    RsaBounds {
        /// The least that can be asked for.
        minimum: u32,
        /// The most that can be asked for.
        maximum: u32,
    },
}

/// Why bytes are not a list of known keys. Nobody outside is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum BlockListError {
    /// No whole number of records: the file is cut off, or another file.
    #[error("the block list is not a whole number of records")]
    Length,
    /// No record at all: the file was never written.
    #[error("the block list is empty")]
    Empty,
    /// The records are not in ascending order, so that a search would miss some.
    #[error("the block list is not in order")]
    Order,
    /// The file cannot be read.
    #[error("the block list cannot be read: {0}")]
    Read(std::io::ErrorKind),
}
