//! Plans, the round in the store, schedules, and what the audit log is told.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeMap;
use std::time::Duration;

use core_types::{MachineId, UnixTime};
use state_store::{Batch, Key, MemoryStore, StateStore as _, Value, Write};
use wg_keys::error::{PlanError, RoundError};
use wg_keys::rotation::*;

const NOW: UnixTime = UnixTime::from_secs(1_000_000);

fn id(number: u8) -> MachineId {
    MachineId::from_bytes([number; 16])
}

fn path(packets_per_second: u32, round_trip_ms: u64, poll_ms: u64) -> Path {
    Path {
        peer: id(2),
        second_port: false,
        strict_reverse_path: false,
        packets_per_second,
        round_trip: Duration::from_millis(round_trip_ms),
        poll: Duration::from_millis(poll_ms),
    }
}

fn pair(path: Path) -> PairPlan {
    *Plan::new(id(1), &[path]).unwrap().pairs().first().unwrap()
}

#[test]
fn a_second_port_costs_nothing_and_a_strict_reverse_path_filter_forbids_it() {
    let free = pair(Path { second_port: true, ..path(1_000_000, 500, 500) });
    assert_eq!((free.procedure, free.stall, free.predicted_loss), (Procedure::BlueGreen, Duration::ZERO, 0));
    let strict = pair(Path { second_port: true, strict_reverse_path: true, ..path(1000, 1, 5) });
    assert_ne!(strict.procedure, Procedure::BlueGreen);
}

#[test]
fn the_loss_of_a_gate_is_rate_times_stall_less_what_is_staged() {
    // 4,000 packets/s, round trip and poll of 20 ms: 70 ms of stall are 280 packets, of which 128 wait.
    let gate = pair(path(4000, 20, 20));
    assert_eq!(gate.procedure, Procedure::PskGate);
    assert!(gate.predicted_loss.abs_diff(152) <= 1, "{gate:?}");
    // A poll that is short beside the round trip lets the open gate do it: 80 packets, all of them staged.
    let open = pair(path(4000, 20, 5));
    assert_eq!((open.procedure, open.predicted_loss), (Procedure::OpenGate, 0));
    // In a local network, where the first packet is faster than any poll: 7.5 packets.
    let local = pair(path(1000, 1, 5));
    assert_eq!((local.procedure, local.predicted_loss), (Procedure::PskGate, 0));
}

#[test]
fn a_key_for_many_peers_stalls_all_of_them() {
    let paths: Vec<_> = (2..=200).map(|number| Path { peer: id(number), ..path(1000, 1, 5) }).collect();
    let plan = Plan::new(id(1), &paths).unwrap();
    let least = KEY_CHANGE_PER_PEER * 199;
    assert!(plan.pairs().iter().all(|pair| pair.stall >= least));
}

#[test]
fn what_costs_is_not_promised_and_what_has_one_interface_is_not_for_the_mesh() {
    let costs =
        Plan::new(id(1), &[path(4000, 20, 20), Path { peer: id(3), second_port: true, ..path(1, 1, 1) }]);
    let costs = costs.unwrap();
    assert!(matches!(costs.clone().promise(), Err(PlanError::Costs { packets: 150..=154, pairs: 1 })));
    assert_eq!(costs.for_mesh(), Err(PlanError::NoSecondInterface { machine: id(2) }));
    let free = Plan::new(id(1), &[Path { second_port: true, ..path(4000, 20, 20) }]).unwrap();
    assert_eq!(free.clone().promise().unwrap().for_mesh(), Ok(free));
    assert_eq!(Plan::new(id(2), &[path(1, 1, 1)]), Err(PlanError::Paths { machine: id(2) }));
    assert_eq!(Plan::new(id(1), &[path(1, 1, 1); 2]), Err(PlanError::Paths { machine: id(2) }));
}

#[test]
fn every_pair_has_one_initiator_that_both_ends_name() {
    let life = (NOW, NOW.saturating_add(Duration::from_secs(60)));
    let gates = BTreeMap::from([(id(2), Procedure::OpenGate), (id(3), Procedure::PskGate)]);
    let single = Round::single(id(4), (1..=4).map(id), gates, life, Laggards::Wait);
    let mesh = Round::mesh((1..=4).map(id), life, Laggards::Wait);
    for (one, other) in [(1, 4), (2, 4), (3, 4), (1, 2)] {
        for round in [&single, &mesh] {
            let (one, other) = (id(one), id(other));
            assert_eq!(round.initiator(one, other), round.initiator(other, one));
            assert_eq!(round.procedure(one, other), round.procedure(other, one));
        }
    }
    assert_eq!(single.initiator(id(4), id(1)), id(1), "the one that does not rotate");
    assert_eq!(single.initiator(id(4), id(2)), id(4), "but for the open gate");
    assert_eq!(mesh.initiator(id(4), id(1)), id(1));
    assert!(
        single.concerns(id(1), id(4)) && !single.concerns(id(1), id(2)) && !single.concerns(id(9), id(4))
    );
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    pollster::block_on(future)
}

fn round() -> Round {
    Round::mesh([id(1), id(2)], (NOW, NOW.saturating_add(Duration::from_secs(60))), Laggards::Wait)
}

#[test]
fn one_rotation_is_under_way_at_a_time_and_is_decided_once() {
    let store = MemoryStore::new();
    assert!(matches!(wait(abort(&store)), Err(RoundError::Nothing)));
    assert_eq!(wait(begin(&store, round())).unwrap(), 1);
    assert!(matches!(wait(begin(&store, round())), Err(RoundError::Busy)));
    assert!(wait(decide_phase(&store, 1, Phase::Ended)).is_err(), "not before it was decided");
    wait(decide_phase(&store, 1, Phase::Committed)).unwrap();
    wait(decide_phase(&store, 1, Phase::Committed)).unwrap();
    assert!(matches!(wait(abort(&store)), Err(RoundError::Committed)));
    assert!(wait(decide_phase(&store, 1, Phase::Aborted)).is_err());
    assert!(wait(decide_phase(&store, 2, Phase::Ended)).is_err());
    wait(decide_phase(&store, 1, Phase::Ended)).unwrap();
    assert!(wait(decide_phase(&store, 1, Phase::Moving)).is_err());
    assert_eq!(wait(begin(&store, round())).unwrap(), 2);
    wait(abort(&store)).unwrap();
    wait(abort(&store)).unwrap();
    assert!(wait(decide_phase(&store, 2, Phase::Committed)).is_err());
}

#[test]
fn a_lease_whose_machine_is_gone_becomes_free_after_it_was_aborted() {
    let store = MemoryStore::new();
    wait(begin(&store, round())).unwrap();
    let later = NOW.saturating_add(Duration::from_secs(120));
    let next =
        || Round { started: later, deadline: later.saturating_add(Duration::from_secs(60)), ..round() };
    let early = Round { started: NOW.saturating_add(Duration::from_secs(119)), ..round() };
    assert!(wait(begin(&store, early)).is_err());
    assert_eq!(wait(current(&store)).unwrap().unwrap().0.phase, Phase::Moving);
    assert!(wait(begin(&store, next())).is_err());
    assert_eq!(wait(current(&store)).unwrap().unwrap().0.phase, Phase::Aborted);
    assert!(wait(begin(&store, next())).is_err());
    assert_eq!(wait(begin(&store, next())).unwrap(), 2);
}

#[test]
fn what_is_no_round_is_not_taken_for_none() {
    let store = MemoryStore::new();
    for bad in ["{}", r#"["wg-keys/round",1,[]]"#, r#"{"kind":"wg-keys/round","version":1,"data":[1]}"#] {
        let mut batch = Batch::new();
        batch.write(Key::new(ROUND_KEY).unwrap(), Write::Put(Value::new(bad).unwrap())).unwrap();
        let _ = wait(store.commit(batch)).unwrap();
        assert!(matches!(wait(begin(&store, round())), Err(RoundError::Damaged)), "{bad}");
    }
}

#[test]
fn machines_rotate_apart_from_one_another_and_before_their_records_expire() {
    let day = Duration::from_secs(86_400);
    let schedule = RotationSchedule::new(day * 7, day);
    let life = (NOW, NOW.saturating_add(day * 30));
    let due: Vec<_> = (1..50).map(|number| schedule.due(id(number), 3, life)).collect();
    assert!(due.iter().all(|due| (day * 6..=day * 7).contains(&due.saturating_since(NOW))));
    let apart: std::collections::BTreeSet<_> = due.iter().map(|due| due.as_secs() / 600).collect();
    assert!(apart.len() > 30, "{}", apart.len());
    assert_eq!(schedule.due(id(1), 3, life), schedule.due(id(1), 3, life));
    let short = (NOW, NOW.saturating_add(day));
    assert!(
        schedule.due(id(1), 3, short) <= NOW.saturating_add(day * 3 / 4),
        "early, whatever the schedule says"
    );
}

#[test]
fn the_audit_log_has_a_time_for_each_step_of_each_pair() {
    let key = wg_keys::PrivateKey::clamped_from(&mut [1; 32]).public_key();
    let view = View {
        own: id(1),
        keys: Keys { current: key, pending: None, previous: None },
        round: Some(Round { number: 7, ..round() }),
        announced: BTreeMap::from([(id(2), Announced { epoch: 1, key, previous: None })]),
        progress: BTreeMap::new(),
        lanes: BTreeMap::new(),
        routes: BTreeMap::new(),
    };
    let mut timeline = Timeline::new();
    let at = |secs| NOW.saturating_add(Duration::from_secs(secs));
    let actions = [
        Action::AddPeer { lane: 1, peer: id(2), key, initiate: true },
        Action::Route { peer: id(2), lane: 1 },
        Action::RemovePeer { lane: 0, key },
    ];
    for (action, secs) in actions.iter().zip(1..) {
        timeline.record(&Event::of(&view, action, at(secs)));
        timeline.record(&Event::of(&view, action, at(90)));
    }
    let pairs: Vec<_> = timeline.pairs().collect();
    let (peer, times) = pairs.first().unwrap();
    assert_eq!((pairs.len(), *peer), (1, id(2)));
    assert_eq!((times.added, times.moved, times.removed), (Some(at(1)), Some(at(2)), Some(at(3))));
    let event = serde_json::to_value(Event::of(&view, &Action::Erase, NOW)).unwrap();
    let expected = serde_json::json!({
        "at": NOW.as_millis(), "machine": id(1).to_string(), "round": 7, "step": "erased"
    });
    assert_eq!(event, expected);
}
