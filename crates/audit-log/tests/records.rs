//! What goes into a record comes out of it, within its bounds, and nothing else gets in.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::sync::Arc;
use std::time::Duration;

use audit_log::event::{
    Details, Escaped, MAX_DETAILS, MAX_DETAILS_BYTES, MAX_REASON_BYTES, MAX_RESOURCE_BYTES, MAX_TEXT_BYTES,
    MAX_USER_AGENT_BYTES,
};
use audit_log::testing::{MemoryDirectory, arb_checkpoint, arb_completion, arb_intent};
use audit_log::{
    Action, Actor, AuditLog, Checkpoint, Client, Completion, Cursor, EventError, Filter, Intent, Options,
    Outcome, Public, ResourceId, UserAgent,
};
use core_types::testing::{TestClock, TestRandom, arb_principal};
use core_types::{Scope, UnixTime};
use proptest::prelude::*;

proptest! {
    #[test]
    fn what_is_recorded_is_read(intent in arb_intent(), completion in arb_completion()) {
        let log = open();
        let call = log.begin_blocking(intent.clone()).unwrap().finish_blocking(completion.clone()).unwrap();
        let event = log.record_blocking(intent.clone(), completion.clone()).unwrap();
        let page = log.reader(Scope::root()).query(&Filter::new(), Cursor::oldest_first(), 10).unwrap();
        prop_assert_eq!(page.entries.len(), 2);
        for (entry, (sequence, begun)) in
            page.entries.iter().zip([(call.sequence(), Some(1)), (event.sequence(), None)])
        {
            prop_assert_eq!((entry.sequence(), entry.begun()), (sequence, begun));
            prop_assert_eq!((entry.intent(), entry.completion()), (&intent, &completion));
            prop_assert_eq!(entry.recorded_at(), UnixTime::from_secs(2));
        }
    }

    #[test]
    fn a_checkpoint_prints_and_parses(checkpoint in arb_checkpoint()) {
        prop_assert_eq!(checkpoint.to_string().parse(), Ok(checkpoint));
    }

    #[test]
    fn a_checkpoint_has_one_spelling(checkpoint in arb_checkpoint(), at in any::<prop::sample::Index>(), to in any::<char>()) {
        let text = checkpoint.to_string();
        let at = at.index(text.len());
        let other: String = text.char_indices().map(|(i, c)| if i == at { to } else { c }).collect();
        if let Ok(parsed) = other.parse::<Checkpoint>() {
            prop_assert_eq!(parsed.to_string(), other);
        }
        for other in [text.to_uppercase(), format!("{text} "), format!("{text}:"), format!("0{text}")] {
            prop_assert!(other.parse::<Checkpoint>().is_err(), "{}", other);
        }
    }

    #[test]
    fn an_actor_prints_and_parses(principal in arb_principal()) {
        for actor in [Actor::Principal(principal), Actor::Anonymous, Actor::System] {
            prop_assert_eq!(actor.to_string().parse(), Ok(actor));
        }
    }

    #[test]
    fn what_is_shown_stays_on_its_line(text in any::<String>()) {
        let shown = Escaped::new(&text).to_string();
        let is_harmless = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        prop_assert!(shown.chars().all(is_harmless));
    }

    #[test]
    fn a_user_agent_of_any_bytes_is_kept_within_its_bound(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let user_agent = UserAgent::from_header(&bytes);
        prop_assert!(user_agent.as_str().len() <= MAX_USER_AGENT_BYTES);
        let cut = bytes.len() > MAX_USER_AGENT_BYTES;
        prop_assert_eq!(user_agent.cut_from(), cut.then(|| u64::try_from(bytes.len()).unwrap()));
        match std::str::from_utf8(&bytes) {
            Ok(text) if !cut => prop_assert_eq!(user_agent.as_str(), text),
            Ok(text) => {
                let kept = user_agent.as_str().trim_end_matches(char::REPLACEMENT_CHARACTER);
                prop_assert!(text.starts_with(kept));
            }
            Err(_) => {}
        }
    }
}

#[test]
fn the_longest_event_there_can_be_fits() {
    // Control characters take six bytes each as JSON.
    let worst = |length: usize| "\u{1}".repeat(length);
    let deep = (0..8).fold(Scope::root(), |scope, level| {
        scope.child(&"k".repeat(63), &format!("{level}{}", "n".repeat(62))).unwrap()
    });
    let mut intent = Intent::new(
        "tok_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D@usr_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D".parse::<Actor>().unwrap(),
        format!("{}:{}", "s".repeat(63), "v".repeat(63)).parse::<Action>().unwrap(),
        deep,
        UnixTime::from_millis(u64::MAX),
    )
    .with_resource(ResourceId::new(worst(MAX_RESOURCE_BYTES)).unwrap())
    .with_client(Client::peer("2001:db8::1".parse().unwrap()).with_forwarded("2001:db8::2".parse().unwrap()))
    .with_user_agent(UserAgent::from_header(worst(9999).as_bytes()))
    .with_request("req_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D".parse().unwrap());
    let mut completion = Completion::allowed(Duration::MAX).with_reason(worst(MAX_REASON_BYTES)).unwrap();
    let mut count = 0;
    for length in [MAX_TEXT_BYTES, 100, 10, 1] {
        loop {
            let value = Public::text(worst(length)).unwrap();
            let name = format!("n{count}");
            let (Ok(wider), Ok(longer)) = (
                intent.clone().with_detail(&name, value.clone()),
                completion.clone().with_detail(&name, value),
            ) else {
                break;
            };
            (intent, completion) = (wider, longer);
            count += 1;
        }
    }
    let log = open();
    let guard = log.begin_blocking(intent.clone()).unwrap();
    guard.finish_blocking(completion.clone()).unwrap();
    let page = log.reader(Scope::root()).query(&Filter::new(), Cursor::newest_first(), 1).unwrap();
    let entry = page.entries.first().unwrap();
    assert_eq!((entry.intent(), entry.completion()), (&intent, &completion));
}

#[test]
fn details_are_bounded() {
    let mut details = Details::new();
    for name in ["", "A", "1a", "a-b", "a b", "ä", "_a", &"a".repeat(64)] {
        assert_eq!(details.insert(name, Public::from(true)), Err(EventError::DetailName), "{name}");
    }
    for number in 0..MAX_DETAILS {
        details.insert(&format!("n{number}"), Public::from(1_u64)).unwrap();
    }
    assert_eq!(details.insert("n0", Public::from(2_u64)), Err(EventError::DetailTwice));
    let error = details.insert("one_more", Public::from(1_u64));
    assert_eq!(error, Err(EventError::TooManyDetails { limit: MAX_DETAILS }));
    let mut details = Details::new();
    let long = || Public::text("x".repeat(MAX_TEXT_BYTES)).unwrap();
    let fitting = (0..MAX_DETAILS).take_while(|n| details.insert(&format!("n{n}"), long()).is_ok()).count();
    assert_eq!(fitting, MAX_DETAILS_BYTES / (MAX_TEXT_BYTES + 8));
}

#[test]
fn texts_are_bounded() {
    let too_long = |field, limit| EventError::TooLong { field, limit };
    assert_eq!(Public::text("x".repeat(1025)), Err(too_long("text", MAX_TEXT_BYTES)));
    assert_eq!(ResourceId::new("x".repeat(257)), Err(too_long("resource", MAX_RESOURCE_BYTES)));
    assert_eq!(ResourceId::new(""), Err(EventError::Empty { field: "resource" }));
    let reason = Completion::failed(Duration::ZERO).with_reason("x".repeat(1025));
    assert_eq!(reason, Err(too_long("reason", MAX_REASON_BYTES)));
}

#[test]
fn the_scope_lies_in_the_tenant() {
    let intent = Intent::new(Actor::System, action(), "project/web".parse().unwrap(), UnixTime::EPOCH);
    assert_eq!(intent.scope(), intent.tenant());
    let below: Scope = "project/web/vcluster/ci".parse().unwrap();
    assert_eq!(intent.clone().with_scope(below.clone()).unwrap().scope(), &below);
    for outside in ["project/web-2", "project/other", "/"] {
        let answer = intent.clone().with_scope(outside.parse().unwrap());
        assert_eq!(answer, Err(EventError::OutsideTenant), "{outside}");
    }
}

#[test]
fn an_address_is_kept_with_its_evidence() {
    let peer = "::ffff:192.0.2.1".parse().unwrap();
    let client = Client::peer(peer);
    assert_eq!(client.address().to_string(), "192.0.2.1", "IPv4 in IPv6 is IPv4");
    let client = client.with_forwarded("203.0.113.7".parse().unwrap());
    assert_eq!(client.address().to_string(), "203.0.113.7");
    assert_eq!(client.peer_address().to_string(), "192.0.2.1");
}

#[test]
fn an_outcome_prints_and_parses() {
    for outcome in Outcome::ALL {
        assert_eq!(outcome.to_string().parse(), Ok(outcome));
    }
    assert!("Allowed".parse::<Outcome>().is_err());
}

#[test]
fn an_entry_is_shown_on_one_line() {
    let log = open();
    let intent = Intent::new(Actor::Anonymous, action(), Scope::root(), UnixTime::EPOCH)
        .with_resource(ResourceId::new("a\nb").unwrap())
        .with_client(Client::peer("192.0.2.1".parse().unwrap()));
    let completion = Completion::denied(Duration::from_micros(70)).with_reason("no\u{202e}pe").unwrap();
    log.record_blocking(intent, completion).unwrap();
    let page = log.reader(Scope::root()).query(&Filter::new(), Cursor::newest_first(), 1).unwrap();
    assert_eq!(
        page.entries.first().unwrap().to_string(),
        r"1 anonymous apps:write in / on a\u{a}b from 192.0.2.1: denied after 70 us: no\u{202e}pe"
    );
}

fn action() -> Action {
    "apps:write".parse().unwrap()
}

fn open() -> AuditLog {
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(2)));
    let directory = Arc::new(MemoryDirectory::new());
    AuditLog::open_in(directory, clock, &TestRandom::seeded(1), &Options::new().with_segment_bytes(256 << 10))
        .unwrap()
}
