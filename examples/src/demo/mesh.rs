//! Three machines of a WireGuard mesh rotate a key, step by step, on devices that are pretended.
//!
//! Everything is what runs on real machines (`mesh_agent`) but for the interfaces, so that the story can be told anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use core_types::{Clock as _, MachineId, SystemClock, SystemRandom, UnixTime};
use state_store::{Batch, Key, MemoryStore, StateStore as _, Write};
use wg_keys::membership::{Directory, KeyRecord, TrustedIdentities, load, publish};
use wg_keys::rotation::{
    Action, Announced, Event, Keys, Laggards, Lane, LaneView, Memory, PROGRESS, Path, PeerView, Phase, Plan,
    Progress, Round, Step, View, begin, current, decide_phase,
};
use wg_keys::{MachineState, PublicKey, machine_address};

use super::{DemoError, Narrator, unexpected};

/// A machine, its directory, and devices in its head.
struct Machine {
    state: MachineState,
    directory: Directory,
    lanes: BTreeMap<Lane, LaneView>,
    routes: BTreeMap<MachineId, Lane>,
    initiates: BTreeSet<(Lane, PublicKey)>,
    memory: Memory,
}

struct Mesh {
    machines: Vec<Machine>,
    store: MemoryStore,
    trust: TrustedIdentities,
    random: SystemRandom,
    now: UnixTime,
}

pub(super) fn tell(out: &mut Narrator) -> Result<(), DemoError> {
    out.step("WireGuard keys: a machine rotates, and no packet is lost");
    let mut mesh = Mesh::new(3).map_err(failed)?;
    mesh.settle(&mut |_| {}).map_err(failed)?;
    let ids: Vec<_> = mesh.machines.iter().map(|machine| machine.state.machine()).collect();
    let (first, others) = ids.split_first().ok_or_else(|| unexpected("no machines"))?;
    out.say(format_args!(
        "three machines announced their keys in signed records; {first} is {}",
        machine_address(*first)
    ));
    let path = |peer: &MachineId, second_port| Path {
        peer: *peer,
        second_port,
        strict_reverse_path: false,
        packets_per_second: 4000,
        round_trip: Duration::from_millis(20),
        poll: Duration::from_millis(20),
    };
    let narrow: Vec<_> = others.iter().map(|peer| path(peer, false)).collect();
    let refused = Plan::new(*first, &narrow).map_err(failed)?.promise();
    let Err(error) = refused else { return Err(unexpected("a plan that loses packets was promised")) };
    out.say(format_args!("planned with one port each, at 4,000 packets/s and 20 ms: refused, {error}"));
    let plan = Plan::new(*first, &others.iter().map(|peer| path(peer, true)).collect::<Vec<_>>());
    let plan = plan.map_err(failed)?.promise().map_err(failed)?;
    for pair in plan.pairs() {
        out.say(format_args!(
            "with a second port: {:?} with {}, {} lost",
            pair.procedure, pair.peer, pair.predicted_loss
        ));
    }
    let old = mesh.key(0)?;
    let procedures = plan.pairs().iter().map(|pair| (pair.peer, pair.procedure)).collect();
    let life = (mesh.now, mesh.now.saturating_add(Duration::from_secs(60)));
    let round = Round::single(*first, ids.iter().copied(), procedures, life, Laggards::Abort);
    pollster::block_on(begin(&mesh.store, round.clone())).map_err(failed)?;
    if pollster::block_on(begin(&mesh.store, round)).is_ok() {
        return Err(unexpected("two rotations at once"));
    }
    let mut told: Vec<Event> = Vec::new();
    mesh.settle(&mut |event| told.push(event)).map_err(failed)?;
    let start = told.first().map_or(mesh.now, |event| event.at);
    for event in told.iter().filter(|event| event.step != Step::Reported) {
        let peer = event.peer.map_or_else(String::new, |peer| format!(" {peer}"));
        let at = event.at.saturating_since(start).as_millis();
        let step = serde_json::to_value(event.step).unwrap_or_default();
        out.say(format_args!("{at:>5} ms  {} {}{peer}", event.machine, step.as_str().unwrap_or_default()));
    }
    let position = |step: Step| told.iter().position(|event| event.step == step);
    let in_order = position(Step::Prepared) < position(Step::Announced)
        && position(Step::Announced) < position(Step::Committed)
        && position(Step::Committed) < position(Step::Erased);
    if !in_order || position(Step::Erased).is_none() || mesh.key(0)? == old {
        return Err(unexpected("the rotation did not go through its steps"));
    }
    let round = pollster::block_on(current(&mesh.store)).map_err(failed)?;
    if round.is_none_or(|(round, _)| round.phase != Phase::Ended) {
        return Err(unexpected("the round did not end"));
    }
    out.say("durable before it was told, moved before it was committed, erased when nobody used it");
    Ok(())
}

impl Mesh {
    fn new(count: usize) -> Result<Self, crate::mesh::Failure> {
        let (random, now) = (SystemRandom::new(), SystemClock::new().now());
        let mut mesh = Self {
            machines: Vec::new(),
            store: MemoryStore::new(),
            trust: TrustedIdentities::new(),
            random,
            now,
        };
        for _ in 0..count {
            let id = MachineId::generate(now, &mesh.random)?;
            let state = MachineState::generate(id, 51_820, &mesh.random)?;
            mesh.trust.admit(id, state.identity_key(), [])?;
            mesh.machines.push(Machine {
                state,
                directory: Directory::new(),
                lanes: BTreeMap::new(),
                routes: BTreeMap::new(),
                initiates: BTreeSet::new(),
                memory: Memory::new(),
            });
        }
        Ok(mesh)
    }

    fn key(&self, number: usize) -> Result<PublicKey, DemoError> {
        let machine = self.machines.get(number).ok_or_else(|| unexpected("no such machine"))?;
        Ok(machine.state.current().public_key())
    }

    /// Everybody looks and acts in turn, until nobody has anything to do for longer than a drain takes.
    fn settle(&mut self, told: &mut dyn FnMut(Event)) -> Result<(), crate::mesh::Failure> {
        let mut quiet = 0_u32;
        for _ in 0..2000 {
            let mut is_quiet = true;
            for number in 0..self.machines.len() {
                let Some(view) = self.view(number)? else { continue };
                let Some(machine) = self.machines.get_mut(number) else { continue };
                for action in view.next(&mut machine.memory, self.now) {
                    is_quiet = false;
                    self.now = self.now.saturating_add(Duration::from_millis(1));
                    self.act(number, &action)?;
                    told(Event::of(&view, &action, self.now));
                }
                self.shake_hands();
            }
            self.now = self.now.saturating_add(Duration::from_millis(20));
            quiet = if is_quiet { quiet.saturating_add(1) } else { 0 };
            if quiet > 60 {
                return Ok(());
            }
        }
        Err("the machines do not come to rest".into())
    }

    fn view(&mut self, number: usize) -> Result<Option<View>, crate::mesh::Failure> {
        let found = pollster::block_on(load(&self.store))?;
        let round = pollster::block_on(current(&self.store))?.map(|(round, _)| round);
        let prefix = state_store::Prefix::new(PROGRESS)?;
        let mut progress = BTreeMap::new();
        for entry in pollster::block_on(self.store.scan(&prefix, None, 1000))?.entries {
            let machine = entry.key.strip_text_prefix(PROGRESS).ok_or("a key")?.parse()?;
            progress.insert(machine, state_store::record::decode::<Progress>(&entry.value)?);
        }
        let (trust, now) = (&self.trust, self.now);
        let Some(machine) = self.machines.get_mut(number) else { return Ok(None) };
        let report = machine.directory.observe(found, trust, now);
        if !report.refused.is_empty() {
            return Err(format!("records were refused: {report:?}").into());
        }
        let announced = machine.directory.members().map(|(id, member)| {
            let record = member.record.record();
            let previous = record.previous.map(|(key, _)| key);
            (id, Announced { epoch: record.epoch, key: record.public, previous })
        });
        let state = &machine.state;
        Ok(Some(View {
            own: state.machine(),
            keys: Keys {
                current: state.current().public_key(),
                pending: state.pending().map(|key| key.public_key()),
                previous: state.previous().map(|key| key.public_key()),
            },
            announced: announced.collect(),
            lanes: machine.lanes.clone(),
            routes: machine.routes.clone(),
            round,
            progress,
        }))
    }

    fn act(&mut self, number: usize, action: &Action) -> Result<(), crate::mesh::Failure> {
        let machine = self.machines.get_mut(number).ok_or("no such machine")?;
        match *action {
            Action::Prepare => {
                machine.state.prepare(&self.random)?;
            }
            Action::Activate => {
                machine.state.activate()?;
            }
            Action::DropPending => machine.state.abort()?,
            Action::Erase => machine.state.finish()?,
            Action::Announce { key, .. } => {
                let life = (self.now, self.now.saturating_add(Duration::from_secs(86_400)));
                let id = machine.state.machine();
                let record = match machine.directory.member(id) {
                    Some(member) => KeyRecord::after(member.record.signed(), key, life),
                    None => KeyRecord::first(id, key, machine.state.agreement_public(), life),
                };
                pollster::block_on(publish(&self.store, &record.sign(&machine.state)?))?;
            }
            Action::OpenLane { lane, key } => {
                machine.lanes.insert(lane, LaneView { key, peers: BTreeMap::new() });
            }
            Action::CloseLane { lane } => {
                machine.lanes.remove(&lane);
            }
            Action::AddPeer { lane, key, initiate, .. } => {
                let peer = PeerView { has_prefixes: true, initiates: initiate, ..PeerView::default() };
                machine.lanes.get_mut(&lane).ok_or("no such interface")?.peers.insert(key, peer);
                if initiate {
                    machine.initiates.insert((lane, key));
                }
            }
            Action::RemovePeer { lane, key } => {
                machine.lanes.get_mut(&lane).ok_or("no such interface")?.peers.remove(&key);
            }
            Action::Route { peer, lane } => {
                machine.routes.insert(peer, lane);
            }
            Action::Report(ref progress) => {
                let mut batch = Batch::new();
                let key = Key::new(format!("{PROGRESS}{}", machine.state.machine()))?;
                batch.write(key, Write::Put(state_store::record::encode(progress)?))?;
                let _ = pollster::block_on(self.store.commit(batch))?;
            }
            Action::Decide { round, phase } => pollster::block_on(decide_phase(&self.store, round, phase))?,
            Action::AddGated { .. } | Action::Lift { .. } | Action::SwapKey { .. } => {
                return Err("a gate, where a second interface was planned".into());
            }
        }
        Ok(())
    }

    /// What the network does: who begins a handshake with a machine that knows it is answered.
    fn shake_hands(&mut self) {
        let mut done = Vec::new();
        for machine in &self.machines {
            for &(lane, key) in &machine.initiates {
                if let Some(view) = machine.lanes.get(&lane).filter(|view| view.peers.contains_key(&key)) {
                    done.extend([(view.key, key), (key, view.key)]);
                }
            }
        }
        let knows = |own: PublicKey, other: PublicKey| {
            self.machines
                .iter()
                .flat_map(|machine| machine.lanes.values())
                .any(|view| view.key == own && view.peers.contains_key(&other))
        };
        done.retain(|&(own, other)| knows(own, other) && knows(other, own));
        for view in self.machines.iter_mut().flat_map(|machine| machine.lanes.values_mut()) {
            for (&key, peer) in &mut view.peers {
                if done.contains(&(view.key, key)) {
                    (peer.handshake, peer.received) = (true, true);
                }
            }
        }
    }
}

fn failed(error: impl std::fmt::Display) -> DemoError {
    unexpected(error.to_string())
}
