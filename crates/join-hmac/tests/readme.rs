//! The worked example of the README.

use std::sync::Arc;

use join_hmac::join::{Challenged, HelloOutcome, JoinSecret, Joiner, Monotonic, ProofOutcome, WindowConfig};
use join_hmac::testing::{SOURCE, TODAY, World, direct, machine};

#[test]
fn the_example_of_the_readme_comes_out_as_it_is_printed() {
    let now = Monotonic::from_millis(1);
    let mut world = World::new("alpha");
    let ticket = world.ticket(1);
    let ticket_text = ticket.expose(str::to_owned);
    let mut secret = JoinSecret::ticket(ticket);
    let mut window = world.window(WindowConfig::default());
    let (identity, entry) = machine("beta", "worker");
    let (theirs, ours) = direct(1, &world.identity, &identity);
    let (joiner, hello) =
        Joiner::start(Arc::clone(&identity), entry, &mut secret, theirs, now, &world.rng).unwrap();
    let HelloOutcome::Challenge(answer) =
        window.hello(&hello, SOURCE, &ours, &world, (now, TODAY), &world.rng)
    else {
        panic!("refused")
    };
    let Challenged::Proven(_, proof) = joiner.receive(&answer.frame, now, &world.rng).unwrap() else {
        panic!("a cookie")
    };
    let ProofOutcome::Proven(initiator) = window.proof(answer.session, &proof, &world, (now, TODAY)) else {
        panic!("refused")
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    // Line breaks are for readers.
    let readme: String = include_str!("../README.md").split_whitespace().collect();
    let parts = [
        ("ticket", ticket_text),
        ("Hello", hex(&hello)),
        ("Challenge", hex(&answer.frame)),
        ("Proof", hex(&proof)),
        ("Pending", hex(&initiator.pending())),
    ];
    for (name, value) in parts {
        let printed: String = format!("{name}{value}").split_whitespace().collect();
        assert!(readme.contains(&printed), "{name} {value}");
    }
}
