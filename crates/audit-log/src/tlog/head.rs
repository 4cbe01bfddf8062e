//! Tree heads: which log, how many leaves, which root. Signed, they are checkpoints (c2sp.org/tlog-checkpoint).

use std::fmt;
use std::str::FromStr;

use core_types::{ParseError, Scope};

use super::error::{NoteError, SignError};
use super::hash::Hash;
use super::note::{SignedNote, Signer, VerifierKey};
use super::proof::MAX_TREE_SIZE;
use crate::checkpoint::LogId;
use crate::hex;

/// The most bytes of an origin.
pub const MAX_ORIGIN_BYTES: usize = 2048;

/// Which tree of which log: the first line of its checkpoints.
///
/// The text form is `NAME/LOG/tenants` for what belongs to nobody in particular, `NAME/LOG/tenants/TENANT` for a
/// tenant, `NAME/LOG/epochs` for the log of epochs, where `NAME` is that of the signing key and `LOG` the log's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    key_name: Box<str>,
    log: LogId,
    // None for the log of epochs.
    tenant: Option<Scope>,
}

impl Origin {
    /// A tenant's tree.
    #[must_use]
    pub fn of_tenant(key: &VerifierKey, log: LogId, tenant: Scope) -> Self {
        Self { key_name: key.name().into(), log, tenant: Some(tenant) }
    }

    /// The log of epochs.
    #[must_use]
    pub fn of_epochs(key: &VerifierKey, log: LogId) -> Self {
        Self { key_name: key.name().into(), log, tenant: None }
    }

    /// Reads what follows a key's name.
    fn read(key_name: &str, rest: &str) -> Option<Self> {
        let key = VerifierKey::new(key_name, [0; 32]).ok()?;
        let (log, tree) = rest.strip_prefix('/')?.split_once('/')?;
        let log = log.parse().ok()?;
        let tenant = match tree.strip_prefix(TENANTS) {
            Some("") => Some(Scope::root()),
            Some(tenant) => {
                Some(tenant.strip_prefix('/')?.parse().ok().filter(|tenant: &Scope| !tenant.is_root())?)
            }
            None if tree == EPOCHS => None,
            None => return None,
        };
        Some(Self { key_name: key.name().into(), log, tenant })
    }

    /// Which log.
    #[must_use]
    pub const fn log(&self) -> LogId {
        self.log
    }

    /// Whose tree; none for the log of epochs.
    #[must_use]
    pub const fn tenant(&self) -> Option<&Scope> {
        self.tenant.as_ref()
    }

    /// The name of the key that signs.
    #[must_use]
    pub fn key_name(&self) -> &str {
        &self.key_name
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/", self.key_name, self.log)?;
        match &self.tenant {
            None => f.write_str(EPOCHS),
            Some(tenant) if tenant.is_root() => f.write_str(TENANTS),
            Some(tenant) => write!(f, "{TENANTS}/{tenant}"),
        }
    }
}

impl FromStr for Origin {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > MAX_ORIGIN_BYTES {
            return Err(ParseError::TooLong { limit: MAX_ORIGIN_BYTES });
        }
        // A key's name may have slashes in it: the first reading that makes sense is taken.
        text.match_indices('/')
            .find_map(|(at, _)| Self::read(text.get(..at)?, text.get(at..)?))
            .ok_or(ParseError::Form { form: "NAME/LOG/epochs, NAME/LOG/tenants or NAME/LOG/tenants/TENANT" })
    }
}

/// Where a tree stands.
///
/// The text form is three lines: origin, size, root.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeHead {
    /// Which tree.
    pub origin: Origin,
    /// How many leaves it has.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

impl TreeHead {
    /// A tree's head.
    #[must_use]
    pub const fn new(origin: Origin, size: u64, root: Hash) -> Self {
        Self { origin, size, root }
    }

    /// Signs it.
    pub(crate) fn sign(&self, signer: &dyn Signer) -> Result<SignedNote, SignError> {
        SignedNote::sign(self.to_string(), signer)
    }

    /// The head in a note that a log's key has signed, in the name of the tree: its origin.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn verify(note: &SignedNote, key: &VerifierKey) -> Result<Self, NoteError> {
        let first = note.dangerous_unverified_text().lines().next();
        // Names may have slashes in them, so that only the key tells where its own ends.
        let origin = first.and_then(|origin| origin.strip_prefix(key.name()));
        let origin = origin.and_then(|rest| Origin::read(key.name(), rest)).ok_or(NoteError::Origin)?;
        let head: Self = note.verify(&key.for_tree(&origin))?.parse()?;
        Ok(Self { origin, ..head })
    }
}

impl fmt::Display for TreeHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

impl FromStr for TreeHead {
    type Err = NoteError;

    /// Extension lines, which nobody could audit, are refused.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let form = NoteError::Form { what: "tree head" };
        let mut lines = text.strip_suffix('\n').ok_or(form)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(form);
        };
        let size = hex::parse_decimal(size).filter(|size| *size <= MAX_TREE_SIZE).ok_or(form)?;
        let origin = origin.parse().map_err(|_| form)?;
        let root: Hash = root.parse().map_err(|_| form)?;
        if size == 0 && root != Hash::of_empty_tree() {
            return Err(form);
        }
        Ok(Self { origin, size, root })
    }
}

const EPOCHS: &str = "epochs";
const TENANTS: &str = "tenants";
