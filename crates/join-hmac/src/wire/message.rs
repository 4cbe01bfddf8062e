//! The messages of a join.

use core_types::Fingerprint;

use super::{MAX_FIRST_FRAME_LEN, MAX_FRAME_LEN, MAX_LONG_FRAME_LEN, Reader, Writer};
use crate::cpace::Share;
use crate::error::{TrustError, WireError};
use crate::mac::Digest;
use crate::ticket::TicketId;
use crate::trust::{ClusterId, Entry, PublicKey, Root};

pub(crate) const HELLO: u8 = 1;
pub(crate) const RETRY: u8 = 2;
pub(crate) const CHALLENGE: u8 = 3;
pub(crate) const PROOF: u8 = 4;
pub(crate) const PENDING: u8 = 5;
pub(crate) const ACCEPT: u8 = 6;
pub(crate) const INSTALLED: u8 = 7;
pub(crate) const DONE: u8 = 8;
pub(crate) const REJECT: u8 = 9;
pub(crate) const ABORT: u8 = 10;
pub(crate) const RESUME: u8 = 11;

/// The version of the protocol.
pub(crate) const VERSION: u8 = 1;
/// Suites: what the secret is, and what is done with it.
pub(crate) const SUITE_TICKET: u8 = 1;
pub(crate) const SUITE_CODE: u8 = 2;
/// Roles.
pub(crate) const JOINER: u8 = b'J';
pub(crate) const INITIATOR: u8 = b'I';
/// The most entries that follow a snapshot.
pub(crate) const MAX_ENTRIES: usize = 256;

/// The first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) versions: Vec<u8>,
    pub(crate) suites: Vec<u8>,
    pub(crate) nonce: [u8; 32],
    pub(crate) fingerprint: Fingerprint,
    pub(crate) key: PublicKey,
    pub(crate) ticket: Option<TicketId>,
    pub(crate) cookie: Option<Digest>,
}

impl Hello {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        Writer::new(HELLO)
            .field(1, &self.versions)
            .field(2, &self.suites)
            .field(3, &[JOINER])
            .field(4, &self.nonce)
            .field(5, self.fingerprint.as_bytes())
            .field(6, self.key.as_bytes())
            .optional(7, self.ticket.as_ref().map(|id| id.as_bytes().as_slice()))
            .optional(8, self.cookie.as_ref().map(Digest::as_slice))
            .finish()
    }

    pub(crate) fn parse(frame: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(frame, HELLO, MAX_FIRST_FRAME_LEN)?;
        let versions = offered(reader.field(1)?, 1)?;
        let suites = offered(reader.field(2)?, 2)?;
        if reader.byte(3)? != JOINER {
            return Err(WireError::Field { tag: 3 });
        }
        let nonce = reader.array(4)?;
        let fingerprint = Fingerprint::from_sha256(reader.array(5)?);
        let key = PublicKey::from_bytes(reader.array(6)?);
        let ticket = reader.optional_array(7)?.map(TicketId::from_bytes);
        let cookie = reader.optional_array(8)?;
        reader.finish()?;
        Ok(Self { versions, suites, nonce, fingerprint, key, ticket, cookie })
    }
}

/// 1 to 8 numbers, strictly ascending: one spelling of an offer.
fn offered(numbers: &[u8], tag: u16) -> Result<Vec<u8>, WireError> {
    if (1..=8).contains(&numbers.len()) && numbers.is_sorted_by(|earlier, later| earlier < later) {
        Ok(numbers.to_vec())
    } else {
        Err(WireError::Field { tag })
    }
}

pub(crate) fn retry(cookie: &Digest) -> Vec<u8> {
    Writer::new(RETRY).field(1, cookie).finish()
}

pub(crate) fn parse_retry(frame: &[u8]) -> Result<Digest, WireError> {
    let mut reader = Reader::new(frame, RETRY, MAX_FRAME_LEN)?;
    let cookie = reader.array(1)?;
    reader.finish()?;
    Ok(cookie)
}

/// The answer to the first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) version: u8,
    pub(crate) suite: u8,
    pub(crate) nonce: [u8; 32],
    pub(crate) fingerprint: Fingerprint,
    pub(crate) key: PublicKey,
    pub(crate) cluster: ClusterId,
    pub(crate) epoch: u64,
    pub(crate) root: Root,
    pub(crate) lifetime_millis: u64,
    pub(crate) share: Option<Share>,
}

impl Challenge {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        Writer::new(CHALLENGE)
            .field(1, &[self.version])
            .field(2, &[self.suite])
            .field(3, &[INITIATOR])
            .field(4, &self.nonce)
            .field(5, self.fingerprint.as_bytes())
            .field(6, self.key.as_bytes())
            .field(7, self.cluster.as_bytes())
            .field(8, &self.epoch.to_be_bytes())
            .field(9, self.root.as_bytes())
            .field(10, &self.lifetime_millis.to_be_bytes())
            .optional(11, self.share.as_ref().map(Share::as_slice))
            .finish()
    }

    pub(crate) fn parse(frame: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(frame, CHALLENGE, MAX_FRAME_LEN)?;
        let (version, suite) = (reader.byte(1)?, reader.byte(2)?);
        if reader.byte(3)? != INITIATOR {
            return Err(WireError::Field { tag: 3 });
        }
        let challenge = Self {
            version,
            suite,
            nonce: reader.array(4)?,
            fingerprint: Fingerprint::from_sha256(reader.array(5)?),
            key: PublicKey::from_bytes(reader.array(6)?),
            cluster: ClusterId::from_bytes(reader.array(7)?),
            epoch: reader.number(8)?,
            root: Root::from_bytes(reader.array(9)?),
            lifetime_millis: reader.number(10)?,
            share: reader.optional_array(11)?,
        };
        reader.finish()?;
        Ok(challenge)
    }
}

/// The joiner's proof, and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) share: Option<Share>,
    pub(crate) entry: Vec<u8>,
    pub(crate) signature: [u8; 64],
    pub(crate) ticket_signature: Option<[u8; 64]>,
    pub(crate) mac: Digest,
}

impl Proof {
    /// What is proven.
    pub(crate) fn bare(share: Option<&Share>, entry: &[u8]) -> Writer {
        Writer::new(PROOF).optional(1, share.map(Share::as_slice)).field(2, entry)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        Self::bare(self.share.as_ref(), &self.entry)
            .field(0x80, &self.signature)
            .optional(0x81, self.ticket_signature.as_ref().map(<[u8; 64]>::as_slice))
            .field(0x82, &self.mac)
            .finish()
    }

    pub(crate) fn parse(frame: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(frame, PROOF, MAX_FRAME_LEN)?;
        let proof = Self {
            share: reader.optional_array(1)?,
            entry: reader.field(2)?.to_vec(),
            signature: reader.array(0x80)?,
            ticket_signature: reader.optional_array(0x81)?,
            mac: reader.array(0x82)?,
        };
        reader.finish()?;
        Ok(proof)
    }
}

/// A frame of one value and its MAC.
pub(crate) fn sealed(kind: u8, value: &[u8], mac: &Digest) -> Vec<u8> {
    unsealed(kind, value).field(0x80, mac).finish()
}

pub(crate) fn unsealed(kind: u8, value: &[u8]) -> Writer {
    Writer::new(kind).field(1, value)
}

pub(crate) fn parse_sealed<const N: usize>(kind: u8, frame: &[u8]) -> Result<([u8; N], Digest), WireError> {
    let mut reader = Reader::new(frame, kind, MAX_FRAME_LEN)?;
    let parts = (reader.array(1)?, reader.array(0x80)?);
    reader.finish()?;
    Ok(parts)
}

/// Members: a state and what followed, with the initiator's signature and MAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) snapshot: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) root: Root,
    pub(crate) signature: [u8; 64],
    pub(crate) mac: Digest,
}

impl Accept {
    pub(crate) fn bare(snapshot: &[u8], entries: &[Entry], root: &Root) -> Writer {
        let entries: Vec<Vec<u8>> = entries.iter().map(Entry::to_bytes).collect();
        Writer::new(ACCEPT)
            .field(1, snapshot)
            .list(2, entries.iter().map(Vec::as_slice))
            .field(3, root.as_bytes())
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        Self::bare(&self.snapshot, &self.entries, &self.root)
            .field(0x80, &self.signature)
            .field(0x81, &self.mac)
            .finish()
    }

    pub(crate) fn parse(frame: &[u8]) -> Result<Self, TrustError> {
        let mut reader = Reader::new(frame, ACCEPT, MAX_LONG_FRAME_LEN).map_err(wire)?;
        let snapshot = reader.field(1).map_err(wire)?.to_vec();
        let entries = entries(&reader.list(2, MAX_ENTRIES).map_err(wire)?)?;
        let root = Root::from_bytes(reader.array(3).map_err(wire)?);
        let (signature, mac) = (reader.array(0x80).map_err(wire)?, reader.array(0x81).map_err(wire)?);
        reader.finish().map_err(wire)?;
        Ok(Self { snapshot, entries, root, signature, mac })
    }
}

/// The end: what followed the installed state, up to and with the joiner's own entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) entries: Vec<Entry>,
    pub(crate) root: Root,
    pub(crate) mac: Digest,
}

impl Done {
    pub(crate) fn bare(entries: &[Entry], root: &Root) -> Writer {
        let entries: Vec<Vec<u8>> = entries.iter().map(Entry::to_bytes).collect();
        Writer::new(DONE).list(1, entries.iter().map(Vec::as_slice)).field(2, root.as_bytes())
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        Self::bare(&self.entries, &self.root).field(0x80, &self.mac).finish()
    }

    pub(crate) fn parse(frame: &[u8]) -> Result<Self, TrustError> {
        let mut reader = Reader::new(frame, DONE, MAX_LONG_FRAME_LEN).map_err(wire)?;
        let entries = entries(&reader.list(1, MAX_ENTRIES).map_err(wire)?)?;
        let root = Root::from_bytes(reader.array(2).map_err(wire)?);
        let mac = reader.array(0x80).map_err(wire)?;
        reader.finish().map_err(wire)?;
        Ok(Self { entries, root, mac })
    }
}

pub(crate) fn reject() -> Vec<u8> {
    Writer::new(REJECT).finish()
}

/// After a crash: which session, and the root that was installed in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resume {
    pub(crate) session: Digest,
    pub(crate) nonce: [u8; 32],
    pub(crate) fingerprint: Fingerprint,
    pub(crate) root: Root,
    pub(crate) mac: Digest,
}

impl Resume {
    pub(crate) fn bare(&self) -> Writer {
        Writer::new(RESUME)
            .field(1, &self.session)
            .field(2, &self.nonce)
            .field(3, self.fingerprint.as_bytes())
            .field(4, self.root.as_bytes())
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.bare().field(0x80, &self.mac).finish()
    }

    pub(crate) fn parse(frame: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(frame, RESUME, MAX_FIRST_FRAME_LEN)?;
        let resume = Self {
            session: reader.array(1)?,
            nonce: reader.array(2)?,
            fingerprint: Fingerprint::from_sha256(reader.array(3)?),
            root: Root::from_bytes(reader.array(4)?),
            mac: reader.array(0x80)?,
        };
        reader.finish()?;
        Ok(resume)
    }
}

fn entries(list: &[&[u8]]) -> Result<Vec<Entry>, TrustError> {
    Ok(list.iter().map(|bytes| Entry::from_bytes(bytes)).collect::<Result<_, _>>()?)
}

fn wire(error: WireError) -> TrustError {
    TrustError::Member(error.into())
}
