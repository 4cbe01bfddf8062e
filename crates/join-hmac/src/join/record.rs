//! What each side keeps, so that a crash loses nothing.

use core::fmt;

use core_types::{Fingerprint, SecretBytes};
use zeroize::Zeroizing;

use crate::error::RecordError;
use crate::mac::Digest;
use crate::ticket::TicketId;
use crate::trust::{MemberEntry, TrustStore};
use crate::wire::{MAX_FRAME_LEN, MAX_LONG_FRAME_LEN, Reader, Writer};

/// How far a join is, as one side can say from its record alone. No record: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing between")]
pub enum Progress {
    /// It may become a member yet, or not: resume, or abort.
    Pending,
    /// It is a member.
    Joined,
}

/// What the joining machine keeps. It holds the key that resumes this one join: store it where the machine's private key
/// is stored. Never printed.
pub struct JoinerRecord {
    progress: Progress,
    session: Digest,
    resumption: SecretBytes<32>,
    entry: MemberEntry,
    store: TrustStore,
}

impl JoinerRecord {
    pub(super) fn new(
        progress: Progress,
        session: Digest,
        resumption: &Digest,
        entry: MemberEntry,
        store: TrustStore,
    ) -> Self {
        let resumption = SecretBytes::take_from(&mut Zeroizing::new(*resumption));
        Self { progress, session, resumption, entry, store }
    }

    /// How far the join is.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// What this machine joins as.
    #[must_use]
    pub const fn entry(&self) -> &MemberEntry {
        &self.entry
    }

    /// The members it knows. While the join is pending, trust none of them yet.
    #[must_use]
    pub const fn store(&self) -> &TrustStore {
        &self.store
    }

    /// The session's id, which the other side's record has too.
    #[must_use]
    pub const fn session(&self) -> &[u8; 32] {
        &self.session
    }

    pub(super) fn resumption(&self) -> &Digest {
        self.resumption.expose_secret()
    }

    /// Its one encoding, secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let writer = Writer::new(JOINER_KIND)
            .field(1, &[progress_byte(self.progress)])
            .field(2, &self.session)
            .field(3, self.resumption.expose_secret())
            .field(4, &self.entry.to_bytes())
            .field(5, &self.store.to_snapshot());
        Zeroizing::new(writer.finish())
    }

    /// Reads the encoding.
    ///
    /// # Errors
    /// [`RecordError`]: the record is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, JOINER_KIND, MAX_LONG_FRAME_LEN)?;
        let progress = read_progress(reader.byte(1)?)?;
        let (session, resumption) = (reader.array(2)?, Zeroizing::new(reader.array(3)?));
        let entry = MemberEntry::from_bytes(reader.field(4)?)?;
        let store = TrustStore::from_snapshot(reader.field(5)?)?;
        reader.finish()?;
        Ok(Self::new(progress, session, &resumption, entry, store))
    }
}

impl fmt::Debug for JoinerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinerRecord")
            .field("progress", &self.progress)
            .field("name", &self.entry.name())
            .field("epoch", &self.store.epoch())
            .finish_non_exhaustive()
    }
}

/// What the cluster keeps of one machine's join, by the machine's certificate; a new join of the same machine takes its
/// place. It holds the key that resumes this one join. Never printed.
pub struct InitiatorRecord {
    pub(super) progress: Progress,
    pub(super) session: Digest,
    pub(super) resumption: SecretBytes<32>,
    pub(super) entry: MemberEntry,
    pub(super) ticket: Option<TicketId>,
    pub(super) epoch: u64,
    pub(super) root: Digest,
    pub(super) approved_by: Vec<Box<str>>,
}

impl InitiatorRecord {
    /// How far the join is.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// What the machine joins as.
    #[must_use]
    pub const fn entry(&self) -> &MemberEntry {
        &self.entry
    }

    /// By which certificate the record is found.
    #[must_use]
    pub const fn machine(&self) -> Fingerprint {
        self.entry.certificate().fingerprint()
    }

    /// The ticket it joined by; a use is to be counted in the same commit.
    #[must_use]
    pub const fn ticket(&self) -> Option<TicketId> {
        self.ticket
    }

    /// The epoch of the members it was sent.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The session's id, which the machine's record has too.
    #[must_use]
    pub const fn session(&self) -> &[u8; 32] {
        &self.session
    }

    /// Who approved.
    pub fn approved_by(&self) -> impl Iterator<Item = &str> {
        self.approved_by.iter().map(|who| &**who)
    }

    /// The record once the machine's entry is committed; to be stored in the same commit.
    #[must_use]
    pub fn joined(mut self) -> Self {
        self.progress = Progress::Joined;
        self
    }

    /// Its one encoding, secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let writer = Writer::new(INITIATOR_KIND)
            .field(1, &[progress_byte(self.progress)])
            .field(2, &self.session)
            .field(3, self.resumption.expose_secret())
            .field(4, &self.entry.to_bytes())
            .optional(5, self.ticket.as_ref().map(|id| id.as_bytes().as_slice()))
            .field(6, &self.epoch.to_be_bytes())
            .field(7, &self.root)
            .list(8, self.approved_by.iter().map(|who| who.as_bytes()));
        Zeroizing::new(writer.finish())
    }

    /// Reads the encoding.
    ///
    /// # Errors
    /// [`RecordError`]: the record is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, INITIATOR_KIND, 2 * MAX_FRAME_LEN)?;
        let progress = read_progress(reader.byte(1)?)?;
        let session = reader.array(2)?;
        let resumption = SecretBytes::take_from(&mut Zeroizing::new(reader.array(3)?));
        let entry = MemberEntry::from_bytes(reader.field(4)?)?;
        let ticket = reader.optional_array(5)?.map(TicketId::from_bytes);
        let (epoch, root) = (reader.number(6)?, reader.array(7)?);
        let approved_by = reader
            .list(8, MAX_APPROVERS)?
            .into_iter()
            .map(|who| core::str::from_utf8(who).map(Into::into))
            .collect::<Result<_, _>>()
            .map_err(|_| crate::error::WireError::Field { tag: 8 })?;
        reader.finish()?;
        Ok(Self { progress, session, resumption, entry, ticket, epoch, root, approved_by })
    }

    pub(crate) fn duplicate(&self) -> Self {
        let resumption = SecretBytes::take_from(&mut Zeroizing::new(*self.resumption.expose_secret()));
        let (entry, approved_by) = (self.entry.clone(), self.approved_by.clone());
        let Self { progress, session, ticket, epoch, root, .. } = *self;
        Self { progress, session, resumption, entry, ticket, epoch, root, approved_by }
    }
}

impl fmt::Debug for InitiatorRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InitiatorRecord")
            .field("progress", &self.progress)
            .field("name", &self.entry.name())
            .field("ticket", &self.ticket)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

const fn progress_byte(progress: Progress) -> u8 {
    match progress {
        Progress::Pending => 1,
        Progress::Joined => 2,
    }
}

fn read_progress(byte: u8) -> Result<Progress, RecordError> {
    match byte {
        1 => Ok(Progress::Pending),
        2 => Ok(Progress::Joined),
        _ => Err(crate::error::WireError::Field { tag: 1 }.into()),
    }
}

const JOINER_KIND: u8 = 0x46;
const INITIATOR_KIND: u8 = 0x47;
const MAX_APPROVERS: usize = 64;
