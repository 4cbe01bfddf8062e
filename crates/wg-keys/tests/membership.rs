//! Records in the store, what counts of them, and what follows.

#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails is a test that fails"
)]

use std::time::Duration;

use core_types::testing::TestRandom;
use core_types::{MachineId, UnixTime};
use proptest::prelude::*;
use state_store::{Entry, Key, MemoryStore, Revision, StateStore as _, Value};
use wg_keys::config::DiffPolicy;
use wg_keys::error::{PskError, PublishError, RecordError, Refusal, TrustError};
use wg_keys::membership::*;
use wg_keys::{MachineState, Prefix, PublicKey, machine_address};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const LIFE: (UnixTime, UnixTime) = (UnixTime::from_secs(1_790_000_000), UnixTime::from_secs(1_810_000_000));

struct Mesh {
    machines: Vec<MachineState>,
    trust: TrustedIdentities,
    store: MemoryStore,
    directory: Directory,
    random: TestRandom,
}

impl Mesh {
    /// Machines that have been admitted, the first with 10.0.0.0/16 and so on, and have announced their keys.
    fn new(count: u8) -> Self {
        let random = TestRandom::seeded(7);
        let mut mesh = Self {
            machines: Vec::new(),
            trust: TrustedIdentities::new(),
            store: MemoryStore::new(),
            directory: Directory::new(),
            random,
        };
        for number in 0..count {
            let id = MachineId::from_bytes([number + 1; 16]);
            let machine = MachineState::generate(id, 51820, &mesh.random).unwrap();
            mesh.trust.admit(id, machine.identity_key(), [subnet(number)]).unwrap();
            mesh.machines.push(machine);
        }
        for number in 0..count {
            let record = mesh.first(number).sign(mesh.machine(number)).unwrap();
            mesh.publish(&record);
        }
        mesh
    }

    fn machine(&self, number: u8) -> &MachineState {
        self.machines.get(usize::from(number)).unwrap()
    }

    fn first(&self, number: u8) -> KeyRecord {
        let machine = self.machine(number);
        let (public, agreement) = (machine.current().public_key(), machine.agreement_public());
        KeyRecord::first(machine.machine(), public, agreement, LIFE)
            .with_endpoints([format!("192.0.2.{number}:51820").parse().unwrap()])
            .with_prefixes([subnet(number)])
    }

    fn publish(&self, record: &SignedRecord) {
        pollster::block_on(publish(&self.store, record)).unwrap();
    }

    fn look(&mut self) -> Report {
        let found = pollster::block_on(load(&self.store)).unwrap();
        self.directory.observe(found, &self.trust, NOW)
    }

    fn newest(&self, number: u8) -> SignedRecord {
        let member = self.directory.member(self.machine(number).machine()).unwrap();
        member.record.signed().clone()
    }

    fn other_key(&self) -> PublicKey {
        wg_keys::PrivateKey::generate(&self.random).unwrap().public_key()
    }

    /// A record that must change nothing.
    fn refused(&mut self, record: &SignedRecord) -> Refusal {
        let _ = self.look();
        let before = format!("{:?}", self.directory.members().collect::<Vec<_>>());
        self.publish(record);
        let mut report = self.look();
        assert_eq!(format!("{:?}", self.directory.members().collect::<Vec<_>>()), before);
        assert_eq!((report.renewed.len(), report.refused.len()), (0, 1), "{report:?}");
        report.refused.remove(0).refusal
    }
}

fn subnet(number: u8) -> Prefix {
    format!("10.{number}.0.0/16").parse().unwrap()
}

#[test]
fn every_machine_comes_to_the_same_directory_and_knows_it_already_the_next_time() {
    let mut mesh = Mesh::new(3);
    let report = mesh.look();
    assert_eq!((report.renewed.len(), report.refused.len(), report.missing.len()), (3, 0, 0));
    assert_eq!(mesh.look(), Report::default());
    let next = KeyRecord::after(&mesh.newest(1), mesh.other_key(), LIFE).sign(mesh.machine(1)).unwrap();
    mesh.publish(&next);
    assert_eq!(mesh.look().renewed, [mesh.machine(1).machine()]);
    assert_eq!(mesh.newest(1), next);
    let mut fresh = Directory::new();
    let report = fresh.observe(pollster::block_on(load(&mesh.store)).unwrap(), &mesh.trust, NOW);
    assert_eq!((report.renewed.len(), report.refused), (3, vec![]), "history is no news");
}

#[test]
fn the_worked_example_is_what_the_documentation_says_byte_by_byte() {
    let id: MachineId = "mch_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D".parse().unwrap();
    let key: PublicKey = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=".parse().unwrap();
    let agreement: PublicKey = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=".parse().unwrap();
    struct Fixed(MachineId);
    impl RecordSigner for Fixed {
        fn machine(&self) -> MachineId {
            self.0
        }
        fn sign(&self, message: &[u8]) -> Result<[u8; 64], RecordError> {
            // The secret key of RFC 8032 §7.1, test 1.
            let seed = unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
            let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
            Ok(pair.sign(message).as_ref().try_into().unwrap())
        }
    }
    let record = KeyRecord::first(id, key, agreement, (UnixTime::from_millis(1), UnixTime::from_millis(2)))
        .with_endpoints(["192.0.2.7:51820".parse().unwrap(), "[2001:db8::1]:51821".parse().unwrap()])
        .with_prefixes(["fd00:1::/32".parse().unwrap(), "10.1.0.0/16".parse().unwrap()])
        .sign(&Fixed(id))
        .unwrap();
    let body = record.as_bytes().split_last_chunk::<64>().unwrap().0;
    let expected = [
        hex(b"palisade/wg-keys/record/v1\0"),
        hex(&id.to_bytes()),
        "0000000000000001".to_owned(),
        hex(&key.to_bytes()),
        "00".repeat(64),
        hex(&agreement.to_bytes()),
        "0000000000000001".to_owned(),
        "0000000000000002".to_owned(),
        "0204c0000207ca6c0620010db8000000000000000000000001ca6d".to_owned(),
        "02040a0100001006fd00000100000000000000000000000020".to_owned(),
    ]
    .concat();
    assert_eq!(hex(body), expected);
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let identity = IdentityKey::from_bytes(unhex(public).try_into().unwrap());
    assert!(record.clone().verify(identity).is_ok());
    // Both computed by other programs from the bytes above: see vectors/README.md.
    let vector = include_str!("vectors/record.txt");
    let said = |name: &str| {
        vector
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("a line of the vector")
            .trim()
            .to_owned()
    };
    assert_eq!(hex(record.as_bytes()), said("record "));
    let next = KeyRecord::after(&record, agreement, LIFE).sign(&Fixed(id)).unwrap();
    assert_eq!(hex(next.as_bytes().get(115..147).unwrap()), said("hash "));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn no_changed_byte_of_a_record_is_taken() {
    let mesh = Mesh::new(1);
    let record = mesh.first(0).sign(mesh.machine(0)).unwrap();
    let identity = mesh.machine(0).identity_key();
    for at in 0..record.as_bytes().len() {
        for bit in 0..8 {
            let mut bytes = record.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            if let Ok(changed) = SignedRecord::parse(&bytes) {
                assert_eq!(changed.verify(identity).unwrap_err(), Refusal::Signature, "byte {at}");
            }
        }
    }
    for len in 0..record.as_bytes().len() {
        assert!(SignedRecord::parse(&record.as_bytes()[..len]).is_err());
    }
    assert!(SignedRecord::parse(&[record.as_bytes(), &[0]].concat()).is_err());
}

#[test]
fn what_has_two_spellings_or_none_is_not_signed() {
    let mesh = Mesh::new(1);
    let sign = |record: KeyRecord| record.sign(mesh.machine(0)).unwrap_err();
    let with = |endpoints: &[&str]| {
        mesh.first(0).with_endpoints(endpoints.iter().map(|endpoint| endpoint.parse().unwrap()))
    };
    assert_eq!(sign(with(&["192.0.2.1:0"])), RecordError::Endpoints);
    assert_eq!(sign(with(&["192.0.2.1:1", "192.0.2.1:1"])), RecordError::Endpoints);
    assert_eq!(sign(with(&["[::ffff:192.0.2.1]:1"])), RecordError::Endpoints);
    assert_eq!(sign(with(&["192.0.2.1:1"; 300])), RecordError::Endpoints);
    let mut record = mesh.first(0);
    record.prefixes = vec![subnet(2), subnet(1)];
    assert_eq!(sign(record), RecordError::Prefixes);
    let mut record = mesh.first(0);
    record.expires = record.not_before;
    assert_eq!(sign(record), RecordError::Dates);
    let mut record = mesh.first(0);
    record.epoch = 2;
    assert_eq!(sign(record), RecordError::Chain);
    let mut record = mesh.first(0);
    record.epoch = 0;
    assert_eq!(sign(record), RecordError::Epoch);
    let mut record = mesh.first(0);
    record.machine = MachineId::from_bytes([9; 16]);
    assert_eq!(sign(record), RecordError::Signer, "a machine speaks for itself alone");
}

#[test]
fn a_record_that_somebody_else_signed_changes_nothing() {
    let mut mesh = Mesh::new(2);
    let _ = mesh.look();
    let mut forged = KeyRecord::after(&mesh.newest(0), mesh.other_key(), LIFE);
    forged.machine = mesh.machine(1).machine();
    let forged = forged.sign(mesh.machine(1)).unwrap();
    let mut bytes = forged.as_bytes().to_vec();
    bytes[27..43].copy_from_slice(&mesh.machine(0).machine().to_bytes());
    let forged = SignedRecord::parse(&bytes).unwrap();
    assert_eq!(mesh.refused(&forged), Refusal::Signature);
}

#[test]
fn a_record_in_another_place_or_of_nobody_or_of_a_revoked_machine_changes_nothing() {
    let mut mesh = Mesh::new(2);
    let _ = mesh.look();
    let next = KeyRecord::after(&mesh.newest(0), mesh.other_key(), LIFE).sign(mesh.machine(0)).unwrap();
    let (zero, one) = (mesh.machine(0).machine(), mesh.machine(1).machine());
    let entry = |key: Key| Entry {
        key,
        value: state_store::record::encode(&next).unwrap(),
        revision: Revision::new(99),
    };
    let observe = |directory: &mut Directory, entry: Entry, trust: &TrustedIdentities| {
        let report = directory.observe([stored(&entry)], trust, NOW);
        assert_eq!(report.renewed, []);
        report.refused.into_iter().map(|refused| refused.refusal).next().unwrap()
    };
    for wrong in [
        record_key(one, 2).unwrap(),
        record_key(zero, 3).unwrap(),
        Key::new(format!("{RECORDS}{zero}/2")).unwrap(),
        Key::new(format!("{RECORDS}web-1")).unwrap(),
    ] {
        assert_eq!(observe(&mut mesh.directory, entry(wrong), &mesh.trust), Refusal::Misplaced);
    }
    let place = record_key(zero, 2).unwrap();
    let nobody = TrustedIdentities::new();
    assert_eq!(observe(&mut mesh.directory, entry(place.clone()), &nobody), Refusal::UnknownMachine);
    mesh.trust.revoke(zero);
    assert_eq!(observe(&mut mesh.directory, entry(place.clone()), &mesh.trust), Refusal::Revoked);
    let garbage = Entry { key: place, value: Value::new("{}").unwrap(), revision: Revision::new(99) };
    assert_eq!(observe(&mut mesh.directory, garbage, &mesh.trust), Refusal::Damaged);
}

#[test]
fn a_store_that_went_back_is_seen_and_changes_nothing() {
    let mut mesh = Mesh::new(2);
    let _ = mesh.look();
    let old = pollster::block_on(load(&mesh.store)).unwrap();
    let next = KeyRecord::after(&mesh.newest(0), mesh.other_key(), LIFE).sign(mesh.machine(0)).unwrap();
    mesh.publish(&next);
    let _ = mesh.look();
    let report = mesh.directory.observe(old, &mesh.trust, NOW);
    assert_eq!(report.refused.len(), 1);
    assert_eq!(report.refused[0].refusal, Refusal::Rollback { known: 2 });
    assert_eq!(mesh.newest(0), next);
    let report = mesh.directory.observe([], &mesh.trust, NOW);
    assert_eq!(report.missing.len(), 2, "an empty store takes nobody away");
    assert_eq!(mesh.directory.members().len(), 2);
}

#[test]
fn old_records_go_and_who_looked_in_time_or_begins_anew_follows() {
    let mut mesh = Mesh::new(2);
    let _ = mesh.look();
    let (zero, mut away) = (mesh.machine(0).machine(), mesh.directory.clone());
    for day in 1..=4 {
        let start = LIFE.0.saturating_add(Duration::from_secs(day * 60));
        let next = KeyRecord::after(&mesh.newest(0), mesh.other_key(), (start, LIFE.1));
        mesh.publish(&next.sign(mesh.machine(0)).unwrap());
        let found = pollster::block_on(load(&mesh.store)).unwrap();
        let _ = mesh.directory.observe(found, &mesh.trust, LIFE.1);
    }
    let prune = |since: u64| {
        let since = LIFE.0.saturating_add(Duration::from_secs(since));
        pollster::block_on(prune(&mesh.store, zero, since)).unwrap()
    };
    // The first has a successor since the first minute, and so on; the two newest stay whatever happens.
    assert_eq!([prune(60), prune(61), prune(61), prune(100_000), prune(100_000)], [0, 1, 0, 2, 0]);
    let found = pollster::block_on(load(&mesh.store)).unwrap();
    let epochs: Vec<_> = found.iter().filter_map(|found| found.place).filter(|(of, _)| *of == zero).collect();
    assert_eq!(epochs, [(zero, 4), (zero, 5)]);
    assert_eq!(mesh.directory.observe(found.clone(), &mesh.trust, LIFE.1), Report::default());
    let report = away.observe(found.clone(), &mesh.trust, LIFE.1);
    assert!(report.refused.iter().any(|refused| refused.refusal == Refusal::Chain { known: 1 }));
    away.forget(zero);
    let _ = away.observe(found.clone(), &mesh.trust, LIFE.1);
    let mut fresh = Directory::new();
    assert_eq!(fresh.observe(found, &mesh.trust, LIFE.1).refused, []);
    for directory in [&away, &fresh] {
        assert_eq!(directory.member(zero).unwrap().record.record().epoch, 5);
    }
}

#[test]
fn a_second_story_and_one_that_does_not_follow_change_nothing() {
    let mut mesh = Mesh::new(2);
    let _ = mesh.look();
    let first = mesh.newest(0);
    let next = KeyRecord::after(&first, mesh.other_key(), LIFE).sign(mesh.machine(0)).unwrap();
    mesh.publish(&next);
    let _ = mesh.look();
    // Another record of epoch 2, which the store would not take beside the first.
    let fork = KeyRecord::after(&first, mesh.other_key(), LIFE).sign(mesh.machine(0)).unwrap();
    assert!(matches!(pollster::block_on(publish(&mesh.store, &fork)), Err(PublishError::Taken)));
    let key = record_key(mesh.machine(0).machine(), 2).unwrap();
    let entry =
        Entry { key, value: state_store::record::encode(&fork).unwrap(), revision: Revision::new(50) };
    let report = mesh.directory.observe([stored(&entry)], &mesh.trust, NOW);
    assert_eq!(report.refused[0].refusal, Refusal::Fork { epoch: 2 });
    // One that follows the fork, and one that leaves an epoch out.
    let after_fork = KeyRecord::after(&fork, mesh.other_key(), LIFE).sign(mesh.machine(0)).unwrap();
    assert_eq!(mesh.refused(&after_fork), Refusal::Chain { known: 2 });
}

#[test]
fn the_key_of_another_machine_present_or_past_changes_nothing() {
    let mut mesh = Mesh::new(3);
    let _ = mesh.look();
    let (old, own) = (mesh.newest(0).record().public, mesh.machine(0).machine());
    let next = KeyRecord::after(&mesh.newest(0), mesh.other_key(), LIFE).sign(mesh.machine(0)).unwrap();
    mesh.publish(&next);
    let _ = mesh.look();
    for (thief, key) in [(1, next.record().public), (2, old)] {
        let theft = KeyRecord::after(&mesh.newest(thief), key, LIFE).sign(mesh.machine(thief)).unwrap();
        let before = mesh.newest(thief);
        mesh.publish(&theft);
        let report = mesh.look();
        assert!(
            report.refused.iter().any(|refused| refused.refusal == Refusal::KeyOfAnother { holder: own })
        );
        assert_eq!(mesh.newest(thief), before);
    }
    // Who sees all of it for the first time comes to the same: who wrote a key first has it.
    let mut fresh = Directory::new();
    let report = fresh.observe(pollster::block_on(load(&mesh.store)).unwrap(), &mesh.trust, NOW);
    assert_eq!((report.refused.len(), fresh.member(own).unwrap().record.signed()), (2, &next));
}

#[test]
fn the_prefix_of_another_machine_or_within_it_changes_nothing() {
    let mut mesh = Mesh::new(2);
    let _ = mesh.look();
    let (thief, victim) = (0, mesh.machine(1).machine());
    let address = Prefix::host(machine_address(victim).into());
    let mut epoch = 1;
    for prefix in [subnet(1), "10.1.7.0/24".parse().unwrap(), address] {
        let mesh_before = mesh.newest(thief);
        let theft = KeyRecord::after(&mesh_before, mesh.other_key(), LIFE).with_prefixes([prefix]);
        let theft = theft.sign(mesh.machine(thief)).unwrap();
        let key = record_key(mesh.machine(thief).machine(), 2).unwrap();
        epoch += 1;
        let value = state_store::record::encode(&theft).unwrap();
        let entry = Entry { key, value, revision: Revision::new(40 + epoch) };
        let report = mesh.directory.observe([stored(&entry)], &mesh.trust, NOW);
        assert_eq!(report.refused[0].refusal, Refusal::PrefixOfAnother { prefix, holder: victim });
        assert_eq!(mesh.newest(thief), mesh_before);
    }
    let wide = KeyRecord::after(&mesh.newest(thief), mesh.other_key(), LIFE);
    let wide = wide.with_prefixes(["0.0.0.0/0".parse().unwrap()]).sign(mesh.machine(thief)).unwrap();
    assert_eq!(
        mesh.refused(&wide),
        Refusal::PrefixNotGranted { prefix: "0.0.0.0/0".parse().unwrap() },
        "what nobody was given is nobody's"
    );
}

#[test]
fn a_record_of_the_future_waits_for_its_time() {
    let mut mesh = Mesh::new(1);
    let _ = mesh.look();
    let later = (NOW.saturating_add(Duration::from_secs(60)), LIFE.1);
    let record = KeyRecord::after(&mesh.newest(0), mesh.other_key(), later).sign(mesh.machine(0)).unwrap();
    assert_eq!(mesh.refused(&record), Refusal::NotYet);
    let found = pollster::block_on(load(&mesh.store)).unwrap();
    assert_eq!(mesh.directory.observe(found, &mesh.trust, later.0).renewed.len(), 1);
}

#[test]
fn identities_prefixes_and_revocations_are_not_handed_out_twice() {
    let mut mesh = Mesh::new(2);
    let (a, b) = (mesh.machine(0).machine(), mesh.machine(1).machine());
    let identity = mesh.machine(0).identity_key();
    let new = MachineId::from_bytes([77; 16]);
    let key = IdentityKey::from_bytes([5; 32]);
    assert_eq!(mesh.trust.admit(a, key, []), Err(TrustError::Known { machine: a }));
    assert_eq!(mesh.trust.admit(new, identity, []), Err(TrustError::IdentityTaken { holder: a }));
    let taken = TrustError::PrefixTaken { prefix: subnet(1), holder: b };
    assert_eq!(mesh.trust.admit(new, key, [subnet(1)]), Err(taken));
    mesh.trust.revoke(a);
    assert_eq!(mesh.trust.admit(a, identity, []), Err(TrustError::Revoked { machine: a }));
    assert_eq!(mesh.trust.holder("10.0.4.0/24".parse().unwrap()), Some(a));
    assert_eq!(mesh.trust.standing(a), Standing::Revoked);
}

fn desired(mesh: &Mesh, number: u8, now: UnixTime) -> Desired {
    let schedule = PskSchedule::new(Duration::from_secs(3600)).unwrap();
    let soon = Duration::from_secs(86_400);
    mesh.directory.desired(mesh.machine(number), &mesh.trust, Some(schedule), 25, (now, soon)).unwrap()
}

#[test]
fn both_ends_of_a_pair_come_to_the_same_preshared_key_and_no_other_pair_does() {
    let mut mesh = Mesh::new(3);
    let _ = mesh.look();
    let all: Vec<_> = (0..3).map(|number| desired(&mesh, number, NOW)).collect();
    let key = |from: u8, to: u8| {
        let peer = all[usize::from(from)].interface.peer(mesh.newest(to).record().public).unwrap();
        *peer.preshared_key().unwrap().expose_secret()
    };
    assert_eq!((key(0, 1), key(0, 2), key(1, 2)), (key(1, 0), key(2, 0), key(2, 1)));
    assert!(key(0, 1) != key(0, 2) && key(0, 1) != key(1, 2));
    let later = desired(&mesh, 0, NOW.saturating_add(Duration::from_secs(3600)));
    let next = later.interface.peer(mesh.newest(1).record().public).unwrap();
    assert_ne!(*next.preshared_key().unwrap().expose_secret(), key(0, 1));
    // The store has the agreement keys, and no preshared key.
    let page = pollster::block_on(mesh.store.scan(&state_store::Prefix::all(), None, 100)).unwrap();
    assert!(page.entries.iter().all(|entry| {
        let value = entry.value.as_bytes();
        !value.windows(32).any(|window| window == key(0, 1))
    }));
    let own = mesh.machine(0);
    assert_eq!(own.preshared_key(own.machine(), own.agreement_public(), 1).unwrap_err(), PskError::Oneself);
}

#[test]
fn preshared_keys_change_on_the_hour_and_not_too_often() {
    assert!(PskSchedule::new(Duration::from_secs(299)).is_err());
    let schedule = PskSchedule::new(Duration::from_secs(3600)).unwrap();
    let change = schedule.next_change(NOW);
    assert_eq!(change.as_secs() % 3600, 0);
    assert!(change > NOW && change.saturating_since(NOW) <= Duration::from_secs(3600));
    assert_eq!(schedule.epoch(change), schedule.epoch(NOW) + 1);
    assert_eq!(schedule.epoch(change.saturating_sub(Duration::from_millis(1))), schedule.epoch(NOW));
    // No gate from a minute before what it takes, to a minute after the change.
    let minute = Duration::from_secs(60);
    let settled = |at| schedule.is_settled(at, Duration::from_secs(10));
    assert!(settled(change.saturating_add(minute)));
    assert!(!settled(change.saturating_add(minute).saturating_sub(Duration::from_millis(1))));
    assert!(!settled(change) && !settled(change.saturating_sub(Duration::from_secs(70))));
    assert!(settled(change.saturating_sub(Duration::from_millis(70_001))));
}

#[test]
fn a_machine_whose_record_has_expired_stays_a_peer_and_is_spoken_of() {
    let mut mesh = Mesh::new(2);
    let _ = mesh.look();
    let other = mesh.machine(1).machine();
    let warned = |now| {
        let desired = desired(&mesh, 0, now);
        assert_eq!(desired.interface.peers().len(), 1, "the last key that works is kept");
        desired.warnings
    };
    assert_eq!(warned(NOW), []);
    let soon = LIFE.1.saturating_sub(Duration::from_secs(3600));
    assert!(warned(soon).contains(&Warning::ExpiresSoon { machine: other, expires: LIFE.1 }));
    assert!(warned(LIFE.1).contains(&Warning::Expired { machine: other, expires: LIFE.1 }));
}

#[test]
fn a_revoked_machine_is_cut_by_every_key_it_had_and_one_that_rotated_is_not() {
    let mut mesh = Mesh::new(3);
    let _ = mesh.look();
    let before = desired(&mesh, 0, NOW).interface;
    let next = KeyRecord::after(&mesh.newest(1), mesh.other_key(), LIFE).sign(mesh.machine(1)).unwrap();
    mesh.publish(&next);
    let _ = mesh.look();
    assert!(mesh.directory.cut(&before, &mesh.trust).is_empty(), "who rotated drains");
    mesh.trust.revoke(mesh.machine(1).machine());
    mesh.trust.revoke(mesh.machine(2).machine());
    let cut = mesh.directory.cut(&before, &mesh.trust);
    assert_eq!(cut.touched().len(), 2, "though nobody would be left");
    let after = desired(&mesh, 0, NOW).interface;
    assert_eq!(after.peers().len(), 0);
    assert!(before.diff(&after, DiffPolicy::new()).is_err(), "a list without peers is taken for a mistake");
}

#[test]
fn peers_have_their_address_their_subnet_and_their_endpoint() {
    let mut mesh = Mesh::new(2);
    let _ = mesh.look();
    let desired = desired(&mesh, 0, NOW);
    let peer = desired.interface.peer(mesh.newest(1).record().public).unwrap();
    let address = Prefix::host(machine_address(mesh.machine(1).machine()).into());
    assert_eq!(peer.allowed_ips().iter().copied().collect::<Vec<_>>(), [subnet(1), address]);
    assert_eq!(peer.endpoint(), Some("192.0.2.1:51820".parse().unwrap()));
    assert_eq!((peer.keepalive_secs(), desired.overlaps.len()), (25, 0));
}

#[test]
fn a_machine_that_has_not_announced_its_key_is_told() {
    let mut mesh = Mesh::new(2);
    let _ = mesh.look();
    mesh.machines[0].prepare(&mesh.random).unwrap();
    mesh.machines[0].activate().unwrap();
    assert!(desired(&mesh, 0, NOW).warnings.contains(&Warning::NotAnnounced));
}

#[test]
fn an_array_is_no_record() {
    let key = record_key(MachineId::from_bytes([1; 16]), 1).unwrap();
    let value = Value::new(r#"["wg-keys/key-record",1,"AAAA"]"#).unwrap();
    let found = stored(&Entry { key, value, revision: Revision::new(1) });
    assert_eq!(found.record.unwrap_err(), Refusal::Damaged);
}

proptest! {
    #[test]
    fn what_is_parsed_is_written_the_same(
        epoch in 2_u64..1000, count in 0_usize..8, subnets in proptest::collection::btree_set(0_u8..255, 0..8),
        dates in (0_u64..1 << 40, 1_u64..1 << 40),
    ) {
        let random = TestRandom::seeded(1);
        let machine = MachineState::generate(MachineId::from_bytes([3; 16]), 1, &random).unwrap();
        let life = (UnixTime::from_millis(dates.0), UnixTime::from_millis(dates.0 + dates.1));
        let public = machine.current().public_key();
        let first = KeyRecord::first(machine.machine(), public, machine.agreement_public(), life);
        let mut record = KeyRecord::after(&first.sign(&machine).unwrap(), public, life)
            .with_endpoints((0..count).map(|number| format!("[2001:db8::{number}]:7").parse().unwrap()))
            .with_prefixes(subnets.into_iter().map(subnet));
        record.epoch = epoch;
        let signed = record.clone().sign(&machine).unwrap();
        prop_assert_eq!(signed.record(), &record);
        prop_assert_eq!(SignedRecord::parse(signed.as_bytes()).unwrap(), signed.clone());
        prop_assert!(signed.verify(machine.identity_key()).is_ok());
    }
}
