//! `kill -9` at random moments of joins, of either side, and then convergence.

#![expect(clippy::disallowed_methods, reason = "how long a join takes is measured, to kill within it")]

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::machine::*;
use crate::support::{Server, palisade};

#[test]
fn after_fifty_kills_at_random_moments_every_machine_is_a_member_once() {
    let seed = std::env::var("PALISADE_JOIN_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        u64::from(since.subsec_nanos())
    });
    println!("PALISADE_JOIN_SEED={seed}");
    let mut random = Random(seed | 1);
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_with_joins(folder.path());
    let token = server.admin_token.clone();
    let (ticket, id) = ticket(&server.admin(), KILLS + 1);
    // How long an undisturbed join takes: the moments lie within that, and a little after.
    let first = Machine::new("m-0");
    let began = Instant::now();
    assert_eq!(first.join_by_ticket(&joins_at(&server), &ticket).exit, Some(0));
    let longest = began.elapsed() + Duration::from_millis(10);
    let (mut machines, mut interrupted) = (vec![first], 0_u32);
    for number in 1..=KILLS {
        let machine = Machine::new(&format!("m-{number}"));
        let agent = machine.start(&joins_at(&server), Some(("--ticket-file", &ticket)));
        std::thread::sleep(random.below(longest));
        if random.next().is_multiple_of(2) {
            agent.kill();
            interrupted += u32::from(machine.status()["event"] != "joined");
        } else {
            server.kill();
            drop(agent);
            interrupted += u32::from(machine.status()["event"] != "joined");
            server = Server::start_with_joins(folder.path());
        }
        let ended = machine.join_by_ticket(&joins_at(&server), &ticket);
        assert_eq!(ended.exit, Some(0), "seed {seed}, machine {number}: {ended:?}");
        machines.push(machine);
    }
    let admin = server.client(token.as_deref());
    // Everybody is in, once; one use is counted for each; nothing hangs between.
    let (_, members) = admin.get("/api/v1/members");
    let mut names: Vec<&str> =
        members["items"].as_array().unwrap().iter().map(|member| member["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let mut expected: Vec<String> = machines.iter().map(|machine| machine.name.clone()).collect();
    expected.push("control-plane".into());
    expected.sort();
    assert_eq!(names, expected, "seed {seed}");
    let (_, tickets) = admin.get("/api/v1/join-tickets");
    let ticket = tickets["items"].as_array().unwrap().iter().find(|ticket| ticket["id"] == id).unwrap();
    assert_eq!(ticket["used"], KILLS + 1, "seed {seed}");
    let (_, joins) = admin.get("/api/v1/joins");
    let joined = |record: &Value| record["state"] == "joined";
    assert!(joins["items"].as_array().unwrap().iter().all(joined), "seed {seed}: {joins}");
    for machine in &machines {
        let known = machine.status();
        assert_eq!(
            (&known["event"], &known["cluster"]),
            (&"joined".into(), &members["cluster"]),
            "seed {seed}"
        );
    }
    assert_agreed(&admin, machines.last().unwrap());
    println!("{interrupted} of {KILLS} joins were interrupted before the machine knew that it is a member");
    assert!(interrupted > 5, "the kills came too late to interrupt anything: {interrupted}");
    let audit = folder.path().join("audit");
    assert!(server.stop().0.success());
    let (exit, said, _) = palisade(&["audit", "verify", audit.to_str().unwrap()], b"");
    assert_eq!(exit, 0, "seed {seed}: {said}");
}

/// Marsaglia's xorshift: the same moments for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.next().checked_rem(micros).unwrap_or_default())
    }
}

const KILLS: u32 = 50;
