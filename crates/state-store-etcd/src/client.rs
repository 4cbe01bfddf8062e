//! Calls to the members: one after another, until one answers.

use core::time::Duration;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use http::uri::PathAndQuery;
use prost::Message;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::client::Grpc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use crate::error::{Failure, OpenError};
use crate::layout::Layout;
use crate::options::Options;
use crate::proto::{AuthenticateRequest, AuthenticateResponse, Header};

/// The members, and what is known of the cluster.
pub(crate) struct Client {
    pub(crate) options: Options,
    pub(crate) layout: Layout,
    members: Vec<Channel>,
    // The member that is asked first.
    current: AtomicUsize,
    token: Mutex<Option<String>>,
    // 0 until it is known.
    cluster: AtomicU64,
    seen: AtomicU64,
    pub(crate) retries: AtomicU64,
}

impl Client {
    /// Connections are made when they are needed.
    pub(crate) fn new(options: Options) -> Result<Self, OpenError> {
        let unusable =
            |error: tonic::transport::Error| OpenError::Refused { detail: error.to_string().into() };
        let mut members = Vec::new();
        for member in &options.members {
            let mut endpoint = Endpoint::from_shared(member.clone())
                .map_err(unusable)?
                .connect_timeout(options.attempt)
                .http2_keep_alive_interval(options.attempt)
                .keep_alive_timeout(options.attempt)
                .tcp_nodelay(true);
            if let Some(roots) = &options.roots {
                let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(roots));
                endpoint = endpoint.tls_config(tls).map_err(unusable)?;
            }
            members.push(endpoint.connect_lazy());
        }
        Ok(Self {
            layout: Layout::new(&options.namespace),
            options,
            members,
            current: AtomicUsize::new(0),
            token: Mutex::default(),
            cluster: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        })
    }

    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    pub(crate) fn saw(&self, revision: u64) {
        self.seen.fetch_max(revision, Ordering::AcqRel);
    }

    /// Which cluster answered: always the same.
    pub(crate) fn check(&self, header: Option<&Header>) -> Result<u64, Failure> {
        let header = header.ok_or_else(|| Failure::Damaged("an answer without a header".into()))?;
        let known = self.cluster.compare_exchange(0, header.cluster_id, Ordering::SeqCst, Ordering::SeqCst);
        if known.is_err_and(|known| known != header.cluster_id) {
            return Err(Failure::Damaged("another cluster answers".into()));
        }
        number(header.revision)
    }

    /// A member, and its place for [`Self::pass_over`].
    pub(crate) fn member(&self) -> Result<(usize, Channel), Failure> {
        let place = self.current.load(Ordering::Relaxed);
        let member = self.members.get(place).or_else(|| self.members.first());
        member.map(|member| (place, member.clone())).ok_or_else(|| Failure::Refused("no members".into()))
    }

    /// Asks the next member from now on, unless that was decided already.
    pub(crate) fn pass_over(&self, place: usize) {
        let next = place.checked_add(1).filter(|&next| next < self.members.len()).unwrap_or(0);
        let _ = self.current.compare_exchange(place, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Asks once. An error says whether it may have been done.
    pub(crate) async fn once<Q, A>(&self, path: &'static str, question: Q) -> Result<A, Failure>
    where
        Q: Message + Clone + Default + 'static,
        A: Message + Default + 'static,
    {
        let (place, member) = self.member()?;
        let answer = match timeout(self.options.attempt, self.authenticated(member, path, question)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Lost("no answer in time".into())),
        };
        if let Err(Failure::Lost(_)) = &answer {
            self.pass_over(place);
        }
        answer
    }

    /// Asks until a member answers: for what may be done twice.
    pub(crate) async fn ask<Q, A>(&self, path: &'static str, question: Q) -> Result<A, Failure>
    where
        Q: Message + Clone + Default + 'static,
        A: Message + Default + 'static,
    {
        let deadline = deadline_in(self.options.patience);
        let mut pause = FIRST_PAUSE;
        let mut failure = Failure::Lost("no member answers in time".into());
        loop {
            match timeout_at(deadline, self.once(path, question.clone())).await {
                Ok(Err(lost @ Failure::Lost(_))) => failure = lost,
                Ok(answer) => return answer,
                Err(_) => return Err(failure),
            }
            if Instant::now() >= deadline {
                return Err(failure);
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    async fn authenticated<Q, A>(
        &self,
        member: Channel,
        path: &'static str,
        question: Q,
    ) -> Result<A, Failure>
    where
        Q: Message + Clone + Default + 'static,
        A: Message + Default + 'static,
    {
        let token = self.token(&member).await?;
        let had_one = token.is_some();
        let answer = unary(member.clone(), path, question.clone(), token).await;
        match answer {
            // Tokens end after a while, and with the member that gave them: refused, and so not done.
            Err(status) if had_one && status.message().contains("invalid auth token") => {
                self.forget_token();
                let token = self.token(&member).await?;
                Ok(unary(member, path, question, token).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Has another token made for the next question.
    pub(crate) fn forget_token(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What shows who we are, where that is asked.
    pub(crate) async fn token(&self, member: &Channel) -> Result<Option<String>, Failure> {
        let Some((name, password)) = &self.options.user else { return Ok(None) };
        let known = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.is_some() {
            return Ok(known);
        }
        let question = AuthenticateRequest { name: name.clone(), password: password.clone() };
        let answer: AuthenticateResponse = unary(member.clone(), AUTHENTICATE, question, None).await?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.token.clone());
        Ok(Some(answer.token))
    }
}

async fn unary<Q, A>(
    member: Channel,
    path: &'static str,
    question: Q,
    token: Option<String>,
) -> Result<A, Status>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let mut grpc = grpc(member);
    grpc.ready().await.map_err(|error| Status::unavailable(with_causes(&error)))?;
    let request = request(question, token)?;
    let codec = ProstCodec::<Q, A>::default();
    Ok(grpc.unary(request, PathAndQuery::from_static(path), codec).await?.into_inner())
}

pub(crate) fn grpc(member: Channel) -> Grpc<Channel> {
    Grpc::new(member)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

pub(crate) fn request<Q>(question: Q, token: Option<String>) -> Result<Request<Q>, Status> {
    let mut request = Request::new(question);
    if let Some(token) = token {
        let token = token.parse().map_err(|_| Status::unauthenticated("a token that is no header"))?;
        request.metadata_mut().insert("token", token);
    }
    Ok(request)
}

/// An error of a connection says what it is only in what caused it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}

pub(crate) fn number(stored: i64) -> Result<u64, Failure> {
    u64::try_from(stored).map_err(|_| Failure::Damaged("a revision is negative".into()))
}

pub(crate) fn deadline_in(patience: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(patience).unwrap_or(now)
}

pub(crate) const RANGE: &str = "/etcdserverpb.KV/Range";
pub(crate) const TXN: &str = "/etcdserverpb.KV/Txn";
pub(crate) const COMPACT: &str = "/etcdserverpb.KV/Compact";
pub(crate) const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
pub(crate) const WATCH: &str = "/etcdserverpb.Watch/Watch";
const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// More than the largest batch there is.
const MAX_MESSAGE_BYTES: usize = 512 << 20;
