//! One test for each known attack, named after it.

use std::sync::Arc;

use core_types::UnixTime;
use join_hmac::code::PairingCode;
use join_hmac::error::JoinError;
use join_hmac::join::{Challenged, Channel, HelloOutcome, JoinSecret, Joiner, Monotonic};
use join_hmac::testing::{SOURCE, TODAY, World, direct, machine};
use join_hmac::ticket::Ticket;

use crate::support::*;

/// A cluster of somebody who knows the ticket, as a machine that was let in by it does.
fn rogue(world: &World, ticket: &Ticket) -> World {
    let mut rogue = World::new("mallory");
    rogue.tickets.insert(ticket.id(), world.tickets[&ticket.id()].clone());
    rogue
}

#[test]
fn offline_dictionary_a_transcript_of_a_run_lets_nobody_check_a_second_guess() {
    // A rogue initiator runs the exchange with one guess. What it then holds confirms no other guess: the proof it got
    // depends on its own share under its own guess, and a run of another guess gives an unrelated proof.
    let world = World::new("alpha");
    let machine = Machine::new("beta");
    let right = "saxophone buzzard";
    for guess in ["saxophone rupture", "zebra zombie"] {
        let mut rogue = window(&world);
        rogue.show_code(code(guess));
        let (joiner_end, rogue_end) = machine.channels(&world);
        let (joiner, hello) = machine.start(&world, &mut JoinSecret::code(code(right)), &joiner_end);
        let (session, challenge) = challenge(&world, &mut rogue, &hello, &rogue_end).unwrap();
        let (_, proof) = prove(&world, joiner, &challenge).unwrap();
        assert_eq!(check(&world, &mut rogue, session, &proof).unwrap_err(), JoinError::Mac);
        // The same proof, checked again with the right code in a new run of the rogue's: still nothing.
        rogue.show_code(code(right));
        let (session, _) = challenge_again(&world, &mut rogue, &hello, &rogue_end);
        assert_eq!(check(&world, &mut rogue, session, &proof).unwrap_err(), JoinError::Mac);
    }
}

fn challenge_again(
    world: &World,
    window: &mut join_hmac::join::Window,
    hello: &[u8],
    channel: &Channel,
) -> (join_hmac::join::SessionId, Vec<u8>) {
    challenge(world, window, hello, channel).unwrap()
}

#[test]
fn reflection_each_message_back_to_its_sender_in_every_state() {
    let mut world = World::new("alpha");
    let mut window = window(&world);
    let machine = Machine::new("beta");
    let text = world.ticket(4).expose(str::to_owned);
    let secret = || JoinSecret::ticket(Ticket::parse(&text).unwrap());
    let (theirs, ours) = machine.channels(&world);
    let (joiner, hello) = machine.start(&world, &mut secret(), &theirs);
    let rng = &world.rng;
    assert!(joiner.receive(&hello, NOW, rng).is_err());
    let (joiner, hello) = machine.start(&world, &mut secret(), &theirs);
    let (session, answer) = challenge(&world, &mut window, &hello, &ours).unwrap();
    assert!(check(&world, &mut window, session, &answer).is_err());
    assert!(challenge(&world, &mut window, &answer, &ours).is_err());
    drop(joiner);
    let (joiner, hello) = machine.start(&world, &mut secret(), &theirs);
    let (session, answer) = challenge(&world, &mut window, &hello, &ours).unwrap();
    let (joiner, proof) = prove(&world, joiner, &answer).unwrap();
    assert!(joiner.receive(&proof, NOW).is_err());
    let initiator = check(&world, &mut window, session, &proof).unwrap();
    let pending = initiator.pending();
    let (initiator, members) = world.approve(initiator, NOW);
    assert!(initiator.receive(&members, NOW).is_err());
    assert!(challenge(&world, &mut window, &pending, &ours).is_err());
    let (joiner, initiator) = proven(&world, &mut window, &machine, &mut secret()).unwrap();
    let (_, members) = world.approve(initiator, NOW);
    let (joiner, _) = accept(joiner, &members).unwrap();
    let (joiner, installed) = joiner.installed();
    assert!(joiner.receive(&installed, NOW).is_err());
}

#[test]
fn reflection_a_member_does_not_let_in_itself() {
    let mut world = World::new("alpha");
    let ticket = world.ticket(1);
    let mut window = window(&world);
    let own = Machine {
        identity: Arc::clone(&world.identity),
        entry: world.store.member_named("alpha").unwrap().entry().clone(),
    };
    let (theirs, ours) = direct(1, &world.identity, &own.identity);
    let (_, hello) = own.start(&world, &mut JoinSecret::ticket(ticket), &theirs);
    assert_eq!(challenge(&world, &mut window, &hello, &ours).unwrap_err(), JoinError::Reflected);
}

#[test]
fn splice_messages_of_two_live_sessions_are_not_exchanged() {
    let mut world = World::new("alpha");
    let text = world.ticket(4).expose(str::to_owned);
    let secret = || JoinSecret::ticket(Ticket::parse(&text).unwrap());
    let mut window = window(&world);
    let (one, other) = (Machine::new("beta"), Machine::new("gamma"));
    let start = |machine: &Machine, window: &mut join_hmac::join::Window| {
        let (theirs, ours) = machine.channels(&world);
        let (joiner, hello) = machine.start(&world, &mut secret(), &theirs);
        let (session, answer) = challenge(&world, window, &hello, &ours).unwrap();
        (joiner, session, answer)
    };
    let (first, first_session, first_answer) = start(&one, &mut window);
    let (second, second_session, second_answer) = start(&other, &mut window);
    let (_, crossed) = prove(&world, first, &second_answer).unwrap();
    assert_eq!(check(&world, &mut window, first_session, &crossed).unwrap_err(), JoinError::Mac);
    let (_, crossed) = prove(&world, second, &first_answer).unwrap();
    assert_eq!(check(&world, &mut window, second_session, &crossed).unwrap_err(), JoinError::Mac);
    // The members that one session was sent are not the other's.
    let (first, first_side) = proven(&world, &mut window, &one, &mut secret()).unwrap();
    let (second, second_side) = proven(&world, &mut window, &other, &mut secret()).unwrap();
    let (_, to_first) = world.approve(first_side, NOW);
    let (_, to_second) = world.approve(second_side, NOW);
    assert_eq!(accept(first, &to_second).unwrap_err(), JoinError::Mac);
    assert_eq!(accept(second, &to_first).unwrap_err(), JoinError::Mac);
}

#[test]
fn role_confusion_a_joiner_that_plays_the_initiator_by_the_ticket_it_knows_is_no_member() {
    let mut world = World::new("alpha");
    let ticket = world.ticket(2);
    let mut rogue = rogue(&world, &ticket);
    let mut window = window(&rogue);
    let victim = Machine::new("beta");
    let (joiner, initiator) = proven(&rogue, &mut window, &victim, &mut JoinSecret::ticket(ticket)).unwrap();
    let (_, members) = rogue.approve(initiator, NOW);
    assert_eq!(accept(joiner, &members).unwrap_err(), JoinError::State, "not the ticket's cluster");
}

#[test]
fn role_confusion_an_outsider_that_shows_the_right_members_is_not_among_them() {
    let mut world = World::new("alpha");
    let ticket = world.ticket(2);
    let (mallory, _) = machine("mallory", "worker");
    // It knows the ticket, the members and the chain, but is none of them.
    let victim = Machine::new("beta");
    world.identity = mallory;
    let mut window = window(&world);
    let (joiner, initiator) = proven(&world, &mut window, &victim, &mut JoinSecret::ticket(ticket)).unwrap();
    let (_, members) = world.approve(initiator, NOW);
    assert_eq!(accept(joiner, &members).unwrap_err(), JoinError::NotAMember);
}

#[test]
fn relay_a_man_in_the_middle_with_two_connections_is_noticed_by_both_sides() {
    let mut world = World::new("alpha");
    let text = world.ticket(4).expose(str::to_owned);
    let secret = || JoinSecret::ticket(Ticket::parse(&text).unwrap());
    let mut window = window(&world);
    let victim = Machine::new("beta");
    let (middle, _) = machine("mallory", "worker");
    let (to_middle, _) = direct(1, &middle, &victim.identity);
    let (_, from_middle) = direct(2, &world.identity, &middle);
    let (_, hello) = victim.start(&world, &mut secret(), &to_middle);
    assert_eq!(challenge(&world, &mut window, &hello, &from_middle).unwrap_err(), JoinError::Peer);
    // A middle that has the victim's certificate shown on neither side: the joiner notices as well.
    let (joiner, hello) = victim.start(&world, &mut secret(), &to_middle);
    let (_, direct_end) = victim.channels(&world);
    let (_, answer) = challenge(&world, &mut window, &hello, &direct_end).unwrap();
    assert_eq!(prove(&world, joiner, &answer).unwrap_err(), JoinError::Peer);
    // With the right certificates and two connections, the exporters differ.
    let (theirs, _) = direct(1, &world.identity, &victim.identity);
    let (_, ours) = direct(2, &world.identity, &victim.identity);
    let (joiner, hello) = victim.start(&world, &mut secret(), &theirs);
    let (session, answer) = challenge(&world, &mut window, &hello, &ours).unwrap();
    let (_, proof) = prove(&world, joiner, &answer).unwrap();
    assert_eq!(check(&world, &mut window, session, &proof).unwrap_err(), JoinError::Mac);
}

#[test]
fn relay_one_side_that_says_unbound_does_not_agree_with_one_that_is_bound() {
    let mut world = World::new("alpha");
    let mut window = window(&world);
    let victim = Machine::new("beta");
    let (_, ours) = victim.channels(&world);
    let mut secret = JoinSecret::ticket(world.ticket(1));
    let (joiner, hello) = victim.start(&world, &mut secret, &Channel::dangerous_unbound());
    let (session, answer) = challenge(&world, &mut window, &hello, &ours).unwrap();
    let (_, proof) = prove(&world, joiner, &answer).unwrap();
    assert_eq!(check(&world, &mut window, session, &proof).unwrap_err(), JoinError::Mac);
}

#[test]
fn replay_after_a_restart_nothing_that_was_sent_is_taken_again() {
    let mut world = World::new("alpha");
    let text = world.ticket(4).expose(str::to_owned);
    let machine = Machine::new("beta");
    let mut before = window(&world);
    let (theirs, ours) = machine.channels(&world);
    let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
    let (joiner, hello) = machine.start(&world, &mut secret, &theirs);
    let (session, answer) = challenge(&world, &mut before, &hello, &ours).unwrap();
    let (joiner, proof) = prove(&world, joiner, &answer).unwrap();
    let initiator = check(&world, &mut before, session, &proof).unwrap();
    let (initiator, members) = world.approve(initiator, NOW);
    let (joiner, _) = accept(joiner, &members).unwrap();
    let (_, installed) = joiner.installed();
    let (admitting, _) = initiator.receive(&installed, NOW).unwrap().into_parts();
    let _admitted = world.admit(admitting);
    drop(before);
    let mut after = window(&world);
    assert!(matches!(
        after.proof(session, &proof, &world, (NOW, TODAY)),
        join_hmac::join::ProofOutcome::Refused(_, JoinError::Unknown)
    ));
    let (session, _) = challenge(&world, &mut after, &hello, &ours).unwrap();
    assert_eq!(check(&world, &mut after, session, &proof).unwrap_err(), JoinError::Mac);
    assert!(after.resume(&installed, SOURCE, &ours, &world, NOW).is_refused());
    assert_eq!(world.store.members().count(), 2);
}

#[test]
fn downgrade_lists_that_were_stripped_or_altered_are_noticed() {
    let mut world = World::new("alpha");
    let text = world.ticket(9).expose(str::to_owned);
    let mut window = window(&world);
    let machine = Machine::new("beta");
    let (theirs, ours) = machine.channels(&world);
    // Versions are the first field, suites the second: type, length, tag, length, value.
    for (at, value) in [(10, 2_u8), (17, 2)] {
        let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
        let (_, mut hello) = machine.start(&world, &mut secret, &theirs);
        assert_eq!(hello[at], 1, "where it is");
        hello[at] = value;
        assert_eq!(challenge(&world, &mut window, &hello, &ours).unwrap_err(), JoinError::Suite);
    }
    for at in [10, 17] {
        let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
        let (joiner, hello) = machine.start(&world, &mut secret, &theirs);
        let (_, mut answer) = challenge(&world, &mut window, &hello, &ours).unwrap();
        answer[at] = 2;
        assert_eq!(prove(&world, joiner, &answer).unwrap_err(), JoinError::Suite);
    }
}

#[test]
fn session_fixation_neither_side_alone_chooses_the_session() {
    let mut world = World::new("alpha");
    let text = world.ticket(4).expose(str::to_owned);
    let machine = Machine::new("beta");
    let mut window = window(&world);
    let (theirs, ours) = machine.channels(&world);
    let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
    let (joiner, hello) = machine.start(&world, &mut secret, &theirs);
    let (session, _) = challenge(&world, &mut window, &hello, &ours).unwrap();
    let (other, answer) = challenge(&world, &mut window, &hello, &ours).unwrap();
    assert_ne!(session, other);
    // The same hello, twice: its proof fits only the challenge that it answers.
    let (_, proof) = prove(&world, joiner, &answer).unwrap();
    assert_eq!(check(&world, &mut window, session, &proof).unwrap_err(), JoinError::Mac);
    assert!(check(&world, &mut window, other, &proof).is_ok());
}

#[test]
fn any_bit_that_is_flipped_on_the_way_ends_the_join() {
    let mut world = World::new("alpha");
    let text = world.ticket(9).expose(str::to_owned);
    let machine = Machine::new("beta");
    let secret = || JoinSecret::ticket(Ticket::parse(&text).unwrap());
    let (theirs, ours) = machine.channels(&world);
    let generous = join_hmac::join::Rate { burst: 1_000_000, interval: core::time::Duration::from_millis(1) };
    let config = join_hmac::join::WindowConfig {
        per_source: generous,
        global: generous,
        cookies_above: 4096,
        ..Default::default()
    };
    let mut window = world.window(config);
    let flip = |frame: &[u8], at: usize| {
        let mut changed = frame.to_vec();
        changed[at] ^= 1 << (at % 8);
        changed
    };
    let (_, sample) = machine.start(&world, &mut secret(), &theirs);
    for at in 0..sample.len() {
        let (joiner, hello) = machine.start(&world, &mut secret(), &theirs);
        let Ok((session, answer)) = challenge(&world, &mut window, &flip(&hello, at), &ours) else {
            continue;
        };
        let Ok((_, proof)) = prove(&world, joiner, &answer) else { continue };
        assert!(check(&world, &mut window, session, &proof).is_err(), "hello, byte {at}");
    }
    for at in 0..400 {
        let (joiner, hello) = machine.start(&world, &mut secret(), &theirs);
        let (session, answer) = challenge(&world, &mut window, &hello, &ours).unwrap();
        let Some(_) = answer.get(at) else { break };
        let Ok((_, proof)) = prove(&world, joiner, &flip(&answer, at)) else { continue };
        assert!(check(&world, &mut window, session, &proof).is_err(), "challenge, byte {at}");
    }
    for at in 0..800 {
        let (joiner, hello) = machine.start(&world, &mut secret(), &theirs);
        let (session, answer) = challenge(&world, &mut window, &hello, &ours).unwrap();
        let (_, proof) = prove(&world, joiner, &answer).unwrap();
        let Some(_) = proof.get(at) else { break };
        assert!(check(&world, &mut window, session, &flip(&proof, at)).is_err(), "proof, byte {at}");
    }
    for at in 0..1000 {
        let (joiner, initiator) = proven(&world, &mut window, &machine, &mut secret()).unwrap();
        let (_, members) = world.approve(initiator, NOW);
        let Some(_) = members.get(at) else { break };
        assert!(joiner.receive(&flip(&members, at), NOW).is_err(), "members, byte {at}");
    }
}

#[test]
fn guess_counter_bypass_ten_aborted_runs_burn_the_code() {
    let world = World::new("alpha");
    let mut window = window(&world);
    window.show_code(code("saxophone buzzard"));
    let machine = Machine::new("beta");
    let (theirs, ours) = machine.channels(&world);
    for run in 0..10_u8 {
        let mut secret = JoinSecret::code(code("zebra zombie"));
        let (_, hello) = machine.start(&world, &mut secret, &theirs);
        let source = core::net::IpAddr::from([198, 51, 100, run]);
        let outcome = window.hello(&hello, source, &ours, &world, (NOW, TODAY), &world.rng);
        let HelloOutcome::Challenge(answer) = outcome else { panic!("{outcome:?}") };
        // It takes the share and goes away.
        window.closed(answer.session);
    }
    assert_eq!(window.guesses_left(), None);
    assert!(window.take_events().any(|event| matches!(event, join_hmac::join::JoinEvent::CodeBurnt { .. })));
    // A new one in one call.
    window.show_code(PairingCode::generate(2, &world.rng).unwrap());
    assert_eq!(window.guesses_left(), Some(10));
}

#[test]
fn guess_counter_bypass_a_joiner_begins_no_more_runs_than_it_may_with_one_code() {
    let world = World::new("alpha");
    let machine = Machine::new("beta");
    let (theirs, _) = machine.channels(&world);
    let mut secret = JoinSecret::code(code("zebra zombie"));
    for _ in 0..3 {
        // Whoever answers may be the attacker; each run that is begun is counted.
        let _ = machine.start(&world, &mut secret, &theirs);
    }
    let (identity, entry) = (Arc::clone(&machine.identity), machine.entry.clone());
    let refused = Joiner::start(identity, entry, &mut secret, theirs, NOW, &world.rng);
    assert_eq!(refused.unwrap_err(), JoinError::NoRunsLeft);
}

#[test]
fn clock_set_back_or_forward_ends_or_prolongs_no_session() {
    let mut world = World::new("alpha");
    let mut window = window(&world);
    let machine = Machine::new("beta");
    let (theirs, ours) = machine.channels(&world);
    let text = world.ticket(3).expose(str::to_owned);
    let secret = || JoinSecret::ticket(Ticket::parse(&text).unwrap());
    // The time of day goes back by years within a session: it goes on. Forward past the ticket's end: it does not.
    for (today, good) in [(UnixTime::from_secs(1), true), (UnixTime::from_secs(4_000_000_000), false)] {
        let (joiner, hello) = machine.start(&world, &mut secret(), &theirs);
        let (session, answer) = challenge(&world, &mut window, &hello, &ours).unwrap();
        let (_, proof) = prove(&world, joiner, &answer).unwrap();
        let outcome = window.proof(session, &proof, &world, (NOW, today));
        assert_eq!(matches!(outcome, join_hmac::join::ProofOutcome::Proven(_)), good);
    }
    // The session's own end is by the clock that never goes back, whatever the time of day.
    let end = window.closes_at();
    let (joiner, hello) = machine.start(&world, &mut secret(), &theirs);
    let (session, answer) = challenge(&world, &mut window, &hello, &ours).unwrap();
    let late = joiner.receive(&answer, end.saturating_add(core::time::Duration::from_secs(3600)), &world.rng);
    assert_eq!(late.map(|_: Challenged| ()).unwrap_err(), JoinError::TimedOut);
    assert!(matches!(
        window.proof(session, b"", &world, (end, UnixTime::from_secs(1))),
        join_hmac::join::ProofOutcome::Refused(_, JoinError::TimedOut)
    ));
    assert!(matches!(
        window.hello(&hello, SOURCE, &ours, &world, (end, TODAY), &world.rng),
        HelloOutcome::Refused(_, JoinError::TimedOut)
    ));
    assert!(end > Monotonic::from_millis(0));
}

#[test]
fn secrets_in_logs_nothing_prints_them() {
    let mut world = World::new("alpha");
    let ticket = world.ticket(1);
    let text = ticket.expose(str::to_owned);
    let mut window = window(&world);
    window.show_code(code("saxophone buzzard"));
    let machine = Machine::new("beta");
    let (theirs, ours) = machine.channels(&world);
    let mut secret = JoinSecret::code(code("saxophone buzzard"));
    let (joiner, hello) = machine.start(&world, &mut secret, &theirs);
    let mut printed = format!("{ticket:?} {secret:?} {joiner:?} {:?}", machine.identity);
    let (session, answer) = challenge(&world, &mut window, &hello, &ours).unwrap();
    printed += &format!("{window:?}");
    let (joiner, proof) = prove(&world, joiner, &answer).unwrap();
    let initiator = check(&world, &mut window, session, &proof).unwrap();
    printed += &format!("{joiner:?} {initiator:?}");
    let (initiator, members) = world.approve(initiator, NOW);
    let (joiner, record) = accept(joiner, &members).unwrap();
    printed += &format!("{joiner:?} {initiator:?} {record:?} {:?}", world.tickets);
    let seed = format!("{:?}", &machine.identity.key().expose_seed()[..4]);
    let body = text.get(5..30).unwrap();
    for secret in ["saxophone", "buzzard", body, seed.trim_matches(['[', ']'])] {
        assert!(!printed.contains(secret), "{secret}");
    }
}
