//! A watch with something wrong.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use state_store::feed::FeedWatch;
use state_store::{ReadError, Revision, Watch, WatchEvent};

use crate::faulty::{Fault, Faulty};

pub(crate) struct FaultyWatch {
    inner: FeedWatch,
    fault: Option<Fault>,
    shared: Arc<Mutex<Option<FeedWatch>>>,
    ready: VecDeque<WatchEvent>,
    told: u32,
    position: Revision,
}

impl FaultyWatch {
    pub(crate) fn new(store: &Faulty, inner: FeedWatch) -> Self {
        Self {
            inner,
            fault: store.fault,
            shared: Arc::clone(&store.shared),
            ready: VecDeque::new(),
            told: 0,
            position: Revision::ZERO,
        }
    }

    /// An event that is there already.
    fn look(&mut self) -> Option<WatchEvent> {
        match pin!(self.inner.next()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => event.ok(),
            Poll::Pending => None,
        }
    }
}

impl Watch for FaultyWatch {
    async fn next(&mut self) -> Result<WatchEvent, ReadError> {
        if let Some(event) = self.ready.pop_front() {
            return Ok(event);
        }
        match self.fault {
            Some(Fault::AlwaysLags) => return Ok(WatchEvent::Lagged),
            Some(Fault::NeverWakes) => {
                return poll_fn(|_| self.look().map_or(Poll::Pending, |event| Poll::Ready(Ok(event)))).await;
            }
            Some(Fault::SharesOneWatch) => {
                let shared = Arc::clone(&self.shared);
                return poll_fn(|context| {
                    let mut watch = shared.lock().unwrap();
                    // Who asks first gets the event, and nobody else does.
                    pin!(watch.as_mut().unwrap().next()).poll(context)
                })
                .await;
            }
            Some(Fault::EndlessProgress) if self.told > 0 => return Ok(WatchEvent::Progress(self.position)),
            _ => {}
        }
        let mut event = loop {
            let event = self.inner.next().await?;
            if !(self.fault == Some(Fault::NoProgress) && matches!(event, WatchEvent::Progress(_))) {
                break event;
            }
        };
        self.told = self.told.wrapping_add(1);
        match (self.fault, &mut event) {
            (Some(Fault::DropsChanges), WatchEvent::Changes { revision, changes })
                if self.told.is_multiple_of(5) =>
            {
                changes.pop();
                if changes.is_empty() {
                    event = WatchEvent::Progress(*revision);
                }
            }
            (Some(Fault::ReversesChanges), WatchEvent::Changes { changes, .. }) => changes.reverse(),
            (Some(Fault::RepeatsEvents), WatchEvent::Changes { .. }) if self.told.is_multiple_of(5) => {
                self.ready.push_back(event.clone());
            }
            (Some(Fault::SwapsEvents), WatchEvent::Changes { .. }) => {
                if let Some(later) = self.look() {
                    self.ready.push_back(event);
                    event = later;
                }
            }
            (Some(Fault::MergesEvents), WatchEvent::Changes { .. }) => {
                // Only the latest state, where more than one is there.
                while let Some(later) = self.look() {
                    event = later;
                }
            }
            (Some(Fault::ProgressRunsAhead), WatchEvent::Progress(revision)) => {
                *revision = revision.next().unwrap();
            }
            (Some(Fault::EndlessProgress), WatchEvent::Progress(revision)) => {
                self.position = Revision::new(revision.get().saturating_sub(1));
                event = WatchEvent::Progress(self.position);
            }
            (Some(Fault::EndlessProgress), WatchEvent::Changes { .. }) => self.told = 0,
            (Some(Fault::LosesGivenUpEvents), _) => {
                // The event is taken, and one more thing is waited for.
                let mut has_waited = false;
                poll_fn(|context| {
                    if has_waited {
                        return Poll::Ready(());
                    }
                    has_waited = true;
                    context.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
            }
            _ => {}
        }
        Ok(event)
    }
}
