//! The parties, the network, and what must hold.

mod check;

use std::collections::BTreeMap;
use std::sync::Arc;

use join_hmac::code::PairingCode;
use join_hmac::join::{
    Admitting, AwaitChallenge, AwaitDecision, AwaitDone, AwaitInstalled, Challenged, Channel, Decided,
    HelloOutcome, Initiator, JoinSecret, Joined, Joiner, JoinerRecord, Monotonic, ProofOutcome, Rate,
    ResumeOutcome, SessionId, Weakness, Window, WindowConfig,
};
use join_hmac::testing::{SOURCE, TODAY, World, direct, machine};
use join_hmac::ticket::Ticket;
use join_hmac::trust::{Identity, MemberEntry};

const NOW: Monotonic = Monotonic::from_millis(1000);

/// What is explored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) machines: usize,
    pub(crate) crashes: u8,
    pub(crate) flips: u8,
    /// The first machine's connection ends at an intruder, who has another to the member.
    pub(crate) middle: bool,
    /// The member that machines ask is none: an outsider who knows the ticket.
    pub(crate) rogue: bool,
    /// What the machines know: a ticket, or a code.
    pub(crate) secret: Known,
    pub(crate) weakness: Option<Weakness>,
}

/// What machines know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Ticket,
    /// The code that the member shows; a restarted member shows a new one, which is told to the machines.
    Code,
    /// A code, and the first machine's is another one.
    WrongCode,
}

impl Scenario {
    pub(crate) const PLAIN: Self = Self {
        machines: 1,
        crashes: 0,
        flips: 0,
        middle: false,
        rogue: false,
        secret: Known::Ticket,
        weakness: None,
    };
    pub(crate) const CODE: Self = Self { secret: Known::Code, ..Self::PLAIN };
}

/// One move of the scheduler, which is the intruder.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Move {
    Start(usize),
    ToMachine(usize, usize),
    ToMember(usize, usize),
    FlippedToMachine(usize, usize),
    FlippedToMember(usize, usize),
    CrashMachine(usize),
    CrashMember,
    Resume(usize),
}

enum Step {
    Idle,
    AwaitChallenge(Joiner<AwaitChallenge>),
    AwaitDecision(Joiner<AwaitDecision>),
    AwaitDone(Joiner<AwaitDone>),
    Joined(Joined),
    Failed,
}

struct Party {
    identity: Arc<Identity>,
    entry: MemberEntry,
    step: Step,
    record: Option<JoinerRecord>,
    label: String,
    /// This machine's end of its connection, and the member's end.
    ends: (Channel, Channel),
}

enum Slot {
    Idle,
    HalfOpen(SessionId),
    AwaitInstalled(Box<Initiator<AwaitInstalled>>),
    Over,
}

pub(crate) struct Sim {
    scenario: Scenario,
    world: World,
    window: Window,
    ticket: String,
    /// The cluster that the ticket is of.
    honest: join_hmac::trust::ClusterId,
    parties: Vec<Party>,
    slots: Vec<(Slot, String)>,
    /// Everything ever sent, and what it is.
    pool: Vec<(Vec<u8>, String)>,
    taken: BTreeMap<Vec<u8>, u32>,
    /// Machines let in by the code that is shown: of one code, one at most.
    by_code: u32,
    crashes: u8,
    flips: u8,
    wrong: Option<String>,
}

impl Sim {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut world = World::new("alpha");
        let ticket = world.ticket(8);
        let honest = world.store.cluster();
        if scenario.rogue {
            let mut rogue = World::new("mallory");
            rogue.tickets = core::mem::take(&mut world.tickets);
            world = rogue;
        }
        let window = open(&world, scenario);
        let (middle, _) = machine("mallory", "worker");
        let parties: Vec<Party> = ["beta", "gamma"][..scenario.machines]
            .iter()
            .zip(1_u8..)
            .map(|(name, number)| {
                let (identity, entry) = machine(name, "worker");
                let ends = if scenario.middle {
                    let (theirs, _) = direct(100 + number, &middle, &identity);
                    let (_, ours) = direct(number, &world.identity, &middle);
                    (theirs, ours)
                } else {
                    direct(number, &world.identity, &identity)
                };
                Party { identity, entry, step: Step::Idle, record: None, label: "idle".into(), ends }
            })
            .collect();
        // A connection for each machine, and one more of the first, for what is repeated.
        let slots = (0..=parties.len()).map(|_| (Slot::Idle, "idle".to_owned())).collect();
        Self {
            scenario,
            window,
            ticket: ticket.expose(str::to_owned),
            honest,
            world,
            parties,
            slots,
            pool: Vec::new(),
            taken: BTreeMap::new(),
            by_code: 0,
            crashes: scenario.crashes,
            flips: scenario.flips,
            wrong: None,
        }
    }

    pub(crate) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (at, party) in self.parties.iter().enumerate() {
            match &party.step {
                Step::Idle | Step::Failed if party.record.is_some() => moves.push(Move::Resume(at)),
                Step::Idle => moves.push(Move::Start(at)),
                Step::AwaitChallenge(_) | Step::AwaitDecision(_) | Step::AwaitDone(_) => {
                    moves.extend((0..self.pool.len()).map(|frame| Move::ToMachine(at, frame)));
                    if self.flips > 0 {
                        moves.extend((0..self.pool.len()).map(|frame| Move::FlippedToMachine(at, frame)));
                    }
                }
                Step::Joined(_) | Step::Failed => {}
            }
            if self.crashes > 0 && !matches!(party.step, Step::Idle) {
                moves.push(Move::CrashMachine(at));
            }
        }
        for (at, (slot, _)) in self.slots.iter().enumerate() {
            for (frame, (bytes, _)) in self.pool.iter().enumerate() {
                // What begins nothing on an idle connection leaves it idle.
                let begins = matches!(bytes.first(), Some(1 | 11));
                if matches!(slot, Slot::Over) || (matches!(slot, Slot::Idle) && !begins) {
                    continue;
                }
                moves.push(Move::ToMember(at, frame));
                if self.flips > 0 {
                    moves.push(Move::FlippedToMember(at, frame));
                }
            }
        }
        if self.crashes > 0 {
            moves.push(Move::CrashMember);
        }
        moves
    }

    pub(crate) fn step(&mut self, step: Move) {
        match step {
            Move::Start(at) => self.start(at),
            Move::ToMachine(at, frame) => {
                let (frame, label) = self.pool[frame].clone();
                self.deliver_to_machine(at, &frame, &label);
            }
            Move::ToMember(at, frame) => {
                let (frame, label) = self.pool[frame].clone();
                self.deliver_to_member(at, &frame, &label);
            }
            Move::FlippedToMachine(at, frame) => {
                let (frame, label) = self.flipped(frame);
                self.deliver_to_machine(at, &frame, &label);
            }
            Move::FlippedToMember(at, frame) => {
                let (frame, label) = self.flipped(frame);
                self.deliver_to_member(at, &frame, &label);
            }
            Move::CrashMachine(at) => {
                self.crashes -= 1;
                self.parties[at].step = Step::Idle;
                self.parties[at].label = format!("crashed in {}", self.parties[at].label);
            }
            Move::CrashMember => {
                self.crashes -= 1;
                self.restart();
                for slot in &mut self.slots {
                    *slot = (Slot::Idle, "crashed".into());
                }
            }
            Move::Resume(at) => self.resume(at),
        }
    }

    fn flipped(&mut self, frame: usize) -> (Vec<u8>, String) {
        self.flips -= 1;
        let (mut frame, label) = self.pool[frame].clone();
        // In the last value: the MAC, where there is one.
        let at = frame.len() - 1;
        frame[at] ^= 1;
        (frame, format!("flipped {label}"))
    }

    fn send(&mut self, frame: Vec<u8>, label: String) {
        if frame.first() != Some(&9) && !self.pool.iter().any(|(_, known)| *known == label) {
            self.pool.push((frame, label));
        }
    }

    /// A code does not outlive its process: another is shown.
    fn restart(&mut self) {
        self.window = open(&self.world, self.scenario);
        self.by_code = 0;
    }

    fn secret(&self, at: usize) -> JoinSecret {
        match self.scenario.secret {
            Known::Ticket => JoinSecret::ticket(Ticket::parse(&self.ticket).unwrap()),
            Known::WrongCode if at == 0 => JoinSecret::code(code("zebra zombie")),
            Known::Code | Known::WrongCode => JoinSecret::code(code(CODE)),
        }
    }

    fn start(&mut self, at: usize) {
        let mut secret = self.secret(at);
        let party = &mut self.parties[at];
        let (identity, entry) = (Arc::clone(&party.identity), party.entry.clone());
        let channel = party.ends.0.clone();
        let rng = &self.world.rng;
        let (joiner, hello) = match self.scenario.weakness {
            None => Joiner::start(identity, entry, &mut secret, channel, NOW, rng),
            Some(weakness) => {
                Joiner::dangerous_start_weakened(identity, entry, &mut secret, channel, NOW, rng, weakness)
            }
        }
        .unwrap();
        let label = format!("hello {at} after {}", party.label);
        party.step = Step::AwaitChallenge(joiner);
        party.label.clone_from(&label);
        self.send(hello, label);
    }

    fn resume(&mut self, at: usize) {
        let party = &mut self.parties[at];
        let record = party.record.as_ref().unwrap();
        let (joiner, frame) = record.resume(party.ends.0.clone(), NOW, &self.world.rng).unwrap();
        let label = format!("resume {at}");
        party.step = Step::AwaitDone(joiner);
        party.label.clone_from(&label);
        self.send(frame, label);
    }

    fn deliver_to_machine(&mut self, at: usize, frame: &[u8], label: &str) {
        let party = &mut self.parties[at];
        let own = format!("({}) by ({label})", party.label);
        let mut answer = None;
        party.step = match core::mem::replace(&mut party.step, Step::Failed) {
            Step::AwaitChallenge(joiner) => match joiner.receive(frame, NOW, &self.world.rng) {
                Ok(Challenged::Proven(joiner, proof)) => {
                    answer = Some((proof, format!("proof {own}")));
                    Step::AwaitDecision(joiner)
                }
                Ok(Challenged::Again(..)) => panic!("no cookies here"),
                Err(_) => Step::Failed,
            },
            Step::AwaitDecision(joiner) => match joiner.receive(frame, NOW) {
                Ok(Decided::Accepted(joiner, record)) => {
                    party.record = Some(*record);
                    let (joiner, installed) = joiner.installed();
                    answer = Some((installed, format!("installed {own}")));
                    Step::AwaitDone(joiner)
                }
                Ok(Decided::Pending(joiner)) => Step::AwaitDecision(joiner),
                Err(_) => Step::Failed,
            },
            Step::AwaitDone(joiner) => match joiner.receive(frame, NOW) {
                Ok(joined) => Step::Joined(joined),
                Err(_) => Step::Failed,
            },
            other => other,
        };
        party.label = match &party.step {
            Step::Failed => "failed".into(),
            Step::Joined(_) => "joined".into(),
            _ => own,
        };
        if let Some((frame, label)) = answer {
            self.send(frame, label);
        }
    }

    fn deliver_to_member(&mut self, at: usize, frame: &[u8], label: &str) {
        let (slot, own) = core::mem::replace(&mut self.slots[at], (Slot::Over, "over".into()));
        let own = format!("({own}) by ({label})");
        let ours = self.parties[at % self.parties.len()].ends.1.clone();
        let (world, window) = (&self.world, &mut self.window);
        let next = match slot {
            Slot::Idle if frame.first() == Some(&11) => {
                match window.resume(frame, SOURCE, &ours, world, NOW) {
                    ResumeOutcome::Resumed(admitting, _) => {
                        self.admit(admitting, &own);
                        Slot::Over
                    }
                    ResumeOutcome::Refused(..) => Slot::Idle,
                }
            }
            Slot::Idle => match window.hello(frame, SOURCE, &ours, world, (NOW, TODAY), &world.rng) {
                HelloOutcome::Challenge(answer) => {
                    self.send(answer.frame, format!("challenge {at} {own}"));
                    Slot::HalfOpen(answer.session)
                }
                HelloOutcome::Refused(..) => Slot::Idle,
                HelloOutcome::Retry(_) => panic!("no cookies here"),
            },
            Slot::HalfOpen(session) => match window.proof(session, frame, world, (NOW, TODAY)) {
                ProofOutcome::Proven(initiator) => {
                    let times = self.taken.entry(frame.to_vec()).or_default();
                    *times += 1;
                    if *times > 1 {
                        self.wrong = Some("a proof was taken twice".into());
                    }
                    if initiator.ticket().is_none() {
                        self.by_code += 1;
                        if self.by_code > 1 {
                            self.wrong = Some("a code let in two machines".into());
                        }
                        if self.scenario.secret == Known::WrongCode
                            && initiator.intent().entry() == &self.parties[0].entry
                        {
                            self.wrong = Some("a machine got in without the code".into());
                        }
                    }
                    if initiator.pending().first() != Some(&5) {
                        self.wrong = Some("a pending frame is another".into());
                    }
                    // A member that joins anew goes on as the member it is.
                    let (initiator, members) = self.world.approve(initiator, NOW);
                    self.send(members, format!("members {at} {own}"));
                    Slot::AwaitInstalled(Box::new(initiator))
                }
                ProofOutcome::Refused(answer, _) => {
                    if answer != [9, 0, 0, 0] {
                        self.wrong = Some("the member answered a wrong proof".into());
                    }
                    Slot::Over
                }
            },
            Slot::AwaitInstalled(initiator) => match initiator.receive(frame, NOW) {
                Ok(receipt) => {
                    self.admit(receipt.into_parts().0, &own);
                    Slot::Over
                }
                Err(_) => Slot::Over,
            },
            Slot::Over => Slot::Over,
        };
        let label = match &next {
            Slot::Idle => "idle".into(),
            Slot::Over => "over".into(),
            _ => own,
        };
        self.slots[at] = (next, label);
    }

    fn admit(&mut self, admitting: Initiator<Admitting>, own: &str) {
        let admitted = self.world.admit(admitting);
        self.window.refresh(&self.world.store);
        self.send(admitted.frame().to_vec(), format!("done {own}"));
    }
}

fn code(words: &str) -> PairingCode {
    PairingCode::parse(words).unwrap()
}

fn open(world: &World, scenario: Scenario) -> Window {
    let generous = Rate { burst: 1000, interval: core::time::Duration::from_millis(1) };
    let config = WindowConfig {
        half_open: 8,
        guesses: GUESSES,
        per_source: generous,
        code_per_source: generous,
        global: generous,
        ..WindowConfig::default()
    };
    let mut window = world.window(config);
    if scenario.secret != Known::Ticket {
        window.show_code(code(CODE));
    }
    match scenario.weakness {
        None => window,
        Some(weakness) => window.dangerous_weakened(weakness),
    }
}

const CODE: &str = "saxophone buzzard";
const GUESSES: u32 = 3;
