//! A network with a longer way between machines, where the kernel has none to offer: machines announce addresses of this
//! relay, which keeps each datagram for a while.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::Failure;

/// A machine, as the relay knows it.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "options")]
pub struct Station {
    /// Where it is.
    pub machine: IpAddr,
    /// The relay's address that stands for it.
    pub relay: IpAddr,
}

/// A datagram under way, when it is due, and where it goes.
struct Held {
    due: Instant,
    to: SocketAddr,
    datagram: Vec<u8>,
}

/// Carries datagrams of these ports between all stations until it is killed. What comes to the address of one machine
/// comes, after `delay`, from the address of its sender.
///
/// # Errors
/// When a socket cannot be had.
pub fn run(stations: &[Station], ports: &[u16], delay: Duration) -> Result<(), Failure> {
    let mut sockets = Vec::new();
    for station in stations {
        for &port in ports {
            let (sender, held) = sync_channel(MAX_HELD);
            let socket = UdpSocket::bind((station.relay, port))?;
            let sending = socket.try_clone()?;
            std::thread::spawn(move || deliver(&sending, &held));
            sockets.push((*station, port, socket, sender));
        }
    }
    let outlets: Vec<_> =
        sockets.iter().map(|(station, port, _, sender)| ((station.machine, *port), sender.clone())).collect();
    let threads: Vec<_> = sockets
        .into_iter()
        .map(|(station, port, socket, _)| {
            let (outlets, to) = (outlets.clone(), SocketAddr::new(station.machine, port));
            std::thread::spawn(move || carry(&socket, to, &outlets, delay))
        })
        .collect();
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

/// Takes what comes for a machine, and hands it to the socket that stands for its sender.
#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn carry(socket: &UdpSocket, to: SocketAddr, outlets: &[((IpAddr, u16), SyncSender<Held>)], delay: Duration) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let now = Instant::now();
        let outlet = outlets.iter().find(|(machine, _)| *machine == (from.ip(), from.port()));
        let (Some((_, outlet)), Some(datagram)) = (outlet, buffer.get(..length)) else { continue };
        let due = now.checked_add(delay).unwrap_or(now);
        // A full queue loses, as a router's does.
        let _ = outlet.try_send(Held { due, to, datagram: datagram.to_vec() });
    }
}

/// All are held for as long, so the first that came is the first that is due.
#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn deliver(socket: &UdpSocket, held: &Receiver<Held>) {
    while let Ok(Held { due, to, datagram }) = held.recv() {
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        let _ = socket.send_to(&datagram, to);
    }
}

/// Datagrams that are under way from one address, at most.
const MAX_HELD: usize = 1 << 14;
