//! What each side keeps, so that a crash loses nothing.

use core::fmt;

use core_types::{Fingerprint, SecretBytes};
use zeroize::Zeroizing;

use crate::error::RecordError;
use crate::mac::Digest;
use crate::ticket::TicketId;
use crate::trust::{MemberEntry, Root, TrustStore};
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

/// What both sides keep: fields 1 to 4 of either record.
struct Session {
    progress: Progress,
    id: Digest,
    resumption: SecretBytes<32>,
    entry: MemberEntry,
}

impl Session {
    fn new(progress: Progress, id: Digest, resumption: &Digest, entry: MemberEntry) -> Self {
        let resumption = SecretBytes::take_from(&mut Zeroizing::new(*resumption));
        Self { progress, id, resumption, entry }
    }

    fn write(&self, kind: u8) -> Writer {
        Writer::new(kind)
            .field(1, &[progress_byte(self.progress)])
            .field(2, &self.id)
            .field(3, self.resumption.expose_secret())
            .field(4, &self.entry.to_bytes())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let progress = read_progress(reader.byte(1)?)?;
        let (id, resumption) = (reader.array(2)?, Zeroizing::new(reader.array(3)?));
        let entry = MemberEntry::from_bytes(reader.field(4)?)?;
        Ok(Self::new(progress, id, &resumption, entry))
    }

    fn duplicate(&self) -> Self {
        Self::new(self.progress, self.id, self.resumption.expose_secret(), self.entry.clone())
    }
}

/// What a record of either side says of its session.
macro_rules! session_accessors {
    () => {
        /// How far the join is.
        #[must_use]
        pub const fn progress(&self) -> Progress {
            self.session.progress
        }

        /// What the machine joins as.
        #[must_use]
        pub const fn entry(&self) -> &MemberEntry {
            &self.session.entry
        }

        /// The session's id, which the other side's record has too.
        #[must_use]
        pub const fn session(&self) -> &[u8; 32] {
            &self.session.id
        }

        pub(super) fn resumption(&self) -> &Digest {
            self.session.resumption.expose_secret()
        }
    };
}

/// What the joining machine keeps. It holds the key that resumes this one join: store it where the machine's private key
/// is stored. Never printed.
pub struct JoinerRecord {
    session: Session,
    store: TrustStore,
}

impl JoinerRecord {
    session_accessors!();

    pub(super) fn new(
        progress: Progress,
        session: Digest,
        resumption: &Digest,
        entry: MemberEntry,
        store: TrustStore,
    ) -> Self {
        Self { session: Session::new(progress, session, resumption, entry), store }
    }

    /// The members it knows. While the join is pending, trust none of them yet.
    #[must_use]
    pub const fn store(&self) -> &TrustStore {
        &self.store
    }

    /// Its one encoding, secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.session.write(JOINER_KIND).field(5, &self.store.to_snapshot()).finish())
    }

    /// Reads the encoding.
    ///
    /// # Errors
    /// [`RecordError`]: the record is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, JOINER_KIND, MAX_LONG_FRAME_LEN)?;
        let session = Session::read(&mut reader)?;
        let store = TrustStore::from_snapshot(reader.field(5)?)?;
        reader.finish()?;
        Ok(Self { session, store })
    }
}

impl fmt::Debug for JoinerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinerRecord")
            .field("progress", &self.progress())
            .field("name", &self.entry().name())
            .field("epoch", &self.store.epoch())
            .finish_non_exhaustive()
    }
}

/// What the cluster keeps of one machine's join, by the machine's certificate; a new join of the same machine takes its
/// place. It holds the key that resumes this one join. Never printed.
pub struct InitiatorRecord {
    session: Session,
    ticket: Option<TicketId>,
    epoch: u64,
    root: Root,
    approved_by: Vec<Box<str>>,
}

impl InitiatorRecord {
    session_accessors!();

    /// The record of a join that is approved.
    pub(super) fn approved(
        (session, resumption): (Digest, &Digest),
        entry: MemberEntry,
        ticket: Option<TicketId>,
        (epoch, root): (u64, Root),
        approved_by: Vec<Box<str>>,
    ) -> Self {
        let session = Session::new(Progress::Pending, session, resumption, entry);
        Self { session, ticket, epoch, root, approved_by }
    }

    /// By which certificate the record is found.
    #[must_use]
    pub const fn machine(&self) -> Fingerprint {
        self.session.entry.certificate().fingerprint()
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

    /// The root of the members it was sent.
    #[must_use]
    pub const fn root(&self) -> Root {
        self.root
    }

    /// Who approved.
    pub fn approved_by(&self) -> impl Iterator<Item = &str> {
        self.approved_by.iter().map(|who| &**who)
    }

    /// The record once the machine's entry is committed; to be stored in the same commit.
    #[must_use]
    pub fn joined(mut self) -> Self {
        self.session.progress = Progress::Joined;
        self
    }

    /// Its one encoding, secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let writer = self
            .session
            .write(INITIATOR_KIND)
            .optional(5, self.ticket.as_ref().map(|id| id.as_bytes().as_slice()))
            .field(6, &self.epoch.to_be_bytes())
            .field(7, self.root.as_bytes())
            .list(8, self.approved_by.iter().map(|who| who.as_bytes()));
        Zeroizing::new(writer.finish())
    }

    /// Reads the encoding.
    ///
    /// # Errors
    /// [`RecordError`]: the record is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes, INITIATOR_KIND, 2 * MAX_FRAME_LEN)?;
        let session = Session::read(&mut reader)?;
        let ticket = reader.optional_array(5)?.map(TicketId::from_bytes);
        let (epoch, root) = (reader.number(6)?, Root::from_bytes(reader.array(7)?));
        let approved_by = reader
            .list(8, MAX_APPROVERS)?
            .into_iter()
            .map(|who| core::str::from_utf8(who).map(Into::into))
            .collect::<Result<_, _>>()
            .map_err(|_| crate::error::WireError::Field { tag: 8 })?;
        reader.finish()?;
        Ok(Self { session, ticket, epoch, root, approved_by })
    }

    pub(crate) fn duplicate(&self) -> Self {
        let Self { ticket, epoch, root, .. } = *self;
        Self { session: self.session.duplicate(), ticket, epoch, root, approved_by: self.approved_by.clone() }
    }
}

impl fmt::Debug for InitiatorRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InitiatorRecord")
            .field("progress", &self.progress())
            .field("name", &self.entry().name())
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
