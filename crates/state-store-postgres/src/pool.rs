//! The connections that read: at most as many as the options say, made when they are needed.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::Failure;
use crate::session::{Connector, Pauses, Session};
use crate::stats::count;

pub(crate) struct Pool {
    pub(crate) connector: Arc<Connector>,
    permits: Semaphore,
    idle: Mutex<Vec<Arc<Session>>>,
}

impl Pool {
    pub(crate) fn new(connector: Arc<Connector>) -> Self {
        let permits = Semaphore::new(connector.options.max_readers);
        Self { connector, permits, idle: Mutex::default() }
    }

    /// How many connections are in use.
    pub(crate) fn in_use(&self) -> usize {
        self.connector.options.max_readers.saturating_sub(self.permits.available_permits())
    }

    /// Has `work` done with a session, and again with another when a connection is lost, until it is done or
    /// the options' patience is at an end. So only what changes nothing, or may be done twice, is done here.
    pub(crate) async fn read<T, W, F>(&self, what: &str, work: W) -> Result<T, Failure>
    where
        W: Fn(Arc<Session>) -> F,
        F: Future<Output = Result<T, Failure>>,
    {
        let patience = self.connector.options.patience;
        let deadline = deadline_in(patience);
        let Ok(permit) = timeout_at(deadline, self.permits.acquire()).await else {
            return Err(Failure::Lost("all connections are in use".into()));
        };
        let _permit = permit.map_err(|_| Failure::Lost("the store is closed".into()))?;
        let mut pauses = Pauses::new(&self.connector);
        loop {
            // Half of the patience is left for another connection, where one does not answer.
            let attempt = deadline_in(patience.mul_f32(0.5)).min(deadline);
            let failure = match timeout_at(attempt, self.attempt(&work)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure @ (Failure::Lost(_) | Failure::Answered { is_retryable: true, .. }))) => {
                    failure
                }
                Ok(Err(failure)) => return Err(failure),
                Err(_) => Failure::timed_out(what),
            };
            let pause = pauses.next();
            if Instant::now().checked_add(pause).is_none_or(|then| then >= deadline) {
                return Err(failure);
            }
            count(&self.connector.counters.retries);
            sleep(pause).await;
        }
    }

    async fn attempt<T, W, F>(&self, work: &W) -> Result<T, Failure>
    where
        W: Fn(Arc<Session>) -> F,
        F: Future<Output = Result<T, Failure>>,
    {
        self.connector.guard.check()?;
        let session = match self.take() {
            Some(session) => session,
            None => Arc::new(self.connector.connect(None).await?),
        };
        // A session that failed, or was given up, is not used again.
        let answer = work(Arc::clone(&session)).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        Ok(answer)
    }

    fn take(&self) -> Option<Arc<Session>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(session) = idle.pop() {
            if !session.client.is_closed() {
                return Some(session);
            }
        }
        None
    }
}

pub(crate) fn deadline_in(patience: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(patience).unwrap_or(now)
}
