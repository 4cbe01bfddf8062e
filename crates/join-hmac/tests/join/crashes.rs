//! Whatever stops when, a retry leads to one of nothing and joined, and both sides say which.

use join_hmac::error::JoinError;
use join_hmac::join::{
    AwaitApproval, Decided, Initiator, InitiatorRecord, JoinSecret, Joined, JoinerRecord, Progress,
    ResumeOutcome, Window,
};
use join_hmac::testing::{SOURCE, World};
use join_hmac::ticket::Ticket;

use crate::support::*;

/// How far a join goes before a side stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    Proven,
    Approved,
    MembersReceived,
    MembersStored,
    Installed,
    Admitted,
}

struct Run {
    joiner: Option<JoinerRecord>,
}

/// A join that stops; what is left is what was stored.
fn run_until(world: &mut World, window: &mut Window, machine: &Machine, text: &str, stop: Stop) -> Run {
    let mut secret = JoinSecret::ticket(Ticket::parse(text).unwrap());
    let (joiner, initiator) = proven(world, window, machine, &mut secret).unwrap();
    if stop == Stop::Proven {
        return Run { joiner: None };
    }
    let (initiator, members) = world.approve(initiator, NOW);
    if stop == Stop::Approved {
        return Run { joiner: None };
    }
    let (joiner, record) = accept(joiner, &members).unwrap();
    if stop == Stop::MembersReceived {
        return Run { joiner: None };
    }
    // Through its bytes, as from a disk.
    let stored = JoinerRecord::from_bytes(&record.to_bytes()).unwrap();
    if stop == Stop::MembersStored {
        return Run { joiner: Some(stored) };
    }
    let (_, installed) = joiner.installed();
    let (admitting, _) = initiator.receive(&installed, NOW).unwrap().into_parts();
    if stop == Stop::Installed {
        return Run { joiner: Some(stored) };
    }
    let _admitted = world.admit(admitting);
    Run { joiner: Some(stored) }
}

/// What the machine does after a restart.
fn retry(
    world: &mut World,
    window: &mut Window,
    machine: &Machine,
    text: &str,
    record: Option<&JoinerRecord>,
) -> Joined {
    if let Some(record) = record
        && let Ok(joined) = resume(world, window, machine, record)
    {
        return joined;
    }
    let mut secret = JoinSecret::ticket(Ticket::parse(text).unwrap());
    join(world, window, machine, &mut secret).unwrap()
}

fn resume(
    world: &mut World,
    window: &mut Window,
    machine: &Machine,
    record: &JoinerRecord,
) -> Result<Joined, JoinError> {
    let (theirs, ours) = machine.channels(world);
    let (joiner, frame) = record.resume(theirs, NOW, &world.rng).unwrap();
    match window.resume(&frame, SOURCE, &ours, world, NOW) {
        ResumeOutcome::Resumed(admitting, _) => {
            let admitted = world.admit(admitting);
            joiner.receive(admitted.frame(), NOW)
        }
        ResumeOutcome::Refused(frame, _) => joiner.receive(&frame, NOW),
    }
}

const STOPS: [Stop; 6] = [
    Stop::Proven,
    Stop::Approved,
    Stop::MembersReceived,
    Stop::MembersStored,
    Stop::Installed,
    Stop::Admitted,
];

#[test]
fn after_a_crash_at_any_step_a_retry_joins_once_and_counts_one_use() {
    for stop in STOPS {
        for restart_initiator in [false, true] {
            let mut world = World::new("alpha");
            let ticket = world.ticket(1);
            let text = ticket.expose(str::to_owned);
            let machine = Machine::new("beta");
            let mut before = window(&world);
            let run = run_until(&mut world, &mut before, &machine, &text, stop);
            let mut after = if restart_initiator { window(&world) } else { before };
            let joined = retry(&mut world, &mut after, &machine, &text, run.joiner.as_ref());
            assert_eq!(joined.store().state_id(), world.store.state_id(), "{stop:?}");
            assert_eq!(world.store.members().count(), 2, "{stop:?}");
            assert_eq!(world.log.len(), 2, "{stop:?}: one entry, however often it was tried");
            assert_eq!(world.tickets[&ticket.id()].used_by().len(), 1, "{stop:?}");
            let kept = world.joins.values().map(|bytes| InitiatorRecord::from_bytes(bytes).unwrap());
            assert_eq!(kept.map(|record| record.progress()).collect::<Vec<_>>(), [Progress::Joined]);
        }
    }
}

#[test]
fn a_resumption_that_crashes_is_resumed_again() {
    let mut world = World::new("alpha");
    let text = world.ticket(1).expose(str::to_owned);
    let machine = Machine::new("beta");
    let mut window = window(&world);
    let run = run_until(&mut world, &mut window, &machine, &text, Stop::Installed);
    let record = run.joiner.unwrap();
    let (theirs, ours) = machine.channels(&world);
    for _ in 0..3 {
        // The last frame is lost each time.
        let (_, frame) = record.resume(theirs.clone(), NOW, &world.rng).unwrap();
        let ResumeOutcome::Resumed(admitting, _) = window.resume(&frame, SOURCE, &ours, &world, NOW) else {
            panic!()
        };
        let _admitted = world.admit(admitting);
    }
    let joined = resume(&mut world, &mut window, &machine, &record).unwrap();
    assert_eq!(joined.store().state_id(), world.store.state_id());
    assert_eq!(world.log.len(), 2);
}

#[test]
fn a_resumption_by_somebody_else_or_over_another_connection_is_refused() {
    let mut world = World::new("alpha");
    let text = world.ticket(1).expose(str::to_owned);
    let machine = Machine::new("beta");
    let mut window = window(&world);
    let record = run_until(&mut world, &mut window, &machine, &text, Stop::Installed).joiner.unwrap();
    let (theirs, _) = machine.channels(&world);
    let (_, frame) = record.resume(theirs, NOW, &world.rng).unwrap();
    let (_, elsewhere) = join_hmac::testing::direct(9, &world.identity, &machine.identity);
    assert!(window.resume(&frame, SOURCE, &elsewhere, &world, NOW).is_refused());
    let other = Machine::new("mallory");
    let (_, stranger) = other.channels(&world);
    assert!(window.resume(&frame, SOURCE, &stranger, &world, NOW).is_refused());
    for at in 0..frame.len() {
        let mut changed = frame.clone();
        changed[at] ^= 1;
        let (_, ours) = machine.channels(&world);
        let generous = window.resume(&changed, SOURCE, &ours, &world, NOW);
        assert!(generous.is_refused(), "byte {at}");
    }
}

#[test]
fn an_abort_by_the_operator_reaches_the_machine_and_leaves_nothing() {
    let mut world = World::new("alpha");
    let text = world.ticket(2).expose(str::to_owned);
    let machine = Machine::new("beta");
    let mut window = window(&world);
    let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
    let (joiner, initiator) = proven(&world, &mut window, &machine, &mut secret).unwrap();
    let frame = Initiator::<AwaitApproval>::reject(initiator);
    assert_eq!(joiner.receive(&frame, NOW).map(|_: Decided| ()).unwrap_err(), JoinError::Aborted);
    // After the members were sent and stored.
    let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
    let (joiner, initiator) = proven(&world, &mut window, &machine, &mut secret).unwrap();
    let (initiator, members) = world.approve(initiator, NOW);
    let (joiner, record) = accept(joiner, &members).unwrap();
    let (joiner, _) = joiner.installed();
    world.joins.clear();
    let frame = initiator.abort();
    assert_eq!(joiner.receive(&frame, NOW).map(|_| ()).unwrap_err(), JoinError::Aborted);
    assert_eq!(
        resume(&mut world, &mut window, &machine, &record).map(|_| ()).unwrap_err(),
        JoinError::Refused
    );
    assert_eq!(world.store.members().count(), 1);
    assert!(retry(&mut world, &mut window, &machine, &text, Some(&record)).store().members().count() == 2);
}

#[test]
fn an_abort_by_the_machine_reaches_the_operator() {
    let mut world = World::new("alpha");
    let text = world.ticket(2).expose(str::to_owned);
    let machine = Machine::new("beta");
    let mut window = window(&world);
    let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
    let (joiner, initiator) = proven(&world, &mut window, &machine, &mut secret).unwrap();
    let (initiator, members) = world.approve(initiator, NOW);
    let (joiner, _) = accept(joiner, &members).unwrap();
    let frame = joiner.abort();
    assert_eq!(initiator.receive(&frame, NOW).map(|_| ()).unwrap_err(), JoinError::Aborted);
}

#[test]
fn an_abort_by_the_machine_while_somebody_is_asked_reaches_the_operator() {
    let mut world = World::new("alpha");
    let text = world.ticket(2).expose(str::to_owned);
    let machine = Machine::new("beta");
    let mut window = window(&world);
    let mut run = || {
        let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
        proven(&world, &mut window, &machine, &mut secret).unwrap()
    };
    let (joiner, initiator) = run();
    assert_eq!(initiator.receive(&joiner.abort()), JoinError::Aborted);
    let (joiner, initiator) = run();
    let mut forged = joiner.abort();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(initiator.receive(&forged), JoinError::Mac);
}

#[test]
fn a_forged_abort_is_no_abort() {
    let mut world = World::new("alpha");
    let machine = Machine::new("beta");
    let mut window = window(&world);
    let mut secret = JoinSecret::ticket(world.ticket(1));
    let (joiner, initiator) = proven(&world, &mut window, &machine, &mut secret).unwrap();
    let (initiator, _) = world.approve(initiator, NOW);
    let own = joiner.abort();
    let mut forged = own.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(initiator.receive(&forged, NOW).map(|_| ()).unwrap_err(), JoinError::Mac);
}
