//! The machine that joins.

mod resume;
mod secret;

use core::time::Duration;
use std::sync::Arc;

use core_types::SecureRandom;

pub use self::secret::JoinSecret;
use self::secret::Kind;
use super::approval::JoinIntent;
use super::channel::Channel;
use super::clock::Monotonic;
use super::keys::{self, Keys, Purpose, Transcript};
use super::record::{JoinerRecord, Progress};
use super::rules::Rules;
use crate::code::PairingCode;
use crate::cpace;
use crate::error::JoinError;
use crate::mac::{Digest, Parts};
use crate::ticket::Ticket;
use crate::trust::{Identity, MemberEntry, MemberId, PublicKey, Standing, StateId, TrustStore};
use crate::wire::message::{self, Accept, Challenge, Done, Hello, Proof};

/// How long a joiner waits for the whole join at most.
pub const MAX_LIFETIME: Duration = Duration::from_secs(3600);

/// A join as the joining machine sees it, in the state `S`.
#[derive(Debug)]
#[must_use = "a join goes on by its next state"]
pub struct Joiner<S> {
    common: Box<Common>,
    state: S,
}

#[derive(Debug)]
struct Common {
    entry: MemberEntry,
    channel: Channel,
    deadline: Monotonic,
    rules: Rules,
}

/// The hello was sent.
#[derive(Debug)]
pub struct AwaitChallenge {
    identity: Arc<Identity>,
    hello: Hello,
    secret: Secret,
}

#[derive(Debug)]
enum Secret {
    Ticket(Box<Ticket>),
    Code(PairingCode),
}

/// The proof was sent: the other side has seen that the secret is known, and decides.
#[derive(Debug)]
pub struct AwaitDecision {
    session: Box<Session>,
    initiator: PublicKey,
    challenge: Box<Challenge>,
    pinned: Option<StateId>,
}

/// The members are known and to be stored.
#[derive(Debug)]
pub struct Installing {
    session: Box<Session>,
    store: TrustStore,
}

/// That they are stored was said; the join is complete when that is confirmed.
#[derive(Debug)]
pub struct AwaitDone {
    session: Box<Session>,
    store: TrustStore,
}

#[derive(Debug)]
struct Session {
    id: Digest,
    keys: Keys,
    transcript: Transcript,
}

/// What came of a frame that answers the hello.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "the protocol has no other answer")]
pub enum Challenged {
    /// The hello is to be sent again, with a cookie in it.
    Again(Joiner<AwaitChallenge>, Vec<u8>),
    /// The proof is to be sent.
    Proven(Joiner<AwaitDecision>, Vec<u8>),
}

/// What came of a frame that answers the proof.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "the protocol has no other answer")]
pub enum Decided {
    /// The other side waits for somebody's approval.
    Pending(Joiner<AwaitDecision>),
    /// The machine was approved: store the record durably, then go on.
    Accepted(Joiner<Installing>, Box<JoinerRecord>),
}

/// The join is complete: store the record durably.
#[derive(Debug)]
#[must_use]
pub struct Joined {
    store: TrustStore,
    member: MemberId,
    record: JoinerRecord,
}

impl Joiner<AwaitChallenge> {
    /// Begins a join over `channel`; the frame is to be sent.
    ///
    /// # Errors
    /// [`JoinError::NoRunsLeft`] for a code that was tried too often, [`JoinError::Random`], [`JoinError::Key`] for
    /// another machine's entry.
    pub fn start(
        identity: Arc<Identity>,
        entry: MemberEntry,
        secret: &mut JoinSecret,
        channel: Channel,
        now: Monotonic,
        rng: &dyn SecureRandom,
    ) -> Result<(Self, Vec<u8>), JoinError> {
        Self::start_by(identity, entry, secret, channel, now, rng, Rules::ALL)
    }

    /// Begins a join of a weaker protocol, for the model explorer to break.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    #[cfg(feature = "testing")]
    pub fn dangerous_start_weakened(
        identity: Arc<Identity>,
        entry: MemberEntry,
        secret: &mut JoinSecret,
        channel: Channel,
        now: Monotonic,
        rng: &dyn SecureRandom,
        weakness: super::Weakness,
    ) -> Result<(Self, Vec<u8>), JoinError> {
        Self::start_by(identity, entry, secret, channel, now, rng, Rules::without(weakness))
    }

    fn start_by(
        identity: Arc<Identity>,
        entry: MemberEntry,
        secret: &mut JoinSecret,
        channel: Channel,
        now: Monotonic,
        rng: &dyn SecureRandom,
        rules: Rules,
    ) -> Result<(Self, Vec<u8>), JoinError> {
        if entry.key() != identity.key().public() || entry.certificate() != identity.certificate() {
            return Err(JoinError::Key);
        }
        let (suite, ticket, secret) = match &mut secret.kind {
            Kind::Ticket(ticket) => {
                (message::SUITE_TICKET, Some(ticket.id()), Secret::Ticket(Box::new(ticket.duplicate())))
            }
            Kind::Code { code, runs } => {
                // Counted before anything is sent: an aborted run is a run.
                *runs = runs.checked_sub(1).ok_or(JoinError::NoRunsLeft)?;
                (message::SUITE_CODE, None, Secret::Code(code.duplicate()))
            }
        };
        let mut nonce = [0; 32];
        if rules.nonces {
            rng.fill(&mut nonce)?;
        }
        let hello = Hello {
            versions: vec![message::VERSION],
            suites: vec![suite],
            nonce,
            fingerprint: entry.certificate().fingerprint(),
            key: entry.key(),
            ticket,
            cookie: None,
        };
        let frame = hello.to_bytes();
        let deadline = now.saturating_add(MAX_LIFETIME);
        let common = Box::new(Common { entry, channel, deadline, rules });
        Ok((Self { common, state: AwaitChallenge { identity, hello, secret } }, frame))
    }

    /// Takes the answer to the hello.
    ///
    /// # Errors
    /// [`JoinError`]: the join is over, and nothing was changed on either side.
    pub fn receive(
        mut self,
        frame: &[u8],
        now: Monotonic,
        rng: &dyn SecureRandom,
    ) -> Result<Challenged, JoinError> {
        self.common.check(frame, now)?;
        if frame.first() == Some(&message::RETRY) {
            let cookie = message::parse_retry(frame)?;
            if self.state.hello.cookie.replace(cookie).is_some() {
                return Err(JoinError::Refused);
            }
            let again = self.state.hello.to_bytes();
            return Ok(Challenged::Again(self, again));
        }
        let challenge = Challenge::parse(frame)?;
        let Self { mut common, state } = self;
        common.check_challenge(&state.hello, &challenge)?;
        let lifetime = Duration::from_millis(challenge.lifetime_millis);
        common.deadline = common.deadline.min(now.saturating_add(lifetime));
        let hello = state.hello.to_bytes();
        let context = keys::context(&state.hello, &challenge, &common.channel, common.rules);
        let id = keys::session(&state.hello, &challenge, common.rules);
        let mut transcript = Transcript::new(&context, &hello, frame);
        let (keys, share) = match (&state.secret, challenge.share) {
            (Secret::Ticket(ticket), None) => {
                (Keys::new(ticket.mac_key().as_slice(), transcript.value()), None)
            }
            (Secret::Code(code), Some(theirs)) => {
                let code = code.expose_secret().as_bytes();
                let (secret, share) = cpace::begin(code, &context, &id, rng)?;
                let (first, second) = keys::associated(&hello, &challenge);
                let key = keys::exchange(&secret, &theirs, &id, (&theirs, &share), (&first, &second))
                    .ok_or(JoinError::Share)?;
                (Keys::new(key.expose_secret(), transcript.value()), Some(share))
            }
            _ => return Err(JoinError::Suite),
        };
        let entry = common.entry.to_bytes();
        let proven = transcript.with(&Proof::bare(share.as_ref(), &entry).finish());
        let signature = state.identity.key().sign(&signed("joiner", &proven));
        let (ticket_signature, pinned) = match &state.secret {
            Secret::Ticket(ticket) => {
                let signature = ticket.signing_key()?.sign(&signed("ticket", &proven));
                (Some(signature), Some(ticket.state()))
            }
            Secret::Code(_) => (None, None),
        };
        let also: &[u8] = ticket_signature.as_ref().map_or(&[], <[u8; 64]>::as_slice);
        let mac = keys.mac(Purpose::JoinerConfirms, &[&proven, &signature, also]);
        let proof = Proof { share, entry, signature, ticket_signature, mac }.to_bytes();
        transcript.add(&proof);
        let session = Box::new(Session { id, keys, transcript });
        let state =
            AwaitDecision { session, initiator: challenge.key, challenge: Box::new(challenge), pinned };
        Ok(Challenged::Proven(Joiner { common, state }, proof))
    }

    /// Gives up; the frame tells the other side.
    #[must_use]
    pub fn abort(self) -> Vec<u8> {
        message::reject()
    }
}

impl Joiner<AwaitDecision> {
    /// Two words that the operator on the other side sees too.
    #[must_use]
    pub fn words(&self) -> String {
        self.state.session.keys.words()
    }

    /// What the other side's operator is shown.
    #[must_use]
    pub fn intent(&self) -> JoinIntent {
        JoinIntent::new(self.common.entry.clone(), &self.state.session.id, self.words())
    }

    /// Takes an answer to the proof.
    ///
    /// # Errors
    /// [`JoinError`]: the join is over, and this machine has changed nothing.
    pub fn receive(self, frame: &[u8], now: Monotonic) -> Result<Decided, JoinError> {
        self.common.check(frame, now)?;
        let session = &self.state.session;
        match frame.first() {
            Some(&message::ABORT) => Err(session.aborted(frame)),
            Some(&message::PENDING) => {
                let (intent, mac) = message::parse_sealed::<32>(message::PENDING, frame)?;
                if !session.keys.verify(Purpose::InitiatorPends, &[&session.id, &intent], &mac) {
                    return Err(JoinError::Mac);
                }
                if intent != *self.intent().id().as_bytes() {
                    return Err(JoinError::Intent);
                }
                Ok(Decided::Pending(self))
            }
            _ => self.accepted(frame),
        }
    }

    /// Gives up; the frame tells the other side.
    #[must_use]
    pub fn abort(self) -> Vec<u8> {
        self.state.session.abort()
    }

    fn accepted(self, frame: &[u8]) -> Result<Decided, JoinError> {
        let accept = Accept::parse(frame)?;
        let Self { common, state } = self;
        let AwaitDecision { mut session, initiator, challenge, pinned } = state;
        let bare = Accept::bare(&accept.snapshot, &accept.entries, &accept.root).finish();
        let proven = session.transcript.with(&bare);
        // First what is cheap, and tells everything a stranger made from what the other side did.
        if !session.keys.verify(Purpose::InitiatorConfirms, &[&proven, &accept.signature], &accept.mac) {
            return Err(JoinError::Mac);
        }
        if !initiator.verifies(&signed("initiator", &proven), &accept.signature) {
            return Err(JoinError::Signature);
        }
        let base = TrustStore::from_snapshot(&accept.snapshot)?;
        if base.cluster() != challenge.cluster {
            return Err(JoinError::State);
        }
        if common.rules.roles && pinned.is_some_and(|pinned| pinned != base.state_id()) {
            return Err(JoinError::State);
        }
        let store = base.apply_all(&accept.entries)?;
        if store.root() != accept.root {
            return Err(JoinError::State);
        }
        let member = MemberId::of(&initiator);
        let standing = store.standing(&challenge.fingerprint);
        let is_member = standing == Standing::Current(member) || standing == Standing::Next(member);
        if common.rules.roles && !is_member {
            return Err(JoinError::NotAMember);
        }
        session.transcript.add(frame);
        let record = JoinerRecord::new(
            Progress::Pending,
            session.id,
            &session.keys.key(Purpose::Resumption),
            common.entry.clone(),
            store.clone(),
        );
        Ok(Decided::Accepted(Joiner { common, state: Installing { session, store } }, Box::new(record)))
    }
}

impl Joiner<Installing> {
    /// The members, as they are to be stored.
    #[must_use]
    pub const fn store(&self) -> &TrustStore {
        &self.state.store
    }

    /// Goes on once the record is durable; the frame is to be sent. After a crash from here on the record is resumed.
    pub fn installed(self) -> (Joiner<AwaitDone>, Vec<u8>) {
        let Self { common, state: Installing { mut session, store } } = self;
        let root = store.root();
        let proven =
            session.transcript.with(&message::unsealed(message::INSTALLED, root.as_bytes()).finish());
        let mac = session.keys.mac(Purpose::JoinerInstalled, &[&proven]);
        let frame = message::sealed(message::INSTALLED, root.as_bytes(), &mac);
        session.transcript.add(&frame);
        (Joiner { common, state: AwaitDone { session, store } }, frame)
    }

    /// Gives up, after the record was deleted; the frame tells the other side.
    #[must_use]
    pub fn abort(self) -> Vec<u8> {
        self.state.session.abort()
    }
}

impl Joiner<AwaitDone> {
    /// Takes the last frame. When it never comes, resume by the record.
    ///
    /// # Errors
    /// [`JoinError`]: this connection is over; the record says that the join is pending still, so resume it.
    pub fn receive(self, frame: &[u8], now: Monotonic) -> Result<Joined, JoinError> {
        self.common.check(frame, now)?;
        let Self { common, state: AwaitDone { session, store } } = self;
        if frame.first() == Some(&message::ABORT) {
            return Err(session.aborted(frame));
        }
        let done = Done::parse(frame)?;
        let proven = session.transcript.with(&Done::bare(&done.entries, &done.root).finish());
        if !session.keys.verify(Purpose::InitiatorDone, &[&proven], &done.mac) {
            return Err(JoinError::Mac);
        }
        let store = store.apply_all(&done.entries)?;
        let id = common.entry.id();
        let is_member = store.member(&id).is_some_and(|member| *member.entry() == common.entry);
        if store.root() != done.root || !is_member {
            return Err(JoinError::State);
        }
        let key = session.keys.key(Purpose::Resumption);
        let record = JoinerRecord::new(Progress::Joined, session.id, &key, common.entry, store.clone());
        Ok(Joined { store, member: id, record })
    }
}

impl Joined {
    /// The members, this machine among them.
    #[must_use]
    pub const fn store(&self) -> &TrustStore {
        &self.store
    }

    /// Which of them this machine is.
    #[must_use]
    pub const fn member(&self) -> MemberId {
        self.member
    }

    /// What is to be stored.
    #[must_use]
    pub const fn record(&self) -> &JoinerRecord {
        &self.record
    }
}

impl Common {
    fn check(&self, frame: &[u8], now: Monotonic) -> Result<(), JoinError> {
        if now >= self.deadline {
            return Err(JoinError::TimedOut);
        }
        if frame.first() == Some(&message::REJECT) { Err(JoinError::Refused) } else { Ok(()) }
    }

    fn check_challenge(&self, hello: &Hello, challenge: &Challenge) -> Result<(), JoinError> {
        if !hello.versions.contains(&challenge.version) || !hello.suites.contains(&challenge.suite) {
            return Err(JoinError::Suite);
        }
        if self.rules.nonces && challenge.nonce == hello.nonce {
            return Err(JoinError::Reflected);
        }
        if self.rules.peers {
            if challenge.key == hello.key || challenge.fingerprint == hello.fingerprint {
                return Err(JoinError::Reflected);
            }
            if !self.channel.is_with(&challenge.fingerprint) {
                return Err(JoinError::Peer);
            }
        }
        Ok(())
    }
}

impl Session {
    fn abort(&self) -> Vec<u8> {
        let mac = self.keys.mac(Purpose::JoinerAborts, &[&self.id]);
        message::sealed(message::ABORT, &self.id, &mac)
    }

    fn aborted(&self, frame: &[u8]) -> JoinError {
        match message::parse_sealed::<32>(message::ABORT, frame) {
            Ok((session, mac))
                if session == self.id && self.keys.verify(Purpose::InitiatorAborts, &[&session], &mac) =>
            {
                JoinError::Aborted
            }
            Ok(_) => JoinError::Mac,
            Err(error) => error.into(),
        }
    }
}

/// What a signature is over: who signs, and the transcript.
pub(super) fn signed(who: &str, transcript: &Digest) -> Digest {
    Parts::new("palisade-join/1 signature").with(who.as_bytes()).with(transcript).value()
}
