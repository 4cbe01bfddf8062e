//! A WireGuard mesh that configures itself and rotates its keys from a shared store.
//!
//! ```text
//! mesh_agent hub --socket PATH                                       serves the store (in memory; one process per host)
//! mesh_agent init --state FILE --machine-id ID [--port N]            makes a machine; prints its id and its identity
//! mesh_agent run --socket PATH --state FILE --trust FILE --interface NAME --address IP [--poll-ms N] [--pause-after STEP]
//!                [--rotate-seconds N [--packets-per-second N] [--round-trip-ms N] [--second-port open|closed]]
//! mesh_agent rotate --socket PATH --trust FILE [--machine ID] [--procedure psk-gate|open-gate] [--seconds N] [--laggards wait|abort|cut]
//! mesh_agent abort --socket PATH
//! mesh_agent stream --own ADDRESS --other ADDRESS --rate N           sends and receives until its input ends
//! mesh_agent delay --milliseconds N --stations MACHINE=RELAY,…       carries datagrams between machines, each later by this
//! mesh_agent reach --to ADDRESS                                      whether a packet comes back from a machine
//! ```
//!
//! `run` needs the right to make interfaces, `ip` (iproute2) and `wireguard-go`. Its events are JSON lines on standard output.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use core_types::{Clock as _, MachineId, SystemClock, SystemRandom};
use palisade_examples::mesh::agent::{AgentOptions, Automatic, read_trust};
use palisade_examples::mesh::delay::{self, Station};
use palisade_examples::mesh::hub::HubStore;
use palisade_examples::mesh::{Failure, agent, hub, stream};
use wg_keys::membership::{IdentityTrust as _, PskSchedule, Standing};
use wg_keys::rotation::{Laggards, MAX_LANES, Phase, Procedure, RotationSchedule, Round, abort, begin};
use wg_keys::state::DEFAULT_PORT;
use wg_keys::{MachineState, StateFile};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let verb = words.next().and_then(|verb| verb.into_string().ok()).unwrap_or_default();
    let outcome = Options::parse(words).and_then(|options| match verb.as_str() {
        "hub" => hub::serve(&options.path("socket")?),
        "init" => init(&options),
        "run" => run(&options),
        "rotate" => rotate(&options),
        "abort" => Ok(pollster::block_on(abort(&options.store()?))?),
        "stream" => measure(&options),
        "delay" => carry(&options),
        "reach" => reach(&options),
        _ => Err("hub, init, run, rotate, abort, stream, delay or reach".into()),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mesh_agent {verb}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn init(options: &Options) -> Result<(), Failure> {
    let (rng, machine) = (SystemRandom::new(), options.word("machine-id")?.parse()?);
    let port = options.words.get("port").map_or(Ok(51_820), |port| port.parse())?;
    let state = MachineState::generate(machine, port, &rng)?;
    StateFile::at(&options.path("state")?)?.create(&state, &rng)?;
    let identity: String = state.identity_public().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{}", serde_json::json!({"machine_id": machine.to_string(), "identity": identity}));
    Ok(())
}

fn run(options: &Options) -> Result<(), Failure> {
    let poll = options.words.get("poll-ms").map_or(Ok(20), |millis| millis.parse())?;
    let psk = options.words.get("psk-seconds").map_or(Ok(3600), |seconds| seconds.parse())?;
    let agent_options = AgentOptions {
        state: options.path("state")?,
        trust: read_trust(&std::fs::read_to_string(options.path("trust")?)?)?,
        interface: options.word("interface")?.to_owned(),
        address: options.word("address")?.parse()?,
        poll: Duration::from_millis(poll),
        psk: PskSchedule::new(Duration::from_secs(psk))?,
        automatic: automatic(options)?,
        pause_after: options.words.get("pause-after").cloned(),
    };
    let print = &mut |event: &wg_keys::rotation::Event| {
        println!("{}", serde_json::to_string(event).unwrap_or_default());
    };
    agent::run(&options.store()?, &agent_options, print, &mut |error| eprintln!("{error}"))
}

/// When the key is rotated without being asked, and what is known of the ways to the others.
fn automatic(options: &Options) -> Result<Option<Automatic>, Failure> {
    let Some(seconds) = options.words.get("rotate-seconds") else { return Ok(None) };
    let every = Duration::from_secs(seconds.parse()?);
    let number =
        |name: &str, default| options.words.get(name).map_or(Ok(default), |number| number.parse::<u32>());
    let second_port = match options.words.get("second-port").map(String::as_str) {
        None | Some("open") => true,
        Some("closed") => false,
        Some(_) => return Err("--second-port is open or closed".into()),
    };
    Ok(Some(Automatic {
        // Not all machines at the same time.
        schedule: RotationSchedule::new(every, every.checked_div(4).unwrap_or_default()),
        second_port,
        packets_per_second: number("packets-per-second", 1000)?,
        round_trip: Duration::from_millis(number("round-trip-ms", 1)?.into()),
    }))
}

fn rotate(options: &Options) -> Result<(), Failure> {
    let store = options.store()?;
    let document: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(options.path("trust")?)?)?;
    let trust = read_trust(&document.to_string())?;
    let listed = document.get("machines").and_then(serde_json::Value::as_array).into_iter().flatten();
    let members: Vec<MachineId> = listed
        .filter_map(|machine| machine.get("machine_id")?.as_str()?.parse().ok())
        .filter(|&machine| trust.standing(machine) != Standing::Revoked)
        .collect();
    let seconds = options.words.get("seconds").map_or(Ok(60), |seconds| seconds.parse())?;
    let now = SystemClock::new().now();
    let life = (now, now.saturating_add(Duration::from_secs(seconds)));
    let laggards = match options.words.get("laggards").map(String::as_str) {
        None | Some("wait") => Laggards::Wait,
        Some("abort") => Laggards::Abort,
        Some("cut") => Laggards::Cut,
        Some(_) => return Err("--laggards is wait, abort or cut".into()),
    };
    let round = match options.words.get("machine") {
        None => Round::mesh(members, life, laggards),
        Some(machine) => {
            let procedure = match options.words.get("procedure").map(String::as_str) {
                None => Procedure::BlueGreen,
                Some("psk-gate") => Procedure::PskGate,
                Some("open-gate") => Procedure::OpenGate,
                Some(_) => return Err("--procedure is psk-gate or open-gate".into()),
            };
            let machine: MachineId = machine.parse()?;
            let others = members.iter().filter(|other| **other != machine);
            let procedures = others.map(|&other| (other, procedure)).collect();
            Round::single(machine, members.iter().copied(), procedures, life, laggards)
        }
    };
    let number = pollster::block_on(begin(&store, round))?;
    loop {
        match agent::round(&store)? {
            Some(round) if round.number == number && round.phase == Phase::Ended => break,
            Some(round) if round.number > number => break,
            _ if SystemClock::new().now() > life.1.saturating_add(Duration::from_secs(seconds)) => {
                return Err("the round did not end".into());
            }
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    println!("{}", serde_json::json!({"round": number}));
    Ok(())
}

fn measure(options: &Options) -> Result<(), Failure> {
    let ends = (options.word("own")?.parse()?, options.word("other")?.parse()?);
    let rate = options.word("rate")?.parse()?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stopping.store(true, Ordering::Relaxed);
    });
    let report = stream::run(ends, rate, &stop)?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn carry(options: &Options) -> Result<(), Failure> {
    let stations: Result<Vec<Station>, Failure> = options
        .word("stations")?
        .split(',')
        .map(|station| {
            let (machine, relay) = station.split_once('=').ok_or("--stations is MACHINE=RELAY,…")?;
            Ok(Station { machine: machine.parse()?, relay: relay.parse()? })
        })
        .collect();
    // A machine has a port for each of its interfaces.
    let ports: Vec<u16> = (0..MAX_LANES).map(|lane| DEFAULT_PORT.saturating_add(lane.into())).collect();
    delay::run(&stations?, &ports, Duration::from_millis(options.word("milliseconds")?.parse()?))
}

/// A port that nobody listens at is refused, and the refusal comes from the other machine.
fn reach(options: &Options) -> Result<(), Failure> {
    let address: std::net::IpAddr = options.word("to")?.parse()?;
    let socket = std::net::UdpSocket::bind("[::]:0")?;
    socket.connect((address, 9))?;
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    socket.send(&[0])?;
    match socket.recv(&mut [0; 1]) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Options with a value each.
struct Options {
    words: BTreeMap<String, String>,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Self, Failure> {
        let mut options = BTreeMap::new();
        while let Some(name) = words.next() {
            let name = name.into_string().map_err(|_| "an option is not UTF-8")?;
            let name = name.strip_prefix("--").ok_or("an option begins with --")?.to_owned();
            let value = words.next().ok_or_else(|| format!("--{name} needs a value"))?;
            options.insert(name, value.into_string().map_err(|_| "a value is not UTF-8")?);
        }
        Ok(Self { words: options })
    }

    fn word(&self, name: &str) -> Result<&str, Failure> {
        self.words.get(name).map(String::as_str).ok_or_else(|| format!("--{name} is needed").into())
    }

    fn path(&self, name: &str) -> Result<PathBuf, Failure> {
        self.word(name).map(PathBuf::from)
    }

    fn store(&self) -> Result<HubStore, Failure> {
        Ok(HubStore::at(self.path("socket")?))
    }
}
