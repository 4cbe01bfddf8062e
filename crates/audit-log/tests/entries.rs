//! Entries as the verifier reads them: what stands as it was written is looked through, all else is decoded, and both
//! say the same.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails is a test that fails"
)]

use std::sync::Arc;
use std::time::Duration;

use audit_log::event::{Redacted, Sealed};
use audit_log::testing::{MemoryDirectory, arb_completion, arb_intent, read_entry};
use audit_log::{Actor, AuditLog, Client, Completion, Intent, Options, UserAgent};
use core_types::UnixTime;
use core_types::testing::{TestClock, TestRandom};
use proptest::prelude::*;

/// The entries that a call and an attempt make, as they lie in the log.
fn written(intent: &Intent, completion: &Completion) -> Vec<Vec<u8>> {
    let disk = MemoryDirectory::new();
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(2)));
    let log =
        AuditLog::open_in(Arc::new(disk.clone()), clock, &TestRandom::seeded(1), &Options::new()).unwrap();
    log.begin_blocking(intent.clone()).unwrap().finish_blocking(completion.clone()).unwrap();
    log.record_blocking(intent.clone(), completion.clone()).unwrap();
    log.close_blocking().unwrap();
    let bytes = disk.read("00000001.log");
    let starts = bytes.windows(7).enumerate().filter(|(_, window)| *window == b"{\"v\":1,").map(|(at, _)| at);
    let lengths = |start: usize| {
        let mut values =
            serde_json::Deserializer::from_slice(&bytes[start..]).into_iter::<serde_json::Value>();
        values.next().unwrap().unwrap();
        values.byte_offset()
    };
    starts.map(|start| bytes[start..start + lengths(start)].to_vec()).collect()
}

fn plain() -> (Intent, Completion) {
    let action: audit_log::Action = "apps:write".parse().unwrap();
    let actor: Actor = "usr_01HF7YAT00000000000000000A".parse().unwrap();
    let intent =
        Intent::new(actor, action, "org/acme/project/web".parse().unwrap(), UnixTime::from_millis(1_700))
            .with_scope("org/acme/project/web/vcluster/ci".parse().unwrap())
            .unwrap()
            .with_resource(audit_log::event::ResourceId::new("SHA256:abc").unwrap())
            .with_client(
                Client::peer("192.0.2.1".parse().unwrap()).with_forwarded("2001:db8::1".parse().unwrap()),
            )
            .with_user_agent(UserAgent::from_header(b"curl/8.5"))
            .with_request("req_01HF7YAT00000000000000000A".parse().unwrap())
            .with_detail("name", audit_log::Public::text("web").unwrap())
            .unwrap()
            .with_detail("count", 12_u64)
            .unwrap();
    let completion = Completion::denied(Duration::from_micros(80)).with_reason("no role grants it").unwrap();
    (intent, completion.with_detail("again", true).unwrap())
}

#[test]
fn what_is_written_every_day_is_looked_through() {
    let (intent, completion) = plain();
    let entries = written(&intent, &completion);
    assert_eq!(entries.len(), 3);
    for entry in entries {
        assert_eq!(read_entry(b"", &entry), (true, true), "{}", String::from_utf8_lossy(&entry));
    }
    // What is rare is decoded.
    let sealed = Sealed::new("k", [7_u8]).unwrap();
    for rare in [
        plain().0.with_detail("sealed", sealed).unwrap(),
        plain().0.with_detail("secret", Redacted::of("x")).unwrap(),
        plain().0.with_user_agent(UserAgent::from_header(b"\"quoted\"")),
    ] {
        for entry in written(&rare, &completion) {
            assert_eq!(read_entry(b"", &entry), (false, true));
        }
    }
}

#[test]
fn what_was_read_before_makes_no_difference() {
    let (intent, completion) = plain();
    let (other, _) = plain();
    let others = [
        intent.clone().with_client(Client::peer("192.0.2.2".parse().unwrap())),
        intent.clone().with_resource(audit_log::event::ResourceId::new("x").unwrap()),
        other.with_scope("org/acme/project/web".parse().unwrap()).unwrap(),
        Intent::new(
            Actor::System,
            "a:b".parse::<audit_log::Action>().unwrap(),
            "/".parse().unwrap(),
            UnixTime::EPOCH,
        ),
        Intent::new(
            Actor::System,
            "a:b".parse::<audit_log::Action>().unwrap(),
            "/".parse().unwrap(),
            UnixTime::EPOCH,
        )
        .with_user_agent(UserAgent::from_header(b"x")),
    ];
    let all: Vec<Vec<u8>> =
        others.iter().chain([&intent]).flat_map(|intent| written(intent, &completion)).collect();
    for before in &all {
        for entry in &all {
            assert_eq!(read_entry(before, entry), (true, true));
        }
    }
}

#[test]
fn an_entry_with_anything_changed_is_read_the_same_in_both_ways() {
    let (intent, completion) = plain();
    for entry in written(&intent, &completion) {
        let mut taken = 0_u32;
        for at in 0..entry.len() {
            for bit in 0..8 {
                let mut bad = entry.clone();
                bad[at] ^= 1 << bit;
                taken += u32::from(read_entry(&entry, &bad).0);
            }
            let mut bad = entry.clone();
            bad.remove(at);
            taken += u32::from(read_entry(&entry, &bad).0);
            for extra in *b"{}[],:\"\\ 0e.-" {
                let mut bad = entry.clone();
                bad.insert(at, extra);
                taken += u32::from(read_entry(&entry, &bad).0);
            }
            assert!(!read_entry(&entry, &entry[..at]).1, "cut at {at}");
        }
        // Many changes make another entry that is one.
        assert!(taken > 100, "{taken}");
    }
}

#[test]
fn an_array_of_an_objects_fields_is_no_object() {
    let client = r#""client":{"peer":"192.0.2.1"}"#;
    let agent = r#""user_agent":{"text":"x"}"#;
    let intent = format!(
        r#"{{"tenant":"project/web","scope":"project/web","actor":"anonymous","action":"apps:write",{client},{agent},"started_at":1}}"#
    );
    let event = format!(r#"{{"v":1,"kind":"event","at":5,"intent":{intent},"outcome":"denied"}}"#);
    assert_eq!(read_entry(b"", event.as_bytes()), (true, true));
    let bare = r#"["project/web","project/web","anonymous","apps:write",null,null,null,null,1,{}]"#;
    for bad in [
        event.replace(client, r#""client":["192.0.2.1",null]"#),
        event.replace(agent, r#""user_agent":["x",null]"#),
        event.replace(&intent, bare),
        format!(r#"[1,"event",5,null,{intent},"denied",null,null,{{}}]"#),
        event.replace(r#","started_at""#, r#","details":[],"started_at""#),
        event.replace(r#","started_at""#, r#","details":{"a":["k","00"]},"started_at""#),
        event.replace(r#","started_at""#, r#","details":{"a":[true]},"started_at""#),
        format!(" {event}"),
    ] {
        assert_ne!(bad, event);
        assert_eq!(read_entry(event.as_bytes(), bad.as_bytes()), (false, false), "{bad}");
    }
}

#[test]
fn bounds_are_the_same_in_both_ways() {
    let event = |field: &str| {
        format!(
            r#"{{"v":1,"kind":"event","at":5,"intent":{{"tenant":"/","scope":"/","actor":"system","action":"a:b"{field},"started_at":1}},"outcome":"allowed"}}"#
        )
    };
    let text = |length: usize| "x".repeat(length);
    let many = |count: usize, length: usize| {
        let all: Vec<String> = (0..count).map(|n| format!(r#""d{n:03}":"{}""#, text(length))).collect();
        format!(r#","details":{{{}}}"#, all.join(","))
    };
    // As an intent's details stand behind its start, and here before it, these are decoded.
    let late =
        |details: String| event("").replace(r#""started_at":1"#, &format!(r#""started_at":1{details}"#));
    for (good, bad) in [
        (
            event(&format!(r#","resource":"{}""#, text(256))),
            event(&format!(r#","resource":"{}""#, text(257))),
        ),
        (event(r#","resource":"x""#), event(r#","resource":"""#)),
        (
            event(&format!(r#","user_agent":{{"text":"{}"}}"#, text(512))),
            event(&format!(r#","user_agent":{{"text":"{}"}}"#, text(513))),
        ),
        (late(many(32, 1)), late(many(33, 1))),
        (late(many(1, 1024)), late(many(1, 1025))),
        (late(many(15, 1000)), late(many(17, 1000))),
        (late(r#","details":{"a":1,"b":2}"#.into()), late(r#","details":{"a":1,"a":2}"#.into())),
        (
            late(r#","details":{"a":18446744073709551615}"#.into()),
            late(r#","details":{"a":18446744073709551616}"#.into()),
        ),
        (late(r#","details":{"a":0}"#.into()), late(r#","details":{"a":00}"#.into())),
        (late(r#","details":{"a":true}"#.into()), late(r#","details":{"a":truf}"#.into())),
    ] {
        assert!(read_entry(bad.as_bytes(), good.as_bytes()).1, "{good}");
        assert_eq!(read_entry(good.as_bytes(), bad.as_bytes()), (false, false), "{bad:.200}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_is_read_the_same_in_both_ways(intent in arb_intent(), completion in arb_completion()) {
        for entry in written(&intent, &completion) {
            prop_assert!(read_entry(b"", &entry).1);
        }
    }
}
