//! The contract of `palisade wg`: what is printed, what is refused, and what `wg`, `wg-quick` and wireguard-go think.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper that fails is a test that fails"
)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use wg_keys::{Interface, Peer, text};

use crate::support::palisade;

const MACHINE: &str = "mch_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D";
const PEERS: [&str; 3] = [
    "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
    "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
    "QixOcifa16GVyTKlRrMAu/5l8yB3Bx8JTdgcbUpDcUQ=",
];

struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { dir: TempDir::new().unwrap() };
        let (exit, _, said) =
            palisade(&["wg", "init", "--state", &machine.state(), "--machine-id", MACHINE], b"");
        assert_eq!(exit, 0, "{said}");
        machine
    }

    fn state(&self) -> String {
        // A folder that is not there: it is made, for the owner alone.
        self.dir.path().join("wg/machine.json").to_string_lossy().into_owned()
    }

    /// Runs a verb; the exit status and what it printed as JSON.
    fn run(&self, verb: &str, options: &[&str], input: &str) -> (i32, Value) {
        let state = self.state();
        let arguments = [&["wg", verb, "--state", &state, "--json"], options].concat();
        let (exit, printed, said) = palisade(&arguments, input.as_bytes());
        let secrets = fs::read_to_string(&state).unwrap();
        let secrets: Value = serde_json::from_str(&secrets).unwrap();
        for name in ["identity_seed", "current", "pending", "previous"] {
            if let Some(secret) = secrets.get(name).and_then(Value::as_str) {
                assert!(!printed.contains(secret) && !said.contains(secret), "{name} was printed");
            }
        }
        (exit, serde_json::from_str(&printed).unwrap_or(Value::Null))
    }
}

fn list(peers: &[Value]) -> String {
    json!({"version": 1, "peers": peers}).to_string()
}

#[test]
fn a_state_is_made_for_its_owner_alone_and_never_overwritten() {
    let machine = Machine::new();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let state = machine.state();
    assert_eq!((mode(Path::new(&state)), mode(&machine.dir.path().join("wg"))), (0o600, 0o700));
    let before = fs::read(&state).unwrap();
    assert_eq!(palisade(&["wg", "init", "--state", &state], b"").0, 1);
    assert_eq!(fs::read(&state).unwrap(), before);
    let (exit, shown) = machine.run("show", &[], "");
    assert_eq!((exit, &shown["machine_id"], &shown["epoch"]), (0, &json!(MACHINE), &json!(1)));
    assert_eq!(shown["address"], "fdb5:8a7f:3e6f:3c14:5795:48e1:fb6b:5ef2");
    assert_eq!(shown["listen_port"], 51820);
    assert_eq!((&shown["pending_public_key"], &shown["previous_public_key"]), (&Value::Null, &Value::Null));
    fs::set_permissions(&state, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(palisade(&["wg", "show", "--state", &state], b"").0, 1, "others may have read it");
}

#[test]
fn a_rotation_goes_through_its_steps_and_keeps_the_address() {
    let machine = Machine::new();
    let (_, before) = machine.run("show", &[], "");
    assert_eq!(machine.run("rotate", &["--activate"], "").0, 1);
    assert_eq!(machine.run("rotate", &["--finish"], "").0, 1);
    let (exit, prepared) = machine.run("rotate", &[], "");
    assert_eq!((exit, &prepared["epoch"], &prepared["public_key"]), (0, &json!(1), &before["public_key"]));
    let pending = &prepared["pending_public_key"];
    assert_eq!(pending.as_str().unwrap().len(), 44);
    assert_eq!(machine.run("rotate", &[], "").0, 1, "one at a time");
    let (_, active) = machine.run("rotate", &["--activate"], "");
    assert_eq!((&active["epoch"], &active["public_key"]), (&json!(2), pending));
    assert_eq!(active["previous_public_key"], before["public_key"]);
    let (_, finished) = machine.run("rotate", &["--finish"], "");
    assert_eq!((&finished["previous_public_key"], &finished["address"]), (&Value::Null, &before["address"]));
    machine.run("rotate", &[], "");
    let (exit, aborted) = machine.run("rotate", &["--abort"], "");
    assert_eq!((exit, aborted), (0, finished));
}

#[test]
fn a_state_under_a_passphrase_is_not_read_without_it() {
    let dir = TempDir::new().unwrap();
    let state = dir.path().join("wg/machine.json").to_string_lossy().into_owned();
    let (right, wrong) = (dir.path().join("right"), dir.path().join("wrong"));
    fs::write(&right, "correct horse\n").unwrap();
    fs::write(&wrong, "battery staple\n").unwrap();
    let run = |verb, file: &Path| {
        palisade(&["wg", verb, "--state", &state, "--passphrase-file", &file.to_string_lossy()], b"").0
    };
    assert_eq!((run("init", &right), run("show", &right), run("show", &wrong)), (0, 0, 1));
    assert_eq!(palisade(&["wg", "show", "--state", &state], b"").0, 1);
}

#[test]
fn the_words_are_checked() {
    let machine = Machine::new();
    let state = machine.state();
    for words in [
        &["show"][..],
        &["show", "--state", &state, "--peers", "-"],
        &["show", "--state", &state, "more"],
        &["init", "--state", "x/y", "--machine-id", "web-1"],
        &["init", "--state", "x/y", "--listen-port", "0"],
        &["rotate", "--state", &state, "--activate", "--finish"],
        &["render", "--state", &state, "--peers", "-", "--format", "yaml"],
        &["render", "--state", &state, "--peers", "-"],
        &["render", "--state", &state, "--format", "wg"],
        &["apply", "--state", &state, "--peers", "-"],
        &["apply", "--state", &state, "--peers", "-", "--interface", "../x"],
        &["apply", "--state", &state, "--peers", "-", "--interface", "x", "--through", "ip"],
    ] {
        let (exit, printed, _) = palisade(&[&["wg"], words].concat(), b"{}");
        assert_eq!((exit, printed.as_str()), (2, ""), "{words:?}");
    }
    let missing = machine.dir.path().join("wg/other.json");
    assert_eq!(palisade(&["wg", "show", "--state", &missing.to_string_lossy()], b"").0, 1);
}

#[test]
fn a_list_that_contradicts_itself_is_refused() {
    let machine = Machine::new();
    let own = machine.run("show", &[], "").1["public_key"].clone();
    let low = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for bad in [
        String::new(),
        json!({"version": 2, "peers": []}).to_string(),
        json!({"version": 1, "peers": [], "more": 1}).to_string(),
        list(&[json!({"public_key": own})]),
        list(&[json!({"public_key": low})]),
        list(&[json!({"public_key": PEERS[0]}), json!({"public_key": PEERS[0]})]),
        list(&[
            json!({"public_key": PEERS[0], "allowed_ips": ["10.0.0.0/8"]}),
            json!({"public_key": PEERS[1], "allowed_ips": ["10.0.0.0/8"]}),
        ]),
        list(&[json!({"public_key": PEERS[0], "allowed_ips": ["10.0.0.1/8"]})]),
        list(&[json!({"public_key": PEERS[0], "endpoint": "example.com:51820"})]),
        list(&[json!({"public_key": PEERS[0], "endpoint": "192.0.2.1:0"})]),
        list(&[json!({"public_key": PEERS[0], "keepalive": 65536})]),
        list(&[json!({"public_key": PEERS[0], "machine_id": "web-1"})]),
    ] {
        let state = machine.state();
        let arguments = ["wg", "render", "--state", &state, "--peers", "-", "--format", "wg"];
        let (exit, printed, said) = palisade(&arguments, bad.as_bytes());
        assert_eq!((exit, printed.as_str()), (1, ""), "{bad}: {said}");
    }
}

/// A user-space device in a network namespace of its own; both go when it does.
struct Device {
    name: String,
    child: Child,
}

impl Device {
    fn start(tag: &str) -> Self {
        let name = format!("{tag}{}", std::process::id());
        assert_done("ip", &["netns", "add", &name]);
        let child = Command::new("ip")
            .args(["netns", "exec", &name, "wireguard-go", "-f", &name])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let device = Self { name, child };
        let socket = format!("/var/run/wireguard/{}.sock", device.name);
        for _ in 0..200 {
            if Path::new(&socket).exists() {
                return device;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("wireguard-go (Debian: wireguard-go) did not start");
    }

    fn wg(&self, arguments: &[&str]) -> String {
        let words = [&["netns", "exec", &self.name, "wg"], arguments].concat();
        String::from_utf8(assert_done("ip", &words).stdout).unwrap()
    }

    /// What `wg` says the device has, by its two texts, which must agree.
    fn has(&self) -> Interface {
        let dump = text::read_dump(&self.wg(&["show", &self.name, "dump"])).unwrap();
        let conf = text::read_conf(&self.wg(&["showconf", &self.name])).unwrap();
        assert_eq!(said(&dump.interface), said(&conf));
        conf
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
        let _ = fs::remove_file(format!("/var/run/wireguard/{}.sock", self.name));
    }
}

fn assert_done(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?} (root is needed): {said}");
    output
}

/// What a configuration says, secrets included.
fn said(interface: &Interface) -> Vec<String> {
    let own = interface.private_key().map(|key| key.expose_secret());
    let peer = |peer: &Peer| {
        let preshared = peer.preshared_key().map(|key| key.expose_secret());
        let (endpoint, secs, prefixes) = (peer.endpoint(), peer.keepalive_secs(), peer.allowed_ips());
        format!("{} {preshared:?} {endpoint:?} {secs} {prefixes:?}", peer.key())
    };
    [format!("{own:?} {:?}", interface.listen_port())]
        .into_iter()
        .chain(interface.peers().map(peer))
        .collect()
}

fn three_peers() -> [Value; 3] {
    [
        json!({
            "public_key": PEERS[0], "allowed_ips": ["10.210.1.0/24", "fd00:1::/64"], "endpoint": "192.0.2.7:51820",
            "keepalive": 25, "preshared_key": "BgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgY=",
        }),
        json!({"public_key": PEERS[1], "machine_id": MACHINE, "endpoint": "[2001:db8::1]:51821"}),
        json!({"public_key": PEERS[2], "allowed_ips": ["10.210.0.0/16"]}),
    ]
}

#[test]
fn every_format_means_the_same_to_the_programs_it_is_for() {
    let machine = Machine::new();
    let device = Device::start("pwa");
    let state = machine.state();
    let peers = list(&three_peers());
    let render = |format: &str| {
        let arguments = ["wg", "render", "--state", &state, "--peers", "-", "--format", format];
        let (exit, printed, error) = palisade(&arguments, peers.as_bytes());
        assert_eq!(exit, 0, "{error}");
        printed
    };
    let wanted = text::read_conf(&render("wg")).unwrap();
    assert_eq!(wanted.peers().len(), 3);
    let file = machine.dir.path().join("wgq0.conf");
    let path = file.to_string_lossy().into_owned();
    let private = |content: &str| {
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    };
    for verb in ["setconf", "syncconf"] {
        private(&render("wg"));
        device.wg(&[verb, &device.name, &path]);
        assert_eq!(said(&device.has()), said(&wanted), "{verb}");
    }
    private(&render("wg-quick"));
    let stripped = String::from_utf8(assert_done("wg-quick", &["strip", &path]).stdout).unwrap();
    assert_eq!(said(&text::read_conf(&stripped).unwrap()), said(&wanted));
    let quick = text::read_quick(&render("wg-quick")).unwrap();
    assert_eq!(quick.addresses.len(), 1);
    // The request of the user-space protocol, given to a device that has something else.
    device.wg(&["set", &device.name, "peer", PEERS[0], "remove"]);
    let mut socket =
        std::os::unix::net::UnixStream::connect(format!("/var/run/wireguard/{}.sock", device.name)).unwrap();
    std::io::Write::write_all(&mut socket, render("uapi").as_bytes()).unwrap();
    let mut answer = [0; 9];
    std::io::Read::read_exact(&mut socket, &mut answer).unwrap();
    assert_eq!(&answer, b"errno=0\n\n");
    assert_eq!(said(&device.has()), said(&wanted));
}

#[test]
fn a_device_is_changed_by_what_differs_and_by_nothing_else() {
    changed_by_what_differs("pwb", "socket");
}

#[test]
fn the_program_wg_does_the_same() {
    changed_by_what_differs("pwc", "wg");
}

fn changed_by_what_differs(tag: &str, through: &str) {
    let machine = Machine::new();
    let device = Device::start(tag);
    let apply = |peers: &[Value], more: &[&str]| {
        let options = [&["--peers", "-", "--interface", &device.name, "--through", through], more].concat();
        machine.run("apply", &options, &list(peers))
    };
    let peers = three_peers();
    let (exit, planned) = apply(&peers, &["--dry-run"]);
    assert_eq!((exit, &planned["applied"], &planned["peers_added"]), (0, &json!(false), &json!(3)));
    assert_eq!(device.has().peers().len(), 0);
    let (exit, done) = apply(&peers, &[]);
    assert_eq!((exit, &done["applied"], &done["peers_added"]), (0, &json!(true), &json!(3)));
    let state = machine.state();
    let arguments = ["wg", "render", "--state", &state, "--peers", "-", "--format", "wg"];
    let wanted = palisade(&arguments, list(&peers).as_bytes()).1;
    assert_eq!(said(&device.has()), said(&text::read_conf(&wanted).unwrap()));
    assert_eq!(apply(&peers, &[]).1["operations"], 0, "again there is nothing to do");
    // A prefix moves, one goes, a keepalive changes, a preshared key goes.
    let moved = [
        json!({"public_key": PEERS[0], "allowed_ips": ["10.210.0.0/16"], "endpoint": "192.0.2.7:51820"}),
        peers[1].clone(),
        json!({"public_key": PEERS[2], "allowed_ips": ["10.210.1.0/24"]}),
    ];
    let (exit, done) = apply(&moved, &[]);
    assert_eq!((exit, done["touched"].as_array().unwrap().len()), (0, 2), "{done}");
    let wanted = palisade(&arguments, list(&moved).as_bytes()).1;
    assert_eq!(said(&device.has()), said(&text::read_conf(&wanted).unwrap()));
    // A list that lost its peers is taken for a mistake.
    for few in [&moved[..0], &moved[..1]] {
        assert_eq!(apply(few, &[]).0, 1);
        assert_eq!(device.has().peers().len(), 3);
    }
    assert_eq!(apply(&moved[..1], &["--allow-shrinking"]).1["peers_removed"], 2);
    assert_eq!(device.has().peers().len(), 1);
    // A rotation reaches the device when it is applied.
    machine.run("rotate", &[], "");
    let (_, shown) = machine.run("rotate", &["--activate"], "");
    assert_eq!(apply(&moved[..1], &[]).1["operations"], 1);
    assert_eq!(device.wg(&["show", &device.name, "public-key"]).trim_end(), shown["public_key"]);
    assert_eq!(
        apply(&[json!({"public_key": shown["public_key"]})], &[]).0,
        1,
        "the machine is no peer of itself"
    );
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let machine = Machine::new();
    assert_eq!(machine.run("apply", &["--peers", "-", "--interface", "nosuchdev0"], &list(&[])).0, 1);
}
