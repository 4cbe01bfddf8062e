//! A machine's interfaces: devices of wireguard-go, and the system's routes.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use core_types::MachineId;
use wg_keys::config::{Diff, DiffPolicy, Op};
use wg_keys::device::DeviceSocket;
use wg_keys::rotation::{Lane, LaneView, MAX_LANES, PeerView};
use wg_keys::{Interface, Peer, Prefix, PrivateKey, PublicKey, machine_address};

use super::Failure;

/// Interfaces whose names are a prefix and the lane. They outlive the process.
pub(super) struct Devices {
    name: String,
    address: Ipv6Addr,
    base_port: u16,
    children: Vec<Child>,
    routes: BTreeMap<Ipv6Addr, Lane>,
}

impl Devices {
    /// Finds what an earlier process left.
    pub(super) fn find(name: String, machine: MachineId, base_port: u16) -> Result<Self, Failure> {
        let mut devices = Self {
            name,
            address: machine_address(machine),
            base_port,
            children: Vec::new(),
            routes: BTreeMap::new(),
        };
        let shown = ip(&["-6", "route", "show"])?;
        for line in shown.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let (Some(address), Some(device)) = (
                words.first().and_then(|word| word.parse().ok()),
                words.iter().skip_while(|word| **word != "dev").nth(1),
            ) else {
                continue;
            };
            if let Some(lane) = device.strip_prefix(&devices.name).and_then(|lane| lane.parse().ok()) {
                devices.routes.insert(address, lane);
            }
        }
        Ok(devices)
    }

    pub(super) fn port(&self, lane: Lane) -> u16 {
        self.base_port.saturating_add(lane.into())
    }

    pub(super) fn routes(&self, machines: impl Iterator<Item = MachineId>) -> BTreeMap<MachineId, Lane> {
        machines.filter_map(|machine| Some((machine, *self.routes.get(&machine_address(machine))?))).collect()
    }

    pub(super) fn lanes(&mut self) -> Result<BTreeMap<Lane, LaneView>, Failure> {
        self.children.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
        let mut lanes = BTreeMap::new();
        for lane in (0..MAX_LANES).filter(|&lane| self.is_up(lane)) {
            let snapshot = self.socket(lane)?.read()?;
            let Some(key) = snapshot.interface.private_key().map(|key| key.public_key()) else { continue };
            let peers = snapshot.interface.peers().map(|peer| {
                let traffic = snapshot.traffic.get(&peer.key()).copied().unwrap_or_default();
                let view = PeerView {
                    handshake: traffic.latest_handshake.is_some(),
                    received: traffic.received_bytes > 0,
                    has_prefixes: !peer.allowed_ips().is_empty(),
                    initiates: peer.keepalive_secs() > 0,
                };
                (peer.key(), view)
            });
            lanes.insert(lane, LaneView { key, peers: peers.collect() });
        }
        Ok(lanes)
    }

    pub(super) fn open(&mut self, lane: Lane, key: Arc<PrivateKey>) -> Result<(), Failure> {
        let (name, port) = (self.interface(lane), self.port(lane));
        if !self.is_up(lane) {
            let child = Command::new("wireguard-go")
                .args(["-f", &name])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            self.children.push(child);
            let mut left: u32 = 500;
            while !self.is_up(lane) {
                left = left.checked_sub(1).ok_or("wireguard-go did not come up")?;
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let wanted = Interface::new(Some(key), Some(port), [])?;
        let _ = self.socket(lane)?.configure(&wanted, DiffPolicy::new())?;
        ip(&["-6", "address", "replace", &format!("{}/128", self.address), "dev", &name, "nodad"])?;
        ip(&["link", "set", &name, "up"])?;
        Ok(())
    }

    pub(super) fn close(&mut self, lane: Lane) -> Result<(), Failure> {
        ip(&["link", "delete", &self.interface(lane)])?;
        let mut left: u32 = 500;
        while self.is_up(lane) {
            left = left.checked_sub(1).ok_or("wireguard-go did not end")?;
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Makes a peer what it shall be; with `anew` it is removed first.
    pub(super) fn put(&self, lane: Lane, peer: &Peer, anew: bool) -> Result<(), Failure> {
        let key = peer.key();
        if anew {
            self.change(lane, &[Op::RemovePeer { key }])?;
        }
        let prefixes: Vec<Prefix> = peer.allowed_ips().iter().copied().collect();
        let endpoint = peer.endpoint();
        let preshared_key = peer.preshared_key().cloned();
        self.change(
            lane,
            &[
                Op::CreatePeer { key, preshared_key, endpoint },
                Op::AddAllowedIps { key, prefixes },
                Op::SetKeepalive { key, secs: peer.keepalive_secs() },
            ],
        )
    }

    /// Removes whom `cut` finds, if anybody.
    pub(super) fn cut(&self, lane: Lane, cut: impl FnOnce(&Interface) -> Diff) -> Result<(), Failure> {
        let socket = self.socket(lane)?;
        let diff = cut(&socket.read()?.interface);
        if diff.is_empty() { Ok(()) } else { Ok(socket.apply(&diff)?) }
    }

    pub(super) fn change(&self, lane: Lane, ops: &[Op]) -> Result<(), Failure> {
        let socket = self.socket(lane)?;
        let had = socket.read()?.interface;
        let mut wanted = had.clone();
        for op in ops {
            wanted.apply(op);
        }
        socket.apply(&had.diff(&wanted, DiffPolicy::new().dangerous_allow_shrinking())?)?;
        Ok(())
    }

    /// Another key for the device, and a packet to each peer: a keepalive that begins sends one at once.
    pub(super) fn swap(&self, lane: Lane, key: Arc<PrivateKey>) -> Result<(), Failure> {
        let peers: Vec<PublicKey> = self.socket(lane)?.read()?.interface.peers().map(Peer::key).collect();
        let keepalive =
            |secs: u16| -> Vec<Op> { peers.iter().map(|&key| Op::SetKeepalive { key, secs }).collect() };
        self.change(lane, &keepalive(0))?;
        self.change(lane, &[Op::SetPrivateKey(key)])?;
        self.change(lane, &keepalive(25))?;
        self.change(lane, &keepalive(0))
    }

    pub(super) fn route(&mut self, peer: MachineId, lane: Lane) -> Result<(), Failure> {
        let address = machine_address(peer);
        let (to, own) = (format!("{address}/128"), self.address.to_string());
        ip(&["-6", "route", "replace", &to, "dev", &self.interface(lane), "src", &own])?;
        self.routes.insert(address, lane);
        Ok(())
    }

    pub(super) fn has(&self, lane: Lane) -> Result<Interface, Failure> {
        Ok(self.socket(lane)?.read()?.interface)
    }

    fn interface(&self, lane: Lane) -> String {
        format!("{}{lane}", self.name)
    }

    fn is_up(&self, lane: Lane) -> bool {
        let path = format!("/var/run/wireguard/{}.sock", self.interface(lane));
        Path::new(&path).exists() && std::os::unix::net::UnixStream::connect(path).is_ok()
    }

    fn socket(&self, lane: Lane) -> Result<DeviceSocket, Failure> {
        Ok(DeviceSocket::of_interface(&self.interface(lane))?)
    }
}

/// What `ip` printed.
fn ip(arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("ip {}: {}", arguments.join(" "), said.trim_end()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
