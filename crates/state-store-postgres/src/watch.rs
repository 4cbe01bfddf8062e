use core::fmt;
use std::collections::VecDeque;
use std::sync::Arc;

use state_store::feed::FeedWatch;
use state_store::{Prefix, ReadError, Revision, Watch, WatchEvent};
use tokio::task::JoinHandle;

use crate::changes::{self, Stretch};
use crate::error::Failure;
use crate::store::{Inner, closed};

/// A watch on a [`PostgresStore`](crate::PostgresStore).
///
/// It listens to its node's own feed, and when it is behind what the feed remembers, it reads the store's history.
/// A connection that was lost is made again in the meantime, and nothing is told of it: only the next event
/// comes later, and a replica's age says so.
pub struct PostgresWatch {
    inner: Arc<Inner>,
    prefix: Prefix,
    // Everything up to here was told.
    position: Revision,
    state: State,
}

enum State {
    Live(FeedWatch),
    // Reads the history; the task goes on when a call is given up.
    CatchingUp(Option<JoinHandle<Result<Stretch, Failure>>>),
    // Has read some of it.
    Telling(VecDeque<WatchEvent>),
    Lagged,
}

impl PostgresWatch {
    pub(crate) fn new(inner: Arc<Inner>, prefix: Prefix, after: Revision, is_known: bool) -> Self {
        let state =
            if is_known { State::Live(inner.told.feed().watch(&prefix, after)) } else { State::Lagged };
        Self { inner, prefix, position: after, state }
    }
}

impl Watch for PostgresWatch {
    async fn next(&mut self) -> Result<WatchEvent, ReadError> {
        loop {
            match &mut self.state {
                State::Lagged => return Ok(WatchEvent::Lagged),
                State::Live(feed) => match feed.next().await? {
                    WatchEvent::Lagged => self.state = State::CatchingUp(None),
                    event => {
                        self.position = position_of(&event).unwrap_or(self.position);
                        return Ok(event);
                    }
                },
                State::CatchingUp(reading) => {
                    let reading = reading.get_or_insert_with(|| {
                        let (inner, after) = (Arc::clone(&self.inner), self.position);
                        let handle = inner.handle.clone();
                        handle.spawn(async move { catch_up(&inner, after.get()).await })
                    });
                    let stretch = reading.await;
                    self.state = State::CatchingUp(None);
                    let stretch = stretch.map_err(|_| closed())??;
                    if stretch.floor > self.position.get() || stretch.head < self.position.get() {
                        self.state = State::Lagged;
                        continue;
                    }
                    let mut events = VecDeque::new();
                    for (revision, mut changes) in stretch.commits {
                        changes.retain(|change| self.prefix.matches(&change.key));
                        if !changes.is_empty() {
                            events.push_back(WatchEvent::Changes { revision, changes });
                        }
                    }
                    let upto = Revision::new(stretch.upto);
                    if upto > self.position && events.back().and_then(position_of) != Some(upto) {
                        events.push_back(WatchEvent::Progress(upto));
                    }
                    self.state = State::Telling(events);
                }
                State::Telling(events) => match events.pop_front() {
                    Some(event) => {
                        self.position = position_of(&event).unwrap_or(self.position);
                        return Ok(event);
                    }
                    // From here on the feed has it, or it is behind once more.
                    None => {
                        self.state = State::Live(self.inner.told.feed().watch(&self.prefix, self.position))
                    }
                },
            }
        }
    }
}

impl fmt::Debug for PostgresWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresWatch")
            .field("prefix", &self.prefix)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// The next stretch after `after`. At its end the follower is at least as far: the feed goes on from there.
async fn catch_up(inner: &Inner, after: u64) -> Result<Stretch, Failure> {
    let stretch = inner.pool.read("read the history", |session| changes::read(session, after)).await?;
    inner.pool.connector.guard.saw(stretch.head);
    if stretch.upto >= stretch.head && stretch.floor <= after {
        inner.told_up_to(stretch.upto).await?;
    }
    Ok(stretch)
}

fn position_of(event: &WatchEvent) -> Option<Revision> {
    match event {
        WatchEvent::Changes { revision, .. } | WatchEvent::Progress(revision) => Some(*revision),
        WatchEvent::Lagged => None,
    }
}
