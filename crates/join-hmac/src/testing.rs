//! A cluster in memory, and machines.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use core_types::testing::TestRandom;
use core_types::{Fingerprint, UnixTime};

use crate::join::{
    Admitted, Admitting, Approval, AwaitInstalled, Channel, Initiator, InitiatorRecord, Lookup, Monotonic,
    Window, WindowConfig,
};
use crate::mac;
use crate::ticket::{Ticket, TicketId, TicketPolicy, TicketRecord};
use crate::trust::{Certificate, ClusterId, Entry, Identity, MemberEntry, MemberKey, TrustStore};

/// The present in these tests.
pub const TODAY: UnixTime = UnixTime::from_secs(1_800_000_000);

/// Where machines ask from.
pub const SOURCE: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));

/// A machine of this name, with a key and a certificate made from it.
///
/// # Panics
/// When the name is none.
#[must_use]
pub fn machine(name: &str, role: &str) -> (Arc<Identity>, MemberEntry) {
    let seed = mac::Parts::new("machine").with(name.as_bytes()).value();
    let key = must(MemberKey::from_seed(core_types::SecretBytes::take_from(&mut { seed })));
    let certificate = must(Certificate::new(format!("certificate of {name}").as_bytes()));
    let identity = Identity::new(key, certificate);
    let entry = must(MemberEntry::new(name, role, &["192.0.2.7:8443"], &identity));
    (Arc::new(identity), entry)
}

/// The bytes of these hexadecimal digits, two a byte.
///
/// # Panics
/// When they are none.
#[must_use]
pub fn hex(digits: &str) -> Vec<u8> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let all = pairs.iter().map(|pair| {
        let pair = must(core::str::from_utf8(pair));
        must(u8::from_str_radix(pair, 16))
    });
    must(if rest.is_empty() { Ok(all.collect()) } else { Err("an odd number of digits") })
}

/// The two ends of a connection without anybody between: the joiner's, the initiator's.
#[must_use]
pub fn direct(number: u8, initiator: &Identity, joiner: &Identity) -> (Channel, Channel) {
    let exporter = [number; 32];
    (
        Channel::tls(exporter, initiator.certificate().fingerprint()),
        Channel::tls(exporter, joiner.certificate().fingerprint()),
    )
}

/// A cluster whose records are in memory; what is in it survives a crash, windows and sessions do not.
#[derive(Debug)]
#[non_exhaustive]
pub struct World {
    /// The member that lets machines in.
    pub identity: Arc<Identity>,
    /// The members.
    pub store: TrustStore,
    /// The chain.
    pub log: Vec<Entry>,
    /// The tickets.
    pub tickets: BTreeMap<TicketId, TicketRecord>,
    /// The joins, as bytes.
    pub joins: BTreeMap<Fingerprint, Vec<u8>>,
    /// The source of numbers.
    pub rng: TestRandom,
}

impl World {
    /// A cluster of one member of this name.
    ///
    /// # Panics
    /// When the name is none.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let rng = TestRandom::seeded(1);
        let (identity, entry) = machine(name, "control");
        let id = ClusterId::from_bytes(*must_some(mac::Parts::new(name).value().first_chunk()));
        let (store, first) = must(TrustStore::found(id, entry, &identity));
        let (tickets, joins) = (BTreeMap::new(), BTreeMap::new());
        Self { identity, store, log: vec![first], tickets, joins, rng }
    }

    /// Another process on the same records: after a restart.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn window(&self, config: WindowConfig) -> Window {
        must(Window::open(
            config,
            Arc::clone(&self.identity),
            &self.store,
            Monotonic::from_millis(0),
            &self.rng,
        ))
    }

    /// A ticket for one worker of any name, good for an hour.
    ///
    /// # Panics
    /// Never.
    pub fn ticket(&mut self, uses: u32) -> Ticket {
        let policy = TicketPolicy {
            label: "for tests".into(),
            role: "worker".into(),
            names: "*".into(),
            uses,
            expires_at: TODAY.saturating_add(Duration::from_secs(3600)),
        };
        let state = (self.store.state_id(), self.store.epoch());
        let (ticket, record) = must(TicketRecord::issue(policy, state, TODAY, &self.rng));
        self.tickets.insert(record.id(), record);
        ticket
    }

    /// The state of an epoch, and what followed.
    ///
    /// # Panics
    /// When the chain is broken.
    #[must_use]
    pub fn since(&self, epoch: u64) -> (TrustStore, Vec<Entry>) {
        let (before, after): (Vec<Entry>, Vec<Entry>) =
            self.log.iter().cloned().partition(|entry| entry.epoch() <= epoch);
        let (first, rest) = must_some(before.split_first());
        (must(must(TrustStore::from_first(first)).apply_all(rest)), after)
    }

    /// Approves a join and stores that: the state that goes on, and the frame.
    ///
    /// # Panics
    /// When it cannot be approved.
    pub fn approve(
        &mut self,
        initiator: Initiator<crate::join::AwaitApproval>,
        now: Monotonic,
    ) -> (Initiator<AwaitInstalled>, Vec<u8>) {
        let approval = must(Approval::by("operator", initiator.intent().id()));
        let ticket = initiator.ticket().and_then(|id| self.tickets.get(&id).cloned());
        let epoch = ticket.as_ref().map_or(self.store.epoch(), TicketRecord::epoch);
        let (base, since) = self.since(epoch);
        let (persisting, record) = match initiator.approve(&approval, &base, &since, now) {
            Ok(approved) => approved,
            Err(refused) => must(Err(refused.1)),
        };
        if let Some(ticket) = ticket {
            let counted = must(ticket.count_use(record.machine(), TODAY));
            self.tickets.insert(counted.id(), counted);
        }
        self.joins.insert(record.machine(), record.to_bytes().to_vec());
        persisting.persisted()
    }

    /// Commits what a machine's installation calls for: the last step.
    ///
    /// # Panics
    /// When it cannot be committed.
    pub fn admit(&mut self, initiator: Initiator<Admitting>) -> Admitted {
        if let Some(entry) = must(initiator.admission().sign(&self.store, &self.identity)) {
            self.store = must(self.store.apply(&entry));
            self.log.push(entry);
        }
        let machine = initiator.record().machine();
        if let Some(record) = self.join(&machine) {
            self.joins.insert(machine, record.joined().to_bytes().to_vec());
        }
        let (_, since) = self.since(initiator.record().epoch());
        must(initiator.admitted(&since, &self.store))
    }
}

impl Lookup for World {
    fn ticket(&self, id: &TicketId) -> Option<TicketRecord> {
        self.tickets.get(id).cloned()
    }

    fn join(&self, machine: &Fingerprint) -> Option<InitiatorRecord> {
        self.joins.get(machine).map(|bytes| must(InitiatorRecord::from_bytes(bytes)))
    }
}

#[expect(clippy::panic, reason = "for tests: what fails here is a failed test")]
fn must<T, E: core::fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error:?}"),
    }
}

fn must_some<T>(option: Option<T>) -> T {
    must(option.ok_or("nothing"))
}
