//! Follows the cluster's history, for all watches of this node.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::uri::PathAndQuery;
use state_store::feed::ChangeFeed;
use state_store::{Change, Key, ReadError, Revision, Write};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic_prost::ProstCodec;

use crate::client::{Client, RANGE, WATCH, grpc, number, request};
use crate::error::Failure;
use crate::proto::{
    Event, RangeRequest, RangeResponse, WatchAction, WatchCreate, WatchRequest, WatchResponse,
};
use crate::read;

/// What the follower tells.
pub(crate) struct Told {
    // Another one after the follower has missed something.
    feed: Mutex<ChangeFeed>,
    /// Everything up to here was told.
    pub(crate) position: watch::Sender<u64>,
}

impl Told {
    pub(crate) fn new(head: u64) -> Self {
        Self { feed: Mutex::new(ChangeFeed::new(Revision::new(head))), position: watch::Sender::new(head) }
    }

    pub(crate) fn feed(&self) -> ChangeFeed {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn fail(&self, error: ReadError) {
        self.feed().fail(error);
    }

    fn begin_anew(&self, head: u64) {
        let feed = ChangeFeed::new(Revision::new(head));
        let old = core::mem::replace(&mut *self.feed.lock().unwrap_or_else(PoisonError::into_inner), feed);
        old.fail(ReadError::Unavailable { detail: "this node fell behind the cluster's history".into() });
        self.position.send_replace(head);
    }
}

pub(crate) struct Follower {
    pub(crate) client: Arc<Client>,
    pub(crate) told: Arc<Told>,
    /// Everything up to this revision of the cluster was looked at.
    pub(crate) looked_at: u64,
}

impl Follower {
    /// Follows for as long as the store is open; a watch that is dropped is begun again from where it was.
    pub(crate) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let before = self.looked_at;
            let failure = match self.follow().await {
                Ok(never) => match never {},
                Err(failure) => failure,
            };
            match failure {
                Failure::Damaged(_) => {
                    self.told.fail(failure.into());
                    return;
                }
                Failure::Compacted => {
                    if let Ok((head, cluster)) = read::head(&self.client).await {
                        self.told.begin_anew(head);
                        self.looked_at = cluster;
                    }
                }
                // A watch whose token has ended is refused.
                Failure::Refused(_) => self.client.forget_token(),
                Failure::Lost(_) | Failure::NoLease => {}
            }
            pause = if self.looked_at > before {
                FIRST_PAUSE
            } else {
                pause.saturating_mul(2).min(LONGEST_PAUSE)
            };
            sleep(pause).await;
        }
    }

    async fn follow(&mut self) -> Result<core::convert::Infallible, Failure> {
        let (place, member) = self.client.member()?;
        let outcome = self.follow_at(member).await;
        // Whatever ended it: another member may do better.
        self.client.pass_over(place);
        outcome
    }

    async fn follow_at(
        &mut self,
        member: tonic::transport::Channel,
    ) -> Result<core::convert::Infallible, Failure> {
        let (mut stream, _questions) = timeout(self.client.options.attempt, self.begin(member))
            .await
            .map_err(|_| Failure::Lost("no watch in time".into()))??;
        // Until the watch has come to where the cluster was when it began, it tells what lies in the past.
        let mut present = u64::MAX;
        let mut waiting_for: Option<u64> = None;
        loop {
            let message = tokio::select! {
                message = stream.message() => message?,
                () = sleep(CHECK_INTERVAL) => {
                    // A member that is cut off from the others says nothing, and does not know of it.
                    let told = *self.told.position.borrow();
                    if waiting_for.is_some_and(|revision| told < revision) {
                        return Err(Failure::Lost("the watch fell silent".into()));
                    }
                    let (head, _) = read::head(&self.client).await?;
                    waiting_for = Some(head);
                    continue;
                }
            };
            let message = message.ok_or_else(|| Failure::Lost("the watch ended".into()))?;
            let revision = self.client.check(message.header.as_ref())?;
            if message.compact_revision > 0 {
                return Err(Failure::Compacted);
            }
            if message.canceled {
                return Err(Failure::Lost("the watch was cancelled".into()));
            }
            if message.created {
                present = revision;
            }
            if self.looked_at < present {
                self.ensure_not_compacted().await?;
            }
            let last =
                message.events.iter().filter_map(|event| event.kv.as_ref()).map(|kv| kv.mod_revision).max();
            self.tell(message.events)?;
            // An event's answer may be ahead of the events; one without events says that there are none before.
            let reached = match last {
                Some(last) => number(last)?,
                None if message.created => self.looked_at,
                None => revision,
            };
            self.looked_at = self.looked_at.max(reached);
        }
    }

    /// The stream, and what keeps it open.
    async fn begin(
        &self,
        member: tonic::transport::Channel,
    ) -> Result<(Streaming<WatchResponse>, mpsc::Sender<WatchRequest>), Failure> {
        let token = self.client.token(&member).await?;
        let (questions, asked) = mpsc::channel(1);
        let (key, range_end) = self.client.layout.all();
        let start_revision = i64::try_from(self.looked_at.saturating_add(1)).unwrap_or(i64::MAX);
        let create = WatchCreate { key, range_end, start_revision, progress_notify: true };
        let question = WatchRequest { action: Some(WatchAction::Create(create)) };
        questions.send(question).await.map_err(|_| Failure::Lost("the watch ended".into()))?;
        let mut grpc = grpc(member);
        grpc.ready().await.map_err(|error| Failure::Lost(error.to_string().into()))?;
        let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
        let request = request(ReceiverStream::new(asked), token)?;
        let stream = grpc.streaming(request, PathAndQuery::from_static(WATCH), codec).await?;
        Ok((stream.into_inner(), questions))
    }

    /// Fails when the cluster no longer has what was there at the last revision looked at.
    ///
    /// etcd 3.4 tells nothing of a deletion at exactly the revision up to which it was compacted, and does not
    /// cancel the watch. A revision that can still be read is not before that; and as it can be read after the
    /// events came, what lies after it was complete when they did.
    async fn ensure_not_compacted(&self) -> Result<(), Failure> {
        if self.looked_at == 0 {
            return Ok(());
        }
        let revision = i64::try_from(self.looked_at).unwrap_or(i64::MAX);
        let question = RangeRequest {
            key: self.client.layout.head(),
            revision,
            count_only: true,
            ..RangeRequest::default()
        };
        self.client.ask::<_, RangeResponse>(RANGE, question).await.map(drop)
    }

    /// Tells the commits among these events: those that put the head.
    fn tell(&self, events: Vec<Event>) -> Result<(), Failure> {
        let head = self.client.layout.head();
        let mut commits: BTreeMap<u64, (bool, BTreeMap<Key, Write>)> = BTreeMap::new();
        for event in events {
            let Some(kv) = event.kv else { continue };
            let revision = number(kv.mod_revision)?;
            if kv.key == head {
                commits.entry(revision).or_default().0 = true;
            } else if let Some(key) = self.client.layout.key(&kv.key)? {
                let write =
                    if event.kind == DELETED { Write::Delete } else { Write::Put(read::value(kv.value)?) };
                commits.entry(revision).or_default().1.insert(key, write);
            }
        }
        let mut position = *self.told.position.borrow();
        let feed = self.told.feed();
        for (revision, (has_head, changes)) in commits {
            if !has_head && !changes.is_empty() {
                return Err(Failure::Damaged("entries were written by something else".into()));
            }
            if revision > position && has_head {
                let changes = changes.into_iter().map(|(key, write)| Change { key, write }).collect();
                feed.publish(Revision::new(revision), changes);
                position = revision;
            }
        }
        self.client.saw(position);
        self.told.position.send_replace(position);
        Ok(())
    }
}

const DELETED: i32 = 1;
/// How often a watch that says nothing is compared with the cluster.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
