//! The few lines of HTTP client that the demo's story needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use ureq::{Agent, RequestBuilder};

/// A caller of the API: the nodes' addresses and, where it has one, a token.
#[derive(Clone)]
pub(super) struct Client {
    agent: Agent,
    fleet: Arc<Fleet>,
    token: Option<String>,
}

/// The nodes, asked in turn, and what has been seen of their state: the next node must not be behind that.
struct Fleet {
    bases: Vec<String>,
    turn: AtomicUsize,
    seen: AtomicU64,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Client {
    pub(super) fn new(bases: Vec<String>) -> Self {
        let config =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build();
        let fleet = Fleet { bases, turn: AtomicUsize::new(0), seen: AtomicU64::new(0) };
        Self { agent: config.new_agent(), fleet: Arc::new(fleet), token: None }
    }

    /// The same, with a token of its own.
    pub(super) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same, asking the first node alone.
    pub(super) fn at_first_node(&self) -> Self {
        let fleet = Fleet {
            bases: self.fleet.bases.iter().take(1).cloned().collect(),
            turn: AtomicUsize::new(0),
            seen: AtomicU64::new(self.fleet.seen.load(Ordering::Relaxed)),
        };
        Self { fleet: Arc::new(fleet), ..self.clone() }
    }

    /// How many nodes are asked in turn.
    pub(super) fn nodes(&self) -> usize {
        self.fleet.bases.len()
    }

    pub(super) fn get(&self, path: &str) -> Result<Answer, ureq::Error> {
        self.read(self.prepared(self.agent.get(self.url(path))).call()?)
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Answer, ureq::Error> {
        self.read(self.prepared(self.agent.post(self.url(path))).send_json(body)?)
    }

    pub(super) fn delete(&self, path: &str) -> Result<Answer, ureq::Error> {
        self.read(self.prepared(self.agent.delete(self.url(path))).call()?)
    }

    /// The path at the next node.
    fn url(&self, path: &str) -> String {
        let turn = self.fleet.turn.fetch_add(1, Ordering::Relaxed);
        let base = turn.checked_rem(self.fleet.bases.len()).and_then(|turn| self.fleet.bases.get(turn));
        format!("{}{path}", base.map_or("", String::as_str))
    }

    fn prepared<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        let request = request.header(REVISION, self.fleet.seen.load(Ordering::Relaxed).to_string());
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn read(&self, mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
        let status = response.status().as_u16();
        let seen = response.headers().get(REVISION).and_then(|text| text.to_str().ok()?.parse().ok());
        self.fleet.seen.fetch_max(seen.unwrap_or(0), Ordering::Relaxed);
        let text = response.body_mut().read_to_string()?;
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }
}

const REVISION: &str = "palisade-revision";
const TIMEOUT: Duration = Duration::from_secs(10);
