//! A machine that joins, step by step.

use std::sync::Arc;

use join_hmac::code::PairingCode;
use join_hmac::error::JoinError;
use join_hmac::join::{
    AwaitApproval, AwaitChallenge, AwaitDecision, AwaitDone, Challenged, Channel, Decided, HelloOutcome,
    Initiator, JoinSecret, Joined, Joiner, JoinerRecord, Monotonic, ProofOutcome, SessionId, Window,
    WindowConfig,
};
use join_hmac::testing::{SOURCE, TODAY, World, direct, machine};
use join_hmac::trust::{Identity, MemberEntry};

pub(crate) const NOW: Monotonic = Monotonic::from_millis(1000);

pub(crate) struct Machine {
    pub(crate) identity: Arc<Identity>,
    pub(crate) entry: MemberEntry,
}

impl Machine {
    pub(crate) fn new(name: &str) -> Self {
        let (identity, entry) = machine(name, "worker");
        Self { identity, entry }
    }

    pub(crate) fn start(
        &self,
        world: &World,
        secret: &mut JoinSecret,
        channel: &Channel,
    ) -> (Joiner<AwaitChallenge>, Vec<u8>) {
        let (identity, entry) = (Arc::clone(&self.identity), self.entry.clone());
        Joiner::start(identity, entry, secret, channel.clone(), NOW, &world.rng).unwrap()
    }

    pub(crate) fn channels(&self, world: &World) -> (Channel, Channel) {
        direct(7, &world.identity, &self.identity)
    }
}

pub(crate) fn code(words: &str) -> PairingCode {
    PairingCode::parse(words).unwrap()
}

pub(crate) fn window(world: &World) -> Window {
    world.window(WindowConfig::default())
}

pub(crate) fn challenge(
    world: &World,
    window: &mut Window,
    hello: &[u8],
    channel: &Channel,
) -> Result<(SessionId, Vec<u8>), JoinError> {
    match window.hello(hello, SOURCE, channel, world, (NOW, TODAY), &world.rng) {
        HelloOutcome::Challenge(answer) => Ok((answer.session, answer.frame)),
        HelloOutcome::Refused(frame, reason) => {
            assert_eq!(frame, [9, 0, 0, 0], "the other side is told nothing");
            Err(reason)
        }
        HelloOutcome::Retry(_) => panic!("no cookie is due"),
    }
}

pub(crate) fn prove(
    world: &World,
    joiner: Joiner<AwaitChallenge>,
    challenge: &[u8],
) -> Result<(Joiner<AwaitDecision>, Vec<u8>), JoinError> {
    match joiner.receive(challenge, NOW, &world.rng)? {
        Challenged::Proven(joiner, proof) => Ok((joiner, proof)),
        Challenged::Again(..) => panic!("no cookie was sent"),
    }
}

pub(crate) fn check(
    world: &World,
    window: &mut Window,
    session: SessionId,
    proof: &[u8],
) -> Result<Initiator<AwaitApproval>, JoinError> {
    match window.proof(session, proof, world, (NOW, TODAY)) {
        ProofOutcome::Proven(initiator) => Ok(initiator),
        ProofOutcome::Refused(frame, reason) => {
            assert_eq!(frame, [9, 0, 0, 0], "the other side is told nothing");
            Err(reason)
        }
    }
}

/// Up to where both sides have proven that they know the secret, and the operator is asked.
pub(crate) fn proven(
    world: &World,
    window: &mut Window,
    machine: &Machine,
    secret: &mut JoinSecret,
) -> Result<(Joiner<AwaitDecision>, Initiator<AwaitApproval>), JoinError> {
    let (theirs, ours) = machine.channels(world);
    let (joiner, hello) = machine.start(world, secret, &theirs);
    let (session, challenge) = challenge(world, window, &hello, &ours)?;
    let (joiner, proof) = prove(world, joiner, &challenge)?;
    let initiator = check(world, window, session, &proof)?;
    Ok((joiner, initiator))
}

pub(crate) fn accept(
    joiner: Joiner<AwaitDecision>,
    frame: &[u8],
) -> Result<(Joiner<join_hmac::join::Installing>, JoinerRecord), JoinError> {
    match joiner.receive(frame, NOW)? {
        Decided::Accepted(joiner, record) => Ok((joiner, *record)),
        Decided::Pending(_) => panic!("it was no pending frame"),
    }
}

/// A whole join.
pub(crate) fn join(
    world: &mut World,
    window: &mut Window,
    machine: &Machine,
    secret: &mut JoinSecret,
) -> Result<Joined, JoinError> {
    let (joiner, initiator) = proven(world, window, machine, secret)?;
    let (initiator, members) = world.approve(initiator, NOW);
    let (joiner, _record) = accept(joiner, &members)?;
    let (joiner, installed): (Joiner<AwaitDone>, Vec<u8>) = joiner.installed();
    let (admitting, _) = initiator.receive(&installed, NOW)?.into_parts();
    let admitted = world.admit(admitting);
    window.refresh(&world.store);
    joiner.receive(admitted.frame(), NOW)
}
