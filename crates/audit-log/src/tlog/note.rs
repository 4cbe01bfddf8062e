//! Signed notes (c2sp.org/signed-note): a text, and lines that sign it.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding as _};
use core_types::{RandomError, SecretBytes, SecureRandom};
use ring::signature::{self, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::error::{NoteError, SignError};
use super::hash::{decode_base64, sha256};
use super::head::{MAX_ORIGIN_BYTES, Origin};

/// The most bytes of a note.
pub const MAX_NOTE_BYTES: usize = 128 << 10;

/// The most signatures of a note.
pub const MAX_SIGNATURES: usize = 64;

/// The most bytes of a key's name: that of a tree's key is the tree's origin.
pub const MAX_KEY_NAME_BYTES: usize = MAX_ORIGIN_BYTES;

/// The most bytes of the name of a log's key, with which the origins of its trees begin.
pub const MAX_LOG_NAME_BYTES: usize = 255;

/// A public key that verifies notes: Ed25519, with a name.
///
/// The text form is `NAME+ID+KEY`: the key's id in eight hexadecimal digits, and the base64 of a type byte (1, for
/// Ed25519) and the 32 bytes of the key. It is public; it must reach whoever verifies by a way they trust.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: Box<str>,
    public: [u8; 32],
}

impl VerifierKey {
    /// The key of this name.
    ///
    /// # Errors
    /// [`NoteError::Form`] when the name is empty, longer than [`MAX_KEY_NAME_BYTES`], or has spaces, control
    /// characters or a `+` in it.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, NoteError> {
        if is_key_name(name) {
            Ok(Self { name: name.into(), public })
        } else {
            Err(NoteError::Form { what: "name of a key" })
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id: the first four bytes of SHA-256 of its name, a line feed, its type and its bytes.
    #[must_use]
    pub fn id(&self) -> u32 {
        let hash = sha256(&[self.name.as_bytes(), b"\n", &[ED25519], &self.public]);
        hash.as_bytes().first_chunk().map_or(0, |id| u32::from_be_bytes(*id))
    }

    /// The key itself.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The same key under the name under which it signs the heads of this tree: the tree's origin. It is what a
    /// program that knows nothing of this crate is given.
    #[must_use]
    pub fn for_tree(&self, origin: &Origin) -> Self {
        self.renamed(&origin.to_string())
    }

    /// The same key under another name.
    pub(crate) fn renamed(&self, name: &str) -> Self {
        Self { name: name.into(), public: self.public }
    }

    /// A key that has signed nothing: its bytes are no point of the curve.
    pub(crate) fn nobody() -> Self {
        Self { name: "nobody".into(), public: [0xff; 32] }
    }

    fn is_signed(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&signature::ED25519, self.public).verify(text.as_bytes(), signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend_from_slice(&self.public);
        write!(f, "{}+{:08x}+{}", self.name, self.id(), Base64::encode_string(&key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let form = NoteError::Form { what: "verifier key: NAME+ID+KEY" };
        // A key may have a `+` in its base64, a name may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(form);
        };
        if key.len() > MAX_KEY_TEXT_BYTES {
            return Err(form);
        }
        let key = decode_base64(key).ok_or(form)?;
        let Some((&ED25519, public)) = key.split_first() else { return Err(form) };
        let read = Self::new(name, public.try_into().map_err(|_| form)?)?;
        // One spelling: this also compares the id.
        if read.to_string() == text { Ok(read) } else { Err(form) }
    }
}

/// Signs notes: a key in memory, in a device, behind a service.
///
/// # What a wrong answer breaks
/// A signature under any other text, or one that is given out to others, lets somebody vouch for a log that is
/// not this one.
pub trait Signer: Send + Sync {
    /// The public half.
    fn verifier(&self) -> &VerifierKey;

    /// Signs a text with Ed25519 (RFC 8032).
    ///
    /// # Errors
    /// [`SignError`]: nothing is published then.
    fn sign(&self, text: &[u8]) -> Result<[u8; 64], SignError>;
}

/// A signing key in memory.
pub struct Ed25519Signer {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl Ed25519Signer {
    /// The key of this name that grows out of this seed (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    /// [`NoteError::Form`] when the name is none of a key.
    pub fn from_seed(name: &str, seed: &SecretBytes<32>) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose_secret())
            .map_err(|_| NoteError::Form { what: "seed" })?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| NoteError::Form { what: "seed" })?;
        Ok(Self { pair, verifier: VerifierKey::new(name, public)? })
    }

    /// A seed for a new key.
    ///
    /// # Errors
    /// [`RandomError`] when `rng` fails.
    pub fn generate_seed(rng: &dyn SecureRandom) -> Result<SecretBytes<32>, RandomError> {
        SecretBytes::generate(rng)
    }
}

impl Signer for Ed25519Signer {
    fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    fn sign(&self, text: &[u8]) -> Result<[u8; 64], SignError> {
        self.pair.sign(text).as_ref().try_into().map_err(|_| SignError)
    }
}

impl fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519Signer").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

/// A text and the lines that sign it. Nothing of it is to be believed before [`verify`](Self::verify).
///
/// Lines of others (witnesses, other keys) are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    // Ends in a line feed.
    text: Box<str>,
    signatures: Vec<NoteSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NoteSignature {
    name: Box<str>,
    id: u32,
    bytes: Vec<u8>,
}

impl SignedNote {
    /// Signs a text in the name that is its first line. It must end in a line feed and hold no other control
    /// character.
    ///
    /// # Errors
    /// [`SignError`].
    pub(crate) fn sign(text: String, signer: &dyn Signer) -> Result<Self, SignError> {
        let bytes = signer.sign(text.as_bytes())?.to_vec();
        let key = signer.verifier().renamed(text.lines().next().unwrap_or_default());
        let signature = NoteSignature { id: key.id(), name: key.name, bytes };
        Ok(Self { text: text.into(), signatures: vec![signature] })
    }

    /// The text, if this key has signed it.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`], [`NoteError::Signature`].
    pub fn verify(&self, key: &VerifierKey) -> Result<&str, NoteError> {
        let id = key.id();
        let mut ours =
            self.signatures.iter().filter(|line| *line.name == *key.name && line.id == id).peekable();
        if ours.peek().is_none() {
            return Err(NoteError::Unsigned);
        }
        let is_signed = ours.all(|line| key.is_signed(&self.text, &line.bytes));
        if is_signed { Ok(&self.text) } else { Err(NoteError::Signature) }
    }

    /// The text, whoever may have written it.
    #[must_use]
    pub fn dangerous_unverified_text(&self) -> &str {
        &self.text
    }

    /// How many lines sign it, rightly or not.
    #[must_use]
    pub const fn signatures(&self) -> usize {
        self.signatures.len()
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for NoteSignature { name, id, bytes } in &self.signatures {
            let mut value = id.to_be_bytes().to_vec();
            value.extend_from_slice(bytes);
            writeln!(f, "{SIGNATURE}{name} {}", Base64::encode_string(&value))?;
        }
        Ok(())
    }
}

impl FromStr for SignedNote {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        let form = NoteError::Form { what: "signed note" };
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong { limit: MAX_NOTE_BYTES });
        }
        if note.chars().any(|symbol| symbol < ' ' && symbol != '\n') {
            return Err(form);
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(form)?;
        let lines = lines.strip_suffix('\n').ok_or(form)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() >= MAX_SIGNATURES {
                return Err(form);
            }
            signatures.push(NoteSignature::parse(line).ok_or(form)?);
        }
        Ok(Self { text: format!("{text}\n").into(), signatures })
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Option<Self> {
        let (name, value) = line.strip_prefix(SIGNATURE)?.split_once(' ')?;
        let value = decode_base64(value)?;
        let (id, bytes) = value.split_first_chunk()?;
        let is_whole = is_key_name(name) && !bytes.is_empty();
        is_whole.then(|| Self { name: name.into(), id: u32::from_be_bytes(*id), bytes: bytes.to_vec() })
    }
}

fn is_key_name(name: &str) -> bool {
    (1..=MAX_KEY_NAME_BYTES).contains(&name.len())
        && !name.chars().any(|symbol| symbol.is_whitespace() || symbol.is_control() || symbol == '+')
}

const ED25519: u8 = 1;
const SIGNATURE: &str = "\u{2014} ";
const MAX_KEY_TEXT_BYTES: usize = 64;
