//! One end of a TLS connection of a join, by hand.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use std::{io, io::Read, io::Write};

use join_hmac::join::Channel;
use palisade_examples::join::machine::Machine;
use palisade_examples::join::tls::{AnyCertificate, channel, client_config, server_config, server_name};
use rustls::{ClientConfig, ClientConnection, ServerConnection, StreamOwned};

/// A connection to who lets machines in.
pub(crate) struct Link {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Link {
    pub(crate) fn to(address: &str, machine: &Machine) -> Self {
        Self::with(address, client_config(machine, AnyCertificate::new()).unwrap())
    }

    pub(crate) fn with(address: &str, config: Arc<ClientConfig>) -> Self {
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut connection = ClientConnection::new(config, server_name()).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp).unwrap();
        }
        Self { stream: StreamOwned::new(connection, tcp) }
    }

    pub(crate) fn channel(&self) -> Channel {
        channel(&self.stream.conn).unwrap()
    }

    pub(crate) fn ask(&mut self, frame: &[u8]) -> io::Result<Vec<u8>> {
        send(&mut self.stream, frame)?;
        read(&mut self.stream)
    }
}

pub(crate) fn send(stream: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    stream.write_all(frame)?;
    stream.flush()
}

pub(crate) fn read(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut header = [0; 4];
    stream.read_exact(&mut header)?;
    let length = join_hmac::wire::fields_len(header, join_hmac::wire::MAX_LONG_FRAME_LEN).unwrap();
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok([header.as_slice(), &frame].concat())
}

/// What is done to a frame, by the fingerprints of who sent it and of who does it.
pub(crate) type Change = fn(Vec<u8>, &[u8; 32], &[u8; 32]) -> Vec<u8>;

/// Somebody who is asked by a machine, and asks the member in its place: two connections, each with its own keys. What
/// the machine says first is changed by `change`.
pub(crate) fn middle(member: String, change: Change) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mallory = Machine::generate(&core_types::SystemRandom::new()).unwrap();
        let config = server_config(&mallory, AnyCertificate::new()).unwrap();
        while let Ok((tcp, _)) = listener.accept() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut victim = StreamOwned::new(connection, tcp);
            // A victim that has seen enough goes away.
            let _ = relay(&mut victim, &member, &mallory, change);
        }
    });
    address
}

fn relay(
    victim: &mut StreamOwned<ServerConnection, TcpStream>,
    member: &str,
    mallory: &Machine,
    change: Change,
) -> io::Result<()> {
    let mut frame = read(victim)?;
    let theirs = victim.conn.peer_certificates().unwrap().first().unwrap();
    let theirs = core_types::Fingerprint::of(theirs);
    frame = change(frame, theirs.as_bytes(), mallory.identity().certificate().fingerprint().as_bytes());
    let mut link = Link::to(member, mallory);
    loop {
        send(victim, &link.ask(&frame)?)?;
        frame = read(victim)?;
    }
}
