//! Machines with devices that do what WireGuard does, a store, and everything that can go wrong between them: what is
//! read is late, again and out of order, machines are killed between any two steps.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a model that fails is a test that fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use core_types::{MachineId, UnixTime};
use proptest::prelude::*;
use wg_keys::rotation::*;
use wg_keys::{PrivateKey, PublicKey};

static KEYS: LazyLock<Vec<PublicKey>> = LazyLock::new(|| {
    (1..200_u8)
        .map(|seed| {
            let mut bytes = [seed; 32];
            bytes[0] = 8;
            PrivateKey::clamped_from(&mut bytes).public_key()
        })
        .collect()
});

const START: UnixTime = UnixTime::from_secs(1_000_000);

fn id(number: usize) -> MachineId {
    MachineId::from_bytes([u8::try_from(number).unwrap() + 1; 16])
}

/// A peer on a device.
#[derive(Debug, Clone, Copy, Default)]
struct Link {
    handshake: bool,
    received: bool,
    has_prefixes: bool,
    /// Its preshared key is nobody else's.
    gated: bool,
    initiates: bool,
}

#[derive(Debug, Clone)]
struct Device {
    lanes: BTreeMap<Lane, (PublicKey, BTreeMap<PublicKey, Link>)>,
    routes: BTreeMap<MachineId, Lane>,
}

#[derive(Debug, Clone, Default)]
struct Rows {
    round: Option<Round>,
    announced: BTreeMap<MachineId, Announced>,
    progress: BTreeMap<MachineId, Progress>,
}

#[derive(Debug)]
struct Machine {
    id: MachineId,
    keys: Keys,
    device: Device,
    /// What it has read: the store at one instant, its own last write or later.
    read: Rows,
    read_at: usize,
    memory: Memory,
}

struct World {
    machines: Vec<Machine>,
    store: Rows,
    /// Everything that was ever stored, to be told late.
    history: Vec<Rows>,
    now: UnixTime,
    used_keys: usize,
    /// Who began handshakes between two keys, with the true preshared key.
    initiators: BTreeMap<(PublicKey, PublicKey), BTreeSet<MachineId>>,
    /// The pairs that are without a session for as long as a gate takes, or were cut.
    may_stall: bool,
    /// Whether a machine was left behind, by a round that cut those that were late or by one whose lease was void.
    left_behind: bool,
}

impl World {
    fn new(count: usize) -> Self {
        let mut world = Self {
            machines: Vec::new(),
            store: Rows::default(),
            history: Vec::new(),
            now: START,
            used_keys: 0,
            initiators: BTreeMap::new(),
            may_stall: true,
            left_behind: false,
        };
        for number in 0..count {
            let current = world.new_key();
            world.machines.push(Machine {
                id: id(number),
                keys: Keys { current, pending: None, previous: None },
                device: Device { lanes: BTreeMap::new(), routes: BTreeMap::new() },
                read: Rows::default(),
                read_at: 0,
                memory: Memory::new(),
            });
        }
        world.converge(Rest::Done);
        world.may_stall = false;
        world.check();
        world
    }

    fn new_key(&mut self) -> PublicKey {
        self.used_keys += 1;
        KEYS[self.used_keys]
    }

    fn number(&self, machine: MachineId) -> usize {
        self.machines.iter().position(|one| one.id == machine).unwrap()
    }

    fn view(&self, number: usize) -> View {
        let machine = &self.machines[number];
        let lanes = machine.device.lanes.iter().map(|(&lane, (key, peers))| {
            let peers = peers.iter().map(|(&key, link)| {
                let Link { handshake, received, has_prefixes, initiates, .. } = *link;
                (key, PeerView { handshake, received, has_prefixes, initiates })
            });
            (lane, LaneView { key: *key, peers: peers.collect() })
        });
        View {
            own: machine.id,
            keys: machine.keys,
            round: machine.read.round.clone(),
            announced: machine.read.announced.clone(),
            progress: machine.read.progress.clone(),
            lanes: lanes.collect(),
            routes: machine.device.routes.clone(),
        }
    }

    /// A look, of which only the first actions are done before the machine is killed.
    fn step(&mut self, number: usize, most: usize) -> usize {
        let view = self.view(number);
        let mut memory = std::mem::take(&mut self.machines[number].memory);
        let actions = view.next(&mut memory, self.now);
        self.machines[number].memory = memory;
        let count = actions.len();
        for action in actions.into_iter().take(most) {
            self.act(number, action);
            self.check();
        }
        if most < count {
            self.kill(number);
        }
        count
    }

    /// It comes back, and reads everything.
    fn kill(&mut self, number: usize) {
        self.machines[number].memory = Memory::new();
        self.read(number);
    }

    fn act(&mut self, number: usize, action: Action) {
        let own = self.machines[number].id;
        match action {
            Action::Prepare => {
                let keys = self.machines[number].keys;
                assert_eq!((keys.pending, keys.previous), (None, None), "the state file refuses it");
                self.machines[number].keys.pending = Some(self.new_key());
            }
            Action::Announce { key, .. } => {
                let keys = self.machines[number].keys;
                assert!(keys.current == key || keys.pending == Some(key), "told before it was durable");
                let last = self.store.announced.get(&own).copied();
                let epoch = last.map_or(1, |last| last.epoch + 1);
                let announced = Announced { epoch, key, previous: last.map(|last| last.key) };
                self.store.announced.insert(own, announced);
                self.remember();
                self.read(number);
            }
            Action::OpenLane { lane, key } => {
                let device = &mut self.machines[number].device;
                assert!(lane < MAX_LANES && !device.lanes.contains_key(&lane));
                device.lanes.insert(lane, (key, BTreeMap::new()));
            }
            Action::AddPeer { lane, peer, key, initiate } => {
                let link = Link { has_prefixes: true, initiates: initiate, ..Link::default() };
                self.add(number, lane, peer, key, link);
            }
            Action::AddGated { lane, peer, key, random_psk } => {
                let link = Link { gated: random_psk, ..Link::default() };
                self.add(number, lane, peer, key, link);
            }
            Action::Lift { lane, peer, key, anew } => {
                let before = self.machines[number].device.lanes[&lane].1.get(&key).copied();
                let link = match before {
                    Some(link) if !anew => Link { has_prefixes: true, ..link },
                    _ => Link { has_prefixes: true, initiates: true, ..Link::default() },
                };
                self.add(number, lane, peer, key, link);
            }
            Action::Route { peer, lane } => {
                self.machines[number].device.routes.insert(peer, lane);
            }
            Action::Activate => {
                let keys = &mut self.machines[number].keys;
                let pending = keys.pending.take().unwrap();
                assert!(keys.previous.is_none());
                keys.previous = Some(std::mem::replace(&mut keys.current, pending));
            }
            Action::SwapKey { lane, key } => {
                let open = |round: &Option<Round>, peer| {
                    round.as_ref().is_some_and(|round| round.procedure(own, peer) == Procedure::OpenGate)
                };
                let (store, machine) = (&self.store, &mut self.machines[number]);
                let (own_key, peers) = machine.device.lanes.get_mut(&lane).unwrap();
                *own_key = key;
                for (&peer_key, link) in peers.iter_mut() {
                    let peer = store.announced.iter().find(|(_, announced)| announced.key == peer_key);
                    link.handshake = false;
                    link.initiates = true;
                    if peer.is_some_and(|(&peer, _)| open(&store.round, peer)) {
                        self.initiators.entry(ordered(key, peer_key)).or_default().insert(own);
                    }
                }
            }
            Action::RemovePeer { lane, key } => {
                assert!(self.machines[number].device.lanes.get_mut(&lane).unwrap().1.remove(&key).is_some());
            }
            Action::CloseLane { lane } => {
                let device = &mut self.machines[number].device;
                let (_, peers) = device.lanes.remove(&lane).unwrap();
                assert!(peers.is_empty());
                // Routes go with their interface.
                device.routes.retain(|_, through| *through != lane);
            }
            Action::Report(progress) => {
                self.store.progress.insert(own, progress);
                self.remember();
                self.read(number);
            }
            Action::Decide { round, phase } => {
                let stored = self.store.round.as_mut().unwrap();
                let follows = match phase {
                    Phase::Moving => false,
                    Phase::Committed | Phase::Aborted => stored.phase == Phase::Moving,
                    Phase::Ended => matches!(stored.phase, Phase::Committed | Phase::Aborted),
                };
                if stored.number == round && follows {
                    stored.phase = phase;
                    self.remember();
                }
                self.read(number);
            }
            Action::DropPending => {
                let pending = self.machines[number].keys.pending.take().unwrap();
                let is_aborted = self.store.round.as_ref().is_some_and(|round| round.phase == Phase::Aborted);
                let lanes = &self.machines[number].device.lanes;
                let in_use = lanes.values().any(|(key, peers)| *key == pending && !peers.is_empty());
                assert!(!is_aborted || !in_use || self.left_behind(), "it is still in use");
            }
            Action::Erase => {
                let erased = self.machines[number].keys.previous.take().unwrap();
                let machine = &self.machines[number];
                assert!(machine.device.lanes.values().all(|(key, _)| *key != erased), "it is still in use");
                if !self.left_behind() {
                    for other in self.machines.iter().filter(|other| other.id != own) {
                        let routed =
                            other.device.routes.get(&own).and_then(|lane| other.device.lanes.get(lane));
                        let link = routed.and_then(|(_, peers)| peers.get(&erased));
                        let sends_to_old = link.is_some_and(|link| link.has_prefixes);
                        assert!(!sends_to_old, "somebody still sends to it");
                    }
                }
            }
        }
    }

    fn add(&mut self, number: usize, lane: Lane, peer: MachineId, key: PublicKey, link: Link) {
        let own = self.machines[number].id;
        let of_peer: BTreeSet<_> = self
            .history
            .iter()
            .chain([&self.store])
            .filter_map(|rows| rows.announced.get(&peer).map(|announced| announced.key))
            .collect();
        assert!(of_peer.contains(&key), "a key that its machine has not announced");
        let (own_key, peers) = self.machines[number].device.lanes.get_mut(&lane).unwrap();
        if link.has_prefixes {
            // The prefixes are stolen from whatever key of the machine had them.
            for (_, other) in peers.iter_mut().filter(|(key, _)| of_peer.contains(key)) {
                other.has_prefixes = false;
            }
        }
        if link.initiates && !link.gated {
            self.initiators.entry(ordered(*own_key, key)).or_default().insert(own);
        }
        peers.insert(key, link);
    }

    fn remember(&mut self) {
        self.history.push(self.store.clone());
    }

    /// What the network does when a machine that begins handshakes gets through: it begins one where it has no session, or
    /// where nothing comes back because the other end has forgotten it.
    fn handshake(&mut self, number: usize) {
        let lanes = self.machines[number].device.lanes.clone();
        for (lane, (own_key, peers)) in lanes {
            for (peer_key, link) in peers.into_iter().filter(|(_, link)| link.initiates) {
                for other in 0..self.machines.len() {
                    let device = &mut self.machines[other].device;
                    let Some((_, theirs)) = device
                        .lanes
                        .values_mut()
                        .find(|(key, peers)| *key == peer_key && peers.contains_key(&own_key))
                    else {
                        continue;
                    };
                    let theirs = theirs.get_mut(&own_key).unwrap();
                    if link.handshake && theirs.handshake {
                        continue;
                    }
                    theirs.received = true;
                    if theirs.gated || link.gated {
                        continue;
                    }
                    theirs.handshake = true;
                    let ours = self.machines[number].device.lanes.get_mut(&lane).unwrap();
                    let ours = ours.1.get_mut(&peer_key).unwrap();
                    ours.handshake = true;
                    ours.received = true;
                }
            }
        }
    }

    /// A machine reads the store.
    fn read(&mut self, number: usize) {
        self.machines[number].read = self.store.clone();
        self.machines[number].read_at = self.history.len();
    }

    /// Tells a machine of the store as it was at some time; what is older than what it knows it does not take.
    fn tell(&mut self, number: usize, at: usize) {
        if self.machines[number].read_at < at + 1 {
            self.machines[number].read = self.history[at].clone();
            self.machines[number].read_at = at + 1;
        }
    }

    /// Whether the lease was void before the round was over: who was deaf for so long was left behind.
    fn is_void(&self) -> bool {
        self.store.round.as_ref().is_some_and(|round| self.now >= round.expires())
    }

    fn phase(&self) -> Option<Phase> {
        self.store.round.as_ref().map(|round| round.phase)
    }

    /// As one does who wants to begin another round.
    fn take_the_void_lease(&mut self) {
        let round = self.store.round.as_mut().unwrap();
        round.phase = if round.phase == Phase::Moving { Phase::Aborted } else { Phase::Ended };
        self.remember();
    }

    fn is_cut(&self) -> bool {
        self.store.round.as_ref().is_some_and(|round| round.laggards == Laggards::Cut)
    }

    /// Whether a machine may have been left behind, in this round or in one before it.
    fn left_behind(&self) -> bool {
        self.left_behind || self.is_cut() || self.is_void()
    }

    /// What must hold at every moment.
    fn check(&self) {
        for (keys, initiators) in &self.initiators {
            // A pair that was cut is put together again by whoever can.
            assert!(initiators.len() <= 1 || self.left_behind(), "two initiators of {keys:?}");
        }
        if self.may_stall {
            return;
        }
        for one in &self.machines {
            for other in self.machines.iter().filter(|other| other.id != one.id) {
                if let Err(why) = self.passes(one, other) {
                    let round = &self.store.round;
                    panic!("nothing passes from {} to {}: {why}; {round:?}", one.id, other.id);
                }
            }
        }
    }

    /// Whether a packet that one sends now is taken by the other.
    fn passes(&self, one: &Machine, other: &Machine) -> Result<(), &'static str> {
        let lane = one.device.routes.get(&other.id).ok_or("no route")?;
        let (own_key, peers) = one.device.lanes.get(lane).ok_or("no interface")?;
        let there = other.device.lanes.values().any(|(their_key, theirs)| {
            peers.get(their_key).is_some_and(|link| link.has_prefixes && link.handshake)
                && theirs.get(own_key).is_some_and(|link| link.has_prefixes && link.handshake)
        });
        if there { Ok(()) } else { Err("no session that both have prefixes for") }
    }

    /// Everybody is told everything and does everything, until there is nothing to do, or until the round is over.
    fn converge(&mut self, to: Rest) {
        let mut quiet = 0;
        for _ in 0..800 {
            let mut done = 0;
            for number in 0..self.machines.len() {
                self.read(number);
                done += self.step(number, usize::MAX);
                // One is quicker than the others, and ends the round before they have erased anything.
                for _ in 0..8 {
                    if to == Rest::Over && self.phase() == Some(Phase::Ended) {
                        return;
                    }
                    if to == Rest::Over && number == 0 {
                        done += self.step(number, usize::MAX);
                    }
                }
                self.handshake(number);
            }
            self.now = self.now.saturating_add(Duration::from_millis(600));
            quiet = if done == 0 { quiet + 1 } else { 0 };
            if quiet > 4 && self.phase().is_none_or(|phase| phase == Phase::Ended) {
                return;
            }
            if quiet > 4 && self.left_behind && self.is_void() {
                self.take_the_void_lease();
            }
        }
        let actions: Vec<_> = (0..self.machines.len())
            .map(|number| self.view(number).next(&mut Memory::new(), self.now))
            .collect();
        panic!("it does not end: {actions:?} {:?}", self.store.round);
    }
}

/// How far things go before another round begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Nothing is left to do.
    Done,
    /// The round is over; what each machine then does by itself is not.
    Over,
}

fn ordered(one: PublicKey, other: PublicKey) -> (PublicKey, PublicKey) {
    (one.min(other), one.max(other))
}

#[derive(Debug, Clone)]
enum Op {
    Step(usize),
    Killed(usize, usize),
    Handshake(usize),
    Told(usize, usize),
    Time(u64),
    Abort,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        30 => (0..5_usize).prop_map(Op::Step),
        4 => (0..5_usize, 0..4_usize).prop_map(|(number, most)| Op::Killed(number, most)),
        12 => (0..5_usize).prop_map(Op::Handshake),
        30 => (0..5_usize, 0..12_usize).prop_map(|(number, age)| Op::Told(number, age)),
        8 => (1..2000_u64).prop_map(Op::Time),
        1 => Just(Op::Time(40_000)),
        1 => Just(Op::Abort),
    ]
}

fn procedure() -> impl Strategy<Value = Procedure> {
    prop_oneof![
        4 => Just(Procedure::BlueGreen), 1 => Just(Procedure::OpenGate), 2 => Just(Procedure::PskGate)
    ]
}

fn laggards() -> impl Strategy<Value = Laggards> {
    prop_oneof![3 => Just(Laggards::Wait), 2 => Just(Laggards::Abort), 1 => Just(Laggards::Cut)]
}

/// A round: of which machine (or of all), and what its pairs do.
type Wish = (Option<usize>, Vec<Procedure>, Laggards, Vec<Op>, Rest);

fn wish() -> impl Strategy<Value = Wish> {
    (
        prop::option::weighted(0.6, 0..5_usize),
        prop_oneof![Just(vec![Procedure::BlueGreen; 5]), prop::collection::vec(procedure(), 5)],
        laggards(),
        prop::collection::vec(op(), 0..300),
        prop_oneof![Just(Rest::Done), Just(Rest::Over)],
    )
}

fn run(count: usize, wishes: Vec<Wish>) {
    let mut world = World::new(count);
    let last = wishes.len().saturating_sub(1);
    for (number, (single, procedures, laggards, ops, rest)) in wishes.into_iter().enumerate() {
        let life = (world.now, world.now.saturating_add(Duration::from_secs(60)));
        let members = (0..count).map(id);
        let mut round = match single.filter(|&single| single < count) {
            Some(single) => {
                let procedures =
                    (0..count).filter(|&peer| peer != single).map(|peer| (id(peer), procedures[peer]));
                Round::single(id(single), members, procedures.collect(), life, laggards)
            }
            None => Round::mesh(members, life, laggards),
        };
        round.number = world.store.round.as_ref().map_or(1, |last| last.number + 1);
        world.may_stall = world.left_behind
            || laggards == Laggards::Cut
            || round.procedures.values().any(|&how| how != Procedure::BlueGreen);
        let before: Vec<_> = world.machines.iter().map(|machine| machine.keys.current).collect();
        world.store.round = Some(round);
        world.initiators.clear();
        world.remember();
        for op in ops {
            match op {
                Op::Step(number) if number < count => {
                    world.step(number, usize::MAX);
                }
                Op::Killed(number, most) if number < count => {
                    world.step(number, most);
                    world.kill(number);
                }
                Op::Handshake(number) if number < count => world.handshake(number),
                Op::Told(number, age) if number < count => {
                    let at = world.history.len().saturating_sub(age + 1);
                    world.tell(number, at);
                }
                Op::Time(millis) => {
                    world.now = world.now.saturating_add(Duration::from_millis(millis));
                    world.may_stall |= world.is_void();
                }
                Op::Abort => {
                    let round = world.store.round.as_mut().unwrap();
                    if round.phase == Phase::Moving {
                        round.phase = Phase::Aborted;
                        world.remember();
                    }
                }
                Op::Step(_) | Op::Killed(..) | Op::Handshake(_) | Op::Told(..) => {}
            }
            world.check();
        }
        if number < last && rest == Rest::Over {
            world.converge(Rest::Over);
            world.left_behind |= world.left_behind();
        } else {
            world.converge(Rest::Done);
            settled(&mut world, &before);
            world.left_behind = false;
        }
    }
}

/// What must hold when everything is over.
fn settled(world: &mut World, before: &[PublicKey]) {
    let round = world.store.round.clone().unwrap();
    assert_eq!(round.phase, Phase::Ended);
    world.may_stall = false;
    world.check();
    let aborted = world.history.iter().any(|rows| {
        rows.round.as_ref().is_some_and(|one| one.number == round.number && one.phase == Phase::Aborted)
    });
    for machine in &world.machines {
        let Keys { current, pending, previous } = machine.keys;
        assert_eq!((pending, previous), (None, None));
        assert_eq!(world.store.announced[&machine.id].key, current);
        let rotated = before[world.number(machine.id)] != current;
        if !world.left_behind() {
            assert_eq!(rotated, round.rotating.contains(&machine.id) && !aborted);
        }
        for (key, peers) in machine.device.lanes.values() {
            assert_eq!(*key, current);
            for peer in peers.keys() {
                assert!(world.machines.iter().any(|other| other.keys.current == *peer), "an old key is left");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_rotation_has_one_initiator_no_dark_pair_and_an_end(
        count in 3..=5_usize, wishes in prop::collection::vec(wish(), 1..4),
    ) {
        run(count, wishes);
    }
}

#[test]
fn ten_rotations_in_turn_end_as_they_should() {
    let blue = vec![Procedure::BlueGreen; 5];
    let gate = vec![Procedure::PskGate; 5];
    for rest in [Rest::Done, Rest::Over] {
        let mut wishes = Vec::new();
        for number in 0..10 {
            let procedures = if number % 2 == 0 { blue.clone() } else { gate.clone() };
            wishes.push((Some(number % 4), procedures, Laggards::Wait, vec![], rest));
            wishes.push((None, blue.clone(), Laggards::Wait, vec![], rest));
        }
        run(4, wishes);
    }
}

#[test]
fn an_abort_after_all_have_moved_leads_back() {
    let mut ops = Vec::new();
    for _ in 0..6 {
        for number in 0..3 {
            ops.extend([Op::Told(number, 0), Op::Step(number), Op::Handshake(number)]);
        }
    }
    ops.push(Op::Abort);
    for single in [Some(1), None] {
        run(3, vec![(single, vec![Procedure::BlueGreen; 5], Laggards::Wait, ops.clone(), Rest::Done)]);
    }
}

#[test]
fn a_gate_that_the_round_left_closed_is_lifted_after_it() {
    let mut ops = Vec::new();
    for _ in 0..4 {
        for number in 0..3 {
            ops.extend([Op::Told(number, 0), Op::Step(number)]);
        }
    }
    // The lease is void before anybody has lifted a gate.
    ops.extend([Op::Time(130_000), Op::Told(0, 0)]);
    ops.extend(vec![Op::Step(0); 6]);
    for procedure in [Procedure::OpenGate, Procedure::PskGate] {
        run(3, vec![(Some(0), vec![procedure; 5], Laggards::Wait, ops.clone(), Rest::Done)]);
    }
}
