//! Keys and preshared keys in the hands of another implementation of WireGuard, boringtun, in this process: sessions come
//! to be between the keys that machines have, and between no others.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519;
use core_types::MachineId;
use core_types::testing::TestRandom;
use wg_keys::{MachineState, PresharedKey, PrivateKey, PublicKey};

/// An IPv4 packet of 20 bytes (RFC 791 §3.1), from 192.0.2.1 to 192.0.2.2.
const PACKET: [u8; 20] = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 59, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];

fn tunnel(own: &PrivateKey, peer: PublicKey, preshared: Option<&PresharedKey>) -> Tunn {
    let secret = x25519::StaticSecret::from(*own.expose_secret());
    let preshared = preshared.map(|key| *key.expose_secret());
    Tunn::new(secret, x25519::PublicKey::from(peer.to_bytes()), preshared, None, 1, None)
}

/// Whether the packet that one end sends comes out at the other.
fn passes(one: &mut Tunn, other: &mut Tunn) -> bool {
    let mut buffer = [0; 256];
    let mut under_way = match one.encapsulate(&PACKET, &mut buffer) {
        TunnResult::WriteToNetwork(datagram) => datagram.to_vec(),
        _ => panic!("a handshake begins with a datagram"),
    };
    // Initiation, response, and what was waiting; each end answers in turn.
    let mut ends = [other, one];
    for _ in 0..4 {
        let [receiver, _] = &mut ends;
        let mut buffer = [0; 256];
        match receiver.decapsulate(None, &under_way, &mut buffer) {
            TunnResult::WriteToNetwork(datagram) => under_way = datagram.to_vec(),
            TunnResult::WriteToTunnelV4(packet, _) => return packet == PACKET,
            TunnResult::Done | TunnResult::Err(_) | TunnResult::WriteToTunnelV6(..) => return false,
        }
        // After the response comes an empty datagram, and then the packet that was waiting for the session.
        let mut more = [0; 256];
        if let TunnResult::WriteToNetwork(queued) = receiver.decapsulate(None, &[], &mut more) {
            let [_, sender] = &mut ends;
            let _ = sender.decapsulate(None, &under_way, &mut [0; 256]);
            under_way = queued.to_vec();
        }
        ends.reverse();
    }
    false
}

fn machine(number: u8, random: &TestRandom) -> MachineState {
    MachineState::generate(MachineId::from_bytes([number; 16]), 51_820, random).unwrap()
}

fn public(machine: &MachineState) -> PublicKey {
    machine.current().public_key()
}

#[test]
fn generated_keys_make_a_session_and_no_other_key_does() {
    let random = TestRandom::seeded(11);
    let (a, b, c) = (machine(1, &random), machine(2, &random), machine(3, &random));
    let to_b = || tunnel(a.current(), public(&b), None);
    assert!(passes(&mut to_b(), &mut tunnel(b.current(), public(&a), None)));
    assert!(!passes(&mut to_b(), &mut tunnel(b.current(), public(&c), None)), "b knows only c");
    assert!(!passes(&mut to_b(), &mut tunnel(c.current(), public(&a), None)), "c is not b");
}

#[test]
fn the_derived_preshared_keys_make_a_session_in_the_same_period_and_only_there() {
    let random = TestRandom::seeded(12);
    let (a, b, c) = (machine(1, &random), machine(2, &random), machine(3, &random));
    let key = |own: &MachineState, other: &MachineState, epoch| {
        own.preshared_key(other.machine(), other.agreement_public(), epoch).unwrap()
    };
    let with = |ours: Option<PresharedKey>, theirs: Option<PresharedKey>| {
        passes(
            &mut tunnel(a.current(), public(&b), ours.as_ref()),
            &mut tunnel(b.current(), public(&a), theirs.as_ref()),
        )
    };
    assert!(with(Some(key(&a, &b, 7)), Some(key(&b, &a, 7))));
    assert!(!with(Some(key(&a, &b, 7)), Some(key(&b, &a, 8))), "another period");
    assert!(!with(Some(key(&a, &b, 7)), Some(key(&c, &a, 7))), "another pair");
    assert!(!with(Some(key(&a, &b, 7)), None));
    assert!(!with(None, Some(PresharedKey::generate(&random).unwrap())));
}

#[test]
fn a_rotated_key_makes_a_session_with_who_knows_it_and_the_erased_one_with_nobody() {
    let random = TestRandom::seeded(13);
    let (mut a, b) = (machine(1, &random), machine(2, &random));
    let old = public(&a);
    let _ = a.prepare(&random).unwrap();
    let new = a.activate().unwrap();
    let knows = |key| tunnel(b.current(), key, None);
    assert!(passes(&mut tunnel(a.current(), public(&b), None), &mut knows(new)));
    assert!(!passes(&mut tunnel(a.current(), public(&b), None), &mut knows(old)));
    // Until it is erased, the old one goes on with who has not heard of the new one.
    assert!(passes(&mut tunnel(a.previous().unwrap(), public(&b), None), &mut knows(old)));
    a.finish().unwrap();
    assert!(a.previous().is_none());
}
