//! One connection, set up, with its statements prepared, and known to lead to the right store.

use core::future::poll_fn;
use core::pin::pin;
use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use state_store::{Revision, StoreId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Statement};

use crate::error::{Failure, OpenError};
use crate::options::Options;
use crate::schema::{self, Sql};
use crate::stats::{Counters, count};
use crate::tls::MakeTls;

/// Makes sessions.
pub(crate) struct Connector {
    pub(crate) options: Options,
    pub(crate) sql: Sql,
    pub(crate) counters: Counters,
    /// Marks this node's own hints.
    pub(crate) node: [u8; 16],
    pub(crate) guard: Guard,
}

/// What is known of the store: a server that does not bear it out is not asked again.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    store: OnceLock<StoreId>,
    // The highest revision that was read or written here.
    seen: AtomicU64,
    broken: OnceLock<OpenError>,
}

impl Guard {
    pub(crate) fn of(store: Option<StoreId>, at_least: Revision) -> Self {
        let guard = Self { seen: AtomicU64::new(at_least.get()), ..Self::default() };
        if let Some(store) = store {
            let _ = guard.store.set(store);
        }
        guard
    }

    pub(crate) fn store(&self) -> Option<StoreId> {
        self.store.get().copied()
    }

    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    pub(crate) fn saw(&self, revision: u64) {
        self.seen.fetch_max(revision, Ordering::AcqRel);
    }

    /// The error of a store that turned out to be another one, or to have gone back.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.broken.get().map_or(Ok(()), |error| Err(Failure::Foreign(error.clone())))
    }

    /// `before` is what was seen before the question was asked.
    fn take(&self, found: StoreId, revision: u64, before: u64) -> Result<(), Failure> {
        let expected = *self.store.get_or_init(|| found);
        let error = if expected != found {
            OpenError::OtherStore { expected, found }
        } else if revision < before {
            OpenError::WentBack { expected: Revision::new(before), found: Revision::new(revision) }
        } else {
            self.saw(revision);
            return Ok(());
        };
        let _ = self.broken.set(error.clone());
        Err(Failure::Foreign(error))
    }
}

/// A connection that can be used.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) get: Statement,
    pub(crate) head: Statement,
    pub(crate) scan: Statement,
    pub(crate) changes: Statement,
    pub(crate) together: Statement,
    pub(crate) batch: Statement,
    pub(crate) begin: Box<str>,
}

impl Connector {
    /// A session, within the options' patience; `hints` is rung whenever another node says that it committed.
    pub(crate) async fn connect(&self, hints: Option<Arc<Notify>>) -> Result<Session, Failure> {
        self.guard.check()?;
        let client = self.bare(hints).await?;
        let before = self.guard.seen();
        let (store, revision) =
            self.in_time("say which store it is", schema::identity(&client, &self.sql)).await?;
        self.guard.take(store, revision, before)?;
        let prepared = async {
            Ok(tokio::try_join!(
                client.prepare(&self.sql.get),
                client.prepare(&self.sql.head),
                client.prepare(&self.sql.scan),
                client.prepare(&self.sql.changes),
                client.prepare(&self.sql.together),
                client.prepare(&self.sql.batch),
            )?)
        };
        let (get, head, scan, changes, together, batch) = self.in_time("prepare", prepared).await?;
        let begin = self.sql.begin.as_str().into();
        Ok(Session { client, get, head, scan, changes, together, batch, begin })
    }

    /// A connection, whatever it leads to, with the settings that every statement here relies on.
    pub(crate) async fn bare(&self, hints: Option<Arc<Notify>>) -> Result<Client, Failure> {
        count(&self.counters.connections);
        let client = self.in_time("connect", self.open(hints)).await?;
        let millis = self.options.patience.as_millis();
        // Index scans whatever the planner believes of tables that have just grown; a session whose node is
        // frozen in the midst of a commit must not keep the others waiting.
        let settings = format!(
            "SET statement_timeout = {millis}; SET lock_timeout = {millis}; \
             SET idle_in_transaction_session_timeout = {millis}; SET synchronous_commit = on; \
             SET default_transaction_isolation = 'read committed'; \
             SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
             SET plan_cache_mode = force_generic_plan; SET jit = off; SET client_min_messages = warning"
        );
        self.in_time("take the settings", async { Ok(client.batch_execute(&settings).await?) }).await?;
        Ok(client)
    }

    /// Gives up after the options' patience.
    pub(crate) async fn in_time<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.options.patience, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::timed_out(what)),
        }
    }

    async fn open(&self, hints: Option<Arc<Notify>>) -> Result<Client, Failure> {
        let own = hex(&self.node);
        let mut database = self.options.database.clone();
        database.connect_timeout(self.options.patience).tcp_user_timeout(self.options.patience);
        match &self.options.tls.config {
            None => {
                let (client, connection) = database.connect(NoTls).await?;
                tokio::spawn(drive(connection, hints, own));
                Ok(client)
            }
            Some(config) => {
                let (client, connection) = database.connect(MakeTls(Arc::clone(config))).await?;
                tokio::spawn(drive(connection, hints, own));
                Ok(client)
            }
        }
    }
}

/// Moves bytes until the connection ends.
async fn drive<S, T>(connection: Connection<S, T>, hints: Option<Arc<Notify>>, own: String)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = pin!(connection);
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let (AsyncMessage::Notification(said), Some(hints)) = (message, &hints)
            && said.payload() != own
        {
            hints.notify_one();
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Pauses that double, with jitter, so that nodes do not come back all at once.
pub(crate) struct Pauses {
    next: Duration,
    state: u64,
}

impl Pauses {
    pub(crate) fn new(connector: &Connector) -> Self {
        let seed = connector.node.iter().fold(0_u64, |sum, &byte| sum.rotate_left(8) ^ u64::from(byte));
        let attempts = connector.counters.connections.load(Ordering::Relaxed);
        Self { next: FIRST_PAUSE, state: seed ^ attempts.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// Half to all of a pause that doubles each time, up to [`LONGEST_PAUSE`].
    pub(crate) fn next(&mut self) -> Duration {
        // xorshift64: spreads nodes out; nothing depends on it being unpredictable.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let share = f32::from(u8::try_from(self.state % 256).unwrap_or(0));
        let pause = self.next.mul_f32(share.mul_add(0.5 / 256.0, 0.5));
        self.next = self.next.saturating_mul(2).min(LONGEST_PAUSE);
        pause
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
