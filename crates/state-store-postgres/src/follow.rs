//! Follows the store's history, for all watches of this node, and tells other nodes of this one's commits.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use state_store::feed::ChangeFeed;
use state_store::{ReadError, Revision};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::changes;
use crate::error::Failure;
use crate::session::{Connector, Pauses, Session, hex};
use crate::stats::count;

/// What the follower tells, and how it is asked to look.
pub(crate) struct Told {
    // Another one after the follower has missed something.
    feed: Mutex<ChangeFeed>,
    /// Everything up to here was told.
    pub(crate) position: watch::Sender<u64>,
    /// Asks it to look now.
    pub(crate) look: Notify,
}

impl Told {
    pub(crate) fn new(head: Revision) -> Self {
        let feed = Mutex::new(ChangeFeed::new(head));
        Self { feed, position: watch::Sender::new(head.get()), look: Notify::new() }
    }

    pub(crate) fn feed(&self) -> ChangeFeed {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends all watches of now.
    pub(crate) fn fail(&self, error: ReadError) {
        self.feed().fail(error);
    }

    fn begin_anew(&self, head: u64) {
        let feed = ChangeFeed::new(Revision::new(head));
        let old = core::mem::replace(&mut *self.feed.lock().unwrap_or_else(PoisonError::into_inner), feed);
        old.fail(ReadError::Unavailable { detail: "this node fell behind the store's history".into() });
        self.position.send_replace(head);
    }
}

pub(crate) struct Follower {
    pub(crate) connector: Arc<Connector>,
    pub(crate) told: Arc<Told>,
    /// Rung after each transaction of this node.
    pub(crate) committed: Arc<Notify>,
}

impl Follower {
    /// Follows for as long as the store is open; a connection that is lost is made again.
    pub(crate) async fn run(self) {
        let mut pauses = Pauses::new(&self.connector);
        loop {
            let before = *self.told.position.borrow();
            let failure = match self.follow().await {
                Ok(never) => match never {},
                Err(failure) => failure,
            };
            if let failure @ (Failure::Foreign(_) | Failure::Damaged(_)) = failure {
                self.told.fail(failure.into());
                return;
            }
            if *self.told.position.borrow() > before {
                pauses = Pauses::new(&self.connector);
            }
            sleep(pauses.next()).await;
        }
    }

    async fn follow(&self) -> Result<core::convert::Infallible, Failure> {
        let hints = Arc::new(Notify::new());
        let session = self.connector.connect(Some(Arc::clone(&hints))).await?;
        // A hint that is lost costs a poll interval; it must not cost the disk's time, nor a commit's.
        let listen = format!("SET synchronous_commit = off; LISTEN {}", self.connector.sql.channel);
        let listening = async { Ok(session.client.batch_execute(&listen).await?) };
        self.connector.in_time("listen", listening).await?;
        let session = Arc::new(session);
        // Listening began before the first look, so what is committed after the look rings.
        let options = &self.connector.options;
        let (mut owes_look, mut owes_hint) = (true, false);
        let mut looked = Instant::now();
        let mut hinted = looked;
        loop {
            if owes_look {
                self.look(&session).await?;
                (owes_look, looked) = (false, Instant::now());
            }
            let mut wait = later(looked, options.poll_interval);
            if let (true, Some(interval)) = (owes_hint, options.hint_interval) {
                wait = wait.min(later(hinted, interval));
            }
            tokio::select! {
                () = hints.notified() => {
                    count(&self.connector.counters.hints);
                    owes_look = true;
                }
                () = self.told.look.notified() => owes_look = true,
                () = self.committed.notified() => {
                    owes_hint = true;
                    // This node's own commits are not looked at one by one, where they come fast.
                    let pause = later(looked, OWN_PAUSE);
                    if pause > Instant::now() {
                        tokio::select! {
                            () = self.told.look.notified() => {}
                            () = sleep_until(pause) => {}
                        }
                    }
                    owes_look = true;
                }
                () = sleep_until(wait) => owes_look |= looked.elapsed() >= options.poll_interval,
            }
            if owes_hint && options.hint_interval.is_some_and(|interval| hinted.elapsed() >= interval) {
                // Other nodes first: this one has its own commits' answers already.
                self.connector.in_time("a hint", self.hint(&session)).await?;
                (owes_hint, hinted) = (false, Instant::now());
            }
        }
    }

    async fn hint(&self, session: &Session) -> Result<(), Failure> {
        let hint = format!("NOTIFY {}, '{}'", self.connector.sql.channel, hex(&self.connector.node));
        Ok(session.client.batch_execute(&hint).await?)
    }

    /// Tells everything that was committed since the last look.
    async fn look(&self, session: &Arc<Session>) -> Result<(), Failure> {
        loop {
            let position = *self.told.position.borrow();
            let reading = changes::read(Arc::clone(session), position);
            let stretch = self.connector.in_time("read what has changed", reading).await?;
            self.connector.guard.saw(stretch.head);
            if stretch.floor > position {
                self.told.begin_anew(stretch.head);
                continue;
            }
            let feed = self.told.feed();
            for (revision, changes) in stretch.commits {
                if revision.get() > position {
                    feed.publish(revision, changes);
                }
            }
            if stretch.upto > position {
                // The last commits may have changed nothing: they are told as progress.
                feed.publish(Revision::new(stretch.upto), Vec::new());
                self.told.position.send_replace(stretch.upto);
            }
            if stretch.upto >= stretch.head {
                return Ok(());
            }
        }
    }
}

fn later(from: Instant, by: Duration) -> Instant {
    from.checked_add(by).unwrap_or(from)
}

/// Forgets the oldest part of the history, now and then, for as long as the store is open.
pub(crate) async fn keep_compacting(connector: Arc<Connector>) {
    let mut pauses = Pauses::new(&connector);
    let mut session: Option<Session> = None;
    loop {
        // Spread out, so that nodes of one store do not all do it at once.
        sleep(COMPACTION_PAUSE.saturating_add(pauses.next())).await;
        let usable = session.take().filter(|session| !session.client.is_closed());
        let usable = match usable {
            Some(usable) => Ok(usable),
            None => connector.connect(None).await,
        };
        let Ok(usable) = usable else { continue };
        if connector.in_time("forget", compact(&connector, &usable)).await.is_ok() {
            session = Some(usable);
        }
    }
}

/// Forgets what is past the options' bounds.
pub(crate) async fn compact(connector: &Connector, session: &Session) -> Result<(), Failure> {
    let commits = i64::try_from(connector.options.history_commits).unwrap_or(i64::MAX);
    let bytes = i64::try_from(connector.options.history_bytes).unwrap_or(i64::MAX);
    // The head's lock, for which commits wait, is not held while much is deleted.
    session.client.execute(&connector.sql.raise_floor, &[&commits, &bytes]).await?;
    session.client.batch_execute(&connector.sql.forget).await?;
    Ok(())
}

const COMPACTION_PAUSE: Duration = Duration::from_secs(10);
/// The pause between looks at what this node itself commits.
const OWN_PAUSE: Duration = Duration::from_millis(2);
