//! An explorer of the real state machines: every order of deliveries, duplicates, losses, reflections, splices, flipped
//! bits and crashes within the bounds below, by an intruder who holds every frame ever sent.
//!
//! States are not copied, for they hold secrets: each is reached anew by the moves that lead to it. Two states are one
//! when the parties are in the same steps by the same frames, whatever their random numbers were.
//!
//! Bounds: two joining machines, one member, three connections, the number of moves that each scenario names, one crash,
//! one flipped bit; with a ticket, and with a code. What is checked in every state is [`Sim::check`]; that a retry
//! converges, in every state too.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails is a test that fails"
)]

mod sim;

use std::collections::{BTreeSet, VecDeque};

use join_hmac::join::Weakness;

use crate::sim::{Known, Move, Scenario, Sim};

/// How many states there are, or the moves that lead to one in which something is wrong.
fn explore(scenario: Scenario, moves: usize) -> Result<usize, (Vec<Move>, String)> {
    let mut seen = BTreeSet::new();
    let mut queue = VecDeque::from([Vec::new()]);
    while let Some(path) = queue.pop_front() {
        let mut sim = Sim::new(scenario);
        for step in &path {
            sim.step(*step);
        }
        if !seen.insert(sim.label()) {
            continue;
        }
        if let Err(wrong) = sim.check() {
            return Err((path, wrong));
        }
        if path.len() < moves {
            for next in sim.moves() {
                let mut longer = path.clone();
                longer.push(next);
                queue.push_back(longer);
            }
        }
        if scenario.weakness.is_none()
            && let Err(wrong) = sim.converge()
        {
            return Err((path, wrong));
        }
    }
    Ok(seen.len())
}

fn holds(scenario: Scenario, moves: usize, least: usize) {
    match explore(scenario, moves) {
        Ok(states) => {
            println!("{scenario:?}, {moves} moves: {states} states");
            assert!(states >= least, "only {states} states: the bounds leave nothing to explore");
        }
        Err((path, wrong)) => panic!("{wrong} after {path:?}"),
    }
}

fn is_broken(scenario: Scenario, weakness: Weakness, moves: usize, by: &str) {
    let weak = Scenario { weakness: Some(weakness), ..scenario };
    let Err((path, wrong)) = explore(weak, moves) else {
        panic!("no attack on the weaker protocol was found")
    };
    assert!(wrong.contains(by), "{wrong} after {path:?}");
}

#[test]
fn one_machine_and_an_intruder_who_repeats_and_crashes_what_it_likes() {
    holds(Scenario { machines: 1, crashes: 1, ..Scenario::PLAIN }, 8, 200);
}

#[test]
fn one_machine_and_an_intruder_who_repeats_and_changes_what_it_likes() {
    holds(Scenario { machines: 1, flips: 1, ..Scenario::PLAIN }, 8, 200);
}

#[test]
fn two_machines_and_an_intruder_who_splices_and_repeats() {
    holds(Scenario { machines: 2, ..Scenario::PLAIN }, 7, 200);
}

#[test]
fn a_machine_behind_a_man_in_the_middle_never_joins() {
    holds(Scenario { machines: 1, middle: true, ..Scenario::PLAIN }, 9, 3);
}

#[test]
fn a_machine_that_asks_somebody_who_knows_the_ticket_never_joins_them() {
    holds(Scenario { machines: 1, rogue: true, ..Scenario::PLAIN }, 9, 5);
}

#[test]
fn with_a_code_one_machine_and_an_intruder_who_repeats_and_crashes_what_it_likes() {
    holds(Scenario { crashes: 1, ..Scenario::CODE }, 7, 200);
}

#[test]
fn with_a_code_one_machine_and_an_intruder_who_repeats_and_changes_what_it_likes() {
    holds(Scenario { flips: 1, ..Scenario::CODE }, 7, 200);
}

#[test]
fn with_a_code_two_machines_and_an_intruder_who_splices_and_repeats() {
    holds(Scenario { machines: 2, ..Scenario::CODE }, 7, 200);
}

#[test]
fn with_a_code_a_machine_behind_a_man_in_the_middle_never_joins() {
    holds(Scenario { middle: true, ..Scenario::CODE }, 9, 3);
}

#[test]
fn a_machine_with_another_code_never_joins_and_keeps_nobody_from_it() {
    holds(Scenario { machines: 2, secret: Known::WrongCode, ..Scenario::PLAIN }, 6, 200);
}

#[test]
fn two_machines_and_an_intruder_who_crashes_what_it_likes_while_it_splices() {
    holds(Scenario { machines: 2, crashes: 1, ..Scenario::PLAIN }, 6, 200);
}

#[test]
fn with_a_code_and_without_certificates_and_channel_a_man_in_the_middle_goes_unnoticed() {
    is_broken(Scenario { middle: true, ..Scenario::CODE }, Weakness::NoPeers, 9, "in the middle");
}

#[test]
fn with_a_code_when_the_joiner_confirms_second_a_guess_can_be_checked_offline() {
    is_broken(Scenario { flips: 1, ..Scenario::CODE }, Weakness::JoinerSecond, 6, "answered a wrong proof");
}

#[test]
fn without_nonces_a_proof_is_taken_twice() {
    is_broken(Scenario { machines: 1, ..Scenario::PLAIN }, Weakness::NoNonces, 9, "taken twice");
}

#[test]
fn without_roles_whoever_knows_the_ticket_is_taken_for_the_cluster() {
    is_broken(
        Scenario { machines: 1, rogue: true, ..Scenario::PLAIN },
        Weakness::NoRoles,
        9,
        "another cluster",
    );
}

#[test]
fn without_certificates_and_channel_a_man_in_the_middle_goes_unnoticed() {
    is_broken(
        Scenario { machines: 1, middle: true, ..Scenario::PLAIN },
        Weakness::NoPeers,
        9,
        "in the middle",
    );
}

#[test]
fn when_the_joiner_confirms_second_a_guess_can_be_checked_offline() {
    is_broken(
        Scenario { machines: 1, flips: 1, ..Scenario::PLAIN },
        Weakness::JoinerSecond,
        6,
        "answered a wrong proof",
    );
}
