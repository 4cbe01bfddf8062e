//! Public keys: one line of text, one key, one spelling.
//!
//! A line is `type base64 [comment]` as `ssh-keygen` writes it into a `.pub` file (OpenSSH's `sshd(8)`, section
//! «AUTHORIZED_KEYS FILE FORMAT», without options). Blanks (space, tab) may stand before and between the parts, and
//! line ends at the end of the text. The base64 is canonical and padded (RFC 4648 4). It holds the key's blob
//! (RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4, OpenSSH's `PROTOCOL.u2f`): length-prefixed fields, the first of which
//! repeats the type, no byte more. Every number is minimal and not negative (RFC 4251 5). So a key has one blob, and
//! one fingerprint.
//!
//! Parsing says that a text *is* a key; whether to trust it is for [`admission`](crate::admission).

mod blob;
mod line;
mod wire;

use core::fmt;

use core_types::Fingerprint;
use core_types::fingerprint::Md5Fingerprint;
use md5::{Digest, Md5};

use self::blob::Shape;
use crate::error::KeyError;
use crate::name::{Comment, LineComment};

/// The most bytes an upload may have. The longest key there is, RSA with 16384 bits, needs 2.8 kB.
pub const MAX_LINE_BYTES: usize = 16 * 1024;

/// The most bits an RSA number may have: what OpenSSH reads.
pub const MAX_RSA_BITS: u32 = 16384;

/// A type of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeyType {
    /// `ssh-ed25519` (RFC 8709).
    Ed25519,
    /// `ssh-rsa` (RFC 4253 6.6), whatever algorithm it signs with.
    Rsa,
    /// `ecdsa-sha2-nistp256` (RFC 5656).
    EcdsaP256,
    /// `ecdsa-sha2-nistp384` (RFC 5656).
    EcdsaP384,
    /// `ecdsa-sha2-nistp521` (RFC 5656).
    EcdsaP521,
    /// `sk-ssh-ed25519@openssh.com`: Ed25519 on a FIDO security key.
    SkEd25519,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`: ECDSA on a FIDO security key.
    SkEcdsaP256,
    /// `ssh-mldsa44-ed25519@openssh.com`: ML-DSA-44 and Ed25519 together, both of which must sign
    /// (draft-miller-sshm-mldsa44-ed25519-composite-sigs-00).
    MlDsa44Ed25519,
}

impl KeyType {
    /// Every type there is.
    pub const ALL: [Self; 8] = [
        Self::Ed25519,
        Self::Rsa,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
        Self::SkEd25519,
        Self::SkEcdsaP256,
        Self::MlDsa44Ed25519,
    ];

    /// Its name in a line and in a blob.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::Rsa => "ssh-rsa",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::EcdsaP384 => "ecdsa-sha2-nistp384",
            Self::EcdsaP521 => "ecdsa-sha2-nistp521",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
            Self::MlDsa44Ed25519 => "ssh-mldsa44-ed25519@openssh.com",
        }
    }

    /// Whether its private half lies on a FIDO security key.
    #[must_use]
    pub const fn is_security_key(self) -> bool {
        matches!(self, Self::SkEd25519 | Self::SkEcdsaP256)
    }

    /// The type of this name, compared exactly.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A well-formed public key; nothing says yet that it is a safe one.
///
/// Equal when the blobs are equal; a comment is no part of it. `Display` is the canonical line without a comment.
///
/// ```
/// use sshkey_registry::PublicKey;
/// let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHXZHXXdSsdymvNonZUOsatzbPbl2r/6NwQfy8TLkmqC ada@laptop\n";
/// let key = PublicKey::parse(line)?;
/// assert_eq!(line.strip_suffix(" ada@laptop\n"), Some(&*key.to_string()));
/// # Ok::<(), sshkey_registry::KeyError>(())
/// ```
#[derive(Clone)]
pub struct PublicKey {
    // INVARIANT: `Shape::read(&blob) == shape`, so the blob is canonical.
    blob: Box<[u8]>,
    shape: Shape,
}

impl PublicKey {
    /// The key of a line; a comment is validated and dropped.
    ///
    /// # Errors
    /// [`KeyError`] when the line is not one key. The customer may be told the message.
    pub fn parse(line: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        KeyLine::parse(line).map(|line| line.key)
    }

    /// The key of a blob, the bytes that stand in base64 in a line.
    ///
    /// # Errors
    /// [`KeyError`] when the blob is not exactly one key.
    pub fn from_blob(blob: &[u8]) -> Result<Self, KeyError> {
        let shape = Shape::read(blob)?;
        Ok(Self { blob: blob.into(), shape })
    }

    /// Its type.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        self.shape.key_type()
    }

    /// Its size as `ssh-keygen -lf` prints it: an RSA modulus's true length, else the curve's.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.shape.bits(&self.blob)
    }

    /// The blob.
    #[must_use]
    pub fn as_blob(&self) -> &[u8] {
        &self.blob
    }

    /// The SHA-256 fingerprint, as `ssh-keygen -lf` prints it: the key's name within this crate.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.blob)
    }

    /// The MD5 fingerprint, as `ssh-keygen -E md5 -lf` prints it: for people to compare, never to decide by.
    #[must_use]
    pub fn md5_fingerprint(&self) -> Md5Fingerprint {
        Md5Fingerprint::from_md5(Md5::digest(&self.blob).into())
    }

    /// The canonical line, with a comment of our own making.
    #[must_use]
    pub fn to_openssh(&self, comment: &LineComment) -> String {
        format!("{self} {}", comment.as_str())
    }

    pub(crate) fn material(&self) -> Material<'_> {
        self.shape.material(&self.blob)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key_type().as_str())?;
        f.write_str(" ")?;
        line::write_base64(&self.blob, f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.key_type(), self.fingerprint())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.blob == other.blob
    }
}

impl Eq for PublicKey {}

impl core::hash::Hash for PublicKey {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.blob.hash(state);
    }
}

/// A line: a key, and what the customer wrote after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLine {
    key: PublicKey,
    comment: Option<Comment>,
}

impl KeyLine {
    /// The key and the comment of a line.
    ///
    /// Work and memory are linear in the line, which has at most [`MAX_LINE_BYTES`]; of a longer one only as much
    /// is looked at.
    ///
    /// # Errors
    /// [`KeyError`] when the line is not one key. The customer may be told the message.
    pub fn parse(line: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let line = line.as_ref();
        let parsed = Self::parse_public(line);
        // Of a private key nothing else is ever said. In a line that was accepted it could only be the comment.
        let suspect = match &parsed {
            Ok(parsed) => parsed.comment.as_ref().map_or(&[][..], |comment| comment.as_str().as_bytes()),
            Err(_) => line,
        };
        if line::holds_private_key(suspect) { Err(KeyError::PrivateKey) } else { parsed }
    }

    fn parse_public(line: &[u8]) -> Result<Self, KeyError> {
        let parts = line::Parts::of(line)?;
        let shape = Shape::read(&parts.blob)?;
        let key = PublicKey { blob: parts.blob.into_boxed_slice(), shape };
        if key.key_type() != parts.key_type {
            return Err(KeyError::TypeMismatch);
        }
        let comment = parts.comment.map(Comment::parse).transpose()?;
        Ok(Self { key, comment })
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The customer's comment, for showing.
    #[must_use]
    pub const fn comment(&self) -> Option<&Comment> {
        self.comment.as_ref()
    }

    /// The parts.
    #[must_use]
    pub fn into_parts(self) -> (PublicKey, Option<Comment>) {
        (self.key, self.comment)
    }
}

/// What admission looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Material<'a> {
    Ed25519 {
        point: &'a [u8],
    },
    /// Big-endian, without leading zeros.
    Rsa {
        exponent: &'a [u8],
        modulus: &'a [u8],
    },
    /// SEC 1 2.3.3, uncompressed and of the curve's length.
    Ecdsa {
        curve: Curve,
        point: &'a [u8],
    },
    SkEd25519 {
        point: &'a [u8],
        application: &'a [u8],
    },
    SkEcdsa {
        point: &'a [u8],
        application: &'a [u8],
    },
    /// Only the Ed25519 half has bytes that are no key.
    MlDsa44Ed25519 {
        point: &'a [u8],
    },
}

/// A NIST curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}
