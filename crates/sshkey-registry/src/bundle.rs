//! Signed key bundles: which keys may log in to one machine, carried there and looked up in place.
//!
//! The control plane signs a bundle whenever the keys of a machine change, and often enough that the last one is not
//! stale. The machine keeps the newest ([`file::install`]), and `sshd` asks it at each login ([`Bundle::authorize`])
//! for one key of one account. A look-up reads and checks a few kilobytes, however many keys there are: the entries
//! lie in a tree of hashes whose root is signed.
//!
//! `FORMAT.md` of this crate says what a bundle is, byte by byte, with an example that is a test.

pub mod file;
mod header;
mod sign;
mod tree;

use core::time::Duration;
use std::io;

use core_types::{Fingerprint, Scope, UnixTime};

use self::header::Header;
pub use self::sign::{BundleKey, TrustedSigners};
use self::tree::{Leaf, entry_name};
use crate::authorized_keys::AuthorizedLine;
use crate::error::BundleError;
use crate::name::AccountName;

/// The most keys of a bundle.
pub const MAX_ENTRIES: usize = 4_000_000;

/// How far in the future a bundle may have been issued: clocks differ.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_mins(5);

/// One key of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the embedder builds it, and a new part must break it")]
pub struct Entry {
    /// The account on the machine.
    pub account: AccountName,
    /// Options, key, comment.
    pub line: AuthorizedLine,
    /// The first instant at which it is no longer valid.
    pub expires_at: Option<UnixTime>,
}

/// What is to be signed: all keys of one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the embedder builds it, and a new part must break it")]
pub struct Contents {
    /// The machine, as a scope: `org/acme/project/web/vm/build-1`.
    pub machine: Scope,
    /// The state that this is of: a store's revision. It never goes back on a machine.
    pub revision: u64,
    /// When it is signed.
    pub issued_at: UnixTime,
    /// The keys, in any order; each key of an account once.
    pub entries: Vec<Entry>,
}

impl Contents {
    /// The bundle, signed.
    ///
    /// # Errors
    /// [`BundleError::Repeated`] when an account has a key twice, [`BundleError::TooLarge`].
    pub fn sign(&self, key: &BundleKey) -> Result<Vec<u8>, BundleError> {
        let leaves = self.entries.iter().map(Leaf::of).collect::<Result<Vec<_>, _>>()?;
        let header_len = Header::encoded_len(&self.machine)?;
        let body = tree::build(leaves, header_len)?;
        let header = Header {
            signer: key.public(),
            revision: self.revision,
            issued_at: self.issued_at,
            machine: self.machine.clone(),
            entries: body.entries,
            levels: body.levels,
            root: body.root,
            file_len: body.end,
        };
        let mut bytes = header.encode()?;
        let signature = key.sign(&bytes)?;
        bytes.extend_from_slice(&signature);
        bytes.extend_from_slice(&body.bytes);
        Ok(bytes)
    }
}

/// Bytes that can be read in pieces: a file, a slice.
pub trait ReadAt {
    /// Fills `buffer` with what stands at `offset`.
    ///
    /// # Errors
    /// When it cannot be filled.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// How many bytes there are.
    ///
    /// # Errors
    /// When that cannot be known.
    fn byte_len(&self) -> io::Result<u64>;
}

impl ReadAt for &[u8] {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let end = start.and_then(|start| start.checked_add(buffer.len()));
        let part = start.zip(end).and_then(|(start, end)| self.get(start..end));
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn byte_len(&self) -> io::Result<u64> {
        u64::try_from(self.len()).map_err(|_| io::ErrorKind::FileTooLarge.into())
    }
}

/// How old a bundle may be, and what to do with an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "both parts are the operator's to choose")]
pub struct Staleness {
    /// Up to this age a bundle is fresh.
    pub max_age: Duration,
    /// What happens after that.
    pub when_stale: WhenStale,
}

/// What to do with a bundle that is too old, or from the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a third policy must break the caller")]
pub enum WhenStale {
    /// Nobody is let in by it: a key that was revoked since cannot be used, and neither can any other.
    Refuse,
    /// The keys it has stay valid until they expire: a machine that lost its control plane can still be reached.
    KeepLast,
}

/// What a bundle says of a key and an account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "another answer must break the caller")]
pub enum Authorization {
    /// It may log in as its line says.
    Authorized(Entry),
    /// It is not among the keys of this account.
    Unknown,
    /// It was, until it expired.
    Expired,
    /// The bundle is too old to say, and its policy is to refuse.
    Stale,
}

/// A bundle whose header's signature was verified; the rest is verified as it is read.
#[derive(Debug)]
pub struct Bundle<R> {
    source: R,
    header: Header,
}

impl<R: ReadAt> Bundle<R> {
    /// The bundle of this machine, signed by one of these.
    ///
    /// # Errors
    /// [`BundleError`]: refuse every login then.
    pub fn open(source: R, trusted: &TrustedSigners, machine: &Scope) -> Result<Self, BundleError> {
        let len = source.byte_len().map_err(BundleError::read)?;
        let start_len = usize::try_from(len).unwrap_or(usize::MAX).min(header::MAX_BYTES);
        let mut start = vec![0; start_len];
        source.read_exact_at(0, &mut start).map_err(BundleError::read)?;
        let (header, signed, signature) = Header::split(&start)?;
        trusted.verify(&header.signer, signed, signature)?;
        if header.machine != *machine {
            return Err(BundleError::OtherMachine);
        }
        if header.file_len != len {
            return Err(BundleError::Length);
        }
        Ok(Self { source, header })
    }

    /// The state that it is of.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.header.revision
    }

    /// When it was signed.
    #[must_use]
    pub const fn issued_at(&self) -> UnixTime {
        self.header.issued_at
    }

    /// How many keys it has.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.header.entries
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.header.entries == 0
    }

    /// Whether it is neither too old nor from the future.
    #[must_use]
    pub fn is_fresh(&self, now: UnixTime, staleness: Staleness) -> bool {
        let issued_at = self.header.issued_at;
        now.saturating_since(issued_at) <= staleness.max_age
            && issued_at.saturating_since(now) <= MAX_CLOCK_SKEW
    }

    /// Whether this key may log in to this account now.
    ///
    /// A clock that went back revives nothing: keys expire by the time the bundle was signed at, if that is later.
    ///
    /// # Errors
    /// [`BundleError`] when the bundle is damaged where it was read: refuse the login.
    pub fn authorize(
        &self,
        account: &AccountName,
        fingerprint: &Fingerprint,
        now: UnixTime,
        staleness: Staleness,
    ) -> Result<Authorization, BundleError> {
        if staleness.when_stale == WhenStale::Refuse && !self.is_fresh(now, staleness) {
            return Ok(Authorization::Stale);
        }
        let name = entry_name(account, fingerprint);
        let Some(entry) = tree::find(&self.source, &self.header, &name)? else {
            return Ok(Authorization::Unknown);
        };
        let now = now.max(self.header.issued_at);
        if entry.expires_at.is_some_and(|expires_at| now >= expires_at) {
            return Ok(Authorization::Expired);
        }
        Ok(Authorization::Authorized(entry))
    }

    /// Everything that it has, every byte verified: it is exactly what [`Contents::sign`] makes of these entries.
    ///
    /// # Errors
    /// [`BundleError`] when it is damaged anywhere.
    pub fn contents(&self) -> Result<Contents, BundleError> {
        let leaves = tree::collect(&self.source, &self.header)?;
        let entries = leaves.iter().map(Leaf::entry).collect::<Result<Vec<_>, _>>()?;
        let start = Header::encoded_len(&self.header.machine)?;
        let again = tree::build(leaves, start)?;
        let mut body = vec![0; again.bytes.len()];
        let start = u64::try_from(start).map_err(|_| BundleError::TooLarge)?;
        self.source.read_exact_at(start, &mut body).map_err(BundleError::read)?;
        let header = &self.header;
        let is_same = again.bytes == body
            && (again.entries, again.levels, again.end) == (header.entries, header.levels, header.file_len)
            && again.root == header.root;
        if !is_same {
            return Err(BundleError::NotCanonical);
        }
        Ok(Contents {
            machine: header.machine.clone(),
            revision: header.revision,
            issued_at: header.issued_at,
            entries,
        })
    }

    /// Whether it may take the place of another one: not of an older state, nor older of the same state.
    #[must_use]
    pub fn may_replace<Q: ReadAt>(&self, installed: &Bundle<Q>) -> bool {
        let place = |header: &Header| (header.revision, header.issued_at);
        place(&self.header) >= place(&installed.header)
    }
}
