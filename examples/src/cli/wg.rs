//! `palisade wg`: a machine's WireGuard keys, and the configuration of its interface.

use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use core_types::{Clock as _, MachineId, SystemClock, SystemRandom};
use serde_json::json;
use wg_keys::config::{Diff, DiffPolicy, InterfaceAddress, MAX_TEXT_BYTES, Op, PeerList};
use wg_keys::device::{DeviceSocket, WgProgram};
use wg_keys::state::{DEFAULT_PORT, Passphrase, PassphraseSealer};
use wg_keys::{Interface, MachineState, SecretText, StateFile, machine_address, text};

use super::{Answer, CliError, Streams, print_json, print_line};

/// Makes the state of a machine that has none.
pub(super) fn init(parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let options = Options::parse(parser, &["machine-id", "listen-port"])?;
    let rng = SystemRandom::new();
    let machine = match &options.machine {
        Some(machine) => *machine,
        None => MachineId::generate(SystemClock::new().now(), &rng).map_err(|error| options.failed(error))?,
    };
    let state =
        MachineState::generate(machine, options.listen_port, &rng).map_err(|error| options.failed(error))?;
    let folder = options.state.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder.map(|folder| (folder, DirBuilder::new().mode(0o700).create(folder))) {
        None | Some((_, Ok(()))) => {}
        Some((_, Err(error))) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Some((folder, Err(error))) => return Err(CliError::io(folder.display().to_string(), error)),
    }
    options.file()?.create(&state, &rng).map_err(|error| options.failed(error))?;
    print_state(&state, options.json, streams)
}

/// Prints what of a state is no secret.
pub(super) fn show(parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let options = Options::parse(parser, &[])?;
    print_state(&options.load()?, options.json, streams)
}

/// Takes one step of a rotation; it is durable when this prints.
pub(super) fn rotate(parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let options = Options::parse(parser, &["activate", "finish", "abort"])?;
    let rng = SystemRandom::new();
    let mut file = options.file()?;
    match options.step {
        None => file.update(&rng, |state| state.prepare(&rng).map(drop)),
        Some(RotateStep::Activate) => file.update(&rng, |state| state.activate().map(drop)),
        Some(RotateStep::Finish) => file.update(&rng, MachineState::finish),
        Some(RotateStep::Abort) => file.update(&rng, MachineState::abort),
    }
    .map_err(|error| options.failed(error))?;
    print_state(&options.load()?, options.json, streams)
}

/// Prints a configuration, private key included.
pub(super) fn render(parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let options = Options::parse(parser, &["peers", "format"])?;
    let format = options.format.ok_or_else(|| CliError::usage("--format is wg, wg-quick or uapi"))?;
    let state = options.load()?;
    let wanted = options.wanted(&state, streams)?;
    let text = match format {
        Format::Wg => text::write_conf(&wanted),
        Format::Quick => {
            text::write_quick(&wanted, &[InterfaceAddress::host(machine_address(state.machine()).into())])
        }
        Format::Uapi => text::uapi::write_all(&wanted),
    };
    let written = streams.output.write_all(text.expose_secret().as_bytes());
    written.map_err(|error| CliError::io("standard output", error))?;
    Ok(Answer::Yes)
}

/// Makes a device have a configuration, by the shortest ordered difference.
pub(super) fn apply(parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let options = Options::parse(parser, &["peers", "interface", "through", "allow-shrinking", "dry-run"])?;
    let interface = options.interface.as_deref().ok_or_else(|| CliError::usage("--interface is needed"))?;
    let device = DeviceSocket::of_interface(interface).map_err(|error| CliError::usage(error.to_string()))?;
    let state = options.load()?;
    let wanted = options.wanted(&state, streams)?;
    let policy = DiffPolicy::new().keep_known_endpoints();
    let policy = if options.shrinking { policy.dangerous_allow_shrinking() } else { policy };
    let failed = |error| CliError::io(interface, io::Error::other(error));
    let program = WgProgram::of_interface(interface).map_err(|error| CliError::usage(error.to_string()))?;
    let diff = if options.dry_run {
        let snapshot = if options.program { program.read() } else { device.read() }.map_err(failed)?;
        snapshot.interface.diff(&wanted, policy).map_err(|error| failed(error.into()))?
    } else if options.program {
        program.configure(&wanted, policy).map_err(failed)?
    } else {
        device.configure(&wanted, policy).map_err(failed)?
    };
    print_diff(&diff, interface, &options, streams)
}

fn print_diff(
    diff: &Diff,
    interface: &str,
    options: &Options,
    streams: &mut Streams<'_>,
) -> Result<Answer, CliError> {
    let touched: Vec<String> = diff.touched().iter().map(ToString::to_string).collect();
    let of = |wanted: fn(&Op) -> bool| {
        let ops = diff.ops().filter(|op| op.peer() != Some(wg_keys::config::reserved_key()));
        ops.filter(|op| wanted(op)).count()
    };
    let added = of(|op| matches!(op, Op::CreatePeer { .. }));
    let removed = of(|op| matches!(op, Op::RemovePeer { .. }));
    if options.json {
        let applied = !options.dry_run;
        print_json(
            streams,
            &json!({
                "interface": interface, "applied": applied, "operations": diff.ops().count(),
                "peers_added": added, "peers_removed": removed, "touched": touched,
            }),
        )?;
    } else if diff.is_empty() {
        print_line(streams, "nothing to do")?;
    } else {
        let line = format!("{interface}: {} peers touched, {added} added, {removed} removed", touched.len());
        print_line(streams, &line)?;
    }
    Ok(Answer::Yes)
}

fn print_state(state: &MachineState, json: bool, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let address = machine_address(state.machine());
    let public = |key: Option<&Arc<wg_keys::PrivateKey>>| key.map(|key| key.public_key().to_string());
    let (pending, previous) = (public(state.pending()), public(state.previous()));
    let current = state.current().public_key();
    if json {
        print_json(
            streams,
            &json!({
                "machine_id": state.machine().to_string(), "address": address.to_string(),
                "epoch": state.epoch(), "listen_port": state.listen_port(), "public_key": current.to_string(),
                "pending_public_key": pending, "previous_public_key": previous,
            }),
        )?;
        return Ok(Answer::Yes);
    }
    let (machine, epoch, port) = (state.machine(), state.epoch(), state.listen_port());
    print_line(streams, &format!("machine      {machine}\naddress      {address}\nepoch        {epoch}"))?;
    print_line(streams, &format!("listen port  {port}\npublic key   {current}"))?;
    for (name, key) in [("pending", pending), ("previous", previous)] {
        if let Some(key) = key {
            print_line(streams, &format!("{name:<12} {key}"))?;
        }
    }
    Ok(Answer::Yes)
}

#[derive(Clone, Copy)]
enum RotateStep {
    Activate,
    Finish,
    Abort,
}

#[derive(Clone, Copy)]
enum Format {
    Wg,
    Quick,
    Uapi,
}

struct Options {
    state: PathBuf,
    passphrase: Option<PathBuf>,
    machine: Option<MachineId>,
    listen_port: u16,
    step: Option<RotateStep>,
    peers: Option<String>,
    format: Option<Format>,
    interface: Option<String>,
    /// Through `wg`, not through the device's socket.
    program: bool,
    shrinking: bool,
    dry_run: bool,
    json: bool,
}

impl Options {
    /// The options of a verb that knows these besides those of every verb.
    fn parse(mut parser: lexopt::Parser, known: &[&str]) -> Result<Self, CliError> {
        let mut state = None;
        let mut options = Self {
            state: PathBuf::new(),
            passphrase: None,
            machine: None,
            listen_port: DEFAULT_PORT,
            step: None,
            peers: None,
            format: None,
            interface: None,
            program: false,
            shrinking: false,
            dry_run: false,
            json: false,
        };
        while let Some(argument) = parser.next()? {
            let lexopt::Arg::Long(name) = argument else { return Err(argument.unexpected().into()) };
            let name = name.to_owned();
            match name.as_str() {
                "json" => options.json = true,
                "state" => state = Some(PathBuf::from(parser.value()?)),
                "passphrase-file" => options.passphrase = Some(PathBuf::from(parser.value()?)),
                name if !known.contains(&name) => {
                    return Err(CliError::usage(format!("no such option here: `--{name}`")));
                }
                "machine-id" => {
                    let id = word(&mut parser)?.parse();
                    options.machine =
                        Some(id.map_err(|error| CliError::usage(format!("--machine-id: {error}")))?);
                }
                "listen-port" => {
                    let port = word(&mut parser)?.parse().ok().filter(|&port| port != 0);
                    options.listen_port =
                        port.ok_or_else(|| CliError::usage("--listen-port is a number from 1 to 65535"))?;
                }
                "activate" => options.set_step(RotateStep::Activate)?,
                "finish" => options.set_step(RotateStep::Finish)?,
                "abort" => options.set_step(RotateStep::Abort)?,
                "peers" => options.peers = Some(word(&mut parser)?),
                "interface" => options.interface = Some(word(&mut parser)?),
                "through" => {
                    options.program = match word(&mut parser)?.as_str() {
                        "socket" => false,
                        "wg" => true,
                        _ => return Err(CliError::usage("--through is socket or wg")),
                    };
                }
                "allow-shrinking" => options.shrinking = true,
                "dry-run" => options.dry_run = true,
                _ => {
                    options.format = Some(match word(&mut parser)?.as_str() {
                        "wg" => Format::Wg,
                        "wg-quick" => Format::Quick,
                        "uapi" => Format::Uapi,
                        _ => return Err(CliError::usage("--format is wg, wg-quick or uapi")),
                    });
                }
            }
        }
        options.state = state.ok_or_else(|| CliError::usage("--state is needed"))?;
        Ok(options)
    }

    fn set_step(&mut self, step: RotateStep) -> Result<(), CliError> {
        match self.step.replace(step) {
            None => Ok(()),
            Some(_) => Err(CliError::usage("one of --activate, --finish and --abort")),
        }
    }

    fn file(&self) -> Result<StateFile, CliError> {
        let file = StateFile::at(&self.state).map_err(|error| self.failed(error))?;
        let Some(path) = &self.passphrase else { return Ok(file) };
        let opened = File::open(path).map_err(|error| CliError::io(path.display().to_string(), error))?;
        let text = read(opened, &path.display().to_string(), MAX_PASSPHRASE_BYTES)?;
        let line = text.expose_secret().lines().next().unwrap_or_default().to_owned();
        let passphrase = Passphrase::take_from(line).map_err(|error| self.failed(error))?;
        Ok(file.with_sealer(Box::new(PassphraseSealer::new(passphrase))))
    }

    fn load(&self) -> Result<MachineState, CliError> {
        self.file()?.load().map_err(|error| self.failed(error))
    }

    /// The configuration of this machine with the peers that are listed.
    fn wanted(&self, state: &MachineState, streams: &mut Streams<'_>) -> Result<Interface, CliError> {
        let peers = self.peers.as_deref().ok_or_else(|| CliError::usage("--peers is needed"))?;
        let text = if peers == "-" {
            read(&mut *streams.input, "standard input", MAX_TEXT_BYTES)?
        } else {
            read(File::open(peers).map_err(|error| CliError::io(peers, error))?, peers, MAX_TEXT_BYTES)?
        };
        let damaged =
            |error: &dyn std::fmt::Display| CliError::io(peers, io::Error::other(error.to_string()));
        let list = PeerList::parse(text.expose_secret()).map_err(|error| damaged(&error))?;
        Interface::new(Some(Arc::clone(state.current())), Some(state.listen_port()), list.into_peers())
            .map_err(|error| damaged(&error))
    }

    fn failed(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CliError {
        CliError::io(Path::display(&self.state).to_string(), io::Error::other(error))
    }
}

fn word(parser: &mut lexopt::Parser) -> Result<String, CliError> {
    parser.value()?.into_string().map_err(|_| CliError::usage("an argument is not UTF-8"))
}

/// A text that may have secrets in it, up to a bound.
fn read(source: impl Read, name: &str, max_bytes: usize) -> Result<SecretText, CliError> {
    let mut text = String::new();
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX);
    let outcome = source.take(limit.saturating_add(1)).read_to_string(&mut text);
    let text = SecretText::take_from(text);
    match outcome {
        Ok(len) if len > max_bytes => Err(CliError::io(name, io::Error::other("is too large"))),
        Ok(_) => Ok(text),
        Err(error) => Err(CliError::io(name, error)),
    }
}

const MAX_PASSPHRASE_BYTES: usize = 4096;
