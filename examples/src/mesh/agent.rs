//! What runs on a machine: looks at the store and the devices, does what is to be done, and looks again.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use core_types::{Clock as _, MachineId, SystemClock, SystemRandom, UnixTime};
use serde::Deserialize;
use state_store::{Batch, Entry, Key, Prefix, StateStore, Write};
use wg_keys::config::Op;
use wg_keys::error::RoundError;
use wg_keys::membership::{
    Directory, IdentityKey, IdentityTrust as _, KeyRecord, PskSchedule, Standing, TrustedIdentities, prune,
    publish, stored,
};
use wg_keys::rotation::{
    Action, Announced, Event, Keys, Laggards, Memory, PROGRESS, Path, Phase, Plan, Procedure, Progress,
    ROUND_KEY, RotationSchedule, Round, Step, View, begin, decide_phase,
};
use wg_keys::{MachineState, Peer, PresharedKey, PrivateKey, PublicKey, StateFile};

use super::Failure;
use super::device::Devices;

/// What an agent is told when it starts.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "options")]
pub struct AgentOptions {
    /// The machine's state file.
    pub state: PathBuf,
    /// The identities that are trusted.
    pub trust: TrustedIdentities,
    /// What the names of the machine's interfaces begin with.
    pub interface: String,
    /// Where other machines reach it.
    pub address: IpAddr,
    /// How often it looks.
    pub poll: Duration,
    /// When preshared keys change.
    pub psk: PskSchedule,
    /// Rotate the machine's key when it is due.
    pub automatic: Option<Automatic>,
    /// Stop here for ever, to be killed: for tests of what happens then.
    pub pause_after: Option<String>,
}

/// What an agent needs to know to rotate its key by itself.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "options")]
pub struct Automatic {
    /// When.
    pub schedule: RotationSchedule,
    /// Whether a second port is open between machines.
    pub second_port: bool,
    /// Packets a second, at most, between this machine and another.
    pub packets_per_second: u32,
    /// There and back between this machine and another.
    pub round_trip: Duration,
}

/// Reads who is trusted, as `{"machines":[{"machine_id":…,"identity":64 hexadecimal digits}]}`.
///
/// # Errors
/// When it is not of that form, or contradicts itself.
pub fn read_trust(text: &str) -> Result<TrustedIdentities, Failure> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        machines: Vec<Trusted>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Trusted {
        machine_id: MachineId,
        identity: String,
    }
    let mut trust = TrustedIdentities::new();
    let mut json = serde_json::Deserializer::from_str(text);
    let document = Document::deserialize(core_types::Objects::new(&mut json))?;
    for Trusted { machine_id, identity } in document.machines {
        let mut bytes = [0; 32];
        if identity.len() != 64 || !identity.is_ascii() {
            return Err("an identity is 64 hexadecimal digits".into());
        }
        for (byte, at) in bytes.iter_mut().zip((0_usize..64).step_by(2)) {
            *byte = u8::from_str_radix(identity.get(at..at.saturating_add(2)).unwrap_or_default(), 16)?;
        }
        trust.admit(machine_id, IdentityKey::from_bytes(bytes), [])?;
    }
    Ok(trust)
}

/// Runs until it is killed. `told` is called with each event, for the audit log.
///
/// # Errors
/// When it cannot begin. What fails later is tried again.
pub fn run<S: StateStore>(
    store: &S,
    options: &AgentOptions,
    told: &mut dyn FnMut(&Event),
    complain: &mut dyn FnMut(&Failure),
) -> Result<(), Failure> {
    let file = StateFile::at(&options.state)?;
    let state = file.load()?;
    let devices = Devices::find(options.interface.clone(), state.machine(), state.listen_port())?;
    let mut agent = Agent {
        store,
        options,
        file,
        state,
        devices,
        directory: Directory::new(),
        memory: Memory::new(),
        random: SystemRandom::new(),
        psk_epoch: None,
    };
    loop {
        if let Err(error) = agent.look(told) {
            complain(&error);
        }
        std::thread::sleep(options.poll);
    }
}

struct Agent<'a, S> {
    store: &'a S,
    options: &'a AgentOptions,
    file: StateFile,
    state: MachineState,
    devices: Devices,
    directory: Directory,
    memory: Memory,
    random: SystemRandom,
    psk_epoch: Option<u64>,
}

impl<S: StateStore> Agent<'_, S> {
    fn look(&mut self, told: &mut dyn FnMut(&Event)) -> Result<(), Failure> {
        let now = SystemClock::new().now();
        let view = self.view(now)?;
        for &lane in view.lanes.keys() {
            self.devices.cut(lane, |has| self.directory.cut(has, &self.options.trust))?;
        }
        for action in view.next(&mut self.memory, now) {
            self.act(&action, now)?;
            let event = Event::of(&view, &action, SystemClock::new().now());
            told(&event);
            if self.options.pause_after.as_deref() == Some(name(event.step).as_str()) && event.round > 0 {
                loop {
                    std::thread::park();
                }
            }
        }
        self.renew_preshared_keys(&view, now)?;
        self.begin_when_due(&view, now)
    }

    fn view(&mut self, now: UnixTime) -> Result<View, Failure> {
        let entries = self.entries()?;
        let (mut records, mut round, mut progress) = (Vec::new(), None, BTreeMap::new());
        for entry in &entries {
            if entry.key.as_bytes() == ROUND_KEY.as_bytes() {
                round = Some(state_store::record::decode::<Round>(&entry.value)?);
            } else if let Some(machine) = entry.key.strip_text_prefix(PROGRESS) {
                progress.insert(machine.parse()?, state_store::record::decode::<Progress>(&entry.value)?);
            } else {
                records.push(stored(entry));
            }
        }
        let _ = self.directory.observe(records, &self.options.trust, now);
        let announced: BTreeMap<_, _> = self
            .directory
            .members()
            .filter(|(machine, _)| self.options.trust.standing(*machine) != Standing::Revoked)
            .map(|(machine, member)| {
                let record = member.record.record();
                let previous = record.previous.map(|(key, _)| key);
                (machine, Announced { epoch: record.epoch, key: record.public, previous })
            })
            .collect();
        let public = |key: Option<&Arc<PrivateKey>>| key.map(|key| key.public_key());
        Ok(View {
            own: self.state.machine(),
            keys: Keys {
                current: self.state.current().public_key(),
                pending: public(self.state.pending()),
                previous: public(self.state.previous()),
            },
            round,
            progress,
            lanes: self.devices.lanes()?,
            routes: self.devices.routes(announced.keys().copied()),
            announced,
        })
    }

    /// All that the mesh has in the store, of one instant.
    fn entries(&self) -> Result<Vec<Entry>, Failure> {
        let prefix = Prefix::new("wg-keys/")?;
        loop {
            let (mut entries, mut after, mut revision) = (Vec::new(), None, None);
            loop {
                let page = pollster::block_on(self.store.scan(&prefix, after.as_ref(), 1000))?;
                if *revision.get_or_insert(page.revision) != page.revision {
                    break;
                }
                after = page.entries.last().map(|entry| entry.key.clone());
                entries.extend(page.entries);
                if !page.more {
                    return Ok(entries);
                }
            }
        }
    }

    fn act(&mut self, action: &Action, now: UnixTime) -> Result<(), Failure> {
        match *action {
            Action::Prepare => self.change(|state, random| state.prepare(random).map(drop)),
            Action::Activate => self.change(|state, _| state.activate().map(drop)),
            Action::DropPending => self.change(|state, _| state.abort()),
            Action::Erase => self.change(|state, _| state.finish()),
            Action::Announce { key, lane } => self.announce(key, self.devices.port(lane), now),
            Action::OpenLane { lane, key } => {
                let key = self.private(key)?;
                self.devices.open(lane, key)
            }
            Action::CloseLane { lane } => self.devices.close(lane),
            Action::AddPeer { lane, peer, key, initiate } => {
                let peer = self.peer(peer, key, initiate, now)?;
                self.devices.put(lane, &peer, false)
            }
            Action::AddGated { lane, peer, key, random_psk } => {
                let gate = if random_psk {
                    Arc::new(PresharedKey::generate(&self.random)?)
                } else {
                    self.preshared_key(peer, now)?
                };
                self.devices.put(lane, &Peer::new(key).with_preshared_key(gate), false)
            }
            Action::Lift { lane, peer, key, anew } => {
                let peer = self.peer(peer, key, anew, now)?;
                self.devices.put(lane, &peer, anew)
            }
            Action::Route { peer, lane } => self.devices.route(peer, lane),
            Action::SwapKey { lane, key } => {
                let key = self.private(key)?;
                self.devices.swap(lane, key)
            }
            Action::RemovePeer { lane, key } => self.devices.change(lane, &[Op::RemovePeer { key }]),
            Action::Report(ref progress) => {
                let key = Key::new(format!("{PROGRESS}{}", self.state.machine()))?;
                let mut batch = Batch::new();
                batch.write(key, Write::Put(state_store::record::encode(progress)?))?;
                pollster::block_on(self.store.commit(batch)).map(drop).map_err(Into::into)
            }
            Action::Decide { round, phase } => {
                Ok(pollster::block_on(decide_phase(self.store, round, phase))?)
            }
        }
    }

    fn change(
        &mut self,
        change: impl FnOnce(&mut MachineState, &SystemRandom) -> Result<(), wg_keys::error::RotateError>,
    ) -> Result<(), Failure> {
        let random = &self.random;
        self.file.update(random, |state| change(state, random))?;
        self.state = self.file.load()?;
        Ok(())
    }

    fn announce(&self, key: PublicKey, port: u16, now: UnixTime) -> Result<(), Failure> {
        let life = (now, now.saturating_add(LIFE));
        let own = self.state.machine();
        let record = match self.directory.member(own) {
            Some(member) => KeyRecord::after(member.record.signed(), key, life),
            None => KeyRecord::first(own, key, self.state.agreement_public(), life),
        };
        let record = record.with_endpoints([SocketAddr::new(self.options.address, port)]);
        pollster::block_on(publish(self.store, &record.sign(&self.state)?))?;
        // What is not removed now is removed with the next one.
        let _ = pollster::block_on(prune(self.store, own, now.saturating_sub(HISTORY)));
        Ok(())
    }

    /// Another machine, as an interface shall have it.
    fn peer(
        &self,
        machine: MachineId,
        key: PublicKey,
        initiate: bool,
        now: UnixTime,
    ) -> Result<Peer, Failure> {
        let member = self.directory.member(machine).ok_or("no such machine")?;
        let record = member.record.record();
        let peer = Peer::new(key)
            .with_allowed_ips(record.allowed_ips())
            .with_preshared_key(self.preshared_key(machine, now)?);
        Ok(match record.endpoints.first() {
            Some(&endpoint) if initiate => peer.with_endpoint(endpoint).with_keepalive_secs(25),
            _ => peer,
        })
    }

    fn preshared_key(&self, machine: MachineId, now: UnixTime) -> Result<Arc<PresharedKey>, Failure> {
        let member = self.directory.member(machine).ok_or("no such machine")?;
        let epoch = self.options.psk.epoch(now);
        Ok(Arc::new(self.state.preshared_key(machine, member.record.record().agreement, epoch)?))
    }

    /// On the schedule that all machines share, and not while pairs move: the gates have keys of their own.
    fn renew_preshared_keys(&mut self, view: &View, now: UnixTime) -> Result<(), Failure> {
        let epoch = self.options.psk.epoch(now);
        if self.psk_epoch == Some(epoch) {
            return Ok(());
        }
        for (&machine, announced) in view.announced.iter().filter(|(machine, _)| **machine != view.own) {
            let preshared_key = Some(self.preshared_key(machine, now)?);
            for (&lane, lane_view) in &view.lanes {
                if lane_view.peers.get(&announced.key).is_some_and(|peer| peer.has_prefixes)
                    && self.devices.has(lane)?.peer(announced.key).is_some()
                {
                    let key = announced.key;
                    let op = Op::SetPresharedKey { key, preshared_key: preshared_key.clone() };
                    self.devices.change(lane, &[op])?;
                }
            }
        }
        self.psk_epoch = Some(epoch);
        Ok(())
    }

    /// Begins a rotation of this machine's key when it is due and nobody else's is under way, by the procedures that lose
    /// nothing; without such ones it complains, and leaves the key as it is.
    fn begin_when_due(&self, view: &View, now: UnixTime) -> Result<(), Failure> {
        let (Some(automatic), Some(member)) = (&self.options.automatic, self.directory.member(view.own))
        else {
            return Ok(());
        };
        let record = member.record.record();
        let due = automatic.schedule.due(view.own, record.epoch, (record.not_before, record.expires));
        let is_busy = |round: &Round| round.phase != Phase::Ended && now < round.expires();
        if now < due || view.round.as_ref().is_some_and(is_busy) {
            return Ok(());
        }
        let others = view.announced.keys().filter(|machine| **machine != view.own);
        let paths: Vec<Path> = others
            .map(|&peer| Path {
                peer,
                second_port: automatic.second_port,
                // The machines' addresses are IPv6 ones, for which there is no such filter.
                strict_reverse_path: false,
                packets_per_second: automatic.packets_per_second,
                round_trip: automatic.round_trip,
                poll: self.options.poll,
            })
            .collect();
        let plan = Plan::new(view.own, &paths)?.promise()?;
        let gates = plan.pairs().iter().any(|pair| pair.procedure != Procedure::BlueGreen);
        if gates && !self.options.psk.is_settled(now, LEASE) {
            return Ok(());
        }
        let procedures = plan.pairs().iter().map(|pair| (pair.peer, pair.procedure)).collect();
        let members = view.announced.keys().copied();
        let life = (now, now.saturating_add(LEASE));
        let round = Round::single(view.own, members, procedures, life, Laggards::Wait);
        match pollster::block_on(begin(self.store, round)) {
            // Another machine was quicker: after it.
            Ok(_) | Err(RoundError::Busy) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn private(&self, key: PublicKey) -> Result<Arc<PrivateKey>, Failure> {
        [Some(self.state.current()), self.state.pending(), self.state.previous()]
            .into_iter()
            .flatten()
            .find(|private| private.public_key() == key)
            .cloned()
            .ok_or_else(|| "the machine does not have this key".into())
    }
}

/// The name of a step, as events have it.
fn name(step: Step) -> String {
    serde_json::to_value(step).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The round in the store, for who waits for it to end.
///
/// # Errors
/// When the store cannot be read.
pub fn round<S: StateStore>(store: &S) -> Result<Option<Round>, Failure> {
    Ok(pollster::block_on(wg_keys::rotation::current(store))?.map(|(round, _)| round))
}

/// How long a rotation may take that a machine begins by itself.
const LEASE: Duration = Duration::from_secs(60);
/// How long a record is valid.
const LIFE: Duration = Duration::from_secs(30 * 86_400);
/// How long a record is kept after it has a successor: a machine that was away for longer joins anew.
const HISTORY: Duration = Duration::from_secs(180 * 86_400);
