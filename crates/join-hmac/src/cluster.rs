//! The cluster's side in a store: members, tickets and joins, and the batches that change them.
//!
//! ```text
//! join/state                      the trust store's present state, a snapshot
//! join/log/<epoch, 16 hex>        the entries of the chain, from the first on
//! join/ticket/<id, 32 hex>        a ticket's record
//! join/machine/<fingerprint, hex> a machine's join
//! ```
//!
//! Every change is one batch, conditioned on what it was planned from, so two members that change something at once do
//! not both succeed: whoever gets a conflict loads anew. A ticket's use and the join it is for are one commit; so are an
//! entry of the chain and the state after it. A member that is down keeps nobody from joining: it reads on later.

use core_types::{Fingerprint, UnixTime};
use state_store::{Batch, Expect, Key, Prefix, Revision, StateStore, Value};

use crate::error::ClusterError;
use crate::join::{InitiatorRecord, Lookup, Progress};
use crate::ticket::{MAX_TICKETS, TicketId, TicketRecord};
use crate::trust::{Entry, TrustStore};

/// What every key of this crate begins with.
pub const PREFIX: &str = "join/";

/// The cluster as it is stored, read at one time.
#[derive(Debug)]
pub struct Cluster {
    store: TrustStore,
    revision: Revision,
    tickets: Vec<(TicketRecord, Revision)>,
    joins: Vec<(InitiatorRecord, Revision)>,
}

impl Cluster {
    /// The batch that founds a cluster where there is none.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn plan_found(store: &TrustStore, first: &Entry) -> Result<Batch, ClusterError> {
        let mut batch = Batch::new();
        batch.create(Key::new(STATE)?, Value::new(store.to_snapshot())?)?;
        batch.create(log_key(first.epoch())?, Value::new(first.to_bytes())?)?;
        Ok(batch)
    }

    /// Reads the cluster; `None` where none was founded.
    ///
    /// # Errors
    /// [`ClusterError`]; damaged records are an error, never left out.
    pub async fn load<S: StateStore>(store: &S) -> Result<Option<Self>, ClusterError> {
        let Some(state) = store.get(&Key::new(STATE)?).await? else { return Ok(None) };
        let mut cluster = Self {
            store: TrustStore::from_snapshot(state.value.as_bytes())?,
            revision: state.revision,
            tickets: Vec::new(),
            joins: Vec::new(),
        };
        for entry in scan(store, TICKETS).await? {
            let record = TicketRecord::from_bytes(entry.value.as_bytes())?;
            cluster.tickets.push((record, entry.revision));
        }
        for entry in scan(store, MACHINES).await? {
            let record = InitiatorRecord::from_bytes(entry.value.as_bytes())?;
            cluster.joins.push((record, entry.revision));
        }
        Ok(Some(cluster))
    }

    /// The members.
    #[must_use]
    pub const fn store(&self) -> &TrustStore {
        &self.store
    }

    /// The tickets, revoked ones too.
    pub fn tickets(&self) -> impl Iterator<Item = &TicketRecord> {
        self.tickets.iter().map(|(record, _)| record)
    }

    /// The joins.
    pub fn joins(&self) -> impl Iterator<Item = &InitiatorRecord> {
        self.joins.iter().map(|(record, _)| record)
    }

    /// The entries after `epoch`, and the state of that epoch: what a machine is sent. Read from the chain's beginning,
    /// every entry verified.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn since<S: StateStore>(
        &self,
        store: &S,
        epoch: u64,
    ) -> Result<(TrustStore, Vec<Entry>), ClusterError> {
        let mut base: Option<TrustStore> = None;
        let mut entries = Vec::new();
        for item in scan(store, LOG).await? {
            let entry = Entry::from_bytes(item.value.as_bytes())?;
            // What was committed since this was loaded is not part of it.
            if entry.epoch() > self.store.epoch() {
                break;
            }
            if entry.epoch() > epoch {
                entries.push(entry);
                continue;
            }
            base = Some(match base {
                None => TrustStore::from_first(&entry)?,
                Some(state) => state.apply(&entry)?,
            });
        }
        let base = base.filter(|state| state.epoch() == epoch).ok_or(ClusterError::Damaged)?;
        if base.apply_all(&entries)?.state_id() != self.store.state_id() {
            return Err(ClusterError::Damaged);
        }
        Ok((base, entries))
    }

    /// The batch that appends an entry, and the state after it.
    ///
    /// # Errors
    /// [`ClusterError::Trust`].
    pub fn plan_append(&self, entry: &Entry) -> Result<(Batch, TrustStore), ClusterError> {
        let after = self.store.apply(entry)?;
        let mut batch = Batch::new();
        batch.replace(Key::new(STATE)?, self.revision, Value::new(after.to_snapshot())?)?;
        batch.create(log_key(entry.epoch())?, Value::new(entry.to_bytes())?)?;
        Ok((batch, after))
    }

    /// The batch that stores a new ticket.
    ///
    /// # Errors
    /// [`ClusterError::Full`].
    pub fn plan_ticket(&self, record: &TicketRecord) -> Result<Batch, ClusterError> {
        if self.tickets.len() >= MAX_TICKETS {
            return Err(ClusterError::Full);
        }
        let mut batch = Batch::new();
        batch.create(ticket_key(&record.id())?, Value::new(record.to_bytes())?)?;
        Ok(batch)
    }

    /// The batch that revokes a ticket.
    ///
    /// # Errors
    /// [`ClusterError::Unknown`].
    pub fn plan_revoke(&self, id: &TicketId) -> Result<Batch, ClusterError> {
        let (record, revision) = self.ticket(id).ok_or(ClusterError::Unknown)?;
        let mut batch = Batch::new();
        let revoked = record.clone().revoke();
        batch.replace(ticket_key(id)?, *revision, Value::new(revoked.to_bytes())?)?;
        Ok(batch)
    }

    /// The batch that forgets a ticket which is revoked or over.
    ///
    /// # Errors
    /// [`ClusterError::Unknown`]; [`ClusterError::InUse`] while it could let somebody in.
    pub fn plan_forget(&self, id: &TicketId, now: UnixTime) -> Result<Batch, ClusterError> {
        let (record, revision) = self.ticket(id).ok_or(ClusterError::Unknown)?;
        if !record.is_revoked() && now < record.policy().expires_at {
            return Err(ClusterError::InUse);
        }
        let mut batch = Batch::new();
        batch.remove(ticket_key(id)?, *revision)?;
        Ok(batch)
    }

    /// The batch that stores an approved join and counts the use of its ticket. Commit it before the members are sent.
    ///
    /// # Errors
    /// [`ClusterError::Ticket`] when the ticket is no longer usable.
    pub fn plan_approved(&self, record: &InitiatorRecord, now: UnixTime) -> Result<Batch, ClusterError> {
        let mut batch = Batch::new();
        self.put_join(&mut batch, record)?;
        if let Some(id) = record.ticket() {
            let (ticket, revision) = self.ticket(&id).ok_or(ClusterError::Unknown)?;
            let counted = ticket.clone().count_use(record.machine(), now)?;
            batch.replace(ticket_key(&id)?, *revision, Value::new(counted.to_bytes())?)?;
        }
        Ok(batch)
    }

    /// The batch that makes a machine a member, by the entry that its admission
    /// [signed](crate::join::Admission::sign), or that notes that it is one already; and the state after it.
    ///
    /// # Errors
    /// [`ClusterError::Unknown`] when the join was aborted meanwhile; [`ClusterError::Damaged`] when there is no entry
    /// and the machine is no member.
    pub fn plan_admitted(
        &self,
        record: InitiatorRecord,
        entry: Option<&Entry>,
    ) -> Result<(Batch, TrustStore), ClusterError> {
        let pending = self.joined(&record.machine()).map(|(known, _)| *known.session());
        if pending != Some(*record.session()) {
            return Err(ClusterError::Unknown);
        }
        let (mut batch, after) = match entry {
            Some(entry) => self.plan_append(entry)?,
            None => {
                let mut batch = Batch::new();
                batch.require(Key::new(STATE)?, Expect::Revision(self.revision))?;
                (batch, self.store.clone())
            }
        };
        if after.member(&record.entry().id()).is_none_or(|member| member.entry() != record.entry()) {
            return Err(ClusterError::Damaged);
        }
        self.put_join(&mut batch, &record.joined())?;
        Ok((batch, after))
    }

    /// The batch that forgets a machine's pending join. A ticket's use stays counted, once for the machine.
    ///
    /// # Errors
    /// [`ClusterError::Unknown`]; [`ClusterError::InUse`] when it is a member already, which is to be revoked.
    pub fn plan_abort(&self, machine: &Fingerprint) -> Result<Batch, ClusterError> {
        let (record, revision) = self.joined(machine).ok_or(ClusterError::Unknown)?;
        if record.progress() == Progress::Joined {
            return Err(ClusterError::InUse);
        }
        let mut batch = Batch::new();
        batch.remove(machine_key(machine)?, *revision)?;
        Ok(batch)
    }

    fn put_join(&self, batch: &mut Batch, record: &InitiatorRecord) -> Result<(), ClusterError> {
        let key = machine_key(&record.machine())?;
        let expect = self
            .joined(&record.machine())
            .map_or(Expect::Absent, |(_, revision)| Expect::Revision(*revision));
        batch.require(key.clone(), expect)?;
        batch.write(key, state_store::Write::Put(Value::new(record.to_bytes().as_slice())?))?;
        Ok(())
    }

    fn ticket(&self, id: &TicketId) -> Option<&(TicketRecord, Revision)> {
        self.tickets.iter().find(|(record, _)| record.id() == *id)
    }

    fn joined(&self, machine: &Fingerprint) -> Option<&(InitiatorRecord, Revision)> {
        self.joins.iter().find(|(record, _)| record.machine() == *machine)
    }
}

impl Lookup for Cluster {
    fn ticket(&self, id: &TicketId) -> Option<TicketRecord> {
        self.ticket(id).map(|(record, _)| record.clone())
    }

    fn join(&self, machine: &Fingerprint) -> Option<InitiatorRecord> {
        self.joined(machine).map(|(record, _)| record.duplicate())
    }
}

async fn scan<S: StateStore>(store: &S, prefix: &str) -> Result<Vec<state_store::Entry>, ClusterError> {
    let prefix = Prefix::new(prefix)?;
    let mut all: Vec<state_store::Entry> = Vec::new();
    loop {
        let after = all.last().map(|entry| entry.key.clone());
        let page = store.scan(&prefix, after.as_ref(), state_store::MAX_PAGE_ENTRIES).await?;
        let more = page.more;
        all.extend(page.entries);
        if !more {
            return Ok(all);
        }
        if all.len() >= MAX_RECORDS {
            return Err(ClusterError::Full);
        }
    }
}

fn log_key(epoch: u64) -> Result<Key, ClusterError> {
    Ok(Key::new(format!("{LOG}{epoch:016x}"))?)
}

fn ticket_key(id: &TicketId) -> Result<Key, ClusterError> {
    Ok(Key::new(format!("{TICKETS}{id}"))?)
}

fn machine_key(machine: &Fingerprint) -> Result<Key, ClusterError> {
    let hex: String = machine.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Key::new(format!("{MACHINES}{hex}"))?)
}

const STATE: &str = "join/state";
const LOG: &str = "join/log/";
const TICKETS: &str = "join/ticket/";
const MACHINES: &str = "join/machine/";
/// Of one kind; past them something is wrong.
const MAX_RECORDS: usize = 100_000;
