//! The cluster's records in a store: batches that take effect together, conflicts, damage.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

use core::time::Duration;
use std::sync::Arc;

use core_types::SystemRandom;
use join_hmac::cluster::Cluster;
use join_hmac::error::ClusterError;
use join_hmac::join::{
    Approval, AwaitInstalled, Challenged, Decided, HelloOutcome, Initiator, InitiatorRecord, JoinSecret,
    Joiner, Lookup, Monotonic, Progress, ProofOutcome, Window, WindowConfig,
};
use join_hmac::testing::{SOURCE, TODAY, direct, machine};
use join_hmac::ticket::{Ticket, TicketPolicy, TicketRecord};
use join_hmac::trust::{Change, ClusterId, Identity, TrustStore};
use pollster::block_on;
use state_store::{Batch, Commit, Key, MemoryStore, StateStore, Value};

const NOW: Monotonic = Monotonic::from_millis(5);

struct World {
    alpha: Arc<Identity>,
    store: MemoryStore,
}

impl World {
    fn new() -> Self {
        let (alpha, entry) = machine("alpha", "control");
        let (trust, first) = TrustStore::found(ClusterId::from_bytes([1; 16]), entry, &alpha).unwrap();
        let store = MemoryStore::new();
        let batch = Cluster::plan_found(&trust, &first).unwrap();
        assert!(matches!(block_on(store.commit(batch)).unwrap(), Commit::Committed(_)));
        Self { alpha, store }
    }

    fn load(&self) -> Cluster {
        block_on(Cluster::load(&self.store)).unwrap().unwrap()
    }

    fn commit(&self, batch: Batch) -> bool {
        matches!(block_on(self.store.commit(batch)).unwrap(), Commit::Committed(_))
    }

    fn ticket(&self) -> Ticket {
        let cluster = self.load();
        let policy = TicketPolicy {
            label: "".into(),
            role: "worker".into(),
            names: "*".into(),
            uses: 1,
            expires_at: TODAY.saturating_add(Duration::from_secs(60)),
        };
        let state = (cluster.store().state_id(), cluster.store().epoch());
        let (ticket, record) = TicketRecord::issue(policy, state, TODAY, &SystemRandom::new()).unwrap();
        assert!(self.commit(cluster.plan_ticket(&record).unwrap()));
        ticket
    }

    /// A join up to where the members are sent, with everything stored.
    fn approved(
        &self,
        name: &str,
        ticket: Ticket,
    ) -> (Joiner<join_hmac::join::AwaitDone>, Vec<u8>, Initiator<AwaitInstalled>, InitiatorRecord) {
        let rng = SystemRandom::new();
        let cluster = self.load();
        let (identity, entry) = machine(name, "worker");
        let (theirs, ours) = direct(1, &self.alpha, &identity);
        let config = WindowConfig::default();
        let mut window = Window::open(config, Arc::clone(&self.alpha), cluster.store(), NOW, &rng).unwrap();
        let mut secret = JoinSecret::ticket(ticket);
        let (joiner, hello) = Joiner::start(identity, entry, &mut secret, theirs, NOW, &rng).unwrap();
        let HelloOutcome::Challenge(answer) =
            window.hello(&hello, SOURCE, &ours, &cluster, (NOW, TODAY), &rng)
        else {
            panic!("refused")
        };
        let Challenged::Proven(joiner, proof) = joiner.receive(&answer.frame, NOW, &rng).unwrap() else {
            panic!("a cookie")
        };
        let ProofOutcome::Proven(initiator) = window.proof(answer.session, &proof, &cluster, (NOW, TODAY))
        else {
            panic!("refused")
        };
        let approval = Approval::by("operator", initiator.intent().id()).unwrap();
        let epoch = cluster.ticket(&initiator.ticket().unwrap()).unwrap().epoch();
        let (base, since) = block_on(cluster.since(&self.store, epoch)).unwrap();
        let (persisting, record) = initiator.approve(&approval, &base, &since, NOW).unwrap();
        assert!(self.commit(cluster.plan_approved(&record, TODAY).unwrap()));
        let (initiator, members) = persisting.persisted();
        let Decided::Accepted(joiner, _) = joiner.receive(&members, NOW).unwrap() else { panic!("pending") };
        let (joiner, installed) = joiner.installed();
        (joiner, installed, initiator, record)
    }
}

#[test]
fn a_join_is_three_commits_and_all_of_it_is_read_back() {
    let world = World::new();
    let ticket = world.ticket();
    let id = ticket.id();
    let (joiner, installed, initiator, record) = world.approved("beta", ticket);
    let cluster = world.load();
    assert_eq!(cluster.joins().map(InitiatorRecord::progress).collect::<Vec<_>>(), [Progress::Pending]);
    assert_eq!(Lookup::ticket(&cluster, &id).unwrap().used_by(), [record.machine()]);
    let (admitting, admission) = initiator.receive(&installed, NOW).unwrap().into_parts();
    let entry = admission.sign(cluster.store(), &world.alpha).unwrap().unwrap();
    let (batch, after) = cluster.plan_admitted(record, Some(&entry)).unwrap();
    assert!(world.commit(batch));
    let cluster = world.load();
    assert_eq!(cluster.store().state_id(), after.state_id());
    assert_eq!(cluster.joins().map(InitiatorRecord::progress).collect::<Vec<_>>(), [Progress::Joined]);
    let (_, since) = block_on(cluster.since(&world.store, 1)).unwrap();
    let admitted = admitting.admitted(&since, cluster.store()).unwrap();
    let joined = joiner.receive(admitted.frame(), NOW).unwrap();
    assert_eq!(joined.store().state_id(), cluster.store().state_id());
    // Once more after a crash: nothing to sign.
    assert_eq!(admission.sign(cluster.store(), &world.alpha), Ok(None));
}

#[test]
fn of_two_changes_at_once_one_takes_effect() {
    let world = World::new();
    let (one, other) = (world.load(), world.load());
    let entry = |cluster: &Cluster, name: &str| {
        cluster.store().sign(Change::Add(machine(name, "worker").1), world.alpha.key()).unwrap()
    };
    let (first, _) = one.plan_append(&entry(&one, "beta")).unwrap();
    let (second, _) = other.plan_append(&entry(&other, "gamma")).unwrap();
    assert!(world.commit(first));
    assert!(!world.commit(second));
    assert_eq!(world.load().store().members().count(), 2);
}

#[test]
fn a_ticket_of_one_use_is_not_used_by_two_machines_at_once() {
    let world = World::new();
    let text = world.ticket().expose(str::to_owned);
    let before = world.load();
    let (_, _, _, _) = world.approved("beta", Ticket::parse(&text).unwrap());
    // Planned from what was read before the first was stored.
    let (_, entry) = machine("gamma", "worker");
    assert!(entry.name() == "gamma");
    let id = Ticket::parse(&text).unwrap().id();
    let stale = before.plan_revoke(&id).unwrap();
    assert!(!world.commit(stale), "the record has changed");
    let after = world.load();
    let counted = Lookup::ticket(&after, &id).unwrap();
    assert!(counted.count_use(entry.certificate().fingerprint(), TODAY).is_err());
}

#[test]
fn tickets_are_listed_revoked_and_forgotten() {
    let world = World::new();
    let (one, other) = (world.ticket(), world.ticket());
    let cluster = world.load();
    assert_eq!(cluster.tickets().count(), 2);
    assert_eq!(cluster.plan_forget(&one.id(), TODAY).unwrap_err(), ClusterError::InUse);
    assert!(world.commit(cluster.plan_revoke(&one.id()).unwrap()));
    let cluster = world.load();
    let revoked: Vec<_> =
        cluster.tickets().filter(|ticket| ticket.is_revoked()).map(TicketRecord::id).collect();
    assert_eq!(revoked, [one.id()]);
    assert!(world.commit(cluster.plan_forget(&one.id(), TODAY).unwrap()));
    let cluster = world.load();
    assert_eq!(cluster.tickets().map(TicketRecord::id).collect::<Vec<_>>(), [other.id()]);
    assert_eq!(cluster.plan_revoke(&one.id()).unwrap_err(), ClusterError::Unknown);
}

#[test]
fn an_aborted_join_cannot_be_admitted() {
    let world = World::new();
    let ticket = world.ticket();
    let (_, installed, initiator, record) = world.approved("beta", ticket);
    assert!(world.commit(world.load().plan_abort(&record.machine()).unwrap()));
    let (_, admission) = initiator.receive(&installed, NOW).unwrap().into_parts();
    let cluster = world.load();
    let entry = admission.sign(cluster.store(), &world.alpha).unwrap().unwrap();
    let machine = record.machine();
    assert_eq!(cluster.plan_admitted(record, Some(&entry)).unwrap_err(), ClusterError::Unknown);
    assert_eq!(cluster.plan_abort(&machine).unwrap_err(), ClusterError::Unknown);
}

#[test]
fn a_member_that_lost_its_record_joins_anew_as_the_member_it_is() {
    let world = World::new();
    for run in 0..2 {
        let ticket = world.ticket();
        let (joiner, installed, initiator, _) = world.approved("beta", ticket);
        let (admitting, admission) = initiator.receive(&installed, NOW).unwrap().into_parts();
        let cluster = world.load();
        let entry = admission.sign(cluster.store(), &world.alpha).unwrap();
        assert_eq!(entry.is_none(), run == 1, "it is added once");
        let record = cluster.join(&admission.entry().certificate().fingerprint()).unwrap();
        let epoch = record.epoch();
        let (batch, _) = cluster.plan_admitted(record, entry.as_ref()).unwrap();
        assert!(world.commit(batch));
        let cluster = world.load();
        let (_, since) = block_on(cluster.since(&world.store, epoch)).unwrap();
        let admitted = admitting.admitted(&since, cluster.store()).unwrap();
        let joined = joiner.receive(admitted.frame(), NOW).unwrap();
        assert_eq!(joined.store().state_id(), cluster.store().state_id());
        assert_eq!(cluster.store().members().count(), 2);
        assert_eq!(cluster.joins().map(InitiatorRecord::progress).collect::<Vec<_>>(), [Progress::Joined]);
    }
}

#[test]
fn without_an_entry_nobody_is_noted_as_a_member() {
    let world = World::new();
    let ticket = world.ticket();
    let (.., record) = world.approved("beta", ticket);
    assert_eq!(world.load().plan_admitted(record, None).unwrap_err(), ClusterError::Damaged);
}

#[test]
fn damaged_records_are_an_error_and_never_left_out() {
    for key in ["join/state", "join/ticket/00", "join/machine/00"] {
        let world = World::new();
        let mut batch = Batch::new();
        batch
            .write(Key::new(key).unwrap(), state_store::Write::Put(Value::new(b"rubbish").unwrap()))
            .unwrap();
        assert!(world.commit(batch));
        assert!(block_on(Cluster::load(&world.store)).is_err(), "{key}");
    }
    let world = World::new();
    let cluster = world.load();
    let mut batch = Batch::new();
    let rubbish = Value::new(b"rubbish").unwrap();
    let key = Key::new("join/log/0000000000000001").unwrap();
    batch.write(key, state_store::Write::Put(rubbish)).unwrap();
    assert!(world.commit(batch));
    assert!(block_on(cluster.since(&world.store, 1)).is_err());
    assert!(block_on(Cluster::load(&MemoryStore::new())).unwrap().is_none());
}
