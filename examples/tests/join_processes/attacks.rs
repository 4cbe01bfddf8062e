//! Who is not let in: a man in the middle, and who repeats what was said.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

use std::sync::Arc;

use core_types::SystemRandom;
use join_hmac::join::{Challenged, Decided, JoinSecret, Joiner, Monotonic};
use join_hmac::ticket::Ticket;
use join_hmac::trust::MemberEntry;
use palisade_examples::join::machine::Machine as Keys;
use serde_json::json;

use crate::link::{Link, middle};
use crate::machine::*;
use crate::support::Server;

const REFUSED: [u8; 4] = [9, 0, 0, 0];

fn unchanged(frame: Vec<u8>, _: &[u8; 32], _: &[u8; 32]) -> Vec<u8> {
    frame
}

/// The middle shows the member its own certificate, so that the member answers.
fn with_own_certificate(mut frame: Vec<u8>, theirs: &[u8; 32], own: &[u8; 32]) -> Vec<u8> {
    let at = frame.windows(32).position(|bytes| bytes == theirs).unwrap();
    frame.iter_mut().skip(at).zip(own).for_each(|(byte, own)| *byte = *own);
    frame
}

#[test]
fn relay_a_man_in_the_middle_with_two_tls_connections_gets_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with_joins(folder.path());
    let admin = server.admin();
    let (ticket, _) = ticket(&admin, 8);
    let relaying = middle(joins_at(&server), unchanged);
    let playing = middle(joins_at(&server), with_own_certificate);
    // By ticket: the member sees that the connection is another's; the machine sees that the member is another.
    let ended = Machine::new("beta").join_by_ticket(&relaying, &ticket);
    assert_eq!((ended.exit, ended.last["reason"].as_str()), (Some(1), Some("refused")), "{ended:?}");
    let noticed = ("joins:prove".to_owned(), "unauthenticated".to_owned(), "another_certificate".to_owned());
    assert!(recorded(&admin).contains(&noticed), "{:?}", recorded(&admin));
    let ended = Machine::new("gamma").join_by_ticket(&playing, &ticket);
    assert_eq!(
        (ended.exit, ended.last["reason"].as_str()),
        (Some(1), Some("another_certificate")),
        "{ended:?}"
    );
    // By code: the same, and no operator is asked anything.
    let words = code(&admin);
    for (address, reason) in [(&relaying, "refused"), (&playing, "another_certificate")] {
        let ended = Machine::new("delta").start(address, Some(("--code-file", &words))).end();
        assert_eq!((ended.exit, ended.last["reason"].as_str()), (Some(1), Some(reason)), "{ended:?}");
    }
    let (_, joins) = admin.get("/api/v1/joins");
    assert_eq!(joins["waiting"], json!([]));
    assert_eq!(members(&admin), ["control-plane"]);
    let (_, tickets) = admin.get("/api/v1/join-tickets");
    assert_eq!(tickets["items"][0]["used"], 0);
    // Without the middle it works.
    let epsilon = Machine::new("epsilon");
    assert_eq!(epsilon.join_by_ticket(&joins_at(&server), &ticket).exit, Some(0));
    assert_agreed(&admin, &epsilon);
}

/// A whole join by hand; what the machine sent.
fn join_by_hand(address: &str, keys: &Keys, ticket: &str) -> (Vec<Vec<u8>>, join_hmac::join::JoinerRecord) {
    let (rng, now) = (SystemRandom::new(), Monotonic::from_millis(0));
    let mut link = Link::to(address, keys);
    let mut secret = JoinSecret::ticket(Ticket::parse(ticket).unwrap());
    let entry = MemberEntry::new("beta", "worker", &[], keys.identity()).unwrap();
    let identity = Arc::clone(keys.identity());
    let (joiner, hello) = Joiner::start(identity, entry, &mut secret, link.channel(), now, &rng).unwrap();
    let answer = link.ask(&hello).unwrap();
    let Challenged::Proven(joiner, proof) = joiner.receive(&answer, now, &rng).unwrap() else {
        panic!("a cookie")
    };
    let members = link.ask(&proof).unwrap();
    let Decided::Accepted(joiner, record) = joiner.receive(&members, now).unwrap() else { panic!("pending") };
    let (joiner, installed) = joiner.installed();
    let done = link.ask(&installed).unwrap();
    let joined = joiner.receive(&done, now).unwrap();
    assert_eq!(joined.store().members().count(), 2);
    (vec![hello, proof, installed], *record)
}

#[test]
fn replay_after_restart_nothing_that_was_said_lets_anybody_in_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with_joins(folder.path());
    let token = server.admin_token.clone();
    let (ticket, _) = ticket(&server.admin(), 4);
    // Whoever repeats it has the machine's keys even, but for the one that signs.
    let keys = Keys::generate(&SystemRandom::new()).unwrap();
    let (sent, record) = join_by_hand(&joins_at(&server), &keys, &ticket);
    let mut link = Link::to(&joins_at(&server), &keys);
    let (_, resume) = record.resume(link.channel(), Monotonic::from_millis(0), &SystemRandom::new()).unwrap();
    assert_eq!(link.ask(&resume).unwrap().first(), Some(&8), "a resumption is answered");
    server.kill();

    let server = Server::start_with_joins(folder.path());
    let admin = server.client(token.as_deref());
    let [hello, proof, installed] = sent.as_slice() else { panic!("three frames") };
    let mut link = Link::to(&joins_at(&server), &keys);
    assert_eq!(link.ask(hello).unwrap().first(), Some(&3), "anybody gets a challenge");
    assert_eq!(link.ask(proof).unwrap(), REFUSED);
    let mut link = Link::to(&joins_at(&server), &keys);
    assert_eq!(link.ask(&resume).unwrap(), REFUSED, "it was made for another connection");
    for frame in [proof, installed] {
        let mut link = Link::to(&joins_at(&server), &keys);
        assert!(link.ask(frame).is_err(), "nothing begins with it");
    }
    assert_eq!(members(&admin), ["beta", "control-plane"]);
    let (_, tickets) = admin.get("/api/v1/join-tickets");
    assert_eq!(tickets["items"][0]["used"], 1);
    // The honest machine is still who it is, and goes on.
    let mut link = Link::to(&joins_at(&server), &keys);
    let (_, fresh) = record.resume(link.channel(), Monotonic::from_millis(0), &SystemRandom::new()).unwrap();
    assert_eq!(link.ask(&fresh).unwrap().first(), Some(&8));
}
