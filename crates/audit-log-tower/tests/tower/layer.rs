//! What is recorded of a request, and what happens where it cannot be.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use audit_log::event::Field;
use audit_log::{Class, Outcome, Space};
use http::Method;
use tower_service::Service;

use crate::support::{Peer, START, World, request};

#[test]
fn a_call_is_recorded_with_all_that_is_known_of_it() {
    let world = World::with(|audit| audit.with_timer(|| Duration::from_micros(5)));
    let answer = world.post(&[("user-agent", "curl/8")]);
    assert_eq!((answer.status().as_u16(), world.effects()), (200, 1));
    let entry = world.entry();
    let intent = entry.intent();
    assert_eq!(entry.outcome(), Outcome::Allowed);
    assert!(entry.begun().is_some_and(|begun| begun < entry.sequence()), "the intent came first");
    assert_eq!(intent.action().to_string(), "keys:write");
    assert_eq!(intent.tenant().to_string(), "project/web");
    assert_eq!(intent.scope().to_string(), "project/web/namespace/a");
    assert_eq!(intent.started_at(), START);
    assert_eq!(intent.client().unwrap().peer_address().to_string(), "198.51.100.7");
    assert_eq!(intent.user_agent().unwrap().as_str(), "curl/8");
    assert_eq!(entry.duration(), Some(Duration::ZERO), "by the timer that was given");
    let id = answer.headers()["x-request-id"].to_str().unwrap();
    assert_eq!(intent.request().unwrap().to_string(), id);
}

#[test]
fn a_long_user_agent_is_cut() {
    let world = World::new();
    world.post(&[("user-agent", &"x".repeat(5000))]);
    let entry = world.entry();
    let agent = entry.intent().user_agent().unwrap();
    assert_eq!((agent.as_str().len(), agent.cut_from()), (512, Some(5000)));
}

#[test]
fn outcomes_are_those_of_the_status_unless_the_service_says_otherwise() {
    for (wish, outcome) in [
        ("200", Outcome::Allowed),
        ("201", Outcome::Allowed),
        ("303", Outcome::Allowed),
        ("401", Outcome::Unauthenticated),
        ("403", Outcome::Denied),
        ("404", Outcome::Failed),
        ("409", Outcome::Failed),
        ("500", Outcome::Failed),
        ("unknown", Outcome::Unknown),
    ] {
        let world = World::new();
        world.post(&[("x-do", wish)]);
        let entry = world.entry();
        assert_eq!(entry.outcome(), outcome, "{wish}");
        assert_eq!(entry.completion().reason(), (wish == "unknown").then_some("the store did not say"));
    }
}

#[test]
fn details_of_the_service_are_public_sealed_or_redacted() {
    let world = World::new();
    world.post(&[("x-do", "details")]);
    let entry = world.entry();
    let details = entry.completion().details();
    assert_eq!(details.value("revision").unwrap().as_number(), Some(7));
    assert!(matches!(details.field("password"), Some(Field::Redacted(_))));
    assert!(matches!(details.field("email"), Some(Field::Sealed(_))));
    assert!(!world.disk.read("00000001.log").windows(7).any(|bytes| bytes == b"hunter2"));
}

#[test]
fn refusals_are_recorded_and_the_service_is_not_called() {
    let world = World::new();
    assert_eq!(world.post(&[("x-who", "guest")]).status(), 403);
    assert_eq!(world.effects(), 0);
    let entry = world.entry();
    assert_eq!((entry.outcome(), entry.begun()), (Outcome::Denied, None));
    assert_eq!(entry.completion().reason(), Some("no_role"));
}

#[test]
fn a_flood_without_credentials_is_answered_and_counted() {
    let world = World::new();
    for _ in 0..50 {
        assert_eq!(world.post(&[("x-who", "nobody")]).status(), 401);
    }
    world.clock.advance(Duration::from_secs(61));
    world.log.flush().unwrap();
    world.post(&[]);
    let entries = world.entries();
    let counted: u64 =
        entries.iter().filter_map(|entry| entry.completion().details().value("count")?.as_number()).sum();
    let single = entries.iter().filter(|entry| entry.completion().reason() == Some("no_credential")).count();
    assert_eq!((single, counted), (3, 47));
}

#[test]
fn a_dropped_future_is_recorded_as_abandoned() {
    let world = World::new();
    let mut call = world.service(&Method::POST).call(request(&[("x-do", "hang")]));
    while world.effects() == 0 {
        assert!(matches!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    }
    drop(call);
    world.log.close_blocking().unwrap();
    assert_eq!(world.entry().outcome(), Outcome::Abandoned);
}

#[test]
fn a_panic_in_the_service_is_recorded_as_abandoned() {
    let world = World::new();
    let mut service = world.service(&Method::POST);
    let call =
        std::panic::AssertUnwindSafe(|| pollster::block_on(service.call(request(&[("x-do", "panic")]))));
    assert!(std::panic::catch_unwind(call).is_err());
    world.log.close_blocking().unwrap();
    assert_eq!(world.entry().outcome(), Outcome::Abandoned);
}

#[test]
fn where_the_intent_cannot_be_durable_nothing_happens() {
    let world = World::new();
    world.disk.fail_syncs_after(0);
    for headers in [&[][..], &[("x-who", "guest")], &[("x-who", "nobody")]] {
        let answer = world.post(headers);
        assert_eq!((answer.status().as_u16(), &**answer.body()), (503, "intent"));
    }
    assert_eq!(world.effects(), 0);
}

#[test]
fn a_read_that_cannot_be_recorded_is_not_answered() {
    let world = World::new();
    world.disk.fail_syncs_after(0);
    let answer = pollster::block_on(world.service(&Method::GET).call(request(&[]))).unwrap();
    assert_eq!((answer.status().as_u16(), &**answer.body()), (503, "intent"));
}

#[test]
fn a_read_is_one_entry() {
    let world = World::new();
    pollster::block_on(world.service(&Method::GET).call(request(&[]))).unwrap();
    let entry = world.entry();
    assert_eq!((entry.outcome(), entry.begun()), (Outcome::Allowed, None));
    assert_eq!(entry.intent().action().to_string(), "keys:read");
}

#[test]
fn where_the_outcome_cannot_be_durable_the_answer_says_that_it_is_not_known() {
    let world = World::new();
    // The intent's sync is good, the outcome's is not.
    world.disk.fail_syncs_after(1);
    let answer = world.post(&[]);
    assert_eq!((answer.status().as_u16(), &**answer.body()), (503, "outcome"));
    assert_eq!(world.effects(), 1);
}

#[test]
fn on_a_full_disk_keys_are_revoked_and_none_are_made() {
    let world = World::new();
    world.post(&[]);
    world.disk.fill_after(0);
    while world.post(&[]).status() == 200 {}
    assert_eq!(world.log.space(), Space::Reserve);
    assert_eq!(world.post(&[]).status(), 503);
    let revoked = pollster::block_on(world.service(&Method::DELETE).call(request(&[]))).unwrap();
    assert_eq!(revoked.status(), 200);
}

#[test]
fn the_mirror_sees_what_is_in_the_log_and_nothing_before() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mirror = Arc::clone(&seen);
    let world = World::with(|audit| {
        audit.with_mirror(move |call| {
            mirror.lock().unwrap().push((call.sequence, call.completion.outcome()));
        })
    });
    world.post(&[]);
    world.post(&[("x-who", "guest")]);
    world.disk.fail_syncs_after(0);
    world.post(&[]);
    let expected: Vec<_> =
        world.entries().iter().map(|entry| (Some(entry.sequence()), entry.outcome())).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn only_what_ones_own_proxies_say_is_believed() {
    for (peer, forwarded, client) in [
        // Nobody's proxy.
        ("198.51.100.7", &["192.0.2.1"][..], None),
        ("198.51.100.7", &["10.0.0.1"], None),
        // One's own.
        ("10.0.0.1", &[], None),
        ("10.0.0.1", &["192.0.2.1"], Some("192.0.2.1")),
        ("10.0.0.1", &["203.0.113.9, 192.0.2.1"], Some("192.0.2.1")),
        ("10.0.0.1", &["192.0.2.1, 10.9.9.9 ,\t10.0.0.2"], Some("192.0.2.1")),
        ("10.0.0.1", &["203.0.113.9", "192.0.2.1", "10.0.0.2"], Some("192.0.2.1")),
        ("10.0.0.1", &["192.0.2.1:4711"], Some("192.0.2.1")),
        ("10.0.0.1", &["[2001:db8::1]:4711"], Some("2001:db8::1")),
        ("10.0.0.1", &["[2001:db8::1]"], Some("2001:db8::1")),
        ("10.0.0.1", &["::ffff:192.0.2.1"], Some("192.0.2.1")),
        ("::ffff:10.0.0.1", &["192.0.2.1"], Some("192.0.2.1")),
        ("fd00::1", &["2001:db8::1"], Some("2001:db8::1")),
        ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], Some("10.0.0.3")),
        // What is no address ends the belief.
        ("10.0.0.1", &["192.0.2.1, unknown"], None),
        ("10.0.0.1", &["192.0.2.1,"], None),
        ("10.0.0.1", &["192.0.2.1, evil, 10.0.0.2"], Some("10.0.0.2")),
    ] {
        let world = World::new();
        let headers: Vec<_> = forwarded.iter().map(|line| ("x-forwarded-for", *line)).collect();
        let mut request = request(&headers);
        request.extensions_mut().insert(Peer(peer.parse().unwrap()));
        pollster::block_on(world.service(&Method::POST).call(request)).unwrap();
        let found = world.entry().intent().client().copied().unwrap();
        let found = found.forwarded_address().map(|address| address.to_string());
        assert_eq!(found.as_deref(), client, "{peer} {forwarded:?}");
    }
}

#[test]
fn a_header_without_end_is_not_believed() {
    let world = World::new();
    let mut long = request(&[("x-forwarded-for", &"192.0.2.1, ".repeat(500))]);
    long.extensions_mut().insert(Peer([10, 0, 0, 1].into()));
    pollster::block_on(world.service(&Method::POST).call(long)).unwrap();
    assert_eq!(world.entry().intent().client().unwrap().forwarded_address(), None);
}

#[test]
fn classes_have_names() {
    assert_eq!(
        [Class::Security, Class::Change, Class::Read].map(Class::as_str),
        ["security", "change", "read"]
    );
}
