//! The member that lets a machine in, from its proof on.

use std::sync::Arc;

use super::approval::{Approval, JoinIntent};
use super::clock::Monotonic;
use super::joiner::signed;
use super::keys::{Keys, Purpose, Transcript};
use super::record::InitiatorRecord;
use crate::error::{ApprovalError, JoinError};
use crate::mac::Digest;
use crate::ticket::TicketId;
use crate::trust::{Entry, Identity, MemberEntry, MemberId, Root, TrustStore};
use crate::wire::message::{self, Accept, Done};

/// A join as the initiator sees it, in the state `S`.
#[derive(Debug)]
#[must_use = "a join goes on by its next state"]
pub struct Initiator<S> {
    pub(super) common: Box<Common>,
    pub(super) state: S,
}

#[derive(Debug)]
pub(super) struct Common {
    pub(super) session: Digest,
    pub(super) keys: Keys,
    pub(super) transcript: Transcript,
    pub(super) entry: MemberEntry,
    pub(super) deadline: Monotonic,
}

/// The machine has proven that it knows the secret; somebody is to approve.
#[derive(Debug)]
pub struct AwaitApproval {
    pub(super) identity: Arc<Identity>,
    pub(super) intent: JoinIntent,
    pub(super) ticket: Option<TicketId>,
}

/// It is approved, and that is to be stored.
#[derive(Debug)]
pub struct Persisting {
    accept: Vec<u8>,
    root: Root,
    record: InitiatorRecord,
}

/// It was sent the members, and is to say that it has stored them.
#[derive(Debug)]
pub struct AwaitInstalled {
    root: Root,
    record: InitiatorRecord,
}

/// It has stored them; its entry is to be committed.
#[derive(Debug)]
pub struct Admitting {
    pub(super) record: Box<InitiatorRecord>,
}

/// What came of a frame that answers the members.
#[derive(Debug)]
#[must_use]
pub struct Receipt {
    initiator: Initiator<Admitting>,
}

/// What is to be committed: the machine's entry, if it is not a member yet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Admission {
    entry: MemberEntry,
}

/// The machine is a member.
#[derive(Debug)]
#[must_use]
pub struct Admitted {
    member: MemberId,
    frame: Vec<u8>,
}

/// A join as it was, and why an approval did not change it.
pub type NotApproved = Box<(Initiator<AwaitApproval>, ApprovalError)>;

impl Initiator<AwaitApproval> {
    /// What would be committed: show this.
    #[must_use]
    pub const fn intent(&self) -> &JoinIntent {
        &self.state.intent
    }

    /// The ticket that was used; `None` with a code.
    #[must_use]
    pub const fn ticket(&self) -> Option<TicketId> {
        self.state.ticket
    }

    /// A frame that tells the machine to wait. It may be sent again and again, or not at all.
    #[must_use]
    pub fn pending(&self) -> Vec<u8> {
        let intent = self.state.intent.id();
        let parts: [&[u8]; 2] = [&self.common.session, intent.as_bytes()];
        let mac = self.common.keys.mac(Purpose::InitiatorPends, &parts);
        message::sealed(message::PENDING, intent.as_bytes(), &mac)
    }

    /// Goes on with an approval of this very intent. The machine is sent the state `base` and the entries that followed
    /// it: with a ticket, the state in which it was issued. Store the record durably, and with it the ticket with a
    /// [use counted](crate::ticket::TicketRecord::count_use), in one commit.
    ///
    /// # Errors
    /// The state as it was, with why not.
    pub fn approve(
        self,
        approval: &Approval,
        base: &TrustStore,
        since: &[Entry],
        now: Monotonic,
    ) -> Result<(Initiator<Persisting>, InitiatorRecord), NotApproved> {
        match self.check(approval, base, since, now) {
            Ok(store) => Ok(self.approved(approval, base, since, &store)),
            Err(error) => Err(Box::new((self, error))),
        }
    }

    /// Takes a frame that comes while somebody is asked. The machine has nothing to say then but that it gave up, so
    /// the join is over: drop it, nothing was stored.
    #[must_use]
    pub fn receive(self, frame: &[u8]) -> JoinError {
        self.common.aborted(frame)
    }

    /// Refuses; the frame tells the machine. Nothing was stored.
    #[must_use]
    pub fn reject(self) -> Vec<u8> {
        self.common.abort()
    }

    fn check(
        &self,
        approval: &Approval,
        base: &TrustStore,
        since: &[Entry],
        now: Monotonic,
    ) -> Result<TrustStore, ApprovalError> {
        if now >= self.common.deadline {
            return Err(ApprovalError::TimedOut);
        }
        if approval.intent != self.state.intent.id() {
            return Err(ApprovalError::Intent);
        }
        if since.len() > message::MAX_ENTRIES {
            return Err(ApprovalError::TooManyChanges);
        }
        let store = base.apply_all(since)?;
        // A machine that lost its record after it was let in asks anew, as the member it is.
        let entry = &self.common.entry;
        if store.member(&entry.id()).is_none_or(|known| known.entry() != entry) {
            store.check_new(entry)?;
        }
        Ok(store)
    }

    fn approved(
        self,
        approval: &Approval,
        base: &TrustStore,
        since: &[Entry],
        store: &TrustStore,
    ) -> (Initiator<Persisting>, InitiatorRecord) {
        let Self { mut common, state } = self;
        let (snapshot, root) = (base.to_snapshot(), store.root());
        let proven = common.transcript.with(&Accept::bare(&snapshot, since, &root).finish());
        let signature = state.identity.key().sign(&signed("initiator", &proven));
        let mac = common.keys.mac(Purpose::InitiatorConfirms, &[&proven, &signature]);
        let accept = Accept { snapshot, entries: since.to_vec(), root, signature, mac }.to_bytes();
        common.transcript.add(&accept);
        let resumption = common.keys.key(Purpose::Resumption);
        let record = InitiatorRecord::approved(
            (common.session, &resumption),
            common.entry.clone(),
            state.ticket,
            (store.epoch(), root),
            approval.by.clone(),
        );
        let kept = record.duplicate();
        (Initiator { common, state: Persisting { accept, root, record } }, kept)
    }
}

impl Initiator<Persisting> {
    /// Goes on once the record is durable; the frame is to be sent.
    pub fn persisted(self) -> (Initiator<AwaitInstalled>, Vec<u8>) {
        let Self { common, state: Persisting { accept, root, record } } = self;
        (Initiator { common, state: AwaitInstalled { root, record } }, accept)
    }
}

impl Initiator<AwaitInstalled> {
    /// Takes the machine's word that it has stored the members.
    ///
    /// # Errors
    /// [`JoinError::Aborted`]: it gave up, so delete the record. Any other: this connection is over; the record is
    /// pending, and the machine may resume.
    pub fn receive(self, frame: &[u8], now: Monotonic) -> Result<Receipt, JoinError> {
        let Self { mut common, state: AwaitInstalled { root, record } } = self;
        if now >= common.deadline {
            return Err(JoinError::TimedOut);
        }
        if frame.first() == Some(&message::ABORT) {
            return Err(common.aborted(frame));
        }
        let (installed, mac) = message::parse_sealed::<32>(message::INSTALLED, frame)?;
        let proven = common.transcript.with(&message::unsealed(message::INSTALLED, &installed).finish());
        if !common.keys.verify(Purpose::JoinerInstalled, &[&proven], &mac) {
            return Err(JoinError::Mac);
        }
        if installed != *root.as_bytes() {
            return Err(JoinError::State);
        }
        common.transcript.add(frame);
        Ok(Receipt { initiator: Initiator { common, state: Admitting { record: Box::new(record) } } })
    }

    /// Gives up; delete the record, then send the frame, which tells the machine.
    #[must_use]
    pub fn abort(self) -> Vec<u8> {
        self.common.abort()
    }
}

impl Receipt {
    /// What is to be committed, and the state that goes on afterwards.
    pub fn into_parts(self) -> (Initiator<Admitting>, Admission) {
        let admission = Admission { entry: self.initiator.common.entry.clone() };
        (self.initiator, admission)
    }
}

impl Admission {
    /// The machine's entry.
    #[must_use]
    pub const fn entry(&self) -> &MemberEntry {
        &self.entry
    }

    /// The entry of the chain that makes it a member, signed on top of `store`; `None` when it is one already, as
    /// after a crash between the commit and the answer.
    ///
    /// # Errors
    /// [`TrustError`](crate::error::TrustError): meanwhile its name or its certificate is another's. Abort.
    pub fn sign(
        &self,
        store: &TrustStore,
        identity: &Identity,
    ) -> Result<Option<Entry>, crate::error::TrustError> {
        match store.member(&self.entry.id()) {
            Some(member) if *member.entry() == self.entry => Ok(None),
            _ => store.sign(crate::trust::Change::Add(self.entry.clone()), identity.key()).map(Some),
        }
    }
}

impl Initiator<Admitting> {
    /// The record, to be stored as [joined](InitiatorRecord::joined) in the commit that adds the member.
    #[must_use]
    pub fn record(&self) -> &InitiatorRecord {
        &self.state.record
    }

    /// What is to be committed.
    pub fn admission(&self) -> Admission {
        Admission { entry: self.common.entry.clone() }
    }

    /// Ends the join once the entry is committed: `since` are all entries after the epoch of the record, `store` the
    /// state after them.
    ///
    /// # Errors
    /// [`JoinError::State`] when these do not belong together, or the machine is not among the members.
    pub fn admitted(self, since: &[Entry], store: &TrustStore) -> Result<Admitted, JoinError> {
        let Self { common, state: Admitting { record } } = self;
        let mut epoch = record.epoch();
        for entry in since {
            if Some(entry.epoch()) != epoch.checked_add(1) || entry.cluster() != store.cluster() {
                return Err(JoinError::State);
            }
            epoch = entry.epoch();
        }
        let last_is_head = since.last().is_none_or(|entry| entry.head() == *store.head());
        let member = common.entry.id();
        let is_member = store.member(&member).is_some_and(|known| *known.entry() == common.entry);
        if epoch != store.epoch() || !last_is_head || !is_member || since.len() > message::MAX_ENTRIES {
            return Err(JoinError::State);
        }
        let root = store.root();
        let proven = common.transcript.with(&Done::bare(since, &root).finish());
        let mac = common.keys.mac(Purpose::InitiatorDone, &[&proven]);
        let frame = Done { entries: since.to_vec(), root, mac }.to_bytes();
        Ok(Admitted { member, frame })
    }
}

impl Admitted {
    /// Which member it is.
    #[must_use]
    pub const fn member(&self) -> MemberId {
        self.member
    }

    /// The last frame, to be sent. When it is lost, the machine resumes.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }
}

impl Common {
    fn abort(&self) -> Vec<u8> {
        let mac = self.keys.mac(Purpose::InitiatorAborts, &[&self.session]);
        message::sealed(message::ABORT, &self.session, &mac)
    }

    fn aborted(&self, frame: &[u8]) -> JoinError {
        match message::parse_sealed::<32>(message::ABORT, frame) {
            Ok((session, mac))
                if session == self.session && self.keys.verify(Purpose::JoinerAborts, &[&session], &mac) =>
            {
                JoinError::Aborted
            }
            Ok(_) => JoinError::Mac,
            Err(error) => error.into(),
        }
    }
}
