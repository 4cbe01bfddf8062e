use core_types::{Scope, UnixTime};

use crate::error::BundleError;

/// The start of a bundle: everything that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) signer: [u8; 32],
    pub(super) revision: u64,
    pub(super) issued_at: UnixTime,
    pub(super) entries: u32,
    pub(super) levels: u8,
    pub(super) root: Node,
    pub(super) file_len: u64,
    pub(super) machine: Scope,
}

/// Where a node stands, and the hash of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) sha256: [u8; 32],
}

impl Header {
    /// How many bytes the header and the signature have.
    pub(super) fn encoded_len(machine: &Scope) -> Result<usize, BundleError> {
        let len = FIXED_BYTES.saturating_add(machine.as_path().len()).saturating_add(SIGNATURE_BYTES);
        if len <= MAX_BYTES { Ok(len) } else { Err(BundleError::TooLarge) }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, BundleError> {
        let machine = self.machine.as_path().as_bytes();
        let machine_len = u16::try_from(machine.len()).map_err(|_| BundleError::TooLarge)?;
        let mut bytes = Vec::with_capacity(FIXED_BYTES.saturating_add(machine.len()));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.signer);
        bytes.extend_from_slice(&self.revision.to_be_bytes());
        bytes.extend_from_slice(&self.issued_at.as_millis().to_be_bytes());
        bytes.extend_from_slice(&self.entries.to_be_bytes());
        bytes.push(self.levels);
        bytes.extend_from_slice(&self.root.offset.to_be_bytes());
        bytes.extend_from_slice(&self.root.len.to_be_bytes());
        bytes.extend_from_slice(&self.root.sha256);
        bytes.extend_from_slice(&self.file_len.to_be_bytes());
        bytes.extend_from_slice(&machine_len.to_be_bytes());
        bytes.extend_from_slice(machine);
        Ok(bytes)
    }

    /// The header at the start of a bundle, the bytes that are signed, and the signature.
    pub(super) fn split(start: &[u8]) -> Result<(Self, &[u8], &[u8]), BundleError> {
        let mut rest = Fields { rest: start };
        if rest.take(MAGIC.len())? != MAGIC {
            return Err(BundleError::NotABundle);
        }
        let signer = rest.array()?;
        let revision = u64::from_be_bytes(rest.array()?);
        let issued_at = UnixTime::from_millis(u64::from_be_bytes(rest.array()?));
        let entries = u32::from_be_bytes(rest.array()?);
        let [levels] = rest.array()?;
        let offset = u64::from_be_bytes(rest.array()?);
        let len = u32::from_be_bytes(rest.array()?);
        let root = Node { offset, len, sha256: rest.array()? };
        let file_len = u64::from_be_bytes(rest.array()?);
        let machine_len = u16::from_be_bytes(rest.array()?);
        let machine =
            core::str::from_utf8(rest.take(machine_len.into())?).map_err(|_| BundleError::Malformed)?;
        let machine = if machine.is_empty() {
            Scope::root()
        } else {
            machine.parse::<Scope>().map_err(|_| BundleError::Malformed)?
        };
        let signed_len = start.len().saturating_sub(rest.rest.len());
        let signature = rest.take(SIGNATURE_BYTES)?;
        if levels > MAX_LEVELS {
            return Err(BundleError::Malformed);
        }
        let signed = start.get(..signed_len).unwrap_or_default();
        Ok((
            Self { signer, revision, issued_at, entries, levels, root, file_len, machine },
            signed,
            signature,
        ))
    }
}

/// Reads big-endian fields, never past the end.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], BundleError> {
        let (part, rest) = self.rest.split_at_checked(len).ok_or(BundleError::Truncated)?;
        self.rest = rest;
        Ok(part)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], BundleError> {
        let (part, rest) = self.rest.split_first_chunk().ok_or(BundleError::Truncated)?;
        self.rest = rest;
        Ok(*part)
    }
}

/// The most bytes a header and its signature have; a machine's scope has at most 1,023.
pub(super) const MAX_BYTES: usize = 2048;
/// Enough for 53⁸ leaves.
const MAX_LEVELS: u8 = 8;
const MAGIC: &[u8; 16] = b"palisade-keys-1\n";
const FIXED_BYTES: usize = 16 + 32 + 8 + 8 + 4 + 1 + 8 + 4 + 32 + 8 + 2;
const SIGNATURE_BYTES: usize = 64;
