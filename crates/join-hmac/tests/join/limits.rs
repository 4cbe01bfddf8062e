//! What strangers can cost.

use core::net::IpAddr;
use core::time::Duration;

use join_hmac::error::JoinError;
use join_hmac::join::{Challenged, HelloOutcome, JoinEvent, JoinSecret, Monotonic, Rate, WindowConfig};
use join_hmac::testing::{TODAY, World};
use join_hmac::ticket::Ticket;

use crate::support::*;

const GENEROUS: Rate = Rate { burst: 1_000_000, interval: Duration::from_millis(1) };

#[test]
fn half_open_exhaustion_the_table_is_bounded_and_the_oldest_gives_way() {
    let mut world = World::new("alpha");
    let text = world.ticket(100).expose(str::to_owned);
    let config = WindowConfig {
        half_open: 16,
        cookies_above: 4096,
        per_source: GENEROUS,
        global: GENEROUS,
        ..Default::default()
    };
    let mut window = world.window(config);
    let machine = Machine::new("beta");
    let (theirs, ours) = machine.channels(&world);
    let mut first = None;
    for _ in 0..100 {
        let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
        let (joiner, hello) = machine.start(&world, &mut secret, &theirs);
        let (session, answer) = challenge(&world, &mut window, &hello, &ours).unwrap();
        first.get_or_insert((joiner, session, answer));
        assert!(window.half_open() <= 16);
    }
    let (joiner, session, answer) = first.unwrap();
    let (_, proof) = prove(&world, joiner, &answer).unwrap();
    assert_eq!(check(&world, &mut window, session, &proof).unwrap_err(), JoinError::Unknown, "it gave way");
    assert!(window.take_events().filter(|event| *event == JoinEvent::Evicted).count() >= 84);
}

#[test]
fn half_open_exhaustion_past_a_bound_a_source_must_show_where_it_is_and_nothing_is_kept() {
    let mut world = World::new("alpha");
    let text = world.ticket(100).expose(str::to_owned);
    let config = WindowConfig { cookies_above: 0, ..Default::default() };
    let mut window = world.window(config);
    let machine = Machine::new("beta");
    let (theirs, ours) = machine.channels(&world);
    let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
    let (joiner, hello) = machine.start(&world, &mut secret, &theirs);
    for number in 0..10_000_u32 {
        let spoofed = IpAddr::from(number.to_be_bytes());
        let outcome = window.hello(&hello, spoofed, &ours, &world, (NOW, TODAY), &world.rng);
        assert!(matches!(outcome, HelloOutcome::Retry(_)));
    }
    assert_eq!(window.half_open(), 0);
    let source: IpAddr = "192.0.2.9".parse().unwrap();
    let HelloOutcome::Retry(cookie) = window.hello(&hello, source, &ours, &world, (NOW, TODAY), &world.rng)
    else {
        panic!()
    };
    let Challenged::Again(joiner, hello) = joiner.receive(&cookie, NOW, &world.rng).unwrap() else {
        panic!()
    };
    // The cookie is of this source, this message, and of now.
    let other = "192.0.2.10".parse().unwrap();
    let mut ask = |source, now| window.hello(&hello, source, &ours, &world, (now, TODAY), &world.rng);
    assert!(matches!(ask(other, NOW), HelloOutcome::Retry(_)));
    assert!(matches!(ask(source, Monotonic::from_millis(60_000)), HelloOutcome::Retry(_)));
    let HelloOutcome::Challenge(answer) = ask(source, NOW) else { panic!() };
    let (_, proof) = prove(&world, joiner, &answer.frame).unwrap();
    assert!(check(&world, &mut window, answer.session, &proof).is_ok());
}

#[test]
fn lock_out_an_honest_joiner_gets_in_beside_a_million_bad_hellos() {
    let mut world = World::new("alpha");
    let mut secret = JoinSecret::ticket(world.ticket(1));
    let mut window = window(&world);
    let machine = Machine::new("beta");
    let (_, ours) = machine.channels(&world);
    for number in 0..1_000_000_u32 {
        let source = IpAddr::from(number.to_be_bytes());
        let now = Monotonic::from_millis(u64::from(number / 200));
        let bytes = number.to_be_bytes();
        let outcome = window.hello(&bytes, source, &ours, &world, (now, TODAY), &world.rng);
        assert!(matches!(outcome, HelloOutcome::Refused(_, JoinError::Wire(_))));
    }
    assert!(join(&mut world, &mut window, &machine, &mut secret).is_ok());
}

#[test]
fn lock_out_made_up_sources_use_up_no_more_than_what_is_theirs() {
    let mut world = World::new("alpha");
    let text = world.ticket(1).expose(str::to_owned);
    let mut window = window(&world);
    let machine = Machine::new("beta");
    let (theirs, ours) = machine.channels(&world);
    let (mut spoofed, mut retried) = (0_u32, false);
    for second in 0..60_u64 {
        let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
        let (joiner, hello) = machine.start(&world, &mut secret, &theirs);
        for number in 0..3000_u64 {
            spoofed += 1;
            let now = Monotonic::from_millis(second * 1000 + number / 3);
            let source = IpAddr::from(spoofed.to_be_bytes());
            match window.hello(&hello, source, &ours, &world, (now, TODAY), &world.rng) {
                HelloOutcome::Challenge(answer) => window.closed(answer.session),
                HelloOutcome::Retry(_) => retried = true,
                HelloOutcome::Refused(_, reason) => assert_eq!(reason, JoinError::Busy),
            }
        }
        // The honest machine asks once a second, where nothing is left but for those who answer.
        let now = Monotonic::from_millis(second * 1000 + 999);
        let source: IpAddr = "192.0.2.9".parse().unwrap();
        let mut outcome = window.hello(&hello, source, &ours, &world, (now, TODAY), &world.rng);
        if let HelloOutcome::Retry(cookie) = &outcome {
            let Challenged::Again(_, again) = joiner.receive(cookie, now, &world.rng).unwrap() else {
                panic!("a challenge")
            };
            outcome = window.hello(&again, source, &ours, &world, (now, TODAY), &world.rng);
        }
        let HelloOutcome::Challenge(answer) = outcome else { panic!("second {second}: {outcome:?}") };
        window.closed(answer.session);
    }
    assert!(retried);
}

#[test]
fn lock_out_wrong_proofs_by_the_thousand_lock_out_no_ticket() {
    let mut world = World::new("alpha");
    let text = world.ticket(1).expose(str::to_owned);
    let config =
        WindowConfig { per_source: GENEROUS, global: GENEROUS, cookies_above: 4096, ..Default::default() };
    let mut window = world.window(config);
    let machine = Machine::new("beta");
    let (theirs, ours) = machine.channels(&world);
    for _ in 0..500 {
        let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
        let (joiner, hello) = machine.start(&world, &mut secret, &theirs);
        let (session, answer) = challenge(&world, &mut window, &hello, &ours).unwrap();
        let (_, mut proof) = prove(&world, joiner, &answer).unwrap();
        *proof.last_mut().unwrap() ^= 1;
        assert_eq!(check(&world, &mut window, session, &proof).unwrap_err(), JoinError::Mac);
    }
    let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
    assert!(join(&mut world, &mut window, &machine, &mut secret).is_ok());
}

#[test]
fn a_source_that_asks_too_often_waits_and_others_do_not() {
    let mut world = World::new("alpha");
    let text = world.ticket(1).expose(str::to_owned);
    let mut window = window(&world);
    let machine = Machine::new("beta");
    let (theirs, ours) = machine.channels(&world);
    let mut ask = |source: &str, millis: u64| {
        let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
        let (_, hello) = machine.start(&world, &mut secret, &theirs);
        let now = Monotonic::from_millis(millis);
        let outcome = window.hello(&hello, source.parse().unwrap(), &ours, &world, (now, TODAY), &world.rng);
        match outcome {
            HelloOutcome::Challenge(answer) => {
                window.closed(answer.session);
                true
            }
            HelloOutcome::Refused(_, JoinError::Busy) => false,
            other => panic!("{other:?}"),
        }
    };
    for _ in 0..10 {
        assert!(ask("192.0.2.1", 0));
    }
    assert!(!ask("192.0.2.1", 0));
    assert!(ask("192.0.2.2", 0));
    assert!(ask("192.0.2.1", 600));
}

#[test]
fn with_a_code_a_source_backs_off_before_the_code_is_burnt() {
    let world = World::new("alpha");
    let mut window = window(&world);
    window.show_code(code("saxophone buzzard"));
    let machine = Machine::new("beta");
    let (theirs, ours) = machine.channels(&world);
    let mut taken = 0;
    for _ in 0..50 {
        let mut secret = JoinSecret::code(code("zebra zombie"));
        let (_, hello) = machine.start(&world, &mut secret, &theirs);
        if let Ok((session, _)) = challenge(&world, &mut window, &hello, &ours) {
            window.closed(session);
            taken += 1;
        }
    }
    assert_eq!(taken, 3);
    assert_eq!(window.guesses_left(), Some(7), "one source alone does not burn it at once");
}

#[test]
fn failed_and_aborted_runs_never_exceed_the_budget_of_a_code() {
    let world = World::new("alpha");
    let mut window = window(&world);
    window.show_code(code("saxophone buzzard"));
    let machine = Machine::new("beta");
    let (theirs, ours) = machine.channels(&world);
    let mut challenged = 0;
    for number in 0..100_u8 {
        let mut secret = JoinSecret::code(code("zebra zombie"));
        let (joiner, hello) = machine.start(&world, &mut secret, &theirs);
        let source = IpAddr::from([198, 51, 100, number]);
        if let HelloOutcome::Challenge(answer) =
            window.hello(&hello, source, &ours, &world, (NOW, TODAY), &world.rng)
        {
            challenged += 1;
            let (_, proof) = prove(&world, joiner, &answer.frame).unwrap();
            if number % 2 == 0 {
                assert!(check(&world, &mut window, answer.session, &proof).is_err());
            }
        }
    }
    assert_eq!(challenged, 10);
}
