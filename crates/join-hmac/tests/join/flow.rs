use join_hmac::error::{ApprovalError, JoinError, TrustError};
use join_hmac::join::{Approval, Decided, JoinSecret, Progress, Quorum};
use join_hmac::testing::World;
use join_hmac::trust::Standing;

use crate::support::*;

#[test]
fn a_machine_joins_by_ticket_and_both_sides_have_the_same_members() {
    let mut world = World::new("alpha");
    let ticket = world.ticket(2);
    let mut window = window(&world);
    for name in ["beta", "gamma"] {
        let machine = Machine::new(name);
        let text = ticket.expose(str::to_owned);
        let mut secret = JoinSecret::ticket(join_hmac::ticket::Ticket::parse(&text).unwrap());
        let joined = join(&mut world, &mut window, &machine, &mut secret).unwrap();
        assert_eq!(joined.store().state_id(), world.store.state_id());
        assert_eq!(joined.store().root(), world.store.root());
        assert_eq!(joined.record().progress(), Progress::Joined);
        let fingerprint = machine.identity.certificate().fingerprint();
        assert_eq!(joined.store().standing(&fingerprint), Standing::Current(joined.member()));
    }
    assert_eq!(world.store.members().count(), 3);
    assert_eq!(world.tickets[&ticket.id()].used_by().len(), 2);
}

#[test]
fn a_machine_joins_by_a_code_of_two_words_and_the_code_is_gone() {
    let mut world = World::new("alpha");
    let mut window = window(&world);
    window.show_code(code("saxophone buzzard"));
    let mut secret = JoinSecret::code(code("Sax  BUZZ"));
    let joined = join(&mut world, &mut window, &Machine::new("beta"), &mut secret).unwrap();
    assert_eq!(joined.store().state_id(), world.store.state_id());
    assert_eq!(window.guesses_left(), None);
    let mut again = JoinSecret::code(code("saxophone buzzard"));
    let refused = join(&mut world, &mut window, &Machine::new("gamma"), &mut again);
    assert_eq!(refused.unwrap_err(), JoinError::Unknown);
}

#[test]
fn a_wrong_code_is_refused_by_the_initiator_and_shows_nothing() {
    let mut world = World::new("alpha");
    let mut window = window(&world);
    window.show_code(code("saxophone buzzard"));
    let mut wrong = JoinSecret::code(code("saxophone rupture"));
    let refused = join(&mut world, &mut window, &Machine::new("beta"), &mut wrong);
    assert_eq!(refused.unwrap_err(), JoinError::Mac);
    assert_eq!(window.guesses_left(), Some(9));
    assert_eq!(wrong.runs_left(), Some(2));
    assert_eq!(world.store.members().count(), 1);
}

#[test]
fn several_tickets_are_open_at_once_and_one_is_revoked_alone() {
    let mut world = World::new("alpha");
    let (one, other) = (world.ticket(1), world.ticket(1));
    let mut window = window(&world);
    let revoked = world.tickets[&one.id()].clone().revoke();
    world.tickets.insert(one.id(), revoked);
    let refused = join(&mut world, &mut window, &Machine::new("beta"), &mut JoinSecret::ticket(one));
    assert_eq!(refused.unwrap_err(), JoinError::Unknown);
    assert!(join(&mut world, &mut window, &Machine::new("beta"), &mut JoinSecret::ticket(other)).is_ok());
}

#[test]
fn a_ticket_lets_in_as_many_machines_as_it_says() {
    let mut world = World::new("alpha");
    let text = world.ticket(1).expose(str::to_owned);
    let mut window = window(&world);
    let secret = || JoinSecret::ticket(join_hmac::ticket::Ticket::parse(&text).unwrap());
    assert!(join(&mut world, &mut window, &Machine::new("beta"), &mut secret()).is_ok());
    let refused = join(&mut world, &mut window, &Machine::new("gamma"), &mut secret());
    assert_eq!(refused.unwrap_err(), JoinError::Unknown);
}

#[test]
fn display_what_the_operator_is_shown_is_what_is_committed_and_both_screens_show_the_same_words() {
    let mut world = World::new("alpha");
    let mut secret = JoinSecret::ticket(world.ticket(1));
    let mut window = window(&world);
    let machine = Machine::new("beta");
    let (joiner, initiator) = proven(&world, &mut window, &machine, &mut secret).unwrap();
    let shown = initiator.intent().clone();
    assert_eq!(shown.entry(), &machine.entry);
    assert_eq!(shown.id(), joiner.intent().id());
    assert_eq!(shown.words(), joiner.words());
    assert_eq!(shown.words().split(' ').count(), 2);
    let Decided::Pending(joiner) = joiner.receive(&initiator.pending(), NOW).unwrap() else { panic!() };
    let (initiator, members) = world.approve(initiator, NOW);
    let (joiner, _) = accept(joiner, &members).unwrap();
    let (joiner, installed) = joiner.installed();
    let (admitting, admission) = initiator.receive(&installed, NOW).unwrap().into_parts();
    assert_eq!(admission.entry(), shown.entry());
    let admitted = world.admit(admitting);
    assert_eq!(world.store.member(&admitted.member()).unwrap().entry(), shown.entry());
    assert!(joiner.receive(admitted.frame(), NOW).is_ok());
}

#[test]
fn name_collision_two_intents_of_one_name_are_told_apart_by_their_ids_and_one_is_let_in() {
    let mut world = World::new("alpha");
    let (one, other) = (world.ticket(1), world.ticket(1));
    let mut window = window(&world);
    let mut impostor = Machine::new("mallory");
    impostor.entry = join_hmac::trust::MemberEntry::new("beta", "worker", &[], &impostor.identity).unwrap();
    let (_, first) =
        proven(&world, &mut window, &Machine::new("beta"), &mut JoinSecret::ticket(one)).unwrap();
    let (_, second) = proven(&world, &mut window, &impostor, &mut JoinSecret::ticket(other)).unwrap();
    assert_eq!(first.intent().entry().name(), second.intent().entry().name());
    assert_ne!(first.intent().id(), second.intent().id());
    // An approval of the one is none of the other.
    let approval = Approval::by("operator", first.intent().id()).unwrap();
    let base = world.store.clone();
    let (second, error) = *second.approve(&approval, &base, &[], NOW).unwrap_err();
    assert_eq!(error, ApprovalError::Intent);
    let (first, members) = world.approve(first, NOW);
    drop((members, first));
    // The name is taken once the first has joined.
    let entry =
        world.store.sign(join_hmac::trust::Change::Add(Machine::new("beta").entry), world.identity.key());
    world.store = world.store.apply(&entry.unwrap()).unwrap();
    let approval = Approval::by("operator", second.intent().id()).unwrap();
    let refused = second.approve(&approval, &world.store, &[], NOW).unwrap_err();
    assert_eq!(refused.1, ApprovalError::Trust(TrustError::NameTaken));
}

#[test]
fn a_quorum_of_different_approvers_lets_a_machine_in() {
    let mut world = World::new("alpha");
    let mut window = window(&world);
    let mut secret = JoinSecret::ticket(world.ticket(1));
    let (_, initiator) = proven(&world, &mut window, &Machine::new("beta"), &mut secret).unwrap();
    let intent = initiator.intent().id();
    let mut quorum = Quorum::new(intent, 2, ["ada", "bob", "eve"]).unwrap();
    assert_eq!(quorum.approve("ada", intent), Ok(None));
    assert_eq!(quorum.approve("ada", intent), Ok(None), "the same one twice is one");
    assert_eq!(quorum.approve("mallory", intent), Err(ApprovalError::Eligible));
    let approval = quorum.approve("eve", intent).unwrap().unwrap();
    let (base, since) = world.since(1);
    let (_, record) = initiator.approve(&approval, &base, &since, NOW).unwrap();
    assert_eq!(record.approved_by().collect::<Vec<_>>(), ["ada", "eve"]);
    assert_eq!(Quorum::new(intent, 3, ["ada", "bob"]), Err(ApprovalError::Quorum));
    assert_eq!(Quorum::new(intent, 0, ["ada"]), Err(ApprovalError::Quorum));
}

#[test]
fn a_ticket_issued_before_others_joined_still_leads_to_the_present_members() {
    let mut world = World::new("alpha");
    let (early, late) = (world.ticket(1), world.ticket(1));
    let mut window = window(&world);
    let _joined =
        join(&mut world, &mut window, &Machine::new("beta"), &mut JoinSecret::ticket(early)).unwrap();
    let joined =
        join(&mut world, &mut window, &Machine::new("gamma"), &mut JoinSecret::ticket(late)).unwrap();
    assert_eq!(joined.store().state_id(), world.store.state_id());
    assert_eq!(joined.store().epoch(), 3);
}

#[test]
fn members_that_change_between_acceptance_and_the_end_are_caught_up_with() {
    let mut world = World::new("alpha");
    let (one, other) = (world.ticket(1), world.ticket(1));
    let mut window = window(&world);
    let (joiner, initiator) =
        proven(&world, &mut window, &Machine::new("beta"), &mut JoinSecret::ticket(one)).unwrap();
    let (initiator, members) = world.approve(initiator, NOW);
    let (joiner, _) = accept(joiner, &members).unwrap();
    // Somebody else joins meanwhile.
    let _joined =
        join(&mut world, &mut window, &Machine::new("gamma"), &mut JoinSecret::ticket(other)).unwrap();
    let (joiner, installed) = joiner.installed();
    let (admitting, _) = initiator.receive(&installed, NOW).unwrap().into_parts();
    let admitted = world.admit(admitting);
    let joined = joiner.receive(admitted.frame(), NOW).unwrap();
    assert_eq!(joined.store().state_id(), world.store.state_id());
    assert_eq!(joined.store().members().count(), 3);
}
