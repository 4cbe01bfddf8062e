//! The members' chain: what is accepted, what is refused, what is noticed.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeMap;
use std::sync::Arc;

use join_hmac::error::{MemberError, TrustError};
use join_hmac::testing::machine;
use join_hmac::trust::{
    Certificate, Change, ClusterId, Entry, ForkEvidence, Identity, Member, MemberEntry, Standing, TrustStore,
};
use proptest::prelude::*;

struct World {
    alpha: Arc<Identity>,
    store: TrustStore,
    log: Vec<Entry>,
}

impl World {
    fn new() -> Self {
        let (alpha, entry) = machine("alpha", "control");
        let (store, first) = TrustStore::found(ClusterId::from_bytes([1; 16]), entry, &alpha).unwrap();
        Self { alpha, store, log: vec![first] }
    }

    fn apply(&mut self, change: Change, by: &Identity) -> Result<(), TrustError> {
        let entry = self.store.sign(change, by.key())?;
        self.store = self.store.apply(&entry)?;
        self.log.push(entry);
        Ok(())
    }

    fn add(&mut self, name: &str) -> Arc<Identity> {
        let (identity, entry) = machine(name, "worker");
        let alpha = Arc::clone(&self.alpha);
        self.apply(Change::Add(entry), &alpha).unwrap();
        identity
    }
}

fn certificate(text: &str) -> Certificate {
    Certificate::new(text.as_bytes()).unwrap()
}

#[test]
fn a_chain_read_by_another_leads_to_the_same_state_root_and_bytes() {
    let mut world = World::new();
    let beta = world.add("beta");
    world.add("gamma");
    let id = world.store.member_named("beta").unwrap().entry().id();
    world.apply(Change::Rotate { member: id, next: certificate("beta 2") }, &beta).unwrap();
    world.apply(Change::Retire { member: id }, &beta).unwrap();
    let (first, rest) = world.log.split_first().unwrap();
    let read: Vec<Entry> = rest.iter().map(|entry| Entry::from_bytes(&entry.to_bytes()).unwrap()).collect();
    let other = TrustStore::from_first(first).unwrap().apply_all(&read).unwrap();
    assert_eq!(other, world.store);
    assert_eq!(other.root(), world.store.root());
    assert_eq!(other.state_id(), world.store.state_id());
    let from_bytes = TrustStore::from_snapshot(&world.store.to_snapshot()).unwrap();
    assert_eq!(from_bytes.state_id(), world.store.state_id());
    assert_eq!(from_bytes.to_snapshot(), world.store.to_snapshot());
}

#[test]
fn a_rotation_overlaps_and_ends_with_a_tombstone() {
    let mut world = World::new();
    let beta = world.add("beta");
    let id = world.store.member_named("beta").unwrap().entry().id();
    let (old, new) = (beta.certificate().fingerprint(), certificate("beta 2").fingerprint());
    assert_eq!(world.store.standing(&new), Standing::Unknown);
    let early = world.apply(Change::Retire { member: id }, &beta);
    assert_eq!(early, Err(TrustError::NothingToRetire));
    world.apply(Change::Rotate { member: id, next: certificate("beta 2") }, &beta).unwrap();
    assert_eq!(world.store.standing(&old), Standing::Current(id));
    assert_eq!(world.store.standing(&new), Standing::Next(id));
    let alpha = Arc::clone(&world.alpha);
    world.apply(Change::Retire { member: id }, &alpha).unwrap();
    assert_eq!(world.store.standing(&old), Standing::Dead);
    assert_eq!(world.store.standing(&new), Standing::Current(id));
    let back = world.apply(Change::Rotate { member: id, next: beta.certificate().clone() }, &beta);
    assert_eq!(back, Err(TrustError::Dead), "a fingerprint never comes back");
}

#[test]
fn only_the_member_itself_rotates_its_certificate() {
    let mut world = World::new();
    world.add("beta");
    let id = world.store.member_named("beta").unwrap().entry().id();
    let alpha = Arc::clone(&world.alpha);
    let refused = world.apply(Change::Rotate { member: id, next: certificate("x") }, &alpha);
    assert_eq!(refused, Err(TrustError::Author));
}

#[test]
fn a_revoked_member_is_dead_for_ever_by_every_name_it_had() {
    let mut world = World::new();
    let beta = world.add("beta");
    let id = world.store.member_named("beta").unwrap().entry().id();
    world.apply(Change::Rotate { member: id, next: certificate("beta 2") }, &beta).unwrap();
    let alpha = Arc::clone(&world.alpha);
    world.apply(Change::Revoke { member: id }, &alpha).unwrap();
    for fingerprint in [beta.certificate().fingerprint(), certificate("beta 2").fingerprint()] {
        assert_eq!(world.store.standing(&fingerprint), Standing::Dead);
    }
    let again = world.apply(Change::Add(machine("beta", "worker").1), &alpha);
    assert_eq!(again, Err(TrustError::Dead));
    // With a new certificate and the old key it is dead too.
    let seed = core_types::SecretBytes::take_from(&mut beta.key().expose_seed().clone());
    let key = join_hmac::trust::MemberKey::from_seed(seed).unwrap();
    let disguised = Identity::new(key, certificate("another"));
    let entry = MemberEntry::new("delta", "worker", &[], &disguised).unwrap();
    assert_eq!(world.apply(Change::Add(entry), &alpha), Err(TrustError::Dead));
    // And it signs nothing any more.
    assert_eq!(world.apply(Change::Add(machine("delta", "worker").1), &beta), Err(TrustError::Author));
}

#[test]
fn names_keys_and_certificates_are_one_members() {
    let mut world = World::new();
    let beta = world.add("beta");
    let alpha = Arc::clone(&world.alpha);
    assert_eq!(world.apply(Change::Add(machine("beta", "worker").1), &alpha), Err(TrustError::AlreadyMember));
    let (gamma, _) = machine("gamma", "worker");
    let named = MemberEntry::new("beta", "worker", &[], &gamma).unwrap();
    assert_eq!(world.apply(Change::Add(named), &alpha), Err(TrustError::NameTaken));
    let (_, other) = machine("delta", "worker");
    let seed = core_types::SecretBytes::take_from(&mut gamma.key().expose_seed().clone());
    let key = join_hmac::trust::MemberKey::from_seed(seed).unwrap();
    let same_certificate = Identity::new(key, beta.certificate().clone());
    let entry = MemberEntry::new("epsilon", "worker", &[], &same_certificate).unwrap();
    assert_eq!(world.apply(Change::Add(entry), &alpha), Err(TrustError::AlreadyMember));
    assert!(world.apply(Change::Add(other), &alpha).is_ok());
}

#[test]
fn the_last_member_stays() {
    let mut world = World::new();
    let alpha = Arc::clone(&world.alpha);
    let id = world.store.member_named("alpha").unwrap().entry().id();
    assert_eq!(world.apply(Change::Revoke { member: id }, &alpha), Err(TrustError::LastMember));
}

#[test]
fn an_entry_of_another_cluster_place_or_author_is_refused() {
    let mut world = World::new();
    let before = world.store.clone();
    world.add("beta");
    let (stranger, _) = machine("mallory", "worker");
    let entry = world.log.last().unwrap();
    assert_eq!(world.store.apply(entry).unwrap_err(), TrustError::Chain, "twice");
    let (_, other) = machine("alpha", "control");
    let (elsewhere, _) = TrustStore::found(ClusterId::from_bytes([2; 16]), other, &world.alpha).unwrap();
    assert_eq!(elsewhere.apply(entry).unwrap_err(), TrustError::Cluster);
    let change = Change::Add(machine("delta", "worker").1);
    assert_eq!(before.sign(change, stranger.key()).unwrap_err(), TrustError::Author);
}

#[test]
fn a_fork_is_evidence_and_neither_side_is_taken_after_the_other() {
    let mut world = World::new();
    let before = world.store.clone();
    world.add("beta");
    let other = before.sign(Change::Add(machine("gamma", "worker").1), world.alpha.key()).unwrap();
    let TrustError::Fork(evidence) = world.store.apply(&other).unwrap_err() else { panic!("no fork") };
    assert!(evidence.concerns(&before));
    assert_eq!(evidence.entries().1, &other);
    assert_eq!(ForkEvidence::between(&other, &other), None);
    let first = world.log.first().unwrap();
    assert_eq!(ForkEvidence::between(first, &other), None, "another place");
    // A stranger's entry, or one with a broken signature, is no evidence against anyone.
    let mut bytes = other.to_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = Entry::from_bytes(&bytes).unwrap();
    assert_eq!(ForkEvidence::between(world.log.last().unwrap(), &forged), None);
    assert_eq!(world.store.apply(&forged).unwrap_err(), TrustError::Signature);
}

#[test]
fn a_member_that_is_down_keeps_nobody_from_joining_and_is_named() {
    let mut world = World::new();
    world.add("beta");
    world.add("gamma");
    let ids: Vec<_> = world.store.members().map(|member| member.entry().id()).collect();
    let mut acknowledged: BTreeMap<_, _> = ids.iter().map(|id| (*id, world.store.epoch())).collect();
    assert_eq!(world.store.lagging(&acknowledged).count(), 0);
    world.add("delta");
    let delta = world.store.member_named("delta").unwrap().entry().id();
    let down = *ids.last().unwrap();
    for id in world.store.members().map(|member| member.entry().id()).filter(|id| *id != down) {
        acknowledged.insert(id, world.store.epoch());
    }
    assert_eq!(world.store.lagging(&acknowledged).collect::<Vec<_>>(), [down]);
    assert!(world.store.member(&delta).is_some());
}

#[test]
fn an_inclusion_proof_holds_for_its_member_and_root_alone() {
    let mut world = World::new();
    for name in ["beta", "gamma", "delta", "epsilon", "zeta"] {
        world.add(name);
        let root = world.store.root();
        let members: Vec<&Member> = world.store.members().collect();
        for member in &members {
            let proof = world.store.prove(&member.entry().id()).unwrap();
            for other in &members {
                assert_eq!(proof.proves(other, &root), member == other);
            }
            assert!(!proof.proves(member, &join_hmac::trust::Root::from_bytes([0; 32])));
        }
    }
}

#[test]
fn names_addresses_and_certificates_are_bounded() {
    let (identity, _) = machine("x", "worker");
    for name in ["", "A", "-a", "a-", ".a", "a b", "a/b", "é", &"a".repeat(64)] {
        assert_eq!(
            MemberEntry::new(name, "worker", &[], &identity).unwrap_err(),
            MemberError::Name,
            "{name}"
        );
        assert_eq!(MemberEntry::new("x", name, &[], &identity).unwrap_err(), MemberError::Name, "{name}");
    }
    for address in ["", "a b", "a\n", &"a".repeat(65)] {
        let refused = MemberEntry::new("x", "worker", &[address], &identity);
        assert_eq!(refused.unwrap_err(), MemberError::Address);
    }
    assert!(MemberEntry::new("x", "worker", &["a"; 9], &identity).is_err());
    assert!(MemberEntry::new("a.b-c.9", "worker", &["[2001:db8::1]:8443"; 8], &identity).is_ok());
    assert!(Certificate::new(&[]).is_err());
    assert!(Certificate::new(&[0; 2049]).is_err());
    assert!(Certificate::new(&[0; 2048]).is_ok());
}

proptest! {
    #[test]
    fn any_flipped_bit_of_an_entry_or_a_snapshot_is_refused_or_says_something_else(flip in any::<usize>()) {
        let mut world = World::new();
        let before = world.store.clone();
        world.add("beta");
        let entry = world.log.last().unwrap();
        let mut bytes = entry.to_bytes();
        let at = flip.checked_div(8).unwrap().checked_rem(bytes.len()).unwrap();
        *bytes.get_mut(at).unwrap() ^= 1 << (flip & 7);
        if let Ok(changed) = Entry::from_bytes(&bytes) {
            prop_assert_eq!(changed.to_bytes(), bytes);
            prop_assert!(before.apply(&changed).is_err());
        }
        let mut bytes = world.store.to_snapshot();
        let at = flip.checked_div(8).unwrap().checked_rem(bytes.len()).unwrap();
        *bytes.get_mut(at).unwrap() ^= 1 << (flip & 7);
        if let Ok(changed) = TrustStore::from_snapshot(&bytes) {
            prop_assert_eq!(changed.to_snapshot(), bytes);
            prop_assert_ne!(changed.state_id(), world.store.state_id());
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Entry::from_bytes(&bytes);
        let _ = TrustStore::from_snapshot(&bytes);
        let _ = MemberEntry::from_bytes(&bytes);
        let _ = join_hmac::ticket::TicketRecord::from_bytes(&bytes);
        let _ = join_hmac::join::JoinerRecord::from_bytes(&bytes);
        let _ = join_hmac::join::InitiatorRecord::from_bytes(&bytes);
    }
}
