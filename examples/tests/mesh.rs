//! Rotations of real tunnels: machines in network namespaces, configured by nothing but `mesh_agent`, with streams between
//! them that must not lose a packet; and what the obvious procedure loses on the same machines.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a helper that fails is a test that fails, and a laboratory looks at the clock"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use core_types::MachineId;
use palisade_examples::mesh::stream::StreamReport;
use serde_json::{Value, json};
use tempfile::TempDir;
use wg_keys::config::{DiffPolicy, Op};
use wg_keys::device::DeviceSocket;
use wg_keys::{PresharedKey, PrivateKey, machine_address};

const AGENT: &str = env!("CARGO_BIN_EXE_mesh_agent");
/// Packets a second, each way.
const RATE: u32 = 300;

/// One laboratory at a time: a stream is a measurement.
static ONE: Mutex<()> = Mutex::new(());

struct Node {
    id: MachineId,
    namespace: String,
    interface: String,
    underlay: String,
    /// Where the others are told that it is.
    announced: String,
    state: PathBuf,
    agent: Option<Child>,
}

struct Lab {
    dir: TempDir,
    tag: String,
    hub: Child,
    /// What makes the ways between machines longer.
    relay: Option<Child>,
    nodes: Vec<Node>,
}

impl Lab {
    /// Machines on one bridge, each with an agent; returns when every pair can talk.
    fn new(tag: char, count: u8) -> Self {
        Self::with_delay(tag, count, None)
    }

    /// With a relay between them, that keeps each datagram for so many milliseconds.
    fn with_delay(tag: char, count: u8, delay: Option<u32>) -> Self {
        let dir = TempDir::new().unwrap();
        let tag = format!("{tag}{:x}", std::process::id() % 0xffff);
        let hub_namespace = format!("{tag}hub");
        done("ip", &["netns", "add", &hub_namespace]);
        done("ip", &["-n", &hub_namespace, "link", "add", "br0", "type", "bridge"]);
        done("ip", &["-n", &hub_namespace, "link", "set", "br0", "up"]);
        let hub = Command::new(AGENT)
            .args(["hub", "--socket"])
            .arg(dir.path().join("hub"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut lab = Self { dir, tag, hub, relay: None, nodes: Vec::new() };
        for number in 0..count {
            lab.add(number, &hub_namespace);
        }
        if let Some(milliseconds) = delay {
            lab.go_through_a_relay(&hub_namespace, milliseconds);
        }
        let machines: Vec<Value> = lab
            .nodes
            .iter()
            .map(|node| {
                let id = node.id.to_string();
                let state = node.state.to_string_lossy().into_owned();
                let arguments = ["init", "--state", &state, "--machine-id", &id, "--port", "51820"];
                let said = done(AGENT, &arguments);
                serde_json::from_str(&said).unwrap()
            })
            .collect();
        fs::write(lab.trust(), json!({"machines": machines}).to_string()).unwrap();
        for number in 0..lab.nodes.len() {
            lab.start(number, &[]);
        }
        lab.wait_until_all_talk();
        lab
    }

    fn add(&mut self, number: u8, hub: &str) {
        let namespace = format!("{}n{number}", self.tag);
        let (inner, outer) = (format!("{}i{number}", self.tag), format!("{}o{number}", self.tag));
        done("ip", &["netns", "add", &namespace]);
        done(
            "ip",
            &[
                "link", "add", &inner, "netns", &namespace, "type", "veth", "peer", "name", &outer, "netns",
                hub,
            ],
        );
        done("ip", &["-n", hub, "link", "set", &outer, "master", "br0", "up"]);
        let underlay = format!("198.51.100.{}", number + 1);
        done("ip", &["-n", &namespace, "address", "add", &format!("{underlay}/24"), "dev", &inner]);
        done("ip", &["-n", &namespace, "link", "set", &inner, "up"]);
        done("ip", &["-n", &namespace, "link", "set", "lo", "up"]);
        let folder = self.dir.path().join(&namespace);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        self.nodes.push(Node {
            id: MachineId::from_bytes([number + 1; 16]),
            interface: format!("{}w{number}x", self.tag),
            namespace,
            announced: underlay.clone(),
            underlay,
            state: folder.join("machine.json"),
            agent: None,
        });
    }

    fn go_through_a_relay(&mut self, hub: &str, milliseconds: u32) {
        let mut stations = Vec::new();
        for (number, node) in self.nodes.iter_mut().enumerate() {
            node.announced = format!("198.51.100.{}", number + 101);
            done("ip", &["-n", hub, "address", "add", &format!("{}/24", node.announced), "dev", "br0"]);
            stations.push(format!("{}={}", node.underlay, node.announced));
        }
        let relay = Command::new("ip")
            .args(["netns", "exec", hub, AGENT, "delay", "--stations", &stations.join(",")])
            .args(["--milliseconds", &milliseconds.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.relay = Some(relay);
    }

    fn trust(&self) -> PathBuf {
        self.dir.path().join("trust.json")
    }

    fn socket(&self) -> String {
        self.dir.path().join("hub").to_string_lossy().into_owned()
    }

    fn start(&mut self, number: usize, options: &[&str]) {
        let (socket, trust) = (self.socket(), self.trust());
        let log = fs::File::options().create(true).append(true).open(self.log(number)).unwrap();
        let errors =
            fs::File::options().create(true).append(true).open(self.dir.path().join("errors")).unwrap();
        let node = &mut self.nodes[number];
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &node.namespace, AGENT, "run", "--socket", &socket, "--state"]);
        command.arg(&node.state).arg("--trust").arg(trust);
        command.args(["--interface", &node.interface, "--address", &node.announced, "--poll-ms", "20"]);
        command.args(options);
        node.agent = Some(command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().unwrap());
    }

    /// `kill -9`. `ip netns exec` becomes the program it runs, so this is the agent itself.
    fn kill(&mut self, number: usize) {
        if let Some(mut agent) = self.nodes[number].agent.take() {
            agent.kill().unwrap();
            agent.wait().unwrap();
        }
    }

    fn log(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("log{number}"))
    }

    fn events(&self, number: usize, step: &str) -> usize {
        let log = fs::read_to_string(self.log(number)).unwrap();
        log.lines().filter(|line| line.contains(&format!("\"step\":\"{step}\""))).count()
    }

    fn wait_until_all_talk(&self) {
        let until = Instant::now() + Duration::from_secs(40);
        for from in &self.nodes {
            for to in self.nodes.iter().filter(|to| to.id != from.id) {
                let address = machine_address(to.id).to_string();
                let ping = ["netns", "exec", &from.namespace, AGENT, "reach", "--to", &address];
                while !Command::new("ip").args(ping).stderr(Stdio::null()).status().unwrap().success() {
                    assert!(Instant::now() < until, "{}", self.everything());
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }

    fn rotate(&self, arguments: &[&str]) -> Child {
        let (socket, trust) = (self.socket(), self.trust());
        Command::new(AGENT)
            .args(["rotate", "--socket", &socket, "--seconds", "25", "--trust"])
            .arg(trust)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn rotated(&self, mut rotation: Child) {
        assert!(rotation.wait().unwrap().success(), "{}", self.everything());
    }

    fn everything(&self) -> String {
        let logs = (0..self.nodes.len()).map(|number| {
            let log = fs::read_to_string(self.log(number)).unwrap_or_default();
            let last: Vec<_> = log.lines().rev().take(12).collect();
            format!("{number}: {}\n", last.into_iter().rev().collect::<Vec<_>>().join("\n   "))
        });
        let errors = fs::read_to_string(self.dir.path().join("errors")).unwrap_or_default();
        logs.chain([errors.lines().rev().take(8).collect::<Vec<_>>().join("\n")]).collect()
    }

    /// Streams between all pairs, and beside the first of them one outside of WireGuard.
    fn streams(&self) -> Streams {
        let mut ends = Vec::new();
        for (at, one) in self.nodes.iter().enumerate() {
            for (to, other) in self.nodes.iter().enumerate().filter(|(to, _)| *to != at) {
                let port = |from: usize, to: usize| 7000 + from * 10 + to;
                let own = format!("[{}]:{}", machine_address(one.id), port(at, to));
                let theirs = format!("[{}]:{}", machine_address(other.id), port(to, at));
                ends.push(((at, to), stream(&one.namespace, &own, &theirs)));
            }
        }
        let (a, b) = (&self.nodes[0], &self.nodes[1]);
        let (left, right) = (format!("{}:6000", a.underlay), format!("{}:6000", b.underlay));
        let control = [stream(&a.namespace, &left, &right), stream(&b.namespace, &right, &left)];
        std::thread::sleep(Duration::from_millis(500));
        Streams { ends, control }
    }

    /// The interface of each machine that has peers.
    fn devices(&self) -> Vec<DeviceSocket> {
        let used = self.nodes.iter().map(|node| {
            let lane = |lane: u8| DeviceSocket::of_interface(&format!("{}{lane}", node.interface)).unwrap();
            (0..4)
                .map(lane)
                .find(|lane| lane.read().is_ok_and(|has| has.interface.peers().len() > 0))
                .unwrap()
        });
        used.collect()
    }

    fn epoch(&self, number: usize) -> u64 {
        let state: Value =
            serde_json::from_str(&fs::read_to_string(&self.nodes[number].state).unwrap()).unwrap();
        assert_eq!(
            (&state["pending"], &state["previous"]),
            (&Value::Null, &Value::Null),
            "no key is left over"
        );
        state["epoch"].as_u64().unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for number in 0..self.nodes.len() {
            self.kill(number);
            let node = &self.nodes[number];
            for lane in 0..4 {
                let name = format!("{}{lane}", node.interface);
                let _ = Command::new("ip")
                    .args(["-n", &node.namespace, "link", "delete", &name])
                    .stderr(Stdio::null())
                    .status();
                let _ = fs::remove_file(format!("/var/run/wireguard/{name}.sock"));
            }
            let _ = Command::new("ip").args(["netns", "delete", &node.namespace]).status();
        }
        let _ = Command::new("ip").args(["netns", "delete", &format!("{}hub", self.tag)]).status();
        for child in [Some(&mut self.hub), self.relay.as_mut()].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

struct Streams {
    ends: Vec<((usize, usize), Child)>,
    control: [Child; 2],
}

/// What was lost of what was sent.
struct Lost {
    sent: u64,
    lost: u64,
    /// Whether the host itself stalled: what was lost then may be its doing.
    stalled: bool,
}

impl Streams {
    fn end(self) -> Lost {
        let (pairs, mut children): (Vec<_>, Vec<_>) = self.ends.into_iter().unzip();
        children.extend(self.control);
        for child in &mut children {
            drop(child.stdin.take());
        }
        let mut reports: Vec<StreamReport> = children
            .into_iter()
            .map(|mut child| {
                let mut line = String::new();
                BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
                child.wait().unwrap();
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect();
        let control = reports.split_off(pairs.len());
        let slip = reports.iter().chain(&control).map(|report| report.slip_ms).max().unwrap();
        let control_lost = control[0].sent + control[1].sent - control[0].received - control[1].received;
        let sent = reports.iter().map(|report| report.sent).sum();
        let received: u64 = reports.iter().map(|report| report.received).sum();
        let gap = reports.iter().map(|report| report.gap_ms).max().unwrap();
        let control_gap = control.iter().map(|report| report.gap_ms).max().unwrap();
        println!(
            "sent {sent}, lost {}, longest gap {gap} ms; outside of WireGuard: lost {control_lost}, gap {control_gap} ms; the sender was late by {slip} ms",
            sent - received
        );
        Lost { sent, lost: sent - received, stalled: control_lost > 0 || slip > 100 || control_gap > 100 }
    }
}

fn stream(namespace: &str, own: &str, other: &str) -> Child {
    let rate = RATE.to_string();
    Command::new("ip")
        .args(["netns", "exec", namespace, AGENT, "stream", "--own", own, "--other", other, "--rate", &rate])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn done(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let program = program.as_ref();
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{} is needed: {error}", program.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?} (root is needed): {said}", program.display());
    String::from_utf8(output.stdout).unwrap()
}

/// Does it, and again when something was lost while the host stalled: that proves nothing. What is lost otherwise is ours.
fn without_loss(lab: &mut Lab, mut what: impl FnMut(&mut Lab)) -> u64 {
    for _ in 0..4 {
        let streams = lab.streams();
        what(lab);
        let Lost { sent, lost, stalled } = streams.end();
        if lost == 0 {
            return sent;
        }
        assert!(stalled, "{lost} lost of {sent}; {}", lab.everything());
        println!("again: the host stalled");
    }
    panic!("the host stalls in every run")
}

#[test]
fn twenty_rotations_in_turn_lose_nothing_and_the_obvious_one_loses_hundreds() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lab = Lab::new('p', 2);
    for (kind, options) in [("blue/green", &[][..]), ("psk gate", &["--procedure", "psk-gate"][..])] {
        let before = (lab.epoch(0), lab.epoch(1));
        let mut rounds = 0;
        let sent = without_loss(&mut lab, |lab| {
            for number in 0..10 {
                let id = lab.nodes[number % 2].id.to_string();
                let rotation = lab.rotate(&[&["--machine", &id], options].concat());
                lab.rotated(rotation);
            }
            rounds += 1;
        });
        println!("{kind}: 10 rotations, {sent} packets, none lost");
        assert_eq!((lab.epoch(0), lab.epoch(1)), (before.0 + 5 * rounds, before.1 + 5 * rounds));
    }
    // The same machines, the same streams, without the agents: the key is changed, and the peer told a second later.
    (0..2).for_each(|number| lab.kill(number));
    let streams = lab.streams();
    let devices = lab.devices();
    let had: Vec<_> = devices.iter().map(|device| device.read().unwrap().interface).collect();
    let new = std::sync::Arc::new(PrivateKey::generate(&core_types::SystemRandom::new()).unwrap());
    let change = |at: usize, from: &wg_keys::Interface, ops: &[Op]| {
        let mut to = from.clone();
        ops.iter().for_each(|op| to.apply(op));
        devices[at].apply(&from.diff(&to, DiffPolicy::new().dangerous_allow_shrinking()).unwrap()).unwrap();
        to
    };
    let old = had[0].private_key().unwrap().public_key();
    let peer = had[1].peer(old).unwrap().clone();
    let without = change(1, &had[1], &[Op::RemovePeer { key: old }]);
    let _ = change(0, &had[0], &[Op::SetPrivateKey(std::sync::Arc::clone(&new))]);
    std::thread::sleep(Duration::from_secs(1));
    let _ = change(
        1,
        &without,
        &[
            Op::CreatePeer {
                key: new.public_key(),
                preshared_key: peer.preshared_key().cloned(),
                endpoint: peer.endpoint(),
            },
            Op::AddAllowedIps {
                key: new.public_key(),
                prefixes: peer.allowed_ips().iter().copied().collect(),
            },
        ],
    );
    std::thread::sleep(Duration::from_secs(1));
    let lost = streams.end().lost;
    println!("remove and add, 1 s apart: {lost} lost");
    assert!(lost > 200, "the control lost {lost}: the laboratory would not see a loss");
}

/// 75 ms each way: the gate is open for long enough to be seen before the first packet of the new session comes.
#[test]
fn ten_rotations_with_an_open_gate_lose_nothing_where_the_way_is_long() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lab = Lab::with_delay('t', 2, Some(75));
    let sent = without_loss(&mut lab, |lab| {
        for number in 0..10 {
            let id = lab.nodes[number % 2].id.to_string();
            let rotation = lab.rotate(&["--machine", &id, "--procedure", "open-gate"]);
            lab.rotated(rotation);
        }
    });
    println!("open gate: 10 rotations, {sent} packets, none lost");
}

#[test]
fn a_mesh_rotates_all_at_once_and_goes_on_after_kill_9_at_every_step() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lab = Lab::new('q', 3);
    let sent = without_loss(&mut lab, |lab| {
        for _ in 0..3 {
            let rotation = lab.rotate(&[]);
            lab.rotated(rotation);
        }
    });
    println!("all three machines at once, three times: {sent} packets, none lost");
    // The interfaces are other processes: traffic goes on while the agent is dead.
    let steps =
        ["prepared", "opened", "added", "announced", "reported", "activated", "removed", "closed", "erased"];
    let sent = without_loss(&mut lab, |lab| {
        for step in steps {
            lab.kill(0);
            lab.start(0, &["--pause-after", step]);
            let before = lab.events(0, step);
            let id = lab.nodes[0].id.to_string();
            let rotation = lab.rotate(&["--machine", &id]);
            let until = Instant::now() + Duration::from_secs(20);
            while lab.events(0, step) == before {
                assert!(Instant::now() < until, "{step} was not reached: {}", lab.everything());
                std::thread::sleep(Duration::from_millis(10));
            }
            lab.kill(0);
            std::thread::sleep(Duration::from_millis(100));
            lab.start(0, &[]);
            lab.rotated(rotation);
        }
    });
    println!("killed after each of {} steps: {sent} packets, none lost", steps.len());
    for step in ["prepared", "announced", "activated", "swapped", "erased"] {
        lab.kill(1);
        lab.start(1, &["--pause-after", step]);
        let before = lab.events(1, step);
        let id = lab.nodes[1].id.to_string();
        let rotation = lab.rotate(&["--machine", &id, "--procedure", "psk-gate"]);
        let until = Instant::now() + Duration::from_secs(20);
        while lab.events(1, step) == before {
            assert!(Instant::now() < until, "{step} was not reached: {}", lab.everything());
            std::thread::sleep(Duration::from_millis(10));
        }
        lab.kill(1);
        lab.start(1, &[]);
        lab.rotated(rotation);
        lab.wait_until_all_talk();
    }
    (0..3).for_each(|number| assert!(lab.epoch(number) > 3));
}

#[test]
fn keys_that_are_due_are_rotated_without_being_asked_and_nothing_is_lost() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lab = Lab::new('r', 2);
    let packets = RATE.to_string();
    for number in 0..2 {
        lab.kill(number);
        lab.start(number, &["--rotate-seconds", "4", "--packets-per-second", &packets]);
    }
    let sent = without_loss(&mut lab, |lab| {
        let before: Vec<usize> = (0..2).map(|number| lab.events(number, "erased")).collect();
        let until = Instant::now() + Duration::from_secs(40);
        while (0..2).any(|number| lab.events(number, "erased") < before[number] + 2) {
            assert!(Instant::now() < until, "{}", lab.everything());
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    println!("two keys of each machine that were due: {sent} packets, none lost");
}

/// Sessions outlive the change; the next handshake, after 120 s, takes the new key. `PALISADE_LONG_SECONDS=150` sees that too.
#[test]
fn a_preshared_key_changes_at_both_ends_one_after_the_other_and_nothing_is_lost() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lab = Lab::new('s', 2);
    (0..2).for_each(|number| lab.kill(number));
    let seconds = std::env::var("PALISADE_LONG_SECONDS").map_or(3, |text| text.parse().unwrap());
    let change = |device: &DeviceSocket, new: &std::sync::Arc<PresharedKey>| {
        let had = device.read().unwrap().interface;
        let mut wanted = had.clone();
        let key = had.peers().next().unwrap().key();
        wanted.apply(&Op::SetPresharedKey { key, preshared_key: Some(std::sync::Arc::clone(new)) });
        device.apply(&had.diff(&wanted, DiffPolicy::new()).unwrap()).unwrap();
    };
    let sent = without_loss(&mut lab, |lab| {
        let new = std::sync::Arc::new(PresharedKey::generate(&core_types::SystemRandom::new()).unwrap());
        for device in lab.devices() {
            change(&device, &new);
            std::thread::sleep(Duration::from_secs(1));
        }
        std::thread::sleep(Duration::from_secs(seconds));
    });
    println!("another preshared key, {seconds} s: {sent} packets, none lost");
}
