//! The open window of a member: what strangers may make it do, and no more.

mod outcome;

use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use core_types::{Fingerprint, SecureRandom, UnixTime};

pub use self::outcome::{
    Answer, HelloOutcome, Lookup, MAX_HALF_OPEN, ProofOutcome, ResumeOutcome, SessionId, WindowConfig,
};
use super::approval::JoinIntent;
use super::channel::Channel;
use super::clock::Monotonic;
use super::cookie::Cookies;
use super::event::JoinEvent;
use super::initiator::{Admitting, AwaitApproval, Common, Initiator};
use super::joiner::{MAX_LIFETIME, signed};
use super::keys::{self, Keys, Purpose, Transcript};
use super::limits::{Global, PerSource};
use super::record::Progress;
use super::rules::Rules;
use crate::code::PairingCode;
use crate::cpace::{self, Share};
use crate::error::{JoinError, WindowError};
use crate::mac::Digest;
use crate::ticket::TicketId;
use crate::trust::{ClusterId, Identity, MemberEntry, PublicKey, Root, TrustStore};
use crate::wire::message::{self, Challenge, Hello, Proof, Resume};

/// A member's open window.
#[derive(Debug)]
pub struct Window {
    config: WindowConfig,
    identity: Arc<Identity>,
    cluster: ClusterId,
    epoch: u64,
    root: Root,
    closes_at: Monotonic,
    code: Option<OpenCode>,
    cookies: Cookies,
    sources: PerSource,
    code_sources: PerSource,
    global: Global,
    // INVARIANT: at most config.half_open; the least number is the oldest.
    half_open: BTreeMap<SessionId, Box<HalfOpen>>,
    next: u64,
    // INVARIANT: at most MAX_EVENTS.
    events: VecDeque<JoinEvent>,
    rules: Rules,
}

#[derive(Debug)]
struct OpenCode {
    number: u64,
    code: PairingCode,
    left: u32,
}

#[derive(Debug)]
struct HalfOpen {
    id: Digest,
    transcript: Transcript,
    fingerprint: Fingerprint,
    key: PublicKey,
    source: IpAddr,
    secret: Pending,
}

enum Pending {
    Ticket(TicketId, Keys),
    Code { number: u64, secret: cpace::Secret, share: Share, data: (Digest, Digest) },
}

impl Window {
    /// Opens a window of the member `identity`, whose cluster is in the state `store`.
    ///
    /// # Errors
    /// [`WindowError`].
    pub fn open(
        config: WindowConfig,
        identity: Arc<Identity>,
        store: &TrustStore,
        now: Monotonic,
        rng: &dyn SecureRandom,
    ) -> Result<Self, WindowError> {
        let bounded = (1..=MAX_HALF_OPEN).contains(&config.half_open);
        if !bounded || config.guesses == 0 || config.lifetime.is_zero() || config.lifetime > MAX_LIFETIME {
            return Err(WindowError::Config);
        }
        let mut keys = [[0; 32]; 3];
        for key in &mut keys {
            rng.fill(key)?;
        }
        let [cookie, sources, code_sources] = keys;
        Ok(Self {
            config,
            identity,
            cluster: store.cluster(),
            epoch: store.epoch(),
            root: store.root(),
            closes_at: now.saturating_add(config.lifetime),
            code: None,
            cookies: Cookies::new(cookie),
            sources: PerSource::new(config.per_source, sources),
            code_sources: PerSource::new(config.code_per_source, code_sources),
            global: Global::new(config.global),
            half_open: BTreeMap::new(),
            next: 0,
            events: VecDeque::new(),
            rules: Rules::ALL,
        })
    }

    /// The window of a weaker protocol, for the model explorer to break.
    #[cfg(feature = "testing")]
    #[must_use]
    pub const fn dangerous_weakened(mut self, weakness: super::Weakness) -> Self {
        self.rules = Rules::without(weakness);
        self
    }

    /// Takes note of the cluster's newer state.
    pub fn refresh(&mut self, store: &TrustStore) {
        (self.epoch, self.root) = (store.epoch(), store.root());
    }

    /// Opens the window for a code, in place of the one before. A code lets in one machine.
    pub fn show_code(&mut self, code: PairingCode) {
        self.next = self.next.saturating_add(1);
        self.code = Some(OpenCode { number: self.next, code, left: self.config.guesses });
    }

    /// Takes the code back.
    pub fn hide_code(&mut self) {
        self.code = None;
    }

    /// How many guesses the code has left; `None` when there is no code.
    #[must_use]
    pub fn guesses_left(&self) -> Option<u32> {
        self.code.as_ref().map(|code| code.left)
    }

    /// When the window closes.
    #[must_use]
    pub const fn closes_at(&self) -> Monotonic {
        self.closes_at
    }

    /// How many sessions are half open.
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.half_open.len()
    }

    /// What happened since this was last asked; of more than 256 events the oldest are gone.
    pub fn take_events(&mut self) -> impl Iterator<Item = JoinEvent> {
        core::mem::take(&mut self.events).into_iter()
    }

    /// A connection of a half-open session is gone. A run with a code that it had begun stays counted.
    pub fn closed(&mut self, session: SessionId) {
        if let Some(half) = self.half_open.remove(&session) {
            self.burn(half.source);
        }
    }

    /// Takes a hello. What is malformed costs reading it; what comes from nowhere costs a MAC; nothing here costs more
    /// than two scalar multiplications, and no memory that grows.
    pub fn hello(
        &mut self,
        frame: &[u8],
        source: IpAddr,
        channel: &Channel,
        lookup: &dyn Lookup,
        (now, today): (Monotonic, UnixTime),
        rng: &dyn SecureRandom,
    ) -> HelloOutcome {
        match self.answer(frame, source, channel, lookup, (now, today), rng) {
            Ok(outcome) => outcome,
            Err(reason) => HelloOutcome::Refused(message::reject(), reason),
        }
    }

    fn answer(
        &mut self,
        frame: &[u8],
        source: IpAddr,
        channel: &Channel,
        lookup: &dyn Lookup,
        (now, today): (Monotonic, UnixTime),
        rng: &dyn SecureRandom,
    ) -> Result<HelloOutcome, JoinError> {
        let hello = Hello::parse(frame)?;
        if now >= self.closes_at {
            return Err(JoinError::TimedOut);
        }
        if !self.is_where_it_says(&hello, source, now) {
            let bare = Hello { cookie: None, ..hello }.to_bytes();
            return Ok(HelloOutcome::Retry(message::retry(&self.cookies.bake(source, &bare, now))));
        }
        // Who showed no cookie has taken from all that may be asked for already, of the half that is for such.
        let takes = hello.cookie.is_some();
        if !self.sources.take(source, now) || (takes && !self.global.take(now)) {
            self.tell(JoinEvent::Busy);
            return Err(JoinError::Busy);
        }
        if self.rules.peers && !channel.is_with(&hello.fingerprint) {
            return Err(JoinError::Peer);
        }
        if hello.key == self.identity.key().public() {
            return Err(JoinError::Reflected);
        }
        if !hello.versions.contains(&message::VERSION) {
            return Err(JoinError::Suite);
        }
        let mut nonce = [0; 32];
        if self.rules.nonces {
            rng.fill(&mut nonce)?;
        }
        let mut challenge = Challenge {
            version: message::VERSION,
            suite: message::SUITE_TICKET,
            nonce,
            fingerprint: self.identity.certificate().fingerprint(),
            key: self.identity.key().public(),
            cluster: self.cluster,
            epoch: self.epoch,
            root: self.root,
            lifetime_millis: self.closes_at.as_millis().saturating_sub(now.as_millis()),
            share: None,
        };
        let id = keys::session(&hello, &challenge, self.rules);
        let (challenge_frame, transcript, secret) = match hello.ticket {
            Some(ticket) if hello.suites.contains(&message::SUITE_TICKET) => {
                let record = lookup.ticket(&ticket).ok_or(JoinError::Unknown)?;
                record.check_usable(hello.fingerprint, today).map_err(|_| JoinError::Unknown)?;
                let context = keys::context(&hello, &challenge, channel, self.rules);
                let challenge = challenge.to_bytes();
                let transcript = Transcript::new(&context, frame, &challenge);
                let keys = Keys::new(record.mac_key(), transcript.value());
                (challenge, transcript, Pending::Ticket(ticket, keys))
            }
            None if hello.suites.contains(&message::SUITE_CODE) => {
                challenge.suite = message::SUITE_CODE;
                if !self.code_sources.take(source, now) {
                    self.tell(JoinEvent::Busy);
                    return Err(JoinError::Busy);
                }
                let context = keys::context(&hello, &challenge, channel, self.rules);
                let code = self.code.as_ref().filter(|code| code.left > 0).ok_or(JoinError::Unknown)?;
                let number = code.number;
                let (secret, share) = cpace::begin(code.code.expose_secret().as_bytes(), &context, &id, rng)?;
                let data = keys::associated(frame, &challenge);
                challenge.share = Some(share);
                let challenge = challenge.to_bytes();
                let transcript = Transcript::new(&context, frame, &challenge);
                self.count_run(source);
                (challenge, transcript, Pending::Code { number, secret, share, data })
            }
            _ => return Err(JoinError::Suite),
        };
        let (fingerprint, key) = (hello.fingerprint, hello.key);
        let session = self.keep(HalfOpen { id, transcript, fingerprint, key, source, secret });
        Ok(HelloOutcome::Challenge(Answer { session, frame: challenge_frame }))
    }

    /// Takes the proof of a half-open session, which ends that session whatever comes of it.
    pub fn proof(
        &mut self,
        session: SessionId,
        frame: &[u8],
        lookup: &dyn Lookup,
        (now, today): (Monotonic, UnixTime),
    ) -> ProofOutcome {
        let Some(half) = self.half_open.remove(&session) else {
            return ProofOutcome::Refused(message::reject(), JoinError::Unknown);
        };
        let ticket = match &half.secret {
            Pending::Ticket(id, _) => Some(*id),
            Pending::Code { .. } => None,
        };
        let source = half.source;
        match self.check(*half, frame, lookup, (now, today)) {
            Ok(proven) => {
                self.tell(JoinEvent::Proven { machine: proven.common.entry.id() });
                ProofOutcome::Proven(proven)
            }
            Err((reason, answer)) => {
                self.tell(JoinEvent::ProofRefused { ticket });
                self.burn(source);
                ProofOutcome::Refused(answer, reason)
            }
        }
    }

    fn check(
        &mut self,
        half: HalfOpen,
        frame: &[u8],
        lookup: &dyn Lookup,
        (now, today): (Monotonic, UnixTime),
    ) -> Result<Initiator<AwaitApproval>, (JoinError, Vec<u8>)> {
        let refused = |reason: JoinError| (reason, message::reject());
        if now >= self.closes_at {
            return Err(refused(JoinError::TimedOut));
        }
        let proof = Proof::parse(frame).map_err(|error| refused(error.into()))?;
        let HalfOpen { id, mut transcript, fingerprint, key, secret, .. } = half;
        let (ticket, code, keys) = match secret {
            Pending::Ticket(ticket, keys) if proof.share.is_none() => (Some(ticket), None, keys),
            Pending::Code { number, secret, share, data } => {
                let theirs = proof.share.ok_or_else(|| refused(JoinError::Share))?;
                let exchanged = keys::exchange(&secret, &theirs, &id, (&share, &theirs), (&data.0, &data.1))
                    .ok_or_else(|| refused(JoinError::Share))?;
                (None, Some(number), Keys::new(exchanged.expose_secret(), transcript.value()))
            }
            Pending::Ticket(..) => return Err(refused(JoinError::Share)),
        };
        let proven = transcript.with(&Proof::bare(proof.share.as_ref(), &proof.entry).finish());
        let also: &[u8] = proof.ticket_signature.as_ref().map_or(&[], <[u8; 64]>::as_slice);
        if !keys.verify(Purpose::JoinerConfirms, &[&proven, &proof.signature, also], &proof.mac) {
            let mut answer = message::reject();
            if !self.rules.joiner_first {
                let mac = keys.mac(Purpose::InitiatorPends, &[&id, &proven]);
                answer = message::sealed(message::PENDING, &proven, &mac);
            }
            return Err((JoinError::Mac, answer));
        }
        if let Some(number) = code {
            // The secret is known: the run was no guess, and the code has done its work.
            self.code.take_if(|code| code.number == number).ok_or_else(|| refused(JoinError::Unknown))?;
        }
        if !key.verifies(&signed("joiner", &proven), &proof.signature) {
            return Err(refused(JoinError::Signature));
        }
        let entry = MemberEntry::from_bytes(&proof.entry).map_err(|error| refused(error.into()))?;
        if entry.key() != key || entry.certificate().fingerprint() != fingerprint {
            return Err(refused(JoinError::Key));
        }
        if let Some(ticket) = ticket {
            let record = lookup.ticket(&ticket).ok_or_else(|| refused(JoinError::Unknown))?;
            record.check_usable(fingerprint, today).map_err(|_| refused(JoinError::Unknown))?;
            let signature = proof.ticket_signature.ok_or_else(|| refused(JoinError::Signature))?;
            if !record.key().verifies(&signed("ticket", &proven), &signature) {
                return Err(refused(JoinError::Signature));
            }
            if !record.allows(&entry) {
                return Err(refused(JoinError::Policy));
            }
        } else if proof.ticket_signature.is_some() {
            return Err(refused(JoinError::Signature));
        }
        transcript.add(frame);
        let intent = JoinIntent::new(entry.clone(), &id, keys.words());
        let common = Box::new(Common { session: id, keys, transcript, entry, deadline: self.closes_at });
        let state = AwaitApproval { identity: Arc::clone(&self.identity), intent, ticket };
        Ok(Initiator { common, state })
    }

    /// Takes a resumption: of a machine that has stored the members, over a new connection.
    pub fn resume(
        &mut self,
        frame: &[u8],
        source: IpAddr,
        channel: &Channel,
        lookup: &dyn Lookup,
        now: Monotonic,
    ) -> ResumeOutcome {
        match self.resumed(frame, source, channel, lookup, now) {
            Ok((initiator, progress)) => ResumeOutcome::Resumed(initiator, progress),
            Err(reason) => ResumeOutcome::Refused(message::reject(), reason),
        }
    }

    fn resumed(
        &mut self,
        frame: &[u8],
        source: IpAddr,
        channel: &Channel,
        lookup: &dyn Lookup,
        now: Monotonic,
    ) -> Result<(Initiator<Admitting>, Progress), JoinError> {
        let resume = Resume::parse(frame)?;
        if !self.sources.take(source, now) || !self.global.take(now) {
            return Err(JoinError::Busy);
        }
        if !channel.is_with(&resume.fingerprint) {
            return Err(JoinError::Peer);
        }
        let record = lookup.join(&resume.fingerprint).ok_or(JoinError::Unknown)?;
        let keys = Keys::resumed(*record.resumption(), *record.session());
        let binding = channel.binding();
        if !keys.verify(Purpose::JoinerResumes, &[&binding, &resume.bare().finish()], &resume.mac) {
            return Err(JoinError::Mac);
        }
        if resume.session != *record.session() || resume.root != record.root() {
            return Err(JoinError::State);
        }
        let transcript = Transcript::new(&binding, frame, &[]);
        let deadline = now.saturating_add(self.config.lifetime);
        let (session, entry) = (*record.session(), record.entry().clone());
        let progress = record.progress();
        let common = Box::new(Common { session, keys, transcript, entry, deadline });
        Ok((Initiator { common, state: Admitting { record: Box::new(record) } }, progress))
    }

    /// Whether it need not show that, or has.
    fn is_where_it_says(&mut self, hello: &Hello, source: IpAddr, now: Monotonic) -> bool {
        match &hello.cookie {
            None => self.half_open.len() < self.config.cookies_above && self.global.take_unproven(now),
            Some(cookie) => {
                let bare = Hello { cookie: None, ..hello.clone() }.to_bytes();
                self.cookies.is_good(cookie, source, &bare, now)
            }
        }
    }

    /// A run is a guess until it confirms: who takes a share and goes away has counted.
    fn count_run(&mut self, source: IpAddr) {
        let Some(code) = &mut self.code else { return };
        code.left = code.left.saturating_sub(1);
        let left = code.left;
        self.tell(JoinEvent::CodeRun { source, left });
    }

    /// Ends a code that is used up, once its last run has ended without a proof.
    fn burn(&mut self, source: IpAddr) {
        let open = |number: u64| {
            let of =
                |half: &HalfOpen| matches!(half.secret, Pending::Code { number: of, .. } if of == number);
            self.half_open.values().any(|half| of(half))
        };
        if self.code.as_ref().is_some_and(|code| code.left == 0 && !open(code.number)) {
            self.code = None;
            self.tell(JoinEvent::CodeBurnt { source });
        }
    }

    fn keep(&mut self, half: HalfOpen) -> SessionId {
        while self.half_open.len() >= self.config.half_open {
            let Some((_, evicted)) = self.half_open.pop_first() else { break };
            self.tell(JoinEvent::Evicted);
            self.burn(evicted.source);
        }
        self.next = self.next.saturating_add(1);
        let session = SessionId(self.next);
        self.half_open.insert(session, Box::new(half));
        session
    }

    fn tell(&mut self, event: JoinEvent) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

impl core::fmt::Debug for Pending {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Ticket(id, _) => write!(f, "Ticket({id})"),
            Self::Code { .. } => f.write_str("Code"),
        }
    }
}

impl core::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Cookies(redacted)")
    }
}

const MAX_EVENTS: usize = 256;
